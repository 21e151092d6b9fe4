"""
Put recorded reads through a cache: which would have hit, and which of those would have been stale.

In        digests of what was asked and of what came back, and when
Out       a Replayed: a hit or a miss for each read, and the shares
Not here  what a hit saves (cache.py), where digests come from (probe/reads.py)

A miss loads at once and drops nothing: the cache is large enough, and of two that miss together the first one loads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rung.steps.measure import Floats, Integers

NORMAL_80 = 1.2816  # standard deviations on either side of 80 % of a normal distribution


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """
    What a cache would have done.

    Attributes:
        hit: Of each read.
        hit_share: Of the reads.
        stale_share: Of the hits: what was loaded is not what a read gave at that time.
        off_share: By how much hit_share may be off in 80 % of samples of keys; 0 where all keys were kept.
    """

    hit: NDArray[np.bool_]
    hit_share: float
    stale_share: float
    off_share: float


def replay(keys: Integers, results: Integers, at_s: Floats, share: float, ttl_s: float) -> Replayed:
    """
    Return what a cache with that time to live would have done with the reads.

    Args:
        at_s: When each was asked, ascending.
        share: Of all keys, those whose reads these are.
        ttl_s: A read hits if its key was loaded less than this ago.

    >>> told = replay(np.array([7, 7, 7]), np.array([1, 2, 2]), np.array([0.0, 0.5, 1.0]), 1.0, 1.0)
    >>> told.hit.tolist(), told.stale_share
    ([False, True, False], 1.0)
    """
    assert len(keys) == len(results) == len(at_s)
    assert 0 < share <= 1
    if not len(keys):
        return Replayed(np.zeros(0, dtype=np.bool_), 0.0, 0.0, 0.0)
    order = np.argsort(keys, kind="stable")
    loaded = order[_loads(keys[order].tolist(), at_s[order].tolist(), ttl_s)]
    hit = np.zeros(len(keys), dtype=np.bool_)
    hit[order] = loaded != order
    stale = results[order] != results[loaded]  # whoever loads it reads what it loads
    hits = int(hit.sum())
    return Replayed(
        hit=hit,
        hit_share=hits / len(hit),
        stale_share=int(stale.sum()) / hits if hits else 0.0,
        off_share=_off_share(keys[order], hit[order], share),
    )


def _loads(keys: list[int], at_s: list[float], ttl_s: float) -> list[int]:
    """
    Return for each read, by key and then by time, the place of the read that loaded what it is given.
    """
    places, load, key, until_s = [], 0, None, -math.inf
    for place, (each, asked_s) in enumerate(zip(keys, at_s, strict=True)):
        if each != key or asked_s >= until_s:
            load, key, until_s = place, each, asked_s + ttl_s
        places.append(load)
    return places


def _off_share(keys: Integers, hit: NDArray[np.bool_], share: float) -> float:
    """
    Return the half-width of the hit share: a ratio over a sample of keys, each drawn with all its reads.
    """
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    reads = np.diff(np.append(begins, len(keys)))
    surplus = np.add.reduceat(hit.astype(np.float64), begins) - hit.mean() * reads
    return NORMAL_80 * math.sqrt((1 - share) * float((surplus**2).sum())) / len(keys)
