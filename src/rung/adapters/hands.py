"""
Carry a change out: write its files, run its statements, undo it.  The only adapter that alters anything.

In        files and statements as values
Out       what was done; the database as it was, whenever the change could not be completed
Not here  what to run (steps/take), partitions one by one (partitions.py), the statement under way (building.py)

Facts that shape this (PostgreSQL documentation, CREATE INDEX, "Building Indexes Concurrently"):
a concurrent build that fails or is cancelled leaves an INVALID index behind, which costs every write
and serves no read, so ours is dropped again; the build waits for all transactions older than itself,
so these are named before it; success is `indisvalid`, not the absence of an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from rung.adapters.building import Interrupts, Running, one_interrupt, progress
from rung.adapters.index_state import State, state_of
from rung.adapters.ledger import write_whole
from rung.adapters.partitions import build_on_partitions, drop_on_partitions, left_on_partitions
from rung.adapters.patching import applied
from rung.adapters.postgres import address, connected, first_line, mapped_errors
from rung.clock import monotonic_s, sleep
from rung.errors import BuildBlocked, BuildFailed, DatabaseNotGiven, DatabaseRefused, PatchUnfit, RungError
from rung.ports import Applied, NamedIndex, Say, Statement, TextFile, Work
from rung.units import show_seconds

PROGRESS_EVERY_S = 0.5
WAIT_EVERY_S = 1.0
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

    def patch(self, path: str, diff: str, *, back: bool = False) -> Applied:
        """
        Apply *diff* to a file of the repository, or take it back; harmless where that is done already.

        Raises:
            PatchUnfit: the file is not there, or these lines of it have changed since.
            FileUnwritable: the folder or the disk does not take it.
        """
        began_s = monotonic_s()
        file = (self.repository / path).resolve()
        try:
            inside = file.is_relative_to(self.repository.resolve())
            text = file.read_bytes().decode("utf-8") if inside else ""
        except (OSError, ValueError):
            text = ""
        made = applied(text, diff, back=back)
        if made is None and applied(text, diff, back=not back) is not None:
            return Applied(already=True, took_s=0.0, size_bytes=0)
        if made is None:
            raise PatchUnfit(path, back=back)
        mode = file.stat().st_mode
        write_whole(file, made)
        file.chmod(mode)
        return Applied(already=False, took_s=monotonic_s() - began_s, size_bytes=0)

    def apply(self, work: Work, *, say: Say, wait: bool) -> Applied:
        """
        Run *work* without blocking writers, telling the progress; an index that is there is left as it is.

        Args:
            wait: Wait for old transactions instead of refusing to begin.

        Raises:
            BuildBlocked: old transactions are open, and *wait* is false.
            BuildFailed: the database did not complete it; nothing of it is left, or the message says what.
            DatabaseDenied: the role may not do it.
            KeyboardInterrupt: after a build was cancelled and its leftover dropped.
        """
        with self._connected() as connection:
            if work.builds:
                return self._build_all(connection, work.builds, say=say, wait=wait)
            self._refuse_unwritable(connection, work.statements[0])
            if work.rebuilds is not None:
                return self._drop_found(connection, work.rebuilds, work.statements[0], say=say, wait=wait)
            return self._run_script(connection, work.statements, say=say)

    def undo(self, work: Work, *, say: Say) -> None:
        """
        Take *work* back: drop what it built, build what it dropped.

        Raises:
            BuildFailed: the database did not complete it; what is there now is said.
            DatabaseDenied: the role may not do it.
        """
        with self._connected() as connection:
            for statement in work.undo[:1]:
                self._refuse_unwritable(connection, statement)
            if work.rebuilds is not None:
                self._build(connection, work.rebuilds, say=say, wait=True)
            elif work.builds:
                for built, drop in reversed(list(zip(work.builds, work.undo, strict=True))):
                    self._drop(connection, built, drop, say=say)
            else:
                self._run_script(connection, work.undo, say=say)

    def _build_all(
        self, connection: psycopg.Connection[Any], builds: Sequence[NamedIndex], *, say: Say, wait: bool
    ) -> Applied:
        done: list[Applied] = []
        for wanted in builds:
            try:
                done.append(self._build(connection, wanted, say=say, wait=wait))
            except BuildFailed as problem:
                if not done:
                    raise
                names = ", ".join(built.name for built in builds[: len(done)])
                left = f"{problem.left} There already, and left there: {names}."
                raise BuildFailed(problem.statement, problem.problem, left=left) from problem
        return Applied(
            already=all(each.already for each in done),
            took_s=sum(each.took_s for each in done),
            size_bytes=sum(each.size_bytes for each in done),
        )

    def _build(self, connection: psycopg.Connection[Any], wanted: NamedIndex, *, say: Say, wait: bool) -> Applied:
        partitioned = self._refuse_other_kinds(connection, wanted)
        state = state_of(connection, wanted.schema, wanted.name)
        if state is not None:
            _refuse_building(state, wanted.create)
            _refuse_other(state, wanted)
            if state.valid:
                return Applied(already=True, took_s=0.0, size_bytes=state.size_bytes)
        self._meet_old_transactions(connection, say=say, wait=wait)
        began_s = monotonic_s()
        if partitioned:
            self._build_on_partitions(connection, wanted, say=say)
        else:
            self._build_one(connection, wanted, say=say)
        state = state_of(connection, wanted.schema, wanted.name)
        if state is None or not state.valid:
            left = left_on_partitions(connection, wanted) if partitioned else ""
            raise BuildFailed(wanted.create.sql, "it ended without a valid index", left=left)
        return Applied(already=False, took_s=monotonic_s() - began_s, size_bytes=state.size_bytes)

    def _build_on_partitions(self, connection: psycopg.Connection[Any], wanted: NamedIndex, *, say: Say) -> None:
        def build(part: NamedIndex) -> None:
            state = state_of(connection, part.schema, part.name)
            if state is not None:
                _refuse_building(state, part.create)
                _refuse_other(state, part)
            if state is None or not state.valid:
                self._build_one(connection, part, say=say)

        try:
            build_on_partitions(connection, wanted, build=build, say=say, patience_s=self.lock_timeout_s)
        except (psycopg.errors.InsufficientPrivilege, KeyboardInterrupt):
            raise
        except (psycopg.Error, BuildFailed) as problem:
            told = problem.problem if isinstance(problem, BuildFailed) else first_line(problem)
            raise BuildFailed(wanted.create.sql, told, left=self._left_on_partitions(wanted)) from problem

    def _left_on_partitions(self, wanted: NamedIndex) -> str:
        try:
            with self._connected() as another:
                return left_on_partitions(another, wanted)
        except (psycopg.Error, RungError) as trouble:
            return f"Which partitions have it now cannot be told ({first_line(trouble)})."

    def _build_one(self, connection: psycopg.Connection[Any], wanted: NamedIndex, *, say: Say) -> None:
        """
        Build one index that is not there, or only as an invalid leftover of ours.
        """
        build = Running(connection, wanted.create)
        with one_interrupt() as interrupts:
            try:
                if state_of(connection, wanted.schema, wanted.name) is not None:
                    say(f"dropping an invalid leftover of an earlier build: {wanted.name}")
                    _drop(connection, wanted.schema, wanted.name)
                self._run_held(build, interrupts, say=say)
                state = state_of(connection, wanted.schema, wanted.name)
                if state is None or not state.valid:
                    raise BuildFailed(wanted.create.sql, "it ended without a valid index", left="")
            except BaseException as problem:
                with interrupts.held():
                    build.stop()
                    left = self._left_after(connection, wanted, problem, say=say)
                if isinstance(problem, psycopg.errors.InsufficientPrivilege):
                    raise
                if isinstance(problem, psycopg.Error):
                    raise BuildFailed(wanted.create.sql, first_line(problem), left=left) from problem
                if isinstance(problem, BuildFailed):
                    raise BuildFailed(wanted.create.sql, problem.problem, left=left) from None
                say(left)
                raise

    def _run_held(self, run: Running, interrupts: Interrupts, *, say: Say) -> None:
        with interrupts.held():
            run.start()
        self._watch(run, say=say)

    def _drop_found(
        self, connection: psycopg.Connection[Any], gone: NamedIndex, drop: Statement, *, say: Say, wait: bool
    ) -> Applied:
        state = state_of(connection, gone.schema, gone.name)
        if state is None:
            return Applied(already=True, took_s=0.0, size_bytes=0)
        # The undo would build another than the one that went.
        _refuse_other(state, gone)
        self._meet_old_transactions(connection, say=say, wait=wait)
        began_s = monotonic_s()
        self._drop(connection, gone, drop, say=say)
        return Applied(already=False, took_s=monotonic_s() - began_s, size_bytes=state.size_bytes)

    def _drop(self, connection: psycopg.Connection[Any], gone: NamedIndex, drop: Statement, *, say: Say) -> None:
        try:
            if self._kind(connection, gone) == "p":
                drop_on_partitions(connection, gone, say=say, patience_s=self.lock_timeout_s)
            else:
                connection.execute(drop.sql.encode())
        except psycopg.errors.InsufficientPrivilege:
            raise
        except psycopg.Error as problem:
            left = f"The index {gone.name} is still there, for reads or only for writes; run the same again."
            raise BuildFailed(drop.sql, first_line(problem), left=left) from problem

    def _run_script(self, connection: psycopg.Connection[Any], statements: Sequence[Statement], *, say: Say) -> Applied:
        """
        Run *statements* one by one, each by itself; those before one that fails stand, and the message says so.
        """
        began_s = monotonic_s()
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

    def _watch(self, run: Running, *, say: Say) -> None:
        """
        Tell the progress until *run* ends. It goes on when nobody can watch it.
        """
        told = ""
        try:
            with self._connected() as watcher:
                while not run.ended(PROGRESS_EVERY_S):
                    line = progress(watcher, run.pid)
                    if line and line != told:
                        say(line)
                        told = line
        except (psycopg.Error, RungError) as problem:
            if not run.ended(0.0):
                say(f"building; its progress cannot be told ({first_line(problem)})")
        while not run.ended(PROGRESS_EVERY_S):
            pass
        if run.problem is not None:
            raise run.problem

    def _left_after(
        self, connection: psycopg.Connection[Any], wanted: NamedIndex, problem: BaseException, *, say: Say
    ) -> str:
        """
        Drop what a failed build left, and say in a sentence what is there now.
        """
        if isinstance(problem, psycopg.errors.DuplicateTable | psycopg.errors.UniqueViolation):
            return f"Somebody else made something of the name {wanted.name} meanwhile; it was left alone."
        try:
            if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                return _cleaned(connection, wanted, say=say)
            with self._connected() as another:
                return _cleaned(another, wanted, say=say)
        except Exception as trouble:  # the first error is the one to tell; this says what it left
            assert self.dsn is not None
            again = sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(wanted.schema, wanted.name))
            reason = (
                "an open transaction keeps it there"
                if isinstance(trouble, psycopg.errors.LockNotAvailable | DatabaseRefused)
                and "lock timeout" in str(trouble)
                else first_line(trouble)
            )
            where = address(self.dsn)
            return f"An invalid index {wanted.name} may be left on {where} ({reason}); drop it: {again.as_string()}"

    def _refuse_other_kinds(self, connection: psycopg.Connection[Any], wanted: NamedIndex) -> bool:
        """
        Return whether the table is partitioned; refuse what has no index, before anything is tried.
        """
        self._refuse_unwritable(connection, wanted.create)
        kind = self._kind(connection, wanted)
        if kind is None:
            raise BuildFailed(wanted.create.sql, f"there is no table {wanted.schema}.{wanted.table}", left=UNTOUCHED)
        if kind not in ("r", "m", "p"):
            raise BuildFailed(
                wanted.create.sql, f"{wanted.schema}.{wanted.table} is no table of this database", left=UNTOUCHED
            )
        return kind == "p"

    def _refuse_unwritable(self, connection: psycopg.Connection[Any], statement: Statement) -> None:
        row = connection.execute("select pg_is_in_recovery()").fetchone()
        if row is not None and row[0]:
            left = f"{UNTOUCHED} Name its primary with --database; what is built there reaches the standby by itself."
            raise BuildFailed(statement.sql, "this server is a standby, which can only be read", left=left)

    def _kind(self, connection: psycopg.Connection[Any], wanted: NamedIndex) -> str | None:
        row = connection.execute(KIND, (wanted.schema, wanted.table)).fetchone()
        return row[0] if row is not None else None


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


def _cleaned(connection: psycopg.Connection[Any], wanted: NamedIndex, *, say: Say) -> str:
    connection.execute(sql.SQL("set lock_timeout = {}").format(f"{CLEAN_UP_S_MAX}s"))
    state = state_of(connection, wanted.schema, wanted.name)
    if state is None:
        return "Nothing was left behind."
    if state.building:
        return f"Somebody else is building {wanted.name}; it was left alone."
    if state.valid or not state.serves(wanted):
        return f"There is {state.definition}; it was left alone."
    say(f"dropping what is left of the build: {wanted.name} (for at most {show_seconds(CLEAN_UP_S_MAX)})")
    _drop(connection, wanted.schema, wanted.name)
    return "Its invalid leftover was dropped."


def _refuse_building(state: State, statement: Statement) -> None:
    if state.building:
        raise BuildFailed(statement.sql, "somebody is building it right now", left="Their build was left alone.")


def _refuse_other(state: State, wanted: NamedIndex) -> None:
    """
    Refuse to take, or to drop, an index of our name that is on something else.
    """
    if not state.serves(wanted):
        raise BuildFailed(
            wanted.create.sql,
            f"another index has the name {wanted.name}: {state.definition}",
            left="It was left alone; rename or drop it.",
        )
