"""
The ratio of two percentiles: what it does not depend on, and how often its interval holds.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.steps.confirm.ratio import Sample, ratio, student_t

PAIRS, EACH = 8, 60

seeds = st.integers(0, 10_000)


def sample(generator: np.random.Generator, factors: np.ndarray | float = 1.0, *, each: int = EACH) -> Sample:
    block = np.repeat(np.arange(PAIRS), each)
    return Sample(generator.lognormal(-3, 0.7, len(block)) * np.broadcast_to(factors, PAIRS)[block], block)


def generator_of(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@settings(deadline=None, max_examples=30)
@given(seed=seeds, times=st.floats(0.01, 50))
def test_a_slower_after_is_slower_by_that_factor(seed: int, times: float) -> None:
    """
    Whatever the latencies, those of after times a factor have the ratio times that factor, and its interval too.
    """
    generator = generator_of(seed)
    before, after = sample(generator), sample(generator)
    slower = Sample(after.latency_s * times, after.block)
    one, other = (ratio(before, each, PAIRS, 95, confidence=0.9) for each in (after, slower))

    assert one is not None and other is not None
    for ours, theirs in ((one.value, other.value), (one.low, other.low), (one.high, other.high)):
        assert pytest.approx(ours * times, rel=1e-4) == theirs


@settings(deadline=None, max_examples=30)
@given(seed=seeds, moods=st.lists(st.floats(0.1, 10), min_size=PAIRS, max_size=PAIRS))
def test_a_mood_that_both_of_a_pair_share_changes_nothing(seed: int, moods: list[float]) -> None:
    """
    A machine that is slow for a whole pair of blocks leaves the ratio and its interval as they are.
    """
    generator = generator_of(seed)
    before, after = sample(generator), sample(generator)
    factors = np.array(moods)
    moody = [Sample(side.latency_s * factors[side.block], side.block) for side in (before, after)]
    one, other = ratio(before, after, PAIRS, 90, confidence=0.9), ratio(*moody, PAIRS, 90, confidence=0.9)

    assert one is not None and other is not None
    assert pytest.approx((one.value, one.low, one.high), rel=1e-4) == (other.value, other.low, other.high)


@settings(deadline=None, max_examples=30)
@given(seed=seeds)
def test_neither_side_is_favoured(seed: int) -> None:
    """
    Sides exchanged, the ratio and the ends of its interval are turned over.
    """
    generator = generator_of(seed)
    before, after = sample(generator), sample(generator)
    one = ratio(before, after, PAIRS, 95, confidence=0.9)
    other = ratio(after, before, PAIRS, 95, confidence=0.9)

    assert one is not None and other is not None
    assert pytest.approx((one.value, one.low, one.high), rel=1e-3) == (1 / other.value, 1 / other.high, 1 / other.low)


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_the_interval_is_around_the_ratio_and_wider_the_surer(seed: int) -> None:
    generator = generator_of(seed)
    before, after = sample(generator), sample(generator, 0.5)
    sure, surer = (ratio(before, after, PAIRS, 95, confidence=share) for share in (0.8, 0.99))

    assert sure is not None and surer is not None
    assert surer.low <= sure.low <= sure.value <= sure.high <= surer.high


def test_the_interval_holds_as_often_as_it_says() -> None:
    """
    Of 400 comparisons of pairs whose moods differ between the sides, the interval of 90 % leaves out the truth in 40.
    """
    generator = generator_of(1)
    left_out = 0
    for _ in range(400):
        sides = [sample(generator, np.exp(generator.normal(0, 0.1, PAIRS)) * factor) for factor in (1.0, 0.7)]
        found = ratio(sides[0], sides[1], PAIRS, 95, confidence=0.9)
        assert found is not None
        left_out += not found.low <= 0.7 <= found.high

    # Binomial: 40 with a standard deviation of 6.
    assert 22 <= left_out <= 58


def test_sides_may_have_different_numbers_of_requests() -> None:
    """
    Twice as many requests on one side are not taken for slow ones.
    """
    generator = generator_of(2)
    values = [ratio(sample(generator, each=120), sample(generator), PAIRS, 90, confidence=0.9) for _ in range(60)]

    assert abs(float(np.mean([np.log(found.value) for found in values if found is not None]))) < 0.03


def test_the_same_on_both_sides_is_one() -> None:
    side = sample(generator_of(3))
    found = ratio(side, side, PAIRS, 95, confidence=0.99)

    assert found is not None
    assert pytest.approx(1.0) == found.value
    assert found.low <= 1.0 <= found.high


def test_one_pair_has_no_interval() -> None:
    """
    Without a second pair nothing says by how much pairs differ; blocks without requests make none.
    """
    side = Sample(np.array([0.1, 0.2]), np.array([3, 3]))

    assert ratio(side, side, PAIRS, 95, confidence=0.99) is None
    assert ratio(side, Sample(np.zeros(0), np.zeros(0, dtype=np.int64)), PAIRS, 95, confidence=0.99) is None


@pytest.mark.parametrize(
    ("confidence", "degrees", "table"), [(0.95, 5, 2.571), (0.99, 5, 4.032), (0.99, 11, 3.106), (0.995, 5, 4.773)]
)
def test_students_t_is_that_of_the_tables(confidence: float, degrees: int, table: float) -> None:
    assert pytest.approx(table, rel=2e-3) == student_t(confidence, degrees)
