"""
A contender's process: started with its recorder, asked, looked at from outside, ended.

Its CPU is read by the kernel's clock of that process, which sums what getrusage tells of it, all threads included, to
the nanosecond; so nothing has to be asked of the process in between.

In        a contender's name, its app and server; the environment; where the recorder's frames go
Out       Process; a folder of processes side by side
Not here  what it is asked when (rounds.py), what runs in it (contender.py)
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.overhead.load import Client
from rung import clock
from rung.adapters import launcher

CONTENDERS = {
    "bare": "the app alone",
    "rung-idle": "rung's instruments in place, nobody collects: nothing is recorded, requests are counted",
    "rung": "rung recording, its collector running",
    "otel": "OpenTelemetry SDK, instrumentation of framework and driver, batch processor, exporter that does nothing",
    "sentry-off": "Sentry SDK without tracing",
    "sentry-on": "Sentry SDK, every request traced, transport that drops",
}
# Frames go to a socket that is only read; without digests, or with all of them.
COUNTED = {"rung-counted": {}, "rung-plain": {"RUNG_DIGESTS": "off"}, "rung-digests": {}}
LINUX = os.uname().sysname == "Linux"
END_S_MAX = 20.0
QUIET_S = 0.1


@dataclass(frozen=True, slots=True)
class Kept:
    """
    What the recording of a contender that records holds, and what it was asked.
    """

    asked: int
    requests: int
    dropped: int


class Sink:
    """
    A socket that takes the recorder's frames, counts their bytes and keeps nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.taken_bytes = 0
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._listening.accept()
                threading.Thread(target=self._take, args=(stream,), daemon=True).start()

    def _take(self, stream: socket.socket) -> None:
        with stream, contextlib.suppress(OSError):
            while data := stream.recv(1 << 20):
                self.taken_bytes += len(data)

    def settled_bytes(self) -> int:
        """
        Return the bytes taken once no more come.
        """
        while True:
            taken_bytes = self.taken_bytes
            clock.sleep(QUIET_S)
            if taken_bytes == self.taken_bytes:
                return taken_bytes

    def close(self) -> None:
        """
        Listen no more.
        """
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


class Process:
    """
    A contender's process, and how to ask it.

    Attributes:
        asked: Requests so far.
        thread_s: CPU of the app's thread in its requests, as it last said; nothing behind a server.
        kept: What its recorder kept so far, as it last said.
    """

    def __init__(self, name: str, app: str, server: str, environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.asked = self.kept = 0
        self.thread_s = 0.0
        self.sink: Sink | None = None
        self.recorded: launcher.Recorded | None = None
        self._client: Client | None = None
        self._keeps_alive = server == "uvicorn"
        self._forks = server == "gunicorn"
        command = [sys.executable, "-m", "benchmarks.overhead.contender", name, app, server]
        options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        if name == "rung":
            self.recorded = launcher.start(
                command, folder=folder, name="overhead", environment=environment, quiet=True, **options
            )
            self.process = self.recorded.process
            return
        if name in COUNTED:
            self.sink = Sink(folder / f"sink-{name}-{app}-{server}")
        if name.startswith("rung"):
            environment = {
                **environment,
                **COUNTED.get(name, {}),
                "RUNG_SOCKET": str(self.sink.path if self.sink else folder / "nobody"),
                "PYTHONPATH": f"{launcher.BOOTSTRAP}{os.pathsep}{environment['PYTHONPATH']}",
            }
        self.process = subprocess.Popen(command, env=dict(environment), **options)

    def begin(self) -> None:
        """
        Wait until it answers.
        """
        told = self._told()
        self.pid = self.process.pid
        if "port" not in told:
            return
        self._client = Client(told["port"], keeps_alive=self._keeps_alive)
        self._client.ask("/kept", 1)
        if self._forks:
            (worker,) = psutil.Process(self.pid).children()
            self.pid = worker.pid

    def send(self, path: str, requests: int, *, flush: bool = False) -> None:
        """
        Have it asked so many times, without waiting for that; only where there is no server.
        """
        assert self.process.stdin is not None
        self.asked += requests
        self.process.stdin.write(json.dumps({"path": path, "requests": requests, "flush": flush}).encode() + b"\n")
        self.process.stdin.flush()

    def answered(self) -> None:
        """
        Wait for what `send` asked.
        """
        told = self._told()
        self.thread_s, self.kept = told["thread_s"], told["kept"] or self.kept

    def ask(self, path: str, requests: int, *, flush: bool = False) -> None:
        """
        Ask so many times, one after the other.
        """
        if self._client is None:
            self.send(path, requests, flush=flush)
            self.answered()
            return
        self.asked += requests
        self._client.ask(path, requests)
        if flush:
            self.kept = int(self._client.ask("/kept", 1))

    def saturate(self, path: str, connections: int, lasts_s: float) -> float:
        """
        Ask over several connections at once for a time, and return requests per second.
        """
        assert self._client is not None
        answered, lasted_s = self._client.saturate(path, connections, lasts_s)
        self.asked += answered
        return answered / lasted_s

    def cpu_s(self) -> float:
        """
        Return the CPU that the process, or the server's worker, used so far.
        """
        if LINUX:
            return time.clock_gettime((~self.pid << 3) | 2)  # clock_getcpuclockid(3), of its CPUCLOCK_SCHED
        used = psutil.Process(self.pid).cpu_times()
        return float(used.user + used.system)

    def rss_bytes(self) -> int:
        """
        Return the memory that it has.
        """
        return int(psutil.Process(self.pid).memory_info().rss)

    def _told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended")
        told: dict[str, Any] = json.loads(line)
        return told

    def leave(self) -> None:
        """
        Have it end, without waiting for that.
        """
        if self._client is not None:
            self._client.close()
            self.process.terminate()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def end(self) -> Kept | None:
        """
        See that it ended; return what its recording holds, where it has one.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_S_MAX)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.sink is not None:
            self.sink.close()
        if self.recorded is None:
            return None
        self.recorded.seal()
        told = json.loads((self.recorded.recording / "recording.json").read_text("utf-8"))
        return Kept(self.asked, told["requests"], told["dropped"]["requests"])


@contextlib.contextmanager
def side_by_side(
    names: Sequence[str], app: str, server: str, environment: Mapping[str, str], folder: Path, kept: list[Kept]
) -> Iterator[dict[str, Process]]:
    """
    Yield the processes of all contenders, ready; leaving ends them, and tells in *kept* what was recorded.
    """
    processes: dict[str, Process] = {}
    try:
        for name in names:
            processes[name] = Process(name, app, server, environment, folder)
        for process in processes.values():
            process.begin()
        yield processes
    finally:
        for process in processes.values():
            process.leave()
        for process in processes.values():
            told = process.end()
            if told is not None:
                kept.append(told)
