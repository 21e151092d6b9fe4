"""
Recorded reads put through a cache: each hit and each stale one is what a cache kept by hand would give.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.moves.replay import replay

# Times on a grid, so that reads fall exactly on the end of a time to live.
reads = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 40).map(lambda n: n / 4)), max_size=40)
ttls = st.sampled_from([0.25, 1.0, 2.5, 100.0])


def columns(asked: list[tuple[int, int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    asked = sorted(asked, key=lambda read: read[2])
    return (
        np.array([key for key, _, _ in asked], dtype=np.int64),
        np.array([result for _, result, _ in asked], dtype=np.int64),
        np.array([at_s for _, _, at_s in asked], dtype=np.float64),
    )


@given(reads, ttls)
def test_it_agrees_with_a_cache_kept_by_hand(asked: list[tuple[int, int, float]], ttl_s: float) -> None:
    keys, results, at_s = columns(asked)
    kept: dict[int, tuple[float, int]] = {}
    hits, stale = [], 0
    for key, result, now_s in zip(keys.tolist(), results.tolist(), at_s.tolist(), strict=True):
        hit = key in kept and now_s - kept[key][0] < ttl_s
        if hit:
            stale += kept[key][1] != result
        else:
            kept[key] = now_s, result
        hits.append(hit)

    told = replay(keys, results, at_s, 1.0, ttl_s)

    assert hits == told.hit.tolist()
    assert told.hit_share == pytest.approx(sum(hits) / len(hits) if hits else 0.0)
    assert told.stale_share == pytest.approx(stale / sum(hits) if sum(hits) else 0.0)
    assert told.off_share == 0.0, "all keys were kept"


@given(reads, ttls, ttls)
def test_keeping_for_longer_never_loads_more(asked: list[tuple[int, int, float]], one_s: float, other_s: float) -> None:
    """
    Loads are the fewest spans of the time to live that hold all reads of a key, begun as late as can be.
    """
    keys, results, at_s = columns(asked)

    short, long = (int((~replay(keys, results, at_s, 1.0, each_s).hit).sum()) for each_s in sorted([one_s, other_s]))
    assert long <= short


def test_a_sample_of_keys_says_how_far_off_it_may_be() -> None:
    """
    Of 2,000 keys of Zipf's popularity, each half of them by lot is within the interval in about 80 %.
    """
    generator = np.random.Generator(np.random.PCG64(1))
    popularity = 1 / np.arange(1, 2001)
    keys = generator.choice(2000, size=6000, p=popularity / popularity.sum())
    at_s = np.sort(generator.uniform(0, 600, len(keys)))
    nothing = np.zeros(len(keys), dtype=np.int64)
    whole = replay(keys, nothing, at_s, 1.0, 60.0)
    within = []
    for _ in range(200):
        sampled = (generator.random(2000) < 0.5)[keys]
        told = replay(keys[sampled], nothing[sampled], at_s[sampled], 0.5, 60.0)
        within.append(abs(told.hit_share - whole.hit_share) <= told.off_share)

    assert 0.65 <= np.mean(within) <= 0.95
