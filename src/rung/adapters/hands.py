"""
Carry a change out: write its files, build its index, undo it.  The only adapter that alters anything.

In        files and statements as values
Out       what was done; the database as it was, whenever the change could not be completed
Not here  what to build (steps/take.py)

Facts that shape this (PostgreSQL documentation, CREATE INDEX, "Building Indexes Concurrently"):
a concurrent build that fails or is cancelled leaves an INVALID index behind, which costs every write
and serves no read, so ours is dropped again; the build waits for all transactions older than itself,
so these are named before it; success is `indisvalid`, not the absence of an error.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
from psycopg import sql

from rung.adapters.ledger import write_whole
from rung.adapters.postgres import PLAIN_INDEXES, address, connected, first_line, mapped_errors
from rung.clock import monotonic_s, sleep
from rung.errors import BuildBlocked, BuildFailed, DatabaseNotGiven, DatabaseRefused, RungError
from rung.ports import Applied, Index, Say, Statement, TextFile
from rung.units import show_bytes, show_count, show_seconds, show_share

PROGRESS_EVERY_S = 0.5
WAIT_EVERY_S = 1.0
CANCEL_EVERY_S = 1.0
CANCEL_TIMEOUT_S = 10.0
CLEAN_UP_S_MAX = 30  # an open transaction that held the build up holds the drop of its leftover up as well
BUILD_SETTINGS = "-c statement_timeout=0 -c lock_timeout={lock_timeout_s:.3f}s -c application_name=rung"

# A prepared transaction has no session, and holds a build up like any other.
OLD_TRANSACTIONS = """
select format('pid %%s (%%s, %%s, %%s)', pid, coalesce(usename::text, '?'),
              coalesce(nullif(application_name, ''), '?'), state),
       extract(epoch from clock_timestamp() - xact_start)::float8 as age_s
from pg_stat_activity
where xact_start < clock_timestamp() - make_interval(secs => %(old_s)s)
  and pid <> pg_backend_pid() and backend_type = 'client backend'
  and datname = current_database()
  and (backend_xid is not null or backend_xmin is not null or state like 'idle in transaction%%')
union all
select format('prepared transaction %%s (%%s)', gid, owner), extract(epoch from clock_timestamp() - prepared)::float8
from pg_prepared_xacts
where prepared < clock_timestamp() - make_interval(secs => %(old_s)s) and database = current_database()
order by age_s desc
"""
KIND = """
select c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s
"""
# Of builds by other roles one sees that they are there, not of what; their lock on the table tells.
STATE = f"""
select i.indisvalid, pg_get_indexdef(i.indexrelid), pg_relation_size(i.indexrelid)::bigint,
       exists (
           select 1 from pg_stat_progress_create_index b
           where b.pid <> pg_backend_pid() and b.datname = current_database() and (
               b.index_relid = i.indexrelid
               or b.index_relid is null
               and exists (select 1 from pg_locks l where l.pid = b.pid and l.relation = i.indrelid)
           )
       ),
       t.relname, p.columns, p.descending, p.keys_only
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
left join ({PLAIN_INDEXES}) p using (indexrelid)
where n.nspname = %s and c.relname = %s
"""  # noqa: S608  # a constant of postgres.py
PROGRESS = """
select phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total, current_locker_pid
from pg_stat_progress_create_index where pid = %s
"""


UNTOUCHED = "Nothing was changed."


class RepositoryHands:
    """
    The user's repository and database.  Fulfils the port Hands.
    """

    def __init__(self, repository: Path, dsn: str | None, *, lock_timeout_s: float, old_transaction_s: float) -> None:
        self.repository, self.dsn = repository, dsn
        self.lock_timeout_s, self.old_transaction_s = lock_timeout_s, old_transaction_s

    def write(self, files: Sequence[TextFile]) -> tuple[str, ...]:
        """
        Write *files*, leaving equal ones alone; return the paths that were new or different.
        """
        new = []
        for file in files:
            path = self.repository / file.path
            if not _holds(path, file.text.encode()):
                write_whole(path, file.text)
                new.append(file.path)
        return tuple(new)

    def build_index(self, index: Index, name: str, statement: Statement, *, say: Say, wait: bool) -> Applied:
        """
        Build *index* as *name* without blocking writers, telling the progress; harmless when it is there.

        Args:
            wait: Wait for old transactions instead of refusing to begin.

        Raises:
            BuildBlocked: old transactions are open, and *wait* is false.
            BuildFailed: the database did not complete it; nothing of it is left, or the message says what.
            DatabaseDenied: the role may not build it.
            KeyboardInterrupt: after the build was cancelled and its leftover dropped.
        """
        with self._connected() as connection:
            _refuse_other_kinds(connection, index, statement)
            state = _state(connection, index.schema, name)
            if state is not None:
                _refuse_building(state, statement)
                _refuse_other(state, index, name, statement)
                if state.valid:
                    return Applied(already=True, took_s=0.0, size_bytes=state.size_bytes)
            self._meet_old_transactions(connection, say=say, wait=wait)
            began_s = monotonic_s()
            build = _Build(connection, statement)
            with _one_interrupt() as interrupts:
                try:
                    if state is not None:
                        say(f"dropping an invalid leftover of an earlier build: {name}")
                        _drop(connection, index.schema, name)
                    with interrupts.held():
                        build.start()
                    self._watch(build, say=say)
                    state = _state(connection, index.schema, name)
                    if state is None or not state.valid:
                        raise BuildFailed(statement.sql, "it ended without a valid index", left="")
                except BaseException as problem:
                    with interrupts.held():
                        build.stop()
                        left = self._left_after(connection, index, name, problem, say=say)
                    if isinstance(problem, psycopg.errors.InsufficientPrivilege):
                        raise
                    if isinstance(problem, psycopg.Error):
                        raise BuildFailed(statement.sql, first_line(problem), left=left) from problem
                    if isinstance(problem, BuildFailed):
                        raise BuildFailed(statement.sql, problem.problem, left=left) from None
                    say(left)
                    raise
            return Applied(already=False, took_s=monotonic_s() - began_s, size_bytes=state.size_bytes)

    def drop_index(self, schema: str, name: str, statement: Statement) -> None:
        """
        Run the undo of an index.

        Raises:
            BuildFailed: the database did not complete it; the index is there, though it may be invalid.
            DatabaseDenied: the role may not drop it.
        """
        with self._connected() as connection:
            try:
                connection.execute(statement.sql.encode())
            except psycopg.errors.InsufficientPrivilege:
                raise
            except psycopg.Error as problem:
                left = f"The index {name} is still there, for reads or only for writes; run the undo again."
                raise BuildFailed(statement.sql, first_line(problem), left=left) from problem

    def run(self, statements: Sequence[Statement], *, say: Say) -> Applied:
        """
        Run *statements* one by one, each by itself; each is harmless when it was run before.

        Raises:
            BuildFailed: the database did not complete one; those before it stand, and the message says so.
            DatabaseDenied: the role may not run it.
        """
        began_s = monotonic_s()
        with self._connected() as connection:
            # ANALYZE of a table that the role may not analyse is skipped with no more than a warning.
            warned: list[str] = []
            connection.add_notice_handler(lambda notice: _note_warning(notice, warned))
            for number, statement in enumerate(statements):
                say(statement.sql)
                try:
                    connection.execute(statement.sql.encode())
                except psycopg.errors.InsufficientPrivilege:
                    raise
                except psycopg.Error as problem:
                    raise BuildFailed(statement.sql, first_line(problem), left=_done(statements[:number])) from problem
                if warned:
                    raise BuildFailed(statement.sql, warned[0], left=_done(statements[:number]))
        return Applied(already=False, took_s=monotonic_s() - began_s, size_bytes=0)

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        if self.dsn is None:
            raise DatabaseNotGiven
        options = BUILD_SETTINGS.format(lock_timeout_s=self.lock_timeout_s)
        with mapped_errors(self.dsn), connected(self.dsn, options=options, autocommit=True) as connection:
            yield connection

    def _meet_old_transactions(self, connection: psycopg.Connection[Any], *, say: Say, wait: bool) -> None:
        told: list[str] = []
        while True:
            rows = connection.execute(OLD_TRANSACTIONS, {"old_s": self.old_transaction_s}).fetchall()
            if not rows:
                return
            found = [f"{who} for {show_seconds(age_s)}" for who, age_s in rows]
            if not wait:
                raise BuildBlocked(found)
            if [who for who, _ in rows] != told:
                told = [who for who, _ in rows]
                say(f"waiting for open transactions: {'; '.join(found)}")
            sleep(WAIT_EVERY_S)

    def _watch(self, build: _Build, *, say: Say) -> None:
        """
        Tell the progress until *build* ends. It goes on when nobody can watch it.
        """
        told = ""
        try:
            with self._connected() as watcher:
                while not build.ended(PROGRESS_EVERY_S):
                    line = _progress(watcher, build.pid)
                    if line and line != told:
                        say(line)
                        told = line
        except (psycopg.Error, RungError) as problem:
            if not build.ended(0.0):
                say(f"building; its progress cannot be told ({first_line(problem)})")
        while not build.ended(PROGRESS_EVERY_S):
            pass
        if build.problem is not None:
            raise build.problem

    def _left_after(
        self, connection: psycopg.Connection[Any], index: Index, name: str, problem: BaseException, *, say: Say
    ) -> str:
        """
        Drop what a failed build left, and say in a sentence what is there now.
        """
        if isinstance(problem, psycopg.errors.DuplicateTable | psycopg.errors.UniqueViolation):
            return f"Somebody else made something of the name {name} meanwhile; it was left alone."
        try:
            if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                return _cleaned(connection, index, name, say=say)
            with self._connected() as another:
                return _cleaned(another, index, name, say=say)
        except Exception as trouble:  # the first error is the one to tell; this says what it left
            assert self.dsn is not None
            again = sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(index.schema, name)).as_string()
            reason = (
                "an open transaction keeps it there"
                if isinstance(trouble, psycopg.errors.LockNotAvailable | DatabaseRefused)
                and "lock timeout" in str(trouble)
                else first_line(trouble)
            )
            return f"An invalid index {name} may be left on {address(self.dsn)} ({reason}); drop it: {again}"


class _Build:
    """
    The statement, run in a thread of its own, so that a Ctrl-C reaches us and not the middle of libpq.
    """

    def __init__(self, connection: psycopg.Connection[Any], statement: Statement) -> None:
        self.pid = connection.info.backend_pid
        self.problem: BaseException | None = None
        self._connection, self._statement = connection, statement
        # Not Thread.is_alive: a Ctrl-C during a join has Python 3.11 take a running thread for an ended one.
        self._idle = threading.Event()
        self._idle.set()

    def start(self) -> None:
        self._idle.clear()
        threading.Thread(target=self._execute, daemon=True).start()

    def _execute(self) -> None:
        try:
            self._connection.execute(self._statement.sql.encode())
        except BaseException as problem:  # handed over to the caller's thread by _watch
            self.problem = problem
        finally:
            self._idle.set()

    def ended(self, within_s: float) -> bool:
        return self._idle.wait(within_s)

    def stop(self) -> None:
        """
        Have the server end the build, and wait until it has.
        """
        while not self._idle.is_set():
            # Again and again: a cancellation that comes before the statement does nothing.
            try:
                self._connection.cancel_safe(timeout=CANCEL_TIMEOUT_S)
            except psycopg.Error:
                # The server cannot be reached: it ends the build, or completes it, without us.
                self._connection.close()
                return
            self._idle.wait(CANCEL_EVERY_S)


class _Interrupts:
    """
    Lets the first Ctrl-C through, and none while what is half done would otherwise stay half done.
    """

    def __init__(self) -> None:
        self._before = signal.getsignal(signal.SIGINT)
        self._came: list[tuple[int, FrameType | None]] = []
        self._let_through = False
        self._held = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        self._came.append((number, frame))
        if not self._held:
            self.let_through()

    @contextmanager
    def held(self) -> Iterator[None]:
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self.let_through()

    def let_through(self) -> None:
        if self._came and not self._let_through and callable(self._before):
            self._let_through = True
            self._before(*self._came[0])


@contextmanager
def _one_interrupt() -> Iterator[_Interrupts]:
    interrupts = _Interrupts()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield interrupts  # signals reach the main thread only; who ignores them is not to be interrupted
        return
    signal.signal(signal.SIGINT, interrupts.on_signal)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.is_file() and path.read_bytes() == content
    except OSError:
        return False  # writing it anew will tell why


def _note_warning(notice: psycopg.errors.Diagnostic, warned: list[str]) -> None:
    if notice.severity_nonlocalized == "WARNING":
        warned.append(notice.message_primary or "a warning without words")


def _done(statements: Sequence[Statement]) -> str:
    return f"Done before it, and still so: {'; '.join(each.sql for each in statements)}." if statements else UNTOUCHED


def _drop(connection: psycopg.Connection[Any], schema: str, name: str) -> None:
    connection.execute(sql.SQL("drop index concurrently if exists {}").format(sql.Identifier(schema, name)))


def _cleaned(connection: psycopg.Connection[Any], index: Index, name: str, *, say: Say) -> str:
    connection.execute(sql.SQL("set lock_timeout = {}").format(f"{CLEAN_UP_S_MAX}s"))
    state = _state(connection, index.schema, name)
    if state is None:
        return "Nothing was left behind."
    if state.building:
        return f"Somebody else is building {name}; it was left alone."
    if state.valid or not state.serves(index):
        return f"There is {state.definition}; it was left alone."
    say(f"dropping what is left of the build: {name} (for at most {show_seconds(CLEAN_UP_S_MAX)})")
    _drop(connection, index.schema, name)
    return "Its invalid leftover was dropped."


class _State:
    """
    An index of our name, as it is now.
    """

    def __init__(self, row: tuple[Any, ...]) -> None:
        self.valid, self.definition, self.size_bytes, self.building, self.table = row[:5]
        self._columns, self._descending, self._keys_only = row[5:]

    def serves(self, index: Index) -> bool:
        """
        Return whether this is *index*, and not somebody's index on something else.
        """
        wanted = [(column.name, column.descending) for column in index.columns]
        found = list(zip(self._columns or (), self._descending or (), strict=True))
        return bool(self.table == index.table and found == wanted and self._keys_only)


def _state(connection: psycopg.Connection[Any], schema: str, name: str) -> _State | None:
    row = connection.execute(STATE, (schema, name)).fetchone()
    return _State(row) if row is not None else None


def _refuse_other_kinds(connection: psycopg.Connection[Any], index: Index, statement: Statement) -> None:
    """
    Refuse what PostgreSQL cannot index concurrently, before anything is tried.
    """
    found = connection.execute(KIND, (index.schema, index.table)).fetchone()
    if found is None:
        raise BuildFailed(statement.sql, f"there is no table {index.schema}.{index.table}", left=UNTOUCHED)
    if found[0] == "p":
        raise BuildFailed(
            statement.sql,
            f"{index.schema}.{index.table} is partitioned; PostgreSQL cannot index a partitioned table concurrently",
            left=f"{UNTOUCHED} Build it on each partition, then on the parent with ON ONLY, and attach them.",
        )


def _refuse_building(state: _State, statement: Statement) -> None:
    if state.building:
        raise BuildFailed(statement.sql, "somebody is building it right now", left="Their build was left alone.")


def _refuse_other(state: _State, index: Index, name: str, statement: Statement) -> None:
    """
    Refuse to take, or to drop, an index of our name that is on something else.
    """
    if not state.serves(index):
        raise BuildFailed(
            statement.sql,
            f"another index has the name {name}: {state.definition}",
            left="It was left alone; rename or drop it.",
        )


def _progress(connection: psycopg.Connection[Any], pid: int) -> str:
    """
    Return where the build is, in the words of pg_stat_progress_create_index, "" when it is not there.
    """
    row = connection.execute(PROGRESS, (pid,)).fetchone()
    if row is None:
        return ""
    phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total, locker = row
    if locker:
        return f"{phase}: {lockers_done} of {lockers_total}, now pid {locker}"
    if blocks_total:
        return f"{phase}: {show_share(blocks_done / blocks_total)} of {show_bytes(blocks_total * 8192)}"
    if tuples_total:
        return f"{phase}: {show_count(tuples_done)} of {show_count(tuples_total)} rows"
    return str(phase)
