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

from rung.probe import statements
from rung.probe.statements import Tell, Told, label
from rung.probe.wrapping import Arguments, Described, around_coroutine


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


def _of_connection(rows: Callable[[Any], int | None]) -> Tell:
    def tell(args: Arguments, kwargs: Mapping[str, Any], result: Any) -> Told:
        connection = args[0]
        text = args[1] if len(args) > 1 else kwargs.get("query", kwargs.get("command", ""))
        return text, (connection._addr, connection._params.database), rows(result)

    return tell


def _of_resource(rows: Callable[[Any], int | None]) -> Tell:
    def tell(args: Arguments, _kwargs: Mapping[str, Any], result: Any) -> Told:
        connection = args[0]._connection
        return args[0]._query, (connection._addr, connection._params.database), rows(result)

    return tell


def _database(connection: Any) -> str | None:
    return label((connection._addr, connection._params.database)) if connection is not None else None


def _of_new(_args: Arguments, _kwargs: Mapping[str, Any], result: Any) -> Described:
    return ("asyncpg", _database(result))


def _of_pool(_args: Arguments, _kwargs: Mapping[str, Any], result: Any) -> Described:
    return ("asyncpg", _database(result._con) if result is not None else None)


_METHODS = {
    "execute": _status, "executemany": _unknown, "fetch": _many, "fetchmany": _many,
    "fetchrow": _one, "fetchval": _one, "prepare": _unknown,
}  # fmt: skip


def _connection(module: ModuleType) -> None:
    for name, rows in _METHODS.items():
        statements.around_coroutine(
            module.Connection, name, _of_connection(rows), percent=False, prepares=name == "prepare"
        )


def _prepared(module: ModuleType) -> None:
    for name in ("executemany", "fetch", "fetchmany", "fetchrow", "fetchval"):
        statements.around_coroutine(module.PreparedStatement, name, _of_resource(_METHODS[name]), percent=False)


def _cursor(module: ModuleType) -> None:
    for name, rows in (("_bind_exec", _many), ("_bind", _unknown), ("_exec", _many)):
        statements.around_coroutine(module.BaseCursor, name, _of_resource(rows), percent=False)


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
