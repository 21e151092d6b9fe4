"""
Reach the user's PostgreSQL: read-only connections with time-outs, plans, the catalog.

In        a DSN
Out       connections; plans and tables as values; its errors as ours
Not here  changing anything (hands.py), what-if (planner.py)

Every statement here runs in a READ ONLY transaction with short time-outs, so that looking at a busy
server never adds to its trouble.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import conninfo, pq

from rung.errors import DatabaseDenied, DatabaseRefused, RungError
from rung.ports import Index, IndexColumn, Plan, PlanNode, ServerFacts, Table, TableColumn
from rung.steps.explain.words import without_constants

CONNECT_TIMEOUT_S = 5
LOOK_SETTINGS = (
    "-c statement_timeout=10s -c lock_timeout=500ms -c default_transaction_read_only=on -c application_name=rung"
)
GENERIC_PLAN_SINCE = 160000


def address(dsn: str) -> str:
    """
    Return host:port/database of a DSN: what may be shown to people, never the password.

    >>> address("postgresql://me:secret@localhost:5433/shop")
    'localhost:5433/shop'
    """
    try:
        parts = parts_of(dsn)
    except DatabaseRefused:
        return UNREADABLE
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"{host}:{parts.get('port') or 5432}/{parts.get('dbname') or parts.get('user') or ''}"


UNREADABLE = "an address that cannot be read"


def parts_of(dsn: str) -> dict[str, str]:
    """
    Return a DSN's parts by libpq's names, what it leaves out taken from PG*.

    Raises:
        DatabaseRefused: it is not a DSN. The message quotes none of it: what libpq stumbles over is
            often a piece of an unquoted password.
    """
    try:
        given = conninfo.conninfo_to_dict(plain(dsn))
    except psycopg.ProgrammingError:
        given = None
    # libpq ends the login at the first @ or /, so a password's own puts the rest of it elsewhere.
    if (
        given is None
        or "@" in str(given.get("host") or "")[1:]
        or "@" in str(given.get("dbname") or "")
        or not re.fullmatch(r"[0-9,]*", str(given.get("port") or ""))
    ):
        raise DatabaseRefused(
            UNREADABLE, "write it as postgresql://you:password@host:5432/database; in a password @ is %40 and / is %2F"
        ) from None
    known = {option.keyword.decode(): option for option in pq.Conninfo.get_defaults()}
    from_environment = {
        name: option.val.decode() for name, option in known.items() if option.val and _named_by(option.envvar)
    }
    return from_environment | {name: str(value) for name, value in given.items()}


def _named_by(variable: bytes | None) -> bool:
    return variable is not None and variable.decode() in os.environ


def plain(dsn: str) -> str:
    """
    Return a DSN as libpq takes it: without the driver that SQLAlchemy puts into the scheme.

    >>> plain("postgresql+asyncpg://me@localhost/shop")
    'postgresql://me@localhost/shop'
    """
    scheme, mark, rest = dsn.partition("://")
    return f"postgresql://{rest}" if mark and scheme.split("+")[0] in ("postgresql", "postgres") else dsn


class CannotPlan(psycopg.Error):
    """
    The server would not plan a statement as it was recorded.
    """


@contextmanager
def looking(dsn: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """
    Yield a connection that can only look, its transaction rolled back at the end.

    Raises:
        DatabaseRefused: the server cannot be reached, or does not let us in.
        DatabaseDenied: the role may not look at what was asked.
    """
    with mapped_errors(dsn), connected(dsn, options=LOOK_SETTINGS) as connection:
        yield connection
        connection.rollback()


@contextmanager
def connected(dsn: str, *, options: str, autocommit: bool = False) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """
    Yield a connection, closed at the end.
    """
    # Ours come last, so that they win over options that the DSN or PGOPTIONS bring.
    given = parts_of(dsn).get("options", "")
    connection = psycopg.connect(
        plain(dsn),
        connect_timeout=CONNECT_TIMEOUT_S,
        options=f"{given} {options}".strip(),
        client_encoding="utf8",
        autocommit=autocommit,
    )
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def mapped_errors(dsn: str) -> Iterator[None]:
    """
    Turn psycopg's errors at this border into ours.
    """
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as problem:
        raise DatabaseDenied(parts_of(dsn).get("user", "?"), "do this", first_line(problem)) from problem
    except psycopg.ProgrammingError as problem:
        if problem.diag.sqlstate is None:
            raise DatabaseRefused(address(dsn), first_line(problem)) from problem
        raise
    except psycopg.OperationalError as problem:
        raise DatabaseRefused(address(dsn), first_line(problem)) from problem


def first_line(problem: BaseException) -> str:
    """
    Return the part of a driver's message that says what happened.
    """
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    # Of a connection that failed, libpq says where and, behind the last colon pair, why; a hint follows.
    said = next((line for line in lines if not line.startswith("Multiple connection attempts")), type(problem).__name__)
    return said.removeprefix("connection failed: ")


def server_facts(connection: psycopg.Connection[tuple[Any, ...]]) -> ServerFacts:
    """
    Return which server, database and role this connection has.
    """
    row = connection.execute("select current_setting('server_version'), current_database(), current_user").fetchone()
    assert row is not None
    return ServerFacts(version=str(row[0]).split()[0], database=row[1], role=row[2])


def explain(connection: psycopg.Connection[tuple[Any, ...]], statement: str) -> Plan:
    """
    Return the generic plan of *statement*, which has $n for every value.

    Raises:
        psycopg.Error: the server cannot plan it as it stands.

    Source: PostgreSQL documentation, EXPLAIN (GENERIC_PLAN since 16).
    """
    with connection.transaction(force_rollback=True):
        return _planned(connection, statement)


def relations_of(connection: psycopg.Connection[tuple[Any, ...]], statement: str) -> tuple[Relation, ...]:
    """
    Return every table and view that planning *statement* touches, also those that its plan no longer names.

    The locks that the planner took tell: views, partitioned tables and joins that it could leave out are
    among them.

    Raises:
        psycopg.Error: the server cannot plan it as it stands.
    """
    with connection.transaction(force_rollback=True):
        _planned(connection, statement)
        return tuple(Relation(*row) for row in connection.execute(TOUCHED).fetchall())


def _planned(connection: psycopg.Connection[tuple[Any, ...]], statement: str) -> Plan:
    # The text is the app's own statement, normalised; EXPLAIN without ANALYZE never runs it.  Only the
    # simple protocol leaves $n unbound, as GENERIC_PLAN needs, and it would take several statements at
    # once; so the text is parsed first by the extended protocol, which refuses more than one.
    question = b"EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) " + statement.encode()
    if connection.info.server_version < GENERIC_PLAN_SINCE:
        raise CannotPlan("generic plans can be asked for since PostgreSQL 16")
    parsed = connection.pgconn.prepare(b"", question)
    _refuse_failed(parsed, pq.ExecStatus.COMMAND_OK)
    result = connection.pgconn.exec_(question)
    _refuse_failed(result, pq.ExecStatus.TUPLES_OK)
    tree = json.loads(result.get_value(0, 0) or b"[]")
    return plan_of(tree[0]["Plan"])


def _refuse_failed(result: pq.abc.PGresult, wanted: int) -> None:
    if result.status != wanted:
        raise CannotPlan(result.error_message.decode(errors="replace").removeprefix("ERROR:").strip())


@dataclass(frozen=True, slots=True)
class Relation:
    """
    A table or view, as large as the server's catalog has it.
    """

    schema: str
    name: str
    kind: str
    pages: int
    rows: float
    pages_visible: int


TOUCHED = """
select n.nspname, c.relname, c.relkind::text,
       case when c.relkind in ('r', 'm') then pg_relation_size(c.oid) / 8192 else 0 end::int,
       c.reltuples::float8, c.relallvisible
from pg_locks l
join pg_class c on c.oid = l.relation
join pg_namespace n on n.oid = c.relnamespace
where l.pid = pg_backend_pid() and l.locktype = 'relation' and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and l.database = (select oid from pg_database where datname = current_database())
  and n.nspname not in ('pg_catalog', 'information_schema')
order by 1, 2
"""
# Whoever queues behind an ACCESS EXCLUSIVE lock holds up everybody behind himself.
HELD = """
select distinct n.nspname || '.' || c.relname
from pg_locks l
join pg_class c on c.oid = l.relation
join pg_namespace n on n.oid = c.relnamespace
where l.mode = 'AccessExclusiveLock' and l.database = (select oid from pg_database where datname = current_database())
  and l.pid <> pg_backend_pid() and c.relkind in ('r', 'p', 'v', 'm', 'f')
order by 1
"""


def exclusively_locked(connection: psycopg.Connection[tuple[Any, ...]]) -> frozenset[str]:
    """
    Return the tables, as schema.name, on which somebody holds or awaits an ACCESS EXCLUSIVE lock.
    """
    return frozenset(row[0] for row in connection.execute(HELD).fetchall())


CONDITIONS = ("Index Cond", "Recheck Cond", "Filter", "Join Filter", "Hash Cond", "Merge Cond", "Sort Key", "Group Key")


def plan_of(tree: Mapping[str, Any]) -> Plan:
    """
    Return EXPLAIN's JSON tree as a flat Plan, in printing order.
    """
    nodes: list[PlanNode] = []

    def visit(node: Mapping[str, Any], depth: int) -> None:
        conditions = []
        for key in CONDITIONS:
            value = node.get(key)
            if value:
                said = ", ".join(value) if isinstance(value, list) else value
                conditions.append(f"{key}: {without_constants(said)}")
        nodes.append(
            PlanNode(
                depth=depth,
                kind=("Parallel " if node.get("Parallel Aware") else "") + node["Node Type"],
                relation=node.get("Relation Name", ""),
                schema=node.get("Schema", ""),
                index=node.get("Index Name", ""),
                cost=float(node["Total Cost"]),
                rows=float(node["Plan Rows"]),
                condition="; ".join(conditions),
            )
        )
        for child in node.get("Plans", ()):
            visit(child, depth + 1)

    visit(tree, 0)
    return Plan(tuple(nodes))


TABLE_FACTS = """
select c.oid::bigint, c.reltuples::float8, pg_relation_size(c.oid)::bigint
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(name)s
"""
COLUMN_FACTS = """
select a.attname, format_type(a.atttypid, a.atttypmod), coalesce(s.avg_width, nullif(a.attlen, -1), 32)::int
from pg_attribute a
left join pg_stats s
    on s.schemaname = %(schema)s and s.tablename = %(name)s and s.attname = a.attname and not s.inherited
where a.attrelid = %(oid)s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
# Partial and expression indexes do not serve every lookup on their columns, nor do those with an operator
# class, collation or order of nulls of their own.  indoption has 1 for DESC and 2 for NULLS FIRST, which is
# DESC's default (PostgreSQL source, INDOPTION_DESC and INDOPTION_NULLS_FIRST).
PLAIN_INDEXES = """
select i.indexrelid, i.indrelid, array_agg(a.attname::text order by k.place) as columns,
       array_agg((i.indoption[k.place - 1]::int & 1) = 1 order by k.place) as descending,
       i.indnkeyatts = i.indnatts as keys_only
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_am m on m.oid = c.relam and m.amname = 'btree'
cross join lateral unnest(i.indkey::int[]) with ordinality as k (attnum, place)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indpred is null and i.indexprs is null and k.place <= i.indnkeyatts
group by i.indexrelid, i.indrelid, i.indnkeyatts, i.indnatts
having bool_and(
    i.indoption[k.place - 1] in (0, 3) and i.indcollation[k.place - 1] in (0, a.attcollation)
    and (select o.opcdefault from pg_opclass o where o.oid = i.indclass[k.place - 1])
)
"""
INDEX_FACTS = f"""
select p.columns, p.descending
from ({PLAIN_INDEXES}) p join pg_index i using (indexrelid)
where i.indrelid = %(oid)s and i.indisvalid
order by i.indexrelid
"""  # noqa: S608  # two constants of this file


def describe(connection: psycopg.Connection[tuple[Any, ...]], schema: str, name: str) -> Table | None:
    """
    Return what the catalog knows of a table, None when there is none of that name.
    """
    row = connection.execute(TABLE_FACTS, {"schema": schema, "name": name}).fetchone()
    if row is None:
        return None
    oid, rows, size_bytes = row
    columns = connection.execute(COLUMN_FACTS, {"schema": schema, "name": name, "oid": oid}).fetchall()
    indexes = connection.execute(INDEX_FACTS, {"oid": oid}).fetchall()
    return Table(
        schema=schema,
        name=name,
        rows=max(rows, 0.0),
        size_bytes=size_bytes,
        columns=tuple(TableColumn(*column) for column in columns),
        indexes=tuple(
            Index(schema, name, tuple(IndexColumn(*pair) for pair in zip(names, directions, strict=True)))
            for names, directions in indexes
        ),
    )


def reason_of(problem: Exception) -> str:
    """
    Return why a question could not be answered, as the end of a sentence.
    """
    return problem.message if isinstance(problem, RungError) else first_line(problem)
