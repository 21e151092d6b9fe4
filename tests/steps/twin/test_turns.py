"""
What a request waited for its turn is told by what others computed meanwhile, also where no segment says so.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rung.steps.measure import Profile
from rung.steps.measure.beside import Beside
from rung.steps.twin.estate import estate_of
from rung.steps.twin.pieces import pieces_of
from rung.steps.twin.recover import recover
from rung.steps.twin.service import service_of
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import Topology
from rung.steps.twin.turns import turns_of
from rung.steps.twin.workload import Workload
from tests.strategies import FAST, HOME, ORDERS, Row, Segment, profile

QUICK_S = 0.001


def query(start_s: float, duration_s: float = QUICK_S) -> Segment:
    return Segment("query", start_s, duration_s, FAST)


def test_a_gap_in_which_others_computed_was_waiting() -> None:
    """
    One request computes for 60 ms; another, that has its answer from the database, can go on only then.
    """
    hot = Row(0.0, 0.061, (query(0.0),), ORDERS, cpu_s=0.06)
    held = Row(0.0, 0.064, (query(0.0), query(0.062)), HOME, cpu_s=0.002)
    made = profile([hot, held])
    turns = turns_of(made, pieces_of(made))
    waits = made.segments.request == 1

    assert turns.other_s[waits].sum() + turns.last_other_s[1] < 0.003
    assert turns.computing_s[waits].sum() + turns.last_computing_s[1] == pytest.approx(0.002, abs=1e-4)
    assert turns.last_computing_s[0] == pytest.approx(0.06)


def test_what_nobody_computed_in_stays_unexplained() -> None:
    """
    Alone in its process, a request that did nothing for 50 ms did something that no instrument knows.
    """
    made = profile([Row(0.0, 0.054, (query(0.0), query(0.051)), HOME, cpu_s=0.002)])
    turns = turns_of(made, pieces_of(made))

    assert turns.other_s.sum() + turns.last_other_s.sum() == pytest.approx(0.05, rel=0.01)


def test_computing_is_in_the_gap_that_others_left() -> None:
    """
    Two gaps of one length, the first of them taken by another: what the request computed, it did in the second.
    """
    other = Row(0.0, 0.05, (), ORDERS, cpu_s=0.05)
    ours = Row(0.0, 0.101, (query(0.05),), HOME, cpu_s=0.04)
    made = profile([other, ours])
    turns = turns_of(made, pieces_of(made))
    place = int(np.flatnonzero(made.segments.request == 1)[0])

    assert turns.computing_s[place] < 0.004
    assert turns.last_computing_s[1] > 0.036


def test_a_query_whose_answer_nobody_took_is_as_long_as_those_that_were_alone() -> None:
    """
    Twenty are alone and take a millisecond; one seems to take 40 while its process computes for another request.
    """
    alone = [Row(1.0 + number, 0.001, (query(0.0),), HOME) for number in range(20)]
    hot = Row(30.0, 0.04, (), ORDERS, cpu_s=0.04)
    late = Row(30.0, 0.04, (query(0.0, 0.04),), HOME)
    made = profile([*alone, hot, late])
    own_s = turns_of(made, pieces_of(made)).own_s

    assert own_s == pytest.approx([0.001] * 21, rel=0.05)


def test_a_query_that_is_slow_by_itself_stays_so() -> None:
    """
    The database works while the app computes: what others computed meanwhile is not taken off a slow statement.
    """
    slow = [Row(number * 1.0, 0.4, (query(0.0, 0.4),), HOME) for number in range(20)]
    met = [Row(100.0, 0.4, (query(0.0, 0.4),), HOME), Row(100.1, 0.1, (), ORDERS, cpu_s=0.1)]
    made = profile([*slow, *met])

    assert turns_of(made, pieces_of(made)).own_s == pytest.approx([0.4] * 21)


def test_another_process_is_in_nobodys_way() -> None:
    hot = Row(0.0, 0.06, (), ORDERS, cpu_s=0.06, process="h/i/1")
    held = Row(0.0, 0.062, (query(0.0), query(0.061)), HOME, process="h/i/2")
    made = profile([hot, held])
    turns = turns_of(made, pieces_of(made))

    assert turns.other_s.sum() == pytest.approx(0.06, rel=0.05)


def test_what_a_process_computes_unseen_goes_with_its_statements() -> None:
    """
    A request of thirty statements has more of the drivers' work in it than one of none: six times what a server does
    for any request, and that.
    """
    many = Row(0.0, 0.2, tuple(query(number * 0.005) for number in range(30)), ORDERS)
    made = replace(profile([many, Row(1.0, 0.01, (), HOME)]), beside=Beside(workers={("h", 1): 0.8}))
    service, _ = service_of(made, pieces_of(made), estate_of(made))

    assert service.unseen_s == pytest.approx([0.7, 0.1])


def test_a_queue_before_a_full_app_is_no_way_to_it() -> None:
    """
    One worker, always busy: what was waited before it is made anew by the simulation, and only what the worker takes
    from one request to the next is kept.
    """
    took_s, turn_s = 0.02, 0.004
    began_s = np.arange(60) * (took_s + turn_s)
    due_s = np.arange(60) * 0.015
    rows = [
        Row(due, took_s, (), HOME, queue_s=began - due + 0.001)
        for due, began in zip(due_s.tolist(), began_s.tolist(), strict=True)
    ]
    made = profile(rows, libraries=(("django", "5.2"),))
    service, _ = service_of(made, pieces_of(made), estate_of(made))
    outcome = simulate(*as_recovered(made))

    assert service.network_s.max() <= 0.0011
    assert service.turn_s == pytest.approx([turn_s])
    assert outcome.latency_s == pytest.approx(made.requests.latency_s, rel=0.1)


def as_recovered(made: Profile) -> tuple[Workload, Topology]:
    recovered = recover(made)
    return recovered.workload, recovered.topology
