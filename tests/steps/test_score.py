"""
How good predictions were: by kind of move, over what was confirmed, and what the next price makes of it.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.steps.confirm import MOVED, TOO_LITTLE, Side, Verdict
from rung.steps.find.finding import Interval
from rung.steps.ledger import Entry
from rung.steps.price.predict import RECORD_MIN, widened
from rung.steps.score import record_of, record_of_all, wilson
from tests.strategies import entries, quote_of


def confirmed(
    measured: float, *, name: str = "index:orders(id)", verdict: str = MOVED, predicted: float = 0.5
) -> Entry:
    """
    Return an entry that promised *predicted* of what was before, give or take a fifth, and measured another share.
    """
    side = Side("before", 1.0, 100, 1.0, 0.0)
    now = Interval(2.0, 1.9, 2.1)
    promised = Interval(2 * predicted, 1.6 * predicted, 2.4 * predicted)
    told = Verdict(
        verdict=verdict, route="GET /", percentile=95, before=side, after=side, paired=True, blocks=6, words="",
        ratio=Interval(measured, measured, measured), side_effects=(),
    )  # fmt: skip
    return Entry(1, "query", "before", "2026", verdict, quote_of(name=name, now=now, predicted=promised), told)


def test_errors_and_coverage_are_told_by_kind() -> None:
    """
    Predicted over measured, the median with quartiles, and how many were measured within their interval.
    """
    kept = [confirmed(0.5), confirmed(0.5), confirmed(0.25), confirmed(1.0, name="cache:home")]
    found = record_of(kept)

    assert ["cache", "index"] == list(found)
    index = found["index"]
    assert (3, 2) == (index.confirmed, index.held)
    assert pytest.approx((1.0, 1.0)) == (index.error.value, index.error.low)
    assert pytest.approx(math.sqrt(2)) == index.error.high
    assert pytest.approx(math.sqrt(math.log(2) ** 2 / 3)) == index.missed
    assert (pytest.approx(0.5), 0) == (found["cache"].error.value, found["cache"].held)
    overall = record_of_all(kept)
    assert overall is not None
    assert (4, 2) == (overall.confirmed, overall.held)


def test_what_was_not_confirmed_is_not_scored() -> None:
    """
    Open entries, those with too little data and those without a number say nothing of the predictions.
    """
    kept = [confirmed(0.5, verdict=TOO_LITTLE), Entry(2, "query", "before", "2026", "open", quote_of())]

    assert {} == record_of(kept)
    assert record_of_all(kept) is None


@settings(deadline=None, max_examples=30)
@given(st.lists(entries, max_size=4))
def test_any_ledger_has_a_score(kept: list[Entry]) -> None:
    """
    Whatever stands in a ledger, its records count each scored entry once.
    """
    overall = record_of_all(kept)

    assert sum(record.confirmed for record in record_of(kept).values()) == (overall.confirmed if overall else 0)


@given(st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_binomial_interval_is_around_the_share(counted: tuple[int, int]) -> None:
    interval = wilson(*counted)

    assert 0 <= interval.low + 1e-12
    assert interval.low <= interval.value <= interval.high <= 1 + 1e-12


def test_a_record_says_how_far_off_the_next_price_of_its_kind_may_be() -> None:
    """
    Five prices that were three times too low make the sixth that uncertain, five that came true make it surer; four
    do nothing.
    """
    price = Interval(1.0, 0.95, 1.05)
    plain = widened(price, 0.0)

    def after(count: int, measured: float) -> Interval:
        return widened(price, 0.0, record_of([confirmed(measured)] * count)["index"])

    assert after(RECORD_MIN - 1, 0.17) == plain == after(RECORD_MIN - 1, 0.5)
    assert after(RECORD_MIN, 0.17).low < 0.7 * plain.low
    assert after(RECORD_MIN, 0.17).high > 1.3 * plain.high
    assert plain.low < after(RECORD_MIN, 0.5).low < price.low
    assert price.high < after(RECORD_MIN, 0.5).high < plain.high
