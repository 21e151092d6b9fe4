"""
An edit changes the chosen steps and nothing else, and leaves every request in one piece.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.steps.measure import CPU, QUEUE, Part
from rung.steps.twin import edit
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import UNLIMITED, Host, Topology, Worker
from rung.steps.twin.workload import Op, Step, Workload, workload

QUERY, MAIL, LOCK, POOL = Part("query", "5105"), Part("external", "mail"), Part("lock", ""), Part("pool", "")
PARTS = (CPU, QUERY, MAIL, LOCK)
ONE = Topology((Host("h", 1.0), Host("db", 1.0)), (Worker(0, pool=1),), (1,))


def written(*steps: list[Step], due_s: list[float] | None = None) -> Workload:
    return workload(
        routes=["GET /", "GET /home"],
        parts=PARTS,
        route=[number % 2 for number in range(len(steps))],
        worker=[0] * len(steps),
        due_s=due_s or [float(number) for number in range(len(steps))],
        steps=steps,
    )


def told(edited: Workload) -> list[list[tuple[str, int, float]]]:
    """
    Each request's steps: what is asked for, on which part, for how long.
    """
    steps = [
        (Op(op).name, part, service_s)
        for op, part, service_s in zip(edited.op.tolist(), edited.part.tolist(), edited.service_s.tolist(), strict=True)
    ]
    return [steps[begin:end] for begin, end in zip(edited.first[:-1], edited.first[1:], strict=True)]


TAKE, GIVE = (Op.TAKE, 1, 0.0, 0), (Op.GIVE, 1, 0.0, 0)
COMPUTE, EXECUTE = (Op.COMPUTE, 0, 0.01, 0), (Op.EXECUTE, 1, 0.2, 0)
SEND, ANSWER = (Op.DELAY, 2, 0.5, 0), (Op.ANSWER, 0, 0.0, 0)
BOTH = written([COMPUTE, TAKE, EXECUTE, GIVE, SEND], [EXECUTE, SEND, COMPUTE, ANSWER, SEND])


def test_scaled_and_replaced_change_only_what_was_chosen() -> None:
    chosen = edit.spent_on(BOTH, QUERY)

    assert [0.1, 0.1] == edit.scaled(BOTH, chosen, 0.5).service_s[chosen].tolist()
    assert [0.3, 0.4] == edit.replaced(BOTH, chosen, np.array([0.3, 0.4])).service_s[chosen].tolist()
    for edited in (edit.scaled(BOTH, chosen, 0.5), edit.replaced(BOTH, chosen, 0.0)):
        assert (edited.service_s[~chosen] == BOTH.service_s[~chosen]).all()
        assert edited.first is BOTH.first
    assert BOTH.service_s[chosen].tolist() == [0.2, 0.2], "the one that was given stays as it was"


def test_dropped_steps_are_gone_and_the_others_keep_their_request() -> None:
    edited = edit.dropped(BOTH, edit.spent_on(BOTH, QUERY) | edit.on_route(BOTH, "GET /"))

    assert [[], [("DELAY", 2, 0.5), ("COMPUTE", 0, 0.01), ("ANSWER", 0, 0.0), ("DELAY", 2, 0.5)]] == told(edited)


def test_an_answer_is_added_where_there_was_none() -> None:
    edited = edit.moved_after_answer(BOTH, edit.spent_on(BOTH, MAIL) & edit.before_answer(BOTH))

    ops = [[op for op, _, _ in steps] for steps in told(edited)]
    assert ["COMPUTE", "TAKE", "EXECUTE", "GIVE", "ANSWER", "DELAY"] == ops[0]
    assert ["EXECUTE", "COMPUTE", "ANSWER", "DELAY", "DELAY"] == ops[1]
    outcome = simulate(edited, ONE)
    assert [0.21, 0.21] == pytest.approx(outcome.latency_s.tolist())


def test_requests_of_which_nothing_moves_get_no_answer() -> None:
    assert told(BOTH) == told(edit.moved_after_answer(BOTH, np.zeros(len(BOTH.op), dtype=np.bool_)))


def test_a_step_may_leave_the_strand_of_a_fork() -> None:
    """
    Mail sent beside a statement: the other strand alone is waited for then.
    """
    join = (Op.JOIN, 0, 0.0, 0)
    beside = written([(Op.FORK, 0, 0.0, 2), EXECUTE, join, SEND, join, COMPUTE])

    assert [0.51] == pytest.approx(simulate(beside, ONE).latency_s.tolist())
    moved = edit.moved_after_answer(beside, edit.spent_on(beside, MAIL))
    assert [0.21] == pytest.approx(simulate(moved, ONE).latency_s.tolist())
    assert [("ANSWER", 0, 0.0), ("DELAY", 2, 0.5)] == told(moved)[0][-2:]


def test_a_part_that_costs_nothing_leaves_the_rest() -> None:
    """
    By hand: 0.01 of computing and 0.2 of the database; the mail, after the answer or before it, takes nothing.
    """
    edited, topology = edit.without(BOTH, ONE, MAIL)

    assert [0.21, 0.21] == pytest.approx(simulate(edited, topology).latency_s.tolist())
    assert len(edited.op) == len(BOTH.op)


@pytest.mark.parametrize(("calls", "left_s"), [(3, 0.01 + 3 * 0.04), (5, 0.01 + 0.02)])
def test_what_goes_with_many_executions_costs_nothing_without_them(calls: int, left_s: float) -> None:
    """
    By hand: an ORM's 0.03 and the commit's 0.01 after each of five go with them, but for those after the last, whose
    computing may be for anything; three are rather three questions, and only their own 0.2 go.
    """
    commit = (Op.DELAY, 3, 0.01, 0)
    after = 0.03 if calls < edit.REPEATS_MIN else 0.01
    asked = [step for _ in range(calls) for step in (EXECUTE, (Op.COMPUTE, 0, after, 0), commit)]
    traffic = workload(
        routes=("GET /",), parts=(CPU, QUERY, MAIL, Part("commit", "commit")), route=[0], worker=[0], due_s=[0.0],
        steps=[[COMPUTE, *asked]],
    )  # fmt: skip
    edited, topology = edit.without(traffic, ONE, QUERY)

    assert [left_s] == pytest.approx(simulate(edited, topology).latency_s.tolist())


@pytest.mark.parametrize(("seam", "size"), [("pool", "pool"), ("threads", "threads")])
def test_what_is_waited_for_is_without_end(seam: str, size: str) -> None:
    topology = Topology((Host("h", 1.0),), (Worker(0, pool=2, threads=3), Worker(0, pool=4, threads=5)))

    same, free = edit.without(BOTH, topology, Part(seam, ""))

    assert same is BOTH
    assert {UNLIMITED} == {getattr(worker, size) for worker in free.workers}
    other = "threads" if size == "pool" else "pool"
    assert [getattr(worker, other) for worker in topology.workers] == [getattr(w, other) for w in free.workers]


@pytest.mark.parametrize("part", [Part("loop", "GET /"), QUEUE])
def test_nobody_waits_for_a_process_where_there_are_many(part: Part) -> None:
    _, free = edit.without(BOTH, ONE, part)

    assert len(free.workers) == edit.PROCESSES_MANY
    assert free.spread


def test_a_pool_of_one_makes_the_second_wait_and_none_without_it() -> None:
    """
    By hand: two at once, one connection, 1 s each held elsewhere: the second has waited for 1 s.
    """
    held = [TAKE, (Op.DELAY, 1, 1.0, 0), GIVE]
    two = written(held, held, due_s=[0.0, 0.0])

    assert [1.0, 2.0] == pytest.approx(simulate(two, ONE).latency_s.tolist())
    assert [1.0, 1.0] == pytest.approx(simulate(*edit.without(two, ONE, POOL)).latency_s.tolist())


def test_a_lock_that_costs_nothing_is_not_taken() -> None:
    """
    Its UNLOCK goes with it, whatever that is told to be spent on; another lock stays.
    """
    locked = [(Op.LOCK, 3, 0.0, 7), (Op.DELAY, 1, 1.0, 0), (Op.UNLOCK, 1, 0.0, 7)]
    other = [(Op.LOCK, 1, 0.0, 8), (Op.UNLOCK, 1, 0.0, 8)]
    three = written(locked, locked, other, due_s=[0.0, 0.0, 5.0])

    edited, _ = edit.without(three, ONE, LOCK)

    assert [1.0, 2.0, 0.0] == pytest.approx(simulate(three, ONE).latency_s.tolist())
    assert [1.0, 1.0, 0.0] == pytest.approx(simulate(edited, ONE).latency_s.tolist())
    assert [8, 8] == edited.which[np.isin(edited.op, (Op.LOCK, Op.UNLOCK))].tolist()


def test_steps_can_be_added_last() -> None:
    edited = edit.with_last(BOTH, np.array([1]), op=Op.EXECUTE, part=1, service_s=0.3)

    assert [*told(BOTH)[1], ("EXECUTE", 1, 0.3)] == told(edited)[1]
    assert told(BOTH)[0] == told(edited)[0]


spent = st.tuples(st.sampled_from([Op.COMPUTE, Op.DELAY, Op.EXECUTE]), st.integers(0, 2), st.floats(0, 1), st.just(0))


@given(st.lists(st.lists(spent, max_size=6), min_size=1, max_size=8), st.data())
def test_edits_agree_with_the_same_done_by_hand(steps: list[list[Step]], data: st.DataObject) -> None:
    """
    Request by request on lists, whatever was chosen.
    """
    begun = written(*steps)
    marks = data.draw(st.lists(st.booleans(), min_size=len(begun.op), max_size=len(begun.op)))
    chosen = np.array(marks, dtype=np.bool_)
    picked = [marks[begin:end] for begin, end in zip(begun.first[:-1], begun.first[1:], strict=True)]
    kept, moved = [], []
    for request, mine in zip(told(begun), picked, strict=True):
        staying = [step for step, goes in zip(request, mine, strict=True) if not goes]
        going = [step for step, goes in zip(request, mine, strict=True) if goes]
        kept.append(staying)
        moved.append(staying + ([("ANSWER", 0, 0.0)] if going else []) + going)

    assert kept == told(edit.dropped(begun, chosen))
    assert moved == told(edit.moved_after_answer(begun, chosen))
