"""
Moves: more app processes on the same host, more threads in each of them.

In        a topology, and how much of it the recorded traffic takes
Out       variants: twice and four times the workers; twice and four times the threads
Not here  another host (instance.py)
"""

from __future__ import annotations

from dataclasses import replace

from rung.moves.demand import BUSY_MIN, FULL, WAITED_MIN, Demand, demand, not_waited, waited_share
from rung.steps.measure import Profile
from rung.steps.twin.topology import UNLIMITED, Topology
from rung.steps.twin.variant import Model, Setting, Variant, set_in, unchanged
from rung.steps.twin.workload import Workload
from rung.units import show_count, show_share

TIMES = (2, 4)
PROCESSES = {
    "gunicorn": "gunicorn … --workers {value}",
    "uvicorn": "uvicorn … --workers {value}",
    "granian": "granian … --workers {value}",
    "": "app processes on each host: {value}",
}
SLOTS = {"gunicorn": "gunicorn … --threads {value}", "": "requests at once in each sync worker: {value}"}
THREADS = {
    "anyio": "anyio.to_thread.current_default_thread_limiter().total_tokens = {value}, as the app starts",
    "": "threads in the pool of each app process: {value}",
}


class WorkersMove:
    """
    Offer more app processes on the hosts that there are.
    """

    kind = "workers"
    rung = 4

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        """
        Return two numbers of workers, and why not where the ones there are have time, or the host has none.
        """
        now = len(topology.workers)
        hosts = max(len({worker.host for worker in topology.workers}), 1)
        taken = demand(profile, workload, topology)
        why_not = have_time(profile, goal_route, taken) or processor_full(taken)
        pool = max((worker.pool for worker in topology.workers), default=UNLIMITED)
        return tuple(
            Variant(
                name=f"workers:{now * times}",
                rung=self.rung,
                what=f"{now * times} app processes instead of {now}, on the same host",
                cost=f"the memory of {show_count(now * (times - 1))} more"
                + (f", {show_count(now * (times - 1) * pool)} more connections" if pool != UNLIMITED else ""),
                assumptions=(
                    "requests go to any process that is free, or to each in turn",
                    "what the app keeps in the memory of one process (caches, sessions) is not needed by another",
                ),
                taken_as="setting",
                model=with_workers(now * times),
                setting=set_in(profile, PROCESSES, then=now * times // hosts, now=now // hosts),
                why_not_yet=why_not,
            )
            for times in TIMES
        )


class ThreadsMove:
    """
    Offer more threads: for the requests of a sync worker, else in the thread pool of an async one.
    """

    kind = "threads"
    rung = 4

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        """
        Return two numbers of threads, and why not where none is waited for.
        """
        slots = max((worker.slots for worker in topology.workers), default=UNLIMITED)
        threads = max((worker.threads for worker in topology.workers), default=UNLIMITED)
        if slots != UNLIMITED:
            why_not = have_time(profile, goal_route, demand(profile, workload, topology))
            what = "requests at once in each sync worker"
            return tuple(
                _threads(
                    slots * times,
                    slots,
                    what,
                    with_slots(slots * times),
                    why_not,
                    set_in(profile, SLOTS, then=slots * times, now=slots),
                )
                for times in TIMES
            )
        why_not = not_waited(profile, goal_route, "waiting for a thread", "threads")
        if threads == UNLIMITED:
            return (
                replace(
                    _threads(0, 0, "", unchanged, why_not or NEVER_FULL, None), name=self.kind, what="more threads"
                ),
            )
        what = "threads in the pool of each app process"
        return tuple(
            _threads(
                threads * times,
                threads,
                what,
                with_threads(threads * times),
                why_not,
                set_in(profile, THREADS, then=threads * times, now=threads),
            )
            for times in TIMES
        )


NEVER_FULL = "no thread pool was seen full"


def have_time(profile: Profile, route: str, taken: Demand) -> str:
    """
    Return that the app's workers have time, with the number that says so; "" where they are waited for.
    """
    busy = max(taken.computing, taken.slots)
    waited = waited_share(profile, route, "queue", "loop")
    if busy >= BUSY_MIN or waited >= WAITED_MIN:
        return ""
    return f"an app process is busy {show_share(busy)} of the time, and {show_share(waited)} of {route} waits for one"


def processor_full(taken: Demand) -> str:
    """
    Return that the host has no time for more, with the number that says so; "" where it has.
    """
    return f"the host's processor is what is full: {show_share(taken.app_cores)}" if taken.app_cores >= FULL else ""


def with_workers(count: int) -> Model:
    """
    Return the model in which *count* app processes share the hosts that there are.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        return workload, topology.with_workers(count)

    return model


def with_slots(count: int) -> Model:
    """
    Return the model in which each sync worker takes *count* requests at once.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        workers = tuple(replace(worker, slots=count) for worker in topology.workers)
        return workload, replace(topology, workers=workers)

    return model


def with_threads(count: int) -> Model:
    """
    Return the model in which the thread pool of each app process has *count* threads.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        workers = tuple(replace(worker, threads=count) for worker in topology.workers)
        return workload, replace(topology, workers=workers)

    return model


def _threads(count: int, now: int, what: str, model: Model, why_not: str, setting: Setting | None) -> Variant:
    return Variant(
        name=f"threads:{count}",
        rung=ThreadsMove.rung,
        what=f"{count} {what} instead of {now}",
        cost="memory; a connection each for those that use the database",
        assumptions=(
            "the app's code and libraries may run in several threads",
            "threads of one process take turns at computing (one interpreter uses one core)",
        ),
        taken_as="setting",
        model=model,
        setting=setting,
        why_not_yet=why_not,
    )
