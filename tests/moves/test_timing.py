"""
What is learnt from a recording: nothing without one, everything that it tells, and how sure that makes a prediction.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.moves.timing import SECONDS, Timed, Timing
from rung.moves.work import KINDS, PLACE, Work

CONSTANTS = np.array([SECONDS[kind] for kind in KINDS])


def work(doubt: float = 0.0, **amounts: float) -> Work:
    found = np.zeros(len(KINDS))
    for kind, amount in {"statement": 1.0, "node": 1.0, **amounts}.items():
        found[PLACE[kind]] = amount
    return Work(found, doubt)


STATEMENTS = [
    work(descent=1, fetched=1, page=2, returned=1),
    work(descent=1, fetched=20, page=21, returned=20),
    work(descent=21, fetched=40, page=60, passed=20, returned=20),
    work(scanned=20_000, swept=300, returned=50),
    work(descent=1, fetched=300, page=8, hashed=300, returned=1),
]
ASKED = work(descent=1, fetched=120, page=125, compared=500, returned=20)


def timed(factor: float, *, but: dict[str, float] | None = None) -> list[Timed]:
    seconds = CONSTANTS * factor
    for kind, more in (but or {}).items():
        seconds[PLACE[kind]] *= more
    return [Timed(each, float(each.amounts @ seconds)) for each in STATEMENTS]


def test_without_a_recording_the_constants_speak_and_admit_little() -> None:
    seconds = Timing(()).predict(ASKED)

    assert pytest.approx(float(ASKED.amounts @ CONSTANTS)) == seconds.middle
    assert seconds.high / seconds.low > 4


@given(factor=st.floats(0.2, 5.0))
def test_a_slower_server_is_slower_in_everything(factor: float) -> None:
    """
    Recorded statements that all take so many times as long: so does what is predicted, nearly.
    """
    timing = Timing(timed(factor))

    assert pytest.approx(math.log(factor), abs=0.1 * abs(math.log(factor)) + 1e-6) == math.log(timing.speed)
    assert pytest.approx(factor * float(ASKED.amounts @ CONSTANTS), rel=0.2) == timing.predict(ASKED).middle


def test_a_recording_makes_surer() -> None:
    none, some, more = (Timing(timed(2.0)[:count]).predict(ASKED) for count in (0, 2, 5))

    assert none.high / none.low > some.high / some.low > more.high / more.low


def test_what_differs_from_elsewhere_is_learnt_where_the_recording_tells_it() -> None:
    """
    Pages come from a disk: statements that visit many are slower, and so is a prediction with many pages.
    """
    warm, cold = Timing(timed(1.0)), Timing(timed(1.0, but={"page": 20.0}))

    assert cold.seconds[PLACE["page"]] > 3 * warm.seconds[PLACE["page"]]
    assert cold.predict(ASKED).middle > 2 * warm.predict(ASKED).middle


def test_one_odd_statement_does_not_carry_the_others() -> None:
    """
    A statement that took a hundred times as long (it waited for something) moves the rest by less than half.
    """
    odd = [*timed(1.0)[:-1], Timed(STATEMENTS[-1], 100 * timed(1.0)[-1].time_s)]

    assert Timing(odd).predict(ASKED).middle < 1.5 * Timing(timed(1.0)).predict(ASKED).middle


@given(
    amounts=st.lists(st.floats(0.0, 1e4), min_size=len(KINDS), max_size=len(KINDS)),
    more=st.lists(st.floats(0.0, 1e4), min_size=len(KINDS), max_size=len(KINDS)),
)
def test_more_work_never_takes_less(amounts: list[float], more: list[float]) -> None:
    timing = Timing(timed(1.7))
    less, most = (timing.predict(Work(np.array(each))) for each in (amounts, np.add(amounts, more)))

    assert less.middle <= most.middle + 1e-12
    assert 0.0 <= less.low <= less.middle <= less.high


def test_doubtful_rows_make_less_sure_and_teach_less() -> None:
    timing = Timing(timed(2.0))
    sure, doubtful = (timing.predict(Work(ASKED.amounts, doubt)) for doubt in (0.0, 1.0))
    odd = [Timed(Work(STATEMENTS[1].amounts, doubt), 10 * timed(1.0)[1].time_s) for doubt in (0.0, 1.0)]

    assert (sure.middle, True) == (doubtful.middle, doubtful.high / doubtful.low > 3 * sure.high / sure.low)
    assert Timing(odd[:1]).predict(ASKED).middle > Timing(odd[1:]).predict(ASKED).middle


def test_the_same_recording_gives_the_same_figure() -> None:
    assert Timing(timed(3.0)).predict(ASKED) == Timing(timed(3.0)).predict(ASKED)


def test_what_took_no_time_teaches_nothing() -> None:
    assert Timing([Timed(STATEMENTS[0], 0.0)]).predict(ASKED) == Timing(()).predict(ASKED)
