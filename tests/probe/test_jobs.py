"""
Work that no request waits for: Celery's tasks under their name, Django's management commands under theirs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from rung.adapters import launcher
from rung.probe import core
from rung.probe.threaded import Threaded, nested
from rung.trace_context import span_of, trace_of
from tests.ports import free_port
from tests.probe.running import Recorded, gunicorn, running, worked
from tests.probe.serving import HERE, PATIENCE_S, ask, line_of

QUIET = ("--without-mingle", "--without-gossip", "--without-heartbeat")


def _worker(pool: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "celery_app.celery",
        "worker",
        "-P",
        pool,
        "-c",
        "1",
        "-l",
        "error",
        *QUIET,
    ]


@pytest.fixture
def around(cluster, tmp_path: Path) -> dict[str, str]:
    queue = tmp_path / "queue"
    queue.mkdir()
    return {"DATABASE_URL": cluster.dsn(), "QUEUE_FOLDER": str(queue), "DONE": str(tmp_path / "done")}


def _enqueued(tmp_path: Path, around: dict[str, str]) -> Recorded:
    port = free_port()
    with running(gunicorn("celery_app:app", port), port, tmp_path / ".web", **around) as started:
        assert (200, "queued") == ask(port, "/enqueue")[::2]
        assert (200, "done") == ask(port, "/at-once")[::2]
    return Recorded.read(started.recording)


@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_tasks_of_celery(pool: str, tmp_path: Path, around: dict[str, str]) -> None:
    web = _enqueued(tmp_path, around)
    (request,) = web.of("/enqueue")
    jobs = web.parts(request, "job")
    assert ["shop.reckon", "shop.fail", "shop.again", "shop.last"] == [part["name"] for part in jobs]
    assert line_of("enqueue", "celery_app.py") == jobs[0]["code"]
    (at_once,) = web.of("/at-once")
    assert ["SELECT $1::int + $2"] == web.texts(at_once)  # what runs at once is part of the request
    assert not [one for one in web.requests if one["kind"] == "job"]
    assert [] == web.failures()

    seen = worked(_worker(pool), tmp_path / ".worker", around)
    assert [] == seen.failures()
    assert {("job", "", 0)} == {(one["kind"], one["method"], one["status"]) for one in seen.requests}
    (reckoned,) = seen.of("job:shop.reckon")
    assert ["SELECT $1::int + $2"] == seen.texts(reckoned)
    assert line_of("reckon", "celery_app.py") == seen.parts(reckoned, "query")[0]["code"]
    assert 0.045 <= reckoned["cpu_s"] <= reckoned["duration_s"]
    (failed,) = seen.of("job:shop.fail")
    assert f"ValueError {line_of('fail', 'celery_app.py')}" == failed["error"]
    key = int(next(row["key"] for row in web.processes if row["worker"] == request["worker"]), 16)
    assert f"{trace_of(key, request['request']):032x}" == reckoned["trace"]
    assert f"{span_of(key, request['request'], jobs[0]['segment']):016x}" == reckoned["caller"]
    assert {reckoned["trace"]} == {one["trace"] for one in seen.requests}
    # The second time is a job of its own, and trying again is no error.
    assert [None, None] == [one["error"] for one in seen.of("job:shop.again")]
    assert 1 == len(seen.of("job:shop.last"))


def _managed(tmp_path: Path, cluster, *command: str) -> tuple[int, Recorded]:
    given = {**os.environ, "DATABASE_URL": cluster.dsn(), "DJANGO_SETTINGS_MODULE": "django_site.settings"}
    nothing = subprocess.DEVNULL
    started = launcher.start(
        [sys.executable, "-m", "django", *command], folder=tmp_path / f".{command[0]}", environment=given, quiet=True,
        cwd=HERE, stdin=nothing, stdout=nothing, stderr=nothing,
    )  # fmt: skip
    try:
        status = started.process.wait(PATIENCE_S)
    finally:
        started.process.kill()
        started.seal(PATIENCE_S)
    return status, Recorded.read(started.recording)


def test_management_commands_of_django(cluster, tmp_path: Path) -> None:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS django_order (id bigserial, customer int, note text)")
    status, seen = _managed(tmp_path, cluster, "tidy")
    (tidied,) = seen.requests
    assert (0, "job", "job:tidy", None) == (status, tidied["kind"], tidied["route"], tidied["error"])
    assert line_of("tidy", "django_site/management/commands/tidy.py") in {p["code"] for p in seen.parts(tidied)}
    assert 1 == len(seen.parts(tidied, "connect"))

    status, seen = _managed(tmp_path, cluster, "breaks")
    (broken,) = seen.requests
    line = line_of("breaks", "django_site/management/commands/breaks.py")
    assert (1, "job:breaks", f"LookupError {line}") == (status, broken["route"], broken["error"])


def test_a_command_that_never_ends_is_no_job(cluster, tmp_path: Path) -> None:
    status, seen = _managed(tmp_path, cluster, "shell")
    assert (0, []) == (status, seen.requests)


def test_a_request_inside_a_command_that_serves_is_a_unit_of_its_own() -> None:
    command = Threaded("", "job")
    assert nested(core.current.get())
    command.contains = True
    assert not nested(core.current.get())
    command.rest()
    assert core.current.get() is None
    core.state.live.discard(command)


def test_what_is_told_apart_is_not_counted_twice() -> None:
    unit = Threaded("", "job")
    assert unit.halt()
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        pass
    halted_s = unit.so_far_s()
    unit.resume()
    unit.rest()
    core.state.live.discard(unit)
    assert unit.busy_s - halted_s < 0.02
    assert not unit.halt()
