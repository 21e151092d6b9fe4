"""
What building an index takes, beside what steps/advise/builds.py says.

In        a Stage
Out       for each table and kind of index: seconds and bytes of the log of a build, measured and foreseen; constants
          that fit best, and how far off they are for a table that they were not fitted to
Not here  what an index costs writes (writing.py)

Each index is built CONCURRENTLY some times and dropped again; of its builds the shortest counts, for caches that others
have emptied can only lengthen one.  Processor time is the kernel's own account of the backend.  Linux only:
/proc/PID/schedstat.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from psycopg import sql

from benchmarks.timing.stage import Stage
from benchmarks.timing.writing import processor_s
from rung import clock
from rung.adapters.catalog import describe
from rung.moves.timing import fitted
from rung.ports import Index, IndexColumn
from rung.steps.advise.builds import SECONDS, build_work, built
from rung.steps.take.sql import create_index

BUILDS = 3
# Rows, and bytes of filling.
TABLES = ((3_000, 20), (50_000, 20), (200_000, 20), (200_000, 300), (800_000, 40))
QUICK_TABLES = ((2_000, 20), (10_000, 100))
MADE = """
drop table if exists built;
create table built (id int not null, a int not null, b int not null, c text not null, at timestamptz not null,
    status text not null, note text not null);
insert into built
select i, hashint4(i), i % 1000, md5(i::text), timestamptz '2024-01-01' + i * interval '1 second',
       case when i % 10 = 0 then 'open' else 'done' end, repeat('n', {width})
from generate_series(1, {rows}) i;
vacuum (freeze, analyze) built
"""
KINDS = tuple(SECONDS)
WIDE_OPEN, MISSES = 1.5, 0.15


def index(*columns: str, include: tuple[str, ...] = (), where: str = "") -> Index:
    """
    Return an index of the table; what is no name of a column is an expression.
    """
    keys = tuple(IndexColumn(name, expression=not name.isidentifier()) for name in columns)
    return Index("public", "built", keys, include, where)


SHAPES: Mapping[str, Index] = {
    "one column": index("a"),
    "one column, ascending": index("at"),
    "one column of few values": index("b"),
    "one column, text of 32": index("c"),
    "three columns": index("b", "a", "c"),
    "INCLUDE": index("a", include=("c", "b")),
    "partial, a tenth": index("a", where="status = 'open'"),
    "expression": index("upper(c)"),
}


def builds(stage: Stage, tables: Sequence[tuple[int, int]] = TABLES, *, times: int = BUILDS) -> list[dict[str, Any]]:
    """
    Return a row for each table and kind of index, with the work that builds.py sees in it.
    """
    found = []
    for rows, width in tables:
        for statement in MADE.split(";\n"):
            stage.connection.execute(sql.SQL(statement).format(rows=sql.Literal(rows), width=sql.Literal(width)))
        table = describe(stage.connection, "public", "built")
        assert table is not None
        for name, made in SHAPES.items():
            each = [_built(stage, made) for _ in range(times)]
            size_bytes, wal_bytes = each[-1][2:]
            found.append(
                {
                    "shape": name, "rows": rows, "width": width, "seconds": min(one[0] for one in each),
                    "clock_s": min(one[1] for one in each), "size_bytes": size_bytes, "wal_bytes": wal_bytes,
                    "work": dict(build_work(made, table, size_bytes)),
                    "foreseen_wal_bytes": built(made, table, size_bytes).wal_bytes,
                }
            )  # fmt: skip
    return found


def _built(stage: Stage, made: Index) -> tuple[float, float, int, int]:
    """
    Return what a build takes: seconds of the processor and on the clock; bytes of the index and of the log.
    """
    connection = stage.connection
    create = create_index(made, "built_by").sql
    connection.execute("checkpoint")
    before, began_s, used_s = _written(stage), clock.monotonic_s(), processor_s(connection)
    connection.execute(create.encode())
    used_s, took_s = processor_s(connection) - used_s, clock.monotonic_s() - began_s
    row = connection.execute("select pg_relation_size('built_by')").fetchone()
    wal_bytes = _written(stage) - before
    connection.execute("drop index built_by")
    assert row is not None
    return used_s, took_s, row[0], wal_bytes


def _written(stage: Stage) -> int:
    row = stage.connection.execute("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").fetchone()
    assert row is not None
    return int(row[0])


def builds_judged(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """
    Return how far off builds.py is as it stands, the constants that fit these builds best, and how far off those are
    for each table when they are fitted to the others.
    """
    work, told_s = _amounts(rows), np.array([row["seconds"] for row in rows])
    kept_s = np.array([SECONDS[kind] for kind in KINDS])
    sizes = [(row["rows"], row["width"]) for row in rows]
    apart_s = np.zeros(len(rows))
    for size in dict.fromkeys(sizes):
        own = np.array([each == size for each in sizes])
        apart_s[own] = work[own] @ _fitted(work[~own], told_s[~own])
    logged = np.array([row["foreseen_wal_bytes"] / row["wal_bytes"] for row in rows])
    return {
        "seconds": dict(zip(KINDS, _fitted(work, told_s).tolist(), strict=True)),
        "foreseen_s": (work @ kept_s).tolist(),
        "errors": {
            "seconds, as in builds.py": errors(work @ kept_s / told_s),
            "seconds, fitted to the other tables": errors(apart_s / told_s),
            "bytes of the log": errors(logged),
        },
    }


def _amounts(rows: Sequence[dict[str, Any]]) -> np.ndarray:
    return np.array([[row["work"][kind] for kind in KINDS] for row in rows])


def _fitted(work: np.ndarray, told_s: np.ndarray) -> np.ndarray:
    strays = np.array([1e-3, *(WIDE_OPEN for _ in KINDS)])
    prior_s = np.array([SECONDS[kind] for kind in KINDS])
    moved, _ = fitted(work, told_s, prior_s=prior_s, strays=strays, misses=np.full(len(told_s), MISSES))
    return np.asarray(prior_s * np.exp(moved[0] + moved[1:]))


def errors(ratios: np.ndarray) -> dict[str, float]:
    """
    Return how far ratios of foreseen to measured are from 1.

    >>> errors(np.array([0.5, 1.0, 1.2]))
    {'median_error': 0.2, 'within': 0.67, 'worst': 2.0, 'cases': 3}
    """
    off = np.abs(ratios - 1)
    return {
        "median_error": round(statistics.median(off.tolist()), 4), "within": round(float(np.mean(off <= 0.35)), 2),
        "worst": round(float(np.max(np.maximum(ratios, 1 / ratios))), 2), "cases": len(ratios),
    }  # fmt: skip
