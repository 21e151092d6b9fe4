"""
asyncpg: opening connections, waiting for its pool, statements, COPY.

In        the modules of asyncpg after their import
Out       segments connect, pool, query and commit
Not here  listeners
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


def _of_records(args: Arguments, kwargs: Mapping[str, Any], result: Any) -> Told:
    connection, table = args[0], args[1] if len(args) > 1 else kwargs.get("table_name", "")
    return f"COPY {table} FROM STDIN", (connection._addr, connection._params.database), _status(result)


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


def _parameters(first: int) -> Callable[[Arguments, Mapping[str, Any]], Any]:
    return lambda args, _kwargs: args[first:]


def _all_rows(result: Any) -> list[tuple[Any, ...]]:
    return list(map(tuple, result or ()))


def _first_row(result: Any) -> list[tuple[Any, ...]]:
    return [] if result is None else [tuple(result)]


def _first_value(result: Any) -> list[tuple[Any, ...]]:
    return [(result,)]


_ROWS = {"fetch": _all_rows, "fetchrow": _first_row, "fetchval": _first_value}


def _connection(module: ModuleType) -> None:
    for name, rows in _METHODS.items():
        statements.around_coroutine(
            module.Connection,
            name,
            _of_connection(rows),
            percent=False,
            prepares=name == "prepare",
            reading=(_parameters(2), _ROWS[name]) if name in _ROWS else None,
        )

    # All but one of its copy_ functions end here, with the statement that they made.
    for name in ("_copy_in", "_copy_out"):
        statements.around_coroutine(module.Connection, name, _of_connection(_status), percent=False)
    statements.around_coroutine(module.Connection, "copy_records_to_table", _of_records, percent=False)


def _prepared(module: ModuleType) -> None:
    for name in ("executemany", "fetch", "fetchmany", "fetchrow", "fetchval"):
        statements.around_coroutine(
            module.PreparedStatement,
            name,
            _of_resource(_METHODS[name]),
            percent=False,
            reading=(_parameters(1), _ROWS[name]) if name in _ROWS else None,
        )


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
