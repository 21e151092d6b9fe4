"""
Measure the work of a case with indexes really built, and judge advice by it.

In        a database with a group's data, a Shape, indexes
Out       pages touched, seconds, bytes; what is wrong with the advice, "" if nothing is
Not here  the cases (shop.py, joins.py, ...), any advisor

Work is counted in pages that statements touch, found in memory or not, so that it is the same each time.
pg_stat_statements counts it, and with it what the checks of foreign keys touch, which EXPLAIN leaves out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.advisor.advising import shown
from benchmarks.advisor.built import TREE_SIZE
from rung.ports import Index
from rung.steps.take.sql import create_at_once
from tests.asking import keep_still
from tests.shapes.shape import Execution, Shape

# Advice may touch half as much again as the right index, and a few pages: an index one page higher is no fault.
WORK_FACTOR = 1.5
WORK_PAGES = 6
# A whole index where a partial one would do is many times larger; carrying a column along is not.  What carries more
# along must pay: half the pages, and not just a few.
SIZE_FACTOR = 2.0
SIZE_FACTOR_PAID = 6.0
PAID_PAGES = 24
SIZE_BYTES = 8 * 8192
TIME_FACTOR = 2.0
TIME_S = 0.001
# What is right must be worth being built, or the case tells nothing.
GAIN_MIN = 1.5
TIMES = 5
READING = ("select", "with")
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Work:
    """
    What a case takes: pages touched and seconds, all its statements by their executions; bytes of the indexes.
    """

    pages: float
    took_s: float
    size_bytes: int


def prepare(dsn: str, schema: str) -> None:
    """
    Fill an empty database.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        # VACUUM takes no page for visible to all whose commit is not on disk yet.
        connection.execute("set synchronous_commit = on")
        connection.execute("create extension if not exists pg_stat_statements")
        connection.execute(sql.SQL(schema))
        # One that looks at a table while it is vacuumed keeps its pages from being known as visible to all.
        keep_still(dsn)
        connection.execute("vacuum analyze")
        # Workers would share the pages out differently each time.
        connection.execute(
            sql.SQL("alter database {} set max_parallel_workers_per_gather = 0").format(
                sql.Identifier(connection.info.dbname)
            )
        )


def measured(dsn: str, shape: Shape, indexes: Sequence[Index], *, timed: bool = False) -> Work:
    """
    Return the work of *shape* with *indexes* built, which are dropped again.
    """
    connecting = psycopg.connect(dsn, autocommit=True, prepare_threshold=None)
    with connecting as connection, _built(connection, indexes) as size_bytes:
        pages, took_s = 0.0, 0.0
        for execution in shape.executions:
            runs = [_run(connection, execution) for _ in range(TIMES if timed else 2)]
            pages += execution.executions * min(run[0] for run in runs)
            took_s += execution.executions * min(run[1] for run in runs)
            # What it wrote was rolled back, and is still in the way.
            if not execution.text.startswith(READING):
                connection.execute("vacuum")
        return Work(pages, took_s, size_bytes)


@contextmanager
def _built(connection: Connection, indexes: Sequence[Index]) -> Iterator[int]:
    names = [f"judged_{place}" for place in range(len(indexes))]
    size_bytes = 0
    try:
        for name, index in zip(names, indexes, strict=True):
            connection.execute(create_at_once(index, name).sql.encode())
            # An expression has statistics only once its index is there.
            if any(key.expression for key in index.columns):
                connection.execute(sql.SQL("analyze {}").format(sql.Identifier(index.schema, index.table)))
            row = connection.execute(
                TREE_SIZE, 2 * (sql.Identifier(index.schema, name).as_string(connection),)
            ).fetchone()
            assert row is not None
            size_bytes += row[0]
        yield size_bytes
    finally:
        for name, index in zip(names, indexes, strict=True):
            connection.execute(sql.SQL("drop index if exists {}").format(sql.Identifier(index.schema, name)))


TOUCHED = """
select coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint from pg_stat_statements s
join pg_database d on d.oid = s.dbid and d.datname = current_database()
where query not like '%pg_stat_statements%'
"""


def _run(connection: Connection, execution: Execution) -> tuple[int, float]:
    """
    Return pages touched and seconds of one execution, which is rolled back.
    """
    connection.execute("select pg_stat_statements_reset()")
    with connection.transaction(force_rollback=True):
        began_s = time.perf_counter()
        # Raw: the text keeps its $n, and the server plans with the values, as it does for a driver's first executions.
        psycopg.RawCursor(connection).execute(execution.text.encode(), execution.values)
        took_s = time.perf_counter() - began_s
    row = connection.execute(TOUCHED).fetchone()
    assert row is not None
    return row[0], took_s


@dataclass(frozen=True, slots=True)
class Bar:
    """
    What a case takes without an index, and with the best of those that are right.
    """

    without: Work
    best: Work
    size_bytes_max: int


def bar(dsn: str, shape: Shape, *, timed: bool = False) -> Bar:
    """
    Return what advice on *shape* is held against.
    """
    without = measured(dsn, shape, (), timed=timed)
    right = [measured(dsn, shape, indexes, timed=timed) for indexes in shape.right]
    best = min(right, key=lambda work: work.pages, default=without)
    return Bar(without, best, max((work.size_bytes for work in right), default=0))


def fault(dsn: str, shape: Shape, held: Bar, advised: Sequence[Index], *, timed: bool = False) -> str:
    """
    Return what is wrong with the advice, "" if nothing is.
    """
    said = "; ".join(shown(index) for index in advised) or "no index"
    if not shape.right:
        return f"{shape.name}: {said}, where any index would be wrong" if advised else ""
    right = " or ".join("; ".join(shown(index) for index in each) for each in shape.right)
    asked = f"{shape.name}: {said}, where {right} is right"
    if len(advised) > max(len(each) for each in shape.right):
        return f"{asked}: more indexes than it takes"
    work = measured(dsn, shape, advised, timed=timed)
    if work.pages > WORK_FACTOR * held.best.pages + WORK_PAGES:
        return f"{asked}: touches {work.pages:g} pages, not {held.best.pages:g} ({held.without.pages:g} without)"
    pays = work.pages <= min(held.best.pages / 2, held.best.pages - PAID_PAGES)
    factor = SIZE_FACTOR_PAID if pays else SIZE_FACTOR
    if work.size_bytes > factor * held.size_bytes_max + SIZE_BYTES:
        return f"{asked}: is {work.size_bytes} bytes large, not {held.size_bytes_max}"
    if timed and work.took_s > TIME_FACTOR * held.best.took_s + TIME_S:
        return f"{asked}: takes {work.took_s:.4f} s, not {held.best.took_s:.4f} s ({held.without.took_s:.4f} without)"
    return ""
