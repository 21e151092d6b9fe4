"""
What a simulated request takes turns on: the clock, cores, event loops, the interpreter's lock, pools.

Cores are shared in equal parts by whatever computes on a host (processor sharing); an event loop takes one callback
after the other; threads take turns on the interpreter's lock; connections, threads and locks are handed over first
come, first served.  A resource is asked with a function to resume; it is called when the resource has served.

In        hosts and workers of a Topology
Out       resources that serve, and the account of each: Use
Not here  what a request asks for, and in which order (simulate.py)

Source of the virtual time in Cores: Parekh and Gallager 1993, generalised processor sharing; of the lock's turns:
CPython's ceval_gil.c and sys.getswitchinterval().
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from rung.steps.twin.outcome import Use
from rung.steps.twin.topology import UNLIMITED, Host, Worker

SWITCH_S = 5e-3  # sys.getswitchinterval(): how long a thread waits for the interpreter before it has it taken away
ROUNDING_S = 1e-9  # jobs that end within it end together

Resume = Callable[[Any], Any]


class Clock:
    """
    What is to happen, in order of time.

    Attributes:
        now_s: Simulated.
        calls: Asked for so far; once all is over, how many things happened.
    """

    __slots__ = ("_soon", "calls", "now_s")

    def __init__(self) -> None:
        self.now_s = 0.0
        self.calls = 0
        self._soon: list[tuple[float, int, Resume, Any]] = []

    def call(self, at_s: float, resume: Resume, value: Any = None) -> None:
        """
        Have *resume* called with *value* at that time; what is due at one time is called in the order asked.
        """
        self.calls = number = self.calls + 1
        heappush(self._soon, (at_s, number, resume, value))

    def delay(self, delay_s: float, resume: Resume) -> None:
        """
        Have *resume* called after a while that is in nobody's way.
        """
        self.call(self.now_s + delay_s, resume)

    def run(self) -> None:
        """
        Let everything happen.
        """
        soon = self._soon
        while soon:
            self.now_s, _, resume, value = heappop(soon)
            resume(value)


class Resource:
    """
    Anything that is used and waited for, and the account of it.
    """

    __slots__ = ("_clock", "_since_s", "_told_s", "held_s", "kind", "name", "size", "used", "visits", "waited_s")

    def __init__(self, clock: Clock, kind: str, name: str, size: float) -> None:
        self.kind, self.name, self.size = kind, name, size
        self.used = 0.0
        self.visits = 0
        self.waited_s = 0.0
        self._clock = clock
        self.held_s = 0.0
        self._since_s = clock.now_s
        self._told_s = math.nan

    def tally(self) -> None:
        """
        Count the use until now; to be called before it changes.
        """
        now_s = self._clock.now_s
        self.held_s += (now_s - self._since_s) * self.used
        self._since_s = now_s

    def tell(self, lasted_s: float) -> None:
        """
        Take the use until now, in *lasted_s*, for the one to be told: what comes after is no traffic but its end.
        """
        self.tally()
        capacity_s = lasted_s * self.size
        self._told_s = self.held_s / capacity_s if 0 < capacity_s < math.inf else math.nan

    def use(self) -> Use:
        """
        Return the account.
        """
        wait_s = self.waited_s / self.visits if self.visits else 0.0
        return Use(kind=self.kind, name=self.name, busy=self._told_s, visits=self.visits, wait_s=wait_s)


class Cores(Resource):
    """
    The cores of a host, shared in equal parts; nobody has more than one.

    Virtual time runs at the rate that each one has, so that a job ends when it has advanced by its service, whoever
    comes and goes meanwhile.
    """

    __slots__ = ("_ends_s", "_jobs", "_plan", "_rate", "_virtual_s")

    def __init__(self, clock: Clock, host: Host) -> None:
        super().__init__(clock, "cores", host.name, max(host.cores - host.background, 1e-3))
        self._jobs: list[tuple[float, int, float, Resume]] = []
        self._virtual_s = 0.0
        self._rate = 1.0
        self._plan = 0  # only the newest end that was planned holds
        self._ends_s = math.inf

    def execute(self, service_s: float, resume: Resume) -> None:
        """
        Have *service_s* of a core, and be resumed with the time that it took longer than that.
        """
        now_s = self._clock.now_s
        elapsed_s = now_s - self._since_s
        if elapsed_s:  # as tally does; what comes at once comes often
            self.held_s += elapsed_s * self.used
            self._virtual_s += elapsed_s * self._rate
            self._since_s = now_s
        self.visits = number = self.visits + 1
        end_s = self._virtual_s + service_s
        heappush(self._jobs, (end_s, number, now_s + service_s, resume))
        self._share()
        # An end that others put off is looked at when it was planned, and then planned anew.
        if end_s < self._ends_s:
            self._plan_end()

    def tally(self) -> None:
        """
        Count the use until now, and let virtual time catch up.
        """
        now_s = self._clock.now_s
        elapsed_s = now_s - self._since_s
        self.held_s += elapsed_s * self.used
        self._virtual_s += elapsed_s * self._rate
        self._since_s = now_s

    def _share(self) -> None:
        jobs = len(self._jobs)
        if jobs <= self.size:
            self.used, self._rate = jobs, 1.0
        else:
            self.used, self._rate = self.size, self.size / jobs

    def _plan_end(self) -> None:
        self._plan += 1
        self._ends_s = ends_s = self._jobs[0][0]
        self._clock.call(self._clock.now_s + (ends_s - self._virtual_s) / self._rate, self._look, self._plan)

    def _look(self, plan: int) -> None:
        if plan != self._plan:
            return
        self.tally()
        jobs, now_s, reached_s = self._jobs, self._clock.now_s, self._virtual_s + ROUNDING_S
        while jobs and jobs[0][0] <= reached_s:
            _, _, at_best_s, resume = heappop(jobs)
            self._share()
            late_s = now_s - at_best_s if now_s > at_best_s else 0.0
            self.waited_s += late_s
            resume(late_s)
        if jobs:
            self._plan_end()
        else:
            self._ends_s = math.inf


class OwnCores(Resource):
    """
    The cores of a host on which there are never more jobs than cores: nobody is ever in the way.
    """

    __slots__ = ("until_s",)

    def __init__(self, clock: Clock, host: Host, until_s: float) -> None:
        super().__init__(clock, "cores", host.name, host.cores - host.background)
        self.until_s = until_s

    def execute(self, service_s: float, resume: Resume) -> None:
        """
        Have *service_s* of a core, and be resumed after it.
        """
        self.visits += 1
        now_s = self._clock.now_s
        end_s = now_s + service_s
        self.held_s += service_s if end_s <= self.until_s else max(self.until_s - now_s, 0.0)
        self._clock.call(end_s, resume, 0.0)


class Slots(Resource):
    """
    A number of equal things, handed over first come, first served: connections, threads, a lock, requests at once.
    """

    __slots__ = ("_queue",)

    def __init__(self, clock: Clock, kind: str, name: str, size: int) -> None:
        super().__init__(clock, kind, name, math.inf if size == UNLIMITED else size)
        self._queue: deque[tuple[float, Resume]] = deque()

    def take(self, resume: Resume) -> bool:
        """
        Take one; False where none is free: *resume* is then called with the time waited.
        """
        self.visits += 1
        if self.used < self.size:
            self.tally()
            self.used += 1
            return True
        self._queue.append((self._clock.now_s, resume))
        return False

    def give(self) -> None:
        """
        Give one back, to whoever has waited longest.
        """
        if self._queue:
            since_s, resume = self._queue.popleft()
            waited_s = self._clock.now_s - since_s
            self.waited_s += waited_s
            self._clock.call(self._clock.now_s, resume, waited_s)
        else:
            self.tally()
            self.used -= 1


class OneByOne(Resource):
    """
    What does one thing after the other, each to its end: an event loop, an interpreter with a single thread.
    """

    __slots__ = ("_compute", "_queue", "_running")

    def __init__(self, clock: Clock, kind: str, name: str, compute: Callable[[float, Resume], None]) -> None:
        super().__init__(clock, kind, name, 1)
        self._compute = compute
        self._queue: deque[tuple[float, float, Resume, Callable[[float, Resume], None]]] = deque()
        self._running: Resume

    def compute(self, service_s: float, resume: Resume) -> None:
        """
        Have *service_s* of computing, after what was asked for before, and be resumed after it.
        """
        self._do(self._compute, service_s, resume)

    def hold(self, service_s: float, resume: Resume) -> None:
        """
        Have everybody wait for *service_s* in which nothing is computed, and be resumed after it.
        """
        self._do(self._clock.delay, service_s, resume)

    def _do(self, do: Callable[[float, Resume], None], service_s: float, resume: Resume) -> None:
        self.visits += 1
        if self.used:
            self._queue.append((self._clock.now_s, service_s, resume, do))
            return
        self.tally()
        self.used = 1
        self._running = resume
        do(service_s, self._over)

    def _over(self, _: Any) -> None:
        resume = self._running
        if self._queue:
            since_s, service_s, self._running, do = self._queue.popleft()
            self.waited_s += self._clock.now_s - since_s
            do(service_s, self._over)
        else:
            self.tally()
            self.used = 0
        resume(None)


class Interpreter(Resource):
    """
    One interpreter's lock: a thread that has waited SWITCH_S for it has it taken from the one that computes.

    Who wants it joins the end, and so does who lost it.
    """

    __slots__ = ("_begun_s", "_execute", "_left_s", "_queue", "_running", "_turn_s")

    def __init__(self, clock: Clock, name: str, execute: Callable[[float, Resume], None]) -> None:
        super().__init__(clock, "lock of python", name, 1)
        self._execute = execute
        self._queue: deque[tuple[float, float, Resume]] = deque()
        self._running: Resume
        self._begun_s = 0.0
        self._left_s = 0.0
        self._turn_s = 0.0

    def compute(self, service_s: float, resume: Resume) -> None:
        """
        Have *service_s* of computing, in turns with the others, and be resumed after it.
        """
        self.visits += 1
        if self.used:
            self._queue.append((self._clock.now_s, service_s, resume))
        else:
            self.tally()
            self.used = 1
            self._begin(service_s, resume)

    def _begin(self, service_s: float, resume: Resume) -> None:
        self._begun_s, self._left_s, self._running = self._clock.now_s, service_s, resume
        self._run(SWITCH_S)

    def _run(self, turn_s: float) -> None:
        self._turn_s = turn_s = min(turn_s, self._left_s)
        self._execute(turn_s, self._over)

    def _over(self, _: Any) -> None:
        now_s, resume = self._clock.now_s, self._running
        self._left_s -= self._turn_s
        if self._left_s <= 0:
            self._next()
            resume(None)
        elif not self._queue:
            self._run(SWITCH_S)
        else:
            asked_s = max(self._begun_s, self._queue[0][0])
            rest_s = asked_s + SWITCH_S - now_s
            if rest_s > ROUNDING_S:
                self._run(rest_s)
            else:
                self._queue.append((now_s, self._left_s, resume))
                self._next()

    def _next(self) -> None:
        if not self._queue:
            self.tally()
            self.used = 0
            del self._running
            return
        since_s, service_s, resume = self._queue.popleft()
        self.waited_s += self._clock.now_s - since_s
        self._begin(service_s, resume)


class Process:
    """
    One app process: its event loop, its interpreter's lock, its pool, its threads, and the requests it takes at once.
    """

    __slots__ = ("interpreter", "loop", "pool", "slots", "threads")

    def __init__(self, clock: Clock, name: str, worker: Worker, cores: Cores | OwnCores, *, threaded: bool) -> None:
        self.interpreter: Interpreter | OneByOne
        if threaded:
            self.interpreter = Interpreter(clock, name, cores.execute)
            self.loop = OneByOne(clock, "loop", name, self.interpreter.compute)
        else:
            self.interpreter = OneByOne(clock, "lock of python", name, cores.execute)
            self.loop = OneByOne(clock, "loop", name, cores.execute)
        self.pool = Slots(clock, "pool", name, worker.pool)
        self.threads = Slots(clock, "threads", name, worker.threads)
        self.slots = Slots(clock, "slots", name, worker.slots)

    def resources(self) -> list[Resource]:
        """
        Return all of them.
        """
        return [self.loop, self.interpreter, self.slots, self.pool, self.threads]
