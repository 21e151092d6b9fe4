"""
Statistics are offered where they are old, or where rows are off by ten all the same; what is run and taken back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rung.config import Settings
from rung.moves.statistics import StatisticsMove, more, rows_of, statistics_name
from rung.ports import Plan, PlanNode
from rung.steps.explain.questions import Extended, Known, KnownColumn, TableStatistics
from rung.steps.find.finding import Finding
from rung.steps.measure import Part
from rung.steps.measure.beside import Beside, Executions
from rung.steps.price import best, price
from rung.steps.price.quote import NO_PRICE, Offer, Quote
from rung.steps.take import take
from rung.steps.twin.twin import Twin
from tests.strategies import GOAL, ORDERS_KNOWN, SLOW, WELL_KNOWN, Shelf, answered, found, profile, shop

VISIT = TableStatistics(
    "public", 'vis"it', 40_000.0, 160_000, 120_000, 3600.0, automatic=False, readable=True, parent=False,
    columns=(KnownColumn("kind", known=True), KnownColumn("day", known=True), KnownColumn("page", known=True)),
)  # fmt: skip


def offers(known: Known, **changed: Any) -> tuple[Offer, ...]:
    made = profile(shop())
    finding: Finding = replace(found(shop(), planner=Shelf()), **changed)
    shelf = Shelf(known=known)
    return answered(StatisticsMove().offers(made, Twin(made), finding), shelf)  # type: ignore[no-any-return]


def test_well_known_tables_need_nothing() -> None:
    assert offers(WELL_KNOWN) == ()


def test_without_a_database_nothing_is_offered() -> None:
    made = profile(shop())
    finding = found(shop(), planner=Shelf())
    assert answered(StatisticsMove().offers(made, Twin(made), finding), Shelf(away=True)) == ()
    assert offers(WELL_KNOWN, plan=None) == ()


def test_stale_statistics_are_made_anew_without_a_price() -> None:
    (offer,) = offers(Known((VISIT,), 100, standby=False))
    assert offer.name == 'statistics:vis"it'
    assert offer.script is not None
    assert list(offer.script.statements) == ['ANALYZE "public"."vis""it"']
    assert offer.script.undo == ()
    assert "40,000 rows, and 120,000 (300 %) were changed since; autovacuum is off for it" in offer.unpriced
    assert offer.unpriced.endswith("is known after ANALYZE only")


def test_the_evidence_says_so_and_the_ladder_has_no_price() -> None:
    shelf = Shelf(known=Known((replace(ORDERS_KNOWN, changed=900_000),), 100, standby=False))
    finding = found(shop(), planner=shelf)
    assert any(evidence.what == "statistics" and "900,000" in evidence.text for evidence in finding.evidence)
    made = profile(shop())
    quotes: tuple[Quote, ...] = answered(price(made, Twin(made), finding, (StatisticsMove(),)), shelf)
    (quote,) = (quote for quote in quotes if quote.kind == "statistics")
    assert (quote.verdict, quote.predicted, quote.takeable, quote.runnable) == (NO_PRICE, None, True, True)
    # Nothing else is on the ladder, so it is what to take.
    assert best(quotes) is quote


def test_rows_that_are_off_ask_for_more_statistics() -> None:
    """
    Executions gave 20 rows each, the plan expects ten thousand.
    """
    scan = PlanNode(0, "Seq Scan", "orders", "public", "", 9_000.0, 10_000.0, "Filter: (customer_id = $1)")
    made = profile([replace(row, segments=tuple(replace(each, rows=20) for each in row.segments)) for row in shop()])
    finding = replace(found(shop(), planner=Shelf()), plan=Plan((scan,)))
    (offer,) = answered(StatisticsMove().offers(made, Twin(made), finding), Shelf())
    assert offer.script is not None
    assert list(offer.script.statements) == [
        'ALTER TABLE "public"."orders" ALTER COLUMN "customer_id" SET STATISTICS 1000',
        'ANALYZE "public"."orders"',
    ]
    assert "10,000 rows are expected of it, and it gives 20" in offer.unpriced


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        ("Seq Scan", "Filter: (customer_id > $1)"),
        ("Seq Scan", "Filter: (customer_id = ANY ($1))"),
        ("Seq Scan", "Filter: (customer_id ~~ $1)"),
        ("Limit", "Filter: (customer_id = $1)"),
    ],
)
def test_what_the_planner_can_only_guess_is_not_held_against_it(kind: str, condition: str) -> None:
    """
    Of a range, a list, a pattern and a LIMIT with unknown values it expects some share, whatever the statistics.
    """
    scan = PlanNode(1, "Seq Scan", "orders", "public", "", 9_000.0, 10_000.0, condition)
    above = PlanNode(0, kind, "", "", "", 9_000.0, 10_000.0, "")
    made = profile([replace(row, segments=tuple(replace(each, rows=20) for each in row.segments)) for row in shop()])
    finding = replace(found(shop(), planner=Shelf()), plan=Plan((above, scan)))
    assert answered(StatisticsMove().offers(made, Twin(made), finding), Shelf()) == ()


def test_rows_are_those_of_the_server_where_the_driver_is_silent() -> None:
    made = replace(profile(shop()), beside=Beside(executions=(Executions(SLOW, "h:1/shop", 10, 1.0, rows=70),)))
    silent = replace(made, segments=replace(made.segments, rows=made.segments.rows * 0 - 1))
    assert rows_of(silent, Part("query", SLOW)) == 7.0
    assert rows_of(silent, Part("query", "none")) is None


def texts(condition: str, table: TableStatistics = VISIT, target: int = 100) -> tuple[list[str], list[str]]:
    run = more(table, condition, target)
    assert run is not None
    return list(run.statements), list(run.undo)


def test_columns_that_go_together_get_extended_statistics() -> None:
    statements, undo = texts("((kind = $1) AND (day = $2))")
    made, table = '"public"."vis""it_kind_day_rung"', '"public"."vis""it"'
    assert statements == [
        f'CREATE STATISTICS IF NOT EXISTS {made} (ndistinct, dependencies, mcv) ON "kind", "day" FROM {table}',
        f"ANALYZE {table}",
    ]
    assert undo == [f"DROP STATISTICS IF EXISTS {made}"]


def test_what_is_known_already_is_not_asked_for_again() -> None:
    there = replace(VISIT, extended=(Extended("x", ("kind", "day", "page"), "f", filled=True),))
    assert more(there, "(kind = 1 AND day = 2)", 100) is None
    assert more(VISIT, "(kind = $1)", 1000) is None
    assert more(VISIT, "(whatever(1) = 2)", 100) is None


def test_a_column_without_statistics_is_analysed() -> None:
    unknown = replace(VISIT, columns=(KnownColumn("kind", known=False),))
    assert texts("(kind = $1)", unknown) == (['ANALYZE "public"."vis""it"'], [])


def test_a_target_goes_back_to_what_it_was() -> None:
    own = replace(VISIT, columns=(KnownColumn("kind", known=True, target=300),))
    statements, undo = texts("(kind = $1)", own)
    assert statements[0].endswith("SET STATISTICS 1000")
    assert undo[0].endswith("SET STATISTICS 300")


@pytest.mark.parametrize("table", ["t", "t" * 63, "é" * 40])
def test_names_fit(table: str) -> None:
    name = statistics_name(table, ["a", "b"])
    assert len(name.encode()) <= 63
    assert name.endswith("_rung")


def test_taking_it_writes_a_file_and_its_undo() -> None:
    made = profile(shop())
    finding = found(shop(), goal=GOAL, planner=Shelf())
    shelf = Shelf(known=Known((replace(ORDERS_KNOWN, changed=900_000),), 100, standby=False))
    quotes: tuple[Quote, ...] = answered(price(made, Twin(made), finding, (StatisticsMove(),)), shelf)
    quote = next(quote for quote in quotes if quote.kind == "statistics")
    change = take(quote, Settings(migrations_folder="migrations"))
    assert [file.path for file in change.files] == ["migrations/statistics-orders.sql"]
    assert 'ANALYZE "public"."orders";\n' in change.files[0].text
    assert change.work is not None
    both = take(
        replace(quote, script=more(VISIT, "(kind = 1 AND day = 2)", 100)),
        Settings(migrations_folder="m", index_lock_timeout_s=0.0),
    )
    assert [file.path for file in both.files] == ["m/statistics-orders.sql", "m/statistics-orders.undo.sql"]
    assert "SET lock_timeout = '1s';" in both.files[1].text
    assert "DROP STATISTICS" in both.files[1].text
