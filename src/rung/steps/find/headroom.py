"""
Whether the goal holds, and with how much more traffic it would hold.

In        the Twin, the Goal, the recorded number of each route
Out       the route that the goal's number is of, and what the twin says (Simulated)
Not here  what holds the app back (counterfactual.py)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from rung.steps.find.finding import PERCENTILES, Goal, Miss, RouteNumber, Simulated
from rung.steps.find.resample import resampled_blocks
from rung.steps.find.trial import interval
from rung.steps.measure import Profile
from rung.steps.twin.outcome import Outcome
from rung.steps.twin.twin import RESIDUAL_MAX, SPEED_MAX, Twin
from rung.units import show_count, show_seconds, show_share

KEPT_UP_SHARE = 0.1  # of the most that ever waited


def judged(twin: Twin, goal: Goal, routes: Sequence[RouteNumber]) -> tuple[str, Simulated]:
    """
    Return the route furthest above its goal, now or with the headroom that the goal asks, and what the twin says.
    """
    worst = routes[0]
    residual = twin.residual(worst.route, goal.percentile)
    trusted = abs(residual) <= RESIDUAL_MAX
    bears = twin.bears()
    route, speed, at_speed_s = worst.route, 1.0, worst.at_percentile_s
    headroom, first = None, ""
    # Others' traces show nothing that more traffic would have to share: it would seem to be borne without end.
    if at_speed_s <= goal.target_s and trusted and twin.profile.facts.foreign is None:
        broken = _breaks(twin, goal, routes)
        faster = twin.run(speed=goal.headroom)
        if first_broken := broken(faster):
            route, speed = first_broken, goal.headroom
            at_speed_s = twin.number(faster, route, goal.percentile)
        limit = twin.limit(broken)
        headroom, first = limit.speed, limit.first
    return route, Simulated(
        residual=residual,
        trusted=trusted,
        speed=speed,
        at_speed_s=at_speed_s,
        headroom=headroom,
        breaks_first=first,
        bears_per_s=twin.rate_per_s * bears.speed,
        fullest=bears.first,
        misses=tuple(_miss(twin, each.route) for each in routes if each.judged and each.requests),
        notes=twin.notes,
    )


def _breaks(twin: Twin, goal: Goal, routes: Sequence[RouteNumber]) -> Callable[[Outcome], str]:
    """
    Return what names the route furthest above its goal in a run of more traffic, "" where none is.

    Of traffic that nobody has seen, one bad moment of what was seen tells nothing: it has to be above the goal in nine
    of ten resamples.
    """
    resamples = {
        each.route: resampled_blocks(twin.counted_due_s(each.route)) for each in routes if each.judged and each.requests
    }

    def broken(outcome: Outcome) -> str:
        low_s, route = max(
            (
                interval(twin.latencies(outcome, name), blocks, goal.percentile).low
                * twin.scale(name, goal.percentile),
                name,
            )
            for name, blocks in resamples.items()
        )
        return route if low_s > goal.target_s else ""

    return broken


def _miss(twin: Twin, route: str) -> Miss:
    low, middle, high = (twin.residual(route, percent) for percent in PERCENTILES)
    return Miss(route, (low, middle, high))


def notes_on_twin(simulated: Simulated) -> tuple[str, ...]:
    """
    Return what a reader must know of the twin.
    """
    if simulated.trusted:
        return ()
    if simulated.names:
        return (f"{reason_of(simulated)}: it tells what holds the app back, but no move has a price.",)
    rest = "the answer rests on the recorded times alone, without the waiting that goes with them"
    return (f"{reason_of(simulated)}, so it was not asked: {rest}.",)


def reason_of(simulated: Simulated) -> str:
    """
    Return why a twin that does not reproduce its own recording is not asked, with the number.
    """
    if math.isnan(simulated.residual):
        return "The simulation could not reproduce this recording"
    missed, most = show_share(abs(simulated.residual)), show_share(RESIDUAL_MAX)
    return f"The simulation misses this recording's own number by {missed}, more than {most}"


def headroom_words(simulated: Simulated, goal: Goal) -> str:
    """
    Return how much more traffic the goal would bear, and what breaks first.
    """
    assert simulated.headroom is not None
    more = "more than " if simulated.headroom >= SPEED_MAX * 0.9 else ""
    first = f"; first to break: {simulated.breaks_first}" if simulated.breaks_first else ""
    full = (
        f" At {show_count(simulated.bears_per_s)} requests/s {simulated.fullest} is full." if simulated.fullest else ""
    )
    held = f"{simulated.headroom:.1f}× the traffic (the goal asks {goal.headroom:g}×)"
    return f"It would hold with {more}{held}{first}.{full}"


def overload_words(profile: Profile, simulated: Simulated) -> str:
    """
    Return that more requests come than the app bears, and since when.
    """
    came_per_s = len(profile.requests) / max(profile.lasted_s, 1e-9)
    since_s = saturated_since(profile)
    since = f" since second {since_s:.0f} of the recording" if since_s > 0 else ""
    untold = "" if simulated.trusted else f" {reason_of(simulated)}, so no move has a price."
    return (
        f"Overloaded{since}: {show_count(came_per_s)} requests/s come, and at {show_count(simulated.bears_per_s)} "
        f"{simulated.fullest} is full. Latency then grows for as long as one looks, so what is named is what would let "
        f"the app bear most.{untold}"
    )


def saturated_since(profile: Profile) -> float:
    """
    Return when the app last kept up, seconds since the first arrival: when few of those that came were unanswered.
    """
    due_s = profile.requests.due_s
    ended_s = np.sort(due_s + profile.requests.latency_s)
    order = np.sort(due_s)
    waiting = np.arange(len(order)) - np.searchsorted(ended_s, order, side="right")
    kept_up = np.flatnonzero(waiting <= KEPT_UP_SHARE * waiting.max(initial=0))
    return float(order[kept_up[-1]]) if len(kept_up) else 0.0


def now_words(simulated: Simulated, goal: Goal) -> str:
    """
    Return why there is a bottleneck although the goal holds today.
    """
    return (
        f"The goal holds today. With {simulated.speed:g}× the traffic, the headroom that it asks, "
        f"p{goal.percentile} would be {show_seconds(simulated.at_speed_s)}."
    )
