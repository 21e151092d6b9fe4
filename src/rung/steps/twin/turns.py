"""
Tell what of a request's time it waited for its turn in its process, where no segment says so.

One interpreter computes one thing at a time.  While it computes for one request, the others that could go on wait: for
the event loop, or for the interpreter's lock.  Much of that is in the recording as waiting; the rest looks like a gap
in which nothing was done, or like a statement that took long because nobody was there to take its answer.  What
others computed meanwhile tells it: only what they computed without a pause until this request went on, for what they
did before that was in nobody's way.

In        a Profile, its Pieces
Out       Turns: of each gap its computing and what is left of it unexplained; of each query its time without waiting
Not here  cores that were shared (service.py), segments that say that they waited (recover.py)

How much of a request's computing was in which of its gaps is not recorded.  It is where others left time for it,
which is found in rounds: at first in all gaps alike, then by what the others' computing leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rung.steps.measure import Floats, Profile
from rung.steps.twin.pieces import Pieces

ROUNDS = 6
LEFT_SHARE_MIN = 0.02  # of a gap that others took altogether; a request may compute nowhere else
ALONE_SHARE = 0.1  # what others computed during a query, of its time, at most, for it to tell what it takes by itself
ALONE_MIN = 10
FULL_SHARE = 0.8  # of a time that was computed in; when exactly, within a gap, is not recorded
RUN_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """
    Seconds.

    Attributes:
        computing_s, other_s: Of each gap before a piece: the request's computing, and what nothing explains.
        last_computing_s, last_other_s: Of each request, the same of the gap after its last piece.
        own_s: Of each piece its own time; of a query less what it waited for its process.
    """

    computing_s: Floats
    other_s: Floats
    last_computing_s: Floats
    last_other_s: Floats
    own_s: Floats


def turns_of(profile: Profile, pieces: Pieces) -> Turns:
    """
    Return the gaps and queries of *profile* without what others computed in the same process.
    """
    requests, request = profile.requests, profile.segments.request
    count = len(requests)
    tail_s = requests.arrived_s + requests.latency_s - requests.queue_s
    of = np.concatenate([request, np.arange(count)])
    end_s = np.concatenate([pieces.start_s, tail_s])
    length_s = np.concatenate([pieces.gap_s, pieces.left_s])
    # Without any gap the rest of a request has no place; it is done last.
    lost = np.bincount(of, weights=length_s, minlength=count) <= 0
    axis = Axis(profile)
    begin_at, end_at = axis.of(end_s - length_s, of), axis.of(end_s, of)

    # What computes, or holds its loop, has segments of its own that say when.
    busy = np.flatnonzero((pieces.computes | pieces.holds) & (profile.segments.calls == 1))
    left_s, computing_s = length_s, np.zeros(len(of))
    for _ in range(ROUNDS):
        all_left_s = np.bincount(of, weights=left_s, minlength=count)
        share = np.divide(left_s, all_left_s[of], out=np.zeros(len(of)), where=all_left_s[of] > 0)
        computing_s = np.minimum(requests.cpu_s[of] * share, length_s)
        computed = _Computed(
            np.concatenate([begin_at, axis.of(pieces.start_s[busy], request[busy])]),
            np.concatenate([end_at, axis.of(pieces.end_s[busy], request[busy])]),
            np.concatenate([computing_s, (pieces.end_s - pieces.start_s)[busy]]),
        )
        others_s = np.maximum(computed.between(begin_at, end_at) - computing_s, 0.0)
        left_s = np.maximum(length_s - others_s, LEFT_SHARE_MIN * length_s)
    ran_s = computed.run_s(end_at, length_s)
    in_way_s = np.clip(computed.between(end_at - ran_s, end_at) - np.minimum(computing_s, ran_s), 0.0, others_s)
    other_s = _other_s(requests.other_s, of, np.maximum(length_s - computing_s, 0.0), in_way_s)
    gaps = len(request)
    return Turns(
        computing_s=computing_s[:gaps],
        other_s=other_s[:gaps],
        last_computing_s=np.where(lost, requests.cpu_s, computing_s[gaps:]),
        last_other_s=np.where(lost, requests.other_s, other_s[gaps:]),
        own_s=_own_s(profile, pieces, computed, axis),
    )


def _other_s(all_s: Floats, of: np.ndarray, rest_s: Floats, others_s: Floats) -> Floats:
    """
    Return what is left of each gap without computing, the request's and the others'; no more than was recorded of it.
    """
    unexplained_s = np.maximum(rest_s - others_s, 0.0)
    found_s = np.bincount(of, weights=unexplained_s, minlength=len(all_s))
    scale = np.divide(all_s, found_s, out=np.ones(len(all_s)), where=found_s > all_s)
    other_s: Floats = unexplained_s * scale[of]
    return other_s


def _own_s(profile: Profile, pieces: Pieces, computed: _Computed, axis: Axis) -> Floats:
    """
    Return each piece's own time; a query's answer waits for its process, for what others computed until it was taken.

    A query is as long as those of its statement during which nobody computed, unless it is shorter: the database
    works while the app computes.
    """
    segments = profile.segments
    own_s = pieces.own_s.copy()
    queries = np.flatnonzero(pieces.query & ~pieces.side_by_side[segments.request])
    begin_at, end_at = (axis.of(at_s[queries], segments.request[queries]) for at_s in (pieces.start_s, pieces.end_s))
    # What it waited as a segment of its own is not in its own time.
    ran_s = computed.run_s(end_at, end_at - begin_at)
    meanwhile_s = computed.between(end_at - ran_s, end_at) - (pieces.end_s - pieces.start_s - pieces.own_s)[queries]
    meanwhile_s = np.clip(meanwhile_s, 0.0, own_s[queries])
    part = segments.part[queries]
    for place in np.unique(part):
        ours = np.flatnonzero(part == place)
        was_s, others_s = own_s[queries[ours]], meanwhile_s[ours]
        alone = others_s <= ALONE_SHARE * was_s
        if alone.sum() < ALONE_MIN:
            alone = others_s <= np.quantile(others_s / np.maximum(was_s, 1e-9), ALONE_SHARE) * was_s
        typical_s = float(np.median(was_s[alone])) if alone.any() else 0.0
        own_s[queries[ours]] = np.maximum(was_s - others_s, np.minimum(was_s, typical_s))
    return own_s


class Axis:
    """
    One axis of time for all processes: each has a stretch of its own.
    """

    def __init__(self, profile: Profile) -> None:
        requests = profile.requests
        ends_s = requests.arrived_s + requests.latency_s - requests.queue_s
        self._from_s = float(requests.arrived_s.min()) if len(requests) else 0.0
        self._stretch_s = float(ends_s.max()) - self._from_s + 1.0 if len(requests) else 1.0
        self._process = requests.process

    def of(self, at_s: Floats, request: np.ndarray) -> Floats:
        """
        Return where moments of these requests are on it.
        """
        places: Floats = at_s - self._from_s + self._process[request] * self._stretch_s
        return places


class _Computed:
    """
    What was computed up to any moment: each amount evenly over its gap.
    """

    def __init__(self, begin_at: Floats, end_at: Floats, computing_s: Floats) -> None:
        length_s = end_at - begin_at
        density = np.divide(computing_s, length_s, out=np.zeros(len(length_s)), where=length_s > 0)
        at = np.concatenate([begin_at, end_at])
        order = np.argsort(at, kind="stable")
        self._at = at[order]
        rate = np.cumsum(np.concatenate([density, -density])[order])
        self._sum_s = np.concatenate([[0.0], np.cumsum(rate[:-1] * np.diff(self._at))]) if len(at) else self._at

    def between(self, begin_at: Floats, end_at: Floats) -> Floats:
        """
        Return what was computed between two moments of one process.
        """
        if not len(self._at):
            return np.zeros(len(begin_at))
        computed_s: Floats = np.interp(end_at, self._at, self._sum_s) - np.interp(begin_at, self._at, self._sum_s)
        return computed_s

    def run_s(self, end_at: Floats, most_s: Floats) -> Floats:
        """
        Return for how long before each moment, at most so long, there was computing without a pause.
        """
        found_s = np.zeros(len(end_at))
        for share in RUN_SHARES:  # ascending: the longest that is full holds
            tried_s = most_s * share
            full = self.between(end_at - tried_s, end_at) >= FULL_SHARE * tried_s
            found_s = np.where(full, tried_s, found_s)
        return found_s
