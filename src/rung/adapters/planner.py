"""
Answer what a database would do: today's plans from the server itself, what-if from a planner twin.

The twin is a PostgreSQL 18 of our own with the tables' definitions and statistics but none of their
rows: files are grown, sparsely, to the real number of pages, so that its planner sees what the real
one sees.  Nothing is created on the user's server.

In        a DSN that may read the catalog
Out       answers to Server, Explain, Describe, WhatIf, or Unavailable with the reason
Not here  which index to ask about (moves/index.py), building one (hands.py)

Column statistics hold users' values: they stay in the twin's folder, which is private and deleted with it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo, sql

from rung.adapters.btree import PAGE_BYTES, Key, height_of, pages_of, raise_to_height
from rung.adapters.cluster import Cluster, start_passing
from rung.adapters.postgres import (
    Relation,
    address,
    connected,
    describe,
    exclusively_locked,
    explain,
    looking,
    parts_of,
    reason_of,
    relations_of,
    server_facts,
)
from rung.adapters.statistics import known
from rung.errors import DatabaseRefused, RungError
from rung.ports import Describe, Explain, Index, Plan, Promise, Server, ServerFacts, Table, Unavailable, WhatIf
from rung.steps.explain.questions import Known, Statistics

Answer = TypeVar("Answer")
Connection = psycopg.Connection[Any]

DUMP_TIMEOUT_S = 60
SEGMENT_PAGES = 131072  # PostgreSQL cuts a table into files of 1 GB
CANDIDATE = "rung_candidate"
TWIN_PREFIX = "twin_"
TWIN_SETTINGS = {
    "fsync": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    # The tops of its indexes are made to look as high as the real ones (btree.py), behind its checksums.
    "ignore_checksum_failure": "on",
}
# What plans depend on, by name: pg_settings tells categories in the server's language.
PLANNER_SETTINGS = """
select name, current_setting(name) from pg_settings
where name like 'enable\\_%' or name like '%\\_cost' or name like 'geqo%' or name like '%\\_collapse_limit'
   or name in ('effective_cache_size', 'work_mem', 'hash_mem_multiplier', 'max_parallel_workers_per_gather',
               'min_parallel_table_scan_size', 'min_parallel_index_scan_size', 'parallel_leader_participation',
               'constraint_exclusion', 'cursor_tuple_fraction', 'jit', 'recursive_worktable_factor')
"""
# As the role has it here; "$user" would be somebody else in the twin.
SEARCH_PATH = "select coalesce(string_agg(quote_ident(name), ', '), '\"\"') from unnest(current_schemas(false)) name"


class DatabasePlanner:
    """
    The user's database and its planner twin.  Fulfils the port Planner.

    The twin starts at the first what-if and ends with close().
    """

    def __init__(self, dsn: str | None, *, missing: str = "no database was named (--database)") -> None:
        self.dsn, self.missing = dsn, missing
        self._cluster: Cluster | None = None
        # Restored once for each set of tables; each candidate gets a copy of its own.
        self._templates: dict[tuple[tuple[str, str], ...], str] = {}

    def close(self) -> None:
        """
        Stop the twin; its data are deleted with it.
        """
        if self._cluster is not None:
            cluster, self._cluster = self._cluster, None
            self._templates.clear()
            cluster.stop()

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
        seen = self._look(lambda connection: _Seen(connection, question))
        if isinstance(seen, Unavailable):
            return seen
        refusal = seen.refusal(question.index)
        if refusal:
            return Unavailable(refusal)
        try:
            return self._promise(question, seen)
        except (RungError, psycopg.Error, OSError) as problem:
            return Unavailable(reason_of(problem))

    def statistics(self, question: Statistics) -> Known | Unavailable:
        """
        Return how well the planner knows some tables.
        """
        return self._look(lambda connection: known(connection, question.tables))

    def _look(self, ask: Callable[[Connection], Answer]) -> Answer | Unavailable:
        if self.dsn is None:
            return Unavailable(self.missing)
        try:
            with looking(self.dsn) as connection:
                return ask(connection)
        except (RungError, psycopg.Error) as problem:
            return Unavailable(reason_of(problem))

    def _promise(self, question: WhatIf, seen: _Seen) -> Promise:
        if self._cluster is None:
            self._cluster = start_passing(settings=TWIN_SETTINGS)
        twin = self._cluster
        template = self._template(twin, seen)
        database = f"{template}_candidate"
        _create_database(twin, database, template=template)
        try:
            with connected(twin.dsn(database), options="", autocommit=True) as connection:
                for name, value in seen.settings.items():
                    connection.execute(
                        "select set_config(name, %s, false) from pg_settings where name = %s", (value, name)
                    )
                _create(connection, question.index)
                size_bytes = _grow_all(connection, twin.data, seen, question.index)
                return _promise(connection, question, size_bytes)
        finally:
            _drop_database(twin, database)

    def _template(self, twin: Cluster, seen: _Seen) -> str:
        """
        Return the twin's database with the definitions and statistics of what was seen.
        """
        key = tuple((relation.schema, relation.name) for relation in seen.relations)
        if key not in self._templates:
            assert self.dsn is not None
            database = f"{TWIN_PREFIX}{len(self._templates)}"
            _create_database(twin, database, template="template0")
            try:
                _copy(self.dsn, twin, database, key)
            except BaseException:
                _drop_database(twin, database)
                raise
            self._templates[key] = database
        return self._templates[key]


class _Seen:
    """
    What one look at the user's database told, enough to make the twin see the same.
    """

    def __init__(self, connection: Connection, question: WhatIf) -> None:
        index = question.index
        self.locked = exclusively_locked(connection)
        self.relations: tuple[Relation, ...] = ()
        self.indexes: list[tuple[str, str, str, int, float]] = []
        self.settings: dict[str, str] = {}
        if f"{index.schema}.{index.table}" in self.locked:
            return
        self.relations = relations_of(connection, question.statement)
        names = json.dumps([[relation.schema, relation.name] for relation in self.relations])
        self.indexes = connection.execute(INDEX_SIZES, (names,)).fetchall()
        self.settings = dict(connection.execute(PLANNER_SETTINGS).fetchall())
        path = connection.execute(SEARCH_PATH).fetchone()
        self.settings["search_path"] = path[0] if path else ""

    def table(self, index: Index) -> Relation | None:
        """
        Return the table of *index*, None where the statement does not touch it.
        """
        wanted = (index.schema, index.table)
        return next((found for found in self.relations if (found.schema, found.name) == wanted), None)

    def refusal(self, index: Index) -> str:
        """
        Return why the twin is not to be made now, "" when it may be.
        """
        name = f"{index.schema}.{index.table}"
        held = sorted(self.locked & {name, *(f"{relation.schema}.{relation.name}" for relation in self.relations)})
        if held:
            return f"somebody holds or awaits an ACCESS EXCLUSIVE lock on {', '.join(held)}; ask again when it is over"
        table = self.table(index)
        if table is None:
            return f"the statement does not read {name}"
        return "" if table.kind == "r" else f"{name} is partitioned or no table; an index there is not priced yet"


INDEX_SIZES = """
select n.nspname, c.relname, m.amname::text, (pg_relation_size(c.oid) / 8192)::int, c.reltuples::float8
from json_array_elements(%s::json) wanted
join pg_namespace n on n.nspname = wanted ->> 0
join pg_class t on t.relnamespace = n.oid and t.relname = wanted ->> 1
join pg_index i on i.indrelid = t.oid
join pg_class c on c.oid = i.indexrelid and c.relkind = 'i'
join pg_am m on m.oid = c.relam
"""


def _create_database(twin: Cluster, name: str, *, template: str) -> None:
    # FILE_COPY leaves no page of it in shared buffers, where _grow_all's changes to files would not be seen.
    with connected(twin.dsn("postgres"), options="", autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )


def _drop_database(twin: Cluster, name: str) -> None:
    with connected(twin.dsn("postgres"), options="", autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _copy(dsn: str, twin: Cluster, database: str, names: Sequence[tuple[str, str]]) -> None:
    """
    Copy definitions and statistics of the tables and views *names* into the twin's database.

    pg_dump leaves out what a table it was asked for depends on (schemas, types, functions); so all that
    is no table comes first.
    """
    tables = [f"--table={_pattern(schema)}.{_pattern(name)}" for schema, name in names]
    _restore(twin, database, _dump(dsn, twin, ["--schema-only", "--section=pre-data", "--exclude-table=*.*"]))
    problems = _restore(twin, database, _dump(dsn, twin, ["--no-data", "--statistics", *tables]))
    with connected(twin.dsn(database), options="", autocommit=True) as connection:
        for schema, name in names:
            arrived = connection.execute(
                "select from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                " where n.nspname = %s and c.relname = %s",
                (schema, name),
            ).fetchone()
            if arrived is None:
                reason = problems[0] if problems else "pg_dump left it out"
                raise DatabaseRefused(address(dsn), f"{schema}.{name} cannot be copied to the planner twin: {reason}")


def _dump(dsn: str, twin: Cluster, what: Sequence[str]) -> bytes:
    parts = parts_of(dsn)
    # Arguments can be read by everybody on the machine; libpq takes the password from the environment too.
    environment = {**os.environ, "PGCONNECT_TIMEOUT": "5", "PGAPPNAME": "rung"}
    if "password" in parts:
        environment["PGPASSWORD"] = parts.pop("password")
    command = [
        str(twin.binaries / "pg_dump"), "--format=custom", "--no-owner", "--no-privileges", "--no-password",
        "--no-publications", "--no-subscriptions", "--no-security-labels", "--no-comments", "--no-tablespaces",
        "--lock-wait-timeout=500ms", *what, "--dbname", conninfo.make_conninfo("", **parts),
    ]  # fmt: skip
    try:
        taken = subprocess.run(command, capture_output=True, env=environment, timeout=DUMP_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise DatabaseRefused(address(dsn), f"pg_dump took longer than {DUMP_TIMEOUT_S} s") from None
    if taken.returncode:
        raise DatabaseRefused(address(dsn), "; ".join(_problems(taken.stderr)[:1]) or "pg_dump failed")
    return taken.stdout


def _restore(twin: Cluster, database: str, dump: bytes) -> list[str]:
    """
    Restore *dump* as far as it goes, and return what did not arrive.

    Much may fail and play no part in a plan: foreign keys to tables that were not taken along, triggers,
    extensions that the twin does not have.
    """
    there = conninfo.conninfo_to_dict(twin.dsn(database))
    environment = {**os.environ, "PGPASSWORD": str(there.pop("password"))}
    try:
        done = subprocess.run(
            [str(twin.binaries / "pg_restore"), "--no-owner", "--dbname", conninfo.make_conninfo("", **there)],
            input=dump, capture_output=True, env=environment, timeout=DUMP_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [f"pg_restore took longer than {DUMP_TIMEOUT_S} s"]
    return _problems(done.stderr)


def _problems(said: bytes) -> list[str]:
    # "pg_dump: error: query failed: ERROR:  permission denied for table orders"
    return re.findall(r"error: (?:.*ERROR:\s+)?(.+)", said.decode(errors="replace"))


def _pattern(name: str) -> str:
    # pg_dump's --table takes a pattern; inside double quotes it is taken literally.
    return '"' + name.replace('"', '""') + '"'


def _create(connection: Connection, index: Index) -> None:
    columns = sql.SQL(", ").join(
        sql.SQL("{} DESC" if column.descending else "{}").format(sql.Identifier(column.name))
        for column in index.columns
    )
    connection.execute(
        sql.SQL("create index {} on {} ({})").format(
            sql.Identifier(CANDIDATE), sql.Identifier(index.schema, index.table), columns
        )
    )


def _grow_all(connection: Connection, data: Path, seen: _Seen, index: Index) -> int:
    """
    Make tables, their indexes and the candidate as long as the real ones are, or would be; return its size.
    """
    # Before anything is planned here: pages that the server has read would not be read again.
    for relation in seen.relations:
        if relation.kind in ("r", "m"):
            _grow(connection, data, relation.schema, relation.name, relation.pages)
            _tell(connection, relation)
    for schema, name, method, pages, rows in seen.indexes:
        path = _grow(connection, data, schema, name, pages)
        if path is not None and method == "btree":
            raise_to_height(path, height_of(_keys(connection, schema, name), pages=pages))
        _tell(connection, Relation(schema, name, "i", pages, rows, 0))
    table = seen.table(index)
    assert table is not None
    rows = max(table.rows, 0.0)
    pages, height = pages_of(_keys(connection, index.schema, CANDIDATE), rows=rows)
    path = _grow(connection, data, index.schema, CANDIDATE, pages)
    assert path is not None
    raise_to_height(path, height)
    _tell(connection, Relation(index.schema, CANDIDATE, "i", pages, rows, 0))
    return pages * PAGE_BYTES


def _grow(connection: Connection, data: Path, schema: str, name: str, pages: int) -> Path | None:
    """
    Make a relation as long as the real one, without writing any of it; return its first file.
    """
    row = connection.execute(
        "select pg_relation_filepath(c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = %s",
        (schema, name),
    ).fetchone()
    if row is None or row[0] is None:
        return None
    first: Path = data / row[0]
    owner = first.stat()
    for number in range(-(-pages // SEGMENT_PAGES)):
        path = first if number == 0 else first.with_name(f"{first.name}.{number}")
        length = min(pages - number * SEGMENT_PAGES, SEGMENT_PAGES) * PAGE_BYTES
        with path.open("ab") as file:
            if file.tell() < length:
                file.truncate(length)
        if path.stat().st_uid != owner.st_uid:
            os.chown(path, owner.st_uid, owner.st_gid)
    return first


def _tell(connection: Connection, relation: Relation) -> None:
    connection.execute(
        "select pg_restore_relation_stats('schemaname', %s::text, 'relname', %s::text,"
        " 'relpages', %s::int, 'reltuples', %s::real, 'relallvisible', %s::int)",
        (relation.schema, relation.name, relation.pages, relation.rows, relation.pages_visible),
    )


# Whether equal keys can share a tuple is what the operator class's fourth support function says.
KEYS = """
select coalesce(nullif(a.attlen, -1)::int, s.avg_width, 32),
       case when a.attlen = -1 or a.attalign = 'c' then 1 when a.attalign = 's' then 2 when a.attalign = 'i' then 4
            else 8 end,
       coalesce(s.n_distinct, 0)::float8,
       exists (
           select from pg_opclass o
           join pg_amproc f on f.amprocfamily = o.opcfamily and f.amproclefttype = o.opcintype and f.amprocnum = 4
           where o.oid = i.indclass[k.place - 1]
       ) and coalesce((select l.collisdeterministic from pg_collation l where l.oid = a.attcollation), true)
from pg_index i
join pg_class x on x.oid = i.indexrelid
join pg_namespace n on n.oid = x.relnamespace
join pg_class t on t.oid = i.indrelid
cross join lateral unnest(i.indkey::int[]) with ordinality as k (attnum, place)
join pg_attribute a on a.attrelid = x.oid and a.attnum = k.place
left join pg_attribute c on c.attrelid = t.oid and c.attnum = k.attnum and k.attnum > 0
left join pg_stats s
    on s.schemaname = n.nspname and s.tablename = t.relname and s.attname = c.attname and not s.inherited
where n.nspname = %s and x.relname = %s
order by k.place
"""


def _keys(connection: Connection, schema: str, name: str) -> list[Key]:
    return [Key(*row) for row in connection.execute(KEYS, (schema, name)).fetchall()]


def _promise(connection: Connection, question: WhatIf, size_bytes: int) -> Promise:
    candidate = sql.Literal(sql.Identifier(question.index.schema, CANDIDATE).as_string(connection))
    switch = sql.SQL("update pg_index set indisvalid = {} where indexrelid = {}::regclass")
    connection.execute(switch.format(sql.Literal(False), candidate))
    before = explain(connection, question.statement)
    connection.execute(switch.format(sql.Literal(True), candidate))
    after = explain(connection, question.statement)
    return Promise(before, after, used=any(node.index == CANDIDATE for node in after.nodes), size_bytes=size_bytes)
