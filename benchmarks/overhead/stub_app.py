"""
A driver that answers at once, under two apps: what the recorder takes for each part of a request.

`Tight` is an ASGI app of a few lines, called in a loop that does nothing else; the other is FastAPI's, whose code has
the caches between the recorder's steps.  The stubs have the names and the results that rung's instruments of asyncpg
and psycopg 3 look at, and are instrumented by these; the results are real ones, read once from a real PostgreSQL.

In        DATABASE_URL; path /statements/COUNT/DRIVER/CELLS, or /tight/COUNT/DRIVER/CELLS
Out       two ASGI apps, and requests to them
Not here  what follows from their CPU (parts.py)
"""

from __future__ import annotations

import itertools
import os
import types
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

from benchmarks.overhead import fastapi_app

STATEMENT = "SELECT id, name FROM products WHERE id = $1 AND shop = $2"
COLUMNS = 10
CELLS = (0, 100, 1_000)
_RESULT = """
    SELECT n, n * 2, n * 3, n * 4, 'product ' || n, 'shop ' || n, 'street ' || n, 'city ' || n, n / 7.0::float8, now()
    FROM generate_series(1, {rows}) AS n
"""

_numbers = itertools.count()


@types.coroutine
def _suspended() -> Generator[None, None, None]:
    yield


class AsyncpgStub:
    """
    A connection of asyncpg's, as far as rung's instrument looks.
    """

    _addr = ("127.0.0.1", 5432)
    _params = SimpleNamespace(database="stub")

    def __init__(self) -> None:
        self.records: dict[int, list[Any]] = {}

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        """
        Suspend once, as a driver does that waits for its socket, and return the records.
        """
        del query
        await _suspended()
        return self.records[args[-1]]


class PsycopgStub:
    """
    A cursor of psycopg's, likewise; for a number of cells that it has no result of, nothing was read whole.
    """

    def __init__(self) -> None:
        self.results: dict[int, Any] = {}
        self.pgresult: Any = None
        self.rowcount = 1
        self._conn = SimpleNamespace(_rung_database="127.0.0.1:5432/stub")

    def execute(self, query: str, params: tuple[Any, ...]) -> PsycopgStub:
        """
        Have the result.
        """
        del query
        self.pgresult = self.results.get(params[-1])
        return self


async def read_results(asynchronous: AsyncpgStub, synchronous: PsycopgStub) -> None:
    """
    Read the results that the stubs return, with the real drivers.
    """
    import asyncpg
    import psycopg

    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        for cells in CELLS:
            asynchronous.records[cells] = await connection.fetch(_RESULT.format(rows=cells // COLUMNS))
    finally:
        await connection.close()
    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        for cells in CELLS:
            synchronous.results[cells] = other.execute(_RESULT.format(rows=cells // COLUMNS).encode()).pgresult


def instrument() -> None:
    """
    Put rung's instruments of the two drivers on the stubs.
    """
    from rung.probe.instruments import asyncpg, psycopg

    asyncpg.MODULES["asyncpg.connection"](_module("Connection", AsyncpgStub))
    psycopg.MODULES["psycopg.cursor"](_module("Cursor", PsycopgStub))


def _module(name: str, owner: type) -> types.ModuleType:
    module = types.ModuleType("stub")
    setattr(module, name, owner)
    return module


async def _answer(asynchronous: AsyncpgStub, synchronous: PsycopgStub, count: int, driver: str, cells: int) -> None:
    if driver == "asyncpg":
        for number in range(count):
            await asynchronous.fetch(STATEMENT, number, next(_numbers), cells)
    else:
        for number in range(count):
            synchronous.execute(STATEMENT, (number, next(_numbers), cells))


class Tight:
    """
    An ASGI app without a framework.
    """

    def __init__(self, asynchronous: AsyncpgStub, synchronous: PsycopgStub) -> None:
        self._stubs = (asynchronous, synchronous)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """
        Answer.
        """
        del receive
        count, driver, cells = scope["path"].split("/")[2:]
        await _answer(*self._stubs, int(count), driver, int(cells))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def framework(asynchronous: AsyncpgStub, synchronous: PsycopgStub) -> Any:
    """
    Return the same as an app of FastAPI's.
    """
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/statements/{count}/{driver}/{cells}")
    async def statements(count: int, driver: str, cells: int) -> dict[str, int]:
        await _answer(asynchronous, synchronous, count, driver, cells)
        return {"count": count}

    return app


def drive(app: Any, path: str, requests: int) -> None:
    """
    Ask *app* so many times for *path* in a loop without an event loop.
    """
    answered = 0

    async def send(message: Any) -> None:
        nonlocal answered
        if message["type"] == "http.response.start":
            answered += 1

    asked = fastapi_app.asked(path)
    for _ in range(requests):
        step = app(asked, fastapi_app.nothing_received, send).send
        try:
            while True:
                step(None)
        except StopIteration:
            pass
    assert answered == requests
