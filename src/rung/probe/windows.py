"""
Say when a process keeps everything, from the wall clock and a level alone.

At level k the first 60 · 2^-k seconds of each minute are open.  All processes begin with the minute, so that a
process at one level keeps what overlaps the windows of every process at a higher one, and nobody has to talk.
Nothing is remembered between two calls: a clock that is set back or forward moves the windows and closes none
for longer than a minute.

In        wall-clock seconds, a level, the rate of requests
Out       open or closed; which requests overlap a window; the level for a rate
Not here  what is kept of a request outside (core.py); how windows are weighed (steps/)
"""

from __future__ import annotations

MINUTE_S = 60.0
LEVEL_MAX = 6  # the first 0.94 s of each minute: shorter windows would hold halves of slow requests only
# Back to a wider window only with room to spare, or a rate at the budget would change the level each time.
SPARE_SHARE = 0.8

# By level; where it is asked for each request, `now_s % MINUTE_S < OPEN_S[level]` is written out.
OPEN_S = tuple(MINUTE_S * 0.5**level for level in range(LEVEL_MAX + 1))


def open_at(now_s: float, level: int) -> bool:
    """
    Return whether a window of *level* is open; level 0 is always open, and above LEVEL_MAX counts as LEVEL_MAX.
    """
    return level <= 0 or now_s % MINUTE_S < OPEN_S[min(LEVEL_MAX, level)]


def overlaps(arrived_s: float, ended_s: float, level: int) -> bool:
    """
    Return whether a window of *level* was open at any moment from *arrived_s* to *ended_s*.
    """
    if level <= 0:
        return True
    open_s = OPEN_S[min(LEVEL_MAX, level)]
    into_s = arrived_s % MINUTE_S
    # Each minute begins with a window: whatever lasts into the next minute meets one.  A clock set back while it
    # lasted leaves its end before its arrival, which is then looked at by itself.
    return into_s < open_s or into_s + (ended_s - arrived_s) >= MINUTE_S or ended_s % MINUTE_S < open_s


def share_of(level: int) -> float:
    """
    Return the share of all time in which windows of *level* are open.

    >>> [share_of(level) for level in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """
    return 0.5 ** min(max(level, 0), LEVEL_MAX)


def level_for(rate_per_s: float, budget_per_s: float, level: int = 0) -> int:
    """
    Return the lowest level that keeps at most *budget_per_s* of *rate_per_s*, on average over a minute.

    Args:
        rate_per_s: Of anything that costs: requests, segments, bytes.
        budget_per_s: Of the same. Nothing or less asks for the highest level.
        level: The one in force: it is left for a lower one only where SPARE_SHARE of the budget suffices there.

    >>> level_for(900, 500), level_for(450, 500, level=1), level_for(390, 500, level=1)
    (1, 1, 0)
    """
    for lower in range(LEVEL_MAX):
        allowed = budget_per_s * (SPARE_SHARE if lower < level else 1.0)
        if rate_per_s * share_of(lower) <= allowed:
            return lower
    return LEVEL_MAX
