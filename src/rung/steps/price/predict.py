"""
Work out what an offer would bring: the recorded traffic run again by the twin, as the offer makes it.

In        the Twin, runs of it
Out       the goal's number with an interval, all routes' percentiles, how much traffic it would bear
Not here  which offers there are (moves/), what the twin is (steps/twin)

An interval holds three things: which requests happened to come (blocks of time, resampled), what the twin misses (of
its own recording, or of what it priced before, by the ledger), and what is not known of the move itself (its bounds).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rung.steps.find.finding import PERCENTILES, Finding, Interval
from rung.steps.find.resample import resampled_blocks
from rung.steps.price.quote import Record, RoutePrice
from rung.steps.twin.outcome import Outcome
from rung.steps.twin.twin import Twin

NORMAL_80 = 1.2816  # standard deviations on either side of 80 % of a normal distribution
# Two runs of one app one after the other differ by so much at p95, as a standard deviation: measured once as 5 % over
# all requests and 13 % on a slow route, and `python -m benchmarks.confirm --real` prints it anew.  The floor under
# every price, and part of what two recordings can show.
RUNS_DIFFER = 0.1
# What prices of moves missed in the gauntlet (docs/benchmarks/gauntlet.md), as a standard deviation of the logarithm:
# how far off one may be that brings the number down to next to nothing, and whose kind nobody has confirmed here.
MOVES_MISS = 0.4
# Confirmed prices of a kind of move from which on they say that instead.
RECORD_MIN = 5


def predicted(
    twin: Twin, route: str, percent: int, outcomes: Sequence[Outcome], record: Record | None = None
) -> Interval:
    """
    Return a route's percentile, with the range of 80 %, after what *outcomes* are the runs of.

    The first is the one that is expected, the others are at the ends of what is not known.
    """
    resamples = resampled_blocks(twin.counted_due_s(route))
    scale = twin.scale(route, percent)
    middle_s = twin.number(outcomes[0], route, percent)
    drawn_s = [resamples.percentiles(twin.latencies(end, route), percent) * scale for end in outcomes]
    low_s = min(float(np.quantile(values_s, 0.1)) for values_s in drawn_s)
    high_s = max(float(np.quantile(values_s, 0.9)) for values_s in drawn_s)
    value = Interval(middle_s, min(low_s, middle_s), max(high_s, middle_s))
    now_s = twin.number(twin.base, route, percent)
    changed = min(abs(1 - middle_s / now_s), 1.0) if now_s > 0 else 1.0
    return widened(value, twin.residual(route, percent), record, changed=changed)


def widened(interval: Interval, residual: float, record: Record | None = None, *, changed: float = 1.0) -> Interval:
    """
    Return *interval* with what the twin misses in it: of its own recording, or of what it priced before.

    Errors are ratios, independent of one another, so their logarithms add in squares.  What earlier prices missed has
    the twin's residual in it already, so the larger of both counts; a record of few is none.

    Args:
        changed: By what share the move changes the number: one that changes nothing cannot be far off.
    """
    if interval.value <= 0:
        return interval
    before = record.missed if record is not None and record.confirmed >= RECORD_MIN else MOVES_MISS
    missed = NORMAL_80 * max(math.log1p(abs(residual)), RUNS_DIFFER, before * changed)
    below = math.log(interval.value / max(interval.low, 1e-9))
    above = math.log(interval.high / interval.value)
    return Interval(
        interval.value,
        interval.value * math.exp(-math.hypot(below, missed)),
        interval.value * math.exp(math.hypot(above, missed)),
    )


def route_prices(twin: Twin, finding: Finding, outcome: Outcome) -> tuple[RoutePrice, ...]:
    """
    Return the percentiles of each route that the goal judges, now and then.
    """
    found = []
    for each in finding.routes:
        if each.judged and each.requests:
            now_s = tuple(twin.number(twin.base, each.route, percent) for percent in PERCENTILES)
            then_s = tuple(twin.number(outcome, each.route, percent) for percent in PERCENTILES)
            found.append(RoutePrice(each.route, (now_s[0], now_s[1], now_s[2]), (then_s[0], then_s[1], then_s[2])))
    return tuple(found)


def worst(twin: Twin, finding: Finding, outcome: Outcome) -> tuple[float, str]:
    """
    Return the goal's number over all routes that it judges, and whose it is.
    """
    percent = finding.goal.percentile
    judged = [each.route for each in finding.routes if each.judged and each.requests]
    return max((twin.number(outcome, route, percent), route) for route in judged)
