"""
Choose which stretches of a recording are run again: all of a short one, blocks of a long one.

In        a Profile, and how many steps each request will have
Out       Blocks: the requests, when they arrive, and which of them are told in the results
Not here  what the requests do (recover.py)

The blocks are laid behind one another, so that what is still going on at the end of one warms the next one up; each
begins with a few seconds that are not told.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from rung.steps.measure import Floats, Integers, Profile, Requests, Segments
from rung.steps.twin.pieces import Flags

Columns = TypeVar("Columns", Requests, Segments)

STEPS_A_REQUEST, STEPS_A_SEGMENT = 4.0, 3.5
STEPS_MAX = 150_000  # half a second of simulation: docs/design/0005-how-much-the-twin-runs.md
WHOLE_TIMES = 2.0  # of so many: up to there choosing costs more precision than it saves time
BLOCKS_MAX = 20
BLOCK_S_MIN, BLOCK_S_MAX = 5.0, 60.0
WARM_SHARE = 0.1  # of a block
WINDOWED_SHARE = 0.05  # of the requests counted and not kept: then what was kept are windows
WINDOW_GAP_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """
    Columns with one entry a request that is run, in order of arrival.

    Attributes:
        request: Index into the Profile's requests.
        due_s: When it arrives, what lies between blocks left out.
        counted: Whether it is told in the results.
    """

    request: Integers
    due_s: Floats
    counted: Flags


def chosen_blocks(
    profile: Profile, steps: Floats, *, steps_max: int = STEPS_MAX, blocks_max: int = BLOCKS_MAX
) -> Blocks:
    """
    Return the blocks of *profile* that are run; of *steps* of its requests about *steps_max* in all.
    """
    request = np.argsort(profile.requests.due_s, kind="stable")
    due_s = profile.requests.due_s[request]
    if profile.counted.requests.sum() > WINDOWED_SHARE * len(request):
        due_s = _closed_up(due_s)
    total = float(steps.sum())
    lasted_s = float(due_s[-1] - due_s[0])
    if total <= WHOLE_TIMES * steps_max or lasted_s <= BLOCK_S_MIN:
        return Blocks(request, due_s, np.ones(len(request), dtype=np.bool_))
    room_s = lasted_s * steps_max / total
    block_s = float(np.clip(room_s / blocks_max, BLOCK_S_MIN, BLOCK_S_MAX))
    starts_s = due_s[0] + np.arange(max(int(lasted_s / block_s), 1)) * block_s
    wanted = min(max(int(room_s / block_s), 1), len(starts_s))
    bounds = np.searchsorted(due_s, np.append(starts_s, starts_s[-1] + block_s))
    load = np.add.reduceat(steps[request], np.minimum(bounds[:-1], len(request) - 1))
    chosen = _of_every_load(load, wanted)
    found, at_s, counted, laid_s = [], [], [], 0.0
    for place in chosen:
        ours = np.arange(bounds[place], bounds[place + 1])
        within_s = due_s[ours] - starts_s[place]
        found.append(request[ours])
        at_s.append(within_s + laid_s)
        counted.append(within_s >= WARM_SHARE * block_s)
        laid_s += block_s
    return Blocks(np.concatenate(found), np.concatenate(at_s), np.concatenate(counted))


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """
    The part of a Profile that is run.

    Attributes:
        profile: With the requests of the blocks only; `lasted_s` is the time that as many took.
        place: Index into its requests of each request that is run.
        blocks: With requests as indexes into the whole Profile.
        share: Of all requests, kept or only counted.
    """

    profile: Profile
    place: Integers
    blocks: Blocks
    share: float


def excerpt_of(profile: Profile, *, steps_max: int = STEPS_MAX) -> Excerpt:
    """
    Return what of *profile* is run.
    """
    requests, segments, after = profile.requests, profile.segments, profile.after
    count = np.bincount(segments.request, minlength=len(requests))
    steps = (STEPS_A_REQUEST + STEPS_A_SEGMENT * count).astype(np.float64)
    blocks = chosen_blocks(profile, steps, steps_max=steps_max)
    share = len(blocks.request) / profile.requests_all
    if len(blocks.request) < len(requests):
        chosen = np.zeros(len(requests), dtype=np.bool_)
        chosen[blocks.request] = True
        number = np.cumsum(chosen) - 1
        kept, follows = np.flatnonzero(chosen[segments.request]), np.flatnonzero(chosen[after.request])
        profile = replace(
            profile,
            requests=_only(requests, np.flatnonzero(chosen)),
            segments=replace(_only(segments, kept), request=number[segments.request[kept]]),
            after=replace(
                after,
                request=number[after.request[follows]],
                part=after.part[follows],
                duration_s=after.duration_s[follows],
            ),
        )
        place = number[blocks.request]
    else:
        place = blocks.request
    return Excerpt(replace(profile, lasted_s=profile.lasted_s * share), place, blocks, share)


def _only(columns: Columns, places: Integers) -> Columns:
    return replace(columns, **{each.name: getattr(columns, each.name)[places] for each in fields(columns)})


def _of_every_load(load: Floats, wanted: int) -> list[int]:
    """
    Return blocks of every load, from the least to the heaviest as often as they are, in order of time.

    What waits grows out of proportion with load: blocks that by chance have less of it tell too little waiting.
    """
    order = np.argsort(load, kind="stable")
    ranks = ((np.arange(wanted) + 0.5) * len(load) / wanted).astype(np.int64)
    return sorted(order[ranks].tolist())


def _closed_up(due_s: Floats) -> Floats:
    """
    Return arrivals with the time left out in which none were kept.
    """
    gaps_s = np.diff(due_s, prepend=due_s[0])
    typical_s = float(np.median(gaps_s))
    outside = gaps_s > np.maximum(WINDOW_GAP_S, 20 * typical_s)
    closed_s: Floats = due_s[0] + np.cumsum(np.where(outside, typical_s, gaps_s))
    return closed_s
