"""
What a request and a segment are while they happen, and where finished ones wait to be sent.

The context variable `current` holds the Scope in which code runs: which request, within which segment, and whose
clock counts its computing.  A call opens a segment with `enter` and closes it with `leave`, a statement with `pause`
and `resume` (statements.py); they swallow and count their own errors, so that an instrument needs no care of its own.
What runs for every request or segment is written out rather than called: between the steps of an app it costs three
times what it costs in a loop of its own (docs/benchmarks/overhead.md).

In        calls of the instruments
Out       `state.finished`, tuples in the order of frames.Request; counts of what was dropped or failed
Not here  which functions are wrapped (instruments/), sending (sender.py)
"""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar, Token
from time import perf_counter, thread_time, time

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from typing import Any

SEGMENTS_MAX = 2_000  # of one request kept apart; more are summed by (seam, name, code)
SUMS_MAX = 2_000  # different sums of one request; what comes after them is dropped
HELD_MAX = 100_000  # requests and segments waiting to be sent, about 25 MB
POOL_WAIT_S_MIN = 100e-6  # a shorter wait for a connection is the price of the pool, not a wait
UNMATCHED = "(unmatched)"


class State:
    """
    What one process holds; a forked child begins a new one.
    """

    __slots__ = (
        "asked", "dropped", "failures", "finished", "held", "on_finished", "on_framework",
        "recording", "serials", "started", "statements", "statements_known",
    )  # fmt: skip

    def __init__(self) -> None:
        self.started = False
        self.on_framework: Callable[[], None] | None = None
        self.on_finished: Callable[[], None] | None = None
        self.reset()

    def reset(self) -> None:
        """
        Forget what belongs to the parent process.
        """
        # False once nobody collects: requests are then counted as dropped and nothing of them is kept.
        self.recording = True
        self.serials = itertools.count(1)
        self.finished: deque[tuple[Any, ...]] = deque()
        self.held = 0
        self.dropped = 0
        self.failures = 0
        self.statements: deque[tuple[str, str, str, str]] = deque(maxlen=10_000)
        self.statements_known: set[tuple[str, str]] = set()
        # (text, database, route) as asked by the app -> seam, name, database, code
        self.asked: dict[Any, tuple[str, str, str | None, str | None]] = {}

    def forget_statements(self) -> None:
        """
        Have every statement sent again: whoever reads now has not seen them.
        """
        self.statements_known.clear()
        self.asked.clear()


state = State()


class Clock:
    """
    Sums the computing of one task, without what lies inside its segments.

    `stepping` tells whether that task runs at this moment, so that a segment opened by another task of the same
    request does not pause it.
    """

    __slots__ = ("busy_s", "depth", "mark", "stepping")

    read = staticmethod(perf_counter)

    def __init__(self) -> None:
        self.busy_s = 0.0
        self.mark = 0.0
        self.depth = 0
        self.stepping = False

    def so_far_s(self) -> float:
        """
        Return the computing up to now, also from within a step.
        """
        if self.stepping and self.depth == 0:
            return self.busy_s + self.read() - self.mark
        return self.busy_s

    def pause(self) -> bool:
        """
        Stop counting until `resume`; False where another task of the request runs, so that there is nothing to stop.
        """
        if not self.stepping:
            return False
        if self.depth == 0:
            self.busy_s += self.read() - self.mark
        self.depth += 1
        return True

    def resume(self) -> None:
        """
        Count again, once for each `pause` that returned True.
        """
        self.depth -= 1
        if self.depth == 0 and self.stepping:
            self.mark = self.read()


class ThreadClock(Clock):
    """
    Sums the computing of one thread.
    """

    __slots__ = ()

    read = staticmethod(thread_time)


class Request(Clock):
    """
    One request while it happens, and the clock of the task that it came in.
    """

    __slots__ = (
        "arrived_s", "cancelled", "clocks", "ended", "ending", "error", "method", "prefix", "prepared", "queue_s",
        "route", "row", "segments", "serials", "start", "status", "sums", "token",
    )  # fmt: skip

    def __init__(self, method: str) -> None:
        self.arrived_s = time()
        self.start = perf_counter()
        self.busy_s = self.mark = 0.0
        self.depth = 0
        self.stepping = self.cancelled = self.ending = self.ended = False
        self.method = method
        self.route: str | None = None
        self.prefix = ""
        self.status = 0
        self.queue_s: float | None = None
        self.error: str | None = None
        self.segments: list[tuple[Any, ...]] = []
        self.serials = itertools.count()
        self.sums: dict[tuple[str, str, str | None], list[Any]] | None = None
        self.clocks: list[Clock] = []  # of its further tasks and threads
        self.prepared: tuple[Any, ...] | None = None  # the segment of a statement prepared and not yet executed
        self.row: tuple[Any, ...] | None = None
        self.token: Token[Scope | None] | None = None


class Scope:
    """
    Where code runs: in which request, and in which open segment of it (a task's or thread's root has the seam "").
    """

    __slots__ = ("clock", "leaf", "request", "seam", "serial", "token", "used")

    token: Token[Scope | None]

    def __init__(self, request: Request, clock: Clock, serial: int | None = None) -> None:
        self.request = request
        self.clock = clock
        self.serial = serial
        self.seam = ""
        self.leaf = False
        self.used = False


class Segment(Scope):
    """
    An open segment, inside of which other code of the app's may run.
    """

    __slots__ = ("outer", "owned", "start")

    start: float

    def __init__(self, outer: Scope, seam: str) -> None:
        self.request = outer.request
        self.clock = outer.clock
        self.serial = next(outer.request.serials)
        self.seam = seam
        self.leaf = seam != "pool"
        self.used = False
        self.outer = outer
        self.owned = outer.clock.pause()


current: ContextVar[Scope | None] = ContextVar("rung", default=None)


def failed() -> None:
    """
    Count an error inside an instrument; the app never sees it.
    """
    state.failures += 1


def enter(seam: str) -> Segment | None:
    """
    Open a segment, or return None where there is nothing to record.

    A driver call inside another one adds nothing: only the outermost is recorded.  Waiting for the pool is the
    exception, since opening a connection inside it is a seam of its own.
    """
    outer = current.get()
    if outer is None or outer.leaf or outer.seam == seam or outer.request.ended:
        return None
    try:
        segment = Segment(outer, seam)
        segment.token = current.set(segment)
        segment.start = perf_counter()
    except Exception:
        failed()
        return None
    return segment


def leave(
    segment: Segment,
    name: str,
    *,
    database: str | None = None,
    code: str | None = None,
    rows: int | None = None,
) -> None:
    """
    Close a segment and keep it with its request.
    """
    end = perf_counter()
    try:
        if segment.owned:
            segment.clock.resume()
        current.reset(segment.token)
        request, outer = segment.request, segment.outer
        if request.ended:
            return
        duration_s = end - segment.start
        if segment.seam == "pool" and duration_s < POOL_WAIT_S_MIN and not segment.used:
            return
        outer.used = True
        where = (segment.seam, name, database, code, rows)
        keep(request, segment.serial, outer.serial, where, start=segment.start, duration_s=duration_s)
    except Exception:
        failed()


def keep(
    request: Request,
    serial: int | None,
    parent: int | None,
    where: tuple[str, str, str | None, str | None, int | None],
    *,
    start: float,
    duration_s: float,
) -> None:
    """
    Append a finished segment, or add it to a sum where the request has too many.

    *where* is seam, name, database, code and rows; *start* is of perf_counter.
    """
    seam, name, database, code, rows = where
    start_s = start - request.start
    if len(request.segments) < SEGMENTS_MAX:
        request.segments.append((serial, parent, seam, name, start_s, duration_s, 1, database, code, rows))
        return
    sums = request.sums
    if sums is None:
        sums = request.sums = {}
    key = (seam, name, code)
    total = sums.get(key)
    if total is None:
        if len(sums) < SUMS_MAX:
            sums[key] = [serial, None, seam, name, start_s, duration_s, 1, database, code, rows]
        return
    total[5] += duration_s
    total[6] += 1
    if rows is not None:
        total[9] = rows + (total[9] or 0)


def freeze(request: Request, *, final: bool = False) -> None:
    """
    End *request* now: what happens later in its context is no part of it.  A *final* one is handed over at once.
    """
    duration_s = perf_counter() - request.start
    request.ended = True
    cpu_s = request.busy_s
    if request.stepping and request.depth == 0:
        cpu_s += perf_counter() - request.mark
    for clock in request.clocks:
        cpu_s += clock.so_far_s()
    segments = request.segments
    if request.sums:
        segments = _with_sums(segments, request.sums)
    row = (
        next(state.serials), request.route or UNMATCHED, request.method, request.status, request.arrived_s,
        request.queue_s, duration_s, cpu_s, request.cancelled, request.error, segments,
    )  # fmt: skip
    # A task that outlives the request keeps its context, and with it this object: let it be a small one.
    request.segments = []
    request.sums = request.prepared = None
    if final:
        _hand_over(row)
    else:
        request.row = row


def _with_sums(
    segments: list[tuple[Any, ...]], sums: dict[tuple[str, str, str | None], list[Any]]
) -> list[tuple[Any, ...]]:
    kept = {segment[0] for segment in segments}
    apart = [s if s[1] is None or s[1] in kept else (s[0], None, *s[2:]) for s in segments]
    return apart + [tuple(total) for total in sums.values()]


def emit(request: Request) -> None:
    """
    Hand a frozen request over to the sender, with the error that became known since.
    """
    row = request.row
    if row is None:
        return
    request.row = None
    if request.error is not None and row[9] is None:
        row = (*row[:9], request.error, row[10])
    _hand_over(row)


def _hand_over(row: tuple[Any, ...]) -> None:
    held = 1 + len(row[10])
    if state.held + held > HELD_MAX:
        state.dropped += 1
        return
    state.held += held
    state.finished.append(row)
    if state.on_finished is not None:
        state.on_finished()


def describe_error(error: BaseException, line: str | None) -> str:
    """
    Return type and line of an exception, and nothing of its message.
    """
    return f"{type(error).__name__} {line}" if line else type(error).__name__


def framework_seen() -> None:
    """
    Note that this process imported a supported web framework, so that it is worth a connection to the collector.
    """
    if state.on_framework is not None:
        state.on_framework()


def greenlet_parent_frame() -> Any:
    """
    Return the frame that waits for the current greenlet, or None; greenlet is never imported by this.
    """
    module = sys.modules.get("greenlet")
    if module is None:
        return None
    parent = module.getcurrent().parent
    return parent.gr_frame if parent is not None else None
