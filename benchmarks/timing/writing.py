"""
What an index adds to a row that is inserted, updated or deleted, beside what steps/advise/entries.py says.

In        a Stage
Out       for each kind of index and write: processor seconds and bytes of the log a row, measured and foreseen
Not here  reads (measured.py)

Two tables are alike but for the index.  They are written to in turn, some hundred rows each, one statement a row; what
one takes more than the other is the index's.  Processor time is the kernel's own account of the backend, so what runs
beside it does not count; bytes are those that pg_stat_statements counts.  Linux only: /proc/PID/schedstat.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from benchmarks.timing.stage import Stage
from rung.steps.advise.entries import Tree, entries_cost, row_cost

BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
NANOSECOND_S = 1e-9
PLAIN, INDEXED = "rows_plain", "rows_indexed"
BATCH, ROUNDS = 200, 4
TABLE = """
drop table if exists {table};
create table {table} (
    id int primary key, a int not null, b int not null, c text not null, at timestamptz not null, n int not null,
    status text not null, note text not null
) with (fillfactor = 70);
insert into {table}
select i, hashint4(i), i % 1000, md5(i::text), timestamptz '2024-01-01' + i * interval '1 second', 0,
       case when i % 10 = 0 then 'open' else 'done' end, repeat('n', {width})
from generate_series(1, {rows}) i;
create index on {table} (b);
vacuum (freeze, analyze) {table}
"""
INSERT = "insert into {} values ($1, $2, $3, $4, $5, 0, $6, 'new')"
UPDATE = "update {} set n = n + 1 where id = $1"
DELETE = "delete from {} where id = $1"
COUNTED = """
select sum(wal_bytes)::float8, sum(wal_fpi)::float8 from pg_stat_statements where calls = {}
"""
# What an update finds today: heap-only, since n is in no index, and there is room.
OTHERS = (Tree(4, 1, 0.0), Tree(4, 1, 0.0))


@dataclass(frozen=True, slots=True)
class Shape:
    """
    An index, as SQL and as writes.py sees it; rows are filled in.
    """

    name: str
    made: str
    tree: Callable[[float], Tree]
    touched: bool = False


SHAPES = (
    Shape("one column", "(a)", lambda rows: Tree(4, 1, rows)),
    Shape("one column, ascending", "(at)", lambda rows: Tree(8, 1, rows, gathered=True)),
    Shape("one column, text of 32", "(c)", lambda rows: Tree(33, 1, rows)),
    Shape("two columns", "(b, a)", lambda rows: Tree(8, 2, rows)),
    Shape("three columns", "(b, a, c)", lambda rows: Tree(41, 3, rows)),
    Shape("INCLUDE", "(a) include (c, b)", lambda rows: Tree(41, 1, rows)),
    Shape("partial, a tenth", "(a) where status = 'open'", lambda rows: Tree(4, 1, rows / 10, share=0.1)),
    Shape("expression", "(upper(c))", lambda rows: Tree(33, 1, rows, expressions=1)),
    Shape("updated column", "(n)", lambda rows: Tree(4, 1, rows, gathered=True), touched=True),
)
KINDS = ("insert", "update", "delete")


def written(stage: Stage, rows: int, width: int, *, rounds: int = ROUNDS, batch: int = BATCH) -> list[dict[str, Any]]:
    """
    Return a row for each shape, kind of write, and with and without whole pages in the log.
    """
    for table in (PLAIN, INDEXED):
        for statement in TABLE.split(";\n"):
            stage.connection.execute(
                sql.SQL(statement).format(table=sql.Identifier(table), rows=sql.Literal(rows), width=sql.Literal(width))
            )
    bench = _Bench(stage, rows, batch)
    found = []
    for shape in SHAPES:
        stage.connection.execute(
            sql.SQL("create index timing_written on {} {}").format(sql.Identifier(INDEXED), sql.SQL(shape.made))
        )
        for images in (False, True):
            _whole_pages(stage, "on" if images else "off")
            bench.batches(shape, images=images, rounds=1)  # so that both tables are read
            for kind, (seconds, wal_bytes) in bench.batches(shape, images=images, rounds=rounds).items():
                found.append(
                    {
                        "shape": shape.name, "kind": kind, "images": images, "rows": rows, "batch": batch,
                        "seconds": seconds, "wal_bytes": wal_bytes, "plain_s": bench.plain_s[kind],
                    }
                )  # fmt: skip
        stage.connection.execute("drop index timing_written")
    _whole_pages(stage, "on")
    return found


def foreseen(row: dict[str, Any]) -> dict[str, Any]:
    """
    Return a measured row with what entries.py says of it.
    """
    shape = next(each for each in SHAPES if each.name == row["shape"])
    others = [Tree(each.width_bytes, each.columns, row["rows"]) for each in OTHERS]
    between = row["batch"] if row["images"] else math.inf
    without, with_it = (
        row_cost(row["kind"].capitalize(), entries_cost(trees, writes_between=between, fresh=True), hot=hot)
        for trees, hot in ((others, 1.0), ([*others, shape.tree(row["rows"])], 0.0 if shape.touched else 1.0))
    )
    added = with_it.minus(without)
    return {**row, "foreseen_s": added.seconds, "foreseen_wal_bytes": added.wal_bytes}


def processor_s(connection: psycopg.Connection[Any]) -> float:
    """
    Return what a connection's backend has used of a processor, by the kernel's account.
    """
    connection.execute("select 1")  # so that all before it is done
    account = Path(f"/proc/{connection.info.backend_pid}/schedstat")
    return int(account.read_text().split()[0]) * NANOSECOND_S


def _whole_pages(stage: Stage, switch: str) -> None:
    stage.connection.execute(sql.SQL("alter system set full_page_writes = {}").format(sql.Literal(switch)))
    stage.connection.execute("select pg_reload_conf()")
    stage.connection.execute("checkpoint")


class _Bench:
    """
    Batches of writes to both tables in turn, each with keys that were not used before.
    """

    def __init__(self, stage: Stage, rows: int, batch: int) -> None:
        self.stage, self.rows, self.batch = stage, rows, batch
        self.random = np.random.default_rng(20261127)
        self.unused = list(self.random.permutation(np.arange(1, rows + 1)))
        self.next_id = rows
        self.plain_s: dict[str, float] = {}

    def batches(self, shape: Shape, *, images: bool, rounds: int) -> dict[str, tuple[float, float]]:
        """
        Return for each kind of write the median of what a row takes more with the index: seconds, and bytes logged.
        """
        more: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
        plain: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for number in range(rounds):
            for kind, text, values in self._writes():
                tables = (PLAIN, INDEXED) if number % 2 == 0 else (INDEXED, PLAIN)
                found = {table: self._one(text, table, values, images=images) for table in tables}
                more[kind].append(tuple(a - b for a, b in zip(found[INDEXED], found[PLAIN], strict=True)))
                plain[kind].append(found[PLAIN][0])
        self.plain_s = {kind: statistics.median(each) for kind, each in plain.items()}
        return {
            kind: (statistics.median(each[0] for each in rows), statistics.median(each[1] for each in rows))
            for kind, rows in more.items()
        }

    def _writes(self) -> list[tuple[str, str, list[tuple[Any, ...]]]]:
        ids = [int(self.unused.pop()) for _ in range(self.batch)]
        inserted = []
        for _ in range(self.batch):
            self.next_id += 1
            a, b = int(self.random.integers(-(2**31), 2**31)), int(self.random.integers(1000))
            status = "open" if self.next_id % 10 == 0 else "done"
            at = BEGAN + timedelta(seconds=self.next_id)
            inserted.append((self.next_id, a, b, self.random.bytes(16).hex(), at, status))
        return [
            ("insert", INSERT, inserted),
            ("update", UPDATE, [(each,) for each in ids]),
            ("delete", DELETE, [(each,) for each in ids]),
        ]

    def _one(self, text: str, table: str, values: Sequence[tuple[Any, ...]], *, images: bool) -> tuple[float, float]:
        connection = self.stage.connection
        if images:
            connection.execute("checkpoint")
        prepared = sql.SQL("prepare timing_write as {}").format(sql.SQL(text).format(sql.Identifier(table)))
        connection.execute(prepared)
        execute, comma = sql.SQL("execute timing_write ({})"), sql.SQL(", ")
        calls = [execute.format(comma.join(map(sql.Literal, each))).as_string(connection) for each in values]
        connection.execute("begin")
        connection.execute(calls[0].encode())  # so that the plan is made
        connection.execute("select pg_stat_statements_reset()")
        before_s = processor_s(connection)
        with connection.pipeline():
            for call in calls[1:]:
                connection.execute(call.encode())
        took_s = processor_s(connection) - before_s
        row = connection.execute(sql.SQL(COUNTED).format(sql.Literal(len(calls) - 1))).fetchone()
        connection.execute("commit")
        connection.execute("deallocate timing_write")
        assert row is not None
        return took_s / (len(calls) - 1), row[0] / (len(calls) - 1)
