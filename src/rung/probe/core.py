"""
What a request and a segment are while they happen, and where finished ones wait to be sent.

The context variable `current` holds the Scope in which code runs: which request, within which segment, and whose
clock counts its computing.  A call opens a segment with `enter` and closes it with `leave`, a statement with `pause`
and `resume` (statements.py); they swallow and count their own errors, so that an instrument needs no care of its own.
What runs for every request or segment is written out rather than called: between the steps of an app it costs three
times what it costs in a loop of its own (docs/benchmarks/overhead.md).

In        calls of the instruments
Out       `state.finished`, tuples in the order of frames.Request; counts of what was dropped or failed
Not here  which functions are wrapped (instruments/), what of the finished is kept (keeping.py), sending (sender.py)
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from struct import Struct
from time import perf_counter, time

from rung.probe.state import State

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

# Places in a finished row, which is in the order of frames.Request.
KIND, ROUTE, METHOD, STATUS, ARRIVED = range(1, 6)
DURATION, CPU, CANCELLED, ERROR = range(8, 12)
EXEMPLAR, SEGMENTS, READS = range(14, 17)

# A segment is packed as it ends: serial, parent, place, start_s, duration_s, calls, rows (frames.SEGMENT).  Bytes are
# a third of the memory that a tuple with its numbers takes, nothing that the collection of garbage looks at, and
# need no encoding.
SEGMENT = Struct("<iiIddIq")
pack = SEGMENT.pack
SEGMENT_BYTES = SEGMENT.size
NONE = -1  # no parent; rows that nobody knows
PLACES_MAX = 20_000  # different places; what comes after them is told by its seam alone
SEGMENTS_MAX = 2_000  # of one request kept apart; more are summed by (seam, name, code)
SUMS_MAX = 2_000  # different sums of one request; what comes after them is dropped
HELD_BYTES_MAX = 12_000_000  # of requests waiting to be sent
REQUEST_BYTES = 600  # of a finished one, without its segments
READ_BYTES = 250
LINE_BYTES = 350
BACKGROUND_S_MIN = 5e-3  # what runs on after the response for less is the framework's own tidying up
STREAM_S_MIN = 1e-3  # between first and last byte; a middleware may hand over a whole response in two parts
FAILED_AT_MAX = 20
POOL_WAIT_S_MIN = 100e-6  # a shorter wait for a connection is the price of the pool, not a wait
UNMATCHED = "(unmatched)"
# A client may send any word as its method; what is none of these may hold anything.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
OTHER_METHOD = "(other)"
SHED_DIGESTS, SHED_STACKS, SHED_SEGMENTS, SHED_ALL = 1, 2, 3, 4  # levels of guard.py
NESTING = frozenset({"pool", "cpu"})  # seams within which others are recorded


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

    halt = pause


class Request(Clock):
    """
    One request (or another unit of work) while it happens, and the clock of the task that it came in.

    Attributes:
        kind: "request", "job", or "background": what a request goes on with after its response.
        first_byte: When a streamed response began, of perf_counter.
        session: Keyed digest of the session's cookie.
        follows: Of background work, the serial of its request.
        coroutine: The app's, where it is one, for a look at what a request in flight waits for.
        thread: Of a request that has a thread to itself, that thread's identity.
        prepared: Of a statement that is prepared and not yet executed: where its segment ends, place, start, seconds.
        trace, caller: The ids that came with it (trace_context.py), in hexadecimal.
        sampled: Whether the caller keeps that trace, for whom this request calls in turn.
        tracestate: What other tracers said of it, passed on and looked at by nobody here.
        lines: What was logged so far; None before the first (logged.py).
        kept: Whether the last row of it that was handed over was kept.
        met: How often each statement was executed so far, by its first place; None before the first.
        spans: Of OpenTelemetry's API that began within it and have not ended (spans.py); None before the first.
    """

    # Slots, each set: what lies in the class instead is looked for through all of its bases, and with the caches of
    # an app in between that takes longer than setting it.
    __slots__ = (
        "arrived_s", "caller", "cancelled", "clocks", "coroutine", "ended", "ending", "error", "first_byte", "follows",
        "kept", "kind", "lines", "met", "method", "prefix", "prepared", "queue_s", "reads", "route", "row", "sampled",
        "segments", "serial", "serials", "session", "spans", "start", "status", "sums", "trace", "tracestate",
    )  # fmt: skip

    thread: int | None = None

    def __init__(self, method: str, kind: str = "request") -> None:
        self.arrived_s = time()
        self.start = perf_counter()
        self.busy_s = self.mark = 0.0
        self.depth = self.status = 0
        self.stepping = self.cancelled = self.ending = self.ended = self.kept = False
        self.sampled = True
        self.method = method
        self.kind = kind
        self.serial = next(state.serials)
        self.serials = itertools.count()
        self.segments: list[bytes] = []
        self.clocks: list[Clock] = []  # of its further tasks and threads
        self.reads: Sequence[tuple[Any, ...]] = ()
        self.prefix = ""
        self.route: str | None = None
        self.error: str | None = None
        self.queue_s: float | None = None
        self.trace: str | None = None
        self.caller: str | None = None
        self.tracestate: str | None = None
        self.lines: list[tuple[Any, ...]] | None = None
        self.first_byte: float | None = None
        self.session: int | None = None
        self.follows: int | None = None
        self.coroutine: Any = None
        self.sums: dict[int, list[Any]] | None = None
        self.prepared: tuple[int, int, float, float] | None = None
        self.met: dict[int, int] | None = None
        self.spans: list[Any] | None = None
        self.row: tuple[Any, ...] | None = None


class Scope:
    """
    Where code runs: in which request, and in which open segment of it (a task's or thread's root has the seam "").
    """

    __slots__ = ("clock", "leaf", "request", "seam", "serial", "token", "used")

    token: Token[Scope | None]

    def __init__(self, request: Request, clock: Clock, serial: int = NONE) -> None:
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
        self.leaf = seam not in NESTING
        self.used = False
        self.outer = outer
        self.owned = outer.clock.halt() if seam == "cpu" else outer.clock.pause()


# For the sampler: the code of closures that stand on the stack while a thread waits in them, and of those that do a
# request's work in another thread, whose local `scope` says whose.
waiting: set[CodeType] = set()
working: set[CodeType] = set()

current: ContextVar[Scope | None] = ContextVar("rung", default=None)

serving: list[Callable[[], None]] = []  # done once, when this process turns out to serve requests


def failed() -> None:
    """
    Count an error inside an instrument, by where it happened; the app never sees it.
    """
    state.failures += 1
    kind, _, trace = sys.exc_info()
    if kind is None or trace is None:
        return
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    file = code.co_filename.rpartition("/")[2]
    place = f"{kind.__name__} at {file}:{trace.tb_lineno} ({code.co_name})"
    if place in state.failed_at or len(state.failed_at) < FAILED_AT_MAX:
        state.failed_at[place] = state.failed_at.get(place, 0) + 1


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
        if request.ended or segment.start < request.start:
            return
        duration_s = end - segment.start
        if segment.seam == "pool" and duration_s < POOL_WAIT_S_MIN and not segment.used:
            return
        outer.used = True
        where = (segment.seam, name, database, code, rows)
        keep(request, segment.serial, outer.serial, where, start=segment.start, duration_s=duration_s)
    except Exception:
        failed()


def place_of(seam: str, name: str, database: str | None, code: str | None) -> int:
    """
    Return the number that stands for a place in segments, and have the place sent once.
    """
    key = (seam, name, database, code)
    number = state.places.get(key)
    if number is None:
        if len(state.places) >= PLACES_MAX:
            key = (seam, "", None, None)
        number = state.places.setdefault(key, len(state.places))
        state.places_unsent.append((number, *key))
    return number


def keep(
    request: Request,
    serial: int,
    parent: int,
    where: tuple[str, str, str | None, str | None, int | None],
    *,
    start: float,
    duration_s: float,
    calls: int = 1,
) -> None:
    """
    Add a finished segment, or add to a sum where the request has too many.

    *where* is seam, name, database, code and rows; *start* is of perf_counter.
    """
    seam, name, database, code, rows = where
    start_s = start - request.start
    if start_s < 0:  # it began before the response was out, and ends in the work that goes on after it
        return
    put(request, (serial, parent, place_of(seam, name, database, code), start_s, duration_s, calls, rows))


def put(request: Request, segment: tuple[int, int, int, float, float, int, int | None]) -> None:
    """
    Add a segment whose place has a number, as `keep`.
    """
    serial, parent, place, start_s, duration_s, calls, rows = segment
    if len(request.segments) < SEGMENTS_MAX:
        rows = NONE if rows is None else rows
        request.segments.append(pack(serial, parent, place, start_s, duration_s, calls, rows))
        return
    sums = request.sums
    if sums is None:
        sums = request.sums = {}
    total = sums.get(place)
    if total is None:
        if len(sums) < SUMS_MAX:
            sums[place] = [serial, NONE, place, start_s, duration_s, calls, NONE if rows is None else rows]
        return
    total[4] += duration_s
    total[5] += calls
    if rows is not None:
        total[6] = rows + max(total[6], 0)


def freeze(request: Request, *, final: bool = False) -> float:
    """
    End *request* now, and return when that is.

    A *final* one is handed over at once; another waits for `emit`, which may add an error.
    """
    end = perf_counter()
    if request.spans:
        # Innermost first.  What goes on after the response is no longer waited for.
        for span in reversed(request.spans):
            span.cut_at(end)
        request.spans = None
    request.ended = True
    if request.serial == request.follows:
        request.serial = next(state.serials)
    cpu_s = request.busy_s
    if request.stepping and request.depth == 0:
        cpu_s += end - request.mark
    if request.clocks:
        for clock in request.clocks:
            cpu_s += clock.so_far_s()
    cpu_s = max(cpu_s, 0.0)  # a collection of garbage may fall between two looks at a clock
    segments = b"".join(request.segments) if request.segments else b""
    if request.sums:
        segments += b"".join([pack(*total) for total in request.sums.values()])
    first = request.first_byte
    row = (
        request.serial, request.kind, request.route or UNMATCHED, request.method, request.status, request.arrived_s,
        request.queue_s, None if first is None or end - first < STREAM_S_MIN else first - request.start,
        end - request.start, cpu_s,
        request.cancelled, request.error, request.session, request.follows, False, segments, request.reads,
        request.trace, request.caller,
    )  # fmt: skip
    # A task that outlives the request keeps its context, and with it this object: let it be a small one.
    request.segments, request.reads, request.met = [], (), None
    if request.sums is not None or request.prepared is not None:
        request.sums = request.prepared = None
    if final:
        _hand_over(row, request)
    else:
        request.row = row
    return end


def respond(request: Request) -> None:
    """
    Hand *request* over, whose response is out, and have it go on as a unit of background work of its own.

    Most have nothing to go on with, so the new unit gets a serial only when it is kept.
    """
    end = freeze(request, final=True)
    request.follows = request.serial
    request.kind = "background"
    request.arrived_s += end - request.start
    request.start = request.mark = end
    request.busy_s = 0.0
    request.queue_s = request.first_byte = request.error = None
    if request.clocks:
        request.clocks = [clock for clock in request.clocks if clock.stepping]
        for clock in request.clocks:
            clock.busy_s = 0.0
            clock.mark = clock.read()
    request.ended = False


def drop(request: Request) -> None:
    """
    End *request* and keep nothing of it.
    """
    request.ended = True
    state.live.discard(request)
    lines, request.lines = request.lines, None
    if lines is not None:
        state.keep_lines(lines, request.serial, kept=request.kept)  # as what it followed was


def worth_keeping(request: Request) -> bool:
    """
    Return whether background work was more than the framework's own tidying up, and waiting for the loop to do it.
    """
    lasted_s = perf_counter() - request.start
    if not request.segments:
        return lasted_s > BACKGROUND_S_MIN
    loops = {number for (seam, *_), number in state.places.items() if seam == "loop"}
    for segment in map(SEGMENT.unpack, request.segments):
        if segment[2] not in loops:
            return True
        lasted_s -= segment[4]
    return lasted_s > BACKGROUND_S_MIN


def emit(request: Request) -> None:
    """
    Hand a frozen request over to the sender, with the error that became known since, and forget it.
    """
    state.live.discard(request)
    row = request.row
    if row is None:
        return
    request.row = None
    if request.error is not None and row[ERROR] is None:
        row = (*row[:ERROR], request.error, *row[ERROR + 1 :])
    _hand_over(row, request)


def _hand_over(row: tuple[Any, ...], request: Request) -> None:
    lines, request.lines = request.lines, None
    kept: tuple[Any, ...] | None = row
    held_bytes = REQUEST_BYTES + len(row[SEGMENTS]) + READ_BYTES * len(row[READS])
    if lines is not None:
        held_bytes += LINE_BYTES * len(lines)
    if state.held_bytes + held_bytes > HELD_BYTES_MAX:
        state.dropped += 1
        kept = None
    elif state.keep_whole is not None:
        kept = state.keep_whole(row)
    request.kept = kept is not None
    if lines is not None:
        state.keep_lines(lines, row[0], kept=request.kept)
    if kept is None:
        return
    state.held_bytes += held_bytes
    state.finished.append(kept)
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
    while serving:
        serving.pop()()
    if state.on_framework is not None:
        state.on_framework()
