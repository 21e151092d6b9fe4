"""
Make the recordings of the scenarios: a seeded model of traffic, written as the collector writes it.

Run as `python -m tests.scenarios.make [NAME ...]`; the same seed writes the same rows.  A scenario's folder is a
whole rung folder, so `RUNG_FOLDER=tests/scenarios/unindexed_lookup rung find` shows what the test sees.

In        the models below
Out       NAME/recordings/*/*.parquet and recording.json, NAME/answers/*.jsonl
Not here  what rung says of them (expect_*.txt, test_scenarios.py)
"""

from __future__ import annotations

import hashlib
import heapq
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from rung.adapters.answers import AnswerFile
from rung.adapters.recordings import EMPTY
from rung.adapters.shelf import MANIFEST
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
from rung.steps.record import TABLES, columns

HERE = Path(__file__).parent
STARTED_S = 1_795_000_000.0
STAMP = "2026-11-18T09-46-40Z"
DATABASE = "db.internal:5432/shop"
LASTS_S = 60.0

ORDERS = (
    "SELECT orders.id, orders.total, orders.created_at FROM orders WHERE orders.customer_id = $1"
    " ORDER BY orders.created_at DESC LIMIT $2"
)
PRODUCT = "SELECT product.id, product.name, product.price FROM product WHERE product.id = $1"
CATEGORY = "SELECT category.id, category.name FROM category ORDER BY category.name"
SALES = "SELECT product_id, sum(quantity) FROM order_line GROUP BY product_id ORDER BY sum(quantity) DESC LIMIT $1"
INSERT = "INSERT INTO orders (customer_id, total) VALUES ($1, $2) RETURNING orders.id"


def fingerprint(text: str) -> str:
    """
    Sixteen hex digits for a statement, as a recorder gives them.
    """
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass
class Model:
    """
    Rows of one recording in the making.
    """

    seed: int
    request_start: bool = True
    dropped: int = 0
    failures: int = 0
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {name: [] for name in TABLES})

    def __post_init__(self) -> None:
        self.random = np.random.Generator(np.random.PCG64(self.seed))
        self.who = ("shop-1", "a", 4711)

    def arrivals(self, count: int) -> list[float]:
        """
        Moments of *count* requests, seconds after the start, at random.
        """
        return sorted(self.random.uniform(0.0, LASTS_S, count).tolist())

    def about(self, middle_s: float, spread: float = 0.25) -> float:
        """
        A time that is often *middle_s*, and now and then much more.
        """
        return float(middle_s * self.random.lognormal(0.0, spread))

    def request(self, route: str, at_s: float, parts: list[Part], *, method: str = "GET", status: int = 200) -> None:
        """
        Add a request whose *parts* follow one another, with Python between them.
        """
        number = len(self.rows["requests"])
        now_s = self.about(0.0008)
        cpu_s = now_s
        for place, part in enumerate(parts):
            name = fingerprint(part.name) if part.seam == "query" else part.name
            self.rows["segments"].append((
                *self.who, number, place, None, part.seam, name, round(now_s, 6), round(part.duration_s, 6), part.calls,
                DATABASE if part.seam in {"query", "commit", "pool"} else None, part.code, part.rows,
            ))  # fmt: skip
            between_s = self.about(0.0003)
            now_s, cpu_s = now_s + part.duration_s + between_s, cpu_s + between_s
            if part.seam == "query":
                self.statement(part.name)
        queue_s = round(self.about(0.0006), 6) if self.request_start else None
        self.rows["requests"].append((
            *self.who, number, route, method, status, round(STARTED_S + at_s, 6), queue_s, round(now_s, 6),
            round(cpu_s, 6), False, None,
        ))  # fmt: skip

    def statement(self, text: str) -> None:
        """
        Note a statement's text once.
        """
        row = (DATABASE, fingerprint(text), text, "read" if text.startswith("SELECT") else "write")
        if row not in self.rows["statements"]:
            self.rows["statements"].append(row)

    def finished(self) -> dict[str, list[tuple[Any, ...]]]:
        """
        All rows, with the process that served them.
        """
        libraries = json.dumps({"fastapi": "0.115.0", "sqlalchemy": "2.0.40"})
        requests = len(self.rows["requests"])
        self.rows["processes"] = [
            (*self.who, STARTED_S - 2, "3.11.9", libraries, requests, self.dropped, self.failures)
        ]
        return self.rows


@dataclass
class Part:
    """
    One segment of a request.
    """

    seam: str
    name: str
    duration_s: float
    code: str | None = None
    rows: int | None = None
    calls: int = 1


def shop_page(model: Model, at_s: float) -> None:
    """
    A quick page: the categories, then one product by its key.
    """
    model.request("/products/{id}", at_s, [
        Part("pool", "", model.about(0.00002)),
        Part("query", CATEGORY, model.about(0.0011), "shop/catalogue.py:21", 12),
        Part("query", PRODUCT, model.about(0.0009), "shop/catalogue.py:34", 1),
    ])  # fmt: skip


def orders_page(model: Model, at_s: float, query_s: float) -> None:
    """
    The page whose lookup has no index.
    """
    model.request("/customers/{id}/orders", at_s, [
        Part("pool", "", model.about(0.00002)),
        Part("query", ORDERS, query_s, "shop/orders.py:48", 18),
    ])  # fmt: skip


def unindexed(seed: int, *, requests: int = 480, **kept: Any) -> Model:
    """
    A third of the requests read a whole table.
    """
    model = Model(seed, **kept)
    for at_s in model.arrivals(requests):
        if model.random.random() < 0.32:
            orders_page(model, at_s, model.about(0.41))
        else:
            shop_page(model, at_s)
    return model


def pool_held() -> Model:
    """
    Five connections, one slow report that holds them, everybody waits; first come, first served.
    """
    model = Model(2)
    free_s = [0.0] * 5
    for at_s in model.arrivals(600):
        report = model.random.random() < 0.25
        wanted_s = at_s + 0.001
        start_s = max(wanted_s, heapq.heappop(free_s))
        waited = Part("pool", "", max(start_s - wanted_s, 0.00002))
        if report:
            busy_s = model.about(1.35)
            parts = [waited, Part("query", SALES, busy_s, "shop/reports.py:19", 20)]
        else:
            busy_s = model.about(0.002)
            parts = [waited, Part("query", PRODUCT, busy_s, "shop/catalogue.py:34", 1)]
        heapq.heappush(free_s, start_s + busy_s)
        model.request("/reports/sales" if report else "/products/{id}", at_s, parts)
    return model


def n_plus_one() -> Model:
    """
    A cart of forty lines asks for each product by itself.
    """
    model = Model(3)
    for at_s in model.arrivals(260):
        if model.random.random() < 0.3:
            lines = int(model.random.integers(20, 60))
            parts = [Part("pool", "", model.about(0.00002))]
            parts += [Part("query", PRODUCT, model.about(0.0085, 0.1), "shop/cart.py:27", 1) for _ in range(lines)]
            model.request("/cart", at_s, parts)
        else:
            shop_page(model, at_s)
    return model


def mail_in_request() -> Model:
    """
    A checkout tells the mail server before it answers.
    """
    model = Model(4)
    for at_s in model.arrivals(400):
        if model.random.random() < 0.25:
            model.request("/checkout", at_s, [
                Part("pool", "", model.about(0.00002)),
                Part("query", INSERT, model.about(0.0021), "shop/checkout.py:61", 1),
                Part("external", "mail", model.about(0.52), "shop/mail.py:33"),
                Part("commit", "", model.about(0.0013), "shop/checkout.py:78"),
            ], method="POST", status=303)  # fmt: skip
        else:
            shop_page(model, at_s)
    return model


def healthy() -> Model:
    """
    Nothing is slow.
    """
    model = Model(5)
    for at_s in model.arrivals(400):
        if model.random.random() < 0.3:
            orders_page(model, at_s, model.about(0.0031))
        else:
            shop_page(model, at_s)
    return model


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


def answer(name: str) -> None:
    """
    Keep what the shop's database would have answered.
    """
    (HERE / name / "answers" / f"{recording_name(name)}.jsonl").unlink(missing_ok=True)
    kept = AnswerFile(HERE / name, recording_name(name), fresh=True)
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


SCENARIOS: dict[str, tuple[Callable[[], Model], bool, bool]] = {
    # name: the model, whether the database's answers are kept, whether the recording was sealed
    "unindexed_lookup": (lambda: unindexed(1), True, True),
    "pool_held": (pool_held, True, True),
    "n_plus_one": (n_plus_one, True, True),
    "mail_in_request": (mail_in_request, True, True),
    "healthy": (healthy, True, True),
    "no_request_start": (lambda: unindexed(6, requests=300, request_start=False), False, True),
    "dropped_requests": (lambda: unindexed(7, requests=300, dropped=1284, failures=3), True, True),
    "unsealed": (lambda: unindexed(8, requests=300), True, False),
}


def recording_name(scenario: str) -> str:
    """
    The name of the one recording of a scenario.
    """
    return f"{STAMP}-{scenario.replace('_', '-')}"


def write(folder: Path, rows: dict[str, list[tuple[Any, ...]]], *, sealed: bool) -> None:
    """
    Write a recording: one file a table, or parts where it was never sealed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for table in TABLES:
        # What was sealed is one file a table; processes always are.
        whole = sealed or table == "processes"
        middle = len(rows[table]) if whole else len(rows[table]) // 2
        write_table(folder / f"{table}{'' if whole else '-000001'}.parquet", table, rows[table][:middle])
        if not whole:
            write_table(folder / f"{table}-000002.parquet", table, rows[table][middle:])
    told = {
        "format": 1, "rung": "0.1.0", "name": folder.name, "started_s": STARTED_S,
        "ended_s": STARTED_S + LASTS_S if sealed else None, "sealed": sealed, "python": "3.11.9", "libraries": {},
        "processes": 1, "requests": len(rows["requests"]), "dropped": {"requests": 0, "refused_connections": 0},
    }  # fmt: skip
    (folder / MANIFEST).write_text(json.dumps(told, indent=2) + "\n", "utf-8")


def write_table(path: Path, table: str, rows: list[tuple[Any, ...]]) -> None:
    """
    Write rows with the columns that a reader expects of the table.
    """
    with duckdb.connect(":memory:", config={"threads": 1}) as database:
        # Object columns hold text or nothing; a sample that holds nothing must not decide otherwise.
        database.execute("SET GLOBAL pandas_analyze_sample = 0")
        database.execute(EMPTY[table])
        database.register("taken", columns(table, rows).columns)
        database.view("taken").insert_into(table)
        database.table(table).write_parquet(str(path), compression="zstd")


def main(names: list[str]) -> None:
    """
    Write the named scenarios, or all.
    """
    for name, (model, answered, sealed) in SCENARIOS.items():
        if names and name not in names:
            continue
        write(HERE / name / "recordings" / recording_name(name), model().finished(), sealed=sealed)
        if answered:
            answer(name)


if __name__ == "__main__":
    main(sys.argv[1:])
