"""
Take one thing away in thought and read the goal's percentile again.

In        a Profile, the goal's percentile and route
Out       what gains most and what gains most after it, with intervals over blocks of time
Not here  which route is the goal's (the step), evidence and words (evidence.py), what the twin says of each candidate
          (counterfactual.py)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rung.steps.find.finding import Goal, Interval, Suspect
from rung.steps.find.resample import Resamples, resampled_blocks
from rung.steps.measure import CPU, OTHER, QUEUE, Floats, Integers, Part, Profile, percentile
from rung.units import show_count, show_seconds, show_share

CANDIDATES_RESAMPLED = 5
# What a request waits for, not what it asks for.
WAITED_FOR = frozenset({"queue", "loop", "pool", "threads"})
RATE_NEAR = 0.9
RATE_GAIN_MIN = 0.01  # what lets the app bear less than that more is no bottleneck


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    One thing that could be taken away: a part, and the route whose computing it is where it is that.
    """

    part: Part
    route: str = ""


class Trial:
    """
    The requests of one route, and what their percentile would be without this or that.

    Left as recorded is what others wait for: so a gain is a lower bound where queues are long.
    """

    def __init__(self, profile: Profile, goal: Goal, route: str) -> None:
        self.profile, self.percent = profile, goal.percentile
        self.route = route
        self.chosen = np.flatnonzero(profile.requests.route == profile.routes.index(route))
        self.latency_s = profile.requests.latency_s[self.chosen]
        self.pool_s = profile.seconds_on_seam("pool")
        self.holding = holding_shares(profile)
        self.resamples = resampled_blocks(profile.requests.due_s[self.chosen])

    def now(self) -> Interval:
        """
        Return the goal's number as recorded.
        """
        return interval(self.latency_s, self.resamples, self.percent)

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
        parts = [*self.profile.parts, QUEUE, CPU, OTHER]
        left = {Candidate(part, self.route if part == CPU else ""): self.without(part) for part in parts}
        return self.ranked(self.latency_s, left, self.resamples)

    def ranked(self, latency_s: Floats, left: Mapping[Candidate, Floats], resamples: Resamples) -> tuple[Suspect, ...]:
        """
        Return the first two of the candidates, whose taking away leaves *left* of *latency_s*, one a request.
        """
        now_s = percentile(latency_s, self.percent)
        gains = {each: now_s - percentile(left[each], self.percent) for each in left}
        # Ties (a pool that one statement holds altogether) go to what has a name of its own, then by time.
        # Where two causes are of one height, no single thing gains; then time alone decides.
        gaining = [each for each in left if gains[each] > 0]
        best = sorted(
            gaining or [each for each in left if (left[each] < latency_s).any()],
            key=lambda each: (
                -round(gains[each], 6),
                -float((latency_s - left[each]).sum()),
                each.part.seam,
                each.part.name,
                each.route,
            ),
        )[:CANDIDATES_RESAMPLED]
        if not best:
            return ()
        # In each resample the one without which the least is left comes first.
        firsts = np.argmin([resamples.percentiles(left[each], self.percent) for each in best], axis=0)
        return tuple(
            Suspect(
                part=each.part,
                route=each.route or self._route_of(each.part),
                statement=self.profile.text_of(each.part),
                code=self._code_of(each),
                without_s=interval(left[each], resamples, self.percent),
                gain_s=gains[each],
                stability=float((firsts == place).mean()),
                why_not=self._why_not(each, best[0], gains) if place else "",
            )
            for place, each in enumerate(best[:2])
        )

    def bearing(self, now_per_s: float, rates: Mapping[Candidate, float]) -> tuple[Suspect, ...]:
        """
        Return the first two by how many requests a second the app would bear without them, which is *rates*.
        """
        most = max(rates.values(), default=0.0) * RATE_NEAR
        # Of what brings about as much, what is worked on goes before what is waited for: that one holds the other.  Of
        # what is waited for, more processes bring more of all; what was waited for most is what is short.
        best = sorted(
            (each for each in rates if rates[each] > now_per_s * (1 + RATE_GAIN_MIN)),
            key=lambda each: (
                rates[each] < most,
                each.part.seam in WAITED_FOR,
                -round(self._waited_s(each), 3),
                -round(rates[each], 3),
                each.part.seam,
                each.part.name,
                each.route,
            ),
        )[:2]
        now_s = percentile(self.latency_s, self.percent)
        told = []
        for place, each in enumerate(best):
            left_s = self.without(each.part)
            why_not = (
                f"Without it the app would bear {_rate(rates[each])}, without the bottleneck {_rate(rates[best[0]])}."
            )
            told.append(
                Suspect(
                    part=each.part,
                    route=each.route or self._route_of(each.part),
                    statement=self.profile.text_of(each.part),
                    code=self._code_of(each),
                    without_s=interval(left_s, self.resamples, self.percent),
                    gain_s=now_s - percentile(left_s, self.percent),
                    stability=1.0,
                    why_not=why_not if place else "",
                    bears_per_s=rates[each] if math.isfinite(rates[each]) else None,
                )
            )
        return tuple(told)

    def _waited_s(self, candidate: Candidate) -> float:
        if candidate.part.seam not in WAITED_FOR:
            return 0.0
        return float((self.latency_s - self.without(candidate.part)).sum())

    def _route_of(self, part: Part) -> str:
        seconds_s = self.profile.seconds_on(part)
        if seconds_s[self.chosen].any() or not seconds_s.any():
            return self.route
        spent_s = np.bincount(self.profile.requests.route, weights=seconds_s, minlength=len(self.profile.routes))
        return self.profile.routes[int(spent_s.argmax())]

    def _code_of(self, candidate: Candidate) -> str:
        part = candidate.part
        if part not in self.profile.parts:
            return ""
        segments = self.profile.segments
        route = self.profile.routes.index(candidate.route or self._route_of(part))
        met = (segments.part == self.profile.parts.index(part)) & (
            self.profile.requests.route[segments.request] == route
        )
        spent_s = np.bincount(segments.code[met], weights=segments.own_s[met], minlength=len(self.profile.codes))
        return self.profile.codes[int(spent_s.argmax())]

    def _why_not(self, candidate: Candidate, first: Candidate, gains: Mapping[Candidate, float]) -> str:
        if candidate.part.seam == "pool":
            held = self.holding.get(first.part, 0.0)
            if held > 0.5:
                return (
                    f"The pool looks full, but the bottleneck holds it: "
                    f"{show_share(held)} of the waiting for a connection goes with it."
                )
        return (
            f"Without it the number would fall by {show_seconds(gains[candidate])}, "
            f"without the bottleneck by {show_seconds(gains[first])}."
        )


def interval(latency_s: Floats, resamples: Resamples, percent: int) -> Interval:
    """
    Return the percentile of *latency_s*, one a request, with its interval over *resamples* of blocks.
    """
    low, high = np.quantile(resamples.percentiles(latency_s, percent), [0.1, 0.9])
    return Interval(percentile(latency_s, percent), float(low), float(high))


def holding_shares(profile: Profile) -> dict[Part, float]:
    """
    Return for each part its share of what held connections while somebody waited for one.

    Pools belong to processes, so each process has shares of its own; here they count by how long was waited in it.
    """
    segments, parts, requests = profile.segments, profile.parts, profile.requests
    if not len(segments):
        return {}
    seam_of = np.array([part.seam for part in parts])[segments.part]
    process = requests.process[segments.request]
    order = np.argsort(process, kind="stable")
    shares: dict[Part, float] = {}
    for own in np.split(order, np.searchsorted(process[order], np.arange(1, profile.processes))):
        waits = own[seam_of[own] == "pool"]
        waited_s = float(segments.own_s[waits].sum())
        if waited_s <= 0:
            continue
        held = _seconds_held(profile, own[seam_of[own] != "pool"], waits, seam_of)
        total_s = sum(held.values())
        for part, seconds_s in held.items():
            shares[part] = shares.get(part, 0.0) + waited_s * seconds_s / total_s
    all_s = float(segments.own_s[seam_of == "pool"].sum())
    return {part: min(share_s / all_s, 1.0) for part, share_s in shares.items()}


def _seconds_held(profile: Profile, work: Integers, waits: Integers, seam_of: NDArray[np.str_]) -> dict[Part, float]:
    """
    Return for each part the seconds that it held connections while one of *waits* went on; {} if none did.

    A request is taken to hold a connection from its first statement to its last, so a mail sent
    inside a transaction counts as holding it, and so does what no segment covers (as cpu and other, in
    the request's own proportion).

    Args:
        work: The places of the process's segments but for its waits for a connection.
        waits: The places of those.
    """
    segments, requests = profile.segments, profile.requests
    end_s = segments.start_s + segments.duration_s
    waited = _measure_of(segments.start_s[waits], end_s[waits])
    served, request = np.unique(segments.request[work], return_inverse=True)
    first_s, last_s = np.full(len(served), np.inf), np.full(len(served), -np.inf)
    holding = np.isin(seam_of[work], ("query", "commit", "connect"))
    np.minimum.at(first_s, request[holding], segments.start_s[work[holding]])
    np.maximum.at(last_s, request[holding], end_s[work[holding]])
    holders = np.isfinite(first_s)
    held_s = np.zeros(len(served))
    held_s[holders] = waited(last_s[holders]) - waited(first_s[holders])
    if held_s.sum() <= 0:
        return {}
    begin_s = np.maximum(segments.start_s[work], first_s[request])
    until_s = np.minimum(segments.start_s[work] + segments.own_s[work], last_s[request])
    overlap_s = np.where(until_s > begin_s, waited(np.maximum(until_s, begin_s)) - waited(begin_s), 0.0)
    by_part_s = np.bincount(segments.part[work], weights=overlap_s, minlength=len(profile.parts))
    rest_s = np.maximum(held_s - np.bincount(request, weights=overlap_s, minlength=len(served)), 0.0)
    cpu_s, other_s = requests.cpu_s[served], requests.other_s[served]
    cpu_share = np.divide(cpu_s, cpu_s + other_s, out=np.ones(len(served)), where=cpu_s + other_s > 0)
    held = {part: float(seconds_s) for part, seconds_s in zip(profile.parts, by_part_s, strict=True) if seconds_s > 0}
    for part, seconds_s in ((CPU, rest_s * cpu_share), (OTHER, rest_s * (1 - cpu_share))):
        held[part] = held.get(part, 0.0) + float(seconds_s.sum())
    return held


def _measure_of(start_s: Floats, end_s: Floats) -> Callable[[Floats], Floats]:
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


def _rate(per_s: float) -> str:
    return f"{show_count(per_s)} requests/s" if math.isfinite(per_s) else "more than could be told"
