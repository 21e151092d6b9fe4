"""
Move: one more identical instance of the app, on a host of its own or on the same one.

In        a topology, and how much of it the recorded traffic takes
Out       two variants
Not here  whether the app is stateless (rung doors, rung prove), more processes in one instance (workers.py)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from rung.moves.demand import FULL, Demand, demand
from rung.moves.workers import have_time, processor_full
from rung.steps.measure import Profile
from rung.steps.twin.topology import Topology
from rung.steps.twin.variant import Model, Variant
from rung.steps.twin.workload import Workload
from rung.units import show_share


class InstanceMove:
    """
    Offer the instance that stands on the host with most app processes once more.
    """

    kind = "instance"
    rung = 5

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        """
        Return one more instance on its own host, and on the same; why not where it is the database that is full.
        """
        if not topology.workers:
            return ()
        taken = demand(profile, workload, topology)
        why_not = database_full(taken) or have_time(profile, goal_route, taken)
        own = _variant("instance", "one more instance, on a host of its own", "a host", on_own_host, why_not)
        same = _variant(
            "instance:same-host",
            "one more instance, on the same host",
            "the memory of one more",
            on_same_host,
            why_not or processor_full(taken),
        )
        return own, same


def database_full(taken: Demand) -> str:
    """
    Return that the database is what is full, with the number that says so; "" where it is not.
    """
    full = taken.database_cores >= FULL and taken.computing < FULL
    return f"the database's processor is what is full: {show_share(taken.database_cores)}" if full else ""


def on_own_host(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
    """
    Add a host like the one with most app processes, with as many of them and nothing else on it.
    """
    host = _host(topology)
    added = replace(topology.hosts[host], name=f"{topology.hosts[host].name} (another)", background=0.0)
    workers = tuple(replace(worker, host=len(topology.hosts)) for worker in topology.workers if worker.host == host)
    return workload, replace(
        topology, hosts=(*topology.hosts, added), workers=(*topology.workers, *workers), spread=True
    )


def on_same_host(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
    """
    Add to the host with most app processes as many again.
    """
    host = _host(topology)
    workers = tuple(worker for worker in topology.workers if worker.host == host)
    return workload, replace(topology, workers=(*topology.workers, *workers), spread=True)


def _host(topology: Topology) -> int:
    return Counter(worker.host for worker in topology.workers).most_common(1)[0][0]


def _variant(name: str, what: str, cost: str, model: Model, why_not: str) -> Variant:
    return Variant(
        name=name,
        rung=InstanceMove.rung,
        what=what,
        cost=cost,
        assumptions=(
            "the app is stateless: any instance can answer any request",
            "the load balancer spreads requests evenly",
            "the app processes of one host are one instance",
        ),
        taken_as="hand",
        model=model,
        why_not_yet=why_not,
    )
