"""
Reach the user's PostgreSQL: read-only connections with time-outs, plans.

In        a DSN
Out       connections; plans as values; its errors as ours
Not here  the catalog (catalog.py), changing anything (hands.py), what-if (planner/)

Every statement here runs in a READ ONLY transaction with short time-outs, so that looking at a busy
server never adds to its trouble.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import conninfo, pq

from rung.errors import DatabaseDenied, DatabaseRefused, RungError
from rung.ports import Condition, IndexUsed, Plan, PlanNode, ServerFacts
from rung.steps.explain.words import constants_of, without_constants

CONNECT_TIMEOUT_S = 5
LOOK_SETTINGS = (
    "-c statement_timeout=10s -c lock_timeout=500ms -c default_transaction_read_only=on -c application_name=rung"
)
GENERIC_PLAN_SINCE = 160000
PLAN_CACHE_MODE_SINCE = 120000
# Longer ones are lists of thousands of values; planning one would take a busy server seconds.
STATEMENT_LENGTH_MAX = 100_000

Named = tuple[str, str]  # schema and name of a table or view


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
        return plan_of(generic_tree(connection, statement), statement)


def explain_with_relations(
    connection: psycopg.Connection[tuple[Any, ...]], statement: str
) -> tuple[Plan, tuple[Named, ...]]:
    """
    Return the generic plan of *statement*, and every table and view that planning it touches, also those that
    the plan no longer names.

    The locks that the planner took tell: views, partitioned tables and joins that it could leave out are
    among them.

    Raises:
        psycopg.Error: the server cannot plan it as it stands.
    """
    with connection.transaction(force_rollback=True):
        plan = plan_of(generic_tree(connection, statement), statement)
        return plan, tuple((row[0], row[1]) for row in connection.execute(TOUCHED).fetchall())


def generic_tree(connection: psycopg.Connection[tuple[Any, ...]], statement: str) -> Mapping[str, Any]:
    """
    Return EXPLAIN's JSON tree of the generic plan: with conditions as they stand, which may hold constants.

    Raises:
        psycopg.Error: the server cannot plan it as it stands, or it is more than one statement.
    """
    # The text is the app's own statement, normalised; EXPLAIN without ANALYZE never runs it.  Only the
    # simple protocol leaves $n unbound, as GENERIC_PLAN needs, and it would take several statements at
    # once; so the text is parsed first by the extended protocol, which refuses more than one.
    if len(statement) > STATEMENT_LENGTH_MAX:
        raise CannotPlan(f"the statement has {len(statement)} characters; above {STATEMENT_LENGTH_MAX} none is planned")
    if connection.info.server_version < GENERIC_PLAN_SINCE:
        return _generic_tree_before_16(connection, statement)
    question = b"EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) " + statement.encode(errors="replace")
    refuse_failed(connection.pgconn.prepare(b"", question), pq.ExecStatus.COMMAND_OK)
    return explained(connection, question)


def _generic_tree_before_16(connection: psycopg.Connection[tuple[Any, ...]], statement: str) -> Mapping[str, Any]:
    # There a prepared statement's generic plan can be shown; it is made without the NULLs that stand in for values.
    if connection.info.server_version < PLAN_CACHE_MODE_SINCE:
        raise CannotPlan("generic plans can be asked for since PostgreSQL 12")
    connection.execute("deallocate all")
    connection.execute("set local plan_cache_mode = force_generic_plan")
    refuse_failed(connection.pgconn.prepare(b"rung_look", statement.encode(errors="replace")), pq.ExecStatus.COMMAND_OK)
    nulls = b", ".join([b"null"] * connection.pgconn.describe_prepared(b"rung_look").nparams)
    arguments = b"(" + nulls + b")" if nulls else b""
    return explained(connection, b"EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE rung_look " + arguments)


def explained(connection: psycopg.Connection[tuple[Any, ...]], question: bytes) -> Mapping[str, Any]:
    """
    Return the JSON tree that the EXPLAIN *question* gives, whose text is known to be one statement.

    Raises:
        psycopg.Error: it cannot be planned.
    """
    result = connection.pgconn.exec_(question)
    refuse_failed(result, pq.ExecStatus.TUPLES_OK)
    tree: Mapping[str, Any] = json.loads(result.get_value(0, 0) or b"[]")[0]["Plan"]
    return tree


def refuse_failed(result: pq.abc.PGresult, wanted: int) -> None:
    """
    Raise CannotPlan with the server's words, unless *result* is as *wanted*.
    """
    if result.status != wanted:
        raise CannotPlan(result.error_message.decode(errors="replace").removeprefix("ERROR:").strip())


TOUCHED = """
select distinct n.nspname, c.relname
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
# Those that find what an index could do; the others are told to people.
ALL_CONDITIONS = (*CONDITIONS, "One-Time Filter", "Order By", "Presorted Key", "Conflict Filter", "Cache Key")


def nodes_of(tree: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """
    Give each node of EXPLAIN's JSON tree, in printing order.
    """
    yield tree
    for child in tree.get("Plans", ()):
        yield from nodes_of(child)


def plan_of(tree: Mapping[str, Any], statement: str = "") -> Plan:
    """
    Return EXPLAIN's JSON tree as a flat Plan, in printing order.

    Args:
        statement: What was explained; a constant that it has itself stays in the plan, all others become $n.
    """
    nodes: list[PlanNode] = []
    known = constants_of(statement)

    def visit(node: Mapping[str, Any], depth: int) -> None:
        said, conditions = [], []
        for kind in ALL_CONDITIONS:
            value = node.get(kind)
            if value:
                texts = value if isinstance(value, list) else [value]
                conditions += [Condition(kind, without_constants(text, known)) for text in texts]
                if kind in CONDITIONS:
                    said.append(f"{kind}: {without_constants(', '.join(texts))}")
        nodes.append(
            PlanNode(
                depth=depth,
                kind=("Parallel " if node.get("Parallel Aware") else "") + node["Node Type"],
                relation=node.get("Relation Name", ""),
                schema=node.get("Schema", ""),
                index=node.get("Index Name", ""),
                cost=float(node["Total Cost"]),
                rows=float(node["Plan Rows"]),
                condition="; ".join(said),
                alias=node.get("Alias", ""),
                conditions=tuple(conditions),
                output=tuple(without_constants(text, known) for text in node.get("Output", ())),
                operation=node.get("Operation", ""),
                relationship=node.get("Parent Relationship", ""),
            )
        )
        for child in node.get("Plans", ()):
            visit(child, depth + 1)

    visit(tree, 0)
    return Plan(tuple(nodes))


INDEX_USE = """
select i.indisvalid, coalesce(
    (select sum(s.idx_scan) from pg_stat_all_indexes s
     where s.indexrelid = i.indexrelid or s.indexrelid in (select p.relid from pg_partition_tree(i.indexrelid) p)), 0
)::bigint
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s
"""


def index_use(connection: psycopg.Connection[tuple[Any, ...]], schema: str, name: str) -> IndexUsed:
    """
    Return how often an index has been used since it was built.
    """
    row = connection.execute(INDEX_USE, (schema, name)).fetchone()
    if row is None:
        return IndexUsed(name, scans=0, there=False, valid=False)
    return IndexUsed(name, scans=row[1], there=True, valid=row[0])


def reason_of(problem: Exception) -> str:
    """
    Return why a question could not be answered, as the end of a sentence.
    """
    return problem.message if isinstance(problem, RungError) else first_line(problem)
