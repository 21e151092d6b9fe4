"""
A percentile read by rank is that of the resample written out, and resamples are drawn by blocks of time.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rung.steps.find.resample import Resamples, drawn, resampled_blocks
from rung.steps.measure import percentile


@given(
    values=st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.25, 3.0]) | st.floats(0, 100), min_size=1, max_size=60),
    blocks=st.integers(1, 7), percent=st.integers(50, 99), seed=st.integers(0, 999),
)  # fmt: skip
def test_a_percentile_by_rank_is_that_of_the_resample_written_out(
    values: list[float], blocks: int, percent: int, seed: int
) -> None:
    """
    With ties, empty blocks and resamples without a request, each percentile is exactly numpy's.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    measured, block = np.array(values), generator.integers(0, blocks, len(values))
    resamples = Resamples(block, drawn(generator, 30, blocks))
    read = resamples.percentiles(measured, percent)

    for number, times in enumerate(resamples.times):
        written = np.concatenate([np.tile(measured[block == place], times[place]) for place in range(blocks)])
        if len(written):
            assert percentile(written, percent) == read[number] == resamples.percentile_of(measured, number, percent)
        else:
            assert np.isnan(read[number])


def test_neighbours_are_drawn_together() -> None:
    """
    Requests of one block of time are in a resample equally often, and a time without requests is no block.
    """
    due_s = np.concatenate([np.linspace(0, 10, 100), np.linspace(90, 100, 100)])
    resamples = resampled_blocks(due_s)

    assert (np.diff(resamples.block) >= 0).all()
    assert set(range(resamples.times.shape[1])) == set(resamples.block.tolist())
    assert {resamples.times.shape[1]} == set(resamples.times.sum(axis=1).tolist())
