"""
Which requests are compared with which: the same arrivals, or blocks at which as many came.
"""

from __future__ import annotations

import numpy as np
import pytest

from rung.ports import Pairs, Sent
from rung.steps.confirm import MOVED, NOT_MOVED, TOO_LITTLE, WORSE, Verdict, confirm
from rung.steps.confirm.compared import PAIRS_MAX, PAIRS_MIN, of_pairs, of_recordings, order_of, turns_of
from tests.strategies import GOAL, HOME, ORDERS, Row, profile, quote_of, traffic

QUIET, BUSY = 20.0, 60.0


def day(*rates: float, seed: int, **how: float) -> list[Row]:
    """
    Return hours of a day, each of 36 s, with these rates.
    """
    rows: list[Row] = []
    for hour, rate_per_s in enumerate(rates):
        rows += [
            Row(row.due_s + 36.0 * hour, row.duration_s, route=row.route)
            for row in traffic(rate_per_s=rate_per_s, seed=seed + hour, arrivals_seed=seed + hour, **how)  # type: ignore[arg-type]
        ]
    return rows


def test_blocks_with_other_rates_are_left_out() -> None:
    """
    A busy hour on one side has no partner on the other, however slow it was; the quiet ones are compared.
    """
    before = day(QUIET, QUIET, QUIET, seed=1)
    slow = [Row(row.due_s, row.duration_s * (9 if row.due_s > 72 else 1)) for row in day(QUIET, QUIET, BUSY, seed=50)]
    after = [Row(row.due_s, row.duration_s, route=ORDERS) for row in slow]
    found = of_recordings(profile(before), profile(after, name="after"))

    assert not found.same_arrivals
    assert "" == found.unlike
    assert PAIRS_MIN <= found.pairs <= 8
    due_s = np.sort(np.array([row.due_s for row in after]))
    assert (due_s[found.after.block >= 0] < 76).all()
    verdict = confirm(found, GOAL, None)
    assert verdict.verdict != WORSE
    assert verdict.after.requests < len(after) / 2


def test_rates_that_never_meet_are_not_compared() -> None:
    verdict = confirm(
        of_recordings(profile(day(QUIET, seed=1)), profile(day(BUSY, seed=2, times=0.1), name="after")), GOAL, None
    )

    assert (TOO_LITTLE, None) == (verdict.verdict, verdict.ratio)
    assert "as many requests a second came in only 0 of their blocks" in verdict.words


def test_another_mix_of_routes_is_another_traffic() -> None:
    """
    As many requests, of which half are of another route, are not compared.
    """
    before = [*day(QUIET, seed=1), *day(QUIET, seed=20, route=HOME)]  # type: ignore[arg-type]
    after = [*day(1.5 * QUIET, seed=3), *day(QUIET / 2, seed=40, route=HOME)]  # type: ignore[arg-type]
    found = of_recordings(profile(before), profile(after, name="after"))

    assert "their mix of routes differs" == found.unlike
    assert TOO_LITTLE == confirm(found, GOAL, None).verdict


@pytest.mark.parametrize("duration_s", [12.0, 29.0, 30.0, 31.0, 300.0, 36_000.0])
def test_turns_fill_the_duration(duration_s: float) -> None:
    turns = turns_of(duration_s)

    assert turns is not None
    assert PAIRS_MIN <= turns.pairs <= PAIRS_MAX
    assert turns.block_s >= 2
    assert pytest.approx(duration_s) == turns.pairs * turns.block_s
    assert 0 < turns.lead_s < turns.block_s / 3


@pytest.mark.parametrize("pairs", [6, 7, 120])
def test_each_side_goes_first_as_often(pairs: int) -> None:
    """
    Every block goes to both, and of two neighbours each side is the first once.
    """
    order = list(order_of(pairs, np.random.Generator(np.random.PCG64(1))))
    firsts = [side for _, side in order[::2]]

    assert sorted(order) == [(block, side) for block in range(pairs) for side in (0, 1)]
    assert [block for block, _ in order] == [block for block in range(pairs) for _ in range(2)]
    assert all(firsts[place] + firsts[place + 1] == 1 for place in range(0, pairs - 1, 2))


def sent(
    seed: int, *, pairs: int = 24, each: int = 200, times: float = 1.0, home: float = 1.0, failing: int = 0
) -> Pairs:
    """
    Return pairs of two routes, where half of what a request takes is its own.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    block, route = np.repeat(np.arange(pairs), each), np.tile([0, 1], pairs * each // 2)
    own = generator.normal(-3, 0.5, len(block))
    sides = []
    for name, factor, other, broken in (("http://a", 1.0, 1.0, 0), ("http://b", times, home, failing)):
        latency_s = np.exp(own + generator.normal(0, 0.1, len(block))) * np.where(route == 0, factor, other)
        sides.append(Sent(name, route, block, latency_s, np.arange(len(block)) < broken))
    return Pairs(("GET /customers/{customer}/orders", HOME), sides[0], sides[1], pairs, 2.5 * pairs)


def judged(pairs: Pairs, quote: object = None, route: str | None = None) -> Verdict:
    return confirm(of_pairs(pairs, route), GOAL, quote)  # type: ignore[arg-type]


def test_in_turns_a_tenth_is_seen_within_a_minute() -> None:
    """
    Where the same request takes nearly the same again, a tenth less of all is moved, and a tenth more is worse.
    """
    less, more = judged(sent(1, times=0.9, home=0.9)), judged(sent(2, times=1.1, home=1.1))

    assert (MOVED, True, True, 24) == (less.verdict, less.paired, less.interleaved, less.blocks)
    assert less.ratio is not None and less.ratio.low < 0.9 < less.ratio.high
    assert (WORSE, True) == (more.verdict, more.worse)
    assert more.words.startswith("Worse: ") and "more" in more.words


def test_in_turns_nothing_is_not_moved() -> None:
    """
    Of ten unchanged pairs none is called moved or worse, and a change of a tenth is excluded in most.
    """
    verdicts = [judged(sent(seed)).verdict for seed in range(10)]

    assert {NOT_MOVED, TOO_LITTLE} >= set(verdicts)
    assert verdicts.count(NOT_MOVED) >= 8


def test_a_change_of_two_percent_counts_for_nothing() -> None:
    """
    However sure it is: below three percent it is not called moved.
    """
    verdict = judged(sent(1, pairs=30, each=2000, times=0.98, home=0.98))

    assert verdict.ratio is not None and verdict.ratio.high < 1
    assert NOT_MOVED == verdict.verdict
    assert "less than 3 % is no change that counts" in verdict.words


def test_too_little_in_turns_names_the_traffic_that_is_enough() -> None:
    """
    Six pairs of few requests mostly leave a tenth open and ask for minutes; ten times as many pairs do not.
    """
    short = [judged(sent(seed, pairs=6, each=40, times=0.9, home=0.9)) for seed in range(6)]
    open_ones = [verdict for verdict in short if verdict.verdict == TOO_LITTLE]

    assert {MOVED, TOO_LITTLE} >= {verdict.verdict for verdict in short}
    assert len(open_ones) >= 4
    for verdict in open_ones:
        assert verdict.needed_s is not None and 15 < verdict.needed_s < 600
        assert "of the same traffic would" in verdict.words
    for seed in range(6):
        assert MOVED == judged(sent(seed, pairs=60, each=40, times=0.9, home=0.9)).verdict


def test_the_ledgers_route_is_found_by_its_shape() -> None:
    """
    A load file's names of parameters are its own; what the quote is about keeps the recording's.
    """
    recorded = "GET /customers/{customer_id}/orders"
    verdict = judged(sent(1, times=0.5), quote_of(route=recorded), recorded)

    assert (recorded, MOVED) == (verdict.route, verdict.verdict)
    assert verdict.predicted is not None


def test_another_route_that_becomes_the_worst_makes_it_worse() -> None:
    """
    The promised route got faster, and another got so slow that the goal's number rose: told, and worse.
    """
    route = "GET /customers/{customer}/orders"
    slower = judged(sent(1, times=0.5, home=1.3), quote_of(route=route))
    harmless = judged(sent(1, times=0.5, home=1.3), quote_of(route=route, percentile=95), None)

    assert WORSE == slower.verdict == harmless.verdict
    assert slower.words.startswith(f"Worse: {HOME} got slower: ")
    beside = judged(sent(1, times=4.0, home=1.3), quote_of(route=HOME))
    assert beside.side_effects[0].startswith(f"{route} got slower: ")


def test_failing_more_is_worse_however_fast() -> None:
    verdict = judged(sent(1, times=0.1, home=0.1, failing=200))

    assert WORSE == verdict.verdict
    assert verdict.words.startswith("Worse: 4 % of the requests fail")
    assert verdict.side_effects[-1].startswith("errors: 0 % → ")
