"""
Turn a quote into a change: the statements, the files for the user's repository, and how to undo it.

In        a Quote with a plan, or with a setting
Out       a Change, a value; the same quote gives the same change
Not here  running or writing any of it (adapters/hands.py)

Why CREATE INDEX CONCURRENTLY is written as it is: a short lock_timeout fails the build when one writer
is open and leaves an INVALID index, on which IF NOT EXISTS then "succeeds"; its waits block nobody, so
minutes are right.  A statement_timeout would kill a long build.  Success is `indisvalid`, never the
absence of an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rung.ports import Index, Statement, TextFile
from rung.steps.price.quote import BuildIndex, Quote, Run
from rung.steps.twin.variant import Setting
from rung.units import show_seconds


@dataclass(frozen=True, slots=True)
class Change:
    """
    What taking a move does.

    Attributes:
        move: The quote's name.
        files: What is written into the user's repository, to be reviewed: a migration and its undo, or what to set.
        build: An index that rung can build itself; None where it is none.
        setting: What people set; None where rung can carry it out.
        run: Statements that rung can run itself; None where there is an index to build.
    """

    move: str
    files: tuple[TextFile, ...]
    build: Build | None = None
    setting: Setting | None = None
    run: Run | None = None

    @property
    def by_hand(self) -> bool:
        """
        Whether people carry it out, and rung has nothing to run.
        """
        return self.build is None and self.run is None

    @property
    def undo(self) -> tuple[Statement, ...]:
        """
        What takes it back, in order; empty where nothing does or people do.
        """
        if self.build is not None:
            return (self.build.undo,)
        return self.run.undo if self.run is not None else ()


@dataclass(frozen=True, slots=True)
class Build:
    """
    An index to be built.

    Attributes:
        plan: Which, and under which name.
        statement: What builds it, outside a transaction.
        undo: What takes it away again, likewise.
    """

    plan: BuildIndex
    statement: Statement
    undo: Statement


def take(quote: Quote, *, folder: str, lock_timeout_s: float) -> Change:
    """
    Return the change that *quote* describes.

    Args:
        folder: The folder of migrations, relative to the repository.
        lock_timeout_s: How long the build may wait for a lock.
    """
    assert quote.takeable, "doing nothing has no change"
    stem = f"{folder}/{file_stem(quote.name)}"
    # A name may hold a line break, which would end the comment and begin a statement.
    what = " ".join(quote.what.split())
    if quote.setting is not None:
        return Change(
            quote.name, (TextFile(f"{stem}.txt", _setting_text(quote, quote.setting, what)),), None, quote.setting
        )
    # A lock_timeout of 0 would mean to wait for ever.
    timeout_s = max(round(lock_timeout_s), 1)
    if quote.run is not None:
        return Change(quote.name, _run_files(quote.run, stem, what, timeout_s), run=quote.run)
    plan = quote.plan
    assert plan is not None
    create, drop = create_index(plan.index, plan.name), drop_index(plan.index, plan.name)
    migration = _MIGRATION.format(what=what, statement=create.sql, check=_check(plan), timeout_s=timeout_s)
    undo = _UNDO.format(what=what, statement=drop.sql, timeout_s=timeout_s)
    return Change(
        quote.name,
        (TextFile(f"{stem}.sql", migration), TextFile(f"{stem}.undo.sql", undo)),
        Build(plan, create, drop),
    )


def _run_files(run: Run, stem: str, what: str, timeout_s: int) -> tuple[TextFile, ...]:
    """
    Return the statements as a file, and their undo as another where there is one.
    """
    files = [TextFile(f"{stem}.sql", _STATEMENTS.format(what=what, timeout_s=timeout_s, lines=_lines(run.statements)))]
    if run.undo:
        undo = _STATEMENTS.format(what=f"Undo of: {what}", timeout_s=timeout_s, lines=_lines(run.undo))
        files.append(TextFile(f"{stem}.undo.sql", undo))
    return tuple(files)


def _lines(statements: tuple[Statement, ...]) -> str:
    return "\n".join(f"{statement.sql};" for statement in statements)


_STATEMENTS = """\
-- {what}
-- Holds up neither reads nor writes: psql -f THIS_FILE
SET lock_timeout = '{timeout_s}s';
{lines}
RESET lock_timeout;
"""

_SETTING = """\
{name}: {what}
A setting of your app's, so it is changed by you: in its code or configuration, or in the command that starts it.

Set     {then}
Undo    {now}

{promise}Assumed:
{assumptions}
"""


def _setting_text(quote: Quote, setting: Setting, what: str) -> str:
    promise = ""
    if quote.predicted is not None:
        low, high = show_seconds(quote.predicted.low), show_seconds(quote.predicted.high)
        promise = (
            f"Predicted for p{quote.percentile} of {quote.route}: {show_seconds(quote.now.value)} now, then "
            f"{show_seconds(quote.predicted.value)} ({low} to {high}).\n"
        )
    return _SETTING.format(
        name=quote.name,
        what=what,
        then=setting.then,
        now=setting.now,
        promise=promise,
        assumptions="\n".join(f"- {assumption}" for assumption in quote.assumptions),
    )


_MIGRATION = """\
-- {what}
-- Run it outside a transaction, on a direct connection (not through PgBouncer): psql -f THIS_FILE
-- Writers are not blocked; transactions older than the build delay it.
SET statement_timeout = 0;
SET lock_timeout = '{timeout_s}s';
{statement};
RESET lock_timeout;
RESET statement_timeout;
-- Must give t; if it gives f, the build failed half-way: run the undo, then this again.
{check};
"""

_UNDO = """\
-- Undo of: {what}
SET lock_timeout = '{timeout_s}s';
{statement};
RESET lock_timeout;
"""


def create_index(index: Index, name: str) -> Statement:
    """
    Return the statement that builds *index* without blocking writers.

    >>> from rung.ports import IndexColumn
    >>> create_index(Index("public", "orders", (IndexColumn("id", True),)), "by_id").sql
    'CREATE INDEX CONCURRENTLY "by_id" ON "public"."orders" ("id" DESC)'
    """
    columns = ", ".join(identifier(column.name) + (" DESC" if column.descending else "") for column in index.columns)
    table = f"{identifier(index.schema)}.{identifier(index.table)}"
    return Statement(f"CREATE INDEX CONCURRENTLY {identifier(name)} ON {table} ({columns})")


def drop_index(index: Index, name: str) -> Statement:
    """
    Return the statement that takes an index away without blocking writers.
    """
    return Statement(f"DROP INDEX CONCURRENTLY IF EXISTS {identifier(index.schema)}.{identifier(name)}")


def _check(build: BuildIndex) -> str:
    qualified = literal(f"{identifier(build.index.schema)}.{identifier(build.name)}")
    return f"SELECT indisvalid FROM pg_index WHERE indexrelid = {qualified}::regclass"  # noqa: S608  # quoted above


def identifier(name: str) -> str:
    """
    Return *name* quoted as an SQL identifier.

    Source: PostgreSQL documentation, 4.1.1: a quote inside is doubled; a NUL cannot be in one.

    >>> print(identifier('a "b" c'))
    "a ""b"" c"
    """
    assert "\0" not in name
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """
    Return *text* quoted as an SQL string, whatever standard_conforming_strings says.

    >>> literal("it's")
    "'it''s'"
    """
    assert "\0" not in text
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def file_stem(name: str) -> str:
    """
    Return a move's name as a file's name.

    >>> file_stem("index:orders(customer_id,created_at)")
    'index-orders-customer_id-created_at'
    """
    return re.sub(r"\W+", "-", name).strip("-")
