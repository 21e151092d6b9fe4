"""
Put latencies into the values that confirm takes: two recordings, or what two instances were sent in turns.

In        arrivals and latencies, drawn (queues.py) or measured (real.py)
Out       Profile, Pairs
Not here  where they come from, what is concluded (steps/confirm)
"""

from __future__ import annotations

import numpy as np

from rung.ports import Pairs, RecordingFacts, Sent
from rung.steps.measure import Floats, Integers, Profile, Requests, Segments


def recorded(
    name: str, due_s: Floats, latency_s: Floats, lasted_s: float, route: Integers | None = None, routes: int = 1
) -> Profile:
    """
    Return the profile of requests with these arrivals and latencies, all of it unexplained.
    """
    zeros, none = np.zeros(len(due_s)), np.zeros(0)
    whole, empty = np.zeros(len(due_s), dtype=np.int64), np.zeros(0, dtype=np.int64)
    return Profile(
        facts=RecordingFacts(name, sealed=True, processes=1, dropped=0, failures=0),
        routes=tuple(f"GET /{number}" for number in range(routes)),
        parts=(),
        codes=("",),
        texts={},
        processes=1,
        queue_known=True,
        lasted_s=lasted_s,
        requests=Requests(
            route=whole if route is None else route, process=whole, due_s=due_s, arrived_s=due_s, latency_s=latency_s,
            queue_s=zeros, cpu_s=zeros, other_s=latency_s, status=whole + 200,
        ),
        segments=Segments(
            request=empty, part=empty, code=empty, start_s=none, duration_s=none, own_s=none, calls=empty, rows=empty
        ),
    )  # fmt: skip


def sent(name: str, block: Integers, latency_s: Floats, route: Integers | None = None) -> Sent:
    """
    Return one side of pairs.
    """
    zeros = np.zeros(len(block), dtype=np.int64)
    return Sent(name, zeros if route is None else route, block, latency_s, zeros.astype(bool))


def in_turns(before: Sent, after: Sent, pairs: int, lasted_s: float, routes: int = 1) -> Pairs:
    """
    Return pairs of both sides.
    """
    return Pairs(tuple(f"GET /{number}" for number in range(routes)), before, after, pairs, lasted_s)
