"""
Run a real collector against synthetic traffic and read what it used.

In        a plan: requests a second, segments of a request, seconds
Out       Cost: CPU of the collector as a share of one core, memory, bytes on disk per request
Not here  the frames (traffic.py), the command line (__main__.py)
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from benchmarks.collector import readers, traffic
from rung import clock

TURN_S = 0.5  # as often as the probe sends
END_S_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """
    One round's traffic.
    """

    rate_per_s: int
    segments: int
    processes: int
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What one round took.

    Attributes:
        cpu_share: CPU of the collector while traffic came, as a share of one core.
        sealing_cpu_s: CPU from the last request to its end.
        rss_bytes: The most memory seen.
        bytes_per_request: Size of the sealed folder by requests in it.
        read: What those got who read meanwhile.
    """

    requests: int
    cpu_share: float
    sealing_cpu_s: float
    rss_bytes: int
    bytes_per_request: float
    read: readers.Read


@contextmanager
def collecting(environment: Mapping[str, str]) -> Iterator[tuple[psutil.Popen, str, Path, int]]:
    """
    Yield a collector, its socket, its recording and the end of the lifeline that ends it when it is closed.
    """
    with TemporaryDirectory(prefix="rung-collector-") as home:
        recording, private = Path(home) / "recording", Path(home) / "private"
        recording.mkdir()
        private.mkdir(mode=0o700)
        reading, writing = os.pipe()
        command = [
            sys.executable, "-P", "-m", "rung.adapters.collector", "--folder", str(recording),
            "--socket", str(private / "s"), "--lifeline", str(reading), "--name", "bench",
        ]  # fmt: skip
        process = psutil.Popen(command, pass_fds=(reading,), stdout=subprocess.PIPE, env=dict(environment))
        os.close(reading)
        try:
            with process.stdout as said:
                assert said.readline() == b"listening\n"
            yield process, str(private / "s"), recording, writing
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def measure(plan: Plan, environment: Mapping[str, str], *, seed: int, views: str = readers.NONE) -> Cost:
    """
    Return what *plan* took; *views* are read meanwhile.
    """
    read = readers.Read()
    with readers.reading(views, read) as more:
        return _measured(plan, {**environment, **more}, seed, read)


def _measured(plan: Plan, environment: Mapping[str, str], seed: int, read: readers.Read) -> Cost:
    generator = np.random.default_rng(seed)
    with collecting(environment) as (process, path, recording, lifeline):
        streams = [_connected(path, worker) for worker in range(1, plan.processes + 1)]
        first = [1] * len(streams)
        each = round(plan.rate_per_s * TURN_S / len(streams))
        warm_s = min(4.0, plan.lasts_s / 3)  # imports and the first file of each table
        begun_s = clock.monotonic_s()
        turns, warm, rss_bytes = 0, 0.0, 0
        while (turn_s := turns * TURN_S) < warm_s + plan.lasts_s:
            for place, stream in enumerate(streams):
                frame = traffic.batch(
                    generator, requests=each, segments=plan.segments, first=first[place],
                    from_s=clock.now_s() - TURN_S, lasted_s=TURN_S,
                )  # fmt: skip
                stream.sendall(frame)
                first[place] += each
            rss_bytes = max(rss_bytes, process.memory_info().rss)
            if turn_s < warm_s <= turn_s + TURN_S:
                warm, warmed_s = _cpu_s(process), clock.monotonic_s()
            turns += 1
            clock.sleep(max(0.0, begun_s + turns * TURN_S - clock.monotonic_s()))
        used_s, lasted_s = _cpu_s(process) - warm, clock.monotonic_s() - warmed_s
        before_s = _cpu_s(process)
        for stream in streams:
            stream.close()
        os.close(lifeline)
        sealing_s = _cpu_until_its_end(process) - before_s
        requests = sum(first) - len(first)
        size_bytes = sum(file.stat().st_size for file in recording.iterdir())
        return Cost(requests, used_s / lasted_s, sealing_s, rss_bytes, size_bytes / requests, read)


def _connected(path: str, worker: int) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.connect(path)
    stream.sendall(traffic.greeting(worker, clock.now_s()))
    return stream


def _cpu_s(process: psutil.Popen) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _cpu_until_its_end(process: psutil.Popen) -> float:
    # Of a process that is gone nobody tells; the last look before that is near enough.
    seen_s, until = 0.0, clock.monotonic_s() + END_S_MAX
    while process.poll() is None and clock.monotonic_s() < until:
        try:
            seen_s = max(seen_s, _cpu_s(process))
        except psutil.Error:
            break
        clock.sleep(0.02)
    return seen_s
