"""
What the user's database tells of its tables, beside definitions and statistics, so that the twin sees the same.

In        a connection that can only look, or the file that the script of dumped.py made with the same query
Out       Facts: sizes of files, planner settings, version; a Sight of each statement
Not here  definitions and statistics (copying.py), what is made of all that (stage.py)
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from rung.adapters.postgres import (
    Named,
    exclusively_locked,
    explain_with_relations,
    looking,
    reason_of,
)
from rung.errors import DatabaseRefused
from rung.ports import Plan, ServerFacts

Connection = psycopg.Connection[Any]

# One query, so that a script can ask it with psql alone.  What plans depend on is listed by name: pg_settings tells
# categories in the server's language.  The search path is the role's as it holds here; "$user" would be somebody
# else in the twin.
FACTS = """
with recursive wanted as (
    select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and ({names}::json is null or (n.nspname::text, c.relname::text) in (
          select name ->> 0, name ->> 1 from json_array_elements({names}::json) name))
    union
    select i.inhrelid from pg_inherits i join wanted w on w.oid = i.inhparent
)
select json_build_object(
    'version', current_setting('server_version'), 'database', current_database(), 'role', current_user,
    'settings', (
        select json_object_agg(name, current_setting(name)) from pg_settings
        where name like 'enable\\_%' or name like '%\\_cost' or name like 'geqo%' or name like '%\\_collapse_limit'
           or name in ('effective_cache_size', 'work_mem', 'hash_mem_multiplier', 'max_parallel_workers_per_gather',
                       'min_parallel_table_scan_size', 'min_parallel_index_scan_size', 'parallel_leader_participation',
                       'constraint_exclusion', 'cursor_tuple_fraction', 'jit', 'recursive_worktable_factor')),
    'search_path', (
        select coalesce(string_agg(quote_ident(name), ', '), '""') from unnest(current_schemas(false)) name),
    'relations', (
        select coalesce(json_agg(json_build_array(n.nspname, c.relname, c.relkind,
            case when c.relkind in ('r', 'm') then pg_relation_size(c.oid) / 8192 else 0 end,
            has_table_privilege(c.oid, 'SELECT')) order by n.nspname, c.relname), '[]')
        from wanted join pg_class c using (oid) join pg_namespace n on n.oid = c.relnamespace),
    'indexes', (
        select coalesce(json_agg(json_build_array(n.nspname, x.relname, m.amname, pg_relation_size(x.oid) / 8192)
            order by n.nspname, x.relname), '[]')
        from wanted w join pg_index i on i.indrelid = w.oid
        join pg_class x on x.oid = i.indexrelid and x.relkind = 'i'
        join pg_namespace n on n.oid = x.relnamespace join pg_am m on m.oid = x.relam),
    'materialized', (
        select coalesce(json_agg(json_build_array(n.nspname, c.relname, (
            select json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), (
                select json_build_array(m.nspname, l.collname)
                from pg_collation l join pg_namespace m on m.oid = l.collnamespace where l.oid = a.attcollation))
                order by a.attnum)
            from pg_attribute a where a.attrelid = c.oid and a.attnum > 0)) order by n.nspname, c.relname), '[]')
        from wanted join pg_class c using (oid) join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'm'),
    'extensions', (select coalesce(json_agg(extname order by extname), '[]') from pg_extension),
    'statistics', (
        select coalesce(json_agg(s.stxname order by s.stxname), '[]')
        from wanted w join pg_statistic_ext s on s.stxrelid = w.oid)
)
"""


@dataclass(frozen=True, slots=True)
class Relation:
    """
    A table or view.

    Attributes:
        kind: As in pg_class: r, p, v, m or f.
        pages: Length of its file today.
        readable: Whether the role may SELECT from it, without which it cannot be copied.
    """

    schema: str
    name: str
    kind: str
    pages: int
    readable: bool


@dataclass(frozen=True, slots=True)
class StandingIndex:
    """
    An index that exists, with the length of its file.
    """

    schema: str
    name: str
    method: str
    pages: int


@dataclass(frozen=True, slots=True)
class Materialized:
    """
    A materialized view.

    Attributes:
        columns: Of each its name, type and collation, this by schema and name.
    """

    schema: str
    name: str
    columns: tuple[tuple[str, str, Named | None], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What one look told.

    Attributes:
        settings: What plans depend on, the search path among them.
        statistics: Names of extended statistics, which cannot be carried over.
    """

    server: ServerFacts
    settings: dict[str, str]
    relations: tuple[Relation, ...]
    indexes: tuple[StandingIndex, ...]
    extensions: tuple[str, ...]
    statistics: tuple[str, ...]
    materialized: tuple[Materialized, ...] = ()

    @property
    def major(self) -> int:
        """
        The server's major version, also of one that is not released yet.
        """
        found = re.match(r"\d+", self.server.version)
        return int(found[0]) if found else 0


def facts_from(tree: dict[str, Any]) -> Facts:
    """
    Return what the answer to FACTS says.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return Facts(
        server=ServerFacts(str(tree["version"]).split()[0], tree["database"], tree["role"]),
        settings={**tree["settings"], "search_path": tree["search_path"]},
        relations=tuple(Relation(*row) for row in tree["relations"]),
        indexes=tuple(StandingIndex(*row) for row in tree["indexes"]),
        extensions=tuple(tree["extensions"]),
        statistics=tuple(tree["statistics"]),
        # A dump that was made before they were asked for has none.
        materialized=tuple(_materialized(*row) for row in tree.get("materialized", ())),
    )


def _materialized(schema: str, name: str, columns: list[tuple[str, str, list[str] | None]]) -> Materialized:
    return Materialized(
        schema,
        name,
        tuple((column, kind, (where[0], where[1]) if where else None) for column, kind, where in columns),
    )


def look_at(dsn: str, names: Collection[Named]) -> Facts:
    """
    Return the facts about the tables and views *names*, and the partitions of these.
    """
    wanted = sql.Literal(json.dumps(sorted(names)))
    with looking(dsn) as connection:
        row = connection.execute(sql.SQL(FACTS).format(names=wanted)).fetchone()
    assert row is not None
    return facts_from(row[0])


@dataclass(frozen=True, slots=True)
class Sight:
    """
    What planning a statement told.

    Attributes:
        plan: The server's own generic plan; None from a dump, where no server is asked.
        relations: Tables and views that planning it touches.
        reason: Why it cannot be planned, "" if it can.
    """

    plan: Plan | None = None
    relations: frozenset[Named] = frozenset()
    reason: str = ""


def sights_of(dsn: str, statements: Sequence[str]) -> list[Sight]:
    """
    Return what the server itself says of each statement.

    Raises:
        DatabaseRefused: the server cannot be reached, or does not let us in.
    """
    sights: list[Sight] = []
    try:
        with looking(dsn) as connection:
            locked = exclusively_locked(connection)
            for statement in statements:
                held = sorted(name for name in locked if _mentions(statement, name))
                sight = Sight(reason=locked_reason(held)) if held else sight_of(connection, statement)
                if connection.closed:
                    break
                sights.append(sight)
    except DatabaseRefused:
        # A server that restarts has planned some of them.
        if not sights:
            raise
    rest = len(statements) - len(sights)
    return sights + [Sight(reason="the server ended the connection before it was planned")] * rest


def sight_of(connection: Connection, statement: str) -> Sight:
    """
    Return what *connection* says of one statement.
    """
    try:
        plan, relations = explain_with_relations(connection, statement)
    except psycopg.Error as problem:
        return Sight(reason=reason_of(problem))
    return Sight(plan, frozenset(relations))


def locked_reason(names: Sequence[str]) -> str:
    """
    Return why tables are not touched now.
    """
    return f"somebody holds or awaits an ACCESS EXCLUSIVE lock on {', '.join(names)}; ask again when it is over"


def _mentions(statement: str, qualified: str) -> bool:
    # A word that happens to be a locked table's name costs this statement its answer, once.
    return re.search(rf"(?<!\w){re.escape(qualified.rpartition('.')[2])}(?!\w)", statement) is not None
