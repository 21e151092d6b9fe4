"""
Lay a recording's segments out as what requests did, one after the other, with the computing in between.

In        a Profile
Out       Pieces: a column entry a segment, with the gap before it; of each request the gap after its last one
Not here  what of it is service (recover.py), what ran side by side within a request (strands.py)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rung.steps.measure import ROUNDING_S, Floats, Integers, Profile

Flags = NDArray[np.bool_]

# What a request waits for rather than asks for; the simulation makes it anew.
WAITED = frozenset({"loop", "threads", "pool", "lock", "queue"})
ENDS = ("COMMIT", "ROLLBACK", "END", "ABORT")


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """
    Columns with one entry a segment, in order of request and start, and some with one a request.  Times are seconds.

    Attributes:
        first: Of each request, its first segment; one entry more than there are requests.
        start_s, end_s: Since the recording's first arrival; a sum of many calls has no length.
        own_s: As Segments have it; side by side with others, from begin to end.
        gap_s: What no segment covers between this one and those before it.
        left_s: Of each request, what no segment covers after the last one.
        query, waited, computes: What kind of segment it is; none of them for what only takes its time.
        pool, threads: Which of those waited for.
        connects: Whether a connection was opened.
        ends: Whether it ends a transaction.
        side_by_side: Of each request, whether it did two things at once.
        holds: Whether it holds the event loop though it only waits (blocking.py); none does before that was asked.
    """

    first: Integers
    start_s: Floats
    end_s: Floats
    own_s: Floats
    gap_s: Floats
    left_s: Floats
    query: Flags
    waited: Flags
    computes: Flags
    pool: Flags
    threads: Flags
    connects: Flags
    ends: Flags
    side_by_side: Flags
    holds: Flags


def pieces_of(profile: Profile) -> Pieces:
    """
    Return the segments of *profile* as they followed one another.
    """
    requests, segments = profile.requests, profile.segments
    count, request = len(requests), segments.request
    first = np.searchsorted(request, np.arange(count + 1))
    seams = np.array([part.seam for part in profile.parts], dtype=object)
    part = segments.part
    start_s = segments.start_s
    end_s = start_s + np.where(segments.calls == 1, segments.duration_s, 0.0)
    waited = np.isin(seams, list(WAITED))[part] if len(seams) else np.zeros(0, dtype=np.bool_)
    kinds = {
        seam: (seams == seam)[part] if len(seams) else waited
        for seam in ("query", "cpu", "pool", "threads", "connect", "other")
    }
    ends = np.array([_ends(profile, place) for place in range(len(seams))], dtype=np.bool_)

    begun_s, inside_end_s = requests.arrived_s, requests.arrived_s + requests.latency_s - requests.queue_s
    reached_s = _reached(request, end_s, begun_s)
    gap_s = np.maximum(start_s - reached_s, 0.0)
    last_s = begun_s.copy()
    np.maximum.at(last_s, request, end_s)
    # Other segments lie within computing and within spans of which nobody knows what they wait for.
    leaf = ~waited & ~kinds["cpu"] & ~kinds["other"] & (segments.calls == 1)
    side_by_side = np.zeros(count, dtype=np.bool_)
    among = np.flatnonzero(leaf)
    over = start_s[among] < _reached(request[among], end_s[among], begun_s) - ROUNDING_S
    side_by_side[request[among][over]] = True
    return Pieces(
        first=first,
        start_s=start_s,
        end_s=end_s,
        # What was done side by side takes its whole time, whatever else went on.
        own_s=np.where(leaf & side_by_side[request], end_s - start_s, segments.own_s),
        gap_s=gap_s,
        left_s=np.maximum(inside_end_s - last_s, 0.0),
        query=kinds["query"],
        waited=waited,
        computes=kinds["cpu"],
        pool=kinds["pool"],
        threads=kinds["threads"],
        connects=kinds["connect"],
        ends=ends[part] if len(ends) else waited,
        side_by_side=side_by_side,
        holds=np.zeros(len(request), dtype=np.bool_),
    )


def _ends(profile: Profile, place: int) -> bool:
    part = profile.parts[place]
    text = profile.text_of(part).lstrip().upper()
    return part.seam == "commit" or (text.startswith(ENDS) and not text.startswith("ROLLBACK TO"))


def _reached(request: Integers, end_s: Floats, begun_s: Floats) -> Floats:
    """
    Return for each segment when the last of those before it in its request had ended, else when the request began.
    """
    if not len(request):
        return np.zeros(0)
    # Requests are laid behind one another on one axis, so that one running maximum serves all of them.
    within_s = end_s - begun_s[request]
    offset_s = request * (float(within_s.max()) + 1.0)
    before_s = np.concatenate([[-np.inf], np.maximum.accumulate(within_s + offset_s)[:-1]])
    reached_s: Floats = np.maximum(before_s - offset_s, 0.0) + begun_s[request]
    return reached_s
