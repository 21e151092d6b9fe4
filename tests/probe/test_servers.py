"""
The servers and their ways of making workers: no request is lost, and each process reports under its own number.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.probe.running import Recorded, granian, gunicorn, running
from tests.probe.serving import ask, uvicorn

FLASK, DJANGO = "flask_app:app", "django_site.asgi:application"
ASYNC = ("-k", "uvicorn_worker.UvicornWorker")
ITEM = "/shops/north/items/7/parts"


def _manage(port: int, *more: str) -> list[str]:
    return [sys.executable, "-m", "django", "runserver", f"127.0.0.1:{port}", *more]


SERVERS = {
    "gunicorn": lambda port: gunicorn(FLASK, port),
    "gunicorn-preload": lambda port: gunicorn(FLASK, port, "--preload", "--workers", "2"),
    "gunicorn-recycled": lambda port: gunicorn(FLASK, port, "--max-requests", "4"),
    "gunicorn-threads-recycled": lambda port: gunicorn(FLASK, port, "--threads", "2", "--max-requests", "4"),
    "gunicorn-uvicorn": lambda port: gunicorn(DJANGO, port, *ASYNC, "--workers", "2", "--preload"),
    "gunicorn-uvicorn-recycled": lambda port: gunicorn(DJANGO, port, *ASYNC, "--max-requests", "4"),
    "uvicorn-workers": lambda port: uvicorn(DJANGO, port, "--workers", "2"),
    "uvicorn-reload": lambda port: uvicorn(DJANGO, port, "--reload", "--reload-include", "nothing.at.all"),
    "granian": lambda port: granian(DJANGO, port, "--interface", "asginl", "--workers", "2"),
    "granian-wsgi": lambda port: granian(FLASK, port, "--interface", "wsgi", "--workers", "2"),
    "runserver": lambda port: _manage(port, "--noreload"),
    "runserver-reload": _manage,
}
OF_FLASK = {"gunicorn", "gunicorn-preload", "gunicorn-recycled", "gunicorn-threads-recycled", "granian-wsgi"}
ASKED = 9


def _started_pids(process_id: int) -> set[int]:
    found = {process_id}
    for _ in range(3):
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(entry.read_text("utf-8").rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent in found:
                found.add(int(entry.parent.name))
    return found


@pytest.mark.parametrize("server", SERVERS)
def test_no_request_is_lost(server: str, cluster, tmp_path: Path) -> None:
    port = free_port()
    path = "/wait" if server in OF_FLASK else ITEM
    ended_by = signal.SIGINT if "runserver" in server else signal.SIGTERM
    folder = tmp_path / ".rung"
    with running(SERVERS[server](port), port, folder, ended_by=ended_by, DATABASE_URL=cluster.dsn()) as started:
        for _ in range(ASKED):
            assert 200 == ask(port, path)[0]
            # A server that replaces its worker after each few requests does so in between.
            time.sleep(0.05 if "recycled" in server else 0)
        alive = _started_pids(started.process.pid) if Path("/proc").exists() else set()
    seen = Recorded.read(started.recording)
    assert [] == seen.failures()
    assert {200} == {request["status"] for request in seen.requests}
    assert ASKED == len(seen.requests)
    workers = Counter(request["worker"] for request in seen.requests)
    if "recycled" in server:
        assert len(workers) >= 2
        assert max(workers.values()) <= 4 + 1
    else:
        assert workers.keys() <= (alive or workers.keys())
    if server.startswith("gunicorn"):
        assert started.process.pid not in workers  # the master serves nothing


def test_processes_that_a_request_forks_or_spawns(cluster, tmp_path: Path) -> None:
    port = free_port()
    command = gunicorn("django_site.wsgi", port)
    with running(command, port, None, DATABASE_URL=cluster.dsn()):
        plain = [ask(port, "/fork"), ask(port, "/process")]
    with running(command, port, tmp_path / ".rung", DATABASE_URL=cluster.dsn()) as started:
        recorded = [ask(port, "/fork"), ask(port, "/process"), ask(port, "/fork")]
    assert [*plain, plain[0]] == recorded
    assert "ended with 7" == recorded[0][2]
    seen = Recorded.read(started.recording)
    assert [] == seen.failures()
    assert ["/fork", "/fork", "/process"] == sorted(request["route"] for request in seen.requests)
    assert 1 == len({request["worker"] for request in seen.requests})
    assert os.getpid() not in {row["worker"] for row in seen.processes}
