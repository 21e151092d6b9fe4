"""
Confirm: did the number move, not move, or get worse?

Two recordings of the same arrivals are compared in pairs: both are cut into the same blocks of time,
and the interval comes from resampling pairs of blocks, so that drift within the runs is inside it.
Recordings of different arrivals are compared as windows: blocks of each are drawn by themselves, and
only where the traffic is alike.

In        the Profile before, the Profile after, the quote that was taken (if one was)
Out       a Verdict with the ratio and its interval, predicted beside measured
Not here  sending traffic (adapters/traffic), undoing (adapters/hands.py)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rung.steps.find import route_numbers
from rung.steps.find.finding import Goal, Interval, requests_min
from rung.steps.find.resample import Resamples, counted
from rung.steps.measure import Floats, Integers, Profile, percentile
from rung.steps.price.quote import Quote
from rung.units import show_count, show_seconds, show_share

MOVED, NOT_MOVED, WORSE, TOO_LITTLE = "moved", "not_moved", "worse", "too_little_data"

# Few and long: a machine's mood lasts for seconds, and blocks shorter than it would pass it off as a change
# (`python -m benchmarks.confirm` counts how often).
BLOCKS = 6
BLOCK_MIN_S = 3.0
RESAMPLES = 1000
# Two runs one after the other differ by what the machine did meanwhile, which no interval within them shows.
EFFECT_MIN = 0.2
# What must be excluded before "not moved" is said: what was promised, or where nothing was, a halving.
EFFECT_OF_INTEREST = 0.5
PAIRED_SHARE_MIN = 0.95
ARRIVAL_GRID_S = 1e-3
# Enough first arrivals to tell one offset from another, and to survive the loss of the very first ones.
ALIGNED_BY, ALIGNED_FIRST = 200, 6
RATE_RATIO_MAX = 1.15

# Two-sided 95 % quantile of Student's t for BLOCKS - 1 = 5 degrees of freedom: few blocks, honest tails.
STUDENT_T = 2.571


@dataclass(frozen=True, slots=True)
class Side:
    """
    One recording's number: the percentile of the route, its requests, and the overall percentile.
    """

    recording: str
    at_percentile_s: float
    requests: int
    overall_s: float
    errors_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What became of the number.

    Attributes:
        verdict: moved, not_moved, worse or too_little_data.
        ratio: After as a share of before, with the range that 95 % of resamples keep to.
        paired: Whether both recordings are of the same arrivals.
        predicted: The quote's ratio, None when no quote was taken.
        words: The verdict as a sentence.
        side_effects: Other routes that got slower, and errors, a sentence each.
        needed_s: Seconds of traffic that would be enough, where there was too little.
    """

    verdict: str
    route: str
    percentile: int
    before: Side
    after: Side
    ratio: Interval | None = None
    paired: bool
    blocks: int
    predicted: Interval | None = None
    predicted_s: Interval | None = None
    words: str
    side_effects: tuple[str, ...]
    needed_s: float | None = None

    @property
    def worse(self) -> bool:
        """
        Return whether the change should be undone.
        """
        return self.verdict == WORSE


def confirm(before: Profile, after: Profile, goal: Goal, quote: Quote | None) -> Verdict:
    """
    Return whether the number of the quote's route (else the goal's) moved.
    """
    route = quote.route if quote is not None else route_numbers(before, goal)[0].route
    percent = quote.percentile if quote is not None else goal.percentile
    sides = (_side(before, route, percent), _side(after, route, percent))
    promised = quote.ratio if quote is not None else None
    paired = are_pairs(before, after)
    alike = paired or _alike(before, after, route)
    shortage_s = _shortage_s(before, after, sides, requests_min(percent))
    ratio, verdict, needed_s = None, TOO_LITTLE, shortage_s
    if shortage_s is None and alike:
        ratio = _ratio(before, after, route, percent, paired=paired)
        verdict, needed_s = _judged(ratio, promised, before.lasted_s)
    if _fails_more(sides, goal):
        # A request that fails at once is fast; nobody wants that.
        verdict, needed_s = WORSE, None
    return Verdict(
        verdict=verdict,
        route=route,
        percentile=percent,
        before=sides[0],
        after=sides[1],
        ratio=ratio,
        paired=paired,
        blocks=BLOCKS,
        predicted=promised,
        predicted_s=quote.predicted if quote is not None else None,
        words=(
            f"Worse: {show_share(sides[1].errors_share)} of the requests fail, before it was "
            f"{show_share(sides[0].errors_share)}."
            if _fails_more(sides, goal)
            else _words(verdict, ratio, sides, needed_s, alike=alike)
        ),
        side_effects=_side_effects(before, after, goal, route, sides, paired=paired),
        needed_s=needed_s,
    )


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


def _side(profile: Profile, route: str, percent: int) -> Side:
    latency_s = _latency(profile, route)[1]
    return Side(
        recording=profile.facts.name,
        at_percentile_s=percentile(latency_s, percent) if len(latency_s) else math.nan,
        requests=len(latency_s),
        overall_s=percentile(profile.requests.latency_s, percent),
        errors_share=float((profile.requests.status >= 500).mean()),
    )


def _latency(profile: Profile, route: str) -> tuple[Floats, Floats]:
    if route not in profile.routes:
        return np.zeros(0), np.zeros(0)
    chosen = profile.requests.route == profile.routes.index(route)
    return profile.requests.due_s[chosen], profile.requests.latency_s[chosen]


def _fails_more(sides: tuple[Side, Side], goal: Goal) -> bool:
    return sides[1].errors_share > max(goal.errors_share, 2 * sides[0].errors_share)


def _long_enough(before: Profile, after: Profile) -> bool:
    return min(before.lasted_s, after.lasted_s) >= BLOCKS * BLOCK_MIN_S


def _shortage_s(before: Profile, after: Profile, sides: tuple[Side, Side], least: int) -> float | None:
    """
    Return the seconds of traffic that it takes when there is too little, else None.
    """
    # From first arrival to last is a little less than the traffic was sent for.
    needed_s = [] if _long_enough(before, after) else [1.2 * BLOCKS * BLOCK_MIN_S]
    for profile, side in zip((before, after), sides, strict=True):
        if side.requests < least:
            needed_s.append(1.2 * profile.lasted_s * least / max(side.requests, 1))
    return max(needed_s, default=None)


def _alike(before: Profile, after: Profile, route: str) -> bool:
    """
    Return whether two windows carry the same traffic: the same rate, of the route and over all.
    """
    rates = []
    for profile in (before, after):
        duration_s = max(profile.lasted_s, 1e-9)
        rates.append((len(profile.requests) / duration_s, len(_latency(profile, route)[0]) / duration_s))
    return all(max(pair) <= RATE_RATIO_MAX * min(pair) for pair in zip(*rates, strict=True))


def _ratio(before: Profile, after: Profile, route: str, percent: int, *, paired: bool) -> Interval:
    """
    Return after as a share of before, with a 95 % interval over blocks of time.

    The spread of the logarithm over resampled blocks, times Student's t for that many blocks.
    """
    # Two draws a resample, one for each side; pairs use the first for both.
    picks = np.random.Generator(np.random.PCG64(2)).integers(0, BLOCKS, (RESAMPLES, 1 if paired else 2, BLOCKS))
    numbers_s, whole_s = [], []
    for profile, chosen in ((before, picks[:, 0]), (after, picks[:, -1])):
        due_s, latency_s = _latency(profile, route)
        resamples = Resamples(_blocks(due_s, profile.lasted_s), counted(chosen))
        numbers_s.append(resamples.percentiles(latency_s, percent))
        whole_s.append(percentile(latency_s, percent))
    # A resample of blocks in which nobody asked for the route on one side is none.
    logs = np.log(numbers_s[1] / numbers_s[0])
    middle = math.log(whole_s[1] / whole_s[0])
    # A bootstrap over n blocks is too narrow by (n - 1) / n in its variance.
    spread = float(np.nanstd(logs)) * math.sqrt(BLOCKS / (BLOCKS - 1)) * STUDENT_T
    return Interval(math.exp(middle), math.exp(middle - spread), math.exp(middle + spread))


def _blocks(due_s: Floats, lasted_s: float) -> Integers:
    edges = np.linspace(0, lasted_s, BLOCKS + 1)[1:-1]
    return np.searchsorted(edges, due_s, side="right")


def _judged(ratio: Interval, promised: Interval | None, lasted_s: float) -> tuple[str, float | None]:
    """
    Return the verdict, and the seconds of traffic needed where the interval leaves it open.
    """
    if ratio.high < 1 and ratio.value <= 1 - EFFECT_MIN:
        return MOVED, None
    if ratio.low > 1 and ratio.value >= 1 / (1 - EFFECT_MIN):
        return WORSE, None
    # The interval holds 1, or nearly.  If it also holds what was promised (or a change that would matter), or as
    # much of a loss, the recordings cannot tell them apart, and "not moved" would be a guess.
    wanted = min(promised.value, 1 - EFFECT_MIN) if promised is not None else 1 - EFFECT_OF_INTEREST
    if wanted < ratio.low and ratio.high < 1 / wanted:
        return NOT_MOVED, None
    # It must get narrow enough to leave out 1, or both of the others, whichever takes less.
    width, moved_by, room = math.log(ratio.high / ratio.value), abs(math.log(ratio.value)), -math.log(wanted)
    return TOO_LITTLE, lasted_s * (width / max(moved_by, room - moved_by)) ** 2 * 1.2


def _words(
    verdict: str, ratio: Interval | None, sides: tuple[Side, Side], needed_s: float | None, *, alike: bool
) -> str:
    if verdict == TOO_LITTLE:
        if not alike:
            return (
                "Too little data: the two recordings do not carry the same traffic, so a difference could come "
                "from it. Send the same load to both."
            )
        fewest = min(side.requests for side in sides)
        return f"Too little data: {show_count(fewest)} requests of this route cannot tell a change from chance" + (
            f"; about {show_seconds(needed_s)} of the same traffic would." if needed_s else "."
        )
    assert ratio is not None
    if verdict == MOVED and ratio.value > 2 / 3:
        return (
            f"Moved: {show_share(1 - ratio.value)} less ({show_share(1 - ratio.high)} to {show_share(1 - ratio.low)})."
        )
    if verdict == MOVED:
        return f"Moved: {1 / ratio.value:.1f} times faster ({1 / ratio.high:.1f} to {1 / ratio.low:.1f})."
    if verdict == WORSE:
        return f"Worse: {ratio.value:.1f} times slower ({ratio.low:.1f} to {ratio.high:.1f})."
    between = f"({show_share(ratio.low)} to {show_share(ratio.high)})"
    told = f"Not moved: the number is {show_share(ratio.value)} of what it was {between}"
    if ratio.low <= 1 <= ratio.high:
        return f"{told}."
    return f"{told}; two runs one after the other differ by that much on their own."


def _side_effects(
    before: Profile, after: Profile, goal: Goal, route: str, sides: tuple[Side, Side], *, paired: bool
) -> tuple[str, ...]:
    """
    Return what else got worse: other judged routes by more than chance, and errors.
    """
    told = []
    old = {number.route: number for number in route_numbers(before, goal) if number.judged}
    for number in route_numbers(after, goal):
        if number.route == route or not number.judged or number.route not in old:
            continue
        if not _long_enough(before, after) or not (paired or _alike(before, after, number.route)):
            continue
        ratio = _ratio(before, after, number.route, goal.percentile, paired=paired)
        if ratio.low > 1 and ratio.value >= 1 / (1 - EFFECT_MIN):
            was, became = old[number.route].at_percentile_s, number.at_percentile_s
            told.append(f"{number.route} got slower: {show_seconds(was)} → {show_seconds(became)}")
    if _fails_more(sides, goal):
        told.append(f"errors: {show_share(sides[0].errors_share)} → {show_share(sides[1].errors_share)}")
    return tuple(told)
