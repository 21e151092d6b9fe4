"""
Count durations so that every percentile of them can be had within 1 %, and counts of many processes can be added.

A DDSketch (Masson, Rim, Lee: DDSketch, VLDB 2019, section 2): bins whose edges grow by a constant factor, so that
the middle of a bin is never further than ACCURACY from whatever fell into it.  What leaves the process are the
middles with their counts, equal to the last digit in every process: whoever reads needs no formula, only to add
the counts of equal values and walk them in order.

In        durations, seconds
Out       bins: index -> count; rows: (seconds, count)
Not here  which requests are counted (core.py), who adds them up (steps/)
"""

from __future__ import annotations

from math import ceil, log

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from collections.abc import Mapping

ACCURACY = 0.01
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
BINS_PER_LOG = 1 / log(GAMMA)
# Durations outside count as nothing and as the longest; that bounds a sketch to some 2,000 bins.
VALUE_S_MIN = 1e-9
VALUE_S_MAX = 1e8
ZERO = ceil(log(VALUE_S_MIN) * BINS_PER_LOG) - 1
TOP = ceil(log(VALUE_S_MAX) * BINS_PER_LOG)
_DIGITS = 6  # far finer than a bin; what two systems' pow() may differ by is cut off


def index(value_s: float) -> int:
    """
    Return the bin of *value_s*; also of nothing, of less than nothing and of what is no number.
    """
    if VALUE_S_MIN < value_s < VALUE_S_MAX:
        return ceil(log(value_s) * BINS_PER_LOG)
    return TOP if value_s >= VALUE_S_MAX else ZERO


def add(bins: dict[int, int], value_s: float) -> None:
    """
    Count *value_s*.
    """
    place = ceil(log(value_s) * BINS_PER_LOG) if VALUE_S_MIN < value_s < VALUE_S_MAX else index(value_s)
    bins[place] = bins.get(place, 0) + 1


def merge(bins: dict[int, int], others: Mapping[int, int]) -> None:
    """
    Add the counts of *others* to *bins*.
    """
    for place, count in others.items():
        bins[place] = bins.get(place, 0) + count


def middle_s(place: int) -> float:
    """
    Return the duration that stands for a bin: no further than ACCURACY, relative, from both its edges.

    >>> middle_s(index(0.25))
    0.249051
    """
    if place <= ZERO:
        return 0.0
    return float(f"{2 * GAMMA**place / (GAMMA + 1):.{_DIGITS}g}")


def rows(bins: Mapping[int, int]) -> list[tuple[float, int]]:
    """
    Return what leaves the process: durations in ascending order, each with its count.
    """
    return [(middle_s(place), bins[place]) for place in sorted(bins)]


def quantile(bins: Mapping[int, int], share: float) -> float:
    """
    Return the duration, seconds, that a *share* of all does not exceed (nearest rank); 0.0 of none.

    >>> bins = {}
    >>> for value_s in (0.1, 0.2, 0.4): add(bins, value_s)
    >>> round(quantile(bins, 0.5), 2)
    0.2
    """
    rank = max(1, ceil(share * sum(bins.values())))
    for place in sorted(bins):
        rank -= bins[place]
        if rank <= 0:
            return middle_s(place)
    return 0.0
