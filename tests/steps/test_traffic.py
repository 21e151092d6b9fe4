"""
All traffic is counted, whether a request was kept whole or not, and its percentiles are within 1 % of the exact ones.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.adapters.recordings import ParquetRecording
from rung.probe import sketch
from rung.steps.find import route_numbers
from rung.steps.find.notes import failed_share, kept_share, notes_on
from rung.steps.measure import Part, Profile, measure, percentile
from rung.steps.measure.traffic import NOTHING_COUNTED, Counted, traffic_of
from tests import tables
from tests.strategies import GOAL, HOME, ORDERS, SLOW, WHO, Row, Segment, answered, keep_recording, profile

# What bins promise, and the six digits that they are cut to.
WITHIN = sketch.ACCURACY + 1e-5

durations = st.lists(st.floats(1e-6, 1e4), max_size=60)


def binned(seconds: list[float], *, route: str = ORDERS, failed: bool = False) -> Counted:
    bins: dict[int, int] = {}
    for value_s in seconds:
        sketch.add(bins, value_s)
    rows = sketch.rows(bins)
    times = np.array([count for _, count in rows], dtype=np.int64)
    middles_s = np.array([middle_s for middle_s, _ in rows])
    return Counted((route,) * len(rows), middles_s, times, times if failed else times * 0)


@given(kept=durations, counted=durations, percent=st.integers(1, 99))
def test_a_percentile_of_all_is_within_one_percent(kept: list[float], counted: list[float], percent: int) -> None:
    """
    Whatever share of the requests was kept whole.
    """
    if not kept + counted:
        return
    route = np.zeros(len(kept), dtype=np.int64)
    (traffic,) = traffic_of([ORDERS], route, np.array(kept), route > 0, binned(counted))

    exact_s = percentile(np.array(kept + counted), percent)
    assert traffic.percentile_s(percent) == pytest.approx(exact_s, rel=WITHIN)
    assert (len(kept + counted), len(kept)) == (traffic.requests, traffic.kept)


@given(kept=st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=60), percent=st.integers(1, 99))
def test_a_percentile_is_exact_where_all_were_kept(kept: list[float], percent: int) -> None:
    route = np.zeros(len(kept), dtype=np.int64)
    (traffic,) = traffic_of([ORDERS], route, np.array(kept), route > 0, NOTHING_COUNTED)

    assert percentile(np.array(kept), percent) == traffic.percentile_s(percent)


def test_a_percentile_of_what_has_no_duration_is_nothing() -> None:
    """
    Durations of nothing have a bin of their own.
    """
    (traffic,) = traffic_of([], np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=bool), binned([0.0] * 5))

    assert [0.0, 0.0] == [traffic.percentile_s(50), traffic.percentile_s(99)]


def test_a_route_is_judged_by_how_often_it_is_asked_for_in_all_traffic() -> None:
    """
    In the windows it has one request of three; of all traffic it is less than 1 %, and it is not among 200 either.
    """
    made = profile([Row(n * 0.1, 0.1, route=ORDERS if n % 3 == 0 else HOME) for n in range(180)])
    assert [True, True] == [number.judged for number in route_numbers(made, GOAL)]

    busy = replace(made, counted=binned([0.001] * 20_000, route=HOME))
    judged = {number.route: number.judged for number in route_numbers(busy, GOAL)}
    assert {ORDERS: False, HOME: True} == judged


def test_a_route_that_no_window_met_is_named_and_not_judged() -> None:
    """
    Its percentile is that of what was counted.
    """
    made = replace(
        profile([Row(n * 0.1, 0.01, route=HOME) for n in range(100)]),
        counted=binned([2.0] * 300, route="GET /seldom", failed=True),
    )
    last = route_numbers(made, GOAL)[-1]

    assert ("GET /seldom", 0, False, 300) == (last.route, last.requests, last.judged, last.all_traffic.requests)
    assert last.at_percentile_s == pytest.approx(2.0, rel=WITHIN)
    assert (0.75, 0.25) == (failed_share(made), kept_share(made))
    told = " ".join(notes_on(made, GOAL, route_numbers(made, GOAL)))
    assert "GET /seldom (300)" in told
    assert "75 % of the requests failed" in told


def test_totals_are_read_by_route(tmp_path: Path) -> None:
    """
    Rows of many processes and minutes add up; jobs and health checks are no traffic, and what was too much to be told
    apart is one route.
    """
    totals = [
        total("/orders", [[0.5, 2], [1.0, 1]]),
        total("/orders", [[0.5, 3]], from_s=60.0, status=503),
        total("job:tidy", [[9.0, 7]], method=""),
        total("/healthz", [[9.0, 7]]),
        total("(unmatched)", [[0.25, 4]], method="", status=0),
    ]
    keep_recording(tmp_path / "kept", [Row(0.0, 1.0, route=ORDERS)], totals=totals)
    made = measured(tmp_path / "kept")

    assert ("(unmatched)", ORDERS, ORDERS) == made.counted.route
    assert [0.25, 0.5, 1.0] == made.counted.duration_s.tolist()
    assert [4, 5, 1] == made.counted.requests.tolist()
    assert [0, 3, 0] == made.counted.failed.tolist()
    assert [(ORDERS, 7, 1), ("(unmatched)", 4, 0)] == [
        (traffic.route, traffic.requests, traffic.kept) for traffic in made.traffic()
    ]


def test_what_only_reaches_into_a_window_is_counted_and_not_kept(tmp_path: Path) -> None:
    """
    Windows were open in the first 15 s of each minute: of what arrived later only the long ones were kept.
    """
    minute_s = 20.0  # what keep_recording begins with is 20 s before a minute

    def arriving(into_s: float, taken_s: float) -> Row:
        return Row(minute_s + into_s, taken_s, (Segment("query", 0.0, taken_s, SLOW),), ORDERS)

    within = [arriving(into_s, 0.5) for into_s in (0.1, 7.0, 14.0)] + [arriving(0.2, 70.0)]
    across = [arriving(59.5, 1.0), arriving(50.0, 30.0)]
    later = [arriving(60.5, 0.5)]
    keep_recording(tmp_path / "closed", within + across + later, totals=[total("/orders", [[0.5, 9]], from_s=1e9 + 20)])
    keep_recording(tmp_path / "open", within + across + later)

    made = measured(tmp_path / "closed")
    assert [0.5, 70.0, 0.5, 0.5, 0.5] == made.requests.latency_s.tolist()
    assert made.seconds_on(Part("query", SLOW)).tolist() == made.requests.latency_s.tolist()
    assert ([0.5, 1.0, 30.0], [9, 1, 1]) == (made.counted.duration_s.tolist(), made.counted.requests.tolist())
    assert 7 == len(measured(tmp_path / "open").requests)


def total(
    route: str, bins: list[list[float]], *, method: str = "GET", status: int = 200, from_s: float = 0.0
) -> tuple[object, ...]:
    who = dict(zip(("host", "instance", "worker"), WHO, strict=True))
    return tables.row(
        "totals", **who, from_s=from_s, route=route, method=method, status=status, requests=1, duration_s=1.0,
        cpu_s=1.0, bins=json.dumps(bins),
    )  # fmt: skip


def measured(folder: Path) -> Profile:
    recording = ParquetRecording(folder)
    made: Profile = answered(measure(), lambda question: getattr(recording, question.verb)(question))
    return made
