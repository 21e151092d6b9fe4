"""
What a finding is: the goal and its number, the bottleneck, the evidence.

In        nothing
Out       the values that find returns
Not here  how any of it is worked out (trial.py, evidence.py)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from rung.config import Settings
from rung.ports import Plan, RecordingFacts, Table
from rung.steps.measure import Part
from rung.steps.measure.beside import Unfinished


@dataclass(frozen=True, slots=True)
class Goal:
    """
    What the user wants of each route: a percentile of latency, and a share of errors.

    Attributes:
        headroom: By how much traffic may grow before it breaks.
        given: Whether the user said any of it; else all of it is rung's default.
    """

    percentile: int
    target_s: float
    headroom: float
    errors_share: float
    given: bool = False


def goal_of(settings: Settings) -> Goal:
    """
    Return the goal that the settings in force ask for.
    """
    return Goal(
        percentile=settings.goal_percentile,
        target_s=settings.goal_latency_s,
        headroom=settings.goal_headroom,
        errors_share=settings.goal_errors_share,
        given=any(name.startswith("goal.") for name in settings.sources),
    )


@dataclass(frozen=True, slots=True)
class Interval:
    """
    A figure with the range that 80 % of resamples of the recording give it.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    One reason to believe a finding: a sentence, and the figures in it by name, in base units.
    """

    what: str
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suspect:
    """
    A thing that requests spend time on, and what the goal's number would gain without it.

    Attributes:
        route: The route it is met on most, of those that the goal's number is of where it is met there.
        statement: The text of the statement, "" for other seams.
        code: The line of the user's code that spends it, "" where unknown.
        without_s: The goal's number if it cost nothing.
        gain_s: By how much that is less.
        stability: Share of resamples in which it gains most.
        why_not: Why it is not the bottleneck, "" for the bottleneck itself.
        bears_per_s: Under overload, by which it was chosen then: requests a second that the app would bear without it.
    """

    part: Part
    route: str
    statement: str
    code: str
    without_s: Interval
    gain_s: float
    stability: float
    why_not: str = ""
    bears_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """
    One bar of a waterfall, seconds after the request's arrival.
    """

    seam: str
    name: str
    start_s: float
    duration_s: float
    calls: int = 1


@dataclass(frozen=True, slots=True)
class Exemplar:
    """
    One recorded request, to look at.
    """

    route: str
    at_s: float
    latency_s: float
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class AllTraffic:
    """
    What all requests of a route show, also those that were counted and not kept whole.

    Attributes:
        failed_share: With a status of 500 and above.
        p50_s, p95_s, p99_s: From the app's entry, within 1 %; what a request queued before is not in them.
    """

    requests: int
    failed_share: float
    p50_s: float
    p95_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class RouteNumber:
    """
    What one route shows: requests kept whole, their percentile, and whether the goal judges it.

    Attributes:
        at_percentile_s: Of a route of which no request was kept, that of all its traffic.
    """

    route: str
    requests: int
    at_percentile_s: float
    judged: bool
    all_traffic: AllTraffic


PERCENTILES = (50, 95, 99)  # what is told of each route
# Which of two causes weighs more shows in a twin that is too far off for a price in milliseconds: without the waiting
# that goes with them, what nobody sees was named before the function that all waited for.
NAMES_RESIDUAL_MAX = 0.5


@dataclass(frozen=True, slots=True)
class Miss:
    """
    By what shares the twin misses the recorded PERCENTILES of a route; NaN where there is none to miss.
    """

    route: str
    shares: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Simulated:
    """
    What the twin says of the recording as a whole.

    Attributes:
        residual: By what share it misses the goal's number of its own recording.
        trusted: Whether that is little enough for a price.
        speed: How much faster than recorded requests came when the bottleneck was looked for; above 1 where the goal
            holds today and not with the headroom that it asks.
        at_speed_s: The goal's number then.
        headroom: By how much arrivals may speed up before a goal breaks, None where that was not asked.
        breaks_first: Which route or resource then.
        bears_per_s: Requests a second at which something is full.
        fullest: What that is.
        misses: Of each route that the goal judges.
        notes: What it took for granted, in sentences.
    """

    residual: float
    trusted: bool
    speed: float
    at_speed_s: float
    headroom: float | None
    breaks_first: str
    bears_per_s: float
    fullest: str
    misses: tuple[Miss, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> bool:
        """
        Whether it tells what holds the app back; else `bottleneck` rests on the recorded times alone.
        """
        return abs(self.residual) <= NAMES_RESIDUAL_MAX


@dataclass(frozen=True, slots=True)
class Finding:
    """
    ONE bottleneck, or nothing.

    Attributes:
        verdict: "bottleneck" or "nothing".
        route: The route that the goal's number is of.
        now: The goal's number with its interval.
        simulated: What the twin says.
        overall_s: The same percentile over all requests, to be shown beside it.
        errors_share: Share of requests that failed.
        server: The database's version, "" where none was reached.
        errors_share: Of all traffic.
        requests: Kept whole, which everything but counts is worked out from.
        kept_share: What share of all requests those are.
        doubts: Why the numbers are not to be trusted; empty where they are.
        facts: The recording's own account.
        unfinished: Requests that had not ended when the recording did.
    """

    verdict: str
    recording: str
    goal: Goal
    route: str
    now: Interval
    simulated: Simulated
    overall_s: float
    errors_share: float
    requests: int
    processes: int
    lasted_s: float
    queue_known: bool
    server: str
    routes: tuple[RouteNumber, ...]
    bottleneck: Suspect | None
    runner_up: Suspect | None
    evidence: tuple[Evidence, ...]
    plan: Plan | None
    table: Table | None
    exemplars: tuple[Exemplar, ...]
    notes: tuple[str, ...]
    kept_share: float
    doubts: tuple[str, ...]
    facts: RecordingFacts
    unfinished: tuple[Unfinished, ...]


def requests_min(percent: int) -> int:
    """
    Return how many requests a percentile takes: three beyond it, or it is an accident or two.

    >>> requests_min(95), requests_min(99), requests_min(50)
    (60, 300, 6)
    """
    return math.ceil(300 / (100 - percent))


def costliest_scan(plan: Plan) -> int | None:
    """
    Return the place of the node that reads a table at the highest cost, None if no node reads one.
    """
    # The node of an UPDATE names its table too, but it is the scan below it that reads.
    scans = [place for place, node in enumerate(plan.nodes) if node.relation and "Scan" in node.kind]
    return max(scans, key=lambda place: plan.nodes[place].cost, default=None)
