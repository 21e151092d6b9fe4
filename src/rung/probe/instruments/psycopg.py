"""
psycopg 3, sync and async: opening connections, statements, transactions.

In        the modules of psycopg after their import
Out       segments connect, query and commit
Not here  psycopg_pool, COPY, pipelines (a statement queued in one returns at once and is recorded as it returns)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe.wrapping import Arguments, Described, around_call, around_coroutine, query

Around = Callable[[Any, str, str, Callable[..., Described]], None]


def database(connection: Any) -> str:
    """
    Return host, port and database of a connection, kept with it: libpq is asked once.
    """
    label: str | None = vars(connection).get("_rung_database")
    if label is None:
        info = connection.info
        label = connection._rung_database = f"{info.host}:{info.port}/{info.dbname}"
    return label


def _executed(args: Arguments, kwargs: Mapping[str, Any], result: Any) -> Described:
    cursor = args[0]
    asked = args[1] if len(args) > 1 else kwargs.get("query", "")
    # A composed statement is put together by psycopg itself; its literals go the way of all others.
    text = _text(asked) if not hasattr(asked, "as_string") else asked.as_string(cursor)
    rows = cursor.rowcount if result is cursor else -1
    return query(text, database(cursor._conn), percent=True, rows=rows if rows >= 0 else None)


def _text(asked: Any) -> str:
    if isinstance(asked, str):
        return asked
    return bytes(asked).decode("utf-8", "replace") if isinstance(asked, bytes | bytearray) else ""


def _opened(_args: Arguments, _kwargs: Mapping[str, Any], result: Any) -> Described:
    return ("psycopg", database(result) if result is not None else None, None, None)


def _committed(args: Arguments, _kwargs: Mapping[str, Any], _result: Any) -> Described:
    return query("COMMIT", database(args[0]), percent=False)


def _rolled_back(args: Arguments, _kwargs: Mapping[str, Any], _result: Any) -> Described:
    return query("ROLLBACK", database(args[0]), percent=False)


def _left(args: Arguments, kwargs: Mapping[str, Any], _result: Any) -> Described:
    kind = args[1] if len(args) > 1 else kwargs.get("exc_type")
    transaction = args[0]
    savepoint = bool(transaction.savepoint_name)
    text = ("RELEASE" if savepoint else "COMMIT") if kind is None else "ROLLBACK"
    return query(text, database(transaction.connection), percent=False)


def _begun(args: Arguments, _kwargs: Mapping[str, Any], _result: Any) -> Described:
    return query("BEGIN", database(args[0].connection), percent=False)


def _connection(owner: Any, around: Around) -> None:
    around(owner, "connect", "connect", _opened)
    around(owner, "commit", "query", _committed)
    around(owner, "rollback", "query", _rolled_back)


def _cursor(owner: Any, around: Around) -> None:
    around(owner, "execute", "query", _executed)
    around(owner, "executemany", "query", _executed)


def _transactions(module: ModuleType) -> None:
    around_call(module.Transaction, "__enter__", "query", _begun)
    around_call(module.Transaction, "__exit__", "query", _left)
    around_coroutine(module.AsyncTransaction, "__aenter__", "query", _begun)
    around_coroutine(module.AsyncTransaction, "__aexit__", "query", _left)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "psycopg.connection": lambda module: _connection(module.Connection, around_call),
    "psycopg.connection_async": lambda module: _connection(module.AsyncConnection, around_coroutine),
    "psycopg.cursor": lambda module: _cursor(module.Cursor, around_call),
    "psycopg.cursor_async": lambda module: _cursor(module.AsyncCursor, around_coroutine),
    "psycopg._server_cursor": lambda module: _cursor(module.ServerCursor, around_call),
    "psycopg._server_cursor_async": lambda module: _cursor(module.AsyncServerCursor, around_coroutine),
    "psycopg.transaction": _transactions,
}
