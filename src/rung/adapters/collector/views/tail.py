"""
Choose which requests are sent as traces, once it is known how they went: the slow, the failed, and a fair sample.

The sample is drawn by the trace's own id (the same for every service that it passes), at a share that gives about
`samples` requests of each route a minute; the share is stated with each, so that the whole can be estimated.

In        finished requests, in the order in which they come
Out       for each why it is kept and at which share, or None; lines of the log that go with a choice
Not here  what a span looks like (spans.py), sending (otlp.py)

Source: OpenTelemetry, TraceState Probability Sampling: the last 56 bits of a trace's id are the random number.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rung.adapters.collector.views import buckets
from rung.adapters.collector.views.senders import Source
from rung.frames import Line, Request
from rung.steps.record import FAILED_FROM, PARTS
from rung.trace_context import ROOT

SLOW, FAILED, SAMPLE, FOLLOWS, OVER_BUDGET = "slow", "failed", "sample", "follows", "over_budget"
SLOWEST = 0.99
SEEN_MIN = 100  # requests of a route before its slowest percent means anything
MINUTE_S = 60.0
# Of one route, slow ones and failed ones each: an app that is slow throughout shall not send all it does.
ROUTE_MAX = 60
ROUTES_MAX = 500
DECIDED_MAX = 20_000
LINES_MAX = 10_000
WARNING = 30
_RANDOM = (1 << 56) - 1


@dataclass(frozen=True, slots=True)
class Choice:
    """
    Why a request is kept, and how likely it was to be.
    """

    kept: str
    share: float


@dataclass(frozen=True, slots=True)
class Pick:
    """
    A request that is to be sent as a trace.
    """

    source: Source
    request: Request
    choice: Choice

    @property
    def spans(self) -> int:
        """
        Return how many spans it is.
        """
        return 1 + len(self.request.segments) // PARTS.itemsize


@dataclass(frozen=True, slots=True)
class Logged:
    """
    A line of the app's log that is to be sent, with the ids of the trace that it belongs to, in hexadecimal.
    """

    source: Source
    line: Line
    trace: str | None
    span: str | None


class Route:
    """
    What is remembered of one route: how long its requests take, and how many came and were sent in this minute.
    """

    def __init__(self) -> None:
        self.seen = np.zeros(buckets.NATIVE, dtype=np.int64)
        self.before = np.zeros(buckets.NATIVE, dtype=np.int64)
        self.slow_s = float("inf")
        self.count = self.count_before = 0
        self.sent = {SLOW: 0, FAILED: 0}

    def roll(self) -> None:
        """
        Begin a minute.
        """
        self.before, self.seen = self.seen, np.zeros(buckets.NATIVE, dtype=np.int64)
        self.count_before, self.count = self.count, 0
        self.sent = {SLOW: 0, FAILED: 0}

    def judge(self) -> None:
        """
        Work out from what time on a request is among the slowest percent of this minute and the one before.
        """
        both = self.seen + self.before
        total = int(both.sum())
        if total >= SEEN_MIN:
            place = int(np.searchsorted(np.cumsum(both), SLOWEST * total))
            self.slow_s = buckets.upper_s(place)


class Tail:
    """
    Decides, and remembers the decisions for a while.
    """

    def __init__(self, *, goal_s: float, samples: int) -> None:
        self._goal_s = goal_s
        self._samples = samples
        self._routes: dict[str, Route] = {}
        self._minute = -1.0
        self._decided: OrderedDict[tuple[int, int], tuple[bool, str]] = OrderedDict()
        self._lines: OrderedDict[tuple[int, int], list[Line]] = OrderedDict()
        self._held = 0
        self.ready: deque[Logged] = deque()
        self.lost = 0  # lines that were held when there was no room for them

    def choose(self, source: Source, requests: list[Request], now_s: float) -> list[Choice | None]:
        """
        Return for each of *requests* why it is kept, or None.
        """
        minute = now_s // MINUTE_S
        if minute != self._minute:
            self._minute = minute
            for route in self._routes.values():
                route.roll()
        touched = set()
        choices = []
        for request in requests:
            route = self._route(request.route)
            touched.add(route)
            choice = self._choice(source, request, route)
            choices.append(choice)
            self._decide(source, request, choice)
        by_route: dict[Route, list[float]] = {route: [] for route in touched}
        for request in requests:
            if request.kind == "request":
                by_route[self._route(request.route)].append(request.duration_s)
        for route, durations_s in by_route.items():
            if durations_s:
                np.add.at(route.seen, buckets.native(np.array(durations_s)), 1)
            route.judge()
        return choices

    def _route(self, name: str) -> Route:
        route = self._routes.get(name)
        if route is None:
            name = name if len(self._routes) < ROUTES_MAX else ""
            route = self._routes.setdefault(name, Route())
        return route

    def _choice(self, source: Source, request: Request, route: Route) -> Choice | None:
        if request.kind == "background":
            kept, _ = self._decided.get((source.key, source.root(request)), (False, ""))
            return Choice(FOLLOWS, 1.0) if kept else None
        route.count += 1
        failed = request.status >= FAILED_FROM or request.error is not None
        slow = request.kind == "request" and (request.duration_s > self._goal_s or request.duration_s > route.slow_s)
        for why, applies in ((FAILED, failed), (SLOW, slow)):
            if applies and route.sent[why] < ROUTE_MAX:
                route.sent[why] += 1
                return Choice(why, 1.0)
        # What was kept as an example was chosen for how it went, and would make the sample unfair.
        if request.exemplar:
            return Choice(OVER_BUDGET, 0.0)
        share = min(1.0, self._samples / max(route.count, route.count_before, 1))
        if int(source.trace(request), 16) & _RANDOM < share * (_RANDOM + 1):
            return Choice(SAMPLE, share)
        return Choice(OVER_BUDGET, 0.0) if failed or slow else None

    def _decide(self, source: Source, request: Request, choice: Choice | None) -> None:
        kept = choice is not None and choice.kept != OVER_BUDGET
        key, trace = (source.key, request.request), source.trace(request)
        self._decided[key] = (kept, trace)
        if len(self._decided) > DECIDED_MAX:
            self._decided.popitem(last=False)
        lines = self._lines.pop(key, ())
        self._held -= len(lines)
        for line in lines:
            self._ready(source, line, kept=kept, trace=trace)

    def lines(self, source: Source, lines: Sequence[Line]) -> None:
        """
        Take lines of the log.  Those of a request that is kept are ready, of others those of warnings and worse; as
        long as nobody knows which it is they are held.
        """
        for line in lines:
            if line.request is None:
                self.ready.append(Logged(source, line, None, None))
                continue
            key = (source.key, line.request)
            decided = self._decided.get(key)
            if decided is not None:
                self._ready(source, line, kept=decided[0], trace=decided[1])
                continue
            self._lines.setdefault(key, []).append(line)
            self._held += 1
            while self._held > LINES_MAX:
                _, oldest = self._lines.popitem(last=False)
                self._held -= len(oldest)
                self.lost += len(oldest)

    def _ready(self, source: Source, line: Line, *, kept: bool, trace: str) -> None:
        assert line.request is not None
        if kept or line.level >= WARNING:
            span = source.span(line.request, ROOT if line.segment is None else line.segment)
            self.ready.append(Logged(source, line, trace, f"{span:016x}"))
