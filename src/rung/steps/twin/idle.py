"""
What the traffic would keep busy of each resource if nobody were ever in the way.

In        a Workload, a Topology
Out       shares of each resource's capacity at the recorded rate; above 1 it cannot be served
Not here  what requests wait for one another (simulate.py)

Work asked for does not depend on who waits for it, so no simulation is needed to tell what would be full first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rung.steps.measure import Floats, Integers
from rung.steps.twin.topology import UNLIMITED, Topology
from rung.steps.twin.workload import Op, Workload

TAKING = (Op.COMPUTE, Op.EXECUTE, Op.DELAY, Op.HOLD)  # the steps that take time also where nobody waits


@dataclass(frozen=True, slots=True)
class Share:
    """
    How much of one resource is in use; kind and name are those of Use.
    """

    kind: str
    name: str
    busy: float


def shares_in_use(workload: Workload, topology: Topology) -> tuple[Share, ...]:
    """
    Return the share of each limited resource that the traffic keeps busy, in the order in which Outcome has them.
    """
    span_s = float(workload.due_s[-1] - workload.due_s[0]) if len(workload) else 0.0
    if span_s <= 0:
        return ()
    asked = _Asked(workload, topology)
    found: list[Share] = []
    for number, host in enumerate(topology.hosts):
        free = max(host.cores - host.background, 1e-3)
        found.append(Share("cores", host.name, float(asked.host_s[number]) / free / span_s))
    for number, worker in enumerate(topology.workers):
        limits = (
            ("loop", 1, asked.loop_s),
            ("lock of python", 1, asked.interpreter_s),
            ("slots", worker.slots, asked.inside_s),
            ("pool", worker.pool, asked.pool_s),
            ("threads", worker.threads, asked.threads_s),
        )
        found += [
            Share(kind, str(number), float(held_s[number]) / size / span_s)
            for kind, size, held_s in limits
            if size != UNLIMITED
        ]
    found += [Share("lock", str(which), held_s / span_s) for which, held_s in asked.locks_s.items()]
    return tuple(found)


class _Asked:
    """
    Seconds for which things are had: of hosts their cores, the rest by worker or lock.
    """

    def __init__(self, workload: Workload, topology: Topology) -> None:
        self.workload, self.topology = workload, topology
        self.op, self.request = workload.op, workload.request
        # Who serves a request is drawn where it is not as recorded: each worker has an equal part.
        self.shared = any(worker.slots != UNLIMITED for worker in topology.workers)
        self.even = self.shared or topology.spread
        begun_s, lasted_s = begins(workload)
        computes = self.op == Op.COMPUTE
        entered = np.cumsum(self.op == Op.ENTER) > np.cumsum(self.op == Op.EXIT)
        service_s = workload.service_s
        computing_s = self._by_worker(self.request[computes], service_s[computes])
        on_loop = (computes | (self.op == Op.HOLD)) & ~entered
        threaded = bool((self.op == Op.ENTER).any()) or any(worker.slots > 1 for worker in topology.workers)
        nothing_s = np.zeros(len(topology.workers))
        self.loop_s = nothing_s if self.shared else self._by_worker(self.request[on_loop], service_s[on_loop])
        self.interpreter_s = computing_s if self.shared or threaded else nothing_s
        self.inside_s = self._by_worker(np.arange(len(workload)), lasted_s) if self.shared else nothing_s
        self.pool_s = self._held(Op.TAKE, Op.GIVE, begun_s)
        self.threads_s = self._held(Op.ENTER, Op.EXIT, begun_s)
        self.host_s = np.zeros(len(topology.hosts))
        np.add.at(self.host_s, [worker.host for worker in topology.workers], computing_s)
        executes = (self.op == Op.EXECUTE) | (self.op == Op.HELP)
        host = np.array(topology.databases, dtype=np.int64)[workload.which[executes]]
        np.add.at(self.host_s, host, service_s[executes])
        self.locks_s = self._locks(begun_s)

    def _by_worker(self, request: Integers, seconds_s: Floats) -> Floats:
        count = len(self.topology.workers)
        if self.even:
            return np.full(count, float(seconds_s.sum()) / count)
        return np.bincount(self.workload.worker[request], weights=seconds_s, minlength=count).astype(np.float64)

    def _held(self, take: Op, give: Op, begun_s: Floats) -> Floats:
        """
        Return for how long it is had: the moments of giving back less those of taking, since all are taken in pairs.
        """
        ours = np.flatnonzero((self.op == take) | (self.op == give))
        return self._by_worker(self.request[ours], np.where(self.op[ours] == give, begun_s[ours], -begun_s[ours]))

    def _locks(self, begun_s: Floats) -> dict[int, float]:
        ours = np.flatnonzero((self.op == Op.LOCK) | (self.op == Op.UNLOCK))
        which, place = np.unique(self.workload.which[ours], return_inverse=True)
        signed_s = np.where(self.op[ours] == Op.UNLOCK, begun_s[ours], -begun_s[ours])
        held_s = np.bincount(place, weights=signed_s, minlength=len(which))
        return dict(zip(which.tolist(), held_s.tolist(), strict=True))


def begins(workload: Workload) -> tuple[Floats, Floats]:
    """
    Return when each step begins after its request was due, and how long each request takes, with nobody in the way.
    """
    takes_s = np.where(np.isin(workload.op, TAKING), workload.service_s, 0.0)
    passed_s = np.concatenate([[0.0], np.cumsum(takes_s)])
    first = workload.first
    begun_s = passed_s[:-1] - np.repeat(passed_s[first[:-1]], np.diff(first))
    lasted_s = passed_s[first[1:]] - passed_s[first[:-1]]
    forks = workload.op == Op.FORK
    if forks.any():
        walk = _Walk(workload, takes_s, begun_s)
        for request in np.unique(workload.request[forks]).tolist():
            _, lasted_s[request] = walk.strand(int(first[request]), int(first[request + 1]), 0.0)
    return begun_s, lasted_s


class _Walk:
    """
    Goes through requests that do several things at once, and corrects when their steps begin.
    """

    def __init__(self, workload: Workload, takes_s: Floats, begun_s: Floats) -> None:
        self.op, self.which, self.takes_s = workload.op, workload.which, takes_s
        self.begun_s = begun_s

    def strand(self, step: int, end: int, at_s: float) -> tuple[int, float]:
        """
        Go from *step* to the JOIN of its strand, or to *end*; return the step after it, and when that is.
        """
        while step < end:
            self.begun_s[step] = at_s
            op, step = self.op[step], step + 1
            if op == Op.JOIN:
                break
            at_s += float(self.takes_s[step - 1])
            if op == Op.FORK:
                latest_s = at_s
                for _ in range(int(self.which[step - 1])):
                    step, ended_s = self.strand(step, end, at_s)
                    latest_s = max(latest_s, ended_s)
                at_s = latest_s
        return step, at_s
