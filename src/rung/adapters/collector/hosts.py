"""
Sample this host and the programs on it that share its cores with the app.

In        psutil; which processes have reported
Out       rows of the tables `hosts` and `programs` (steps/record.py), differences since the last sample
Not here  when to sample (samplers.py), what the database says of itself (databases.py), what the figures mean

A PostgreSQL server is one row for all of its processes: the CPU of those that have ended counts as that of their
first process's children, so nothing is lost when a connection closes.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from rung import clock

APP, DATABASE, COLLECTOR, LOAD = "app", "database", "collector", "load"
SERVERS = frozenset({"postgres", "postmaster"})
# `rung demo` sends its load itself.
SENDERS = frozenset({"load", "demo"})
# Between fork and exec a new process looks like its parent, so it is looked at again the next time.
LOOKS = 2
# A process that says it started before the operating system made it is another one with its number.
START_SLACK_S = 2.0
PRESSURE = Path("/proc/pressure/cpu")
LOADS = Path("/proc/loadavg")
QUOTA = Path("/sys/fs/cgroup/cpu.max")
_MICRO = 1e-6  # what Linux counts pressure in

Row = tuple[Any, ...]
Counted = tuple[int, float, int]  # processes, processor seconds, bytes


class HostSampler:
    """
    Remembers the counters of the last sample.
    """

    def __init__(self) -> None:
        self.host = socket.gethostname()
        self._at = clock.monotonic_s()
        self._cores = psutil.cpu_count() or 1
        self._allowed = _cores_allowed(self._cores)
        self._times = psutil.cpu_times()
        self._pressure_s = _pressure_s()
        self._programs = Programs()
        self._programs.look(())

    def sample(self, reported: Iterable[tuple[int, float]]) -> dict[str, list[Row]]:
        """
        Return the rows since the last call, by table.

        Args:
            reported: Processes of this host that send, each with the moment at which it says that it started.
        """
        at_s, now = clock.now_s(), clock.monotonic_s()
        lasted_s, self._at = now - self._at, now
        before, self._times = self._times, psutil.cpu_times()
        pressed_s, self._pressure_s = self._pressure_s, _pressure_s()
        memory = psutil.virtual_memory()
        host = (
            self.host, at_s, lasted_s, self._cores, self._allowed,
            sum(self._used_s(before, name) for name in ("user", "nice", "system", "irq", "softirq")),
            self._used_s(before, "iowait"), self._used_s(before, "steal"),
            None if pressed_s is None or self._pressure_s is None else max(0.0, self._pressure_s - pressed_s),
            os.getloadavg()[0], _running(), memory.total, memory.total - memory.available,
            self._used_s(before, "nice"),
        )  # fmt: skip
        programs = [(self.host, at_s, lasted_s, *seen) for seen in self._programs.look(reported)]
        return {"hosts": [host], "programs": programs}

    def _used_s(self, before: Any, name: str) -> float:
        # The kernel's counter of waiting for disks may go back a little (proc(5)); other systems have fewer names.
        return max(0.0, float(getattr(self._times, name, 0.0) - getattr(before, name, 0.0)))


class Programs:
    """
    The processes that share the host's cores with the app, by what they are.
    """

    def __init__(self) -> None:
        self._unknown: dict[int, int] = {}  # pid -> how often it is looked at yet
        self._known: dict[int, tuple[str, psutil.Process]] = {}
        self._apps: dict[int, psutil.Process] = {}
        self._cpu_s: dict[tuple[str, int], float] = {}
        self._self = psutil.Process()

    def look(self, reported: Iterable[tuple[int, float]]) -> Iterator[Row]:
        """
        Return role, pid, number of processes, CPU since the last look and memory of what was there then as well,
        and of the first process its niceness and the processors that it may use.
        """
        self._notice()
        seen: dict[tuple[str, int], Counted] = {(COLLECTOR, self._self.pid): (1, *_used(self._self))}
        for pid, started_s in reported:
            process = self._app(pid, started_s)
            if process is not None:
                self._count(seen, APP, pid, [process])
        for role, pid, processes in self._groups():
            self._count(seen, role, pid, processes)
        rows = [
            (role, pid, count, max(0.0, cpu_s - self._cpu_s[role, pid]), rss_bytes, *_place_of(pid))
            for (role, pid), (count, cpu_s, rss_bytes) in seen.items()
            if (role, pid) in self._cpu_s
        ]
        self._cpu_s = {key: max(cpu_s, self._cpu_s.get(key, 0.0)) for key, (_, cpu_s, _) in seen.items()}
        return iter(rows)

    def _notice(self) -> None:
        there = set(psutil.pids())
        self._known = {pid: known for pid, known in self._known.items() if pid in there}
        self._unknown = {pid: looks for pid, looks in self._unknown.items() if pid in there}
        for pid in there - self._known.keys():
            looks = self._unknown.get(pid, LOOKS)
            if not looks:
                continue
            self._unknown[pid] = looks - 1
            try:
                process = psutil.Process(pid)
                role = role_of(process.name(), process.cmdline())
            except (psutil.Error, OSError):
                continue
            if role is not None:
                self._known[pid] = (role, process)
                del self._unknown[pid]

    def _app(self, pid: int, started_s: float) -> psutil.Process | None:
        process = self._apps.get(pid)
        try:
            if process is None:
                process = self._apps[pid] = psutil.Process(pid)
            if process.is_running() and process.create_time() <= started_s + START_SLACK_S:
                return process
        except (psutil.Error, OSError):
            pass
        self._apps.pop(pid, None)
        return None

    def _groups(self) -> Iterator[tuple[str, int, list[psutil.Process]]]:
        servers: dict[int, list[psutil.Process]] = {}
        for pid, (role, process) in self._known.items():
            if role == LOAD:
                yield LOAD, pid, [process]
                continue
            try:
                parent = process.ppid()
            except (psutil.Error, OSError):
                continue
            first = parent if self._known.get(parent, ("", None))[0] == DATABASE else pid
            servers.setdefault(first, []).append(process)
        for pid, processes in servers.items():
            yield DATABASE, pid, processes

    def _count(
        self, seen: dict[tuple[str, int], Counted], role: str, pid: int, group: Sequence[psutil.Process]
    ) -> None:
        count, cpu_s, private_bytes, shared_bytes = 0, 0.0, 0, 0
        for process in group:
            try:
                times, memory = process.cpu_times(), process.memory_info()
            except (psutil.Error, OSError):
                continue
            count += 1
            cpu_s += times.user + times.system
            if role == DATABASE and process.pid == pid:
                cpu_s += times.children_user + times.children_system
            # A server's processes share its buffers, which each of them counts as its own.
            shared = getattr(memory, "shared", 0) if role == DATABASE else 0
            private_bytes += memory.rss - shared
            shared_bytes = max(shared_bytes, shared)
        if count:
            seen[role, pid] = (count, cpu_s, private_bytes + shared_bytes)


def role_of(name: str, command: Sequence[str]) -> str | None:
    """
    Return what a process is to a recording, None for nothing.

    >>> role_of("postgres", ["postgres: me shop [local] idle"]), role_of("python3", ["python3", "-m", "rung", "load"])
    ('database', 'load')
    """
    if name in SERVERS:
        return DATABASE
    # The first that is named rung: a command recorded by it comes later.
    for place, argument in enumerate(command[:4]):
        if os.path.basename(argument) == "rung":  # noqa: PTH119 - argv is text
            return LOAD if SENDERS.intersection(command[place + 1 : place + 2]) else None
    return None


def _used(process: psutil.Process) -> tuple[float, int]:
    times = process.cpu_times()
    return times.user + times.system, process.memory_info().rss


def _place_of(pid: int) -> tuple[int | None, str | None]:
    """
    Return a process's niceness and the processors that it may use, None where the system does not tell.
    """
    try:
        process = psutil.Process(pid)
        return process.nice(), ",".join(str(processor) for processor in sorted(process.cpu_affinity()))
    except (psutil.Error, OSError, AttributeError):
        return None, None


def _cores_allowed(cores: int) -> float:
    allowed = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores)
    try:
        quota, period = QUOTA.read_text("ascii").split()
        return min(allowed, int(quota) / int(period))
    except (OSError, ValueError):  # another system or no limit, which is the word "max"
        return allowed


def _pressure_s() -> float | None:
    """
    Return for how long so far at least one process was ready to run and had no core, where the kernel counts it.

    Source: Linux, Documentation/accounting/psi.rst.
    """
    try:
        some = PRESSURE.read_text("ascii").splitlines()[0]
        return int(some.rpartition("total=")[2]) * _MICRO
    except (OSError, ValueError, IndexError):
        return None


def _running() -> int | None:
    try:
        return int(LOADS.read_text("ascii").split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return None
