"""
At most one index is offered, under a name of its own, priced by recorded executions of like cost.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.moves.index import IndexMove, candidates, executing, reads_whole_table
from rung.moves.lookup import Lookup
from rung.ports import Explain, Index, IndexColumn, Plan, PlanNode, Promise, Question, WhatIf
from rung.steps.find.finding import Finding
from rung.steps.measure import Part
from rung.steps.take.sql import NAME_BYTES_MAX, index_name
from rung.steps.twin.edit import spent_on
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Twin
from rung.steps.twin.workload import Op, workload
from tests.strategies import (
    AWAY,
    BY_INDEX,
    BY_KEY,
    CUSTOMER_INDEX,
    FAST,
    ORDERS_TABLE,
    SCAN,
    SLOW,
    Shelf,
    answered,
    found,
    indexes,
    plain_words,
    profile,
    shop,
)

ROWS = shop()
PROFILE = profile(ROWS)
TWIN = Twin(PROFILE)
FINDING = found(ROWS, planner=Shelf())


def shapes(lookup: Lookup, *existing: Index) -> list[str]:
    made = candidates(lookup, replace(ORDERS_TABLE, indexes=existing))
    return [" ".join(("-" if c.descending else "") + c.name for c in index.columns) for index in made]


def index(*columns: str) -> Index:
    return Index("public", "orders", tuple(IndexColumn(c.removeprefix("-"), c.startswith("-")) for c in columns))


def offered(finding: Finding, answer: Any) -> Any:
    return answered(IndexMove().offers(PROFILE, TWIN, finding), answer)


def test_equality_comes_first_then_the_order_or_a_range() -> None:
    """
    Candidates are equal columns with the order, alone, and with a column compared for range.
    """
    found_columns = Lookup(("customer_id",), ("total",), (IndexColumn("created_at", True),))

    assert ["customer_id -created_at", "customer_id", "customer_id total"] == shapes(found_columns)


def test_what_an_existing_index_begins_with_is_left_out() -> None:
    """
    An index that begins with the candidate serves it already; one that only shares a column does not.
    """
    lookup = Lookup(("customer_id",), (), (IndexColumn("created_at", True),))

    assert ["customer_id -created_at"] == shapes(lookup, index("customer_id", "status"))
    assert [] == shapes(lookup, index("customer_id", "-created_at", "id"))
    assert ["customer_id -created_at", "customer_id"] == shapes(lookup, index("status", "customer_id"))


def test_no_column_stands_twice_in_an_index() -> None:
    """
    A column that is fixed needs neither an order nor a range.
    """
    lookup = Lookup(("id",), ("id", "total"), (IndexColumn("id"), IndexColumn("total"), IndexColumn("total")))

    assert ["id total", "id"] == shapes(lookup)


def test_nothing_looked_up_is_no_candidate() -> None:
    """
    Without a column there is no index.
    """
    assert [] == shapes(Lookup((), (), ()))


@given(index=indexes)
def test_names_fit_and_end_in_ours(index: Index) -> None:
    """
    Any table and columns give a name that PostgreSQL does not cut, and that says whose it is.
    """
    assert len(index_name(index).encode()) <= NAME_BYTES_MAX
    assert index_name(index).endswith("_rung")


@given(
    tables=st.lists(plain_words, min_size=2, max_size=2),
    columns=st.lists(st.lists(st.tuples(plain_words, st.booleans()), min_size=1, max_size=6), min_size=2, max_size=2),
)
def test_two_indexes_have_two_names(tables: list[str], columns: list[list[tuple[str, bool]]]) -> None:
    """
    Different tables, columns, directions or orders of columns never share a name, also when it is cut.
    """
    one, other = (
        Index("public", table, tuple(IndexColumn(f"{name}x", descending) for name, descending in listed))
        for table, listed in zip(tables, columns, strict=True)
    )

    assert (one == other) == (index_name(one) == index_name(other))


def test_long_names_that_begin_alike_keep_apart() -> None:
    """
    What is cut off is told by a digest.
    """
    long = "a_very_long_column_name_" * 3

    assert index_name(index(long + "one")) != index_name(index(long + "two"))
    assert index_name(index("é" * 40)) != index_name(index("é" * 41))


def test_the_cheapest_used_candidate_is_offered() -> None:
    """
    Of several that the planner would use, the one that makes the statement cheapest is offered.
    """
    offers = offered(FINDING, Shelf())

    assert ["index:orders(customer_id,created_at)"] == [offer.name for offer in offers]
    assert (CUSTOMER_INDEX, "orders_customer_id_created_at_desc_rung") == (offers[0].plan.index, offers[0].plan.name)


def test_an_execution_takes_what_one_of_like_cost_took() -> None:
    """
    The model draws from executions of the statement whose cost is nearest, and leaves all other steps as they are.
    """
    (offer,) = offered(FINDING, Shelf())
    before = TWIN.workload
    slow, fast = (spent_on(before, Part("query", name), ops=(Op.EXECUTE,)) for name in (SLOW, FAST))
    after, low, high = (model(before, TWIN.topology)[0] for model in (offer.model, offer.bounds[0], offer.bounds[1]))

    assert before.service_s[slow].min() > 0.05
    assert np.ptp(low.service_s[slow]) <= np.ptp(before.service_s[fast]) + 1e-12, "drawn from those, and one surplus"
    assert low.service_s[slow].min() >= before.service_s[fast].min()
    assert low.service_s[slow].mean() < after.service_s[slow].mean() < high.service_s[slow].mean() < 0.003
    for made in (low, after, high):
        others = ~spent_on(before, Part("query", SLOW))
        np.testing.assert_array_equal(made.service_s[others], before.service_s[others])
        np.testing.assert_array_equal(made.op, before.op)
    assert offer.model(before, TWIN.topology)[1] is TWIN.topology


def test_the_same_recording_gives_the_same_price() -> None:
    """
    What is drawn is drawn from a seed: two runs of one model are equal.
    """
    (offer,) = offered(FINDING, Shelf())
    once, again = (offer.model(TWIN.workload, TWIN.topology)[0] for _ in range(2))

    np.testing.assert_array_equal(once.service_s, again.service_s)


@pytest.mark.parametrize(
    "promise",
    [
        AWAY,
        Promise(SCAN, BY_INDEX, used=False, size_bytes=1),
        Promise(SCAN, Plan((replace(BY_INDEX.nodes[0], cost=19_000.0),)), used=True, size_bytes=1),
    ],
    ids=["no planner", "not used", "hardly cheaper"],
)
def test_an_index_that_the_planner_would_not_thank_for_is_not_offered(promise: object) -> None:
    """
    Unanswered, unused, or less than half the cost away: no offer.
    """

    def answer(question: Question) -> object:
        return promise if isinstance(question, WhatIf) else BY_KEY

    assert () == offered(FINDING, answer)


def test_without_a_reference_there_is_no_price() -> None:
    """
    With no other statement's plan to hold cost against time, nothing is offered.
    """
    good = Promise(SCAN, BY_INDEX, used=True, size_bytes=1)

    assert () == offered(FINDING, lambda question: AWAY if isinstance(question, Explain) else good)


def test_a_plan_that_reads_by_index_asks_nothing() -> None:
    """
    A bottleneck that is no whole read of a table costs the database no question.
    """
    shelf = Shelf()

    assert () == offered(replace(FINDING, plan=BY_KEY), shelf)
    assert () == offered(replace(FINDING, plan=None), shelf)
    assert () == offered(replace(FINDING, bottleneck=None), shelf)
    assert 0 == shelf.asked


def test_a_change_reads_its_table_as_a_select_does() -> None:
    """
    The node of an UPDATE names its table too, but it is the scan below it that reads.
    """
    scan = replace(SCAN.nodes[1], depth=1)
    plan = Plan((PlanNode(0, "ModifyTable", "orders", "public", "", 20_001.0, 0.0, ""), scan))

    assert reads_whole_table(plan)
    assert not reads_whole_table(Plan((replace(scan, condition=""),)))


def test_a_shorter_execution_waits_less_for_what_is_no_processor_too() -> None:
    """
    What the slow statement waited for its disk is not what one by the index waits for.
    """
    slow, quick = Part("query", "slow"), Part("query", "quick")
    steps = [
        [(Op.DELAY, 0, 0.008, 0), (Op.EXECUTE, 0, 0.02, 0), (Op.DELAY, 1, 0.0003, 0), (Op.EXECUTE, 1, 0.001, 0)]
    ] * 5
    made = workload(routes=["/"], parts=[slow, quick], route=[0] * 5, worker=[0] * 5, due_s=range(5), steps=steps)
    edited, _ = executing(slow, quick, 0.002)(made, Topology((), ()))

    assert edited.service_s[spent_on(edited, slow, ops=(Op.DELAY,))] == pytest.approx(0.0003)
    assert edited.service_s[spent_on(edited, slow, ops=(Op.EXECUTE,))] == pytest.approx(0.003)
    assert edited.service_s[spent_on(edited, quick)].sum() == pytest.approx(5 * 0.0013)
