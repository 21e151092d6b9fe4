"""
psycopg2: opening connections, statements, COPY, transactions.

Its types are C, so their methods cannot be replaced.  `connect` makes its connection, and that its cursors, of a
subclass of what the app asked for, with the recording methods *below* the app's own class and above psycopg2's: the
app's `super().execute()` arrives at them, isinstance and psycopg2's own checks of types hold, and what the app's class
adds is not counted as the database's time.  The BEGIN that psycopg2 sends on its own is inside the first statement.

In        psycopg2 after its import
Out       segments connect, query and commit
Not here  fetching more rows of a named cursor, large objects, connections made without `connect` or by a factory that
          is no class, waiting for psycopg2.pool (nobody waits there)
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import core, lines, statements
from rung.probe.statements import Told
from rung.probe.wrapping import Arguments

_CLASSES_MAX = 200  # an app that makes a class for each connection does not fill the memory
_BEGUN = 2  # extensions.STATUS_BEGIN: only then do commit and rollback ask the server
_STATEMENTS = ("execute", "executemany")
_COPIES = ("copy_expert", "copy_from", "copy_to")


def _database(connection: Any) -> str:
    label: str | None = getattr(connection, "_rung_database", None)
    if label is None:
        info = connection.info
        label = f"{info.host}:{info.port}/{info.dbname}"
        if hasattr(connection, "__dict__"):  # one that the app's own factory made may have none
            connection._rung_database = label
    return label


def _text(asked: Any, cursor: Any) -> str:
    if isinstance(asked, str):
        return asked
    if isinstance(asked, bytes | bytearray):
        return bytes(asked).decode("utf-8", "replace")
    return str(asked.as_string(cursor)) if hasattr(asked, "as_string") else ""


def _rows(cursor: Any) -> int | None:
    rows: int = cursor.rowcount
    return rows if rows >= 0 else None


def _executed(args: Arguments, kwargs: Mapping[str, Any], _result: Any) -> Told:
    cursor = args[0]
    asked = args[1] if len(args) > 1 else kwargs.get("query", kwargs.get("sql", ""))
    return _text(asked, cursor), _database(cursor.connection), _rows(cursor)


def _parameters(args: Arguments, kwargs: Mapping[str, Any]) -> Any:
    return args[2] if len(args) > 2 else kwargs.get("vars")


def _unread(_result: Any) -> None:
    # What the server sent lies in C, out of reach until the app fetches it.
    return None


def _called(args: Arguments, kwargs: Mapping[str, Any], _result: Any) -> Told:
    name = args[1] if len(args) > 1 else kwargs.get("procname", "")
    # What psycopg2 itself makes of it, but for the parameters; executed by nobody here.
    return f"SELECT * FROM {name}()", _database(args[0].connection), _rows(args[0])  # noqa: S608 - as said


def _copied(text: str) -> Callable[[Arguments, Mapping[str, Any], Any], Told]:
    def tell(args: Arguments, kwargs: Mapping[str, Any], _result: Any) -> Told:
        table = args[2] if len(args) > 2 else kwargs.get("table", "")
        return text.format(table), _database(args[0].connection), _rows(args[0])

    return tell


def _ended(text: str) -> Callable[[Arguments, Mapping[str, Any], Any], Told]:
    return lambda args, _kwargs, _result: (text, _database(args[0]), None)


def _cursor_base(base: Any) -> Any:
    names = (*_STATEMENTS, *_COPIES, "callproc")
    made: Any = type(base.__name__, (base,), {"__slots__": (), **{name: getattr(base, name) for name in names}})
    statements.around_call(made, "execute", _executed, percent=True, reading=(_parameters, _unread))
    statements.around_call(made, "executemany", _executed, percent=True)
    statements.around_call(made, "copy_expert", _executed, percent=False)
    statements.around_call(made, "copy_from", _copied("COPY {} FROM STDIN"), percent=False)
    statements.around_call(made, "copy_to", _copied("COPY {} TO STDOUT"), percent=False)
    statements.around_call(made, "callproc", _called, percent=False)
    return made


def _connection_base(base: Any, cursors: Subclasses) -> Any:
    def cursor(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            wanted = args[1] if len(args) > 1 else kwargs.get("cursor_factory")
            made = cursors.of(wanted or self.cursor_factory or cursors.base)
            if len(args) > 1:
                args = (args[0], made, *args[2:])
            else:
                kwargs["cursor_factory"] = made
        except Exception:
            core.failed()
        return base.cursor(self, *args, **kwargs)

    def only_begun(name: str, text: str) -> Callable[..., Any]:
        original = getattr(base, name)
        asking = type(name, (), {name: original})
        statements.around_call(asking, name, _ended(text), percent=False)
        recorded = vars(asking)[name]

        @functools.wraps(original)
        def ended(self: Any, *args: Any, **kwargs: Any) -> Any:
            return (recorded if self.status == _BEGUN else original)(self, *args, **kwargs)

        return ended

    made: Any = type(base.__name__, (base,), {"__slots__": ()})
    made.cursor = functools.wraps(base.cursor)(cursor)
    made.commit = only_begun("commit", "COMMIT")
    made.rollback = only_begun("rollback", "ROLLBACK")
    return made


class Subclasses:
    """
    The recording subclass of each class that the app asks for, made once.
    """

    def __init__(self, base: Any, recording: Any) -> None:
        self.base = base
        self._recording = recording
        self._made: dict[Any, Any] = {}

    def of(self, wanted: Any) -> Any:
        """
        Return a subclass of *wanted* that records, or *wanted* itself where there can be none.
        """
        made = self._made.get(wanted)
        if made is None:
            if not inspect.isclass(wanted) or not issubclass(wanted, self.base):
                return wanted
            made = wanted if issubclass(wanted, self._recording) else self._subclass(wanted)
            if len(self._made) >= _CLASSES_MAX:
                self._made.clear()
            self._made[wanted] = made
        return made

    def _subclass(self, wanted: Any) -> Any:
        looks = {name: getattr(wanted, name) for name in ("__module__", "__qualname__", "__doc__")}
        try:
            bases = (self._recording,) if wanted is self.base else (wanted, self._recording)
            return type(wanted)(wanted.__name__, bases, looks)
        except Exception:  # a class that allows no subclass stays as it is
            core.failed()
            return wanted


def _psycopg2(module: ModuleType) -> None:
    extensions = vars(module)["extensions"]
    cursors = Subclasses(extensions.cursor, _cursor_base(extensions.cursor))
    connections = Subclasses(extensions.connection, _connection_base(extensions.connection, cursors))
    original = vars(module)["connect"]

    @functools.wraps(original)
    def connect(dsn: Any = None, connection_factory: Any = None, cursor_factory: Any = None, **kwargs: Any) -> Any:
        try:
            factory = connections.of(connection_factory or connections.base)
        except Exception:
            core.failed()
            factory = connection_factory
        segment = core.enter("connect")
        if segment is None:
            return original(dsn, factory, cursor_factory, **kwargs)
        connection = None
        try:
            connection = original(dsn, factory, cursor_factory, **kwargs)
        finally:
            _opened(segment, connection)
        return connection

    recorded: Any = connect
    core.waiting.add(recorded.__code__)
    vars(module)["connect"] = recorded


def _opened(segment: core.Segment, connection: Any) -> None:
    database, code = None, None
    try:
        code = lines.line_of_call("psycopg2", segment.request.route)
        database = _database(connection) if connection is not None else None
    except Exception:
        core.failed()
    core.leave(segment, "psycopg2", database=database, code=code)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"psycopg2": _psycopg2}
