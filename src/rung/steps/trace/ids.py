"""
Work out the ids of many spans at once.

In        keys of processes, serials of their requests and segments
Out       numbers of 64 bits; which of them have an id that begins as asked
Not here  one id at a time (trace_context.py), of which this is the same over columns
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung.trace_context import ROOT

SPAN_DIGITS, TRACE_DIGITS = 16, 32
DIGITS_MIN = 6
_HEX = frozenset("0123456789abcdef")

Ids = NDArray[np.uint64]


def spans_of(key: Any, request: Any, segment: Any = ROOT) -> Ids:
    """
    Return the id of each span, as trace_context.span_of.

    >>> from rung.trace_context import span_of
    >>> spans_of([7, 7], [1, 1], [ROOT, 0]).tolist() == [span_of(7, 1), span_of(7, 1, 0)]
    True
    """
    request, segment = np.asarray(request, dtype=np.int64), np.asarray(segment, dtype=np.int64)
    mixed = ((request << 24) | (segment + 1)).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31)) ^ np.asarray(key, dtype=np.uint64)
    return np.where(mixed == 0, np.uint64(1), mixed)


def begin_as(spans: Ids, asked: str) -> NDArray[np.bool_]:
    """
    Return which of *spans* have an id whose digits begin with *asked*.

    >>> begin_as(np.array([0xABCDEF0000000000, 1], dtype=np.uint64), "abcdef").tolist()
    [True, False]
    """
    if not 0 < len(asked) <= SPAN_DIGITS:
        return np.zeros(len(spans), dtype=np.bool_)
    met: NDArray[np.bool_] = (spans >> np.uint64(64 - 4 * len(asked))) == np.uint64(int(asked, 16))
    return met


def looks_like_one(text: str) -> bool:
    """
    Return whether *text* may be the beginning of an id.
    """
    return DIGITS_MIN <= len(text) <= TRACE_DIGITS and _HEX.issuperset(text)
