"""
Resample blocks of time, and read a percentile of each resample without putting it together.

Blocks are resampled, not requests: neighbours wait behind the same things.

In        when requests arrived, how often each block is in each resample, a value of each request
Out       one percentile for each resample, equal to that of its values written out one after the other
Not here  what the blocks are of (trial.py, price/edit.py, confirm.py), what an interval means
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rung.steps.measure import Floats, Integers, percentile

RESAMPLES = 200
# Blocks of a bootstrap must be longer than what one slow request disturbs, and numerous enough to draw from.
BLOCKS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Resamples:
    """
    Draws of blocks, with replacement.

    Attributes:
        block: The block of each request.
        times: How often each block is in each resample, a row a resample.
    """

    block: Integers
    times: Integers

    def __len__(self) -> int:
        return len(self.times)

    def percentiles(self, values: Floats, percent: int) -> Floats:
        """
        Return the percentile of *values*, one a request, in each resample; NaN where a resample has no request.
        """
        order = np.argsort(values, kind="stable")
        lowest = np.zeros((self.times.shape[1], len(values) + 1), dtype=np.int64)
        for number, below in enumerate(lowest):
            # How many of the lowest 0, 1, 2, ... values are of this block.
            np.cumsum(self.block[order] == number, out=below[1:])
        count = self.times @ lowest[:, -1]
        # The rank as numpy's "inverted_cdf" has it, rounding included, for it must be the same value.
        rank = np.maximum(np.ceil(count * (percent / 100) - 1), 0) + 1
        few, enough = np.zeros(len(self), dtype=np.int64), np.full(len(self), len(values))
        while (enough - few > 1).any():
            middle = (few + enough) // 2
            reached = np.einsum("rb,br->r", self.times, lowest[:, middle]) >= rank
            few, enough = np.where(reached, few, middle), np.where(reached, middle, enough)
        return np.where(count > 0, values[order][enough - 1], np.nan) if len(values) else np.full(len(self), np.nan)

    def percentile_of(self, values: Floats, resample: int, percent: int) -> float:
        """
        Return the percentile of *values* in one resample.
        """
        return percentile(np.repeat(values, self.times[resample][self.block]), percent)


def resampled_blocks(due_s: Floats) -> Resamples:
    """
    Return RESAMPLES draws, each a bootstrap over contiguous blocks of time.

    Args:
        due_s: Arrival of each request, seconds, any order.

    Source: Künsch 1989, the block bootstrap.  The seed is fixed: the same recording gives the same answer.
    """
    count = max(1, min(BLOCKS, len(due_s) // 5))
    edges = np.linspace(due_s.min(), due_s.max(), count + 1)
    place = np.clip(np.searchsorted(edges, due_s, side="right") - 1, 0, count - 1)
    # A block in which nobody came is none to draw.
    met, block = np.unique(place, return_inverse=True)
    generator = np.random.Generator(np.random.PCG64(0))
    return Resamples(block.astype(np.int64), drawn(generator, RESAMPLES, len(met)))


def drawn(generator: np.random.Generator, resamples: int, blocks: int) -> Integers:
    """
    Return how often each of *blocks* comes when as many are drawn with replacement, a row a resample.
    """
    return counted(generator.integers(0, blocks, (resamples, blocks)))


def counted(picks: Integers) -> Integers:
    """
    Return for each row of *picks* how often each of its possible values, 0 to its length - 1, is in it.

    >>> counted(np.array([[0, 0, 2]])).tolist()
    [[2, 0, 1]]
    """
    resamples, blocks = picks.shape
    flat = picks + blocks * np.arange(resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=picks.size).reshape(resamples, blocks).astype(np.int64)
