"""
What is compared: requests of before and of after, in pairs of blocks that carry the same traffic.

Two instances that were sent the same arrivals in turns (`rung confirm --pairs`) come in pairs.  Two recordings of the
same arrivals are cut into the same blocks of time.  Two recordings of different arrivals are windows: each is cut into
blocks, and a block of one is the partner of a block of the other at which as many requests a second came; a block
without a partner is left out.

In        two Profiles, or what was sent in turns
Out       Compared: columns of both sides with their blocks
Not here  the statistics (ratio.py), the verdict (verdict.py), sending (adapters/traffic/pairs.py)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rung.ports import Pairs, Sent
from rung.steps.confirm.ratio import Sample
from rung.steps.measure import Floats, Integers, Profile
from rung.steps.measure.traffic import shape

# Interleaved: the shorter two neighbouring blocks are, the more of the machine's drift they share (thirty of 10 s saw a
# tenth in 40 % where 120 of 2.5 s saw it in 96 %; docs/design/0006-confirm-in-turns.md).  But each begins with empty
# queues, so it must be long beside what a request takes.  At least six, or no interval deserves the name.  The first
# tenth of each fills the queues, unmeasured.
PAIRS_MIN, PAIRS_MAX = 6, 120
TURN_S, TURN_MIN_S, TURN_LATENCIES, LEAD_SHARE, LEAD_MIN_S = 2.5, 2.0, 10, 0.1, 0.3
# One after the other: few and long, for a machine's mood lasts for seconds, and blocks shorter than it would pass it
# off as a change (docs/design/0002-few-long-blocks.md).
BLOCK_S, BLOCK_MIN_S = 10.0, 3.0
PAIRED_SHARE_MIN = 0.95
ARRIVAL_GRID_S = 1e-3
# Enough first arrivals to tell one offset from another, and to survive the loss of the very first ones.
ALIGNED_BY, ALIGNED_FIRST = 200, 6
# Partners differ in requests a second by no more than this; what is compared, in the shares of its routes (half the
# sum of the differences) by no more than that.
RATE_RATIO_MAX = 1.15
MIX_APART_MAX = 0.1
FAILED = 500


@dataclass(frozen=True, slots=True)
class Turns:
    """
    How arrivals are cut to be sent to two instances in turns.

    Attributes:
        pairs: Blocks for each instance.
        block_s: How long each is.
        lead_s: How much of its beginning is not measured.
    """

    pairs: int
    block_s: float
    lead_s: float


def turns_of(duration_s: float, latency_s: float = 0.0) -> Turns | None:
    """
    Return how *duration_s* of arrivals are cut, None where they are too short.

    Args:
        latency_s: What slow requests of the app take.

    >>> turns_of(60.0)
    Turns(pairs=24, block_s=2.5, lead_s=0.3)
    >>> turns_of(60.0, latency_s=0.5)
    Turns(pairs=12, block_s=5.0, lead_s=0.5)
    >>> turns_of(600.0).pairs, turns_of(14.0).pairs, turns_of(5.0)
    (120, 6, None)
    """
    pairs = min(max(int(duration_s / max(TURN_S, TURN_LATENCIES * latency_s)), PAIRS_MIN), PAIRS_MAX)
    block_s = duration_s / pairs
    return Turns(pairs, block_s, max(block_s * LEAD_SHARE, LEAD_MIN_S)) if block_s >= TURN_MIN_S else None


def order_of(pairs: int, generator: np.random.Generator) -> Iterator[tuple[int, int]]:
    """
    Yield block and side (0 before, 1 after) in the order in which they are sent.

    Two pairs at a time are sent as ABBA or as BAAB, by lot: a steady drift cancels out within them, and what drifts
    from one such four to the next favours nobody, so that pairs are as good as independent of one another.
    """
    for block in range(0, pairs, 2):
        first = int(generator.integers(2))
        yield from ((block, first), (block, 1 - first))
        if block + 1 < pairs:
            yield from ((block + 1, 1 - first), (block + 1, first))


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """
    One side: a row a request.

    Attributes:
        name: The recording's, or the instance's address.
        block: The pair of blocks that each is in, -1 where it is compared with nothing.
    """

    name: str
    route: Integers
    block: Integers
    latency_s: Floats
    failed: Floats

    def sample(self, route: int | None) -> Sample:
        """
        Return the compared requests of a route, of all for None.
        """
        chosen = self.block >= 0
        if route is not None:
            chosen &= self.route == route
        # The logarithm of no time at all says nothing.
        return Sample(np.maximum(self.latency_s[chosen], 1e-9), self.block[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """
    Two sides in pairs of blocks.

    Attributes:
        routes: What both sides' routes refer to.
        pairs: How many pairs of blocks there are.
        same_arrivals: Whether both sides were asked for the same things at the same moments.
        interleaved: Whether the blocks took turns.
        unlike: Why the two are not to be compared, "" where they are.
        lasted_s: Seconds of each side.
        at_least_s: Seconds that each side needs.
    """

    routes: tuple[str, ...]
    before: Half
    after: Half
    pairs: int
    same_arrivals: bool
    interleaved: bool
    unlike: str
    lasted_s: float
    at_least_s: float

    def requests(self, route: str) -> tuple[Sample, Sample]:
        """
        Return the compared requests of *route* on both sides.
        """
        number = self.routes.index(route) if route in self.routes else -2
        return self.before.sample(number), self.after.sample(number)


def same_route(one: str, other: str) -> bool:
    """
    Return whether two routes are one but for the names of their parameters.

    >>> same_route("GET /orders/{order}", "GET /orders/{order_id}")
    True
    """
    return shape(one) == shape(other)


def of_pairs(sent: Pairs, route: str | None) -> Compared:
    """
    Return what two instances were sent in turns.

    Args:
        route: How a recording names one of the routes, which then has this name.
    """
    named = [route if route is not None and same_route(each, route) else each for each in sent.routes]
    routes = tuple(dict.fromkeys(named))
    place = np.array([routes.index(each) for each in named], dtype=np.int64)

    def half(side: Sent) -> Half:
        return Half(side.name, place[side.route], side.block, side.latency_s, side.failed.astype(np.float64))

    return Compared(
        routes=routes,
        before=half(sent.before),
        after=half(sent.after),
        pairs=sent.pairs,
        same_arrivals=True,
        interleaved=True,
        unlike="",
        lasted_s=sent.lasted_s,
        at_least_s=PAIRS_MIN * TURN_MIN_S,
    )


def of_recordings(before: Profile, after: Profile) -> Compared:
    """
    Return two recordings, as pairs where they are of the same arrivals, else as windows.
    """
    routes = tuple(sorted({*before.routes, *after.routes}))
    same = are_pairs(before, after)
    halves = [_half(profile, routes) for profile in (before, after)]
    lasted_s = min(before.lasted_s, after.lasted_s)
    count = int(np.clip(lasted_s / BLOCK_S, PAIRS_MIN, PAIRS_MAX))
    # From first arrival to last is a little less than the traffic was sent for.
    at_least_s, unlike = PAIRS_MIN * BLOCK_MIN_S, ""
    if same:
        cut = [_cut(profile, profile.lasted_s / count, count) for profile in (before, after)]
    else:
        block_s = max(lasted_s, 1e-9) / count
        cut = [_cut(profile, block_s, max(int(profile.lasted_s / block_s), 1)) for profile in (before, after)]
        cut, count = _partners(cut[0], cut[1])
        unlike = _unlike(halves, cut, count, len(routes)) if lasted_s >= at_least_s else ""
        if unlike or count < PAIRS_MIN:
            # Nothing is left out of what is merely shown.
            cut = [np.zeros(len(profile.requests), dtype=np.int64) for profile in (before, after)]
    for half, block in zip(halves, cut, strict=True):
        half.block[:] = block
    return Compared(
        routes=routes,
        before=halves[0],
        after=halves[1],
        pairs=count,
        same_arrivals=same,
        interleaved=False,
        unlike=unlike,
        lasted_s=lasted_s,
        at_least_s=at_least_s,
    )


def _half(profile: Profile, routes: tuple[str, ...]) -> Half:
    place = np.array([routes.index(route) for route in profile.routes], dtype=np.int64)
    requests = profile.requests
    return Half(
        name=profile.facts.name,
        route=place[requests.route],
        block=np.zeros(len(requests), dtype=np.int64),
        latency_s=requests.latency_s,
        failed=(requests.status >= FAILED).astype(np.float64),
    )


def _cut(profile: Profile, block_s: float, count: int) -> Integers:
    edges = block_s * np.arange(1, count)
    block = np.searchsorted(edges, profile.requests.due_s, side="right").astype(np.int64)
    # What is left over behind the last whole block belongs to none.
    return np.where(profile.requests.due_s <= block_s * count * (1 + 1e-9), block, -1)


def _partners(before: Integers, after: Integers) -> tuple[list[Integers], int]:
    """
    Return the blocks of both sides renumbered by pairs in which as many requests came, and how many pairs there are.
    """
    counts = [np.bincount(block[block >= 0]) for block in (before, after)]
    orders = [np.argsort(count, kind="stable").tolist() for count in counts]
    renamed = [np.full(len(count) + 1, -1, dtype=np.int64) for count in counts]  # the last for those in no block
    places, pairs = [0, 0], 0
    while places[0] < len(orders[0]) and places[1] < len(orders[1]):
        here, there = orders[0][places[0]], orders[1][places[1]]
        fewer, more = int(counts[0][here]), int(counts[1][there])
        if 0 < max(fewer, more) <= RATE_RATIO_MAX * min(fewer, more):
            renamed[0][here] = renamed[1][there] = pairs
            pairs, places = pairs + 1, [places[0] + 1, places[1] + 1]
        else:
            places[int(fewer > more)] += 1
    return [renamed[0][before], renamed[1][after]], pairs


def _unlike(halves: list[Half], cut: list[Integers], pairs: int, routes: int) -> str:
    """
    Return why two windows carry different traffic, "" where they do not.
    """
    if pairs < PAIRS_MIN:
        return f"as many requests a second came in only {pairs} of their blocks"
    shares = [
        np.bincount(half.route[block >= 0], minlength=routes) / np.count_nonzero(block >= 0)
        for half, block in zip(halves, cut, strict=True)
    ]
    apart = float(np.abs(shares[0] - shares[1]).sum()) / 2
    return "their mix of routes differs" if apart > MIX_APART_MAX else ""


def are_pairs(before: Profile, after: Profile) -> bool:
    """
    Return whether both recordings are of the same arrivals: the same routes at the same moments.

    A load with the same seed gives such recordings; no mark on the requests is needed to see it.
    """
    counts = [len(profile.requests) for profile in (before, after)]
    if not before.queue_known or not after.queue_known:
        return False
    routes = sorted({*before.routes, *after.routes})
    ours, ours_count = np.unique(_arrivals(before, 0.0, routes), return_counts=True)
    theirs, theirs_count = np.unique(_arrivals(after, _offset_s(before, after), routes), return_counts=True)
    _, here, there = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    common = int(np.minimum(ours_count[here], theirs_count[there]).sum())
    return common >= PAIRED_SHARE_MIN * max(counts)


def _offset_s(before: Profile, after: Profile) -> float:
    """
    Return by how much later the moments of *after* must be read to be those of *before*.

    Moments are counted from the first arrival, which may be missing from one side.
    """
    firsts = [np.sort(profile.requests.due_s)[:ALIGNED_BY] for profile in (before, after)]
    offsets_s = np.subtract.outer(firsts[0][:ALIGNED_FIRST], firsts[1][:ALIGNED_FIRST]).ravel()
    met = [len(_near(firsts[0], firsts[1] + offset_s)) for offset_s in offsets_s]
    return float(offsets_s[int(np.argmax(met))])


def _near(moments_s: Floats, others_s: Floats) -> Floats:
    """
    Return those of *moments_s*, ascending, that one of *others_s* is near to.
    """
    place = np.clip(np.searchsorted(others_s, moments_s), 1, len(others_s) - 1)
    distance_s = np.minimum(np.abs(others_s[place - 1] - moments_s), np.abs(others_s[place] - moments_s))
    return moments_s[distance_s < ARRIVAL_GRID_S / 10]


def _arrivals(profile: Profile, offset_s: float, routes: list[str]) -> Integers:
    """
    Return a number for each request, the same for two of the same route that are due at the same moment of a grid.
    """
    moments = np.rint((profile.requests.due_s + offset_s) / ARRIVAL_GRID_S).astype(np.int64)
    place = np.array([routes.index(route) for route in profile.routes])
    numbers: Integers = moments * len(routes) + place[profile.requests.route]
    return numbers
