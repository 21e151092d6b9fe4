"""
psycopg 3, sync and async: opening connections, statements, transactions.

In        the modules of psycopg after their import
Out       segments connect, query and commit
Not here  psycopg_pool; pipelines: a statement queued in one is recorded as it returns, at once, and what the pipeline
          waits for as it is synchronised, left, or asked for a result is not seen
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product, starmap
from types import ModuleType
from typing import Any

from rung.probe import statements, wrapping
from rung.probe.reads import CELLS_MAX, Reading
from rung.probe.statements import Told
from rung.probe.wrapping import Arguments, Described


def database(connection: Any) -> str:
    """
    Return host, port and database of a connection, kept with it: libpq is asked once.
    """
    label: str | None = vars(connection).get("_rung_database")
    if label is None:
        info = connection.info
        label = connection._rung_database = f"{info.host}:{info.port}/{info.dbname}"
    return label


def _executed(args: Arguments, kwargs: Mapping[str, Any], result: Any) -> Told:
    cursor = args[0]
    asked = args[1] if len(args) > 1 else kwargs.get("query", "")
    if asked.__class__ is str:
        text = asked
    else:
        # A composed statement is put together by psycopg itself; its literals go the way of all others.
        text = _text(asked) if not hasattr(asked, "as_string") else asked.as_string(cursor)
    rows = cursor.rowcount if result is cursor else -1
    return text, database(cursor._conn), rows if rows >= 0 else None


def _text(asked: Any) -> str:
    if isinstance(asked, str):
        return asked
    return bytes(asked).decode("utf-8", "replace") if isinstance(asked, bytes | bytearray) else ""


def _parameters(args: Arguments, kwargs: Mapping[str, Any]) -> Any:
    return args[2] if len(args) > 2 else kwargs.get("params")


def _rows(result: Any) -> list[tuple[Any, ...]] | None:
    read = getattr(result, "pgresult", None)
    if read is None or read.ntuples * read.nfields > CELLS_MAX:
        return None
    # As the server sent it: nothing is decoded that the app did not ask for.  One row of all cells, for what loops
    # over rows takes as long as the cells do.
    cells = tuple(starmap(read.get_value, product(range(read.ntuples), range(read.nfields))))
    return [cells] if cells else []


def _unread(_result: Any) -> None:
    # A named cursor's rows come later, as they are fetched.
    return None


READ, ASKED = (_parameters, _rows), (_parameters, _unread)


def _opened(_args: Arguments, _kwargs: Mapping[str, Any], result: Any) -> Described:
    return ("psycopg", database(result) if result is not None else None)


def _committed(args: Arguments, _kwargs: Mapping[str, Any], _result: Any) -> Told:
    return "COMMIT", database(args[0]), None


def _rolled_back(args: Arguments, _kwargs: Mapping[str, Any], _result: Any) -> Told:
    return "ROLLBACK", database(args[0]), None


def _left(args: Arguments, kwargs: Mapping[str, Any], _result: Any) -> Told:
    kind = args[1] if len(args) > 1 else kwargs.get("exc_type")
    transaction = args[0]
    savepoint = bool(transaction.savepoint_name)
    text = ("RELEASE" if savepoint else "COMMIT") if kind is None else "ROLLBACK"
    return text, database(transaction.connection), None


def _begun(args: Arguments, _kwargs: Mapping[str, Any], _result: Any) -> Told:
    return "BEGIN", database(args[0].connection), None


def _connection(owner: Any) -> None:
    wrapping.around_call(owner, "connect", "connect", _opened)
    statements.around_call(owner, "commit", _committed, percent=False)
    statements.around_call(owner, "rollback", _rolled_back, percent=False)


def _async_connection(owner: Any) -> None:
    wrapping.around_coroutine(owner, "connect", "connect", _opened)
    statements.around_coroutine(owner, "commit", _committed, percent=False)
    statements.around_coroutine(owner, "rollback", _rolled_back, percent=False)


def _cursor(owner: Any, reading: Reading = READ) -> None:
    statements.around_call(owner, "execute", _executed, percent=True, reading=reading)
    statements.around_call(owner, "executemany", _executed, percent=True)
    statements.around_block(owner, "copy", _executed, percent=True)


def _async_cursor(owner: Any, reading: Reading = READ) -> None:
    statements.around_coroutine(owner, "execute", _executed, percent=True, reading=reading)
    statements.around_coroutine(owner, "executemany", _executed, percent=True)
    statements.around_block(owner, "copy", _executed, percent=True)


def _transactions(module: ModuleType) -> None:
    statements.around_call(module.Transaction, "__enter__", _begun, percent=False)
    statements.around_call(module.Transaction, "__exit__", _left, percent=False)
    statements.around_coroutine(module.AsyncTransaction, "__aenter__", _begun, percent=False)
    statements.around_coroutine(module.AsyncTransaction, "__aexit__", _left, percent=False)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "psycopg.connection": lambda module: _connection(module.Connection),
    "psycopg.connection_async": lambda module: _async_connection(module.AsyncConnection),
    "psycopg.cursor": lambda module: _cursor(module.Cursor),
    "psycopg.cursor_async": lambda module: _async_cursor(module.AsyncCursor),
    "psycopg._server_cursor": lambda module: _cursor(module.ServerCursor, ASKED),
    "psycopg._server_cursor_async": lambda module: _async_cursor(module.AsyncServerCursor, ASKED),
    "psycopg.transaction": _transactions,
}
