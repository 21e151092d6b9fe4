"""
A call during which nothing else happens in its process holds the event loop; one beside which others go on does not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rung.steps.measure import CPU, Part, Profile
from rung.steps.twin.blocking import holding_loop
from rung.steps.twin.estate import estate_of
from rung.steps.twin.pieces import pieces_of
from rung.steps.twin.recover import recover
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import Host, Topology, Worker
from rung.steps.twin.workload import Op, workload
from tests.strategies import HOME, ORDERS, Row, Segment, profile

CALL_S = 0.03
TOPOLOGY = Topology((Host("h", 1.0),), (Worker(0),))


def calling(*, blocking: bool) -> Profile:
    """
    Requests to one process, half of which call outside; where that blocks, the others come before or after.
    """
    generator = np.random.Generator(np.random.PCG64(3))
    due_s = np.sort(generator.uniform(0.0, 30.0, 1200))
    rows, free_s = [], 0.0
    for number, due in enumerate(due_s.tolist()):
        calls = number % 2 == 0
        begin_s = max(due, free_s) if blocking else due
        took_s = (CALL_S if calls else 0.0) + 0.001
        free_s = begin_s + took_s if blocking else free_s
        segments = (Segment("external", 0.0005, CALL_S, "http", code="a.py:1"),) if calls else ()
        rows.append(Row(due, took_s, segments, ORDERS if calls else HOME, queue_s=max(begin_s - due, 0.0), cpu_s=0.001))
    return profile(rows, libraries=(("fastapi", "1"),))


def test_a_call_that_nothing_happens_beside_holds_the_loop() -> None:
    made = calling(blocking=True)

    assert holding_loop(made, pieces_of(made)).all()


def test_a_call_beside_which_others_go_on_holds_nobody_up() -> None:
    made = calling(blocking=False)

    assert not holding_loop(made, pieces_of(made)).any()


def test_calls_that_nobody_came_during_hold_nobody_up() -> None:
    """
    One user, who asks again when she is answered: nothing happens beside her calls, blocking or not.
    """
    rows = [Row(number * 0.1, 0.031, (Segment("external", 0.0, CALL_S, "http"),), HOME) for number in range(300)]
    made = profile(rows)

    assert not holding_loop(made, pieces_of(made)).any()


def test_few_calls_tell_nothing() -> None:
    made = profile([Row(number * 5.0, 0.031, (Segment("external", 0.0, CALL_S, "http"),), HOME) for number in range(5)])

    assert not holding_loop(made, pieces_of(made)).any()


def test_a_blocking_call_is_held_for_by_all_and_computes_nothing() -> None:
    """
    Half of a core is left to the app: computing takes twice as long, and holding does not.
    """
    steps = [[(Op.HOLD, 1, 0.1, 0)], [(Op.COMPUTE, 0, 0.1, 0)], [(Op.HOLD, 1, 0.1, 0)]]
    made = workload(
        routes=[HOME],
        parts=[CPU, Part("external", "http")],
        route=[0] * 3,
        worker=[0] * 3,
        due_s=[0.0, 0.01, 0.02],
        steps=steps,
    )
    outcome = simulate(made, replace(TOPOLOGY, hosts=(Host("h", 1.0, 0.5),), databases=(0,)))

    assert [0.1, 0.29, 0.38] == pytest.approx(outcome.latency_s.tolist())
    assert outcome.use("loop", "0").busy == pytest.approx(1.0)


def test_the_recording_of_a_blocking_app_is_reproduced() -> None:
    """
    The waiting of everybody else is made anew by the calls that held the loop.
    """
    made = calling(blocking=True)
    recovered = recover(made)
    outcome = simulate(recovered.workload, recovered.topology)

    assert not estate_of(made).threaded
    assert (recovered.workload.op == Op.HOLD).sum() == 600
    for percent in (50, 90):  # the tail differs: others may come between what a request computes and its call
        was_s = np.percentile(made.requests.latency_s, percent)
        assert outcome.percentile_s(percent) == pytest.approx(was_s, rel=0.1)
