"""
What must hold of advice whatever the planner says: budgets, determinism, writes, few questions.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.ports import Costs, Unavailable
from rung.steps.advise import Advice, Weighted, advise, advisor
from rung.steps.advise.entries import NOTHING_ADDED
from rung.steps.advise.gather import gather
from rung.steps.advise.writes import Upkeep
from tests.steps.advise.simple import NAMES, Lookup, Simple, cost, existing, index, key, size_bytes, table, writes
from tests.steps.advise.telling import told
from tests.strategies import answered

READ = Lookup(equal=("a",), by=("d",))


def advice_for(
    *lookups: Lookup, planner: Simple | None = None, rates: dict[str, float] | None = None, **asked: Any
) -> Advice:
    """
    Return the advice for lookups that run ten times a second each, unless *rates* says otherwise by kind of write.
    """
    rates = rates or {}
    workload = [Weighted(lookup.text, rates.get(lookup.write, 10.0)) for lookup in lookups]
    result: Advice = answered(advise(workload, **asked), planner or Simple(lookups))
    return result


names = st.sampled_from(NAMES[1:])
lookups = st.builds(
    Lookup,
    equal=st.lists(names, min_size=1, max_size=3, unique=True).map(tuple),
    ranged=st.sampled_from(["", "d"]),
    by=st.sampled_from([(), ("d",), ("id",)]),
    returned=st.sampled_from([("id",), ("id", "b"), ("c", "d", "e")]),
)
workloads = st.lists(lookups, min_size=1, max_size=6, unique_by=lambda lookup: lookup.text)
budgets = st.integers(0, 400_000_000)


@settings(max_examples=15, deadline=None)
@given(workload=workloads, budget_bytes=budgets)
def test_a_budget_is_kept(workload: list[Lookup], budget_bytes: int) -> None:
    """
    What is advised fits, and its costs are those that the planner gives for just these indexes.
    """
    advice = advice_for(*workload, budget_bytes=budget_bytes)

    assert advice.size_bytes <= budget_bytes
    for lookup, after in zip(workload, advice.after, strict=True):
        options = [cost(lookup, None), *(cost(lookup, each.index) for each in advice.indexes)]
        assert after == pytest.approx(min(options))


@settings(max_examples=10, deadline=None)
@given(workload=workloads, budgets_bytes=st.tuples(budgets, budgets).map(sorted))
def test_more_room_is_never_worse(workload: list[Lookup], budgets_bytes: list[int]) -> None:
    """
    A larger budget never gives a set that leaves more time.
    """
    less, more = (advice_for(*workload, budget_bytes=budget_bytes) for budget_bytes in budgets_bytes)

    assert more.then_s <= less.then_s * (1 + 1e-9)


@settings(max_examples=10, deadline=None)
@given(workload=workloads, budget_bytes=st.none() | budgets)
def test_the_same_answers_give_the_same_advice(workload: list[Lookup], budget_bytes: int | None) -> None:
    """
    Nothing is drawn, and no order of a set of Python's shows.
    """
    once, again = (advice_for(*workload, budget_bytes=budget_bytes) for _ in range(2))

    assert once == again


@settings(max_examples=10, deadline=None)
@given(workload=workloads)
def test_advice_never_costs_more_than_nothing(workload: list[Lookup]) -> None:
    """
    With writes or without, what is advised leaves less time than doing nothing, and no index in it is idle.
    """
    advice = advice_for(*workload, Lookup(write="Insert"), rates={"Insert": 1000.0})

    assert advice.then_s <= advice.now_s
    assert all(each.gain_s > 0 and each.serves for each in advice.indexes)


def test_one_index_serves_two_statements() -> None:
    """
    The order of its columns lets the narrower lookup use it, too.
    """
    advice = advice_for(Lookup(equal=("a", "b"), returned=("e",)), Lookup(equal=("b",), returned=("e",)))

    assert [("b", "a")] == [tuple(column.name for column in each.index.columns[:2]) for each in advice.indexes]
    assert (0, 1) == advice.indexes[0].serves


def test_the_whole_shape_of_a_statement_is_met() -> None:
    """
    Equality, then the order; carrying along the rest when there is room, and without it when there is not.
    """
    lookup = Lookup(equal=("c",), by=("d",), returned=("id", "b"))
    wide = advice_for(lookup)
    narrow = advice_for(lookup, budget_bytes=size_bytes(index("c", "d")))

    assert ["c,d +id,b"] == [told(each.index) for each in wide.indexes]
    assert ["c,d"] == [told(each.index) for each in narrow.indexes]


def test_a_table_that_is_written_to_all_the_time_gets_none() -> None:
    """
    The same lookup: worth an index among few writes, not among very many.
    """
    lookup = Lookup(equal=("b",))
    insert = Lookup(write="Insert")
    few, many = (advice_for(lookup, insert, rates={"": 0.02, "Insert": rate}) for rate in (10.0, 2000.0))

    assert [(1, True)] == [(each.statement, each.execution.seconds > 0) for each in few.slowed]
    assert few.indexes
    assert many.indexes == ()


def test_an_update_of_an_indexed_column_loses_its_shortcut() -> None:
    """
    An update that leaves every index alone costs no entry; the first index on its column makes it pay for all.
    """
    own = table("t", existing("t_pkey", "id", unique=True, constraint=True), writes=writes(updated=100, hot_share=1.0))
    update = Lookup(equal=("id",), write="Update", sets=("b",))
    asked = Weighted(update.text, 10.0)
    gathered = answered(gather([asked]), Simple([update], own))
    upkeep = Upkeep(gathered.writings, gathered.tables)

    assert NOTHING_ADDED == upkeep.per_s([index("a")])
    beside, on_it = (upkeep.per_execution([each])[0] for each in (index("a"), index("b")))
    alone = upkeep.per_execution([index("b")], ("public.t_pkey",))[0]
    assert NOTHING_ADDED == beside
    assert on_it.seconds > alone.seconds > 0, "the primary key's entry is paid for, too"
    assert on_it.wal_bytes > alone.wal_bytes > 0


def test_what_no_statement_accounts_for_is_counted_by_the_server() -> None:
    """
    Another program's inserts cost an index as much as the app's own.
    """
    lookup = Lookup(equal=("b",))
    own = table("t", writes=writes(inserted=10**10))
    advice = advice_for(lookup, planner=Simple([lookup], own), rates={"": 0.02})

    assert advice.indexes == ()
    assert advice_for(lookup, rates={"": 0.02}).indexes


def test_a_deleted_row_is_looked_for_where_it_is_referred_to() -> None:
    """
    A DELETE by its key reads a whole table that refers to it, which no plan shows.
    """
    down, up = key("child", "b")
    parent = table("t", existing("t_pkey", "id", unique=True, constraint=True), referred_by=(down,))
    delete = Lookup(equal=("id",), write="Delete")
    bare = Simple([delete], parent, table("child", refers_to=(up,)))
    kept = Simple([delete], parent, table("child", existing("child_b", "b", of="child"), refers_to=(up,)))

    assert [("child", "b")] == [
        (each.index.table, told(each.index)) for each in advice_for(delete, planner=bare).indexes
    ]
    assert advice_for(delete, planner=kept).indexes == ()


def test_a_statement_without_a_plan_does_not_stop_the_rest() -> None:
    """
    Its reason is told, and the others get their index.
    """
    workload = [Weighted("SELECT nonsense", 1.0), Weighted(READ.text, 1.0)]
    advice: Advice = answered(advise(workload), Simple([READ]))

    assert ("no such statement", "") == advice.unplanned
    assert (None, None) == (advice.before[0], advice.after[0])
    assert advice.indexes


def test_a_twin_that_is_away_is_named() -> None:
    """
    Without costs there is no advice, and the reason is told.
    """
    advice = advice_for(READ, planner=Simple([READ], away=True))

    assert ("the twin is away", ()) == (advice.unavailable, advice.indexes)
    assert () == answered(advise([]), Simple([])).indexes
    nobody: Advice = answered(advise([Weighted(READ.text, 1.0)]), lambda _: Unavailable("nobody"))
    assert ("nobody", "nobody") == (nobody.unavailable, nobody.unplanned[0])


def test_questions_are_few() -> None:
    """
    A round a question or so for each statement, not one for each index.
    """
    several = [Lookup(equal=pair) for pair in (("a", "b"), ("b", "c"), ("c", "d"), ("a", "d"), ("b", "d"))]
    planner = Simple(several)
    advice = advice_for(*several, planner=planner)

    assert sum(isinstance(question, Costs) for question in planner.questions) <= 5 * len(several)
    assert advice.asked <= 60 * len(several)


def test_at_most_so_many() -> None:
    """
    Of two useful indexes the one that saves more, where only one may be taken.
    """
    advice = advice_for(Lookup(equal=("a",)), Lookup(equal=("e", "c"), by=("d",)), indexes_max=1)

    assert 1 == len(advice.indexes)


def test_weights_decide_under_a_budget() -> None:
    """
    With room for one index, the statement that counts more gets it.
    """
    one, other = Lookup(equal=("a",)), Lookup(equal=("b",))
    for weights, wanted in (((1.0, 0.1), "a"), ((0.1, 1.0), "b")):
        workload = [
            Weighted(lookup.text, 1.0, 0.1, weight) for lookup, weight in zip((one, other), weights, strict=True)
        ]
        advice: Advice = answered(advise(workload, 30_000_000), Simple([one, other]))
        assert [wanted] == [told(each.index) for each in advice.indexes]


def test_what_one_slow_statement_hides_gets_its_index_too() -> None:
    """
    Beside a statement that takes nearly all of the time another seems to weigh nothing, until the first has its index.
    """
    slow, hidden = Lookup(equal=("a",)), Lookup(equal=("b",))
    workload = [Weighted(slow.text, 1.0, 1000.0), Weighted(hidden.text, 1.0, 0.1)]
    advice: Advice = answered(advise(workload), Simple([slow, hidden]))
    assert {"a", "b"} == {each.index.columns[0].name for each in advice.indexes}


def dropped(*lookups: Lookup, of: Any) -> list[tuple[str, str, str]]:
    """
    Return name, reason and what stands beside each index that could go.
    """
    workload = [Weighted(lookup.text, 1.0) for lookup in lookups]
    planner = Simple(lookups, of)
    found = answered(answered(advisor(workload), planner).drops(), planner)
    return [(each.name, each.why, each.beside) for each in found]


def test_an_index_that_nobody_scans_could_go() -> None:
    """
    After a week without a scan; not when it keeps values apart, serves a foreign key, or was watched for a day.
    """
    _, up = key("t", "c", of="other")
    indexes = (
        existing("idle", "e", scans=0), existing("apart", "d", scans=0, unique=True), existing("busy", "b"),
        existing("refers", "c", scans=0), existing("pkey", "id", scans=0, unique=True, constraint=True),
    )  # fmt: skip
    watched = table("t", *indexes, refers_to=(up,), writes=writes(inserted=1000))
    lately = table("t", *indexes, refers_to=(up,), writes=writes(inserted=1000, watched_s=86400.0))

    assert [("idle", "unused", "")] == dropped(READ, of=watched)
    assert [] == dropped(READ, of=lately)


def test_an_index_that_another_begins_with_could_go() -> None:
    """
    A prefix and an exact double are needless; one of two doubles stays, the one that keeps values apart.
    """
    doubles = table("t", existing("one", "a"), existing("two", "a"), existing("wide", "b", "c"), existing("thin", "b"))
    unique = table("t", existing("one", "a"), existing("two", "a", unique=True, constraint=True))

    assert [("thin", "redundant", "wide"), ("two", "redundant", "one")] == dropped(READ, of=doubles)
    assert [("one", "redundant", "two")] == dropped(READ, of=unique)


def test_an_index_that_a_statement_would_miss_stays() -> None:
    """
    Never scanned, as far as the server counted, and yet the plan of a recorded statement uses it.
    """
    own = table("t", existing("idle", "a", scans=0), writes=writes())

    assert [("idle", "unused", "")] == dropped(Lookup(equal=("b",)), of=own)
    assert [] == dropped(Lookup(equal=("a",)), of=own)


def test_what_writing_gains_by_a_drop_is_told() -> None:
    """
    One entry less for each row that is inserted.
    """
    own = table("t", existing("idle", "e", scans=0), writes=writes())
    insert = Lookup(write="Insert")
    planner = Simple([insert], own)
    (found,) = answered(answered(advisor([Weighted(insert.text, 10.0)]), planner).drops(), planner)

    (change,) = found.slowed
    assert (0, "Insert", pytest.approx(-found.upkeep.seconds / 10)) == (
        change.statement, change.operation, change.execution.seconds,
    )  # fmt: skip
    assert found.upkeep.seconds > 0 and found.upkeep.wal_bytes > 0
