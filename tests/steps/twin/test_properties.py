"""
What the twin holds request by request, whatever the traffic.

More of a resource delays nobody, and less work delays nobody, at one resource that everybody visits once.  In a network
neither holds for each request, not even for the mean: who leaves the database sooner meets others at the event loop
(test_faster_cores_may_delay_somebody_elsewhere is such a case).  What holds everywhere is said of any workload.

In        small workloads, drawn or written out
Out       latencies, compared with other runs and with a resource worked out naively
Not here  means and formulas (test_oracles.py)
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.steps.measure import Floats
from rung.steps.twin.resources import SWITCH_S
from rung.steps.twin.topology import Host, Topology, Worker
from rung.steps.twin.workload import Op, Step, Workload
from tests.steps.twin.writing import (
    ANSWER,
    APP,
    ENTER,
    EXIT,
    GIVE,
    LOCK,
    POOL,
    QUERY,
    TAKE,
    UNLOCK,
    alike,
    compute,
    delay,
    execute,
    fork,
    helped,
    machines,
    ran,
    written,
)

quick = settings(max_examples=40, derandomize=True, deadline=None)

# Whole thousandths, so that ties are met as well.
SERVICES_S = st.integers(0, 40).map(lambda number: number / 1000)
GAPS_S = st.integers(0, 30).map(lambda number: number / 1000)

EARLIER = 1e-7  # what rounding may make of "not later"


@st.composite
def visits(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """
    Return when some requests arrive, and the one service that each wants.
    """
    drawn = draw(st.lists(st.tuples(GAPS_S, SERVICES_S), min_size=1, max_size=25))
    gaps_s, services_s = zip(*drawn, strict=True)
    return np.cumsum(gaps_s), np.array(services_s)


@st.composite
def steps(draw: st.DrawFn, *, forks: bool = True) -> list[Step]:
    """
    Return the steps of a request: whatever takes something gives it back, and nobody holds two things.
    """
    found: list[Step] = []
    for _ in range(draw(st.integers(0, 5))):
        step = draw(st.sampled_from([compute, execute, delay]))(draw(SERVICES_S))
        around = draw(st.sampled_from(["", "", "pool", "thread", "lock", *(["fork"] if forks else [])]))
        if around == "fork":
            found += fork(*draw(st.lists(steps(forks=False), min_size=0, max_size=3)))
        else:
            before, after = {"": ((), ()), "pool": ((TAKE,), (GIVE,)), "thread": ((ENTER,), (EXIT,))}.get(
                around, ((LOCK,), (UNLOCK,))
            )
            found += [*before, step, *after]
    return found


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    requests = draw(st.lists(st.tuples(GAPS_S, steps()), min_size=1, max_size=8))
    return written(np.cumsum([gap_s for gap_s, _ in requests]).tolist(), [each for _, each in requests])


TOPOLOGIES = st.builds(
    machines,
    cores=st.sampled_from([0.5, 1.0, 2.5]),
    workers=st.integers(1, 3),
    slots=st.sampled_from([0, 0, 1, 2]),
    pool=st.sampled_from([0, 1, 2]),
    threads=st.sampled_from([0, 1]),
    spread=st.booleans(),
)


def longest_s(steps: list[Step]) -> float:
    """
    Return the services on the longest way through *steps*.
    """
    total_s, place = 0.0, 0
    while place < len(steps):
        op, _, service_s, which = steps[place]
        place += 1
        total_s += service_s
        if op == Op.FORK:
            strands_s = [0.0]
            for _ in range(which):
                end = place + next(at for at, step in enumerate(steps[place:]) if step[0] == Op.JOIN)
                strands_s.append(longest_s(steps[place:end]))
                place = end + 1
            total_s += max(strands_s)
    return total_s


def services_s(workload: Workload) -> Floats:
    columns = (workload.op, workload.part, workload.service_s, workload.which)
    flat = list(zip(*(column.tolist() for column in columns), strict=True))
    first = workload.first.tolist()
    return np.array([longest_s(flat[begin:end]) for begin, end in pairwise(first)])


def shared_naively(due_s: Floats, service_s: Floats, cores: float) -> Floats:
    """
    Return the latencies of jobs that share cores, walking from one arrival or end to the next.
    """
    left = dict.fromkeys(range(len(due_s)), 0.0)
    left.update(enumerate(service_s.tolist()))
    ended_s, now_s = np.zeros(len(due_s)), 0.0
    while left:
        inside = [job for job in left if due_s[job] <= now_s]
        rate = min(1.0, cores / len(inside)) if inside else 0.0
        to_end_s = [left[job] / rate for job in inside]
        to_come_s = [float(due_s[job]) - now_s for job in left if due_s[job] > now_s]
        step_s = min(to_end_s + to_come_s)
        now_s = min((float(due_s[job]) for job in left if 0 < due_s[job] - now_s <= step_s), default=now_s + step_s)
        for job in inside:
            left[job] -= step_s * rate
            if left[job] <= 1e-12:
                ended_s[job] = now_s
                del left[job]
    return ended_s - due_s


# Anything


@quick
@given(workload=workloads(), topology=TOPOLOGIES, seed=st.integers(0, 3))
def test_the_same_seed_gives_the_same_outcome(workload: Workload, topology: Topology, seed: int) -> None:
    once, again = ran(workload, topology, seed=seed), ran(workload, topology, seed=seed)

    np.testing.assert_array_equal(once.latency_s, again.latency_s)
    np.testing.assert_array_equal(once.waited_s, again.waited_s)
    assert repr(once.uses) == repr(again.uses)
    assert (once.inside, once.lasted_s, once.events) == (again.inside, again.lasted_s, again.events)


@quick
@given(workload=workloads(), topology=TOPOLOGIES)
def test_no_request_takes_less_than_its_services(workload: Workload, topology: Topology) -> None:
    outcome = ran(workload, topology)

    assert (outcome.latency_s >= services_s(workload) - EARLIER).all()
    assert (outcome.waited_s >= -EARLIER).all()
    assert all(use.busy <= 1 + EARLIER for use in outcome.uses if not np.isnan(use.busy))


@quick
@given(requests=st.lists(steps(forks=False), min_size=1, max_size=8), topology=TOPOLOGIES)
def test_a_request_alone_takes_its_services(requests: list[list[Step]], topology: Topology) -> None:
    topology = replace(topology, hosts=tuple(replace(host, cores=3.0) for host in topology.hosts))
    workload = written([float(number) for number in range(len(requests))], requests)
    outcome = ran(workload, topology)

    np.testing.assert_allclose(outcome.latency_s, services_s(workload), atol=EARLIER)
    np.testing.assert_allclose(outcome.waited_s, 0.0, atol=EARLIER)


@quick
@given(workload=workloads(), topology=TOPOLOGIES)
def test_twice_the_speed_is_half_the_gaps(workload: Workload, topology: Topology) -> None:
    faster = ran(workload, topology, speed=2.0)
    closer = ran(replace(workload, due_s=workload.due_s / 2), topology)

    np.testing.assert_array_equal(faster.latency_s, closer.latency_s)
    assert faster.workload is workload


def test_nothing_takes_no_time() -> None:
    outcome = ran(written([], []), machines())

    assert (0, 0.0, 0.0) == (len(outcome.latency_s), outcome.inside, outcome.lasted_s)


# One resource that everybody visits once


@quick
@given(visits=visits(), cores=st.sampled_from([0.5, 1.0, 1.5, 3.0]))
def test_cores_are_shared_in_equal_parts(visits: tuple[Floats, Floats], cores: float) -> None:
    due_s, service_s = visits
    outcome = ran(alike(due_s, (Op.EXECUTE, QUERY, service_s)), machines(cores=cores))

    np.testing.assert_allclose(outcome.latency_s, shared_naively(due_s, service_s, cores), atol=EARLIER)


@quick
@given(visits=visits(), op=st.sampled_from(["cores", "pool", "slots"]), servers=st.integers(1, 3))
def test_one_more_server_delays_nobody(visits: tuple[Floats, Floats], op: str, servers: int) -> None:
    """
    For shared cores because each has as much of one at any moment; in order by Kiefer and Wolfowitz' recursion.
    """
    due_s, service_s = visits
    if op == "pool":
        workload = alike(due_s, (Op.TAKE, POOL, 0.0), (Op.DELAY, QUERY, service_s), (Op.GIVE, POOL, 0.0))
        before, after = machines(pool=servers), machines(pool=servers + 1)
    elif op == "slots":
        workload = alike(due_s, (Op.COMPUTE, APP, service_s))
        before, after = machines(workers=servers, slots=1), machines(workers=servers + 1, slots=1)
    else:
        workload = alike(due_s, (Op.EXECUTE, QUERY, service_s))
        before, after = machines(cores=servers), machines(cores=servers + 1)

    assert (ran(workload, after).latency_s <= ran(workload, before).latency_s + EARLIER).all()


@quick
@given(visits=visits(), op=st.sampled_from([Op.EXECUTE, Op.COMPUTE]), data=st.data())
def test_less_work_delays_nobody(visits: tuple[Floats, Floats], op: Op, data: st.DataObject) -> None:
    due_s, service_s = visits
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(due_s), max_size=len(due_s))))
    before = ran(alike(due_s, (op, QUERY, service_s)), machines())
    after = ran(alike(due_s, (op, QUERY, np.where(kept, service_s, service_s / 3))), machines())

    assert (after.latency_s <= before.latency_s + EARLIER).all()


# Several resources, and what is special about one


def test_faster_cores_may_delay_somebody_elsewhere() -> None:
    """
    With a core for each query, the one whose result takes long to render comes back before the short request.
    """
    short, long, other = [delay(0.045), compute(0.001)], [execute(0.030), compute(0.100)], [execute(0.030)]
    workload = written([0.0, 0.0, 0.0], [short, long, other])
    before, after = ran(workload, machines(cores=1)), ran(workload, machines(cores=2))

    assert [0.046, 0.160, 0.060] == pytest.approx(before.latency_s.tolist())
    assert [0.131, 0.130, 0.030] == pytest.approx(after.latency_s.tolist())
    assert after.latency_s.mean() > before.latency_s.mean()


def test_parallel_workers_take_cores_and_are_waited_for_by_nobody() -> None:
    """
    By hand: on two cores an execution, its two workers and another execution have half of one each.
    """
    workload = written([0.0, 0.0], [helped(0.03, 2), [execute(0.03)]])
    outcome = ran(workload, machines(cores=2))

    assert [0.06, 0.06] == pytest.approx(outcome.latency_s.tolist())
    assert 4 in [use.visits for use in outcome.uses if use.kind == "cores"]


def test_what_runs_beside_the_recorded_takes_its_part_of_the_cores() -> None:
    database = Host("database", 2.0, background=1.5)
    topology = replace(machines(), hosts=(Host("app", 1.0), database))
    outcome = ran(written([0.0, 1.0], [[execute(0.1)], []]), topology)

    assert 0.2 == pytest.approx(outcome.latency_s[0])
    assert 0.2 == pytest.approx(outcome.use("cores", "database").busy)


def test_processes_share_the_cores_of_their_host() -> None:
    workload = written([0.0, 0.0], [[compute(0.1)], [compute(0.1)]], worker=[0, 1])
    apart, together = machines(workers=2), replace(machines(workers=2), hosts=(Host("app", 1.0), Host("database", 1.0)))

    assert [0.1, 0.1] == pytest.approx(ran(workload, apart).latency_s.tolist())
    assert [0.2, 0.2] == pytest.approx(ran(workload, together).latency_s.tolist())


def test_a_database_takes_part_in_the_sharing_on_the_app_s_host() -> None:
    topology = Topology((Host("all", 1.0),), (Worker(0),), (0,))
    outcome = ran(written([0.0, 0.0], [[compute(0.1)], [execute(0.1)]]), topology)

    assert [0.2, 0.2] == pytest.approx(outcome.latency_s.tolist())


def test_what_follows_the_answer_is_not_waited_for() -> None:
    """
    It still takes the loop from others.
    """
    workload = written([0.0, 0.02], [[compute(0.01), ANSWER, compute(0.1)], [compute(0.01)]])
    outcome = ran(workload, machines())

    assert [0.01, 0.10] == pytest.approx(outcome.latency_s.tolist())
    assert 0.12 == pytest.approx(outcome.lasted_s)


@quick
@given(first=steps(forks=False), second=steps(forks=False), waits_s=st.lists(SERVICES_S, min_size=0, max_size=4))
def test_a_fork_takes_as_long_as_its_longest_strand(
    first: list[Step], second: list[Step], waits_s: list[float]
) -> None:
    inner = fork(*[[delay(wait_s)] for wait_s in waits_s])
    outcome = ran(written([0.0], [[*first, *fork([delay(0.02)], [delay(0.01), *inner], []), *second]]), machines())

    alone_s = longest_s(first) + longest_s(second)
    assert alone_s + max(0.02, 0.01 + max(waits_s, default=0.0)) == pytest.approx(outcome.latency_s[0])


def test_a_strand_may_wait_for_another() -> None:
    """
    Two statements at once over a pool of one are two statements one after the other.
    """
    strand = [TAKE, delay(0.02), GIVE]
    workload = written([0.0], [fork(strand, strand)])

    assert 0.02 == pytest.approx(ran(workload, machines(pool=2)).latency_s[0])
    assert 0.04 == pytest.approx(ran(workload, machines(pool=1)).latency_s[0])


def test_a_lock_is_held_by_one_at_a_time() -> None:
    """
    First come, first served, and only the lock that was asked for.
    """
    locked, other = [LOCK, delay(0.1), UNLOCK], [(Op.LOCK, QUERY, 0.0, 8), delay(0.1), (Op.UNLOCK, QUERY, 0.0, 8)]
    outcome = ran(written([0.0, 0.01, 0.02, 0.03, 0.3], [locked, locked, locked, other, []]), machines())

    assert [0.1, 0.19, 0.28, 0.1, 0.0] == pytest.approx(outcome.latency_s.tolist())
    assert 1.0 == pytest.approx(outcome.use("lock", "7").busy)
    assert (0.09 + 0.18) / 3 == pytest.approx(outcome.use("lock", "7").wait_s)


@pytest.mark.parametrize("asleep_s", [0.0013, 0.004, 0.0049, 0.0071, 0.0195])
def test_a_thread_that_computes_delays_another_by_one_turn(asleep_s: float) -> None:
    """
    Whoever wakes asks for the interpreter and has it after SWITCH_S, whenever the other one began.
    """
    computing = [ENTER, compute(10.0), EXIT]
    waking = [ENTER, *[delay(asleep_s), compute(0.0001)] * 50, EXIT]
    outcome = ran(written([0.0, 0.0], [computing, waking]), machines())

    assert 50 * (asleep_s + 0.0001 + SWITCH_S) == pytest.approx(outcome.latency_s[1])


@quick
@given(left_s=SERVICES_S, begun_s=GAPS_S)
def test_a_thread_waits_for_the_interpreter_no_longer_than_it_is_held(left_s: float, begun_s: float) -> None:
    waking = [ENTER, delay(begun_s), compute(0.001), EXIT]
    outcome = ran(written([0.0, 0.0], [[ENTER, compute(left_s), EXIT], waking]), machines())

    wait_s = min(max(left_s - begun_s, 0.0), SWITCH_S)
    assert begun_s + wait_s + 0.001 == pytest.approx(outcome.latency_s[1])


def test_threads_that_compute_take_turns() -> None:
    """
    One interpreter is one core, also on a host with two.
    """
    topology = replace(machines(), hosts=(Host("app", 2.0), Host("database", 1.0)))
    outcome = ran(written([0.0, 0.0], [[ENTER, compute(0.1), EXIT]] * 2), topology)

    assert [0.195, 0.2] == pytest.approx(outcome.latency_s.tolist())


def test_an_event_loop_is_delayed_by_a_thread_of_its_process() -> None:
    workload = written([0.0, 0.001], [[ENTER, compute(0.1), EXIT], [compute(0.001)]])

    assert 0.001 + SWITCH_S == pytest.approx(ran(workload, machines()).latency_s[1])


def test_a_connection_is_handed_over_by_way_of_the_loop() -> None:
    """
    Given back at 10 ms, while the loop is busy until 50 ms, it reaches who waits for it only then.
    """
    workload = written(
        [0.0, 0.001, 0.002],
        [[TAKE, delay(0.01), GIVE], [TAKE, delay(0.01), GIVE], [compute(0.048)]],
    )
    outcome = ran(workload, machines(pool=1))

    assert [0.01, 0.059, 0.048] == pytest.approx(outcome.latency_s.tolist())
    assert 0.049 / 2 == pytest.approx(outcome.waited_s[POOL])


def test_a_connection_is_handed_over_to_a_thread_without_the_loop() -> None:
    workload = written(
        [0.0, 0.001, 0.002],
        [[ENTER, TAKE, delay(0.01), GIVE, EXIT], [ENTER, TAKE, delay(0.01), GIVE, EXIT], [compute(0.048)]],
    )

    assert [0.01, 0.019, 0.048] == pytest.approx(ran(workload, machines(pool=1)).latency_s.tolist())


def test_threads_are_handed_over_in_order() -> None:
    workload = written([0.0, 0.01, 0.02], [[ENTER, delay(0.1), EXIT]] * 3)

    assert [0.1, 0.19, 0.28] == pytest.approx(ran(workload, machines(threads=1)).latency_s.tolist())


def test_sync_workers_share_a_backlog() -> None:
    """
    Whoever is free takes whoever has waited longest, although both were recorded at the first worker.
    """
    workload = written([0.0, 0.01, 0.02, 0.03], [[delay(0.1)], [delay(0.02)], [delay(0.1)], [delay(0.1)]])
    outcome = ran(workload, machines(workers=2, slots=1))

    assert [0.1, 0.02, 0.11, 0.17] == pytest.approx(outcome.latency_s.tolist())
    assert 0.01 + 0.07 == pytest.approx(sum(use.visits * use.wait_s for use in outcome.uses if use.kind == "slots"))


def test_a_worker_with_threads_takes_as_many_at_once() -> None:
    workload = written([0.0, 0.0, 0.0], [[delay(0.1)]] * 3)

    assert [0.1, 0.1, 0.2] == pytest.approx(ran(workload, machines(slots=2)).latency_s.tolist())


def test_requests_go_where_they_went_unless_they_are_spread() -> None:
    workload = written([0.0] * 40, [[compute(0.01)]] * 40, worker=[0] * 40)
    stayed, spread = ran(workload, machines(workers=2)), ran(workload, machines(workers=2, spread=True))

    assert {"0": 40} == {use.name: use.visits for use in stayed.uses if use.kind == "loop"}
    assert {"0", "1"} == {use.name for use in spread.uses if use.kind == "loop"}
    assert spread.lasted_s < stayed.lasted_s
