"""
More of what requests wait for: connections, threads, processes, instances; and "not yet" where nobody waits for it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from rung.moves.demand import demand
from rung.moves.instance import InstanceMove
from rung.moves.keepopen import KeepOpenMove
from rung.moves.pool import PoolMove
from rung.moves.workers import ThreadsMove, WorkersMove
from rung.steps.measure import CPU, Part, Profile
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import UNLIMITED, Host, Topology, Worker
from rung.steps.twin.variant import Setting, Variant
from rung.steps.twin.workload import Op, Step, Workload, workload
from tests.strategies import HOME, SLOW, Row, Segment, profile

QUERY, CONNECT = Part("query", SLOW), Part("connect", "")
COMPUTE, EXECUTE, OPEN = (Op.COMPUTE, 0, 1.0, 0), (Op.EXECUTE, 1, 1.0, 0), (Op.DELAY, 2, 0.5, 0)
TAKE, GIVE = (Op.TAKE, 1, 0.0, 0), (Op.GIVE, 1, 0.0, 0)
ENTER, EXIT = (Op.ENTER, 0, 0.0, 0), (Op.EXIT, 0, 0.0, 0)
HOSTS = (Host("h", 4.0), Host("db", 4.0))


def recorded(*segments: Segment, queue_s: float = 0.0, duration_s: float = 1.0, gap_s: float = 1.0) -> Profile:
    """
    Five requests, *gap_s* apart.
    """
    return profile(
        [Row(number * gap_s, duration_s, segments, HOME, queue_s=queue_s, cpu_s=duration_s) for number in range(5)]
    )


def at_once(steps: list[Step], count: int = 4) -> Workload:
    return workload(
        routes=[HOME],
        parts=[CPU, QUERY, CONNECT],
        route=[0] * count,
        worker=[0] * count,
        due_s=[0.0] * count,
        steps=[steps] * count,
    )


def by_name(variants: tuple[Variant, ...]) -> dict[str, Variant]:
    return {each.name: each for each in variants}


def slowest_s(variant: Variant, traffic: Workload, topology: Topology) -> float:
    return float(simulate(*variant.model(traffic, topology)).latency_s.max())


def test_a_larger_pool_lets_more_in() -> None:
    """
    By hand: four at once, 1 s each in the database, with one, two and four connections.
    """
    traffic, topology = at_once([TAKE, EXECUTE, GIVE]), Topology(HOSTS, (Worker(0, pool=1),), (1,))
    variants = by_name(PoolMove().variants(recorded(Segment("pool", 0.0, 0.5)), traffic, topology, HOME))

    assert ["pool:2", "pool:4"] == list(variants)
    assert 4.0 == pytest.approx(simulate(traffic, topology).latency_s.max())
    assert [2.0, 1.0] == pytest.approx([slowest_s(each, traffic, topology) for each in variants.values()])
    assert {"setting"} == {each.taken_as for each in variants.values()}
    assert {""} == {each.why_not_yet for each in variants.values()}
    assert "up to 3 more connections of the database" == variants["pool:4"].cost


@pytest.mark.parametrize(
    ("libraries", "then", "now"),
    [
        (("asyncpg",), "asyncpg.create_pool(…, max_size=4)", "asyncpg.create_pool(…, max_size=1)"),
        (
            ("asyncpg", "sqlalchemy"),
            "create_engine(…, pool_size=4, max_overflow=0)",
            "create_engine(…, pool_size=1, max_overflow=0)",
        ),
        (
            ("django",),
            'DATABASES["default"]["OPTIONS"]["pool"] = {"max_size": 4}',
            'DATABASES["default"]["OPTIONS"]["pool"] = {"max_size": 1}',
        ),
        ((), "connections in the pool of each app process: 4", "connections in the pool of each app process: 1"),
    ],
)
def test_a_pool_is_set_where_the_apps_library_has_it(libraries: tuple[str, ...], then: str, now: str) -> None:
    traffic, topology = at_once([TAKE, EXECUTE, GIVE]), Topology(HOSTS, (Worker(0, pool=1),), (1,))
    made = recorded(Segment("pool", 0.0, 0.5))
    made = replace(made, facts=replace(made.facts, libraries=tuple((name, "1.0") for name in libraries)))
    variants = by_name(PoolMove().variants(made, traffic, topology, HOME))

    assert Setting(then, now) == variants["pool:4"].setting


def test_every_setting_says_what_to_set_and_what_it_was() -> None:
    """
    Workers are counted for each host, since a command starts those of one.
    """
    made, sync = recorded(), Topology(HOSTS, (Worker(0, slots=1), Worker(1, slots=1)), (1,))
    made = replace(made, facts=replace(made.facts, libraries=(("gunicorn", "27.0"), ("django", "5.2"))))
    threaded = Topology(HOSTS, (Worker(0, threads=1),), (1,))
    traffic = at_once([COMPUTE])

    found = {
        each.name: each.setting
        for variants in (
            WorkersMove().variants(made, traffic, sync, HOME),
            ThreadsMove().variants(made, traffic, sync, HOME),
            KeepOpenMove().variants(made, traffic, sync, HOME),
        )
        for each in variants
    }
    (twice, _) = ThreadsMove().variants(made, traffic, threaded, HOME)

    assert Setting("gunicorn … --workers 2", "gunicorn … --workers 1") == found["workers:4"]
    assert Setting("gunicorn … --threads 4", "gunicorn … --threads 1") == found["threads:4"]
    assert found["keepopen"] is not None and "CONN_MAX_AGE" in found["keepopen"].then
    assert Setting("threads in the pool of each app process: 2", "threads in the pool of each app process: 1") == (
        twice.setting
    )


def test_what_is_not_known_cannot_be_set() -> None:
    """
    Where no pool was seen full its size is not known, and neither is that of the threads.
    """
    unlimited, traffic = Topology(HOSTS, (Worker(0),), (1,)), at_once([COMPUTE])

    for move in (PoolMove(), ThreadsMove()):
        (variant,) = move.variants(recorded(), traffic, unlimited, HOME)
        assert variant.setting is None and variant.why_not_yet


def test_a_larger_pool_before_a_full_database_only_moves_the_queue() -> None:
    traffic = at_once([TAKE, EXECUTE, GIVE])
    topology = Topology((HOSTS[0], Host("db", 1.0)), (Worker(0, pool=1),), (1,))
    variants = PoolMove().variants(recorded(Segment("pool", 0.0, 0.5)), traffic, topology, HOME)

    assert [4.0, 4.0] == pytest.approx([slowest_s(each, traffic, topology) for each in variants])


def test_a_pool_that_nobody_waits_for_is_not_yet() -> None:
    traffic, topology = at_once([COMPUTE]), Topology(HOSTS, (Worker(0, pool=1),), (1,))
    unlimited = replace(topology, workers=(Worker(0),))

    (small, _) = PoolMove().variants(recorded(Segment("pool", 0.0, 0.003)), traffic, topology, HOME)
    (none,) = PoolMove().variants(recorded(Segment("pool", 0.0, 0.5)), traffic, unlimited, HOME)

    assert "waiting for a connection is 0.3 % of the time of GET /home" == small.why_not_yet
    assert "no pool was seen full" == none.why_not_yet


def test_connections_that_are_kept_are_not_opened() -> None:
    traffic, topology = at_once([TAKE, OPEN, EXECUTE, GIVE]), Topology(HOSTS, (Worker(0, pool=1),), (1,))

    (variant,) = KeepOpenMove().variants(recorded(Segment("connect", 0.0, 0.5)), traffic, topology, HOME)
    (useless,) = KeepOpenMove().variants(recorded(), traffic, topology, HOME)

    edited, _ = variant.model(traffic, topology)
    assert [Op.TAKE, Op.EXECUTE, Op.GIVE] * 4 == edited.op.tolist(), "looking for a free one stays"
    assert 6.0 == pytest.approx(simulate(traffic, topology).latency_s.max())
    assert 4.0 == pytest.approx(slowest_s(variant, traffic, topology))
    assert ("setting", "") == (variant.taken_as, variant.why_not_yet)
    assert "opening connections is 0 % of the time of GET /home" == useless.why_not_yet


def test_more_sync_workers_take_more_at_once() -> None:
    traffic, topology = at_once([COMPUTE]), Topology(HOSTS, (Worker(0, slots=1),), (1,))
    variants = by_name(WorkersMove().variants(recorded(), traffic, topology, HOME))

    assert ["workers:2", "workers:4"] == list(variants)
    assert 4.0 == pytest.approx(simulate(traffic, topology).latency_s.max())
    assert [2.0, 1.0] == pytest.approx([slowest_s(each, traffic, topology) for each in variants.values()])
    assert {"setting"} == {each.taken_as for each in variants.values()}


def test_workers_with_time_are_not_yet_and_a_full_host_says_so() -> None:
    """
    A tenth of a process's time is computed; or 4 s come each second to a host of one core.
    """
    idle = Topology(HOSTS, (Worker(0, pool=5),), (1,))
    full = Topology((Host("h", 1.0),), (Worker(0),))
    seldom = recorded(gap_s=12.5)

    for variant in WorkersMove().variants(seldom, at_once([COMPUTE]), idle, HOME):
        assert "an app process is busy 10 % of the time, and 0 % of GET /home waits for one" == variant.why_not_yet
    for variant in WorkersMove().variants(recorded(gap_s=0.25), at_once([COMPUTE]), full, HOME):
        assert "the host's processor is what is full: 100 %" == variant.why_not_yet


def test_waiting_before_the_app_makes_workers_worth_a_price() -> None:
    topology = Topology(HOSTS, (Worker(0, slots=1),), (1,))

    for variant in WorkersMove().variants(recorded(queue_s=0.5, gap_s=12.5), at_once([COMPUTE]), topology, HOME):
        assert not variant.why_not_yet


def test_threads_of_a_sync_worker_wait_side_by_side() -> None:
    """
    In the database they do, at computing they take turns.
    """
    topology = Topology(HOSTS, (Worker(0, slots=1),), (1,))
    asking, computing = at_once([EXECUTE]), at_once([COMPUTE])
    variants = by_name(ThreadsMove().variants(recorded(), asking, topology, HOME))

    assert ["threads:2", "threads:4"] == list(variants)
    assert [2.0, 1.0] == pytest.approx([slowest_s(each, asking, topology) for each in variants.values()])
    assert 4.0 == pytest.approx(slowest_s(variants["threads:4"], computing, topology))


def test_a_larger_thread_pool_of_an_async_app() -> None:
    topology = Topology(HOSTS, (Worker(0, threads=2),), (1,))
    traffic = at_once([ENTER, EXECUTE, EXIT])
    waiting, none = recorded(Segment("threads", 0.0, 0.5)), recorded()

    variants = by_name(ThreadsMove().variants(waiting, traffic, topology, HOME))

    assert ["threads:4", "threads:8"] == list(variants)
    assert 1.0 == pytest.approx(slowest_s(variants["threads:4"], traffic, topology))
    assert {"waiting for a thread is 0 % of the time of GET /home"} == {
        each.why_not_yet for each in ThreadsMove().variants(none, traffic, topology, HOME)
    }
    unlimited = replace(topology, workers=(Worker(0, threads=UNLIMITED),))
    (never,) = ThreadsMove().variants(waiting, traffic, unlimited, HOME)
    assert ("threads", "no thread pool was seen full") == (never.name, never.why_not_yet)


def test_an_instance_of_its_own_brings_cores_and_one_on_the_same_host_does_not() -> None:
    """
    By hand: four at once of 1 s each, one worker on one core; twice the workers, on two cores or on one.
    """
    topology = Topology((Host("h", 1.0, background=0.0), HOSTS[1]), (Worker(0, slots=1),), (1,))
    traffic = at_once([COMPUTE])
    variants = by_name(InstanceMove().variants(recorded(), traffic, topology, HOME))

    assert ["instance", "instance:same-host"] == list(variants)
    assert 2.0 == pytest.approx(slowest_s(variants["instance"], traffic, topology))
    assert 4.0 == pytest.approx(slowest_s(variants["instance:same-host"], traffic, topology))
    _, more = variants["instance"].model(traffic, topology)
    assert ["h", "db", "h (another)"] == [host.name for host in more.hosts]
    assert [0, 2] == [worker.host for worker in more.workers]
    assert more.spread
    assert more.databases == topology.databases


def test_one_more_instance_is_not_yet_where_the_database_is_full() -> None:
    topology = Topology((HOSTS[0], Host("db", 1.0)), (Worker(0),), (1,))

    for variant in InstanceMove().variants(recorded(queue_s=0.5), at_once([EXECUTE]), topology, HOME):
        assert "the database's processor is what is full: 100 %" == variant.why_not_yet


def test_demand_by_hand() -> None:
    """
    Two requests a second, each 0.1 s of computing and 0.2 s of the database, over two workers and four cores each.
    """
    steps: list[Step] = [(Op.COMPUTE, 0, 0.1, 0), (Op.EXECUTE, 1, 0.2, 0)]
    topology = Topology((Host("h", 4.0, background=2.0), Host("db", 4.0)), (Worker(0), Worker(0)), (1,))

    taken = demand(recorded(gap_s=0.625), at_once(steps), topology)

    assert [0.1, 0.0, 0.1, 0.1] == pytest.approx([taken.computing, taken.slots, taken.app_cores, taken.database_cores])
    sync = replace(topology, workers=(Worker(0, slots=2), Worker(0, slots=2)))
    assert 0.5 == demand(recorded(gap_s=0.625), at_once(steps), sync).slots
