"""
The FastAPI app of the benchmark: one route, which answers JSON after as many statements as its path says.

In        DATABASE_URL
Out       an ASGI app; requests to it one after the other without a server
Not here  recorders (recorders.py), uvicorn (contender.py)
"""

from __future__ import annotations

import asyncio
import itertools
import os
from contextlib import asynccontextmanager
from typing import Any

STATEMENT = "SELECT $1::int + $2::int"
KEYS = 10_000  # different parameters: reads are sampled by them
CONNECTIONS = 16
HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
]


def application() -> Any:
    """
    Return the app.
    """
    import asyncpg
    from fastapi import FastAPI

    free: list[Any] = []
    numbers = itertools.count()

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
            total = next(numbers) % KEYS
            for number in range(count):
                total += await connection.fetchval(STATEMENT, number, total % KEYS)
        finally:
            free.append(connection)
        return {"count": count, "sum": total}

    return app


def asked(path: str) -> dict[str, Any]:
    """
    Return what an ASGI server makes of a request for *path*.
    """
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": list(HEADERS), "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8000), "state": {},
    }  # fmt: skip


async def nothing_received() -> Any:
    """
    Receive the body of a request that has none.
    """
    return {"type": "http.request", "body": b"", "more_body": False}


async def drive(app: Any, path: str, requests: int) -> None:
    """
    Ask *app* so many times for *path*, and see that it answers.
    """
    statuses = set()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    for _ in range(requests):
        # A server gives each request a task, and with it a context, of its own.
        await asyncio.create_task(app(asked(path), nothing_received, send))
    assert statuses == {200}, statuses
