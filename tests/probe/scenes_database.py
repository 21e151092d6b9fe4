"""
Scenes: psycopg2 alone, under SQLAlchemy and with classes of the app's own; COPY of each driver.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import asyncpg
import psycopg
import psycopg2
import psycopg2.extensions
import psycopg2.extras
import psycopg2.pool
import sqlalchemy
from psycopg2 import sql

URL = os.environ["DATABASE_URL"]


class Loud(psycopg2.extras.DictCursor):
    """As an app may write it."""

    said: list[str] = []  # noqa: RUF012

    def execute(self, query: Any, vars: Any = None) -> Any:
        self.said.append(type(self).__name__)
        return super().execute(query, vars)


class Own(psycopg2.extensions.connection):
    __slots__ = ("asked",)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("cursor_factory", Loud)
        return super().cursor(*args, **kwargs)


def psycopg2_plain() -> Any:
    connection = psycopg2.connect(URL)
    saw: list[Any] = [connection.closed]
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT n, %s FROM generate_series(1, 3) n", ("secret",))  # MARK psycopg2
        saw += [cursor.rowcount, cursor.fetchall(), cursor.query.decode(), type(cursor).__name__]
    connection.commit()  # nothing was begun
    connection.rollback()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 'secret' FROM nowhere")
    except psycopg2.errors.UndefinedTable as error:
        saw.append([type(error).__name__, error.pgcode, error.cursor is cursor])
    connection.close()
    try:
        psycopg2.connect(URL + "_nowhere")
    except psycopg2.OperationalError as error:
        saw.append(type(error).__name__)
    return saw


def psycopg2_own_classes() -> Any:
    connection = psycopg2.connect(URL, connection_factory=Own)
    cursor = connection.cursor()
    cursor.execute(sql.SQL("SELECT 1 AS {}").format(sql.Identifier("one")))
    saw = [isinstance(connection, Own), isinstance(cursor, Loud), dict(cursor.fetchone()), Loud.said]
    saw += [type(connection).__name__, type(connection).__module__, type(cursor).__qualname__]
    other = connection.cursor("named", cursor_factory=psycopg2.extras.NamedTupleCursor)
    other.execute("SELECT 2 AS two")
    saw += [other.fetchone().two, other.name, connection.cursor_factory]
    connection.close()
    by_function = psycopg2.connect(URL, lambda dsn, **_: psycopg2.extensions.connection(dsn))
    saw.append(type(by_function).__mro__.index(psycopg2.extensions.connection))
    by_function.close()
    with_default = psycopg2.connect(URL, cursor_factory=psycopg2.extras.RealDictCursor)
    cursor = with_default.cursor()
    cursor.execute("SELECT 3 AS three")
    saw += [cursor.fetchone()["three"], with_default.cursor_factory is psycopg2.extras.RealDictCursor]
    with_default.close()
    return saw


def psycopg2_extras() -> Any:
    pool = psycopg2.pool.SimpleConnectionPool(1, 1, URL)
    connection = pool.getconn()
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    kind = psycopg2.extensions.new_type((23,), "TIMES_TEN", lambda value, _: int(value) * 10)
    psycopg2.extensions.register_type(kind, connection)
    cursor = connection.cursor()
    cursor.execute("CREATE TEMPORARY TABLE basket (item int, word text)")
    psycopg2.extras.execute_values(cursor, "INSERT INTO basket VALUES %s", [(1, "secret"), (2, "b")])
    cursor.executemany("INSERT INTO basket VALUES (%s, %s)", [(3, "c"), (4, "d")])
    cursor.copy_from(io.StringIO("5\te\n"), "basket")
    out = io.StringIO()
    cursor.copy_expert("COPY basket TO STDOUT", out)
    cursor.copy_to(out, "basket", columns=("item",))
    cursor.callproc("upper", ("secret",))
    saw: list[Any] = [out.getvalue(), cursor.fetchone(), connection.info.dbname]
    cursor.execute("SELECT item FROM basket WHERE item = ANY(%s)", ([1, 2],))
    saw.append(cursor.fetchall())
    pool.putconn(connection)
    pool.closeall()
    return saw


def sqlalchemy_on_psycopg2() -> Any:
    engine = sqlalchemy.create_engine(URL.replace("postgresql://", "postgresql+psycopg2://"))
    table = sqlalchemy.Table("pen", sqlalchemy.MetaData(), sqlalchemy.Column("id", sqlalchemy.Integer))
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE TEMPORARY TABLE pen (id int)"))
        connection.execute(sqlalchemy.insert(table), [{"id": 1}, {"id": 2}])
        saw = connection.execute(sqlalchemy.select(table)).scalars().all()  # MARK sqlalchemy
        connection.commit()
    engine.dispose()
    return list(saw)


def psycopg_copy() -> Any:
    with psycopg.connect(URL) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE basket (item int)")
        with cursor.copy("COPY basket FROM STDIN") as copy:
            copy.write_row((1,))
            copy.write_row((2,))
        saw: list[Any] = [cursor.rowcount]
        with cursor.copy("COPY (SELECT item FROM basket WHERE item < %s) TO STDOUT", (9,)) as copy:
            saw += [list(copy.rows()), type(copy).__name__]
        try:
            with cursor.copy("COPY nowhere TO STDOUT"):
                pass
        except psycopg.errors.UndefinedTable as error:
            saw.append(type(error).__name__)
        connection.rollback()
        try:
            with cursor.copy("COPY (SELECT 1) TO STDOUT") as copy:
                raise KeyError
        except KeyError:
            saw.append(connection.info.transaction_status.name)
        return saw


async def psycopg_copy_async() -> Any:
    connection = await psycopg.AsyncConnection.connect(URL)
    async with connection, connection.cursor() as cursor, cursor.copy("COPY (VALUES (1)) TO STDOUT") as copy:
        return [row async for row in copy.rows()]


async def asyncpg_copy() -> Any:
    connection = await asyncpg.connect(URL)
    saw = [await connection.execute("CREATE TEMPORARY TABLE basket (item int)")]
    saw.append(await connection.copy_records_to_table("basket", records=[(1,), (2,)]))
    saw.append(await connection.copy_to_table("basket", source=io.BytesIO(b"3\n")))
    out = io.BytesIO()
    saw.append(await connection.copy_from_query("SELECT item FROM basket WHERE item < 3", output=out))
    await connection.close()
    return [*saw, out.getvalue().decode()]


def django_on_psycopg2() -> Any:
    import django
    from django.conf import settings
    from django.db import connection, transaction

    found = sys.modules.get("psycopg")
    sys.modules["psycopg"] = None  # type: ignore[assignment]  # or Django prefers it
    try:
        info = psycopg2.extensions.parse_dsn(URL)
        names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
        settings.configure(
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.postgresql",
                    **{ours: info.get(theirs, "") for ours, theirs in names.items()},
                }
            }
        )
        django.setup()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT %s + 1", [41])  # MARK django
            saw = [cursor.fetchone(), type(connection.connection).__module__]
        connection.close()
    finally:
        sys.modules["psycopg"] = found  # type: ignore[assignment]
    return saw
