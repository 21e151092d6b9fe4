"""
Who holds what is handed over first come, first served, and how much of it there is.

In        intervals in which something was held or waited for, and by which process
Out       the size of each process's pool, thread pool or number of requests at once
Not here  which segments are such intervals (recover.py)
"""

from __future__ import annotations

import numpy as np

from rung.steps.measure import ROUNDING_S, Floats, Integers
from rung.steps.twin.topology import UNLIMITED

HELD_QUANTILE = 0.95  # of the time waited: a few intervals are told wrong
TAKEN_QUANTILE = 0.999
WAITED_SHARE_MIN = 0.01  # of the time that they were held; what is waited for less is not short


def held_at(start_s: Floats, end_s: Floats, at_s: Floats) -> Integers:
    """
    Return how many of the intervals there are at each of *at_s*.
    """
    begun = np.searchsorted(np.sort(start_s), at_s, side="right")
    # What is handed over ends as the next one begins.
    return (begun - np.searchsorted(np.sort(end_s) - ROUNDING_S, at_s, side="right")).astype(np.int64)


def sizes(
    processes: int,
    held: tuple[Integers, Floats, Floats],
    waited: tuple[Integers, Floats, Floats],
) -> tuple[int, ...]:
    """
    Return how many were held at most while somebody waited, of each process; UNLIMITED where nobody did.

    Args:
        held: Process, begin and end of each interval in which one was held.
        waited: Process, begin and end of each wait.
    """
    found = []
    for process in range(processes):
        waits, holds = waited[0] == process, held[0] == process
        start_s, end_s = waited[1][waits], waited[2][waits]
        held_start_s, held_end_s = held[1][holds], held[2][holds]
        if not len(start_s) or (end_s - start_s).sum() <= WAITED_SHARE_MIN * (held_end_s - held_start_s).sum():
            found.append(UNLIMITED)
            continue
        count = held_at(held_start_s, held_end_s, (start_s + end_s) / 2)
        order = np.argsort(count, kind="stable")
        reached_s = np.cumsum((end_s - start_s)[order])
        place = min(int(np.searchsorted(reached_s, HELD_QUANTILE * reached_s[-1])), len(order) - 1)
        # There were at least as many as were ever held at once, whatever those who waited waited for.
        taken = held_at(held_start_s, held_end_s, held_start_s) if len(held_start_s) else np.zeros(1)
        found.append(max(int(count[order[place]]), int(np.quantile(taken, TAKEN_QUANTILE)), 1))
    return tuple(found)
