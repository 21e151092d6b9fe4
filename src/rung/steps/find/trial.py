"""
Take one thing away in thought and read the goal's percentile again.

In        a Profile, the goal's percentile and route
Out       what gains most and what gains most after it, with intervals over blocks of time
Not here  which route is the goal's (the step), evidence and words (evidence.py)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rung.steps.find.finding import Goal, Interval, Suspect
from rung.steps.measure import Floats, Integers, Part, Profile, percentile
from rung.units import show_seconds, show_share

RESAMPLES = 200
# Blocks of a bootstrap must be longer than what one slow request disturbs, and numerous enough to draw from.
BLOCKS = 20
CANDIDATES_RESAMPLED = 5


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
        gains = {
            part: percentile(self.latency_s, self.percent) - percentile(left[part], self.percent) for part in parts
        }
        # Ties (a pool that one statement holds altogether) go to what has a name of its own, then by time.
        # Where two causes are of one height, no single thing gains; then time alone decides.
        gaining = [part for part in parts if gains[part] > 0]
        best = sorted(
            gaining or [part for part in parts if (left[part] < self.latency_s).any()],
            key=lambda part: (
                -round(gains[part], 6),
                -float((self.latency_s - left[part]).sum()),
                part.seam,
                part.name,
            ),
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
        met = (segments.part == self.profile.parts.index(part)) & (
            self.profile.requests.route[segments.request] == route
        )
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
        return (
            f"Without it the number would fall by {show_seconds(gains[part])}, "
            f"without the bottleneck by {show_seconds(gains[first])}."
        )


def resampled_blocks(due_s: Floats) -> list[Integers]:
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
    inside a transaction counts as holding it, and so does what no segment covers (as cpu and other, in
    the request's own proportion).
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
        held_s = np.zeros(count)
        held_s[holders] = waited(last_s[holders]) - waited(first_s[holders])
        total_s = float(held_s.sum())
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
        rest_s = np.maximum(held_s - np.bincount(segments.request[places], weights=overlap_s, minlength=count), 0.0)
        unseen_s = requests.cpu_s + requests.other_s
        cpu_s = rest_s * np.divide(requests.cpu_s, unseen_s, out=np.ones(count), where=unseen_s > 0)
        for part, seconds_s in ((Part("cpu", "app"), cpu_s.sum()), (Part("other", ""), (rest_s - cpu_s).sum())):
            shares[part] = shares.get(part, 0.0) + float(seconds_s) / total_s
    waited_in = len({int(number) for number in process[waiting]})
    return {part: min(share / max(waited_in, 1), 1.0) for part, share in shares.items()}


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
