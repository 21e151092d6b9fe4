"""
How much of what there is the recorded traffic takes, and how much of a route's time is waited: when a move is not yet.

In        a Profile; a Workload and the Topology that it ran on
Out       shares of one
Not here  what waiting becomes when something changes (steps/twin/simulate.py)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rung.steps.measure import QUEUE, Profile
from rung.steps.twin.topology import UNLIMITED, Topology
from rung.steps.twin.workload import Op, Workload
from rung.units import show_share

WAITED_MIN = 0.01  # of a route's time; a wait below it is worth no move
BUSY_MIN = 0.5  # below it, somebody who comes at a random time rather finds it free
FULL = 0.9  # from here on it is what is full, and more of anything else only waits for it


@dataclass(frozen=True, slots=True)
class Demand:
    """
    What is in use on average, as shares of one; the busiest of several.

    Attributes:
        computing: Of an app process's time, what it computes.
        slots: Of the requests that sync workers can take at once, how many are inside; 0 for event loops.
        app_cores: Of the cores of the hosts with app processes, whatever computes there.
        database_cores: Of those of the hosts with databases, likewise.
    """

    computing: float
    slots: float
    app_cores: float
    database_cores: float


def demand(profile: Profile, workload: Workload, topology: Topology) -> Demand:
    """
    Return what the recorded traffic takes, requests spread evenly over the workers.
    """
    counted = workload.counted[workload.request]
    requests = max(int(workload.counted.sum()), 1)
    rate_per_s = profile.requests_all / max(profile.lasted_s, 1e-9)

    def cores_of(chosen: np.ndarray) -> float:
        return float(workload.service_s[chosen & counted].sum()) / requests * rate_per_s

    computing = cores_of(workload.op == Op.COMPUTE)
    used = np.zeros(len(topology.hosts))
    for worker in topology.workers:
        used[worker.host] += computing / len(topology.workers)
    for number, host in enumerate(topology.databases):
        used[host] += cores_of(np.isin(workload.op, (Op.EXECUTE, Op.HELP)) & (workload.which == number))
    free = [max(host.cores - host.background, 1e-3) for host in topology.hosts]
    full = [min(float(each), 1.0) for each in used / free]
    slots = sum(worker.slots for worker in topology.workers if worker.slots != UNLIMITED)
    inside_s = profile.requests.latency_s - profile.requests.queue_s
    return Demand(
        computing=min(computing / max(len(topology.workers), 1), 1.0),
        slots=min(float(inside_s.mean()) * rate_per_s / slots, 1.0) if slots else 0.0,
        app_cores=max((full[worker.host] for worker in topology.workers), default=0.0),
        database_cores=max((full[host] for host in topology.databases), default=0.0),
    )


def waited_share(profile: Profile, route: str, *seams: str) -> float:
    """
    Return which share of the time of a route's requests is spent on segments of these seams.
    """
    chosen = profile.requests.route == profile.routes.index(route)
    spent_s = sum(float(_seconds(profile, seam)[chosen].sum()) for seam in seams)
    total_s = float(profile.requests.latency_s[chosen].sum())
    return spent_s / total_s if total_s else 0.0


def not_waited(profile: Profile, route: str, what: str, *seams: str) -> str:
    """
    Return why taking a wait away is not worth it yet, "" where it is.
    """
    share = waited_share(profile, route, *seams)
    return f"{what} is {show_share(share)} of the time of {route}" if share < WAITED_MIN else ""


def _seconds(profile: Profile, seam: str) -> np.ndarray:
    return profile.seconds_on(QUEUE) if seam == QUEUE.seam else profile.seconds_on_seam(seam)
