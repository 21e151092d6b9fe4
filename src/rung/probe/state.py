"""
What the recorder of one process holds: what waits to be sent, what it has counted, and how much it keeps.

In        everything in the probe that finishes, counts or gives up something
Out       core.state, one for each process; a forked child begins a new one
Not here  what a request and a segment are (core.py), what is kept and given up (keeping.py)
"""

from __future__ import annotations

import itertools
import os
from collections import deque

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rung.probe.core import Request

SAMPLES_MAX = 10_000  # looks at the stacks waiting to be sent
LINES_HELD_MAX = 20_000  # logged lines waiting to be sent
LINES_PER_S_MAX = 1_000  # that one process keeps


class State:
    """
    What one process holds; a forked child begins a new one.
    """

    __slots__ = (
        "asked", "depth", "dropped", "failed_at", "failures", "finished", "held_bytes", "keep_whole", "key", "level",
        "lines", "lines_dropped", "lines_left", "lines_seen", "live", "looked", "named", "names_folded", "on_finished",
        "on_framework", "pid", "places", "places_unsent", "recording", "run", "sampled", "serials", "shed",
        "spans_outside", "started", "statements", "statements_known", "stepped", "websockets",
    )  # fmt: skip

    def __init__(self) -> None:
        self.started = False
        self.on_framework: Callable[[], None] | None = None
        self.on_finished: Callable[[], None] | None = None
        # Returns a finished row as it is kept, None for one that is not; None itself keeps all (keeping.py).
        self.keep_whole: Callable[[tuple[Any, ...]], tuple[Any, ...] | None] | None = None
        self.reset()

    def reset(self) -> None:
        """
        Forget what belongs to the parent process.
        """
        # False once nobody collects: requests are then counted as dropped and nothing of them is kept.
        self.recording = True
        self.pid = os.getpid()
        # From which the ids of its traces and spans are worked out (trace_context.py).
        self.key = int.from_bytes(os.urandom(8), "big")
        self.shed = 0  # level of guard.py: what is given up to stay within the probe's means
        self.level = 0  # of windows.py: how rarely a window opens
        self.depth = 0  # of the sample of keys whose reads are digested (reads.py)
        self.serials = itertools.count(1)
        self.live: set[Request] = set()
        self.finished: deque[tuple[Any, ...]] = deque()
        self.held_bytes = 0
        self.dropped = 0
        self.failures = 0
        self.failed_at: dict[str, int] = {}
        self.websockets = 0
        # Of OpenTelemetry's API (spans.py): (name, seam, route) of a span -> its place; spans outside of any unit of
        # work; names that were too many.
        self.named: dict[tuple[Any, str, str | None], int] = {}
        self.spans_outside = 0
        self.names_folded = 0
        self.statements: deque[tuple[str, str, str, str]] = deque(maxlen=10_000)
        self.statements_known: set[tuple[str, str]] = set()
        # (text, database, route) as asked by the app -> its place, its name, whether it reads
        self.asked: dict[Any, tuple[int, str, bool]] = {}
        # (seam, name, database, code) -> its number in this process
        self.places: dict[tuple[str, str, str | None, str | None], int] = {}
        self.places_unsent: deque[tuple[Any, ...]] = deque()
        # The run of long steps on the event loop: whose, from when to when; and when the last one ended (asgi.py).
        self.run: list[tuple[Request, float, float]] = []
        self.stepped = 0.0
        # When the sampler last saw somebody hold the loop (of perf_counter), and at which line.
        self.looked: tuple[float, str | None] = (0.0, None)
        self.sampled: deque[tuple[Any, ...]] = deque(maxlen=SAMPLES_MAX)
        # Logged lines that are kept, in the order of frames.Line; how many more this second may have (logged.py).
        self.lines: deque[tuple[Any, ...]] = deque(maxlen=LINES_HELD_MAX)
        self.lines_left = LINES_PER_S_MAX
        self.lines_seen = self.lines_dropped = 0

    def forget_statements(self) -> None:
        """
        Have every statement and place sent again: whoever reads now has not seen them.
        """
        self.statements_known.clear()
        self.asked.clear()
        self.places_unsent.extend((number, *place) for place, number in list(self.places.items()))

    def keep_lines(self, lines: list[tuple[Any, ...]], serial: int, *, kept: bool) -> None:
        """
        Keep logged lines exactly where their request is, under its final serial: one that goes on as background work
        has none before it ends.
        """
        if kept:
            self.lines.extend([(line[0], serial, *line[2:]) for line in lines])
        else:
            self.lines_dropped += len(lines)
