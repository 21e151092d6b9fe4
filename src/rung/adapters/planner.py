"""
Answer what a database would do: today's plans from the server itself, what-if from a planner twin.

The twin is a PostgreSQL 18 of our own with the tables' definitions and statistics but none of their
rows: files are grown, sparsely, to the real number of pages, so that its planner sees what the real
one sees.  Nothing is created on the user's server.

In        a DSN that may read the catalog
Out       answers to Server, Explain, Describe, WhatIf, or Unavailable with the reason
Not here  which index to ask about (moves/index.py), building one (hands.py)

Column statistics hold users' values: they stay in the twin's folder, which is private.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo, sql

from rung.adapters.cluster import Cluster, start
from rung.adapters.postgres import connected, describe, explain, looking, plain, reason_of, server_facts
from rung.errors import RungError
from rung.ports import Describe, Explain, Index, Plan, Promise, Server, ServerFacts, Table, Unavailable, WhatIf

Answer = TypeVar("Answer")

DUMP_TIMEOUT_S = 60
PAGE_BYTES = 8192
SEGMENT_PAGES = 131072  # PostgreSQL cuts a table into files of 1 GB
# A btree leaf is 90 % full after a build; a tuple has 8 bytes of header and a 4-byte line pointer, and
# is aligned to 8 (PostgreSQL documentation, 65.1.4 and 66.6).
LEAF_FULL = 0.9
PLANNER_SETTINGS = (
    "random_page_cost", "seq_page_cost", "cpu_tuple_cost", "cpu_index_tuple_cost", "cpu_operator_cost",
    "effective_cache_size", "work_mem", "max_parallel_workers_per_gather", "parallel_setup_cost",
    "parallel_tuple_cost", "min_parallel_table_scan_size", "min_parallel_index_scan_size", "jit",
    "enable_seqscan", "enable_indexscan", "enable_bitmapscan", "enable_sort", "search_path",
)  # fmt: skip


class DatabasePlanner:
    """
    The user's database and its planner twin.  Fulfils the port Planner.

    The twin starts at the first what-if and ends with close().
    """

    def __init__(self, dsn: str | None, *, folder: Path, missing: str = "no database was named (--database)") -> None:
        self.dsn, self.folder, self.missing = dsn, folder, missing
        self._cluster: Cluster | None = None
        self._twins: dict[tuple[str, str], str] = {}

    def close(self) -> None:
        """
        Stop the twin.
        """
        if self._cluster is not None:
            self._cluster.stop()
            self._cluster = None

    def server(self, question: Server) -> ServerFacts | Unavailable:
        """
        Return which database answers.
        """
        return self._look(server_facts)

    def explain(self, question: Explain) -> Plan | Unavailable:
        """
        Return the plan that the database would choose today, its parameters unknown.
        """
        return self._look(lambda connection: explain(connection, question.statement))

    def describe(self, question: Describe) -> Table | Unavailable:
        """
        Return what the catalog knows of a table.
        """
        found = self._look(lambda connection: describe(connection, question.schema, question.name))
        return Unavailable(f"there is no table {question.schema}.{question.name}") if found is None else found

    def what_if(self, question: WhatIf) -> Promise | Unavailable:
        """
        Return the plan that the database would choose if the index existed.
        """
        try:
            return self._what_if(question)
        except (RungError, psycopg.Error, OSError, subprocess.SubprocessError) as problem:
            return Unavailable(reason_of(problem))

    def _look(self, ask: Callable[[psycopg.Connection[Any]], Answer]) -> Answer | Unavailable:
        if self.dsn is None:
            return Unavailable(self.missing)
        try:
            with looking(self.dsn) as connection:
                return ask(connection)
        except (RungError, psycopg.Error) as problem:
            return Unavailable(reason_of(problem))

    def _what_if(self, question: WhatIf) -> Promise | Unavailable:
        if self.dsn is None:
            return Unavailable(self.missing)
        index = question.index
        table = self.describe(Describe(index.schema, index.table))
        plan = self.explain(Explain(question.statement))
        settings = self._look(_planner_settings)
        for answer in (table, plan, settings):
            if isinstance(answer, Unavailable):
                return answer
        assert isinstance(table, Table) and isinstance(plan, Plan) and isinstance(settings, dict)
        relations = tuple(sorted({(node.schema, node.relation) for node in plan.nodes if node.relation}))
        sizes = {relation: self._look(partial(_pages, schema=relation[0], name=relation[1])) for relation in relations}
        twin = self._twin_cluster()
        size_bytes = index_bytes(table, index)
        database = f"twin_{os.getpid()}_{len(self._twins)}"
        self._twins[index.schema, index.table] = database
        with connected(twin.dsn("postgres"), options="", autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
        try:
            self._restore(twin, database, relations)
            with connected(twin.dsn(database), options="", autocommit=True) as connection:
                for name, value in settings.items():
                    connection.execute("select set_config(%s, %s, false)", (name, value))
                _create(connection, index)
                for relation, facts in sizes.items():
                    if isinstance(facts, tuple):
                        _grow(connection, twin.data, *relation, *facts)
                _grow(connection, twin.data, index.schema, CANDIDATE, size_bytes // PAGE_BYTES, table.rows)
                return _promise(connection, question.statement, size_bytes)
        finally:
            with connected(twin.dsn("postgres"), options="", autocommit=True) as connection:
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database)))

    def _twin_cluster(self) -> Cluster:
        if self._cluster is None:
            self._cluster = start(self.folder, settings={"fsync": "off", "autovacuum": "off", "shared_buffers": "16MB"})
        return self._cluster

    def _restore(self, twin: Cluster, database: str, relations: tuple[tuple[str, str], ...]) -> None:
        """
        Copy definitions and statistics of *relations* from the user's database into the twin's.
        """
        assert self.dsn is not None
        parts = conninfo.conninfo_to_dict(plain(self.dsn))
        password = parts.pop("password", None)
        tables = [f"--table={_pattern(schema)}.{_pattern(name)}" for schema, name in relations]
        dump = [
            str(twin.binaries / "pg_dump"), "--no-data", "--statistics", "--no-owner", "--no-privileges",
            "--format=custom",
            "--section=pre-data", "--section=data", "--section=post-data", "--lock-wait-timeout=500ms",
            *tables, "--dbname", conninfo.make_conninfo("", **parts),
        ]  # fmt: skip
        environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
        taken = subprocess.run(dump, capture_output=True, env=environment, timeout=DUMP_TIMEOUT_S, check=False)
        if taken.returncode:
            raise psycopg.OperationalError(f"pg_dump: {taken.stderr.decode(errors='replace').strip()}")
        there = conninfo.conninfo_to_dict(twin.dsn(database))
        environment = {**os.environ, "PGPASSWORD": str(there.pop("password"))}
        # Foreign keys to tables that were not taken along fail here; they play no part in a plan.
        subprocess.run(
            [str(twin.binaries / "pg_restore"), "--no-owner", "--dbname", conninfo.make_conninfo("", **there)],
            input=taken.stdout, capture_output=True, env=environment, timeout=DUMP_TIMEOUT_S, check=False,
        )  # fmt: skip


CANDIDATE = "rung_candidate"


def index_bytes(table: Table, index: Index) -> int:
    """
    Return the estimated size of *index* after a build, in whole pages.
    """
    widths = {column.name: column.width_bytes for column in table.columns}
    key = sum(widths.get(column.name, 8) for column in index.columns)
    entry_bytes = 4 + 8 + -(-key // 8) * 8
    leaves = table.rows * entry_bytes / (PAGE_BYTES * LEAF_FULL)
    return (max(int(leaves * 1.005) + 1, 1) + 1) * PAGE_BYTES


def _pattern(name: str) -> str:
    # pg_dump's --table takes a pattern; inside double quotes it is taken literally.
    return '"' + name.replace('"', '""') + '"'


def _planner_settings(connection: psycopg.Connection[Any]) -> dict[str, str]:
    rows = connection.execute(
        "select name, setting || coalesce(unit, '') from pg_settings where name = any(%s)", (list(PLANNER_SETTINGS),)
    )
    found = dict(rows.fetchall())
    # Units such as 8kB are multiples in pg_settings, which set_config does not take.
    for name in PLANNER_SETTINGS:
        row = connection.execute("select current_setting(%s, true)", (name,)).fetchone()
        if row and row[0] is not None:
            found[name] = row[0]
    return found


def _pages(connection: psycopg.Connection[Any], schema: str, name: str) -> tuple[int, float]:
    row = connection.execute(
        "select (pg_relation_size(c.oid) / 8192)::int, c.reltuples::float8 from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s and c.relname = %s",
        (schema, name),
    ).fetchone()
    return (row[0], row[1]) if row is not None else (0, 0.0)


def _create(connection: psycopg.Connection[Any], index: Index) -> None:
    columns = sql.SQL(", ").join(
        sql.SQL("{} DESC" if column.descending else "{}").format(sql.Identifier(column.name))
        for column in index.columns
    )
    connection.execute(
        sql.SQL("create index {} on {} ({})").format(
            sql.Identifier(CANDIDATE), sql.Identifier(index.schema, index.table), columns
        )
    )


def _grow(connection: psycopg.Connection[Any], data: Path, schema: str, name: str, pages: int, rows: float) -> None:
    """
    Make a relation as long as the real one, without writing any of it, and give it its row count.
    """
    row = connection.execute(
        "select pg_relation_filepath(c.oid), c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = %s",
        (schema, name),
    ).fetchone()
    if row is None or row[0] is None:
        return
    for number in range(-(-pages // SEGMENT_PAGES)):
        path = data / (row[0] if number == 0 else f"{row[0]}.{number}")
        length = min(pages - number * SEGMENT_PAGES, SEGMENT_PAGES) * PAGE_BYTES
        with path.open("ab") as file:
            if file.tell() < length:
                file.truncate(length)
        owner = (data / "PG_VERSION").stat()
        if path.stat().st_uid != owner.st_uid:
            os.chown(path, owner.st_uid, owner.st_gid)
    connection.execute(
        "select pg_restore_relation_stats('schemaname', %s::text, 'relname', %s::text,"
        " 'relpages', %s::int, 'reltuples', %s::real)",
        (schema, name, pages, rows),
    )


def _promise(connection: psycopg.Connection[Any], statement: str, size_bytes: int) -> Promise:
    oid = sql.Literal(CANDIDATE)
    switch = sql.SQL("update pg_index set indisvalid = {} where indexrelid = {}::regclass")
    connection.execute(switch.format(sql.Literal(False), oid))
    before = explain(connection, statement)
    connection.execute(switch.format(sql.Literal(True), oid))
    after = explain(connection, statement)
    return Promise(before, after, used=any(node.index == CANDIDATE for node in after.nodes), size_bytes=size_bytes)
