"""
A price is the recorded requests with one part's time replaced, and best() takes the lowest rung that reaches.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.moves.index import IndexMove
from rung.ports import IndexColumn
from rung.steps.find.finding import Interval
from rung.steps.measure import Part
from rung.steps.price import best, price
from rung.steps.price.edit import predicted
from rung.steps.price.quote import MISSED, NOT_ENOUGH, REACHES, Replacement
from tests.strategies import CUSTOMER_INDEX, GOAL, SLOW, Shelf, answered, by_name, found, profile, quote_of, shop

PART = Part("query", SLOW)


def test_a_replacement_like_the_original_leaves_the_number_where_it_is() -> None:
    """
    Drawing a statement's own recorded times again keeps the number within its interval.
    """
    rows = shop(connections=4)
    made, finding = profile(rows), found(rows)
    own_s = made.segments.own_s[made.segments.part == made.parts.index(PART)]
    number = predicted(made, finding, Replacement(PART, own_s, (0.0, 0.0, 0.0)))

    assert number.low <= finding.now.value <= number.high


@settings(max_examples=10, deadline=None)
@given(
    like_s=st.floats(0, 0.2), surplus=st.tuples(st.floats(0, 0.1), st.floats(0, 0.1), st.floats(0, 0.1)).map(sorted),
    seed=st.integers(0, 20),
)  # fmt: skip
def test_an_interval_holds_its_value(like_s: float, surplus: list[float], seed: int) -> None:
    """
    Low, value and high are in order, whatever replaces the part.
    """
    rows = shop(count=160, seed=seed)
    low, middle, high = surplus
    number = predicted(profile(rows), found(rows), Replacement(PART, np.array([like_s]), (low, middle, high)))

    assert 0 <= number.low <= number.value <= number.high


def test_a_price_rises_with_what_replaces_the_part() -> None:
    """
    A dearer replacement is never priced lower.
    """
    rows = shop()
    made, finding = profile(rows), found(rows)
    numbers = [predicted(made, finding, Replacement(PART, np.array([s]), (0.0, 0.0, 0.0))) for s in (0, 0.01, 0.1)]

    assert sorted(numbers, key=lambda number: number.value) == numbers


def test_the_ladder_begins_with_doing_nothing() -> None:
    """
    Doing nothing is always priced, first, and misses the goal where there is a bottleneck.
    """
    rows = shop(connections=4)
    quotes = answered(price(profile(rows), found(rows, planner=Shelf()), (IndexMove(),)), Shelf())

    assert ["nothing", "index:orders(customer_id,created_at)"] == [quote.name for quote in quotes]
    assert (MISSED, None) == (quotes[0].verdict, quotes[0].plan)
    assert REACHES == quotes[1].verdict
    assert CUSTOMER_INDEX == quotes[1].plan.index
    assert quotes[1].predicted.high < 0.02 and quotes[1].ratio.value < 0.2


def test_where_the_goal_holds_no_move_is_asked() -> None:
    """
    Without a bottleneck the ladder is doing nothing, and it reaches the goal.
    """
    rows, shelf = shop(slow_s=0.003), Shelf()
    quotes = answered(price(profile(rows), found(rows), (IndexMove(),)), shelf)

    assert [("nothing", REACHES)] == [(quote.name, quote.verdict) for quote in quotes]
    assert 0 == shelf.asked


def test_without_a_plan_no_index_is_offered() -> None:
    """
    A price without the planner would be a guess, so there is none.
    """
    rows = shop()
    quotes = answered(price(profile(rows), found(rows, planner=Shelf(away=True)), (IndexMove(),)), Shelf(away=True))

    assert ["nothing"] == [quote.name for quote in quotes]


def test_best_is_the_lowest_rung_that_reaches() -> None:
    """
    Of two that reach the goal the lower rung wins, also when the higher one is faster.
    """
    low, high = quote_of(name="low", rung=1), quote_of(name="high", rung=5, predicted=Interval(0.001, 0.001, 0.001))

    assert low == best([quote_of(name="nothing", rung=0, plan=None, verdict=MISSED), high, low])


def test_best_of_those_that_do_not_reach_comes_nearest() -> None:
    """
    Where nothing reaches the goal the one that comes nearest is taken.
    """
    quotes = by_name(
        [
            quote_of(name=name, rung=rung, verdict=NOT_ENOUGH, predicted=Interval(value_s, value_s, value_s))
            for name, rung, value_s in (("far", 1, 0.15), ("near", 2, 0.1))
        ]
    )

    assert quotes["near"] == best(tuple(quotes.values()))


def test_best_is_nothing_where_no_move_surely_gains() -> None:
    """
    A quote whose interval reaches up to today's number is not taken.
    """
    assert best([quote_of(verdict=NOT_ENOUGH, predicted=Interval(0.18, 0.1, 0.2)), quote_of(predicted=None)]) is None
    assert best([]) is None


def test_a_goal_just_met_is_reached() -> None:
    """
    Reaching is "not above": the goal's own number counts.
    """
    rows = shop(connections=400)
    made, finding = profile(rows), found(rows)
    left_s = GOAL.target_s - 0.001
    number = predicted(made, finding, Replacement(PART, np.array([left_s]), (0.0, 0.0, 0.0)))

    assert abs(GOAL.target_s - number.value) < 1e-9
    assert IndexColumn("customer_id") == CUSTOMER_INDEX.columns[0]
