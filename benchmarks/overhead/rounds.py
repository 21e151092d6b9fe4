"""
Contenders side by side, asked one after the other: who is asked when, and what comes out.

In        names of contenders, numbers of statements, how many rounds
Out       Cost: for each contender and number of statements the CPU per request, and the difference to bare
Not here  the contenders themselves (contender.py), printing (__main__.py)
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.adapters import launcher

CONTENDERS = {
    "bare": "the app alone",
    "rung-idle": "rung's instruments in place, nobody collects: nothing is recorded, requests are counted",
    "rung": "rung recording, its collector running",
    "otel": "OpenTelemetry SDK, FastAPI and asyncpg instrumentation, batch processor, exporter that does nothing",
    "sentry-off": "Sentry SDK without tracing",
    "sentry-on": "Sentry SDK, every request traced, transport that drops",
}
END_S_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """
    How much is measured.
    """

    rounds: int
    bursts: int  # of each contender in a round, taking turns
    requests: int  # in a burst
    rate_per_s: float | None  # None in process, where one request follows the other


@dataclass(frozen=True, slots=True)
class Cost:
    """
    CPU seconds per request; `added_s` is the median of the differences to bare of the same round, with quartiles.
    """

    contender: str
    statements: int
    cpu_s: float
    added_s: float
    added_s_low: float
    added_s_high: float
    kept: int


class Process:
    """
    A contender's process, and how to ask it.
    """

    def __init__(self, name: str, environment: Mapping[str, str], folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.overhead.contender", name]
        options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.recorded: launcher.Recorded | None = None
        if name == "rung":
            self.recorded = launcher.start(
                command, folder=folder, name="overhead", environment=environment, quiet=True, **options
            )
            self.process = self.recorded.process
        else:
            if name == "rung-idle":
                environment = {
                    **environment,
                    "RUNG_SOCKET": str(folder / "nobody"),
                    "PYTHONPATH": f"{launcher.BOOTSTRAP}{os.pathsep}{environment['PYTHONPATH']}",
                }
            self.process = subprocess.Popen(command, env=environment, **options)
        self.port = 0
        self.requests = 0  # asked so far

    def ask(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """
        Send one line, or none where *document* is empty, and return the next answer.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if document:
            self.process.stdin.write(json.dumps(document).encode() + b"\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def used(self) -> dict[str, Any]:
        """
        Return the CPU that the server used so far.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/cpu")
            used: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return used

    def end(self) -> None:
        """
        End the process.

        Raises:
            RuntimeError: it should have recorded, and the recording does not hold every request.
        """
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.port:
                self.process.terminate()
            self.process.wait(END_S_MAX)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.recorded is not None:
            self.recorded.seal()
            told = json.loads((self.recorded.recording / "recording.json").read_text("utf-8"))
            if told["requests"] < self.requests:
                raise RuntimeError(f"recorded {told['requests']} of {self.requests} requests: {told['dropped']}")


@contextlib.contextmanager
def side_by_side(names: Sequence[str], environment: Mapping[str, str], folder: Path) -> Iterator[dict[str, Process]]:
    """
    Yield the processes of all contenders, ready; leaving ends them.
    """
    processes: dict[str, Process] = {}
    try:
        for name in names:
            processes[name] = Process(name, environment, folder)
        for process in processes.values():
            process.ask({})
        yield processes
    finally:
        for process in processes.values():
            process.end()


@contextlib.contextmanager
def loading(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """
    Yield the process that sends load.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.overhead.load"],
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def measure(processes: Mapping[str, Process], statements: Sequence[int], plan: Plan, load: Any = None) -> list[Cost]:
    """
    Ask every contender in every round, each round beginning with another one.

    What counts is the CPU from the end of one round to the end of the next: what a recorder does in the background
    while others are asked is its own cost, and so is sending what it still holds.
    """
    names = list(processes)
    seen: dict[tuple[str, int], list[float]] = {}
    kept: dict[tuple[str, int], int] = {}
    for count in statements:
        before = _round(processes, names, count, plan, load)  # warms up and does not count
        for number in range(plan.rounds):
            turn = number % len(names)
            after = _round(processes, names[turn:] + names[:turn], count, plan, load)
            for name in names:
                used_s = after[name]["cpu_s"] - before[name]["cpu_s"]
                seen.setdefault((name, count), []).append(used_s / (plan.bursts * plan.requests))
                kept[name, count] = kept.get((name, count), 0) + after[name]["kept"] - before[name]["kept"]
            before = after
    return [_cost(name, count, seen, kept[name, count]) for name in names for count in statements]


def _round(
    processes: Mapping[str, Process], names: Sequence[str], statements: int, plan: Plan, load: Any
) -> dict[str, dict[str, Any]]:
    told = {}
    for burst in range(plan.bursts):
        last = burst == plan.bursts - 1
        for name in names:
            process = processes[name]
            process.requests += plan.requests
            if plan.rate_per_s is None:
                order: dict[str, Any] = {"requests": plan.requests, "statements": statements, "flush": last}
                told[name] = process.ask(order)
                continue
            order = {"port": process.port, "path": f"/statements/{statements}", "rate_per_s": plan.rate_per_s}
            load.stdin.write(json.dumps({**order, "requests": plan.requests}).encode() + b"\n")
            load.stdin.flush()
            answered = json.loads(load.stdout.readline())["answered"]
            if answered != plan.requests:
                raise RuntimeError(f"{name} answered {answered} of {plan.requests} requests")
            if last:
                told[name] = process.used()
    return told


def _cost(name: str, count: int, seen: Mapping[tuple[str, int], list[float]], kept: int) -> Cost:
    pairs = zip(seen[name, count], seen["bare", count], strict=True)
    added_s = [mine - bare for mine, bare in pairs]
    low, middle, high = statistics.quantiles(added_s, n=4, method="inclusive")
    return Cost(name, count, statistics.median(seen[name, count]), middle, low, high, kept)
