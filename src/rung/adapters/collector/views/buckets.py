"""
Which bucket of a histogram a duration falls into: of fixed bounds, and of bounds that grow by a constant factor.

In        durations, seconds, as an array
Out       places of buckets; dense counts made sparse and, where there are too many, half as fine
Not here  counting (registry.py), how a bucket is written (openmetrics.py, client_model.py, otlp_metrics.py)

Source: OpenTelemetry, HTTP metrics, ExplicitBucketBoundaries advice; Prometheus, Native Histograms, "Schema": at schema
n each power of two is divided into 2**n buckets, and bucket i ends at 2**(i / 2**n), which belongs to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
CLASSIC = len(BOUNDS_S) + 1  # the last has no bound

SCHEMA = 3  # a bucket is 9 % wide
_PER_POWER = 2**SCHEMA
# A microsecond, which counts as nothing, up to a day and a half, and what is longer.
_POWER_MIN, _POWER_MAX = -20, 17
ZERO_S = 2.0**_POWER_MIN
_INDEX_MIN = _POWER_MIN * _PER_POWER + 1
NATIVE = (_POWER_MAX - _POWER_MIN) * _PER_POWER + 1  # the first is that of nothing
# As many as OpenTelemetry's exponential histograms have by default.
BUCKETS_MAX = 160

_BOUNDS = np.array(BOUNDS_S)


def classic(values_s: Any) -> Any:
    """
    Return for each of *values_s* its place among the buckets of fixed bounds, each of which includes its bound.
    """
    return np.searchsorted(_BOUNDS, values_s, side="left")


def native(values_s: Any) -> Any:
    """
    Return for each of *values_s* its place among the growing buckets, 0 for those of next to nothing.
    """
    place = np.ceil(np.log2(np.maximum(values_s, ZERO_S)) * _PER_POWER) - (_INDEX_MIN - 1)
    return np.minimum(place, NATIVE - 1).astype(np.int64)


def upper_s(place: int) -> float:
    """
    Return where the growing bucket at *place* ends.
    """
    return float(2.0 ** ((place - 1 + _INDEX_MIN) / _PER_POWER))


@dataclass(frozen=True, slots=True)
class Sparse:
    """
    Growing buckets from the first that holds anything to the last; bucket i ends at 2**(i / 2**schema).
    """

    schema: int
    zero: int
    first: int
    counts: tuple[int, ...]


def sparse(dense: Any, buckets_max: int = BUCKETS_MAX) -> Sparse:
    """
    Return *dense*, counts by place, with two buckets made one as often as it takes to have *buckets_max* at most.
    """
    zero, counts, schema = int(dense[0]), dense[1:], SCHEMA
    filled = np.nonzero(counts)[0]
    if not len(filled):
        return Sparse(schema, zero, 0, ())
    first, last = int(filled[0]), int(filled[-1])
    counts, first = counts[first : last + 1], first + _INDEX_MIN
    while len(counts) > buckets_max:
        # Bucket i of one schema lies within bucket ceil(i / 2) of the next coarser one.
        index = (np.arange(first, first + len(counts)) + 1) // 2
        counts = np.bincount(index - index[0], weights=counts).astype(np.int64)
        first, schema = int(index[0]), schema - 1
    return Sparse(schema, zero, first, tuple(counts.tolist()))
