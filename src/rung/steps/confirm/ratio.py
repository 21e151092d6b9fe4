"""
The ratio of two percentiles with an interval: how much after is of before, and how sure that is.

Requests are compared within pairs of blocks, for those wait behind the same things on a machine in the same mood.  Of
both blocks together, the slowest requests are picked, as many as lie beyond the percentile; a ratio is believed while
after, divided by it, has as many of them as before has, but for what differs from pair to pair.  Counting needs no
density and no model of latencies, and a dreadful pair counts for no more than its requests.

In        latencies of both sides with their blocks, block k of one being the partner of block k of the other
Out       the ratio with its interval
Not here  which blocks are partners (compared.py), what is made of it (verdict.py)

Sources: Woodruff 1952 (an interval for a percentile from one for a share) with blocks as clusters, stratified as
Cochran 1954 and Mantel & Haenszel 1959 do; why this and not percentiles by block: docs/design/0006-confirm-in-turns.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from rung.steps.find.finding import Interval
from rung.steps.measure import Floats, Integers

# As far as a ratio is looked for, as a logarithm: beyond a thousandth or a thousandfold an interval says nothing.
REACH = math.log(1000)
HALVINGS = 24
FIRST_STEP = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """
    Latencies of one side.

    Attributes:
        latency_s: One a request, above 0.
        block: The block of each request, from 0.
    """

    latency_s: Floats
    block: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Slowest:
    """
    The slowest requests of each pair of blocks, rank against rank.

    Attributes:
        apart: After's j-th slowest over before's (m + 1 - j)-th, as a logarithm: where that is above the logarithm of
            a ratio, after's j-th is among the m slowest of both once it was divided by that ratio.
        pair: The pair that each is of.
        expected: How many of the m slowest of each pair are after's where both are alike: its share of the requests.
    """

    apart: Floats
    pair: Integers
    expected: Floats

    def balance(self, log_ratio: float) -> Floats:
        """
        Return for each pair by how many fewer of the slowest are after's than expected, once after was divided.
        """
        afters = np.bincount(self.pair, weights=self.apart > log_ratio, minlength=len(self.expected))
        return self.expected - afters


def ratio(before: Sample, after: Sample, pairs: int, percent: int, *, confidence: float) -> Interval | None:
    """
    Return the percentile of *after* as a share of that of *before*, with the interval of *confidence*.

    None where fewer than two pairs have requests on both sides.
    """
    slowest = _slowest(before, after, pairs, percent)
    met = len(slowest.expected)
    if met < 2:
        return None
    limit = student_t(confidence, met - 1)

    def believed(log_ratio: float) -> bool:
        balance = slowest.balance(log_ratio)
        # The variance of a sum of so many, estimated from them.
        error = math.sqrt(met / (met - 1) * float(((balance - balance.mean()) ** 2).sum()))
        return abs(float(balance.sum())) <= limit * error

    middle = _middle(slowest)
    low, high = _edge(believed, middle, -REACH), _edge(believed, middle, REACH)
    return Interval(math.exp(middle), math.exp(low), math.exp(high))


def student_t(confidence: float, degrees: int) -> float:
    """
    Return the two-sided quantile of Student's t; from 5 degrees on within two thousandths for confidences up to 0.995.

    >>> round(student_t(0.95, 5), 2), round(student_t(0.99, 5), 2), round(student_t(0.99, 29), 2)
    (2.57, 4.03, 2.76)

    Source: Abramowitz & Stegun 1964, 26.7.5.
    """
    z = normal(confidence)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(degrees) ** power for power, term in enumerate(terms, start=1))


def normal(confidence: float) -> float:
    """
    Return the two-sided quantile of a normal distribution.

    >>> round(normal(0.95), 2)
    1.96
    """
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _slowest(before: Sample, after: Sample, pairs: int, percent: int) -> Slowest:
    apart, many, expected = [], [], []
    for number in range(pairs):
        ours = np.log(before.latency_s[before.block == number])
        theirs = np.log(after.latency_s[after.block == number])
        if not len(ours) or not len(theirs):
            continue
        both = len(ours) + len(theirs)
        # Those from the percentile on, as numpy's "inverted_cdf" has it; rounded, for 0.95 is no binary fraction.
        slow = both - math.ceil(round(both * percent / 100, 9)) + 1
        apart.append(_descending(theirs, slow) - _descending(ours, slow)[::-1])
        many.append(slow)
        expected.append(slow * len(theirs) / both)
    return Slowest(
        apart=np.concatenate(apart) if apart else np.zeros(0),
        pair=np.repeat(np.arange(len(many)), many),
        expected=np.array(expected),
    )


def _descending(values: Floats, count: int) -> Floats:
    """
    Return the *count* highest, the highest first; minus infinity stands for those that there are not.
    """
    found = np.full(count, -np.inf)
    highest = np.sort(values)[::-1][:count]
    found[: len(highest)] = highest
    return found


def _middle(slowest: Slowest) -> float:
    """
    Return the logarithm of the ratio at which both sides have as many of the slowest.
    """
    # So many are to lie above it as are expected; with equal numbers of requests it is the median.
    above = float(slowest.expected.sum()) / len(slowest.apart)
    return float(np.quantile(np.clip(slowest.apart, -REACH, REACH), 1 - above))


def _edge(believed: Callable[[float], bool], inside: float, reach: float) -> float:
    """
    Return the last logarithm from *inside* towards *reach* that is believed.
    """
    good, step = inside, math.copysign(FIRST_STEP, reach)
    while believed(good + step):
        good, step = good + step, step * 2
        if abs(good) > abs(reach):
            return reach
    bad = good + step
    for _ in range(HALVINGS):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if believed(middle) else (good, middle)
    return good
