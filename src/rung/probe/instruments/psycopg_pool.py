"""
psycopg_pool, sync and async: waiting for a connection.

In        the modules of psycopg_pool after their import
Out       segments pool
Not here  the connections that its workers open in the background
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe.instruments.psycopg import database
from rung.probe.wrapping import Arguments, Described, around_call, around_coroutine


def _taken(_args: Arguments, _kwargs: Mapping[str, Any], result: Any) -> Described:
    return ("psycopg_pool", database(result) if result is not None else None)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "psycopg_pool.pool": lambda module: around_call(module.ConnectionPool, "getconn", "pool", _taken),
    "psycopg_pool.pool_async": lambda module: around_coroutine(module.AsyncConnectionPool, "getconn", "pool", _taken),
}
