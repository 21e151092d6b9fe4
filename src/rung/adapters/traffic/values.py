"""
Ask the app's database once for the values that a load file draws from it.

They are kept in memory for the length of the run and written nowhere: what a recording must not hold, a replay must
not leave behind either.

In        routes whose values are queries, a DSN
Out       the same routes with the answers in their place
Not here  reading the load file (load_file.py), drawing from what was answered (schedule.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psycopg
from psycopg import sql

from rung.adapters.postgres import first_line, looking
from rung.adapters.traffic.plan import Choice, Query, Route
from rung.errors import BadFile, DatabaseNotGiven

# A value takes about 60 bytes.
VALUES_MAX = 1_000_000
_SEE = "rung load --help"


def answered(routes: Sequence[Route], database: str | None, *, seed: int) -> tuple[Route, ...]:
    """
    Return *routes* with each query replaced by what the database answered; each is run once, read-only.

    Args:
        seed: Makes random() in a query give the same values again, while the table stays as it is.

    Raises:
        DatabaseNotGiven: a query, and no database for it.
        DatabaseRefused, DatabaseDenied: it cannot be reached, or the role may not read that.
        BadFile: a query fails, or gives no value, too many, or more than one column.
    """
    queries = {value for route in routes for value in route.values.values() if isinstance(value, Query)}
    if not queries:
        return tuple(routes)
    if database is None:
        raise DatabaseNotGiven(command="rung load http://127.0.0.1:8000/ --routes load.toml")
    answers: dict[Query, Choice] = {}
    # One connection for each: after a failure nothing more could be asked on the same one anyway.
    for query in sorted(queries, key=lambda query: query.where):
        with looking(database) as connection:
            answers[query] = _answer(connection, query, seed)
    return tuple(
        replace(
            route,
            values={
                name: answers[value] if isinstance(value, Query) else value for name, value in route.values.items()
            },
        )
        for route in routes
    )


def _answer(connection: psycopg.Connection[tuple[object, ...]], query: Query, seed: int) -> Choice:
    # Large tables are otherwise read from where another scan happens to be.
    connection.execute("SET LOCAL synchronize_seqscans = off")
    connection.execute("SELECT setseed(%s)", [seed % 1_000_003 / 1_000_003])
    # The text is the person's own.  Prepared, for then the server takes one statement only; in a cursor, which takes no
    # writing one, and sends only what is wanted.
    question = b"DECLARE drawn NO SCROLL CURSOR FOR " + query.sql.strip().rstrip(";").encode()
    try:
        connection.execute(question, prepare=True)
        cursor = connection.execute(sql.SQL("FETCH {} FROM drawn").format(VALUES_MAX + 1))
        rows = cursor.fetchall()
    except psycopg.errors.InsufficientPrivilege:
        raise
    except psycopg.Error as problem:
        if problem.diag.sqlstate is None:
            raise
        raise BadFile(query.where, f"its query failed: {first_line(problem)}", see=_SEE) from problem
    columns = len(cursor.description or ())
    if columns != 1:
        raise BadFile(query.where, f"its query gives {columns} columns; it takes one", see=_SEE)
    values = tuple(_value(row[0]) for row in rows if row[0] is not None)
    if not values:
        raise BadFile(query.where, "its query gives no value", see=_SEE)
    if len(rows) > VALUES_MAX:
        raise BadFile(query.where, f"its query gives more than {VALUES_MAX} rows; write LIMIT 1000 behind it", see=_SEE)
    return Choice(values, query.per_session)


def _value(value: object) -> str | int:
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)
