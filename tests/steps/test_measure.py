"""
Every second of a request stands on exactly one seam, whatever the segments look like.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.adapters.recordings import ParquetRecording
from rung.errors import RecordingEmpty
from rung.steps.measure import CPU, OTHER, Part, Profile, measure
from tests.strategies import FAST, SLOW, Row, Segment, answered, keep_recording, profile, rows


def measured(folder: Path, recorded: list[Row]) -> Profile:
    keep_recording(folder, recorded)
    kept = ParquetRecording(folder)
    result: Profile = answered(measure(), lambda question: getattr(kept, question.verb)(question))
    return result


def own(made: Profile) -> dict[str, float]:
    return {
        part.name or part.seam: round(float(made.seconds_on(part).sum()), 6) for part in made.parts
    }  # names in these tests are unique


@given(recorded=rows())
def test_the_sum_closes_for_any_rows(recorded: list[Row]) -> None:
    """
    Queue, cpu, other and the own time of the segments add up to the latency, which is queue plus duration.
    """
    made = profile(recorded)
    requests = made.requests
    own_s = np.bincount(made.segments.request, weights=made.segments.own_s, minlength=len(requests))

    np.testing.assert_allclose(requests.latency_s, requests.queue_s + requests.cpu_s + requests.other_s + own_s)
    in_order = sorted(recorded, key=lambda row: row.due_s + row.queue_s)
    np.testing.assert_allclose([row.queue_s + row.duration_s for row in in_order], requests.latency_s, atol=1e-5)
    assert (requests.other_s >= 0).all() and (made.segments.own_s >= 0).all()


@given(recorded=rows())
def test_the_parts_of_a_profile_hold_the_whole_latency(recorded: list[Row]) -> None:
    """
    Asked part by part, a Profile gives away each second once.
    """
    made = profile(recorded)
    parts = [*made.parts, Part("queue", ""), Part("cpu", "app"), Part("other", "")]

    np.testing.assert_allclose(made.requests.latency_s, sum(made.seconds_on(part) for part in parts))


@st.composite
def concurrent(draw: Callable[[Any], Any]) -> Row:
    """
    A request as an async app has them: tasks that wait at once, computing with a name in threads beside them, waits for
    the event loop that begin inside of others, and a clock that sums the computing of all tasks and threads.
    """
    duration_s = draw(st.floats(0.01, 5.0))
    parts: list[Segment] = []
    for seam in draw(st.lists(st.sampled_from(["task", "thread"]), min_size=1, max_size=4)):
        now_s = draw(st.floats(0.0, 0.5)) * duration_s
        for _ in range(draw(st.integers(1, 4))):
            taken_s = draw(st.floats(0.0, 0.5)) * duration_s
            outer = len(parts)
            if seam == "thread":
                parts.append(Segment("threads", now_s, taken_s * 0.1))
                now_s += taken_s * 0.1
                parts.append(Segment("cpu", now_s, taken_s, draw(st.sampled_from(["render", "serialise"]))))
                parts.append(Segment("query", now_s, taken_s * 0.5, FAST, parent=outer + 1))
                parts.append(Segment("cpu", now_s, taken_s * 0.1, "gc", parent=outer + 1))
            else:
                parts.append(Segment(draw(st.sampled_from(["query", "external", "pool"])), now_s, taken_s, SLOW))
                parts.append(Segment("loop", now_s + taken_s * 0.7, taken_s * 0.4, "/report"))
            now_s += taken_s
    return Row(0.0, duration_s, tuple(parts), cpu_s=draw(st.floats(0.0, 3.0)) * duration_s)


@given(row=concurrent())
def test_the_parts_of_a_concurrent_request_add_up_to_its_duration(row: Row) -> None:
    """
    Within 1 %, whatever ran at once; and nothing is on more seconds than the request had.
    """
    made = profile([row])
    parts = [*made.parts, *{Part("queue", ""), CPU, OTHER} - set(made.parts)]
    spent_s = [float(made.seconds_on(part).sum()) for part in parts]

    assert sum(spent_s) == pytest.approx(row.duration_s, rel=0.01)
    assert all(-1e-9 <= seconds_s <= row.duration_s * 1.01 for seconds_s in spent_s)


def test_a_connect_inside_a_pool_wait_counts_once() -> None:
    """
    Opening a connection while waiting for the pool is taken out of the wait.
    """
    made = profile([Row(0, 1.0, (Segment("pool", 0.0, 0.5), Segment("connect", 0.1, 0.3, parent=0)))])

    assert {"pool": 0.2, "connect": 0.3} == own(made)
    assert [0.5] == made.requests.other_s.tolist()


def test_two_queries_at_once_count_each_instant_once() -> None:
    """
    Where two queries of one request overlap, each instant goes to the one that began last.
    """
    made = profile([Row(0, 1.0, (Segment("query", 0.0, 0.6, SLOW), Segment("query", 0.4, 0.4, FAST)))])

    assert {SLOW: 0.4, FAST: 0.4} == own(made)


def test_queries_at_once_inside_a_wait_count_each_instant_once() -> None:
    """
    Children that overlap do not take more out of their parent than they cover.
    """
    parts = (Segment("pool", 0.0, 1.0), Segment("connect", 0.0, 0.4, "a", 0), Segment("connect", 0.0, 0.4, "b", 0))
    made = profile([Row(0, 1.0, parts)])

    assert 0.6 == own(made)["pool"]
    assert pytest.approx(0.4) == own(made)["a"] + own(made)["b"]


def test_a_parent_that_was_not_kept_is_no_parent() -> None:
    """
    A segment whose parent is missing stands by itself.
    """
    made = profile([Row(0, 1.0, (Segment("query", 0.2, 0.3, SLOW, parent=77),))])

    assert {SLOW: 0.3} == own(made)


def test_summed_calls_keep_their_time_beside_each_other() -> None:
    """
    Two sums of many calls, each told from its first call on, both keep the time that they stand for.
    """
    parts = (Segment("query", 0.0, 0.5, SLOW, calls=500), Segment("query", 0.001, 0.4, FAST, calls=500))
    made = profile([Row(0, 1.0, parts)])

    assert {SLOW: 0.5, FAST: 0.4} == own(made)
    assert [1.0] == made.requests.latency_s.tolist()


def test_summed_calls_never_exceed_their_request() -> None:
    """
    Sums that ran at once are cut in proportion to what the request has left.
    """
    parts = (Segment("query", 0.0, 1.5, SLOW, calls=500), Segment("query", 0.0, 0.5, FAST, calls=500))
    made = profile([Row(0, 1.0, parts)])

    assert {SLOW: 0.75, FAST: 0.25} == own(made)
    assert [1.0] == made.requests.latency_s.tolist()


def test_what_runs_after_the_request_is_not_waited_for() -> None:
    """
    A segment is cut where its request ends.
    """
    made = profile([Row(0, 1.0, (Segment("external", 0.8, 3.0, "mail"),))])

    assert {"mail": 0.2} == own(made)
    assert [1.0] == made.requests.latency_s.tolist()


def test_cpu_is_what_the_clock_saw_of_the_rest() -> None:
    """
    CPU time never exceeds what no segment covers, and what it leaves is other.
    """
    made = profile([Row(0, 1.0, (Segment("query", 0, 0.7, SLOW),), cpu_s=0.1), Row(1, 1.0, cpu_s=9.0)])

    assert [0.1, 1.0] == made.requests.cpu_s.tolist()
    assert pytest.approx([0.2, 0.0]) == made.requests.other_s.tolist()


def test_a_segment_on_a_seam_that_is_worked_out_keeps_its_own_name() -> None:
    """
    Garbage collected is a part beside the app's own computing, and neither holds the other's seconds.
    """
    made = profile([Row(0.0, 1.0, (Segment("cpu", 0.0, 0.25, "gc"),), cpu_s=0.5)])

    assert [0.25] == made.seconds_on(Part("cpu", "gc"))
    assert [0.5] == made.seconds_on(CPU)
    assert [0.25] == made.seconds_on(OTHER)


def test_health_checks_are_no_traffic(tmp_path: Path) -> None:
    """
    Requests of health checks are left out with their segments, and the others keep theirs.
    """
    recorded = [
        Row(0.0, 1.0, (Segment("query", 0, 0.5, FAST),), "GET /healthz"),
        Row(1.0, 2.0, (Segment("query", 0, 1.5, SLOW, rows=3, code="a.py:1"),), "GET /orders", queue_s=0.25),
        Row(2.0, 1.0, (), "GET /Health/"),
    ]
    made = measured(tmp_path / "kept", recorded)

    assert ("GET /orders",) == made.routes
    assert {SLOW: 1.5} == own(made)
    assert pytest.approx([2.25]) == made.requests.latency_s.tolist()
    assert (("a.py:1",), [3]) == (made.codes, made.segments.rows.tolist())
    assert "read" == made.texts[SLOW].kind


def test_a_recording_without_requests_is_refused(tmp_path: Path) -> None:
    """
    Nothing but health checks is nothing, and the error says how many processes reported.
    """
    with pytest.raises(RecordingEmpty) as raised:
        measured(tmp_path / "kept", [Row(0.0, 1.0, (), "GET /healthz")])

    assert 1 == raised.value.processes


def test_a_wait_and_the_connect_in_it_may_begin_at_one_moment(tmp_path: Path) -> None:
    """
    Parent and child of equal begin and length go to the child, in whatever order the files have them.
    """
    parts = (Segment("pool", 0.0, 0.5), Segment("connect", 0.0, 0.5, parent=0), Segment("query", 0.4, 0.4, SLOW))
    made = measured(tmp_path / "kept", [Row(float(number), 1.0, parts) for number in range(50)])

    assert {"pool": 0.0, "connect": 20.0, SLOW: 20.0} == own(made)


def test_equal_rows_give_equal_digests() -> None:
    """
    The digest of a Profile changes with a latency and with nothing else.
    """
    rows_of = lambda taken_s: profile([Row(0, taken_s), Row(1, 1.0)])  # noqa: E731

    assert rows_of(1.0).digest() == rows_of(1.0).digest() != rows_of(1.1).digest()
