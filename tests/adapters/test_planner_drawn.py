"""
Which column a parameter is compared with, as EXPLAIN writes it; and which values stand for which executions.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.adapters.planner.drawn import Comparison, Statistics, _array, _ends, _Group, _groups, comparisons_of

SCAN = {"Node Type": "Seq Scan", "Schema": "public", "Relation Name": "orders", "Alias": "o"}


def on(column: str, operator: str = "=", *, array: bool = False) -> Comparison:
    return Comparison("public", "orders", column, operator, array)


def first(found: Any) -> Any:
    """
    Return the one column that each parameter is compared with.
    """
    if found is None:
        return None
    assert {1} >= {len(columns) for columns in found.values()}
    return {number: columns[0] for number, columns in found.items()}


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("(o.a = $1)", {1: on("a")}),
        ("((o.a >= $1) AND (o.a < $2))", {1: on("a", ">="), 2: on("a", "<")}),
        ("($1 < o.a)", {1: on("a", ">")}),
        ("(($1)::integer >= o.a)", {1: on("a", "<=")}),
        ("(o.a <> $2)", {2: on("a", "<>")}),
        ("(o.id = ANY ($1))", {1: on("id", array=True)}),
        ("(o.id = ANY (($1)::bigint[]))", {1: on("id", array=True)}),
        ("((o.state)::text = ($1)::text)", {1: on("state")}),
        ("((o.day)::timestamp without time zone > $1)", {1: on("day", ">")}),
        ("(o.price = ($1)::numeric(10,2))", {1: on("price")}),
        ('(o."Größe" = $3)', {3: on("Größe")}),
        ('(o."we""ird.*; column" = $1)', {1: on('we"ird.*; column')}),
        ("((o.a = $1) OR ($1 IS NULL))", {1: on("a")}),
        ("(o.a = o.b)", {}),
        ("(o.a = 'costs $5'::text)", None),
    ],
)
def test_a_column_is_found_where_it_is_compared_itself(condition: str, found: Any) -> None:
    assert found == first(comparisons_of({**SCAN, "Filter": condition}))


@pytest.mark.parametrize(
    "condition",
    [
        "(lower(o.a) = $1)",
        "(lower((o.a)::text) = $1)",
        "(abs((o.n)::integer) = $1)",
        "((o.a + o.b) = $1)",
        "(o.a = ($1 + 5))",
        "(o.a ~~ $1)",
        "(o.tags @> $1)",
        "($1 = ANY (o.tags))",
        "(ROW(o.a, o.b) < ROW($1, $2))",
        "(other.a = $1)",
        "((o.a = $1) AND (o.b ~~* $2))",
        "($1 > 5)",
    ],
)
def test_a_column_that_something_is_made_of_has_no_values_to_draw(condition: str) -> None:
    assert comparisons_of({**SCAN, "Filter": condition}) is None


def test_conditions_are_looked_for_in_the_whole_plan_and_nothing_else_is() -> None:
    other = {**SCAN, "Relation Name": "lines", "Alias": "l", "Index Cond": "(l.order_id = $2)"}
    tree = {"Node Type": "Nested Loop", "Plans": [{**SCAN, "Filter": "(o.a = $1)", "Output": ["($7 + 1)"]}, other]}
    assert {1: on("a"), 2: Comparison("public", "lines", "order_id", "=")} == first(comparisons_of(tree))


def test_every_column_that_a_parameter_is_compared_with_is_found() -> None:
    """
    A key and a column that refers to it: the planner knows that both are equal, and says so of both.
    """
    other = {**SCAN, "Relation Name": "lines", "Alias": "l", "Index Cond": "(l.order_id = $1)"}
    tree = {"Node Type": "Nested Loop", "Plans": [{**SCAN, "Filter": "((o.id = $1) AND (o.id = $1))"}, other]}

    assert {1: (on("id"), Comparison("public", "lines", "order_id", "="))} == comparisons_of(tree)


def statistics(common: list[float], *, bounds: int, distinct: float = -1.0, null_share: float = 0.0) -> Statistics:
    names = [f"common {place}" for place in range(len(common))]
    return Statistics(null_share, distinct, 1e6, names, common, [f"bound {place}" for place in range(bounds)])


@pytest.mark.parametrize(
    ("given", "shares"),
    [
        (statistics([], bounds=101), [1.0]),
        (statistics([], bounds=0), []),
        (statistics([0.98, 0.015, 0.005], bounds=0, distinct=3), [0.98, 0.015, 0.005]),
        (statistics([0.5, 0.5], bounds=0, distinct=2), [1.0]),
        (statistics([0.3, 0.01, 0.01], bounds=101, distinct=1e5), [0.3, 0.02, 0.68]),
        (statistics([0.3], bounds=101, distinct=1e5, null_share=0.5), [0.3, 0.2]),
        (statistics([1e-5] * 5, bounds=101, distinct=1e5), [1.0]),
    ],
)
def test_values_of_like_frequency_stand_together(given: Statistics, shares: list[float]) -> None:
    assert shares == pytest.approx([group.share for group in _groups(given)])


@given(st.lists(st.floats(0.001, 0.2), max_size=8), st.sampled_from([0, 101]), st.floats(0, 0.9))
def test_the_commoner_comes_first_and_all_rows_are_stood_for(
    common: list[float], bounds: int, null_share: float
) -> None:
    whole = sum(common) + null_share
    common = sorted((each / max(whole, 1.0) for each in common), reverse=True)
    null_share /= max(whole, 1.0)
    groups = _groups(statistics(common, bounds=bounds, null_share=null_share))
    assert len(groups) <= 3
    assert [group.each for group in groups] == sorted((group.each for group in groups), reverse=True)
    if bounds:
        assert sum(group.share for group in groups) == pytest.approx(1 - null_share, abs=1e-6)


def test_an_open_range_keeps_much_half_and_little() -> None:
    bounds = [f"{place:03}" for place in range(101)]
    above, below = _ends(bounds, lower=True, closed=False), _ends(bounds, lower=False, closed=False)
    assert above is not None
    assert below is not None
    assert ("017", "050", "083") == above.values
    assert ("083", "050", "017") == below.values
    assert 1 == pytest.approx(sum(above.shares))


def test_a_closed_range_keeps_a_bucket() -> None:
    bounds = [f"{place:03}" for place in range(101)]
    low, high = _ends(bounds, lower=True, closed=True), _ends(bounds, lower=False, closed=True)
    assert low is not None
    assert high is not None
    assert [1, 1, 1] == [int(above) - int(below) for below, above in zip(low.values, high.values, strict=True)]
    assert _ends(bounds[:2], lower=True, closed=True) is None


def test_an_array_is_written_as_postgresql_reads_it() -> None:
    assert '{"a","b \\"c\\" \\\\ d"}' == _array(_Group(["a", 'b "c" \\ d'], 1.0, 1.0))
    assert 10 == _array(_Group([str(n) for n in range(101)], 1.0, 1.0)).count(",") + 1
