"""
The statements of the scenarios, and what their database answers about them.

In        nothing
Out       texts; NAME/answers/*.jsonl
Not here  who asks them how often (make.py)
"""

from __future__ import annotations

from pathlib import Path

from rung.adapters.answers import AnswerFile
from rung.adapters.hands import RepositoryHands
from rung.adapters.ledger import LedgerFolder
from rung.adapters.recordings import ParquetRecording
from rung.config import settle
from rung.loop import Loop, Ports
from rung.moves.ladder import LADDER
from rung.ports import (
    Condition,
    Costed,
    Costs,
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
    Unavailable,
    WhatIf,
)
from tests.strategies import costed

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
    by = Condition("Sort Key", f"{relation}.created_at DESC")
    return Plan((
        PlanNode(0, "Limit", "", "", "", cost, rows, ""),
        PlanNode(1, "Sort", "", "", "", cost, rows, f"{relation}.created_at DESC", "", (by,), RETURNED),
        read("Seq Scan", relation, "", cost=cost - 1.4, rows=rows, condition=condition, depth=2),
    ))  # fmt: skip


def by_index(relation: str, index: str, *, cost: float, rows: float, condition: str) -> Plan:
    """
    A plan that looks rows up.
    """
    return Plan((read("Index Scan", relation, index, cost=cost, rows=rows, condition=condition),))


def read(kind: str, relation: str, index: str, *, cost: float, rows: float, condition: str, depth: int = 0) -> PlanNode:
    """
    The node that reads a table, its condition over columns of it.
    """
    said = (Condition("Filter", condition.replace("(", f"({relation}.", 1)),) if condition else ()
    output = RETURNED if relation == "orders" else (f"{relation}.id", f"{relation}.name")
    return PlanNode(depth, kind, relation, "public", index, cost, rows, condition, relation, said, output)


RETURNED = ("orders.id", "orders.total", "orders.created_at")
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


PLANS = {ORDERS: PLAN_ORDERS, PRODUCT: PLAN_PRODUCT, CATEGORY: PLAN_CATEGORY, SALES: PLAN_SALES}
TABLES = {table.name: table for table in (TABLE_ORDERS, TABLE_PRODUCT, TABLE_LINES)}


class ShopPlanner:
    """
    What the shop's database would have answered.  Fulfils the port Planner.
    """

    def server(self, question: Server) -> ServerFacts:
        """
        Return its version.
        """
        return ServerFacts("18.1", "shop", "app")

    def explain(self, question: Explain) -> Plan | Unavailable:
        """
        Return a plan that was made up for the statement.
        """
        return PLANS.get(question.statement, NOT_PLANNED)

    def describe(self, question: Describe) -> Table | Unavailable:
        """
        Return a table.
        """
        return TABLES.get(question.name, NOT_PLANNED)

    def costs(self, question: Costs) -> Costed:
        """
        Return the costs of plans: those of orders fall with an index on their customer, and more with their order.
        """
        return costed(question, _cost)

    def what_if(self, question: WhatIf) -> Promise:
        """
        Return what an index on orders promises.
        """
        cost = _cost(ORDERS, question.index)
        after = by_index("orders", "candidate", cost=cost, rows=20.0, condition="(customer_id = $1)")
        return Promise(PLAN_ORDERS, after, used=cost < PLAN_ORDERS.cost, size_bytes=31_000_000)


NOT_PLANNED = Unavailable("permission denied for table")
BY_CUSTOMER = (IndexColumn("customer_id"), IndexColumn("created_at", descending=True))


def _cost(statement: str, index: Index | None) -> float:
    if statement != ORDERS:
        return PLANS[statement].cost if statement in PLANS else 1.0
    columns = index.columns if index is not None and index.table == "orders" else ()
    return 12.4 if columns[:2] == BY_CUSTOMER else 61.0 if columns[:1] == BY_CUSTOMER[:1] else PLAN_ORDERS.cost


def answer(folder: Path, recording: str) -> None:
    """
    Keep in a scenario's *folder* what the shop's database would have answered about its *recording*.
    """
    (folder / "answers" / f"{recording}.jsonl").unlink(missing_ok=True)
    ports = Ports(
        recording=lambda name: ParquetRecording(folder / "recordings" / name),
        answers=lambda name: AnswerFile(folder, name, fresh=False),
        planner=ShopPlanner(),
        hands=RepositoryHands(folder, None, lock_timeout_s=0.0, old_transaction_s=0.0),
        ledger=LedgerFolder(folder / "nothing"),
    )
    Loop(ports=ports, moves=LADDER, settings=settle(file_text=None, environ={}, flags={})).look(recording)
