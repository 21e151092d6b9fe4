"""
Find the one bottleneck: what, if it cost nothing, would bring the goal's number down most.

Not the largest bar of a chart.  Each thing that requests spend time on is taken away in thought: its
time from every request, and with it the share of the waiting for connections that it caused by holding
them.  What then brings the goal's percentile down most is the bottleneck; a full pool that one slow
statement holds is a symptom, and comes second.

In        a Profile and the Goal
Out       a Finding: the bottleneck, its evidence, the runner-up and why not, or "nothing"
Not here  what to do about it (price/, moves/)

Until queues are simulated the effect of less work on the waiting of others (processor, event loop) is
left as it was recorded, so a gain is a lower bound where the machine was busy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rung.config import Settings
from rung.errors import RecordingTooShort
from rung.ports import Describe, Explain, Plan, Server, ServerFacts, Step, Table, Unavailable
from rung.steps.measure import Floats, Part, Profile, percentile
from rung.units import show_bytes, show_count, show_seconds, show_share

ROUTE_SHARE_MIN = 0.01
ROUTE_REQUESTS_MIN = 200
RESAMPLES = 200
# Blocks of a bootstrap must be longer than what one slow request disturbs, and numerous enough to draw from.
BLOCKS = 20
EXEMPLARS = 2
CANDIDATES_RESAMPLED = 5
OTHER_SHARE_TOLD = 0.10


@dataclass(frozen=True, slots=True)
class Goal:
    """
    What the user wants of each route: a percentile of latency, and a share of errors.
    """

    percentile: int
    target_s: float
    headroom: float
    errors_share: float


def goal_of(settings: Settings) -> Goal:
    """
    Return the goal that the settings in force ask for.
    """
    return Goal(
        percentile=settings.goal_percentile,
        target_s=settings.goal_latency_s,
        headroom=settings.goal_headroom,
        errors_share=settings.goal_errors_share,
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
    """

    part: Part
    route: str
    statement: str
    code: str
    without_s: Interval
    gain_s: float
    stability: float
    why_not: str = ""


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
class RouteNumber:
    """
    What one route shows: requests, its percentile, and whether the goal judges it.
    """

    route: str
    requests: int
    at_percentile_s: float
    judged: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """
    ONE bottleneck, or nothing.

    Attributes:
        verdict: "bottleneck" or "nothing".
        route: The route that the goal's number is of.
        now: The goal's number with its interval.
        overall_s: The same percentile over all requests, to be shown beside it.
        errors_share: Share of requests that failed.
        server: The database's version, "" where none was reached.
        trivial_s: The fastest tenth of all statements: the round trip.
    """

    verdict: str
    recording: str
    goal: Goal
    route: str
    now: Interval
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


def find(profile: Profile, goal: Goal) -> Step[Finding]:
    """
    Return what holds the app back, or that nothing does.

    Raises:
        RecordingTooShort: no route has enough requests to read the asked percentile from.
    """
    routes = route_numbers(profile, goal)
    worst = next((number for number in routes if number.judged), None)
    if worst is None:
        most = max(number.requests for number in routes)
        raise RecordingTooShort(
            requests=most, requests_min=requests_min(goal), lasted_s=profile.lasted_s, percentile=goal.percentile
        )
    server = yield Server()
    trial = Trial(profile, goal, worst.route)
    missed = worst.at_percentile_s > goal.target_s
    suspects = trial.suspects() if missed else ()
    evidence: list[Evidence] = []
    plan = table = None
    if suspects and suspects[0].statement:
        plan, table, evidence = yield from _ask_about(suspects[0])
    notes = list(_notes(profile, goal))
    if isinstance(server, Unavailable):
        notes.append(f"The database was not asked: {server.reason}")
    return Finding(
        verdict="bottleneck" if suspects else "nothing",
        recording=profile.facts.name,
        goal=goal,
        route=worst.route,
        now=trial.now(),
        overall_s=percentile(profile.requests.latency_s, goal.percentile),
        errors_share=float((profile.requests.status >= 500).mean()),
        requests=len(profile.requests),
        processes=profile.processes,
        lasted_s=profile.lasted_s,
        queue_known=profile.queue_known,
        server=server.version if isinstance(server, ServerFacts) else "",
        routes=routes,
        bottleneck=suspects[0] if suspects else None,
        runner_up=suspects[1] if len(suspects) > 1 else None,
        evidence=(*(_numbers_of(profile, trial, suspects[0]) if suspects else ()), *evidence),
        plan=plan,
        table=table,
        exemplars=_exemplars(profile, trial) if suspects else (),
        notes=tuple(notes),
    )


def requests_min(goal: Goal) -> int:
    """
    Return how many requests a percentile takes: five beyond it, or it is a handful of accidents.

    >>> requests_min(Goal(percentile=95, target_s=0.3, headroom=2, errors_share=0.01))
    100
    """
    return math.ceil(5 / (1 - goal.percentile / 100))


def route_numbers(profile: Profile, goal: Goal) -> tuple[RouteNumber, ...]:
    """
    Return each route's percentile, judged ones first, the furthest above the goal first.
    """
    total = len(profile.requests)
    numbers = []
    for index, route in enumerate(profile.routes):
        latency_s = profile.requests.latency_s[profile.requests.route == index]
        often = len(latency_s) >= min(ROUTE_SHARE_MIN * total, ROUTE_REQUESTS_MIN)
        # A rare route is judged by what it has; below twenty a percentile is its slowest request.
        enough = len(latency_s) >= min(requests_min(goal), max(20, ROUTE_SHARE_MIN * total))
        numbers.append(RouteNumber(route, len(latency_s), percentile(latency_s, goal.percentile), often and enough))
    return tuple(sorted(numbers, key=lambda number: (not number.judged, -number.at_percentile_s, number.route)))


class Trial:
    """
    The requests of one route, and what their percentile would be without this or that.

    Blocks of time are resampled, not requests: neighbours wait behind the same things.
    """

    def __init__(self, profile: Profile, goal: Goal, route: str) -> None:
        self.profile, self.percent = profile, goal.percentile
        self.route = route
        self.chosen = np.flatnonzero(profile.requests.route == profile.routes.index(route))
        self.latency_s = profile.requests.latency_s[self.chosen]
        self.pool_s = profile.seconds_on_seam("pool")
        self.holding = holding_shares(profile)
        self.draws = resampled_blocks(profile.requests.due_s[self.chosen])

    def now(self) -> Interval:
        """
        Return the goal's number as recorded.
        """
        return self.interval(self.latency_s)

    def interval(self, latency_s: Floats) -> Interval:
        """
        Return the percentile of *latency_s*, one per request of the route, with its interval.
        """
        values = [percentile(latency_s[draw], self.percent) for draw in self.draws]
        low, high = np.quantile(values, [0.1, 0.9])
        return Interval(percentile(latency_s, self.percent), float(low), float(high))

    def without(self, part: Part) -> Floats:
        """
        Return the latency of each request of the route if *part* cost nothing.
        """
        freed_s = self.profile.seconds_on(part) + self.pool_s * self.holding.get(part, 0.0)
        return np.maximum(self.latency_s - freed_s[self.chosen], 0.0)

    def suspects(self) -> tuple[Suspect, ...]:
        """
        Return what gains most and what gains most after it.
        """
        parts = [*self.profile.parts, Part("queue", ""), Part("cpu", "app"), Part("other", "")]
        left = {part: self.without(part) for part in parts}
        gains = {part: percentile(self.latency_s, self.percent) - percentile(left[part], self.percent) for part in parts}
        # Ties (a pool that one statement holds altogether) go to what has a name of its own, then by time.
        best = sorted(
            (part for part in parts if gains[part] > 0),
            key=lambda part: (-round(gains[part], 6), -float((self.latency_s - left[part]).sum()), part.seam, part.name),
        )[:CANDIDATES_RESAMPLED]
        firsts = dict.fromkeys(best, 0)
        for draw in self.draws:
            firsts[min(best, key=lambda part: percentile(left[part][draw], self.percent), default=best[0])] += 1
        suspects = []
        for place, part in enumerate(best[:2]):
            suspects.append(
                Suspect(
                    part=part,
                    route=self._route_of(part),
                    statement=self.profile.texts[part.name].text if part.name in self.profile.texts else "",
                    code=self._code_of(part),
                    without_s=self.interval(left[part]),
                    gain_s=gains[part],
                    stability=firsts[part] / len(self.draws),
                    why_not=self._why_not(part, best[0], gains) if place else "",
                )
            )
        return tuple(suspects)

    def _route_of(self, part: Part) -> str:
        seconds_s = self.profile.seconds_on(part)
        if seconds_s[self.chosen].any():
            return self.route
        spent_s = np.bincount(self.profile.requests.route, weights=seconds_s, minlength=len(self.profile.routes))
        return self.profile.routes[int(spent_s.argmax())]

    def _code_of(self, part: Part) -> str:
        if part not in self.profile.parts:
            return ""
        segments = self.profile.segments
        route = self.profile.routes.index(self._route_of(part))
        met = (segments.part == self.profile.parts.index(part)) & (self.profile.requests.route[segments.request] == route)
        spent_s = np.bincount(segments.code[met], weights=segments.own_s[met], minlength=len(self.profile.codes))
        return self.profile.codes[int(spent_s.argmax())]

    def _why_not(self, part: Part, first: Part, gains: Mapping[Part, float]) -> str:
        if part.seam == "pool":
            held = self.holding.get(first, 0.0)
            if held > 0.5:
                return (
                    f"The pool looks full, but the bottleneck holds it: "
                    f"{show_share(held)} of the waiting for a connection goes with it."
                )
        return f"Without it the number would fall by {show_seconds(gains[part])}, without the bottleneck by {show_seconds(gains[first])}."


def resampled_blocks(due_s: Floats) -> list[np.ndarray]:
    """
    Return RESAMPLES draws of indices, each a bootstrap over contiguous blocks of time.

    Args:
        due_s: Arrival of each request, seconds, any order.

    Source: Künsch 1989, the block bootstrap.  The seed is fixed: the same recording gives the same answer.
    """
    generator = np.random.Generator(np.random.PCG64(0))
    count = max(1, min(BLOCKS, len(due_s) // 5))
    edges = np.linspace(due_s.min(), due_s.max(), count + 1)
    block = np.clip(np.searchsorted(edges, due_s, side="right") - 1, 0, count - 1)
    members = [found for number in range(count) if len(found := np.flatnonzero(block == number))]
    return [
        np.concatenate([members[pick] for pick in generator.integers(0, len(members), len(members))])
        for _ in range(RESAMPLES)
    ]


def holding_shares(profile: Profile) -> dict[Part, float]:
    """
    Return for each part its share of what held connections while somebody waited for one.

    A request is taken to hold a connection from its first statement to its last, so a mail sent
    inside a transaction counts as holding it, and so does the app's own time (as Part("cpu", "app")).
    """
    segments, parts, requests = profile.segments, profile.parts, profile.requests
    if not len(segments):
        return {}
    seam_of = np.array([part.seam for part in parts])[segments.part]
    waiting, holding = seam_of == "pool", np.isin(seam_of, ("query", "commit", "connect"))
    process = requests.process[segments.request]
    shares: dict[Part, float] = {}
    for number in range(profile.processes):
        waits, own = waiting & (process == number), (process == number) & ~waiting
        if not waits.any():
            continue
        waited = _measure_of(segments.start_s[waits], (segments.start_s + segments.duration_s)[waits])
        count = len(requests)
        first_s, last_s = np.full(count, np.inf), np.full(count, -np.inf)
        held = own & holding
        np.minimum.at(first_s, segments.request[held], segments.start_s[held])
        np.maximum.at(last_s, segments.request[held], (segments.start_s + segments.duration_s)[held])
        holders = np.flatnonzero(np.isfinite(first_s))
        total_s = float((waited(last_s[holders]) - waited(first_s[holders])).sum())
        if total_s <= 0:
            continue
        places = np.flatnonzero(own)
        request = segments.request[places]
        begin = np.maximum(segments.start_s[places], first_s[request])
        end = np.minimum(segments.start_s[places] + segments.own_s[places], last_s[request])
        overlap_s = np.where(end > begin, waited(np.maximum(end, begin)) - waited(begin), 0.0)
        for index, seconds_s in enumerate(np.bincount(segments.part[places], weights=overlap_s, minlength=len(parts))):
            if seconds_s > 0:
                shares[parts[index]] = shares.get(parts[index], 0.0) + seconds_s / total_s
        rest_s = total_s - float(overlap_s.sum())
        shares[Part("cpu", "app")] = shares.get(Part("cpu", "app"), 0.0) + max(rest_s, 0.0) / total_s
    waited_in = len({int(number) for number in process[waiting]})
    return {part: min(share / max(waited_in, 1), 1.0) for part, share in shares.items()}


def _measure_of(start_s: Floats, end_s: Floats):  # type: ignore[no-untyped-def]
    """
    Return the function t -> how much of the time before t at least one of the intervals covers.
    """
    order = np.argsort(start_s, kind="stable")
    start_s, end_s = start_s[order], np.maximum.accumulate(end_s[order])
    begins = np.concatenate([[True], start_s[1:] > end_s[:-1]])
    opens = start_s[begins]
    closes = end_s[np.concatenate([begins[1:], [True]])]
    edges = np.column_stack([opens, closes]).ravel()
    covered = np.concatenate([[0.0], np.cumsum(np.tile([1.0, 0.0], len(opens))[:-1] * np.diff(edges))])
    return lambda at_s: np.interp(at_s, edges, covered)


def _ask_about(suspect: Suspect) -> Step[tuple[Plan | None, Table | None, list[Evidence]]]:
    """
    Ask the database for the statement's plan, and for the table that costs most in it.
    """
    plan = yield Explain(suspect.statement)
    if isinstance(plan, Unavailable):
        return None, None, [Evidence("plan", f"No plan: {plan.reason}")]
    scan = costliest_scan(plan)
    if scan is None:
        return plan, None, []
    node = plan.nodes[scan]
    table = yield Describe(node.schema, node.relation)
    if isinstance(table, Unavailable):
        return plan, None, [Evidence("plan", f"{node.kind} of {node.relation}; no statistics: {table.reason}")]
    text = (
        f"{node.kind.lower()} of {node.relation} ({show_count(table.rows)} rows, {show_bytes(table.size_bytes)})"
        f", planner's cost {show_count(plan.cost)}"
    )
    figures = {"table_rows": table.rows, "table_size_bytes": float(table.size_bytes), "cost": plan.cost}
    return plan, table, [Evidence("plan", text, figures)]


def costliest_scan(plan: Plan) -> int | None:
    """
    Return the place of the node that reads a table at the highest cost, None if no node reads one.
    """
    scans = [place for place, node in enumerate(plan.nodes) if node.relation]
    return max(scans, key=lambda place: plan.nodes[place].cost, default=None)


def _numbers_of(profile: Profile, trial: Trial, suspect: Suspect) -> tuple[Evidence, ...]:
    spent_s = profile.seconds_on(suspect.part)
    total_s = float(profile.requests.latency_s[trial.chosen].sum())
    share = float(spent_s[trial.chosen].sum()) / total_s if total_s else 0.0
    found = [
        Evidence(
            "share",
            f"{show_share(share)} of the time of {trial.route} is spent on it",
            {"share": share},
        )
    ]
    if suspect.part in profile.parts:
        segments = profile.segments
        met = segments.part == profile.parts.index(suspect.part)
        calls = int(segments.calls[met].sum())
        users = len(np.unique(segments.request[met]))
        median_s = float(np.median(segments.own_s[met] / segments.calls[met]))
        each = calls / users
        found.insert(
            0,
            Evidence(
                "calls",
                f"{show_seconds(median_s)} median, n = {show_count(calls)}, "
                + ("one call a request" if each < 1.05 else f"{each:.1f} calls a request"),
                {"median_s": median_s, "calls": float(calls), "calls_per_request": each},
            ),
        )
        rows = segments.rows[met & (segments.rows >= 0)]
        if len(rows):
            kept = float(np.median(rows))
            found.append(Evidence("rows", f"gives {show_count(kept)} rows (median)", {"rows": kept}))
    held = trial.holding.get(suspect.part, 0.0)
    if held >= 0.05 and trial.pool_s[trial.chosen].sum() > 0.01 * total_s:
        found.append(
            Evidence(
                "holds",
                f"holds connections for {show_share(held)} of the time that others wait for one",
                {"holding_share": held},
            )
        )
    return tuple(found)


def _exemplars(profile: Profile, trial: Trial) -> tuple[Exemplar, ...]:
    """
    Return the request at the goal's percentile, and the median one to hold against it.
    """
    order = trial.chosen[np.argsort(trial.latency_s, kind="stable")]
    places = [math.ceil(trial.percent / 100 * len(order)) - 1, (len(order) - 1) // 2]
    return tuple(_exemplar(profile, trial.route, int(order[place])) for place in places[:EXEMPLARS])


def _exemplar(profile: Profile, route: str, number: int) -> Exemplar:
    requests, segments = profile.requests, profile.segments
    due_s = float(requests.due_s[number])
    queue_s = float(requests.queue_s[number])
    spans = [Span("queue", "", 0.0, queue_s)] if queue_s > 0 else []
    low, high = np.searchsorted(segments.request, [number, number + 1])
    for place in range(low, high):
        part = profile.parts[segments.part[place]]
        spans.append(
            Span(
                part.seam,
                part.name,
                float(segments.start_s[place]) - due_s,
                float(segments.duration_s[place]),
                int(segments.calls[place]),
            )
        )
    return Exemplar(route, due_s, float(requests.latency_s[number]), tuple(spans))


def _notes(profile: Profile, goal: Goal) -> tuple[str, ...]:
    notes = []
    facts = profile.facts
    other = float(profile.requests.other_s.sum() / max(profile.requests.latency_s.sum(), 1e-9))
    if other > OTHER_SHARE_TOLD:
        notes.append(f"{show_share(other)} of all time is seen by no instrument: waiting that is neither SQL nor mail, or code in tasks of its own.")
    if not profile.queue_known:
        notes.append("Latency starts when the app took the request: what came before it was not recorded (no X-Request-Start).")
    if facts.dropped:
        notes.append(f"{show_count(facts.dropped)} requests were dropped by the recorder and are missing here.")
    if facts.failures:
        notes.append(f"{show_count(facts.failures)} errors inside the recorder; the app was not touched by them.")
    if not facts.sealed:
        notes.append("The recorder was ended before its time; what it had written until then is read.")
    failed = float((profile.requests.status >= 500).mean())
    if failed > goal.errors_share:
        notes.append(f"{show_share(failed)} of the requests failed; the goal allows {show_share(goal.errors_share)}.")
    return tuple(notes)
