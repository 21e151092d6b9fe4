"""
Any server command for tests: with or without the recorder, in a process group of its own that is always ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.adapters import launcher
from tests.probe.serving import HERE, PATIENCE_S, end, table, wait_listening


def gunicorn(app: str, port: int, *more: str) -> list[str]:
    return [sys.executable, "-m", "gunicorn", app, "-b", f"127.0.0.1:{port}", "--log-level", "error", *more]


def granian(app: str, port: int, *more: str) -> list[str]:
    return [sys.executable, "-m", "granian", app, "--host", "127.0.0.1", "--port", str(port), "--no-log", *more]


@contextmanager
def running(
    command: Sequence[str], port: int, folder: Path | None, *, ended_by: int = signal.SIGTERM, **environment: str
) -> Iterator[Any]:
    """Yield what runs of a command that listens on *port*; recorded where a *folder* is given."""
    # An app may answer with the order of a set.
    given = {**os.environ, "PYTHONHASHSEED": "0", "DJANGO_SETTINGS_MODULE": "django_site.settings", **environment}
    options: dict[str, Any] = {"cwd": HERE, "stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    options["start_new_session"] = True
    started = None
    if folder is not None:
        started = launcher.start(list(command), folder=folder, environment=given, quiet=True, **options)
        process = started.process
    else:
        process = subprocess.Popen(list(command), env=given, **options)
    try:
        wait_listening(port, process)
        yield started or process
    finally:
        _end(process, ended_by)
        if started is not None:
            started.seal(PATIENCE_S)


def _end(process: subprocess.Popen[Any], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        # As a terminal does it: to all of them.
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
    # Workers that outlived their parent.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def worked(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Recorded:
    """
    Run a worker until its last job has made the file DONE, end it as a supervisor does, and return what was recorded.
    """
    done, nothing = Path(environment["DONE"]), subprocess.DEVNULL
    started = launcher.start(
        list(command), folder=folder, environment={**os.environ, **environment}, quiet=True, cwd=HERE, stdout=nothing,
        stderr=nothing, start_new_session=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + PATIENCE_S
        while not done.exists() and time.monotonic() < until:
            assert started.process.poll() is None
            time.sleep(0.05)
    finally:
        end(started.process)
        started.seal(PATIENCE_S)
    assert done.exists()
    return Recorded.read(started.recording)


def left_in_the_middle(port: int, path: str) -> None:
    """Ask for a stream, read its beginning and go."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        while b"xxx" not in connection.recv(65536):
            pass


@dataclass
class Recorded:
    requests: list[dict[str, Any]]
    segments: list[dict[str, Any]]
    statements: dict[str, dict[str, Any]]
    processes: list[dict[str, Any]]

    @classmethod
    def read(cls, recording: Path) -> Recorded:
        assert launcher.sealed(recording)
        statements = {row["statement"]: row for row in table(recording, "statements")}
        return cls(
            table(recording, "requests"), table(recording, "segments"), statements, table(recording, "processes")
        )

    def of(self, route: str) -> list[dict[str, Any]]:
        found = [one for one in self.requests if one["route"] == route and one["kind"] != "background"]
        assert found, f"{route} is not among {sorted({request['route'] for request in self.requests})}"
        return found

    def parts(self, request: dict[str, Any], *seams: str) -> list[dict[str, Any]]:
        key = (request["worker"], request["request"])
        own = [part for part in self.segments if (part["worker"], part["request"]) == key]
        return [part for part in own if not seams or part["seam"] in seams]

    def texts(self, request: dict[str, Any]) -> list[str]:
        return [self.statements[part["name"]]["text"] for part in self.parts(request, "query")]

    def failures(self) -> list[Any]:
        return [row for row in self.processes if row["failures"] or row["dropped"]]
