"""
A plan's work is counted as PostgreSQL does it: per run of a node, as far as a limit asks, for the real rows.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.moves.work import KINDS, PAGE_BYTES, work_of
from rung.ports import Plan, PlanNode, Table


def node(depth: int, kind: str, cost: float, rows: float, *, condition: str = "", relation: str = "orders") -> PlanNode:
    return PlanNode(depth, kind, relation, "public", "", cost, rows, condition)


def by_index(depth: int, rows: float, *, condition: str = "Index Cond: (a = $1)") -> PlanNode:
    """
    A scan whose rows are on a page each.
    """
    return node(depth, "Index Scan", 4.3 + 4.0175 * rows, rows, condition=condition)


def work(*nodes: PlanNode, rows: float | None = None, tables: tuple[Table, ...] = ()) -> dict[str, float]:
    known = {(table.schema, table.name): table for table in tables}
    return dict(zip(KINDS, work_of(Plan(nodes), rows=rows, tables=known).amounts.tolist(), strict=True))


ORDERS = Table("public", "orders", 1_000_000.0, 10_000 * PAGE_BYTES, (), ())


def test_a_lookup_fetches_a_row_a_page() -> None:
    done = work(by_index(0, 50.0))

    assert (1.0, 50.0, 50.0) == (done["descent"], done["fetched"], done["returned"])
    assert 50.0 <= done["page"] <= 52.0
    assert 0.0 == done["scanned"] == done["compared"] == done["hashed"]


def test_rows_that_were_recorded_set_the_planner_right() -> None:
    """
    Four times the rows: four times the work of fetching them, and not one descent more.
    """
    planned, real = work(by_index(0, 50.0)), work(by_index(0, 50.0), rows=200.0)

    for kind in ("fetched", "page"):
        assert pytest.approx(4 * planned[kind]) == real[kind]
    assert (1.0, 200.0) == (real["descent"], real["returned"])


def test_what_is_counted_or_grouped_says_nothing_of_the_rows_below() -> None:
    """
    One row out of count(*) does not mean that one row was read.
    """
    nodes = (node(0, "Aggregate", 300.0, 1.0), by_index(1, 50.0))

    assert work(*nodes)["fetched"] == work(*nodes, rows=1.0)["fetched"] == 50.0
    assert 50.0 == work(*nodes)["hashed"]


def test_a_limit_asks_for_a_part() -> None:
    """
    LIMIT $1 is planned as a tenth; the rows that came back say what it was.
    """
    nodes = (node(0, "Limit", 410.0, 100.0), by_index(1, 1000.0))

    assert 100.0 == work(*nodes)["fetched"]
    assert 20.0 == pytest.approx(work(*nodes, rows=20.0)["fetched"])


def test_a_limit_over_a_sort_reads_everything() -> None:
    nodes = (node(0, "Limit", 4200.0, 100.0), node(1, "Sort", 4200.0, 1000.0), by_index(2, 1000.0))
    done = work(*nodes, rows=20.0)

    assert 1000.0 == done["fetched"]
    assert pytest.approx(1000.0 * math.log2(22.0)) == done["compared"]


def test_the_inner_side_runs_for_each_row_of_the_outer() -> None:
    nodes = (node(0, "Nested Loop", 900.0, 100.0), by_index(1, 50.0), by_index(1, 2.0))

    assert (51.0, 150.0) == (work(*nodes)["descent"], work(*nodes)["fetched"])
    assert 101.0 == work(*nodes, rows=200.0)["descent"], "twice the rows: twice as many on the outer side"


def test_what_is_kept_is_not_looked_up_again() -> None:
    """
    Memoize: the planner's own cost says how many of a hundred lookups it expects to run.
    """
    inner = by_index(2, 1.0)
    nodes = (
        node(0, "Nested Loop", 412.0 + 10 * inner.cost, 100.0),
        node(1, "Index Scan", 412.0, 100.0, condition="Index Cond: (a = $1)"),
        node(1, "Memoize", inner.cost, 1.0),
        inner,
    )

    assert 11.0 == pytest.approx(work(*nodes)["descent"])


def test_a_whole_read_is_as_long_as_its_table() -> None:
    scan = node(0, "Seq Scan", 22_500.0, 5.0, condition="Filter: (a = $1)")

    assert (1_000_000.0, 10_000.0) == tuple(work(scan, tables=(ORDERS,))[kind] for kind in ("scanned", "swept"))
    guessed = work(scan)
    assert 100_000.0 < guessed["scanned"] < 2_000_000.0
    assert guessed["scanned"] == work(scan, rows=50.0)["scanned"], "what is kept of it does not make it shorter"


def test_a_bitmap_visits_the_heap_after_the_index() -> None:
    nodes = (
        node(0, "Bitmap Heap Scan", 3300.0, 800.0, condition="Recheck Cond: (a = $1)"),
        node(1, "Bitmap Index Scan", 20.0, 800.0, condition="Index Cond: (a = $1)", relation=""),
    )
    done = work(*nodes)

    assert (1.0, 800.0, 800.0) == (done["descent"], done["entry"], done["fetched"])
    assert 700.0 < done["page"] <= 801.0


def test_a_hash_join_reads_both_sides_once() -> None:
    nodes = (
        node(0, "Hash Join", 9000.0, 300.0),
        by_index(1, 300.0),
        node(1, "Hash", 500.0, 2000.0),
        node(2, "Seq Scan", 450.0, 2000.0, relation="products"),
    )

    assert 2300.0 == work(*nodes)["hashed"]
    assert 1.0 == work(*nodes)["descent"]


def test_what_the_recording_does_not_tell_is_doubted() -> None:
    """
    Rows under count(*) are the planner's guess: an average for one value, nothing at all for a range.
    """
    ranged = by_index(1, 50.0, condition="Index Cond: ((a >= $1) AND (a < $2))")
    counts = [Plan((node(0, "Aggregate", 300.0, 1.0), scan)) for scan in (by_index(1, 50.0), ranged)]

    assert 0.0 == work_of(Plan((by_index(0, 50.0),)), rows=50.0).doubt
    assert 0.0 < work_of(counts[0], rows=1.0).doubt < work_of(counts[1], rows=1.0).doubt
    assert 0.0 == work_of(Plan((node(0, "Aggregate", 9.0, 1.0), node(1, "Seq Scan", 8.0, 1.0))), rows=1.0).doubt


@given(
    rows=st.floats(0.5, 1e6),
    more=st.floats(1.0, 100.0),
    depth=st.integers(0, 2),
)
def test_more_rows_are_never_less_work(rows: float, more: float, depth: int) -> None:
    """
    Through a limit, a join, or neither.
    """
    above = (node(0, "Limit", 10.0 * rows, rows), node(1, "Nested Loop", 10.0 * rows, rows))[2 - depth :]
    nodes = (*above, by_index(depth, rows), *((by_index(depth, 1.0),) if depth else ()))
    few, many = (work_of(Plan(nodes), rows=each).amounts for each in (rows, rows * more))

    assert (many >= few - 1e-9).all()
    assert (few >= 0).all()
