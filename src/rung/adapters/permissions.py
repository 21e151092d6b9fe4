"""
Ask a database what its role lacks for rung's questions, and how to give it.

In        a DSN
Out       what was found, each with the statement that would change it
Not here  the questions themselves (postgres.py, planner/, hands.py)

Everything is asked of the catalog, in a READ ONLY transaction; no table of the user's is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from rung.adapters.postgres import PLAN_CACHE_MODE_SINCE, address, looking, server_facts

ROLE = """
select current_user::text, rolsuper,
       pg_has_role(current_user, 'pg_monitor', 'USAGE'),
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
       format('GRANT pg_monitor TO %I;', current_user),
       format('GRANT pg_read_all_data TO %I;', current_user)
from pg_roles where rolname = current_user
"""
TABLES = """
select count(*)::int,
       (count(*) filter (where not readable))::int,
       (array_agg(format('%I.%I', nspname, relname) order by relname) filter (where not readable))[1],
       (count(*) filter (where not owned))::int,
       (array_agg(distinct format('%I', owner)) filter (where not owned))[1],
       (count(*) filter (where hidden))::int
from (
    select n.nspname, c.relname, pg_get_userbyid(c.relowner) as owner,
           has_table_privilege(c.oid, 'SELECT') and has_schema_privilege(n.oid, 'USAGE') as readable,
           pg_has_role(c.relowner, 'USAGE') as owned,
           c.relrowsecurity and row_security_active(c.oid) as hidden
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
) t
"""
STATEMENTS = """
select n.nspname::text from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'
"""


@dataclass(frozen=True, slots=True)
class Permission:
    """
    One thing that the role may or may not do.

    Attributes:
        given: Whether it may.
        needed_by: Which answers need it.
        remedy: What to run to give it, empty where nothing is lacking.
    """

    text: str
    given: bool
    needed_by: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Role:
    """
    A role in a database, and what it may do for rung.
    """

    server: str
    version: str
    role: str
    permissions: tuple[Permission, ...]


def look_at_role(dsn: str) -> Role:
    """
    Return what the role of *dsn* may do.

    Raises:
        DatabaseRefused: the server cannot be reached, or does not let us in.
        DatabaseDenied: not even the catalog may be read.
    """
    with looking(dsn) as connection:
        facts = server_facts(connection)
        role, is_super, monitors, reads_stats, grant_monitor, grant_data = _row(connection, ROLE)
        permissions = (
            _version(connection, facts.version),
            *_tables(connection, grant_data),
            Permission(
                "other roles' sessions and statements can be seen",
                given=is_super or monitors or reads_stats,
                needed_by="waits and locks that other roles cause",
                remedy="" if is_super or monitors or reads_stats else grant_monitor,
            ),
            _statements(connection),
        )
    return Role(address(dsn), facts.version, role, permissions)


def _row(connection: psycopg.Connection[tuple[Any, ...]], query: Any) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row


def _version(connection: psycopg.Connection[tuple[Any, ...]], version: str) -> Permission:
    new_enough = connection.info.server_version >= PLAN_CACHE_MODE_SINCE
    return Permission(
        f"PostgreSQL {version} plans statements without their values",
        given=new_enough,
        needed_by="plans in rung find, prices of indexes",
        remedy="" if new_enough else "a server of PostgreSQL 12 or newer",
    )


def _tables(connection: psycopg.Connection[tuple[Any, ...]], grant_data: str) -> tuple[Permission, ...]:
    tables, unreadable, example, not_owned, owner, hidden = _row(connection, TABLES)
    may_read = f"{tables} tables can be read"
    may_change = "the tables are its own"
    return (
        Permission(
            f"{unreadable} of {tables} tables cannot be read, {example} among them" if unreadable else may_read,
            given=not unreadable,
            needed_by="plans in rung find, prices of indexes",
            remedy=grant_data if unreadable else "",
        ),
        Permission(
            f"{not_owned} of {tables} tables belong to others, such as {owner}" if not_owned else may_change,
            given=not not_owned,
            needed_by="rung take --apply",
            remedy=f"rung take --apply --database with the role {owner}" if not_owned else "",
        ),
        Permission(
            f"row-level security hides the statistics of {hidden} tables" if hidden else "no statistics are hidden",
            given=not hidden,
            needed_by="prices of indexes on these tables",
            remedy="a role with BYPASSRLS, or the tables' owner" if hidden else "",
        ),
    )


def _statements(connection: psycopg.Connection[tuple[Any, ...]]) -> Permission:
    installed = connection.execute(STATEMENTS).fetchone() is not None
    return Permission(
        "pg_stat_statements is there" if installed else "pg_stat_statements is not there",
        given=installed,
        needed_by="the server's own account of each statement's time",
        remedy=""
        if installed
        else "shared_preload_libraries = 'pg_stat_statements', a restart, CREATE EXTENSION pg_stat_statements;",
    )
