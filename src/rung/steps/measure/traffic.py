"""
Count all traffic of each route: the requests that were kept whole and those that were only counted.

In        durations of the requests kept, and bins of the others (probe/sketch.py): a duration and how many had it
Out       Traffic by route, with percentiles that are within 1 % of those of the requests themselves
Not here  what a window of requests kept whole shows (measure/__init__.py)

A duration is from the app's entry to the last byte: of a request that was only counted, nobody kept how long it had
queued before.  A bin's duration is within 1 % of each of its requests', so the smallest one that a share of all do
not exceed is too: moving values by at most 1 % moves each of their ranks by at most 1 %.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
PARAMETER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """
    Requests that were counted and not kept: one entry a route and duration.

    Attributes:
        duration_s: The middle of a bin, seconds.
        requests: How many fell into it.
        failed: How many of them with a status of 500 and above.
    """

    route: tuple[str, ...]
    duration_s: Floats
    requests: Integers
    failed: Integers


NOTHING_COUNTED = Counted((), np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """
    All requests of one route.

    Attributes:
        requests: How many there were.
        kept: How many of them were kept whole.
        failed: How many had a status of 500 and above.
        duration_s: Durations in the app, ascending.
        times: How many requests each of them stands for.
    """

    route: str
    requests: int
    kept: int
    failed: int
    duration_s: Floats
    times: Integers

    def percentile_s(self, percent: int) -> float:
        """
        Return the duration that *percent* % of the requests do not exceed, within 1 % (exact where all were kept).
        """
        reached = np.cumsum(self.times)
        # The rank as numpy's "inverted_cdf" has it, so that it is the same value where all were kept.
        rank = max(np.ceil(self.requests * (percent / 100) - 1), 0) + 1
        return float(self.duration_s[np.searchsorted(reached, rank)])


def traffic_of(
    routes: Sequence[str], route: Integers, duration_s: Floats, failed: NDArray[np.bool_], counted: Counted
) -> tuple[Traffic, ...]:
    """
    Return the traffic of each route, those of *routes* first, then those of which no request was kept.

    Args:
        routes: Names of the routes of which requests were kept.
        route: Index into them, for each request kept.
        duration_s: How long each took in the app.
        failed: Whether its status is 500 or above.
    """
    names = np.array(counted.route, dtype=object)
    listed = [*routes, *sorted(set(counted.route) - set(routes))]
    found = []
    for place, name in enumerate(listed):
        kept, binned = route == place, names == name
        values_s = np.concatenate([duration_s[kept], counted.duration_s[binned]])
        times = np.concatenate([np.ones(int(kept.sum()), dtype=np.int64), counted.requests[binned]])
        order = np.argsort(values_s, kind="stable")
        found.append(
            Traffic(
                route=name,
                requests=int(times.sum()),
                kept=int(kept.sum()),
                failed=int(failed[kept].sum() + counted.failed[binned].sum()),
                duration_s=values_s[order],
                times=times[order],
            )
        )
    return tuple(found)


def shape(path: str) -> str:
    """
    Return *path* without its query string and the names of its parameters.

    >>> shape("/customers/{customer}/orders?page={page}")
    '/customers/{}/orders'
    """
    return PARAMETER.sub("{}", path.partition("?")[0])
