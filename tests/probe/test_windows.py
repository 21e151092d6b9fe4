"""
Windows open together in every process, nest, and survive a clock that is set.
"""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rung.probe.windows import LEVEL_MAX, MINUTE_S, level_for, open_at, overlaps, share_of

moments = st.floats(0, 4e9)
levels = st.integers(0, LEVEL_MAX)


@given(moments, levels, levels)
def test_a_higher_level_is_open_only_while_a_lower_one_is(now_s, one, other) -> None:
    higher, lower = max(one, other), min(one, other)
    assert not open_at(now_s, higher) or open_at(now_s, lower)


@given(moments)
def test_level_nothing_is_always_open(now_s) -> None:
    assert open_at(now_s, 0)


@given(st.integers(0, 10**7), levels)
def test_the_share_of_a_minute_is_what_it_says(minute, level) -> None:
    steps = 640
    opened = sum(open_at(minute * MINUTE_S + MINUTE_S * step / steps, level) for step in range(steps))
    assert opened / steps == share_of(level)


@given(moments, st.integers(-100, LEVEL_MAX + 100), st.floats(-4e9, 4e9))
def test_a_clock_that_is_set_closes_no_window_for_longer_than_a_minute(now_s, level, set_by_s) -> None:
    later_s = now_s + set_by_s
    assert any(open_at(later_s + step / 2, level) for step in range(121))


@given(moments, st.floats(0, 300), levels)
def test_a_request_is_kept_exactly_where_it_overlaps_an_open_moment(arrived_s, lasted_s, level) -> None:
    ended_s = arrived_s + lasted_s
    begins_s = math.floor(arrived_s / MINUTE_S) * MINUTE_S
    windows = [(begins_s + n * MINUTE_S, begins_s + (n + share_of(level)) * MINUTE_S) for n in range(7)]
    assert overlaps(arrived_s, ended_s, level) == any(
        arrived_s < closes_s and ended_s >= opens_s for opens_s, closes_s in windows
    )


@given(st.floats(0, 1e7), st.floats(0.1, 1e5), levels)
def test_the_level_is_the_lowest_that_holds_the_budget(rate, budget, now) -> None:
    level = level_for(rate, budget, now)
    assert level == LEVEL_MAX or rate * share_of(level) <= budget
    # Left only where it must be, and again as soon as there is room to spare.
    assert level == 0 or rate * share_of(level - 1) > 0.8 * budget
    assert level_for(rate, budget, level) == level


def test_no_budget_is_the_highest_level_and_no_traffic_the_lowest() -> None:
    assert level_for(1.0, 0.0) == LEVEL_MAX
    assert level_for(0.0, 500.0, LEVEL_MAX) == 0
