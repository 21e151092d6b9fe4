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

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from rung.adapters.ledger import write_whole
from rung.adapters.postgres import address, connected, first_line, mapped_errors
from rung.clock import monotonic_s, sleep
from rung.errors import BuildBlocked, BuildFailed, DatabaseNotGiven
from rung.ports import Applied, Index, Say, Statement, TextFile
from rung.units import show_bytes, show_count, show_seconds, show_share

PROGRESS_EVERY_S = 0.5
WAIT_EVERY_S = 1.0
CLEAN_UP_TIMEOUT = "30s"
BUILD_SETTINGS = "-c statement_timeout=0 -c lock_timeout={lock_timeout_s}s -c application_name=rung"

OLD_TRANSACTIONS = """
select pid, coalesce(usename::text, '?'), coalesce(nullif(application_name, ''), '?'), state,
       extract(epoch from clock_timestamp() - xact_start)::float8
from pg_stat_activity
where xact_start < clock_timestamp() - make_interval(secs => %s)
  and pid <> pg_backend_pid() and backend_type = 'client backend'
  and datname = current_database()
  and (backend_xid is not null or backend_xmin is not null or state like 'idle in transaction%%')
order by xact_start
"""
STATE = """
select i.indisvalid, pg_get_indexdef(i.indexrelid), pg_relation_size(i.indexrelid)::bigint,
       exists (select 1 from pg_stat_progress_create_index p where p.index_relid = i.indexrelid),
       n.nspname, t.relname
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s
"""
PROGRESS = """
select phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total, current_locker_pid
from pg_stat_progress_create_index where pid = %s
"""


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
            if not path.is_file() or path.read_text("utf-8") != file.text:
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
            KeyboardInterrupt: after the build was cancelled and its leftover dropped.
        """
        with self._connected() as connection:
            state = _state(connection, index.schema, name)
            if state is not None and state.building:
                raise BuildFailed(
                    statement.sql, "somebody is building it right now", left="Their build was left alone."
                )
            if state is not None and state.valid:
                _refuse_other(state, index, name, statement)
                return Applied(already=True, took_s=0.0, size_bytes=state.size_bytes)
            self._meet_old_transactions(connection, say=say, wait=wait)
            if state is not None:
                say(f"dropping an invalid leftover of an earlier build: {name}")
                self._drop_leftover(connection, index.schema, name)
            began_s = monotonic_s()
            try:
                self._run(connection, statement, say=say)
            except BaseException as problem:
                left = self._left_after(index.schema, name)
                if isinstance(problem, psycopg.Error):
                    raise BuildFailed(statement.sql, first_line(problem), left=left) from problem
                raise
            state = _state(connection, index.schema, name)
            if state is None or not state.valid:
                left = self._left_after(index.schema, name)
                raise BuildFailed(statement.sql, "the index was built but is not valid", left=left)
            return Applied(already=False, took_s=monotonic_s() - began_s, size_bytes=state.size_bytes)

    def drop_index(self, schema: str, name: str, statement: Statement) -> None:
        """
        Run the undo of an index.
        """
        with self._connected() as connection:
            connection.execute(statement.sql.encode())

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        if self.dsn is None:
            raise DatabaseNotGiven
        options = BUILD_SETTINGS.format(lock_timeout_s=round(self.lock_timeout_s))
        with mapped_errors(self.dsn), connected(self.dsn, options=options, autocommit=True) as connection:
            yield connection

    def _meet_old_transactions(self, connection: psycopg.Connection[Any], *, say: Say, wait: bool) -> None:
        told: list[str] = []
        while True:
            rows = connection.execute(OLD_TRANSACTIONS, (self.old_transaction_s,)).fetchall()
            found = [
                f"pid {pid} ({user}, {application}, {state}) for {show_seconds(age_s)}"
                for pid, user, application, state, age_s in rows
            ]
            if not found:
                return
            if not wait:
                raise BuildBlocked(found)
            if [line.split(" for ")[0] for line in found] != told:
                told = [line.split(" for ")[0] for line in found]
                say(f"waiting for open transactions: {'; '.join(found)}")
            sleep(WAIT_EVERY_S)

    def _run(self, connection: psycopg.Connection[Any], statement: Statement, *, say: Say) -> None:
        """
        Run the build in a thread of its own, so that a Ctrl-C reaches us and not the middle of libpq.
        """
        failed: list[BaseException] = []

        def build() -> None:
            try:
                connection.execute(statement.sql.encode())
            except BaseException as problem:  # handed over to the caller's thread below
                failed.append(problem)

        thread = threading.Thread(target=build, daemon=True)
        pid = connection.info.backend_pid
        thread.start()
        try:
            with self._connected() as watcher:
                told = ""
                while thread.is_alive():
                    thread.join(PROGRESS_EVERY_S)
                    line = _progress(watcher, pid)
                    if line and line != told:
                        say(line)
                        told = line
        except BaseException:
            connection.cancel_safe()
            thread.join()
            raise
        if failed:
            raise failed[0]

    def _drop_leftover(self, connection: psycopg.Connection[Any], schema: str, name: str) -> None:
        connection.execute(sql.SQL("drop index concurrently if exists {}").format(sql.Identifier(schema, name)))

    def _left_after(self, schema: str, name: str) -> str:
        """
        Drop what a failed build left, over a new connection, and say in a sentence what is there now.
        """
        again = f"DROP INDEX CONCURRENTLY {schema}.{name}"
        try:
            with self._connected() as connection:
                connection.execute(sql.SQL("set lock_timeout = {}").format(CLEAN_UP_TIMEOUT))
                state = _state(connection, schema, name)
                if state is None:
                    return "Nothing was left behind."
                if state.valid:
                    return f"The index {name} is there and valid."
                self._drop_leftover(connection, schema, name)
                return "Its invalid leftover was dropped."
        except Exception as problem:  # the first error is the one to tell; this says what it left
            assert self.dsn is not None
            return (
                f"An invalid index {name} may be left on {address(self.dsn)} ({first_line(problem)}); drop it: {again}"
            )


class _State:
    """
    An index of our name, as it is now.
    """

    def __init__(self, row: tuple[Any, ...]) -> None:
        self.valid, self.definition, self.size_bytes, self.building, self.schema, self.table = row


def _state(connection: psycopg.Connection[Any], schema: str, name: str) -> _State | None:
    row = connection.execute(STATE, (schema, name)).fetchone()
    return _State(row) if row is not None else None


def _refuse_other(state: _State, index: Index, name: str, statement: Statement) -> None:
    """
    Refuse to take a valid index of our name for ours when it is on something else.
    """
    columns = ", ".join(column.name + (" DESC" if column.descending else "") for column in index.columns)
    same_columns = state.definition.replace('"', "").endswith(f"({columns})")
    if state.table != index.table or not same_columns:
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
