"""
A database of the twin in which indexes can be put up and taken away in no time.

In        definitions, statistics and Facts of some tables; the indexes that could exist
Out       plans and costs under any choice of these indexes, and without any of those that exist
Not here  which statements and choices are asked about (costing.py), what a plan becomes (postgres.py)

A candidate is built once, on tables that are empty at that moment; then its file is grown to the length that it would
have.  From then on it is switched with `pg_index.indisvalid`: the planner looks at no invalid index.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq, sql

from rung.adapters.cluster import Cluster
from rung.adapters.planner import growing
from rung.adapters.planner.btree import PAGE_BYTES, height_of, pages_of, raise_to_height
from rung.adapters.planner.expressions import give_statistics
from rung.adapters.planner.facts import Facts, StandingIndex
from rung.adapters.postgres import Named, connected, explained, first_line, refuse_failed
from rung.ports import Index
from rung.steps.take.sql import create_at_once

Connection = psycopg.Connection[Any]

CANDIDATE = "rung_candidate"
# Building on a table with parallel workers in mind would read the tops of its other indexes, which are then changed
# on disk.
BUILDING = "-c max_parallel_maintenance_workers=0"
# Statements are prepared so that each can be planned with values again and again.
PLANNING = "-c plan_cache_mode=force_custom_plan"
# What the user's planner cannot be told, it cannot do: a setting that came with a newer version is off.
SETTINGS = """
select count(set_config(known.name, coalesce(given.value, 'off'), false))
from pg_settings known left join json_each_text(%s::json) given on given.key = known.name
where given.key is not null or known.name like 'enable\\_%%' and known.vartype = 'bool'
"""
# An index with its parts, where its table is partitioned.
PARTS = """
with recursive part as (
    select %s::oid as oid
    union
    select h.inhrelid from pg_inherits h join part p on h.inhparent = p.oid
)
select x.oid::int8, n.nspname::text, x.relname::text, tn.nspname::text, t.relname::text, x.relkind::text,
       pg_relation_filepath(x.oid), greatest(t.reltuples, 0)::float8, t.relpages
from part join pg_class x using (oid) join pg_namespace n on n.oid = x.relnamespace
join pg_index i on i.indexrelid = x.oid
join pg_class t on t.oid = i.indrelid join pg_namespace tn on tn.oid = t.relnamespace
"""
HEAPS = """
with recursive part as (
    select c.oid, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %s and c.relname = %s
    union
    select c.oid, c.relkind from part p join pg_inherits h on h.inhparent = p.oid and p.relkind = 'p'
    join pg_class c on c.oid = h.inhrelid
)
select n.nspname::text, c.relname::text
from part join pg_class c using (oid) join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'm')
"""
NAMED = """
select x.oid::int8 from pg_class x join pg_namespace n on n.oid = x.relnamespace
where n.nspname || '.' || x.relname = %s and x.relkind in ('i', 'I')
"""


@dataclass(frozen=True, slots=True)
class Part:
    """
    An index of one table: all of a candidate, or what it has on a partition.
    """

    oid: int
    schema: str
    name: str
    table: Named
    kind: str
    path: Path
    rows: float
    pages: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    An index that was made in the twin.

    Attributes:
        tables: Its table, and where that is partitioned the partitions.
        size_bytes: What it would take when freshly built.
        guessed: Whether it has an expression that no statistics could be foreseen of.
    """

    parts: tuple[Part, ...]
    size_bytes: int
    guessed: bool = False

    @property
    def tables(self) -> frozenset[Named]:
        """
        The tables that it is on.
        """
        return frozenset(part.table for part in self.parts)


class Stage:
    """
    One database of the twin.

    Attributes:
        names: Tables and views that are in it.
        missing: Those that could not be copied, with the reason.
        notes: What has to be known of the stage as a whole.
        candidates: Indexes that were made.
        refused: Indexes that could not be made, with the reason.
        indexes: The index of each name that a plan may use.
    """

    def __init__(
        self, twin: Cluster, database: str, facts: Facts, *, missing: Mapping[Named, str], notes: tuple[str, ...]
    ) -> None:
        """
        Take over *database*, in which definitions and statistics are: its files get their lengths now.
        """
        self.facts, self.missing, self.notes = facts, missing, notes
        self.names = frozenset((relation.schema, relation.name) for relation in facts.relations)
        self.candidates: dict[Index, Candidate] = {}
        self.refused: dict[Index, str] = {}
        self.indexes: dict[str, Index] = {}
        self._twin, self._database = twin, database
        self._pages = {(relation.schema, relation.name): relation.pages for relation in facts.relations}
        self._open = ExitStack()
        self._connection: Connection | None = None
        self._prepared: set[bytes] = set()
        self._standing: dict[str, tuple[Part, ...]] = {}
        self._on: frozenset[int] = frozenset()
        self._off: frozenset[int] = frozenset()
        self._hidden: frozenset[int] = frozenset()
        self._dress()

    def close(self) -> None:
        """
        Close the connection; the next question opens one again.
        """
        self._open.close()
        self._connection = None
        self._prepared.clear()

    @property
    def connection(self) -> Connection:
        """
        The connection that plans, with the planner settings of the user's database.
        """
        if self._connection is None:
            connection = self._open.enter_context(self._reach(PLANNING))
            connection.execute(SETTINGS, (json.dumps(self.facts.settings),))
            self._connection = connection
        return self._connection

    def _reach(self, options: str) -> Any:
        return connected(self._twin.dsn(self._database), options=options, autocommit=True)

    def _dress(self) -> None:
        """
        Give the files of what exists their real lengths and heights.
        """
        forget_pages(self._twin)
        with self._reach(BUILDING) as connection:
            paths = growing.paths_of(connection, self._twin.data)
            for relation in self.facts.relations:
                if (relation.schema, relation.name) in paths:
                    growing.grow(paths[relation.schema, relation.name], relation.pages)
            for index in self.facts.indexes:
                if (index.schema, index.name) in paths:
                    self._raise(connection, index, paths[index.schema, index.name])

    def _raise(self, connection: Connection, index: StandingIndex, path: Path) -> None:
        growing.grow(path, index.pages)
        if index.method != "btree":
            return
        row = connection.execute(NAMED, (f"{index.schema}.{index.name}",)).fetchone()
        assert row is not None
        raise_to_height(path, height_of(growing.keys_of(connection, row[0]), pages=index.pages))

    def add(self, indexes: Sequence[Index]) -> None:
        """
        Make those of *indexes* that were not made before; each ends in `candidates` or in `refused`.
        """
        new = [index for index in dict.fromkeys(indexes) if index not in self.candidates and index not in self.refused]
        if not new:
            return
        self.close()
        with self._reach(BUILDING) as connection:
            paths = growing.paths_of(connection, self._twin.data)
            heaps = {
                (heap[0], heap[1])
                for table in {(index.schema, index.table) for index in new}
                for heap in connection.execute(HEAPS, table).fetchall()
            }
        try:
            for heap in heaps:
                growing.shrink(paths[heap])
            with self._reach(BUILDING) as connection:
                made = self._build(connection, new)
        finally:
            for heap in heaps:
                growing.grow(paths[heap], self._pages[heap])
        forget_pages(self._twin)
        for index, parts in made.items():
            known = [self._know(index, part) for part in parts]
            size_bytes = sum(self._fill(index, part) for part in parts)
            self.candidates[index] = Candidate(parts, size_bytes, guessed=not all(known))

    def _build(self, connection: Connection, new: Sequence[Index]) -> dict[Index, tuple[Part, ...]]:
        made: dict[Index, tuple[Part, ...]] = {}
        for index in new:
            name = f"{CANDIDATE}_{len(self.indexes)}"
            statement = create_at_once(index, name).sql.encode()
            try:
                refuse_failed(connection.pgconn.exec_params(statement, None), pq.ExecStatus.COMMAND_OK)
            except psycopg.Error as problem:
                self.refused[index] = self._away((index.schema, index.table)) or first_line(problem)
                continue
            made[index] = self._parts(connection, f"{index.schema}.{name}")
            self.indexes.update((part.name, index) for part in made[index])
        _switch(connection, off=[part.oid for parts in made.values() for part in parts])
        return made

    def _away(self, table: Named) -> str:
        here = "" if table in self.names else f"no statement that can be planned reads {'.'.join(table)}"
        return self.missing.get(table, here)

    def _parts(self, connection: Connection, qualified: str) -> tuple[Part, ...]:
        row = connection.execute(NAMED, (qualified,)).fetchone()
        if row is None:
            return ()
        return tuple(
            Part(oid, schema, name, (on, table), kind, self._twin.data / (path or ""), rows, pages)
            for oid, schema, name, on, table, kind, path, rows, pages in connection.execute(PARTS, row).fetchall()
        )

    def _know(self, index: Index, part: Part) -> bool:
        """
        Give a candidate's expressions the statistics that they would have, as far as these can be foreseen.
        """
        if part.kind != "i" or not any(column.expression for column in index.columns):
            return True
        return give_statistics(self.connection, part.oid, part.schema, part.name)

    def _fill(self, index: Index, part: Part) -> int:
        """
        Make a candidate's file as long and as high as it would be; return its size in bytes.
        """
        if part.kind != "i":
            return 0
        # As the planner does it: rows a page at the last ANALYZE, times the pages of today.
        of_rows = part.rows * (self._pages.get(part.table, part.pages) / part.pages if part.pages else 1.0)
        rows = self._rows_where(part.table, index.where) if index.where else of_rows
        pages, height = pages_of(growing.keys_of(self.connection, part.oid), rows=rows, of_rows=of_rows)
        growing.grow(part.path, pages)
        raise_to_height(part.path, height)
        growing.tell(self.connection, part.schema, part.name, pages=pages, rows=rows)
        return pages * PAGE_BYTES

    def _rows_where(self, table: Named, where: str) -> float:
        question = sql.SQL("explain (format json) select from only {} where ({})").format(
            sql.Identifier(*table), sql.SQL(where)
        )
        # CREATE INDEX has taken the same text in the same place, so it is one expression.
        return float(explained(self.connection, question.as_bytes(self.connection))["Plan Rows"])

    def standing(self, name: str) -> tuple[Part, ...]:
        """
        Return the index that exists under *name*, schema.name, with its parts; nothing where the stage has none.
        """
        if name not in self._standing:
            self._standing[name] = self._parts(self.connection, name)
        return self._standing[name]

    def configure(self, added: Collection[Index], dropped: Collection[str]) -> None:
        """
        Let there be the candidates *added*, and no index of the names *dropped*.
        """
        on = frozenset(part.oid for index in added for part in self.candidates[index].parts)
        off = frozenset(part.oid for name in dropped for part in self.standing(name))
        up, down = (on - self._on) | (self._off - off), (self._on - on) | (off - self._off)
        _switch(self.connection, on=up, off=down)
        self._on, self._off = on, off

    def hide(self, oids: Collection[int]) -> None:
        """
        Take away indexes, for the next plans alone.
        """
        _switch(self.connection, off=oids)
        self._hidden |= frozenset(oids)

    def show(self) -> None:
        """
        Bring back what was hidden.
        """
        _switch(self.connection, on=self._hidden)
        self._hidden = frozenset()

    def tell_distinct(self, table: int, number: int, distinct: float) -> None:
        """
        Let the column *number* of the table with the oid *table* have so many values, as pg_statistic writes it.
        """
        self.connection.execute(
            "update pg_statistic set stadistinct = %s where starelid = %s and staattnum = %s and not stainherit",
            (distinct, table, number),
        )

    def prepare(self, name: bytes, statement: str) -> None:
        """
        Prepare *statement* under *name*, unless it is prepared.

        Raises:
            psycopg.Error: the twin does not take it.
        """
        if name not in self._prepared:
            prepared = self.connection.pgconn.prepare(name, statement.encode(errors="replace"))
            refuse_failed(prepared, pq.ExecStatus.COMMAND_OK)
            self._prepared.add(name)


def _switch(connection: Connection, *, on: Collection[int] = (), off: Collection[int] = ()) -> None:
    if on or off:
        connection.execute(
            "update pg_index set indisvalid = indexrelid = any(%s::oid[]) where indexrelid = any(%s::oid[])",
            (list(on), [*on, *off]),
        )


def forget_pages(twin: Cluster) -> None:
    """
    Have the twin read its files anew, which were or will be changed on disk.
    """
    with connected(twin.dsn("postgres"), options="", autocommit=True) as connection:
        connection.execute("create extension if not exists pg_buffercache")
        connection.execute("select pg_buffercache_evict_all()")
