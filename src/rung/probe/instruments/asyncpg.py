"""
asyncpg: opening connections, waiting for its pool, statements.

In        the modules of asyncpg after their import
Out       segments connect, pool, query and commit
Not here  COPY, listeners
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe.wrapping import Arguments, Describe, Described, around_coroutine, query

_labels: dict[tuple[Any, Any], str] = {}


def _database(connection: Any) -> str:
    key = (connection._addr, connection._params.database)
    label = _labels.get(key)
    if label is None:
        if len(_labels) > 1_000:
            _labels.clear()
        address = key[0]
        place = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
        label = _labels[key] = f"{place}/{key[1]}"
    return label


def _many(result: Any) -> int | None:
    return len(result) if result is not None else None


def _one(result: Any) -> int | None:
    return 1 if result is not None else None


def _status(result: Any) -> int | None:
    # "SELECT 5", "INSERT 0 3", "UPDATE 2"; "BEGIN" has no number
    last = result.rpartition(" ")[2] if isinstance(result, str) else ""
    return int(last) if last.isdigit() else None


def _unknown(_result: Any) -> int | None:
    return None


def _of_connection(rows: Callable[[Any], int | None]) -> Describe:
    def describe(args: Arguments, kwargs: Mapping[str, Any], result: Any) -> Described:
        text = args[1] if len(args) > 1 else kwargs.get("query", kwargs.get("command", ""))
        return query(text, _database(args[0]), percent=False, rows=rows(result))

    return describe


def _of_resource(rows: Callable[[Any], int | None]) -> Describe:
    def describe(args: Arguments, _kwargs: Mapping[str, Any], result: Any) -> Described:
        return query(args[0]._query, _database(args[0]._connection), percent=False, rows=rows(result))

    return describe


def _of_new(_args: Arguments, _kwargs: Mapping[str, Any], result: Any) -> Described:
    return ("asyncpg", _database(result) if result is not None else None, None, None)


def _of_pool(_args: Arguments, _kwargs: Mapping[str, Any], result: Any) -> Described:
    return ("asyncpg", _database(result._con) if result is not None else None, None, None)


_METHODS = {
    "execute": _status, "executemany": _unknown, "fetch": _many, "fetchmany": _many,
    "fetchrow": _one, "fetchval": _one, "prepare": _unknown,
}  # fmt: skip


def _connection(module: ModuleType) -> None:
    for name, rows in _METHODS.items():
        around_coroutine(module.Connection, name, "query", _of_connection(rows))


def _prepared(module: ModuleType) -> None:
    for name in ("executemany", "fetch", "fetchmany", "fetchrow", "fetchval"):
        around_coroutine(module.PreparedStatement, name, "query", _of_resource(_METHODS[name]))


def _cursor(module: ModuleType) -> None:
    for name, rows in (("_bind_exec", _many), ("_bind", _unknown), ("_exec", _many)):
        around_coroutine(module.BaseCursor, name, "query", _of_resource(rows))


def _connect(module: ModuleType) -> None:
    around_coroutine(module, "_connect", "connect", _of_new)


def _pool(module: ModuleType) -> None:
    around_coroutine(module.Pool, "_acquire", "pool", _of_pool)


MODULES = {
    "asyncpg.connect_utils": _connect,
    "asyncpg.connection": _connection,
    "asyncpg.cursor": _cursor,
    "asyncpg.pool": _pool,
    "asyncpg.prepared_stmt": _prepared,
}
