"""
What would change a plan: told where it would, with what to type, and not where it would not.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rung.moves.remedies import Remedy, remedies
from rung.ports import (
    Condition,
    Costs,
    Describe,
    Explain,
    Index,
    IndexColumn,
    Plan,
    PlanNode,
    Question,
    Table,
    TableColumn,
    Unavailable,
)
from rung.steps.explain.questions import Known, KnownColumn, Planned, Statistics, TableStatistics
from rung.steps.explain.tree import read
from tests.strategies import answered, costed

PLANS = Path(__file__).parents[1] / "steps" / "explain" / "plans"
WORK_MEMORY_BYTES = 256 * 1024


def document(name: str) -> Any:
    return json.loads((PLANS / f"{name}.json").read_text("utf-8"))


def known(question: Statistics, **changed: Any) -> Known:
    """
    All tables are known well, but for what *changed* says.
    """
    columns = tuple(KnownColumn(name, known=True) for name in ("id", "city", "zip", "customer_id", "total", "note"))
    tables = tuple(
        replace(
            TableStatistics(
                schema, name, 50_000.0, 50_000, 0, 60.0, automatic=True, readable=True, parent=False, columns=columns
            ),
            **changed,
        )
        for schema, name in question.tables
    )
    return Known(tables, 100, standby=False)


def told(
    name: str, answer: Callable[[Question], Any] | None = None, statement: str = "select 1", **changed: Any
) -> list[Remedy]:
    told = document(name)[0] | changed
    planned = Planned(
        told, "18.1", 180001, generic=False, work_memory_bytes=WORK_MEMORY_BYTES, hash_factor=2.0, standby=False
    )

    def plain(question: Question) -> Any:
        return known(question) if isinstance(question, Statistics) else Unavailable("nobody asks")

    return list(answered(remedies(read(told), planned, statement), answer or plain))


def kinds(found: list[Remedy]) -> set[str]:
    return {remedy.kind for remedy in found}


@pytest.mark.parametrize("name", ["sort_memory", "parallel", "partitions", "limit", "never_executed", "merge_rereads"])
def test_where_all_is_well_nothing_is_said(name: str) -> None:
    assert {remedy.kind for remedy in told(name)} <= {"unknown", "parallel", "planning"}


@pytest.mark.parametrize(
    ("name", "word"), [("sort_spill", "sorting"), ("hash_batches", "hash table"), ("groups_spill", "grouping")]
)
def test_what_went_to_disk_asks_for_memory(name: str, word: str) -> None:
    remedy = next(remedy for remedy in told(name) if remedy.kind == "memory")
    assert word in remedy.text
    assert "256 kB now" in remedy.text
    (setting,) = remedy.sql
    assert setting.startswith("SET LOCAL work_mem = '")


def test_correlated_columns_ask_for_extended_statistics() -> None:
    # 20 rows are too few for another plan to matter.
    assert "statistics" not in kinds(told("correlated"))
    many = {**document("correlated")[0]["Plan"], "Actual Rows": 200}
    remedy = next(remedy for remedy in told("correlated", Plan=many) if remedy.kind == "statistics")
    assert "200 rows, 200× more than expected" in remedy.text
    create, again = remedy.sql
    assert create.startswith('CREATE STATISTICS IF NOT EXISTS "public"."customer_city_zip_rung" (ndistinct, depend')
    assert create.endswith(' ON "city", "zip" FROM "public"."customer"')
    assert again == 'ANALYZE "public"."customer"'


def test_old_statistics_come_first() -> None:
    def answer(question: Question) -> Any:
        return known(question, changed=90_000) if isinstance(question, Statistics) else Unavailable("nobody asks")

    found = told("sort_spill", answer)
    remedy = next(remedy for remedy in found if remedy.kind == "analyze")
    assert remedy.sql == ('ANALYZE "public"."orders"',)
    assert "90,000 (180 %) were changed since" in remedy.text


def test_rows_fetched_after_all_ask_for_a_vacuum() -> None:
    remedy = next(remedy for remedy in told("heap_fetches") if remedy.kind == "vacuum")
    assert remedy.sql == ('VACUUM "public"."changed"',)


def test_a_bitmap_that_lost_track_asks_for_memory() -> None:
    assert any("bitmap" in remedy.text and remedy.sql for remedy in told("bitmap_lossy") if remedy.kind == "memory")


def test_triggers_are_named() -> None:
    remedy = next(remedy for remedy in told("modify", **{"Execution Time": 1.0}) if remedy.kind == "trigger")
    assert "watched_customer_id_fkey" in remedy.text or "watch" in remedy.text


def test_compiling_planning_and_the_result_are_told_where_they_take_long() -> None:
    long = {
        "JIT": {"Functions": 9, "Timing": {"Total": 900.0}}, "Execution Time": 1000.0, "Planning Time": 800.0,
        "Serialization": {"Time": 500.0},
    }  # fmt: skip
    found = told("sort_memory", **long)
    assert {"compiling", "planning", "result"} <= kinds(found)
    assert [remedy.share for remedy in found] == sorted((remedy.share for remedy in found), reverse=True)


TABLE = Table("public", "orders", 50_000, 4_000_000, (TableColumn("id", "int", 4), TableColumn("total", "int", 4)), ())
COST = 1_000.0


BY_TOTAL = Index("public", "orders", (IndexColumn("total"),))


def plan_of(cost: float) -> Plan:
    condition = Condition("Filter", "(orders.total = $1)")
    return Plan((PlanNode(0, "Seq Scan", "orders", "public", "", cost, 5.0, "", "orders", (condition,)),))


@pytest.mark.parametrize(("after", "offered"), [(8.0, True), (600.0, False)])
def test_an_index_is_tried_where_much_is_read_for_little(after: float, offered: bool) -> None:
    asked: set[Index] = set()

    def answer(question: Question) -> Any:
        if isinstance(question, Statistics):
            return known(question)
        if isinstance(question, Describe):
            return TABLE
        if isinstance(question, Explain):
            return plan_of(COST)
        assert isinstance(question, Costs)
        asked.update(question.indexes)
        return costed(question, lambda _, index: after if index == BY_TOTAL else COST)

    statement = "select * from orders o join customer c on c.id = o.customer_id where o.total = $1"
    found = [remedy for remedy in told("plain_nested", answer, statement) if remedy.kind == "index"]
    assert BY_TOTAL in asked
    assert bool(found) is offered
    if offered:
        assert "from 1,000 to 8.0" in found[0].text
        assert found[0].sql == ('CREATE INDEX CONCURRENTLY "orders_total_rung" ON "public"."orders" ("total")',)


def test_what_could_not_be_tried_is_said() -> None:
    def answer(question: Question) -> Any:
        if isinstance(question, Statistics):
            return known(question)
        return TABLE if isinstance(question, Describe) else Unavailable("the twin is out")

    statement = "select * from orders where total = $1"
    assert any("could not be tried: the twin is out" in each.text for each in told("plain_nested", answer, statement))


def test_without_a_database_what_the_plan_tells_is_told_all_the_same() -> None:
    found = told("sort_spill", lambda _: Unavailable("no database was named"))
    assert "memory" in kinds(found)
    assert not kinds(found) & {"analyze", "index"}


def test_a_plan_is_left_as_it_was() -> None:
    before = document("sort_spill")
    after = copy.deepcopy(before)
    read(after)
    assert before == after
