"""
Advice from a real PostgreSQL that really has the indexes it is asked about.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from rung.steps.advise import Advice, Weighted, advise, advisor
from tests.steps.advise.building import Building
from tests.steps.advise.telling import told
from tests.strategies import answered


@pytest.fixture
def building(dsn: str) -> Iterator[Building]:
    """
    A planner on the small shop; what it builds is rolled back.
    """
    with closing(psycopg.connect(dsn)) as connection:
        yield Building(connection)


def advice_for(building: Building, *statements: str, budget_bytes: int | None = None) -> Advice:
    """
    Return the advice for statements that run as often as each other.
    """
    advice: Advice = answered(advise([Weighted(text, 10.0) for text in statements], budget_bytes), building)
    assert advice.unplanned == ("",) * len(statements)
    return advice


# Statements, and the indexes that PostgreSQL is best off with.
BEST = {
    "equality": (["select * from orders where customer_id = $1"], {"orders": {"customer_id"}}),
    "the newest of a customer": (
        ["select * from orders where customer_id = $1 order by created_at desc limit 1"],
        {"orders": {"customer_id,-created_at"}},
    ),
    "expression": (["select * from customers where lower(email) = $1"], {"customers": {"(lower(email))"}}),
    "a join from both ends": (
        ["select o.* from customers c join orders o on o.customer_id = c.id where c.email = $1"],
        {"customers": {"email"}, "orders": {"customer_id"}},
    ),
    "both arms of an or": (
        ["select * from orders where customer_id = $1 or created_at = $2"],
        {"orders": {"customer_id", "created_at"}},
    ),
    "a customer that goes": (["delete from customers where id = $1"], {"orders": {"customer_id"}}),
    "update": (["update orders set note = $1 where customer_id = $2"], {"orders": {"customer_id"}}),
    "one index for two": (
        [
            "select * from orders where customer_id = $1",
            "select * from orders where customer_id = $1 and created_at > $2 order by created_at",
        ],
        {"orders": {"customer_id,created_at"}},
    ),
    "an index that is there": (["select * from orders where id = $1"], {}),
    "no lookup": (["select * from orders"], {}),
}


@pytest.mark.parametrize("case", BEST)
def test_what_is_advised(case: str, building: Building) -> None:
    """
    The planner of PostgreSQL itself decides among the candidates.
    """
    statements, best = BEST[case]
    advice = advice_for(building, *statements)
    made: dict[str, set[str]] = {}
    for each in advice.indexes:
        made.setdefault(each.index.table, set()).add(told(each.index).partition(" +")[0])

    assert best == made
    assert bool(best) == (advice.then_s < advice.now_s)


def test_a_partial_index_takes_less_room(building: Building) -> None:
    """
    Under a budget that the whole index would not fit, the part of it that the statement reads is taken.
    """
    statement = "select id from orders where customer_id = $1 and deleted_at is not null"
    whole = advice_for(building, "select id from orders where customer_id = $1 and status = $2")
    advice = advice_for(building, statement, budget_bytes=whole.size_bytes // 2)

    assert ["customer_id where deleted_at IS NOT NULL"] == [told(each.index) for each in advice.indexes]


def test_what_postgresql_refuses_is_told(building: Building) -> None:
    """
    A time with a zone has no day of its own: such an expression cannot be indexed.
    """
    advice = advice_for(building, "select * from orders where seen_at::date = $1")

    (refused,) = [each for each in advice.considered if each.refused]
    assert "IMMUTABLE" in refused.refused
    assert advice.indexes == ()


def test_nothing_is_left_of_what_was_built(building: Building, dsn: str) -> None:
    """
    The tests that follow see the database as it was.
    """
    advice_for(building, "select * from orders where customer_id = $1")
    building.connection.rollback()
    with closing(psycopg.connect(dsn)) as connection:
        rows = connection.execute("select from pg_class where relname like 'candidate%'").fetchall()

    assert rows == []


def test_a_needless_index_is_found(building: Building) -> None:
    """
    Beside the primary key of two columns, an index on the first of them has nothing to do.
    """
    building.connection.execute("create index needless on lines (order_id)")
    workload = [Weighted("select * from lines where order_id = $1", 10.0)]
    (found,) = answered(answered(advisor(workload), building).drops(), building)

    assert ("needless", "redundant", "lines_pkey") == (found.name, found.why, found.beside)
    assert "CREATE INDEX needless ON public.lines USING btree (order_id)" == found.definition
