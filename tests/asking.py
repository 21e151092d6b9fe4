"""
Run a statement on a database by itself, for tests that set one up or look at what is in it.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

STILL = """
do $$ declare each regclass; begin
    for each in select oid from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace loop
        execute format('alter table %s set (autovacuum_enabled = off)', each);
    end loop;
end $$
"""


def execute(dsn: str, statement: str) -> None:
    """
    Run *statement* outside a transaction.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL(statement))


def rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    """
    Return the rows that *statement* gives.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(sql.SQL(statement)).fetchall()


def keep_still(dsn: str) -> None:
    """
    Keep autovacuum from analysing the tables that there are between two looks at them.
    """
    execute(dsn, STILL)
