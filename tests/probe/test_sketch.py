"""
Percentiles from sketches are within 1 % of the exact ones, of whatever shape, and sketches add up.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.probe.sketch import ACCURACY, TOP, VALUE_S_MAX, VALUE_S_MIN, ZERO, add, index, merge, middle_s, quantile, rows

SHARES = (0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
# The digits that leave the process are cut behind the sixth.
BOUND = ACCURACY + 1e-5

durations = st.floats(min_value=2e-9, max_value=9e7)


def sketched(values_s):
    bins: dict[int, int] = {}
    for value_s in values_s:
        add(bins, value_s)
    return bins


def exact(values_s, share):
    """The nearest rank, by its definition."""
    return sorted(values_s)[max(1, math.ceil(share * len(values_s))) - 1]


def holds(values_s) -> None:
    bins = sketched(values_s)
    for share in SHARES:
        true_s = exact(values_s, share)
        assert abs(quantile(bins, share) - true_s) <= BOUND * true_s


@given(st.lists(durations, min_size=1, max_size=200))
def test_every_percentile_of_any_durations_is_within_one_percent(values_s) -> None:
    holds(values_s)


@given(st.integers(0, 2**32 - 1), st.floats(-9, 3), st.floats(0.01, 3))
def test_lognormal_and_two_humps(seed, centre, width) -> None:
    generator = np.random.default_rng(seed)
    one = generator.lognormal(centre, width, 300).clip(2e-9, 9e7).tolist()
    holds(one)
    holds(one + (generator.normal(30.0, 0.5, 100)).clip(2e-9).tolist())


@given(st.lists(durations, max_size=50), st.lists(durations, max_size=50))
def test_sketches_of_two_processes_add_up_to_the_sketch_of_both(here, there) -> None:
    together = sketched(here)
    merge(together, sketched(there))
    assert sketched(here + there) == together


@given(st.lists(durations, min_size=1, max_size=100))
def test_whoever_reads_the_rows_needs_only_to_walk_them(values_s) -> None:
    told = rows(sketched(values_s))
    assert sorted(told) == told
    assert len(values_s) == sum(count for _, count in told)
    walked = [value_s for value_s, count in told for _ in range(count)]
    assert quantile(sketched(values_s), 0.95) == exact(walked, 0.95)


@given(durations)
def test_a_middle_falls_into_its_own_bin(value_s) -> None:
    assert index(middle_s(index(value_s))) == index(value_s)


@pytest.mark.parametrize("value_s", [0.0, -1.0, 1e-12, VALUE_S_MIN, math.nan, -math.inf])
def test_nothing_and_nonsense_count_as_nothing(value_s) -> None:
    assert index(value_s) == ZERO
    assert quantile(sketched([value_s]), 0.5) == 0.0


@pytest.mark.parametrize("value_s", [VALUE_S_MAX, 1e300, math.inf])
def test_what_never_ends_counts_as_the_longest(value_s) -> None:
    assert index(value_s) == TOP
    assert math.isclose(VALUE_S_MAX, quantile(sketched([value_s]), 0.5), rel_tol=0.02)


def test_microseconds_are_told_apart() -> None:
    values_s = [n * 1e-7 for n in range(1, 100)]
    holds(values_s)
    assert TOP - ZERO < 2_000


def test_none_is_none() -> None:
    assert quantile({}, 0.95) == 0.0
    assert rows({}) == []
