"""
Move: keep what a route answers, or what a statement gives, for a short time.

In        the recording's reads: digests of what was asked and of what came back
Out       variants: the whole route, and the statement it spends most on, for each time to live worth having
Not here  putting reads through a cache (replay.py), the cache itself (the kit), invalidation

How often a cache hits is not assumed: the recorded reads are put through one.  Requests whose reads are not in the
sample of keys hit as often as those that are, drawn one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from rung.moves.replay import Replayed, replay
from rung.ports import Column, Rows, Step
from rung.steps.measure import CPU, QUEUE, Floats, Integers, Part, Profile
from rung.steps.measure.questions import sql
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.variant import Model, Variant, unchanged
from rung.steps.twin.workload import Op, Workload
from rung.units import show_count, show_seconds, show_share

TTLS_S = (1.0, 5.0, 15.0, 60.0, 300.0)
# Assumed, of the app's own computing: finding the answer in a cache and sending it.  What it computed before and after
# all that it asked for stays, for that is its framework's; of an app that asks for nothing no more than the larger.
HIT_S_MIN, HIT_S_MAX = 5e-4, 2e-3
HITS_MIN = 0.05  # of the reads; below it a cache is not worth having
HITS_MORE = 0.02  # a longer time to live has to bring so much more, or the shorter one does
STALE_MAX = 0.05  # of the hits; above it people see it
READS_MIN = 50
SEED = 1  # the same recording gives the same price
NO_READ = -1
WHOLE = Part("", "")  # among what reads are of: the response as a whole


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """
    Columns with one entry a read, in order of time.

    Attributes:
        request: Index into Profile.requests.
        parts: What reads are of: statements, and WHOLE.
        part: Index into parts.
        key: Digest of what was asked.
        result: Digest of what came back.
        known: Whether it has one: a result that was not read whole has none, and could not be kept.
        at_s: When it was asked; only differences count.
        share: Of all keys, those whose reads were kept.
    """

    request: Integers
    parts: tuple[Part, ...]
    part: Integers
    key: Integers
    result: Integers
    known: NDArray[np.bool_]
    at_s: Floats
    share: float

    def of(self, part: Part) -> Integers:
        """
        Return the places of the reads of *part*.
        """
        return np.flatnonzero(self.part == (self.parts.index(part) if part in self.parts else -1))


_NONE = np.zeros(0, dtype=np.int64)
NOTHING_READ = Reads(
    request=_NONE, parts=(), part=_NONE, key=_NONE, result=_NONE, known=_NONE > 0, at_s=np.zeros(0), share=1.0
)


def reads_of(rows: dict[str, Column]) -> Reads:
    """
    Return the Reads of rows as reads.sql gives them.
    """
    named = list(zip(rows["seam"].tolist(), rows["name"].tolist(), strict=True))
    names = sorted(set(named))
    place = {name: number for number, name in enumerate(names)}
    return Reads(
        request=rows["request"].astype(np.int64),
        parts=tuple(Part(*name) for name in names),
        part=np.array([place[name] for name in named], dtype=np.int64),
        key=rows["key"].astype(np.int64),
        result=rows["result"].astype(np.int64),
        known=rows["known"].astype(np.bool_),
        at_s=rows["at_s"].astype(np.float64),
        share=2.0 ** -int(rows["depth"][0]) if named else 1.0,
    )


@dataclass(frozen=True, slots=True)
class Cached:
    """
    What a cache would have done with the reads of one part.

    Attributes:
        hit_share: Of its reads, those without a digest included.
        off_share: By how much that may be off, since not all keys were kept.
        request: Of each read, index into Profile.requests; ascending.
        hit: Whether it would have hit.
        share: Of all keys, those that were kept; below 1, a request without a read may have one.
    """

    hit_share: float
    stale_share: float
    off_share: float
    request: Integers
    hit: NDArray[np.bool_]
    share: float


def cached(reads: Reads, met: Integers, ttl_s: float) -> Cached:
    """
    Return what a cache with that time to live would have done with the reads at the places *met*.
    """
    known = met[reads.known[met]]
    told: Replayed = replay(reads.key[known], reads.result[known], reads.at_s[known], reads.share, ttl_s)
    hit = np.zeros(len(met), dtype=np.bool_)
    hit[reads.known[met]] = told.hit
    kept = len(known) / max(len(met), 1)
    order = np.argsort(reads.request[met], kind="stable")
    return Cached(
        hit_share=told.hit_share * kept,
        stale_share=told.stale_share,
        off_share=told.off_share * kept,
        request=reads.request[met][order],
        hit=hit[order],
        share=reads.share,
    )


class CacheMove:
    """
    Offer a time to live for the route, and for the statement that it spends most on.
    """

    kind = "cache"
    rung = 2

    def __init__(self, reads: Reads = NOTHING_READ) -> None:
        self.reads = reads

    def asked(self) -> Step[CacheMove]:
        """
        Ask the recording for its reads; return the move that has them.
        """
        question = resources.files(__package__).joinpath("reads.sql").read_text("utf-8")
        rows = yield Rows(sql("kept") + question)
        return CacheMove(reads_of(rows))

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        """
        Return the times to live worth having, shortest first: of the route, then of the statement.
        """
        found: list[Variant] = []
        if goal_route.startswith("GET "):
            met = self.reads.of(WHOLE)
            of_route = profile.requests.route[self.reads.request[met]] == profile.routes.index(goal_route)
            found += self._times(profile, WHOLE, goal_route, met[of_route])
        statement = _costliest(profile, workload, goal_route)
        if statement is not None:
            found += self._times(profile, statement, goal_route, self.reads.of(statement))
        return tuple(found)

    def _times(self, profile: Profile, part: Part, route: str, met: Integers) -> list[Variant]:
        if len(met) < READS_MIN:
            why_not = (
                f"{show_count(len(met))} of its reads were digested; it takes {READS_MIN} to tell hits from misses"
            )
            return [_variant(part, route, None, TTLS_S[0], why_not=why_not, models=(unchanged,))]
        found: list[Variant] = []
        reached = -1.0
        for ttl_s in TTLS_S:
            told = cached(self.reads, met, ttl_s)
            if told.hit_share < reached + HITS_MORE:
                continue
            reached = told.hit_share
            ends = [told.hit_share]
            if told.off_share:
                ends += [min(told.hit_share + told.off_share, 1.0), max(told.hit_share - told.off_share, 0.0)]
            models = tuple(_model(profile, part, route, told, end) for end in ends)
            found.append(_variant(part, route, told, ttl_s, why_not=_why_not(told), models=models))
        # Where even the longest hardly hits, one line says so; where a shorter one does not, it is not worth a line.
        worth = [each for each in found if not each.why_not_yet]
        return worth or found[-1:]


def kept_route(profile: Profile, route: str, told: Cached, hit_share: float) -> Model:
    """
    Return the model in which requests of *route* that hit only find their answer, and do nothing after it.

    Args:
        hit_share: Of the requests of whose reads nothing is known.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        known = np.full(len(profile.requests), NO_READ)
        known[told.request] = told.hit
        recorded = recorded_as(profile, workload)
        # Where all keys were kept, what has no read could not be digested, and a cache could not keep it.
        hit = np.where(recorded >= 0, known[recorded], NO_READ)
        open_ = (hit == NO_READ) & ((recorded < 0) | (told.share < 1))
        hit = np.where(open_, _draws(len(workload)) < hit_share, hit == 1)
        hit &= workload.route == (workload.routes.index(route) if route in workload.routes else -1)
        request = workload.request
        # The way from the load balancer stays.
        spared = np.flatnonzero(hit[request] & (workload.part != workload.part_of(QUEUE)))
        leads = spared[edit.firsts(request[spared])]
        all_s = np.bincount(request[spared], workload.service_s[spared], minlength=len(workload))
        found_s = np.minimum(all_s, np.clip(_around(workload), HIT_S_MIN, HIT_S_MAX))[request[leads]]
        lead, gone = edit.chosen_of(workload, leads), edit.chosen_of(workload, spared)
        short = edit.asking(workload, lead, Op.COMPUTE, part=0)
        return edit.dropped(edit.replaced(short, lead, found_s), gone & ~lead), topology

    return model


def _around(workload: Workload) -> Floats:
    """
    Return for each request what is computed before it asks for anything and after it did, until the answer.
    """
    place, request = np.arange(len(workload.op)), workload.request
    asks = ~np.isin(workload.part, (workload.part_of(CPU), workload.part_of(QUEUE)))
    first, last = np.full(len(workload), len(place)), np.full(len(workload), -1)
    np.minimum.at(first, request[asks], place[asks])
    np.maximum.at(last, request[asks], place[asks])
    outside = (place < first[request]) | (place > last[request])
    chosen = outside & edit.spent_on(workload, CPU, ops=(Op.COMPUTE,)) & edit.before_answer(workload)
    return np.bincount(request[chosen], workload.service_s[chosen], minlength=len(workload)).astype(np.float64)


def kept_result(profile: Profile, part: Part, told: Cached, hit_share: float) -> Model:
    """
    Return the model in which executions of *part* that hit take a round trip, and nothing of the database.

    Args:
        hit_share: Of the executions of which nothing is known.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        executed = np.flatnonzero(edit.spent_on(workload, part, ops=(Op.EXECUTE,)))
        request = workload.request[executed]
        recorded = recorded_as(profile, workload)[request]
        calls = np.bincount(request, minlength=len(workload))
        reads = np.bincount(told.request, minlength=len(profile.requests))
        # The nth execution of a request is the nth read of it, if all of them were kept.
        sure = (recorded >= 0) & (reads[recorded] == calls[request])
        nth = np.arange(len(request)) - np.searchsorted(request, request)
        place = np.searchsorted(told.request, recorded) + nth
        hit = _draws(len(executed)) < hit_share
        hit[sure] = told.hit[place[sure]]
        helps = np.flatnonzero(edit.spent_on(workload, part, ops=(Op.HELP,)))
        helped = np.minimum(np.searchsorted(executed, helps), len(executed) - 1)  # the execution that follows
        gone = np.concatenate([executed[hit], helps[hit[helped]]])
        return edit.dropped(workload, edit.chosen_of(workload, gone)), topology

    return model


def recorded_as(profile: Profile, workload: Workload) -> Integers:
    """
    Return for each request of the workload which of the profile's it is, -1 where that is not sure.
    """
    order = np.argsort(profile.requests.due_s, kind="stable")
    due_s = profile.requests.due_s[order]
    low = np.searchsorted(due_s, workload.due_s)
    alone = np.searchsorted(due_s, workload.due_s, side="right") - low == 1
    found = order[np.minimum(low, len(order) - 1)]
    names = {name: number for number, name in enumerate(profile.routes)}
    route = np.array([names.get(name, -1) for name in workload.routes], dtype=np.int64)[workload.route]
    return np.where(alone & (profile.requests.route[found] == route), found, -1)


def _model(profile: Profile, part: Part, route: str, told: Cached, hit_share: float) -> Model:
    return kept_route(profile, route, told, hit_share) if part == WHOLE else kept_result(profile, part, told, hit_share)


def _draws(count: int) -> Floats:
    return np.random.Generator(np.random.PCG64(SEED)).random(count)


def _costliest(profile: Profile, workload: Workload, route: str) -> Part | None:
    """
    Return the reading statement that requests of *route* spend most on, None where there is none.
    """
    of_route = edit.on_route(workload, route)
    spent_s = {
        part: float(workload.service_s[edit.spent_on(workload, part, ops=(Op.EXECUTE,)) & of_route].sum())
        for part in workload.parts
        if part.seam == "query" and part.name in profile.texts and profile.texts[part.name].kind == "read"
    }
    met = [part for part, seconds_s in spent_s.items() if seconds_s > 0]
    return max(met, key=lambda part: (spent_s[part], part.name), default=None)


def _why_not(told: Cached) -> str:
    if told.hit_share < HITS_MIN:
        return f"{show_share(told.hit_share)} of the reads would hit"
    if told.stale_share > STALE_MAX:
        return f"{show_share(told.stale_share)} of the hits would be stale"
    return ""


def _variant(
    part: Part, route: str, told: Cached | None, ttl_s: float, *, why_not: str, models: tuple[Model, ...]
) -> Variant:
    what = f"what {route} answers" if part == WHOLE else f"what the statement [{part.name[:8]}] gives"
    assumptions = [
        "finding a kept answer takes what the app computes before and after all that it asks for: "
        f"{show_seconds(HIT_S_MIN)} to {show_seconds(HIT_S_MAX)}"
        if part == WHOLE
        else "finding a kept result takes as long as the way to the database and back",
        "path and query alone decide the answer; where it differs by user, that was counted as stale"
        if part == WHOLE
        else "its parameters alone decide the result",
        "as many hits with more traffic, though there would be more",
    ]
    if told is not None and told.share < 1:
        assumptions.append(f"hits are those of {show_share(told.share)} of the keys, whose reads were all digested")
    name = route if part == WHOLE else part.name
    return Variant(
        name=f"cache:{name}({ttl_s:g}s)" if told is not None else f"cache:{name}",
        rung=CacheMove.rung,
        what=f"keep {what}" + (f" for {show_seconds(ttl_s)}" if told is not None else ""),
        cost=f"hits {show_share(told.hit_share)}, stale {show_share(told.stale_share)}" if told is not None else "–",
        assumptions=tuple(assumptions),
        taken_as="hand",
        model=models[0],
        bounds=models[1:],
        why_not_yet=why_not,
    )
