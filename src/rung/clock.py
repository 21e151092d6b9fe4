"""
The one place of the tool that reads the clock.

In        nothing
Out       seconds since the epoch, or seconds of a clock that never goes back; names made of the date
Not here  the app's clock (probe/ reads its own: it may import nothing of the tool)
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_s() -> float:
    """
    Return wall-clock time in seconds since the epoch.
    """
    return time.time()


def monotonic_s() -> float:
    """
    Return seconds of a clock that never goes back; only differences mean anything.
    """
    return time.monotonic()


def sleep(duration_s: float) -> None:
    """
    Wait for *duration_s* seconds.
    """
    time.sleep(duration_s)


def stamp(at_s: float) -> str:
    """
    Return *at_s* as a name that sorts by time and that a file system takes.

    >>> stamp(0)
    '1970-01-01T00-00-00Z'
    """
    return datetime.fromtimestamp(at_s, tz=UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
