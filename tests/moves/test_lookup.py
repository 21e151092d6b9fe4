"""
Which columns a statement looks rows up by, over the shapes that apps write.
"""

from __future__ import annotations

import pytest

from rung.moves.lookup import Lookup, lookup
from rung.ports import IndexColumn, Table, TableColumn
from tests.strategies import ORDERS_TABLE

QUOTED = Table("shop", "Order Lines", 1.0, 1, tuple(TableColumn(name, "text", 8) for name in ("Id", "order")), ())


def by(*names: str) -> tuple[IndexColumn, ...]:
    """
    Columns sorted by, "-" before a name for descending.
    """
    return tuple(IndexColumn(name.removeprefix("-"), descending=name.startswith("-")) for name in names)


SHAPES = {
    "plain": ("SELECT * FROM orders WHERE customer_id = $1", ("customer_id",), (), ()),
    "reversed": ("SELECT * FROM orders WHERE $1 = customer_id", ("customer_id",), (), ()),
    "in brackets": ("SELECT * FROM orders WHERE ((customer_id) = ($1))", ("customer_id",), (), ()),
    "alias": ("SELECT o.id FROM orders AS o WHERE o.customer_id = $1", ("customer_id",), (), ()),
    "schema": ("SELECT * FROM public.orders WHERE public.orders.customer_id = $1", ("customer_id",), (), ()),
    "another schema's table": ("SELECT * FROM archive.orders WHERE customer_id = $1", (), (), ()),
    "upper case": (
        "SELECT * FROM Orders WHERE Customer_ID = $1 ORDER BY CREATED_AT",
        ("customer_id",), (), by("created_at"),
    ),
    "two of them": ("SELECT * FROM orders WHERE status = $1 AND customer_id = $2", ("status", "customer_id"), (), ()),
    "no blanks": (
        "SELECT * FROM orders WHERE customer_id=$1 AND status IN ($2,$3)",
        ("customer_id",), ("status",), (),
    ),
    "range": ("SELECT * FROM orders WHERE customer_id = $1 AND total >= $2", ("customer_id",), ("total",), ()),
    "between": ("SELECT * FROM orders WHERE created_at BETWEEN $1 AND $2", (), ("created_at",), ()),
    "in": ("SELECT * FROM orders WHERE customer_id IN ($1, $2)", (), ("customer_id",), ()),
    "any": ("SELECT * FROM orders WHERE customer_id = ANY($1)", (), ("customer_id",), ()),
    "any cast": ("SELECT * FROM orders WHERE customer_id = ANY($1::INTEGER[])", (), ("customer_id",), ()),
    "not in": ("SELECT * FROM orders WHERE customer_id NOT IN ($1, $2)", (), (), ()),
    "unequal": ("SELECT * FROM orders WHERE customer_id <> $1", (), (), ()),
    "or": ("SELECT * FROM orders WHERE customer_id = $1 OR status = $2", (), (), ()),
    "or inside and": (
        "SELECT * FROM orders WHERE customer_id = $1 AND (status = $2 OR total = $3)",
        ("customer_id",), (), (),
    ),
    "cast": ("SELECT * FROM orders WHERE orders.customer_id = $1::INTEGER", ("customer_id",), (), ()),
    "cast in full": ("SELECT * FROM orders WHERE customer_id = CAST($1 AS INT)", ("customer_id",), (), ()),
    "column cast": ("SELECT * FROM orders WHERE customer_id::text = $1", (), (), ()),
    "function of a column": ("SELECT * FROM orders WHERE lower(status) = $1", (), (), ()),
    "function of a value": ("SELECT * FROM orders WHERE status = lower($1)", ("status",), (), ()),
    "column with column": ("SELECT * FROM orders WHERE customer_id = total", (), (), ()),
    "is null": ("SELECT * FROM orders WHERE customer_id = $1 AND deleted_at IS NULL", ("customer_id",), (), ()),
    "boolean": ("SELECT * FROM orders WHERE active AND NOT active AND customer_id = $1", ("customer_id",), (), ()),
    "boolean is": ("SELECT * FROM orders WHERE active IS TRUE AND customer_id = $1", ("customer_id",), (), ()),
    "like": ("SELECT * FROM orders WHERE status LIKE $1", (), (), ()),
    "join": (
        "SELECT * FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.id = $1 AND o.status = $2",
        ("status",), (), (),
    ),
    "join, unqualified": ("SELECT * FROM orders JOIN customers c ON true WHERE customer_id = $1", (), (), ()),
    "comma join": (
        "SELECT * FROM customers c, orders o WHERE c.id = o.customer_id AND o.status = $1",
        ("status",), (), (),
    ),
    "sorted": (
        "SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT $2",
        ("customer_id",), (), by("-created_at"),
    ),
    "sorted both ways": (
        "SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC, id",
        ("customer_id",), (), by("-created_at", "id"),
    ),
    "nulls elsewhere": (
        "SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC NULLS LAST", ("customer_id",), (), (),
    ),
    "nulls where they are": (
        "SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC NULLS FIRST",
        ("customer_id",), (), by("-created_at"),
    ),
    "sorted by another table": (
        "SELECT * FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.status = $1 ORDER BY c.name, o.id",
        ("status",), (), (),
    ),
    "sorted by an expression": (
        "SELECT * FROM orders WHERE customer_id = $1 ORDER BY total + $2, id",
        ("customer_id",), (), (),
    ),
    "subselect": (
        "SELECT * FROM orders WHERE customer_id = $1 AND id IN (SELECT order_id FROM lines WHERE total = $2)",
        ("customer_id",), (), (),
    ),
    "value from a subselect": (
        "SELECT * FROM orders WHERE customer_id = (SELECT max(id) FROM customers)",
        (), (), (),
    ),
    "inner alias": (
        "SELECT * FROM customers o WHERE o.status = $1 AND EXISTS (SELECT 1 FROM orders o WHERE o.total = $2)",
        (), (), (),
    ),
    "cte": ("WITH o AS (SELECT * FROM orders WHERE customer_id = $1) SELECT * FROM o WHERE o.total > $2", (), (), ()),
    "cte of its name": ("WITH orders AS (SELECT * FROM x) SELECT * FROM orders WHERE customer_id = $1", (), (), ()),
    "update": ("UPDATE orders SET status = $1 WHERE customer_id = $2", ("customer_id",), (), ()),
    "update from": (
        "UPDATE orders AS o SET total = $1 FROM customers c WHERE o.customer_id = $2 AND c.id = o.id",
        ("customer_id",), (), (),
    ),
    "delete": ("DELETE FROM orders WHERE created_at < $1", (), ("created_at",), ()),
    "returning": ("DELETE FROM orders WHERE customer_id = $1 RETURNING id", ("customer_id",), (), ()),
    "for update": ("SELECT * FROM orders WHERE customer_id = $1 FOR UPDATE SKIP LOCKED", ("customer_id",), (), ()),
    "group by": ("SELECT count(*) FROM orders WHERE customer_id = $1 GROUP BY status", ("customer_id",), (), ()),
    "unknown column": ("SELECT * FROM orders WHERE colour = $1", (), (), ()),
    "quoted in vain": ('SELECT * FROM "orders" WHERE "customer_id" = $1', ("customer_id",), (), ()),
    "quoted otherwise": ('SELECT * FROM orders WHERE "Customer_ID" = $1', (), (), ()),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_statement_looks_rows_up_by(shape: str) -> None:
    """
    Each shape gives the columns that an index could be read by, and never one that it could not.
    """
    statement, equal, ranged, ordered = SHAPES[shape]

    assert Lookup(equal, ranged, ordered) == (lookup(statement, ORDERS_TABLE) or Lookup((), (), ()))


def test_quoted_names_are_taken_as_they_are() -> None:
    """
    A name in quotes keeps its case, its blanks, and may be a keyword.
    """
    found = lookup('SELECT * FROM shop."Order Lines" l WHERE l."Id" = $1 AND "order" > $2', QUOTED)

    assert Lookup(("Id",), ("order",), ()) == found


@pytest.mark.parametrize(
    "statement",
    [
        "SELEC * FRM orders",
        "",
        "SELECT * FROM orders WHERE (",
        "INSERT INTO orders VALUES ($1)",
        "SELECT * FROM orders",
        "SELECT 1 FROM orders WHERE id = $1 UNION SELECT 2",
        "VACUUM orders",
        "SELECT " + "(" * 3000 + "1",
    ],
)
def test_what_is_no_plain_lookup_is_left_alone(statement: str, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Text that cannot be parsed, or that looks nothing up, gives None, without a word on the terminal.
    """
    assert lookup(statement, ORDERS_TABLE) is None
    assert ("", "") == tuple(capfd.readouterr())


def test_a_thousand_conditions_are_read() -> None:
    """
    A statement that a program wrote does not exhaust the stack.
    """
    many = " OR ".join(f"id = ${number}" for number in range(1, 2000))

    found = lookup(f"SELECT * FROM orders WHERE customer_id = $1 AND ({many})", ORDERS_TABLE)
    assert found is None or ("customer_id",) == found.equal
