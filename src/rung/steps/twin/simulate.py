"""
Run a workload on a topology: a discrete-event simulation, deterministic for its seed.

Each strand of a request is a generator that asks a resource for something and is resumed when it has it.

In        a Workload, a Topology
Out       an Outcome
Not here  how a resource serves (resources.py), where service times come from (recover.py), whether the result is to
          be believed (calibrate.py)
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Generator
from random import Random
from typing import Any

import numpy as np

from rung.steps.measure import QUEUE
from rung.steps.twin.outcome import Outcome
from rung.steps.twin.resources import Clock, Cores, OwnCores, Process, Resource, Resume, Slots
from rung.steps.twin.topology import UNLIMITED, Topology
from rung.steps.twin.workload import Op, Workload

Strand = Generator[None, Any, None]

COMPUTE, EXECUTE, DELAY, TAKE, GIVE, ENTER, EXIT, LOCK, UNLOCK, FORK, JOIN, ANSWER, HOLD, HELP = map(int, Op)
SPENDING = (COMPUTE, EXECUTE, DELAY, TAKE, ENTER, LOCK, HOLD)  # the steps that take time


class _Run:
    """
    One run of a workload.
    """

    def __init__(self, workload: Workload, topology: Topology, *, speed: float, seed: int) -> None:
        self.workload, self.topology = workload, topology
        self.due_s: list[float] = (workload.due_s / speed).tolist()
        assert bool((np.diff(workload.due_s) >= 0).all())
        self.begun_s = self.due_s[0] if self.due_s else 0.0
        self.until_s = self.due_s[-1] if self.due_s else 0.0
        self.clock = clock = Clock()
        clock.now_s = self.answered_s = self.begun_s
        self.cores = self._cores()
        # What each database executes on.
        self.execute = [self.cores[host].execute for host in topology.databases]
        entered = bool((workload.op == ENTER).any())
        self.processes = [
            Process(clock, str(number), worker, self.cores[worker.host], threaded=entered or worker.slots > 1)
            for number, worker in enumerate(topology.workers)
        ]
        locks = np.unique(workload.which[workload.op == LOCK]).tolist()
        self.locks = {which: Slots(clock, "lock", str(which), 1) for which in locks}
        self.draw = Random(seed)
        # Whoever accepts next: sync workers share one queue, as processes share a listening socket.
        self.backlog: deque[int] = deque()
        self.shared = any(worker.slots != UNLIMITED for worker in topology.workers)
        self.first, self.worker = workload.first.tolist(), workload.worker.tolist()
        self.op, self.part = workload.op.tolist(), workload.part.tolist()
        self.service_s, self.which = workload.service_s.tolist(), workload.which.tolist()
        self.latency_s = [math.nan] * len(workload)
        self.waited_s = [0.0] * max(len(workload.parts), 1)
        self.requests = Resource(clock, "requests", "", math.inf)
        self.queue = workload.part_of(QUEUE)

    def _cores(self) -> list[Cores | OwnCores]:
        """
        Return the cores of each host.
        """
        computing = Counter(worker.host for worker in self.topology.workers)  # a process computes one thing at a time
        found: list[Cores | OwnCores] = []
        for number, host in enumerate(self.topology.hosts):
            crowded = number in self.topology.databases or computing[number] > host.cores - host.background
            found.append(Cores(self.clock, host) if crowded else OwnCores(self.clock, host, self.until_s))
        return found

    def outcome(self) -> Outcome:
        if self.due_s:
            self.clock.call(self.begun_s, self._arrive, 0)
            self.clock.run()
        self.requests.tally()
        lasted_s = self.answered_s - self.begun_s
        spending = np.isin(self.workload.op, SPENDING)
        steps = np.bincount(self.workload.part[spending], minlength=len(self.waited_s))
        return Outcome(
            workload=self.workload,
            latency_s=np.array(self.latency_s, dtype=np.float64),
            waited_s=np.array(self.waited_s) / np.maximum(steps, 1),
            uses=tuple(resource.use() for resource in self._resources() if resource.visits),
            inside=self.requests.held_s / lasted_s if lasted_s > 0 else 0.0,
            lasted_s=lasted_s,
            events=self.clock.calls,
        )

    def _resources(self) -> list[Resource]:
        found: list[Resource] = [*self.cores]
        for process in self.processes:
            found += process.resources()
        return [*found, *self.locks.values()]

    # Arrivals

    def _arrive(self, request: int) -> None:
        self.requests.tally()
        self.requests.used += 1
        if request + 1 < len(self.due_s):
            self.clock.call(self.due_s[request + 1], self._arrive, request + 1)
        else:
            for resource in self._resources():
                resource.tell(self.until_s - self.begun_s)
        if self.shared:
            # On its way it has no worker yet.
            self.clock.call(self.clock.now_s + self._way_s(request), self._reach, request)
        elif self.topology.spread:
            self._begin(request, self.draw.choice(self.processes))
        else:
            self._begin(request, self.processes[self.worker[request]])

    def _way_s(self, request: int) -> float:
        """
        Return how long a request is on its way to a sync worker: what it begins with, where that is no computing.
        """
        step = self.first[request]
        on_its_way = step < self.first[request + 1] and self.op[step] == DELAY and self.part[step] == self.queue
        return self.service_s[step] if on_its_way else 0.0

    def _reach(self, request: int) -> None:
        """
        Have a request that has come to the workers taken by one that is free, or wait for one.
        """
        free = [process for process in self.processes if process.slots.used < process.slots.size]
        if free:
            self._accept(request, free[0] if len(free) == 1 else self.draw.choice(free))
        else:
            self.backlog.append(request)

    def _accept(self, request: int, process: Process) -> None:
        """
        Have a sync worker that is free take a request.
        """
        process.slots.take(_never)
        # Which worker it would be was not known while it waited, so the wait is told of this one.
        way_s = self._way_s(request)
        process.slots.waited_s += self.clock.now_s - self.due_s[request] - way_s
        self._begin(request, process, came=way_s > 0)

    def _begin(self, request: int, process: Process, *, came: bool = False) -> None:
        first = self.first[request] + came
        self._start(self._strand(request, first, self.first[request + 1], process, self._ended))

    def _start(self, strand: Strand) -> None:
        next(strand)
        strand.send(strand.send)

    def _ended(self, request: int, process: Process) -> None:
        if math.isnan(self.latency_s[request]):
            self._answered(request)
        if self.shared:
            process.slots.give()
            if self.backlog:
                self._accept(self.backlog.popleft(), process)

    def _answered(self, request: int) -> None:
        self.answered_s = self.clock.now_s
        self.latency_s[request] = self.answered_s - self.due_s[request]
        self.requests.tally()
        self.requests.used -= 1

    # Requests

    def _strand(
        self, request: int, step: int, end: int, process: Process, ended: Callable[[int, Process], None]
    ) -> Strand:
        """
        Take the steps from *step* to *end*, one after the other.
        """
        clock, op_of, service_of, part_of, which_of = self.clock, self.op, self.service_s, self.part, self.which
        waited_s = self.waited_s
        resume: Resume = yield
        on_loop = not self.shared
        while step < end:
            op = op_of[step]
            if op == COMPUTE or op == HOLD:  # noqa: PLR1714, SIM109 - as a look into a tuple it takes twice as long
                service_s, asked_s = service_of[step], clock.now_s
                if op == COMPUTE:
                    (process.loop if on_loop else process.interpreter).compute(service_s, resume)
                else:
                    (process.loop.hold if on_loop else clock.delay)(service_s, resume)
                yield
                waited_s[part_of[step]] += clock.now_s - asked_s - service_s
            elif op == EXECUTE:
                self.execute[which_of[step]](service_of[step], resume)
                waited_s[part_of[step]] += yield
            elif op == HELP:
                self.execute[which_of[step]](service_of[step], _unheeded)
            elif op == DELAY:
                clock.call(clock.now_s + service_of[step], resume)
                yield
            elif op == TAKE:
                asked_s = clock.now_s
                if not process.pool.take(resume):
                    yield
                    if on_loop:  # the hand-over is a callback of the event loop's
                        process.loop.compute(0.0, resume)
                        yield
                    waited_s[part_of[step]] += clock.now_s - asked_s
            elif op == GIVE:
                process.pool.give()
            elif op == ENTER:
                if not process.threads.take(resume):
                    waited_s[part_of[step]] += yield
                on_loop = False
            elif op == EXIT:
                process.threads.give()
                on_loop = not self.shared
            elif op == LOCK:
                if not self.locks[which_of[step]].take(resume):
                    waited_s[part_of[step]] += yield
            elif op == UNLOCK:
                self.locks[which_of[step]].give()
            elif op == FORK:
                strands, step = self._strands(step, which_of[step])
                if strands:
                    self._fork(request, strands, process, resume)
                    yield
                continue
            elif op == ANSWER:
                self._answered(request)
            step += 1
        del resume  # which holds this generator: it is to go now and not when cycles are looked for
        ended(request, process)
        yield

    def _fork(self, request: int, strands: list[tuple[int, int]], process: Process, resume: Resume) -> None:
        left = len(strands)

        def one_ended(_request: int, _process: Process) -> None:
            nonlocal left
            left -= 1
            if not left:
                self.clock.call(self.clock.now_s, resume)

        for begin, until in strands:
            self._start(self._strand(request, begin, until, process, one_ended))

    def _strands(self, fork: int, strands: int) -> tuple[list[tuple[int, int]], int]:
        """
        Return begin and end of each strand of a fork, and the step after all of them.
        """
        found, step = [], fork + 1
        for _ in range(strands):
            begin, depth = step, 1
            while depth:
                if self.op[step] == FORK:
                    depth += self.which[step]
                elif self.op[step] == JOIN:
                    depth -= 1
                step += 1
            found.append((begin, step - 1))
        return found, step


def _unheeded(_: Any) -> None:
    pass


def _never(_: Any) -> None:
    raise AssertionError("a slot that was free is not waited for")


def simulate(workload: Workload, topology: Topology, *, speed: float = 1.0, seed: int = 0) -> Outcome:
    """
    Run *workload* on *topology* until everything is answered.

    Args:
        speed: By how much faster requests arrive than recorded.
        seed: Of the draws by which requests go to workers, where they do not go where they went.
    """
    return _Run(workload, topology, speed=speed, seed=seed).outcome()
