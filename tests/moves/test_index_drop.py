"""
An index that nobody uses is offered to be dropped, with what brings it back; several indexes are offered as one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rung.moves.index import IndexMove
from rung.moves.index_drop import IndexDropMove
from rung.ports import (
    Condition,
    Costs,
    Describe,
    ExistingIndex,
    Explain,
    Index,
    IndexColumn,
    Plan,
    PlanNode,
    Promise,
    Table,
    TableColumn,
    TableWrites,
    WhatIf,
)
from rung.steps.price.quote import HAND, MIGRATION
from rung.steps.twin.twin import Twin
from tests.strategies import BY_INDEX, ORDERS_TABLE, SCAN, Shelf, answered, cost_of, costed, found, profile, shop

ROWS = shop()
PROFILE = profile(ROWS)
TWIN = Twin(PROFILE)
FINDING = found(ROWS, planner=Shelf())
UNUSED = ExistingIndex(
    "orders_status", Index("public", "orders", (IndexColumn("status"),)), "btree", unique=False, constraint=False,
    plain=True, valid=True, size_bytes=20_000_000, scans=0, definition="CREATE INDEX orders_status ON orders (status)",
)  # fmt: skip
MONTH = TableWrites(inserted=1000, watched_s=30 * 86400.0)
CUSTOMERS = Table("public", "customers", 1e6, 100_000_000, (TableColumn("id", "bigint", 8),), ())
WHOLE = Plan(
    (
        PlanNode(
            0, "Seq Scan", "customers", "public", "", 900.0, 1.0, "(id = $1)", "customers",
            (Condition("Filter", "(customers.id = $1)"),), ("customers.id",),
        ),
    )
)  # fmt: skip


class Full(Shelf):
    """
    The shop with an index that nobody uses, and no index at all on customers.
    """

    def __init__(self, unused: ExistingIndex = UNUSED) -> None:
        super().__init__()
        self.table = replace(ORDERS_TABLE, existing=(unused,), writes=MONTH)

    def describe(self, question: Describe) -> Any:
        return self._say(self.table if question.name == "orders" else CUSTOMERS)

    def explain(self, question: Explain) -> Any:
        return self._say(SCAN if "orders" in question.statement else WHOLE)

    def costs(self, question: Costs) -> Any:
        return self._say(costed(question, _cost))

    def what_if(self, question: WhatIf) -> Any:
        if question.index.table == "customers":
            return Promise(WHOLE, BY_INDEX, used=True, size_bytes=1)
        return super().what_if(question)


def _cost(text: str, index: Index | None) -> float:
    if "orders" in text:
        return cost_of(text, index)
    return 8.0 if index is not None and index.table == "customers" else 900.0


def test_an_unused_index_is_offered_to_be_dropped() -> None:
    """
    With its size, why it is taken for needless, and the statement that brings it back.
    """
    (offer,) = answered(IndexDropMove().offers(PROFILE, TWIN, FINDING), Full())

    assert ("index-drop:orders_status", MIGRATION) == (offer.name, offer.taken_as)
    assert (offer.drop.definition, offer.drop.size_bytes) == (UNUSED.definition, 20_000_000)
    assert any("has not scanned it" in assumption for assumption in offer.assumptions)
    assert offer.model(TWIN.workload, TWIN.topology)[1] is TWIN.topology


def test_a_drop_that_could_not_be_taken_back_is_left_to_people() -> None:
    """
    A definition with a constant in it is not kept, so rung has nothing to build again.
    """
    (offer,) = answered(IndexDropMove().offers(PROFILE, TWIN, FINDING), Full(replace(UNUSED, definition="")))

    assert (None, HAND) == (offer.drop, offer.taken_as)


def test_nothing_is_dropped_where_no_statement_holds_the_app_back() -> None:
    """
    Without a statement's plan the database is asked nothing.
    """
    shelf = Full()

    assert () == answered(IndexDropMove().offers(PROFILE, TWIN, replace(FINDING, plan=None)), shelf)
    assert () == answered(IndexDropMove().offers(PROFILE, TWIN, replace(FINDING, bottleneck=None)), shelf)
    assert 0 == shelf.asked


def test_the_best_set_is_offered_beside_the_best_index() -> None:
    """
    A second statement gains by an index of its own: both together are one offer.
    """
    one, several = answered(IndexMove().offers(PROFILE, TWIN, FINDING), Full())

    assert "index:orders(customer_id,created_at)" == one.name
    assert "indexes:orders(customer_id,created_at)+customers(id)" == several.name
    assert (one.plan, ()) == (several.plan, one.beside)
    assert ["customers"] == [build.index.table for build in several.beside]
    faster = several.model(TWIN.workload, TWIN.topology)[0].service_s.sum()
    assert faster <= one.model(TWIN.workload, TWIN.topology)[0].service_s.sum()
