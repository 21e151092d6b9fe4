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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo, sql

from rung.errors import DatabaseDenied, DatabaseRefused, RungError
from rung.ports import Index, IndexColumn, Plan, PlanNode, ServerFacts, Table, TableColumn

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
        parts = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return urlsplit(dsn).hostname or "?"
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"{host}:{parts.get('port') or 5432}/{parts.get('dbname') or parts.get('user') or ''}"


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
    connection = psycopg.connect(plain(dsn), connect_timeout=CONNECT_TIMEOUT_S, options=options, autocommit=autocommit)
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
        role = conninfo.conninfo_to_dict(plain(dsn)).get("user") or "?"
        raise DatabaseDenied(str(role), "do this", first_line(problem)) from problem
    except psycopg.ProgrammingError as problem:
        if problem.diag.sqlstate is None:
            raise DatabaseRefused(address(dsn), first_line(problem)) from problem
        raise
    except psycopg.OperationalError as problem:
        raise DatabaseRefused(address(dsn), first_line(problem)) from problem


def first_line(problem: BaseException) -> str:
    """
    Return the part of a driver's message that says what happened, without a password it may quote.
    """
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return (
        lines[-1 if isinstance(problem, psycopg.OperationalError) and "failed" in str(problem) else 0]
        if lines
        else type(problem).__name__
    )


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
    # The text is the app's own statement, normalised; EXPLAIN without ANALYZE never runs it.  Only the
    # simple protocol leaves $n unbound, as GENERIC_PLAN needs, and it would take several statements at
    # once; so the text is parsed first by the extended protocol, which refuses more than one.
    question = sql.SQL("EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) ").as_bytes(connection) + statement.encode()
    if connection.info.server_version < GENERIC_PLAN_SINCE:
        raise CannotPlan("generic plans can be asked for since PostgreSQL 16")
    with connection.transaction(force_rollback=True):
        parsed = connection.pgconn.prepare(b"", question)
        _refuse_failed(parsed, psycopg.pq.ExecStatus.COMMAND_OK)
        result = connection.pgconn.exec_(question)
        _refuse_failed(result, psycopg.pq.ExecStatus.TUPLES_OK)
        tree = json.loads(result.get_value(0, 0) or b"[]")
    return plan_of(tree[0]["Plan"])


def _refuse_failed(result: psycopg.pq.abc.PGresult, wanted: int) -> None:
    if result.status != wanted:
        raise CannotPlan(result.error_message.decode(errors="replace").removeprefix("ERROR:").strip())


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
                conditions.append(f"{key}: {', '.join(value) if isinstance(value, list) else value}")
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
# indoption's lowest bit is DESC (PostgreSQL source, INDOPTION_DESC).  Partial and expression indexes
# do not serve every lookup on their columns, so they are left out.
INDEX_FACTS = """
select array_agg(a.attname::text order by k.place), array_agg((i.indoption[k.place - 1]::int & 1) = 1 order by k.place)
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_am m on m.oid = c.relam and m.amname = 'btree'
cross join lateral unnest(i.indkey::int[]) with ordinality as k (attnum, place)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = %(oid)s and i.indisvalid and i.indpred is null and i.indexprs is null and k.place <= i.indnkeyatts
group by i.indexrelid
order by i.indexrelid
"""


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
