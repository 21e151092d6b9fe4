"""
One contender: the app of the benchmark with one recorder around it, or none.

Run as a process of its own: `python -m benchmarks.overhead.contender NAME`.  It reads one JSON document a line and
answers each with one: {"requests", "statements", "flush"} drives the app in this process and answers with the CPU used
so far; {"serve": true} puts it behind uvicorn on a port of its own, where /cpu tells the same.

In        the contender's name; DATABASE_URL; for rung what `rung record` puts into the environment
Out       CPU seconds of this process, threads included, and what the recorder kept so far
Not here  when which contender is asked (rounds.py), the load (load.py)
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

STATEMENT = "SELECT $1::int + $2::int"
CONNECTIONS = 16
HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
]

Flush = Callable[[], int]  # sends what is held back, and returns how many things the recorder kept so far


def recorder(name: str) -> Flush:
    """
    Set up the recorder of that name as its documentation advises, before the app is imported.
    """
    if name == "otel":
        return _opentelemetry()
    if name.startswith("sentry"):
        return _sentry(1.0 if name == "sentry-on" else None)
    if name.startswith("rung"):
        return _rung()
    return lambda: 0


def _rung() -> Flush:
    from rung.probe import core, sender

    assert core.state.started, "the bootstrap of `rung record` did not run"

    def flush() -> int:
        sender.flush()
        return 0  # what it kept is in the recording (rounds.py)

    return flush


def _opentelemetry() -> Flush:
    from opentelemetry import trace
    from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    kept = 0

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            nonlocal kept
            kept += len(spans)
            return SpanExportResult.SUCCESS

    provider = TracerProvider(resource=Resource.create({"service.name": "overhead"}))
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    trace.set_tracer_provider(provider)
    FastAPIInstrumentor().instrument()
    AsyncPGInstrumentor().instrument()

    def flush() -> int:
        provider.force_flush()
        return kept

    return flush


def _sentry(sample_rate: float | None) -> Flush:
    import sentry_sdk
    from sentry_sdk.integrations.asyncpg import AsyncPGIntegration
    from sentry_sdk.transport import Transport

    kept = 0

    class Nowhere(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            nonlocal kept
            kept += 1

    sentry_sdk.init(
        dsn="https://public@o1.ingest.example.invalid/1",
        traces_sample_rate=sample_rate,
        integrations=[AsyncPGIntegration()],
        transport=Nowhere,
    )

    def flush() -> int:
        sentry_sdk.flush()
        return kept

    return flush


def application() -> Any:
    """
    Return the app: one route, which answers JSON after as many statements as its path says.
    """
    import asyncpg
    from fastapi import FastAPI

    free: list[Any] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> Any:
        # A plain list instead of a pool: its acquire and reset would be statements nobody asked for.
        free.extend([await asyncpg.connect(os.environ["DATABASE_URL"]) for _ in range(CONNECTIONS)])
        yield
        for connection in free:
            await connection.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/statements/{count}")
    async def statements(count: int) -> dict[str, int]:
        if not count:
            return {"count": 0, "sum": 0}
        connection = free.pop()
        try:
            total = 0
            for number in range(count):
                total += await connection.fetchval(STATEMENT, number, total)
        finally:
            free.append(connection)
        return {"count": count, "sum": total}

    return app


def _request(statements: int) -> dict[str, Any]:
    path = f"/statements/{statements}"
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": list(HEADERS), "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8000), "state": {},
    }  # fmt: skip


async def _drive(app: Any, requests: int, statements: int) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    statuses = set()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    for _ in range(requests):
        # A server gives each request a task, and with it a context, of its own.
        await asyncio.create_task(app(_request(statements), receive, send))
    assert statuses == {200}, statuses


async def _in_process(app: Any, flush: Flush, line: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    async with app.router.lifespan_context(app):
        while line:
            await _drive(app, line["requests"], line["statements"])
            kept = await loop.run_in_executor(None, flush) if line["flush"] else 0
            _answer({"cpu_s": time.process_time(), "kept": kept})
            line = await loop.run_in_executor(None, _asked)


def _behind_uvicorn(app: Any, flush: Flush) -> None:
    import uvicorn

    async def with_cpu(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/cpu":
            await app(scope, receive, send)
            return
        kept = await asyncio.get_running_loop().run_in_executor(None, flush)
        body = json.dumps({"cpu_s": time.process_time(), "kept": kept}).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    config = uvicorn.Config(with_cpu, http="httptools", loop="uvloop", log_level="warning", access_log=False)
    _answer({"port": listening.getsockname()[1]})
    uvicorn.Server(config).run(sockets=[listening])


def _asked() -> dict[str, Any]:
    line = sys.stdin.readline()
    return json.loads(line) if line else {}


def _answer(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def main() -> None:
    """
    Set up, then do as asked until standard input ends or a signal comes.
    """
    flush = recorder(sys.argv[1])
    app = application()
    _answer({"ready": True})
    line = _asked()
    if line.get("serve"):
        _behind_uvicorn(app, flush)
    elif line:
        import uvloop

        uvloop.run(_in_process(app, flush, line))


if __name__ == "__main__":
    main()
