"""
Tell which calls hold the event loop that they are made on.

A call that waits for something outside and lets others go on meanwhile is in nobody's way; a blocking one, in an async
handler, is in everybody's.  The recording shows it: during a blocking call nothing else happens in the process, though
others have come by then.

In        a Profile, its Pieces
Out       which pieces hold their loop
Not here  what waited for it (turns.py)
"""

from __future__ import annotations

import numpy as np

from rung.steps.measure import Profile
from rung.steps.twin.pieces import Flags, Pieces
from rung.steps.twin.turns import Axis

EDGE_S = 0.2e-3  # what happens as a call begins or ends is not during it
EXPECTED_MIN = 20.0  # events that would have happened during all calls of a kind, for their absence to tell
CAME_MIN = 5  # requests that came during them: who is alone holds nobody up
SEEN_SHARE_MAX = 0.05


def holding_loop(profile: Profile, pieces: Pieces) -> Flags:
    """
    Return which pieces are calls of a kind during which nothing else happened in their process.
    """
    segments, requests = profile.segments, profile.requests
    request = segments.request
    kinds = ~pieces.query & ~pieces.waited & ~pieces.computes & (segments.calls == 1) & ~pieces.side_by_side[request]
    calls = np.flatnonzero(kinds & (pieces.end_s - pieces.start_s > 2 * EDGE_S))
    holds = np.zeros(len(request), dtype=np.bool_)
    if not len(calls) or profile.lasted_s <= 0:
        return holds
    axis = Axis(profile)
    everyone = np.arange(len(requests))
    happened_at = np.sort(
        np.concatenate(
            [
                axis.of(requests.arrived_s, everyone),
                axis.of(pieces.start_s, request),
                axis.of(pieces.end_s, request),
            ]
        )
    )
    begin_at, end_at = axis.of(pieces.start_s[calls], request[calls]), axis.of(pieces.end_s[calls], request[calls])
    during = np.searchsorted(happened_at, end_at - EDGE_S) - np.searchsorted(happened_at, begin_at + EDGE_S)
    process = requests.process
    each = np.bincount(process, minlength=profile.processes) + 2 * np.bincount(
        process[request], minlength=profile.processes
    )
    expected = each[process[request[calls]]] / profile.lasted_s * (end_at - begin_at - 2 * EDGE_S)
    came_at = np.sort(axis.of(requests.due_s, everyone))
    came = np.searchsorted(came_at, end_at - EDGE_S) - np.searchsorted(came_at, begin_at + EDGE_S)
    part = segments.part[calls]
    for place in np.unique(part):
        ours = part == place
        enough = expected[ours].sum() >= EXPECTED_MIN and came[ours].sum() >= CAME_MIN
        if enough and during[ours].sum() <= SEEN_SHARE_MAX * expected[ours].sum():
            holds[calls[ours]] = True
    return holds
