"""
The statements of the scenarios, and what their database answers about them.

In        nothing
Out       texts; NAME/answers/*.jsonl
Not here  who asks them how often (make.py)
"""

from __future__ import annotations

from pathlib import Path

from rung.adapters.answers import AnswerFile
from rung.moves.index import candidates
from rung.moves.lookup import lookup
from rung.ports import (
    Describe,
    Explain,
    Index,
    IndexColumn,
    Plan,
    PlanNode,
    Promise,
    Server,
    ServerFacts,
    Table,
    TableColumn,
    WhatIf,
)

ORDERS = (
    "SELECT orders.id, orders.total, orders.created_at FROM orders WHERE orders.customer_id = $1"
    " ORDER BY orders.created_at DESC LIMIT $2"
)
PRODUCT = "SELECT product.id, product.name, product.price FROM product WHERE product.id = $1"
CATEGORY = "SELECT category.id, category.name FROM category ORDER BY category.name"
SALES = "SELECT product_id, sum(quantity) FROM order_line GROUP BY product_id ORDER BY sum(quantity) DESC LIMIT $1"
IMPORT = "UPDATE stock SET pieces = $1 WHERE warehouse_id = $2"
STOCK = "UPDATE stock SET pieces = pieces - $1 WHERE product_id = $2"
INSERT = "INSERT INTO orders (customer_id, total) VALUES ($1, $2) RETURNING orders.id"


def scan(relation: str, *, cost: float, rows: float, condition: str) -> Plan:
    """
    A plan that sorts what a sequential scan leaves.
    """
    return Plan((
        PlanNode(0, "Limit", "", "", "", cost, rows, ""),
        PlanNode(1, "Sort", "", "", "", cost, rows, f"{relation}.created_at DESC"),
        PlanNode(2, "Seq Scan", relation, "public", "", cost - 1.4, rows, condition),
    ))  # fmt: skip


def by_index(relation: str, index: str, *, cost: float, rows: float, condition: str) -> Plan:
    """
    A plan that looks rows up.
    """
    return Plan((PlanNode(0, "Index Scan", relation, "public", index, cost, rows, condition),))


TABLE_ORDERS = Table(
    "public", "orders", 1_000_000.0, 88_000_000,
    (
        TableColumn("id", "bigint", 8), TableColumn("customer_id", "bigint", 8), TableColumn("total", "numeric", 6),
        TableColumn("created_at", "timestamp with time zone", 8),
    ),
    (Index("public", "orders", (IndexColumn("id"),)),),
)  # fmt: skip
TABLE_PRODUCT = Table(
    "public", "product", 40_000.0, 5_200_000, (TableColumn("id", "bigint", 8), TableColumn("name", "text", 24)),
    (Index("public", "product", (IndexColumn("id"),)),),
)  # fmt: skip
PLAN_ORDERS = scan("orders", cost=23_416.0, rows=20.0, condition="(customer_id = $1)")
PLAN_PRODUCT = by_index("product", "product_pkey", cost=8.31, rows=1.0, condition="(id = $1)")
PLAN_CATEGORY = Plan((
    PlanNode(0, "Sort", "", "", "", 1.4, 12.0, "name"),
    PlanNode(1, "Seq Scan", "category", "public", "", 1.12, 12.0, ""),
))  # fmt: skip
TABLE_LINES = Table("public", "order_line", 3_100_000.0, 203_000_000, (TableColumn("product_id", "bigint", 8),), ())
PLAN_SALES = Plan((
    PlanNode(0, "Limit", "", "", "", 71_200.0, 20.0, ""),
    PlanNode(1, "HashAggregate", "", "", "", 70_100.0, 39_000.0, ""),
    PlanNode(2, "Seq Scan", "order_line", "public", "", 52_000.0, 3_100_000.0, ""),
))  # fmt: skip


def answer(folder: Path, recording: str) -> None:
    """
    Keep in a scenario's *folder* what the shop's database would have answered about its *recording*.
    """
    (folder / "answers" / f"{recording}.jsonl").unlink(missing_ok=True)
    kept = AnswerFile(folder, recording, fresh=True)
    kept.keep(Server(), ServerFacts("18.1", "shop", "app"))
    for statement, plan in (
        (ORDERS, PLAN_ORDERS), (PRODUCT, PLAN_PRODUCT), (CATEGORY, PLAN_CATEGORY), (SALES, PLAN_SALES),
    ):  # fmt: skip
        kept.keep(Explain(statement), plan)
    for table in (TABLE_ORDERS, TABLE_PRODUCT, TABLE_LINES):
        kept.keep(Describe("public", table.name), table)
    found = lookup(ORDERS, TABLE_ORDERS)
    assert found is not None
    for index in candidates(found, TABLE_ORDERS):
        cost = 12.4 if len(index.columns) > 1 else 61.0
        after = by_index("orders", "candidate", cost=cost, rows=20.0, condition="(customer_id = $1)")
        kept.keep(WhatIf(ORDERS, index), Promise(PLAN_ORDERS, after, used=True, size_bytes=31_000_000))
