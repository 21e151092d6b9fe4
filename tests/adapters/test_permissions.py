"""
What a role may do, asked of a real server; and that what is said to give it gives it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import conninfo, sql

from rung.adapters.permissions import Permission, look_at_role
from rung.errors import DatabaseRefused


@pytest.fixture
def role(database: str) -> Iterator[str]:
    """
    The DSN of a role that owns nothing, with a name that has to be quoted.
    """
    name = f"Reader {uuid.uuid4().hex}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'for-a-test'").format(sql.Identifier(name)))
        connection.execute("CREATE TABLE orders (id int)")
        connection.execute("CREATE TABLE customers (id int)")
    try:
        yield conninfo.make_conninfo(database, user=name, password="for-a-test")
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def lacking(dsn: str) -> dict[str, Permission]:
    return {one.needed_by: one for one in look_at_role(dsn).permissions if not one.given}


def test_the_owner_lacks_nothing_but_the_extension(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int)")
    (without,) = lacking(database).values()
    assert "CREATE EXTENSION pg_stat_statements" in without.remedy
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
    assert {} == lacking(database)


def test_what_is_said_to_give_it_gives_it(role: str, database: str) -> None:
    found = lacking(role)
    tables = found["plans in rung find, prices of indexes"]
    assert "2 of 2 tables cannot be read" in tables.text
    assert {"waits and locks that other roles cause", "rung take --apply"} <= set(found)
    with psycopg.connect(database, autocommit=True) as connection:
        for permission in found.values():
            if permission.remedy.startswith("GRANT"):
                connection.execute(permission.remedy.encode())
    left = lacking(role)
    assert {"rung take --apply", "the server's own account of each statement's time"} == set(left)
    assert "belong to others" in left["rung take --apply"].text


def test_row_level_security_is_told(role: str, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    assert "hides the statistics of 1 tables" in lacking(role)["prices of indexes on these tables"].text


def test_a_server_that_is_not_there_is_refused() -> None:
    with pytest.raises(DatabaseRefused):
        look_at_role("postgresql://nobody@127.0.0.1:1/shop")
