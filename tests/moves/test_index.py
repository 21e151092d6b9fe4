"""
At most one index is offered, under a name of its own, priced by what its plan does and what recorded statements took.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.moves.index import IndexMove, cost_words, slowed_words, slower
from rung.moves.rate import executing
from rung.ports import Costs, Explain, Index, IndexColumn, Plan, Promise, Question, WhatIf
from rung.steps.advise import Advice, Slowed
from rung.steps.advise.entries import NOTHING_ADDED, Added
from rung.steps.find.finding import Finding
from rung.steps.measure import Part
from rung.steps.take.sql import NAME_BYTES_MAX, index_name
from rung.steps.twin.edit import spent_on
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Twin
from rung.steps.twin.workload import Op, workload
from rung.units import show_bytes, show_roughly
from tests.strategies import (
    AWAY,
    BY_INDEX,
    BY_KEY,
    CUSTOMER_INDEX,
    FAST,
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


def index(*columns: str) -> Index:
    return Index("public", "orders", tuple(IndexColumn(c.removeprefix("-"), c.startswith("-")) for c in columns))


def offered(finding: Finding, answer: Any) -> Any:
    return answered(IndexMove().offers(PROFILE, TWIN, finding), answer)


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


def test_an_execution_takes_what_the_plan_is_timed_at() -> None:
    """
    The model draws from executions of the statement that takes nearest to it, scaled, and leaves all other steps alone.
    """
    (offer,) = offered(FINDING, Shelf())
    before = TWIN.workload
    slow, fast = (spent_on(before, Part("query", name), ops=(Op.EXECUTE,)) for name in (SLOW, FAST))
    after, low, high = (model(before, TWIN.topology)[0] for model in (offer.model, offer.bounds[0], offer.bounds[1]))

    assert before.service_s[slow].min() > 0.05
    spread = np.quantile(before.service_s[fast], [0.1, 0.9]) / np.median(before.service_s[fast])
    drawn = np.quantile(after.service_s[slow], [0.1, 0.9]) / np.median(after.service_s[slow])
    assert drawn == pytest.approx(spread, rel=0.1)
    assert low.service_s[slow].mean() < after.service_s[slow].mean() < high.service_s[slow].mean() < 0.01
    assert "an execution then takes" in offer.assumptions[1]
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
    Unanswered, unused, or with most of the cost left: no offer.
    """
    shelf = Shelf()

    def answer(question: Question) -> object:
        return promise if isinstance(question, WhatIf) else getattr(shelf, question.verb)(question)

    assert () == offered(FINDING, answer)


def test_costs_that_are_not_answered_are_no_offer() -> None:
    """
    Without the twin's costs there is nothing to choose from.
    """
    shelf = Shelf()

    assert () == offered(
        FINDING, lambda question: AWAY if isinstance(question, Costs) else getattr(shelf, question.verb)(question)
    )


def test_without_a_reference_there_is_no_price() -> None:
    """
    With no other statement's plan to hold cost against time, nothing is offered.
    """
    shelf = Shelf()

    def answer(question: Question) -> object:
        away = isinstance(question, Explain) and "orders" not in question.statement
        return AWAY if away else getattr(shelf, question.verb)(question)

    assert () == offered(FINDING, answer)


def test_without_a_plan_nothing_is_asked() -> None:
    """
    A bottleneck that is no statement, or one that cannot be planned, costs the database no question.
    """
    shelf = Shelf()

    assert () == offered(replace(FINDING, plan=None), shelf)
    assert () == offered(replace(FINDING, bottleneck=None), shelf)
    assert 0 == shelf.asked


def test_a_plan_that_reads_by_an_index_may_have_a_better_one() -> None:
    """
    What today's plan does is no reason to ask for nothing: a narrower index may still leave most of the work.
    """
    assert 1 == len(offered(replace(FINDING, plan=BY_KEY), Shelf()))


def test_what_writing_takes_longer_is_said_and_simulated() -> None:
    """
    The assumption tells of writes, and a statement that writes takes so much more in the model.
    """
    (offer,) = offered(FINDING, Shelf())
    slow = Part("query", SLOW)
    before = TWIN.workload
    after, _ = slower(slow, 0.001)(before, TWIN.topology)
    met = spent_on(before, slow, ops=(Op.EXECUTE,))

    assert "no recorded statement writes what the index would have to follow" in offer.assumptions
    np.testing.assert_allclose(after.service_s[met] - before.service_s[met], 0.001)
    np.testing.assert_array_equal(after.service_s[~met], before.service_s[~met])


def test_what_it_costs_is_told_and_planned() -> None:
    """
    Room, and how long the build takes; the plan has the figures.
    """
    (offer,) = offered(FINDING, Shelf())
    plan = offer.plan

    assert plan is not None and plan.build_s > 0 and plan.build_wal_bytes > 0.5 * plan.size_bytes
    assert (
        f"{show_bytes(plan.size_bytes)} · builds in about {show_roughly(plan.build_s)}, writes not blocked"
        == offer.cost
    )


def test_the_write_that_takes_longest_is_told() -> None:
    """
    With its kind, and what its log grows by.
    """
    slowed = (Slowed(1, "Insert", Added(4e-5, 70.0)), Slowed(2, "Update", Added(9e-5, 900.0)))
    advice = Advice((), (), (), slowed, 1.0, 0.5, (), (), upkeep=Added(0.001, 2048.0))

    assert "0 B · +90 µs an update · builds in about 0 s, writes not blocked" == cost_words(advice)
    told = slowed_words(slowed, advice.upkeep)
    assert "2 recorded statements that write take up to 90 µs longer" in told and "adds 2 kB/s" in told
    assert "2 kB/s" in slowed_words((), advice.upkeep) and "kB/s" not in slowed_words((), NOTHING_ADDED)
    slower = advice.slower(2.0)
    assert (Added(1.8e-4, 900.0), Added(0.002, 2048.0)) == (slower.slowed[1].execution, slower.upkeep)


def test_a_shorter_execution_waits_less_for_what_is_no_processor_too() -> None:
    """
    What the slow statement waited for its disk is not what one by the index waits for.
    """
    slow, quick = Part("query", "slow"), Part("query", "quick")
    steps = [
        [(Op.DELAY, 0, 0.008, 0), (Op.EXECUTE, 0, 0.02, 0), (Op.DELAY, 1, 0.0003, 0), (Op.EXECUTE, 1, 0.001, 0)]
    ] * 5
    made = workload(routes=["/"], parts=[slow, quick], route=[0] * 5, worker=[0] * 5, due_s=range(5), steps=steps)
    edited, _ = executing(slow, quick, 0.003)(made, Topology((), ()))

    assert edited.service_s[spent_on(edited, slow, ops=(Op.DELAY,))] == pytest.approx(0.0003)
    assert edited.service_s[spent_on(edited, slow, ops=(Op.EXECUTE,))] == pytest.approx(0.003)
    assert edited.service_s[spent_on(edited, quick)].sum() == pytest.approx(5 * 0.0013)
