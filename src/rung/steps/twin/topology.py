"""
What the twin runs it on: hosts with cores, app processes with their pools and threads, databases.

In        nothing
Out       the value Topology
Not here  reading one out of a Profile (recover.py)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

UNLIMITED = 0


@dataclass(frozen=True, slots=True)
class Host:
    """
    A machine, whose cores whatever computes there shares in equal parts.

    Attributes:
        cores: How many; a fraction where a container has no more, infinite where it is not known: then nobody waits
            for one, and how full they are is not told.
        background: Cores that are taken by what is not in the recording.
    """

    name: str
    cores: float
    background: float = 0.0


@dataclass(frozen=True, slots=True)
class Worker:
    """
    One app process, with one interpreter's lock.

    Attributes:
        host: Index into Topology.hosts.
        slots: Requests that it takes at once; UNLIMITED for an event loop.
        pool: Connections of its pool; UNLIMITED where requests never waited for one.
        threads: Threads of its thread pool; UNLIMITED likewise.
    """

    host: int
    slots: int = UNLIMITED
    pool: int = UNLIMITED
    threads: int = UNLIMITED


@dataclass(frozen=True, slots=True)
class Topology:
    """
    What there is.

    Attributes:
        databases: The host of each database server, index into hosts.
        spread: Whether requests go to any worker that is free rather than to the one that took them when recorded;
            needed where the workers are not those of the recording.
    """

    hosts: tuple[Host, ...]
    workers: tuple[Worker, ...]
    databases: tuple[int, ...] = ()
    spread: bool = False

    def without_waiting(self, seam: str) -> Topology:
        """
        Return the topology in which nobody waits for a connection ("pool") or for a thread ("threads").
        """
        workers = tuple(replace(worker, **{seam: UNLIMITED}) for worker in self.workers)
        return replace(self, workers=workers)

    def with_workers(self, count: int) -> Topology:
        """
        Return the topology with *count* app processes like those that there are, on the same hosts.
        """
        workers = tuple(self.workers[number % len(self.workers)] for number in range(count))
        return replace(self, workers=workers, spread=True)
