"""
What a request and a segment are while they happen, and where finished ones wait to be sent.

The context variable `current` holds the Scope in which code runs: which request, within which segment, and whose
clock counts its computing.  A driver call opens a segment with `enter` and closes it with `leave`; both swallow
and count their own errors, so that an instrument needs no care of its own.

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
from time import perf_counter, time

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
        "serials", "started", "statements", "statements_known",
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
        self.serials = itertools.count(1)
        self.finished: deque[tuple[Any, ...]] = deque()
        self.held = 0
        self.dropped = 0
        self.failures = 0
        self.statements: deque[tuple[str, str, str, str]] = deque(maxlen=10_000)
        self.statements_known: set[tuple[str, str]] = set()
        # (text, database, percent) as asked by the app -> (name, seam)
        self.asked: dict[tuple[str, str | None, bool], tuple[str, str | None]] = {}

    def forget_statements(self) -> None:
        """
        Have every statement sent again: whoever reads now has not seen them.
        """
        self.statements_known.clear()
        self.asked.clear()


state = State()


class Clock:
    """
    Sums the computing of one task or thread, without what lies inside its segments.

    `stepping` tells whether that task runs at this moment, so that a segment opened by another task of the same
    request does not pause it.
    """

    __slots__ = ("busy_s", "depth", "mark", "read", "stepping")

    def __init__(self, read: Callable[[], float] = perf_counter) -> None:
        self.read = read
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


class Request:
    """
    One request while it happens.
    """

    __slots__ = (
        "arrived_s", "cancelled", "clocks", "ended", "ending", "error", "method", "prefix", "queue_s", "route",
        "row", "segments", "serials", "start", "status", "sums",
    )  # fmt: skip

    def __init__(self, method: str) -> None:
        self.arrived_s = time()
        self.start = perf_counter()
        self.method = method
        self.route: str | None = None
        self.prefix = ""
        self.status = 0
        self.queue_s: float | None = None
        self.cancelled = False
        self.error: str | None = None
        self.ending = False
        self.ended = False
        self.segments: list[tuple[Any, ...]] = []
        self.serials = itertools.count()
        self.sums: dict[tuple[str, str, str | None], list[Any]] | None = None
        self.clocks: list[Clock] = []
        self.row: tuple[Any, ...] | None = None


class Scope:
    """
    Where code runs: in which request, and in which open segment of it (the request's root has the seam "").
    """

    __slots__ = ("clock", "leaf", "outer", "owned", "request", "seam", "serial", "start", "token", "used")

    start: float
    token: Token[Scope | None]

    def __init__(
        self, request: Request, clock: Clock, serial: int | None = None, seam: str = "", outer: Scope | None = None
    ) -> None:
        self.request = request
        self.clock = clock
        self.serial = serial
        self.seam = seam
        self.leaf = outer is not None and seam != "pool"
        self.outer = outer
        self.owned = False
        self.used = False


current: ContextVar[Scope | None] = ContextVar("rung", default=None)


def failed() -> None:
    """
    Count an error inside an instrument; the app never sees it.
    """
    state.failures += 1


def enter(seam: str) -> Scope | None:
    """
    Open a segment, or return None where there is nothing to record.

    A driver call inside another one adds nothing: only the outermost is recorded.  Waiting for the pool is the
    exception, since opening a connection inside it is a seam of its own.
    """
    outer = current.get()
    if outer is None or outer.leaf or outer.seam == seam or outer.request.ended:
        return None
    try:
        clock = outer.clock
        scope = Scope(outer.request, clock, next(outer.request.serials), seam, outer)
        if clock.stepping:
            scope.owned = True
            if clock.depth == 0:
                clock.busy_s += clock.read() - clock.mark
            clock.depth += 1
        scope.token = current.set(scope)
        scope.start = perf_counter()
    except Exception:
        failed()
        return None
    return scope


def leave(
    scope: Scope,
    name: str,
    *,
    seam: str | None = None,
    database: str | None = None,
    code: str | None = None,
    rows: int | None = None,
) -> None:
    """
    Close a segment and keep it with its request.
    """
    end = perf_counter()
    try:
        close(scope)
        request, outer = scope.request, scope.outer
        if request.ended or outer is None:
            return
        duration_s = end - scope.start
        if scope.seam == "pool" and duration_s < POOL_WAIT_S_MIN and not scope.used:
            return
        outer.used = True
        segments = request.segments
        if len(segments) < SEGMENTS_MAX:  # what `keep` does, without the call
            start_s = scope.start - request.start
            segments.append(
                (scope.serial, outer.serial, seam or scope.seam, name, start_s, duration_s, 1, database, code, rows)
            )
        else:
            where = (seam or scope.seam, name, database, code, rows)
            keep(request, scope.serial, outer.serial, where, start=scope.start, duration_s=duration_s)
    except Exception:
        failed()


def close(scope: Scope) -> None:
    """
    Let the clock count again and make the outer scope the current one.
    """
    if scope.owned:
        clock = scope.clock
        clock.depth -= 1
        if clock.depth == 0 and clock.stepping:
            clock.mark = clock.read()
    current.reset(scope.token)


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


def freeze(request: Request) -> None:
    """
    End *request* now: what happens later in its context is no part of it.
    """
    duration_s = perf_counter() - request.start
    request.ended = True
    cpu_s = sum([clock.so_far_s() for clock in request.clocks])
    segments = request.segments
    if request.sums:
        segments = _with_sums(segments, request.sums)
    request.row = (
        next(state.serials), request.route or UNMATCHED, request.method, request.status, request.arrived_s,
        request.queue_s, duration_s, cpu_s, request.cancelled, request.error, segments,
    )  # fmt: skip
    # A task that outlives the request keeps its context, and with it this object: let it be a small one.
    request.segments = []
    request.sums = None


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
