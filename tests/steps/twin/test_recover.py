"""
What was put into a recording's waiting comes out of it, and what it was to do stays.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from rung.adapters.recordings import ParquetRecording
from rung.steps.measure import CPU, OTHER, Part, Profile, measure
from rung.steps.measure.beside import Beside, Executions, Locked, Usage
from rung.steps.twin.blocks import chosen_blocks, excerpt_of
from rung.steps.twin.recover import Recovered, recover
from rung.steps.twin.sharing import Sharing
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import UNLIMITED
from rung.steps.twin.workload import Op, Workload
from tests import tables
from tests.strategies import FAST, SLOW, WHO, Row, Segment, answered, keep_recording, profile, rows, shop

OPENED = {Op.TAKE: Op.GIVE, Op.ENTER: Op.EXIT, Op.LOCK: Op.UNLOCK}


def told(workload: Workload, request: int = 0) -> list[tuple[str, str, float]]:
    """
    Each step of a request: what is asked for, on which seam, for how long.
    """
    ours = slice(workload.first[request], workload.first[request + 1])
    return [
        (Op(op).name, workload.parts[part].seam, round(service_s, 6))
        for op, part, service_s in zip(
            workload.op[ours].tolist(), workload.part[ours].tolist(), workload.service_s[ours].tolist(), strict=True
        )
    ]


def service_s(recovered: Recovered, part: Part, op: Op = Op.EXECUTE) -> np.ndarray:
    workload = recovered.workload
    return workload.service_s[(workload.part == workload.part_of(part)) & (workload.op == op)]


def shared(arrived_s: list[float], asked_s: list[float], cores: float) -> list[float]:
    """
    When each of those ended, had they shared the cores in equal parts and nobody had more than one.
    """
    left, ended, now_s = dict(enumerate(asked_s)), [0.0] * len(asked_s), 0.0
    waiting = sorted(range(len(asked_s)), key=lambda one: arrived_s[one])
    running: set[int] = set()
    while waiting or running:
        rate = min(1.0, cores / max(len(running), 1))
        soonest_s = min((left[one] / rate for one in running), default=np.inf)
        arrival_s = arrived_s[waiting[0]] - now_s if waiting else np.inf
        step_s = min(soonest_s, arrival_s)
        now_s += step_s
        for one in running:
            left[one] -= step_s * rate
        if arrival_s <= soonest_s:
            running.add(waiting.pop(0))
        for one in [one for one in running if left[one] <= 1e-12]:
            running.remove(one)
            ended[one] = now_s
    return ended


def drawn(count: int, rate_per_s: float, mean_s: float, seed: int = 1) -> tuple[list[float], list[float]]:
    generator = np.random.Generator(np.random.PCG64(seed))
    arrived_s = np.cumsum(generator.exponential(1 / rate_per_s, count))
    return arrived_s.tolist(), generator.gamma(2.0, mean_s / 2, count).tolist()


@pytest.mark.parametrize("cores", [1.0, 2.0, 0.5])
def test_what_shared_cores_took_away_is_found_again(cores: float) -> None:
    """
    From begin and end alone, each execution's own service comes out, to rounding.
    """
    arrived_s, asked_s = drawn(300, 60.0 * cores, 0.01)
    ended_s = np.array(shared(arrived_s, asked_s, cores))
    sharing = Sharing(np.array(arrived_s), ended_s, np.ones(len(asked_s)), cores=cores)

    np.testing.assert_allclose(sharing.service_s(np.array(arrived_s), ended_s), asked_s, rtol=1e-6, atol=1e-9)


def test_steps_are_in_the_order_in_which_they_were_taken() -> None:
    """
    Gaps are computing and, beyond the clock's account, something else; waiting for the pool is asked for anew.
    """
    row = Row(
        1.0,
        0.1,
        (
            Segment("pool", 0.010, 0.020, "p"),
            Segment("query", 0.040, 0.010, FAST),
            Segment("commit", 0.050, 0.005, "commit"),
            Segment("external", 0.060, 0.030, "mail"),
        ),
        cpu_s=0.035 / 2,
    )
    steps = told(recover(profile([row])).workload)

    assert steps == [
        ("COMPUTE", "cpu", 0.005),
        ("DELAY", "other", 0.005),
        ("TAKE", "pool", 0.0),
        ("COMPUTE", "cpu", 0.005),
        ("DELAY", "other", 0.005),
        ("EXECUTE", "query", 0.01),
        ("DELAY", "commit", 0.005),
        ("GIVE", "pool", 0.0),
        ("COMPUTE", "cpu", 0.0025),
        ("DELAY", "other", 0.0025),
        ("DELAY", "external", 0.03),
        ("COMPUTE", "cpu", 0.005),
        ("DELAY", "other", 0.005),
        ("ANSWER", "cpu", 0.0),
    ]


@given(recorded=rows())
def test_any_rows_give_a_workload_that_runs_to_its_end(recorded: list[Row]) -> None:
    """
    Whatever is taken is given back, every request is answered, and nothing takes longer than it was recorded to.
    """
    made = profile(recorded)
    recovered = recover(made)
    workload = recovered.workload

    assert len(workload) == len(made.requests)
    for take, give in OPENED.items():
        taken, given = (
            np.bincount(workload.request[workload.op == op], minlength=len(workload)) for op in (take, give)
        )
        np.testing.assert_array_equal(taken, given)
    assert (workload.service_s >= 0).all()
    assert np.isfinite(simulate(workload, recovered.topology).latency_s).all()


def test_alone_a_request_takes_what_it_took() -> None:
    """
    With nobody else about nothing was waited for, and nothing is lost.
    """
    one = Row(0.0, 0.05, (Segment("query", 0.01, 0.02, SLOW), Segment("file", 0.035, 0.005, "f")), cpu_s=0.01)
    recovered = recover(profile([one]))

    assert simulate(recovered.workload, recovered.topology).latency_s == pytest.approx([0.05])


def test_a_gather_is_as_long_as_its_longest_strand() -> None:
    """
    What overlapped is done side by side again, not one after the other.
    """
    gathered = (
        Segment("query", 0.01, 0.03, SLOW),
        Segment("external", 0.011, 0.05, "http"),
        Segment("query", 0.045, 0.01, FAST),
    )
    recovered = recover(profile([Row(0.0, 0.07, gathered, cpu_s=0.01)]))

    assert [op for op, _, _ in told(recovered.workload)].count("JOIN") == 2
    assert simulate(recovered.workload, recovered.topology).latency_s == pytest.approx([0.07], abs=0.003)


def test_the_pool_is_as_large_as_what_was_held_while_somebody_waited() -> None:
    """
    A pool that nobody waited for has no size that could be known.
    """
    crowded = recover(profile(shop(connections=3, rate_per_s=60.0)))
    quiet = recover(profile(shop(connections=50, rate_per_s=2.0)))

    assert [worker.pool for worker in crowded.topology.workers] == [3]
    assert [worker.pool for worker in quiet.topology.workers] == [UNLIMITED]


def test_a_server_without_an_event_loop_takes_as_many_requests_as_were_seen_at_once() -> None:
    """
    One after the other, with a queue before them: one worker without threads.
    """
    arrived_s, asked_s = drawn(200, 60.0, 0.01)
    free_s, recorded = 0.0, []
    for due_s, taken_s in zip(arrived_s, asked_s, strict=True):
        free_s = max(due_s, free_s)
        recorded.append(Row(due_s, taken_s, queue_s=free_s - due_s, cpu_s=taken_s))
        free_s += taken_s
    made = profile(recorded, libraries=(("django", "5.2"), ("gunicorn", "23.0")))
    recovered = recover(made)
    outcome = simulate(recovered.workload, recovered.topology)

    assert [worker.slots for worker in recovered.topology.workers] == [1]
    assert outcome.latency_s.mean() == pytest.approx(made.requests.latency_s.mean(), rel=0.02)


def with_usage(
    made: Profile, *, cores: float = 1.0, database: float, executions: tuple[Executions, ...] = ()
) -> Profile:
    usage = Usage("h", 60.0, cores, cores, database, 0.0, database, 0.0)
    return replace(made, beside=Beside(usages=(usage,), executions=executions))


def on_one_core(count: int = 400, rate_per_s: float = 50.0) -> tuple[Profile, np.ndarray]:
    arrived_s, asked_s = drawn(count, rate_per_s, 0.01)
    ended_s = shared(arrived_s, asked_s, 1.0)
    recorded = [
        Row(begin_s, end_s - begin_s + 1e-5, (Segment("query", 0.0, end_s - begin_s, SLOW),))
        for begin_s, end_s in zip(arrived_s, ended_s, strict=True)
    ]
    return profile(recorded), np.array(asked_s)


def test_a_statement_is_asked_for_what_it_had_of_the_core() -> None:
    """
    Half of the time was waiting for the core; the service that comes out holds none of it.
    """
    made, asked_s = on_one_core()
    busy = float(asked_s.sum() / made.lasted_s)
    found_s = service_s(recover(with_usage(made, database=busy)), Part("query", SLOW))

    assert made.segments.own_s.mean() > 1.5 * asked_s.mean()
    # The fastest execution counts as a round trip, which nobody shares.
    assert found_s.mean() == pytest.approx(asked_s.mean(), rel=0.1)


def test_what_else_the_server_computed_leaves_less_of_it() -> None:
    """
    Processor time of the server beyond what the statements had is background, in service and in the topology.
    """
    made, asked_s = on_one_core(rate_per_s=30.0)
    busy = float(asked_s.sum() / made.lasted_s)
    alone, beside = (recover(with_usage(made, database=used)) for used in (busy, busy + 0.3))

    assert service_s(beside, Part("query", SLOW)).mean() < 0.85 * service_s(alone, Part("query", SLOW)).mean()
    assert 0.2 < beside.topology.hosts[0].background < 0.6


def test_the_servers_own_account_is_believed() -> None:
    """
    Half of what a client saw of a statement was spent at the server, says the server: the rest was not its service.
    """
    recorded = [Row(number * 0.5, 0.05, (Segment("query", 0.01, 0.02, SLOW),), cpu_s=0.03) for number in range(40)]
    made = profile(
        [*recorded, *(Row(20.0 + number, 0.01, (Segment("query", 0.0, 1e-4, FAST),)) for number in range(20))]
    )
    counted = (Executions(SLOW, "h:1/shop", 40, 0.4),)
    found_s = service_s(recover(replace(made, beside=Beside(executions=counted))), Part("query", SLOW))

    assert found_s.mean() == pytest.approx(0.01)


def test_a_row_that_is_waited_for_is_locked_until_the_transaction_ends() -> None:
    """
    The statement keeps what it takes without waiting; the lock is given back after the commit.
    """
    recorded = [
        Row(
            float(number),
            0.1,
            (Segment("query", 0.0, 0.001 if number % 2 else 0.05, SLOW), Segment("commit", 0.06, 0.01, "commit")),
        )
        for number in range(40)
    ]
    made = replace(profile(recorded), beside=Beside(locks={SLOW: Locked(looks=20, waiting=15)}))
    recovered = recover(made)
    ops = [op for op, _, _ in told(recovered.workload)]

    assert service_s(recovered, Part("query", SLOW)).max() <= 0.0016
    assert ops.index("LOCK") < ops.index("UNLOCK")
    assert ops.index("UNLOCK") > max(at for at, op in enumerate(told(recovered.workload)) if op[1] == "commit") - 1


def test_parallel_workers_of_a_statement_compute_beside_it() -> None:
    """
    By hand: on two cores each of three that compute had two thirds of one.
    """
    made = profile([Row(0.5 * n, 0.05, (Segment("query", 0.0, 0.03, SLOW),), cpu_s=0.001) for n in range(20)])
    counted = (Executions(SLOW, "h:1/shop", 20, 20 * 0.03, helpers=40),)
    workload = recover(with_usage(made, cores=2.0, database=20 * 0.06 / made.lasted_s, executions=counted)).workload
    ops = [op for op, seam, _ in told(workload) if seam == "query"]

    assert ["DELAY", "HELP", "HELP", "EXECUTE"] == ops
    query = workload.part == workload.part_of(Part("query", SLOW))
    served_s = [workload.service_s[query & (workload.op == op)].mean() for op in (Op.HELP, Op.EXECUTE)]
    assert served_s == pytest.approx([0.02, 0.02], rel=0.1)


def test_threads_are_entered_and_left_in_turn() -> None:
    """
    A second thread is asked for when the first one is done with.
    """
    row = Row(
        0.0,
        0.1,
        (Segment("threads", 0.01, 0.001), Segment("external", 0.02, 0.03, "mail"), Segment("threads", 0.06, 0.001)),
    )
    ops = [op for op, _, _ in told(recover(profile([row])).workload) if op in {"ENTER", "EXIT"}]

    assert ops == ["ENTER", "EXIT", "ENTER", "EXIT"]


def test_a_long_recording_is_run_in_blocks() -> None:
    """
    Their load is that of the whole, they are in order of time, and each begins with what is not told.
    """
    made = profile(shop(count=3000, rate_per_s=30.0, connections=8))
    excerpt = excerpt_of(made, steps_max=8_000)
    blocks = excerpt.blocks
    recovered_rate = len(blocks.request) / float(blocks.due_s.max() - blocks.due_s.min())

    assert len(blocks.request) < 0.6 * len(made.requests)
    assert (np.diff(blocks.due_s) >= 0).all()
    assert 0.85 < blocks.counted.mean() < 0.95
    assert recovered_rate == pytest.approx(30.0, rel=0.15)
    np.testing.assert_array_equal(
        excerpt.profile.requests.latency_s[excerpt.place], made.requests.latency_s[blocks.request]
    )


def test_a_short_recording_is_run_whole() -> None:
    """
    Every request, and all of them told.
    """
    made = profile(shop(count=50))
    blocks = chosen_blocks(made, np.full(50, 20.0))

    assert blocks.counted.all() and len(blocks.request) == 50


def test_what_is_beside_the_requests_is_read_from_a_recording(tmp_path: Path) -> None:
    """
    Cores and what used them, executions as the server counted them, work after the response.
    """
    who = dict(zip(("host", "instance", "worker"), WHO, strict=True))
    base = {"host": "h", "at_s": 1e9 + 1.0, "lasted_s": 1.0}
    counted = {"database": "h:1/shop", "query_id": 7, "statement": SLOW, "text": "", "kind": "read"}
    keep_recording(
        tmp_path / "r",
        [Row(0.0, 0.1), Row(2.0, 0.1)],
        hosts=[tables.row("hosts", **base, cores=4, cores_allowed=2.0, busy_s=1.5, niced_s=0.5)],
        programs=[
            tables.row("programs", **base, role="database", pid=2, processes=3, cpu_s=0.5, processors="2,3"),
            tables.row("programs", **base, role="app", pid=1, processes=1, cpu_s=0.25, processors="0"),
            tables.row("programs", **base, role="collector", pid=5, processes=1, cpu_s=0.1, nice=0),
            tables.row("programs", **base, role="load", pid=6, processes=1, cpu_s=0.4, nice=5),
        ],
        statement_totals=[
            tables.row("statement_totals", **counted, at_s=1e9, calls=10, total_s=1.0),
            tables.row("statement_totals", **counted, at_s=1e9 + 2, calls=30, total_s=3.0),
            tables.row("statement_totals", **{**counted, "query_id": 8}, at_s=1e9 + 1, calls=4, total_s=0.5),
        ],
        requests=[
            tables.row(
                "requests", **who, request=99, kind="background", route="/", method="GET", status=200, follows=1,
                arrived_s=1e9 + 2.1, duration_s=0.4, cpu_s=0.01, cancelled=False, exemplar=False,
            )
        ],
        segments=[
            tables.row(
                "segments", **who, request=99, segment=0, seam="external", name="mail", start_s=0.0, duration_s=0.3,
                calls=1,
            )
        ],
    )  # fmt: skip
    kept = ParquetRecording(tmp_path / "r")
    made: Profile = answered(measure(), lambda question: getattr(kept, question.verb)(question))

    # What is niced steps aside.
    expected = Usage("h", 1.0, 2.0, 4.0, 1.0, 0.25, 0.5, 0.1, frozenset({0}), frozenset({2, 3}))
    assert made.beside.usages == (expected,)
    assert made.beside.executions == (Executions(SLOW, "h:1/shop", 24, 2.5),)
    assert made.beside.workers == {("h", 1): 0.25}
    assert made.process_names == ("h/i/1",)
    assert made.after.parts == (CPU, Part("external", "mail"))
    assert made.after.request.tolist() == [1, 1]
    assert made.after.duration_s.tolist() == [0.01, 0.3]
    assert OTHER not in made.after.parts


@pytest.mark.parametrize("apart", [True, False])
def test_cores_of_its_own_for_the_database_are_told_by_its_statements(*, apart: bool) -> None:
    """
    Statements that slow one another down on one of two cores, and are not slowed by the app on the other.
    """
    arrived_s, asked_s = drawn(600, 55.0, 0.01)
    asked_s = [0.01] * len(asked_s)
    ended_s = shared(arrived_s, asked_s, 1.0 if apart else 2.0)
    recorded = [
        Row(begin_s, end_s - begin_s + 0.002, (Segment("query", 0.001, end_s - begin_s, SLOW),), cpu_s=0.002)
        for begin_s, end_s in zip(arrived_s, ended_s, strict=True)
    ]
    made = profile(recorded)
    busy = sum(asked_s) / made.lasted_s
    usage = Usage("h", 60.0, 2.0, 2.0, busy + 0.1, 0.1, busy, 0.0)
    topology = recover(replace(made, beside=Beside(usages=(usage,)))).topology

    assert [host.cores for host in topology.hosts] == ([1.0, 1.0] if apart else [2.0])
    assert topology.databases == ((1,) if apart else (0,))


def test_a_collector_that_is_confined_tells_that_the_app_is() -> None:
    """
    The database is no child of it: what is left of the machine is the database's.
    """
    made, _ = on_one_core(count=50)
    usage = Usage("h", 60.0, 1.0, 4.0, 0.6, 0.1, 0.5, 0.0)
    topology = recover(replace(made, beside=Beside(usages=(usage,)))).topology

    assert [host.cores for host in topology.hosts] == [1.0, 3.0]
    assert topology.databases == (1,)


@pytest.mark.parametrize(
    ("app", "database", "cores"),
    [({0}, {1}, [1.0, 1.0]), ({0, 1}, {0, 1}, [2.0]), ({0}, {0, 1, 2}, [1.0, 2.0]), ({0, 1, 2}, {0}, [2.0, 1.0])],
)
def test_processors_that_are_known_tell_whether_cores_are_shared(
    app: set[int], database: set[int], cores: list[float]
) -> None:
    made, _ = on_one_core(count=50)
    usage = Usage("h", 60.0, 4.0, 4.0, 0.9, 0.1, 0.5, 0.0, frozenset(app), frozenset(database))
    topology = recover(replace(made, beside=Beside(usages=(usage,)))).topology

    assert [host.cores for host in topology.hosts] == cores
    # What else ran is in the way of both.
    assert all(0 < host.background < host.cores for host in topology.hosts)


def test_what_else_a_large_machine_does_is_not_put_on_the_one_core_of_the_app() -> None:
    """
    Three of four cores are busy with other things, and app and database have one together: a quarter of it is left.
    """
    made, _ = on_one_core(count=50)
    usage = Usage("h", 60.0, 4.0, 4.0, 3.6, 0.1, 0.5, 0.0, frozenset({0}), frozenset({0}))
    (host,) = recover(replace(made, beside=Beside(usages=(usage,)))).topology.hosts

    assert host.cores == 1.0
    assert host.background < 1.0


def test_what_the_recorder_did_not_see_is_computed_as_well() -> None:
    """
    Processor time of the process beyond its requests' own is the server's and the drivers', before and after the app.
    """
    recorded = [Row(number * 0.1, 0.01, (), cpu_s=0.01, queue_s=0.002) for number in range(50)]
    made = replace(profile(recorded), beside=Beside(workers={("h", 1): 50 * 0.014}))
    recovered = recover(made)
    workload = recovered.workload
    computed_s = workload.service_s[workload.op == Op.COMPUTE].sum()

    assert computed_s == pytest.approx(50 * 0.014, rel=0.01)
    assert simulate(workload, recovered.topology).latency_s == pytest.approx(made.requests.latency_s, rel=0.01)


def test_hosts_whose_cores_are_not_known_are_named_once() -> None:
    """
    Without a look at a host nothing is taken to wait for a core there, and that is said in one sentence.
    """
    told = [note for note in recover(profile(shop(count=40))).notes if "How many cores" in note]

    assert ["How many cores h has is not known: nothing is taken to wait for a core there."] == told
