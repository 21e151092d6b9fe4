"""
What is kept above the budget: windows that every process opens at once, exemplars, and counts of all the rest.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest

from rung.probe import core, keeping, reads, windows
from rung.probe.sketch import ACCURACY
from tests.probe import rows
from tests.probe.playing import recording

MINUTE_S = 1_800_000_000.0  # a whole minute


@pytest.fixture(autouse=True)
def _recording() -> Iterator[None]:
    with recording():
        yield


def finish(*requests: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Finish *requests* and return those that are kept."""
    core.state.finished.clear()
    for row in requests:
        core._hand_over(row, core.Request("GET"))
    return list(core.state.finished)


def at(second: float, duration_s: float = 0.01, **more: Any) -> tuple[Any, ...]:
    return rows.request(arrived_s=MINUTE_S + second, duration_s=duration_s, **more)


def closing(level: int) -> keeping.Keeper:
    keeper = keeping.Keeper()
    core.state.level, core.state.keep_whole = level, keeper.whole
    return keeper


def test_below_the_budget_everything_is_kept() -> None:
    keeper = keeping.Keeper()
    keeper.requests, keeper.segments = 10, 50
    keeper.second()
    assert (0, None) == (core.state.level, core.state.keep_whole)
    assert 60 == len(finish(*[at(second) for second in range(60)]))


def test_a_window_keeps_what_overlaps_it_and_counts_the_rest() -> None:
    keeper = closing(2)
    kept = finish(at(3), at(14.9, 5.0), at(15.1), at(40), at(59.95, 0.2, status=404))
    assert [3, 14.9, 59.95] == [pytest.approx(row[core.ARRIVED] - MINUTE_S) for row in kept]
    assert not any(row[core.EXEMPLAR] for row in kept)
    ((from_s, route, method, status, requests, duration_s, cpu_s, bins),) = keeper.totals()
    assert (MINUTE_S, "/", "GET", 200, 2) == (from_s, route, method, status, requests)
    assert (pytest.approx(0.02), pytest.approx(0.2)) == (duration_s, cpu_s)
    assert 2 == sum(count for _, count in bins)
    assert [] == keeper.totals()


def test_the_slow_and_the_failed_outside_are_exemplars_and_counted() -> None:
    keeper = closing(3)
    kept = finish(at(30, status=500), at(31, 2.0), at(32, status=503), at(33))
    assert [(500, True), (200, True)] == [(row[core.STATUS], row[core.EXEMPLAR]) for row in kept]
    assert 4 == sum(total[4] for total in keeper.totals())
    keeper.second()
    core.state.level, core.state.keep_whole = 3, keeper.whole
    assert 1 == len(finish(at(34, status=500)))


def test_nested_windows_of_different_levels() -> None:
    for low, high in itertools.combinations(range(windows.LEVEL_MAX + 1), 2):
        open_high = {second for second in range(60) if windows.open_at(MINUTE_S + second, high)}
        assert open_high <= {second for second in range(60) if windows.open_at(MINUTE_S + second, low)}


def test_a_busy_process_closes_its_windows_and_opens_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count(100.0)
    monkeypatch.setattr(keeping, "monotonic", lambda: next(now))
    monkeypatch.setenv("RUNG_BUDGET", "1000")
    keeper = keeping.Keeper()
    for requests, level in ((900, 0), (3_900, 2), (1_500, 1), (700, 0)):
        keeper.requests = requests
        keeper.second()
        assert level == core.state.level
    assert core.state.keep_whole is None


def test_digests_thin_out_with_their_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count(100.0)
    monkeypatch.setattr(keeping, "monotonic", lambda: next(now))
    keeper = keeping.Keeper()
    for depth in (1, 2, 3):
        keeper.reads = keeping.READS_PER_S_MAX + 1
        keeper.second()
        assert depth == core.state.depth
    keeper.second()
    assert 3 == core.state.depth < reads.DEPTH_MAX


def test_percentiles_of_what_was_only_counted_are_within_the_promise() -> None:
    keeper = closing(6)
    draw = random.Random(7)
    durations_s = sorted(draw.lognormvariate(-4, 1) for _ in range(4_000))
    finish(*[at(30, duration_s) for duration_s in draw.sample(durations_s, len(durations_s))])
    (total,) = keeper.totals()
    for percent in (50, 95, 99):
        exact_s = durations_s[-(-len(durations_s) * percent // 100) - 1]
        told = [seconds for seconds, count in total[7] for _ in range(count)]
        assert told[-(-len(told) * percent // 100) - 1] == pytest.approx(exact_s, rel=1.01 * ACCURACY)


def test_more_routes_than_there_is_room_for_are_counted_together() -> None:
    keeper = closing(6)
    finish(*[at(30, route=f"/{number}") for number in range(keeping.TOTALS_MAX + 50)])
    totals = keeper.totals()
    assert keeping.TOTALS_MAX + 1 == len(totals)
    assert keeping.TOTALS_MAX + 50 == sum(total[4] for total in totals)
