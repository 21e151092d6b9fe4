"""
What the twin runs: requests as they arrived, each a list of steps with the waiting taken out.

In        nothing
Out       the value Workload, and Script, by which one is written
Not here  making one out of a Profile (recover.py), running it (simulate.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from rung.steps.measure import Floats, Integers, Part


class Op(IntEnum):
    """
    What a step asks for.

    COMPUTE   service_s of its worker: of the event loop, or in a thread under the interpreter's lock
    EXECUTE   service_s of a core of the database's host; `which` is the database
    HELP      as EXECUTE, and nobody waits for it: a parallel worker beside the execution that follows
    HOLD      service_s of the event loop, which only waits: a call that blocks; in a thread it is a DELAY
    DELAY     service_s of nobody else's: a round trip, a call elsewhere, a commit
    TAKE      a connection of its worker's pool
    GIVE      that connection back
    ENTER     a thread of its worker's thread pool: what it computes until EXIT is no longer the event loop's
    EXIT      that thread back
    LOCK      the lock `which`, for itself alone
    UNLOCK    the lock `which` back
    FORK      the strands that follow, `which` of them, each up to its JOIN, side by side; goes on when all ended
    JOIN      a strand ends
    ANSWER    the last byte of the response: what follows, nobody waits for
    """

    COMPUTE = 0
    EXECUTE = 1
    DELAY = 2
    TAKE = 3
    GIVE = 4
    ENTER = 5
    EXIT = 6
    LOCK = 7
    UNLOCK = 8
    FORK = 9
    JOIN = 10
    ANSWER = 11
    HOLD = 12
    HELP = 13


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """
    Requests ready to be run again.  Columns, one entry a request or one a step; times are seconds.

    A request's steps are `first[request]` up to `first[request + 1]`, in the order in which they are taken.

    Attributes:
        routes: Method and template.
        parts: What steps are spent on; the first is the app's own computing.
        route: Index into routes, of each request, in order of arrival.
        worker: Index into Topology.workers: who took it when it was recorded.
        due_s: When it arrived.
        counted: Whether it is told in the results, and not there to warm the twin up.
        first: Where its steps begin; one entry more than there are requests.
        op: What each step asks for (Op).
        part: Index into parts: what it is spent on.
        service_s: How long it takes with nobody in the way.
        which: The database, lock or number of strands; 0 where the op needs none.
    """

    routes: tuple[str, ...]
    parts: tuple[Part, ...]
    route: Integers
    worker: Integers
    due_s: Floats
    counted: np.ndarray
    first: Integers
    op: Integers
    part: Integers
    service_s: Floats
    which: Integers

    def __len__(self) -> int:
        return len(self.route)

    @property
    def request(self) -> Integers:
        """
        The request of each step.
        """
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def part_of(self, part: Part) -> int:
        """
        Return the index of *part*, -1 where no step is spent on it.
        """
        return self.parts.index(part) if part in self.parts else -1


Step = tuple[Op, int, float, int]  # op, part, service_s, which


def workload(
    *,
    routes: Sequence[str],
    parts: Sequence[Part],
    route: Sequence[int],
    worker: Sequence[int],
    due_s: Sequence[float],
    steps: Sequence[Sequence[Step]],
) -> Workload:
    """
    Return a Workload written out request by request, every one of them counted.
    """
    flat = [step for each in steps for step in each]
    columns = list(zip(*flat, strict=True)) if flat else [(), (), (), ()]
    return Workload(
        routes=tuple(routes),
        parts=tuple(parts),
        route=np.array(route, dtype=np.int64),
        worker=np.array(worker, dtype=np.int64),
        due_s=np.array(due_s, dtype=np.float64),
        counted=np.ones(len(route), dtype=np.bool_),
        first=np.concatenate([[0], np.cumsum([len(each) for each in steps])]).astype(np.int64),
        op=np.array(columns[0], dtype=np.int64),
        part=np.array(columns[1], dtype=np.int64),
        service_s=np.array(columns[2], dtype=np.float64),
        which=np.array(columns[3], dtype=np.int64),
    )
