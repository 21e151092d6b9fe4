"""
Real servers for tests: started with or without the recorder, asked over HTTP, and always ended.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from rung.adapters import launcher
from tests.ports import free_port

HERE = Path(__file__).resolve().parent
PATIENCE_S = 60.0


def uvicorn(app: str, port: int, *more: str) -> list[str]:
    return [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning", *more]


def ask(port: int, path: str, method: str = "GET", body: str | None = None, **headers: str):
    """Return status, headers without the date, and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        kept = sorted((k.lower(), v) for k, v in response.getheaders() if k.lower() != "date")
        return response.status, kept, response.read().decode()
    finally:
        connection.close()


def wait_listening(port: int, process: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server does not listen")


@contextmanager
def serving(app: str, folder: Path, *more: str, recorded: bool = True, **environment: str) -> Iterator[Any]:
    """Yield (port, process, recording or None) of a server in the folder of this file."""
    port = free_port()
    given = {**os.environ, **environment}
    command = uvicorn(app, port, *more)
    if recorded:
        started = launcher.start(
            command, folder=folder, environment=given, quiet=True, cwd=HERE, stderr=subprocess.PIPE
        )
        process = started.process
    else:
        started = None
        process = subprocess.Popen(command, env=given, cwd=HERE, stderr=subprocess.PIPE)
    try:
        wait_listening(port, process)
        yield port, process, started
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        if started is not None:
            started.seal(PATIENCE_S)


def end(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
    """Ask a process to end, and end it if it does not."""
    process.send_signal(number)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def table(recording: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of one table as dicts; of the whole file where there is one, else of the parts."""
    whole = recording / f"{name}.parquet"
    files = [str(whole)] if whole.exists() else sorted(str(part) for part in recording.glob(f"{name}-*.parquet"))
    if not files:
        return []
    with duckdb.connect(":memory:") as connection:
        relation = connection.read_parquet(files)
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def line_of(mark: str, file: str = "app.py") -> str:
    for number, line in enumerate((HERE / file).read_text("utf-8").splitlines(), 1):
        if line.endswith(f"# MARK {mark}"):
            return f"{file}:{number}"
    raise AssertionError(mark)
