"""
Confirm: did the number move, not move, or get worse?

In        what is compared (two recordings, or what two instances were sent in turns), the goal, the quote taken
Out       a Verdict with the ratio and its interval, predicted beside measured
Not here  what is compared with what (compared.py), the interval (ratio.py), sending (adapters/traffic), undoing
          (adapters/hands.py)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rung.ports import IndexUsed
from rung.steps.confirm.compared import PAIRS_MIN, Compared, Half
from rung.steps.confirm.ratio import normal, ratio
from rung.steps.find import ROUTE_REQUESTS_MIN, ROUTE_SHARE_MIN
from rung.steps.find.finding import Goal, Interval, requests_min
from rung.steps.measure import percentile
from rung.steps.price.predict import RUNS_DIFFER
from rung.steps.price.quote import Quote
from rung.units import show_count, show_seconds, show_share

MOVED, NOT_MOVED, WORSE, TOO_LITTLE = "moved", "not_moved", "worse", "too_little_data"

# In turns, where there is power to spare, one of 400 comparisons of an app that nobody changed may be called moved and
# one worse; of recordings one of 200.
CONFIDENCE, CONFIDENCE_APART = 0.995, 0.99
# The smallest change that counts: in turns, and one after the other.
EFFECT_MIN, EFFECT_MIN_APART = 0.03, 0.05
# What must be excluded before "not moved" is said: what was promised, or where nothing was, a change that would matter.
# Of two recordings no tenth can be excluded, for RUNS_DIFFER alone hides it.
EFFECT_OF_INTEREST, EFFECT_OF_INTEREST_APART = 0.1, 0.3
SPARE = 1.2  # traffic asked for beyond what would just do


@dataclass(frozen=True, slots=True)
class Side:
    """
    One side's number: the percentile of the route, its requests, and the overall percentile.

    Attributes:
        recording: The recording's name; the address of an instance that was sent its half of the pairs.
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
        ratio: After as a share of before, with the interval of CONFIDENCE in turns, else of CONFIDENCE_APART.
        paired: Whether both sides were asked for the same things at the same moments.
        interleaved: Whether two instances took turns, so that the machine's drift is in the interval.
        blocks: How many pairs of blocks were compared.
        predicted: The quote's ratio, None when no quote was taken.
        words: The verdict as a sentence.
        side_effects: Other routes that got slower, and errors, a sentence each.
        needed_s: Seconds of traffic (for each side) that would be enough, where there was too little.
        used: What the server counted of the indexes that were taken; nothing where there are none, or none was asked.
    """

    verdict: str
    route: str
    percentile: int
    before: Side
    after: Side
    ratio: Interval | None = None
    paired: bool
    interleaved: bool = False
    blocks: int
    predicted: Interval | None = None
    predicted_s: Interval | None = None
    words: str
    side_effects: tuple[str, ...]
    needed_s: float | None = None
    used: tuple[IndexUsed, ...] = ()

    @property
    def worse(self) -> bool:
        """
        Return whether the change should be undone.
        """
        return self.verdict == WORSE


def confirm(compared: Compared, goal: Goal, quote: Quote | None, *, used: tuple[IndexUsed, ...] = ()) -> Verdict:
    """
    Return whether the number of the quote's route (else the goal's) moved.

    Args:
        used: What the server counted of the quote's indexes, to stand beside the verdict.
    """
    percent = quote.percentile if quote is not None else goal.percentile
    route = quote.route if quote is not None else _goals_route(compared, percent)
    sides = (_side(compared, compared.before, route, percent), _side(compared, compared.after, route, percent))
    promised = quote.ratio if quote is not None else None
    found, verdict, needed_s = None, TOO_LITTLE, _shortage_s(compared, sides, requests_min(percent))
    if needed_s is None and not compared.unlike:
        found = _ratio(compared, route, percent)
        verdict, needed_s = _judged(compared, found, promised)
    words = _words(compared, verdict, found, sides, needed_s)
    beside = _slower(compared, goal, route)
    overtaken = next((each for each in beside if each.after_s > max(goal.target_s, sides[0].at_percentile_s)), None)
    if overtaken is not None:
        # The goal's number is that of its worst route, and it rose.
        verdict, needed_s, words = WORSE, None, f"Worse: {overtaken.words}, which misses the goal by more than before."
    if _fails_more(sides, goal):
        # A request that fails at once is fast; nobody wants that.
        failing = [show_share(side.errors_share) for side in sides]
        verdict, needed_s = WORSE, None
        words = f"Worse: {failing[1]} of the requests fail, before it was {failing[0]}."
    errors = [f"errors: {' → '.join(show_share(side.errors_share) for side in sides)}"]
    return Verdict(
        verdict=verdict,
        route=route,
        percentile=percent,
        before=sides[0],
        after=sides[1],
        ratio=found,
        paired=compared.same_arrivals,
        interleaved=compared.interleaved,
        blocks=compared.pairs,
        predicted=promised,
        predicted_s=quote.predicted if quote is not None else None,
        words=words,
        side_effects=(*(each.words for each in beside), *(errors if _fails_more(sides, goal) else ())),
        needed_s=needed_s,
        used=used,
    )


def _goals_route(compared: Compared, percent: int) -> str:
    """
    Return the route whose percentile is highest before, of those that the goal judges.
    """
    whole = {route: compared.before.latency_s[compared.before.route == n] for n, route in enumerate(compared.routes)}
    judged = _judged_routes(compared, percent) or [route for route, latency_s in whole.items() if len(latency_s)]
    return max(judged, key=lambda route: percentile(whole[route], percent))


def _judged_routes(compared: Compared, percent: int) -> list[str]:
    counts = np.bincount(compared.before.route, minlength=len(compared.routes))
    often = min(ROUTE_SHARE_MIN * counts.sum(), ROUTE_REQUESTS_MIN)
    return [route for route, n in zip(compared.routes, counts, strict=True) if n >= max(often, requests_min(percent))]


def _side(compared: Compared, half: Half, route: str, percent: int) -> Side:
    number = compared.routes.index(route) if route in compared.routes else -2
    latency_s, overall_s = half.sample(number).latency_s, half.sample(None).latency_s
    return Side(
        recording=half.name,
        at_percentile_s=percentile(latency_s, percent) if len(latency_s) else math.nan,
        requests=len(latency_s),
        overall_s=percentile(overall_s, percent) if len(overall_s) else math.nan,
        errors_share=float(half.failed.mean()) if len(half.failed) else 0.0,
    )


def _fails_more(sides: tuple[Side, Side], goal: Goal) -> bool:
    return sides[1].errors_share > max(goal.errors_share, 2 * sides[0].errors_share)


def _shortage_s(compared: Compared, sides: tuple[Side, Side], least: int) -> float | None:
    """
    Return the seconds of traffic that it takes when there is too little to work out anything, else None.
    """
    needed_s = [] if compared.lasted_s >= compared.at_least_s else [SPARE * compared.at_least_s]
    fewest = min(side.requests for side in sides)
    if fewest < least:
        needed_s.append(SPARE * compared.lasted_s * least / max(fewest, 1))
    return max(needed_s, default=None)


def _ratio(compared: Compared, route: str, percent: int, *, asked: int = 1) -> Interval | None:
    """
    Return after as a share of before, with the interval.

    Args:
        asked: How many routes are asked at once; the interval is wider the more there are (Bonferroni).
    """
    confidence = 1 - (1 - (CONFIDENCE if compared.interleaved else CONFIDENCE_APART)) / asked
    found = ratio(*compared.requests(route), compared.pairs, percent, confidence=confidence)
    if found is None or compared.interleaved:
        return found
    # What the machine did between two runs is in no interval within them; both are independent, and add in squares.
    between = RUNS_DIFFER * normal(confidence)
    below, above = math.log(found.value / found.low), math.log(found.high / found.value)
    return Interval(
        found.value,
        found.value * math.exp(-math.hypot(below, between)),
        found.value * math.exp(math.hypot(above, between)),
    )


def _effect_min(compared: Compared) -> float:
    return EFFECT_MIN if compared.interleaved else EFFECT_MIN_APART


def _judged(compared: Compared, found: Interval | None, promised: Interval | None) -> tuple[str, float | None]:
    """
    Return the verdict, and the seconds of traffic needed where the interval leaves it open.
    """
    if found is None:
        return TOO_LITTLE, SPARE * compared.lasted_s * PAIRS_MIN
    counts = 1 - _effect_min(compared)
    if found.high < 1 and found.value <= counts:
        return MOVED, None
    if found.low > 1 and found.value >= 1 / counts:
        return WORSE, None
    # The interval holds 1, or nearly.  If it also holds what was promised (or a change that would matter), or as
    # much of a loss, they cannot be told apart, and "not moved" would be a guess.
    wanted = 1 - (EFFECT_OF_INTEREST if compared.interleaved else EFFECT_OF_INTEREST_APART)
    if promised is not None:
        wanted = min(promised.value, counts)
    if wanted < found.low and found.high < 1 / wanted:
        return NOT_MOVED, None
    # It must get narrow enough to leave out 1, or both of the others, whichever takes less.
    width, moved_by, room = math.log(found.high / found.low) / 2, abs(math.log(found.value)), -math.log(wanted)
    narrow = max(moved_by, room - moved_by)
    # What differs between runs does not shrink with their length.
    between = 0.0 if compared.interleaved else RUNS_DIFFER * normal(CONFIDENCE_APART)
    if narrow <= between:
        return TOO_LITTLE, None
    # An interval that is not even around its value may seem narrow enough; it was not, so it takes more than there was.
    more = max((width**2 - between**2) / (narrow**2 - between**2), 1.0)
    return TOO_LITTLE, SPARE * compared.lasted_s * more


def _words(
    compared: Compared, verdict: str, found: Interval | None, sides: tuple[Side, Side], needed_s: float | None
) -> str:
    if verdict == TOO_LITTLE:
        return _too_little(compared, sides, needed_s)
    assert found is not None
    if verdict == MOVED and found.value > 2 / 3:
        less = f"{show_share(1 - found.high)} to {show_share(1 - found.low)}"
        return f"Moved: {show_share(1 - found.value)} less ({less})."
    if verdict == MOVED:
        return f"Moved: {1 / found.value:.1f} times faster ({1 / found.high:.1f} to {1 / found.low:.1f})."
    if verdict == WORSE and found.value < 3 / 2:
        more = f"{show_share(found.low - 1)} to {show_share(found.high - 1)}"
        return f"Worse: {show_share(found.value - 1)} more ({more})."
    if verdict == WORSE:
        return f"Worse: {found.value:.1f} times slower ({found.low:.1f} to {found.high:.1f})."
    told = (
        f"Not moved: the number is {show_share(found.value)} of what it was "
        f"({show_share(found.low)} to {show_share(found.high)})"
    )
    if found.low <= 1 <= found.high:
        return f"{told}."
    return f"{told}; less than {show_share(_effect_min(compared))} is no change that counts."


def _too_little(compared: Compared, sides: tuple[Side, Side], needed_s: float | None) -> str:
    if compared.unlike:
        return (
            f"Too little data: the two recordings do not carry the same traffic ({compared.unlike}), so a difference "
            "could come from it. Send the same load to both."
        )
    told = f"Too little data: {show_count(min(side.requests for side in sides))} requests of this route"
    if needed_s is not None:
        return f"{told} cannot tell a change from chance; about {show_seconds(needed_s)} of the same traffic would."
    return (
        f"{told}, and two runs one after the other differ by {show_share(RUNS_DIFFER)} on their own. "
        "Two instances that take turns would tell: rung confirm --pairs."
    )


@dataclass(frozen=True, slots=True)
class _Slower:
    """
    Another route that got slower.
    """

    words: str
    after_s: float


def _slower(compared: Compared, goal: Goal, route: str) -> tuple[_Slower, ...]:
    """
    Return the other routes that the goal judges and that got slower by more than chance.
    """
    if compared.unlike or compared.lasted_s < compared.at_least_s:
        return ()
    percent, least = goal.percentile, requests_min(goal.percentile)
    samples = {each: compared.requests(each) for each in _judged_routes(compared, percent) if each != route}
    enough = [each for each, pair in samples.items() if min(len(side.latency_s) for side in pair) >= least]
    found = []
    for each in enough:
        interval = _ratio(compared, each, percent, asked=len(enough))
        if interval is not None and interval.low > 1 and interval.value >= 1 / (1 - _effect_min(compared)):
            was, became = (percentile(side.latency_s, percent) for side in samples[each])
            found.append(_Slower(f"{each} got slower: {show_seconds(was)} → {show_seconds(became)}", became))
    return tuple(found)
