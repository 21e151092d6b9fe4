"""
What a span of OpenTelemetry's API is in a recording: a segment, and of what kind.

A span tells where it began and ended and what it is called; what it waited for is known only when it has ended.  One
that rung's own instruments recorded something within is a container: it takes the time that is left, on the seam cpu
where that was computing and on `other` where it was not.  One of the kind CLIENT or PRODUCER within which nothing was
recorded is the call itself, told by its attributes.  Only attributes whose names stand here are looked at, and of them
none that holds a value of a user's: the text of a statement loses them like any other (statement.py).

In        spans as they begin and end, of rung's TracerProvider or of the app's SDK; their attributes
Out       segments, units of work of the kind job; counts of what has no place
Not here  the classes of OpenTelemetry (instruments/opentelemetry.py), which nothing here imports
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from contextvars import Token
from threading import get_ident
from time import perf_counter, time
from typing import Any

from rung.probe import core, lines, statements
from rung.probe.threaded import Threaded
from rung.trace_context import ROOT, span_of, trace_of

NAME_MAX = 100  # characters
NAMES_MAX = 500  # different names of a process; what comes after them has no name of its own
NAMED_MAX = 10_000  # names as the app gave them, remembered with their places
OTHER_NAME = "(other)"
UNNAMED = "(unnamed)"

NANOSECOND_S = 1e-9  # in which OpenTelemetry's API tells the time
# From which share of a span's own time on, computed, the rest is the price of it and no wait.  A thread that computes
# beside others gets a part of the time only.
COMPUTED_SHARE_MIN = 0.5
COMPUTED_SHARE_IN_THREAD_MIN = 0.1

_CACHES = frozenset({"redis", "valkey", "memcached"})
# Only its grammar is known well enough to take the values out of a text.
_READABLE = frozenset({"postgresql"})
_QUERY = ("db.system.name", "db.system", "db.query.text", "db.statement", "db.query.summary", "db.operation.name")
_HTTP = ("http.request.method", "http.method")
_RPC = ("rpc.system.name", "rpc.system")
# What a name may hold by mistake: quoted text, addresses, long numbers and ids.
_VALUE = re.compile(
    r"""'[^']*' | "[^"]*" | \S+@\S+ | \?\S*
  | \b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{8,}
  | \b(?=[a-zA-Z]*\d)[0-9a-fA-F]{8,}\b | \d{4,} | \b\d+\b
    """,
    re.VERBOSE,
)
# Whose spans are requests that rung records itself, and the sending and receiving of their parts.
SERVING = frozenset(f"opentelemetry.instrumentation.{name}" for name in (
    "asgi", "django", "fastapi", "flask", "starlette", "wsgi",
))  # fmt: skip

current = core.current
state = core.state
pack = core.pack
SEGMENTS_MAX = core.SEGMENTS_MAX
NONE = core.NONE

_shown: set[str] = set()


class Part(core.Scope):
    """
    A span that is open: the scope of what runs while it is the current one.

    Attributes:
        outer: The scope in which it began.
        start: Of perf_counter.
        before_s: What its task had computed by then.
        index: How many segments its request had by then.
        active: Whether it is, or at its end was, the current span, so that `used` tells what happened within.
        cut: Whether it was kept as it stood when its request was answered.
        used_before: Whether something had been recorded in the outer scope by then.
    """

    __slots__ = ("active", "before_s", "cut", "index", "outer", "start", "used_before")

    def __init__(self, outer: core.Scope) -> None:
        request, clock = outer.request, outer.clock
        self.request = request
        self.clock = clock
        self.outer = outer
        self.serial = next(request.serials)
        self.seam = "span"
        self.leaf = self.used = self.active = self.cut = self.used_before = False
        self.index = len(request.segments)
        if request.spans is None:
            request.spans = [self]
        else:
            request.spans.append(self)
        self.start = start = perf_counter()
        if not clock.stepping:
            self.before_s = clock.so_far_s()
        elif clock.depth == 0:
            self.before_s = clock.busy_s + start - clock.mark
        else:
            self.before_s = clock.busy_s

    def cut_at(self, end: float) -> None:
        """
        Keep what there was of it by *end*, which is when its request was answered.
        """
        try:
            name, kind, attributes = self.told()
            close(self, end, name, kind, attributes)
        except Exception:
            core.failed()
        self.cut = True

    def told(self) -> tuple[Any, str | None, Any]:
        """
        Return its name, its kind (None for INTERNAL) and its attributes, as they are now.
        """
        raise NotImplementedError


def close(part: Part, end: float, name: Any, kind: str | None, attributes: Any) -> None:
    """
    Keep *part*, which ended at *end*, as a segment; *kind* is None for INTERNAL.
    """
    request = part.request
    spans = request.spans
    if spans:
        if spans[-1] is part:
            spans.pop()
        elif part in spans:
            spans.remove(part)
    if part.cut or request.ended:
        return
    start, clock = part.start, part.clock
    duration_s = end - start if end > start else 0.0
    if not clock.stepping:
        computed_s = clock.so_far_s() - part.before_s
    elif clock.depth == 0:
        computed_s = clock.busy_s + end - clock.mark - part.before_s
    else:
        computed_s = clock.busy_s - part.before_s
    computed_s = min(computed_s, duration_s)
    if computed_s > 0.0:
        clock.busy_s -= computed_s  # what is told apart is no longer the app's own computing
    if kind is not None and not _contains(part, kind):
        place = _called(part, kind, named(name), attributes)
    else:
        seam = "cpu" if computed_s >= COMPUTED_SHARE_MIN * duration_s else _seam(part, duration_s, computed_s)
        known = state.named.get((name, seam, request.route))
        place = _place(name, seam, request.route) if known is None else known
    outer = part.outer
    outer.used = True
    segments = request.segments
    if len(segments) < SEGMENTS_MAX:
        segments.append(pack(part.serial, outer.serial, place, start - request.start, duration_s, 1, NONE))
    else:
        core.put(request, (part.serial, outer.serial, place, start - request.start, duration_s, 1, None))


def _seam(part: Part, duration_s: float, computed_s: float) -> str:
    """
    Return cpu where most of what is a span's own was computing.

    What was recorded since it began, within it or beside it, is not its own: each instant counts for what began last.
    """
    left_s = duration_s
    for packed in part.request.segments[part.index :]:
        _, parent, _, _, lasted_s, _, _ = core.SEGMENT.unpack(packed)
        if parent in (part.serial, NONE):
            left_s -= lasted_s
    share_min = COMPUTED_SHARE_MIN if part.clock.read is perf_counter else COMPUTED_SHARE_IN_THREAD_MIN
    return "cpu" if computed_s >= share_min * left_s else "other"


def watch(part: Part) -> None:
    """
    Have told whether anything is recorded in the place where *part* began, which need not become the current span.
    """
    outer = part.outer
    part.used_before, outer.used = outer.used, False


def _contains(part: Part, kind: str) -> bool:
    """
    Return whether an instrument recorded within a span what that is the span of.
    """
    outer = part.outer
    meanwhile = outer.used
    outer.used = meanwhile or part.used_before
    # A call that became the current span knows by itself; beside it may have been others.
    return part.used or kind not in ("CLIENT", "PRODUCER") or (meanwhile and not part.active)


def _called(part: Part, kind: str, shown: str, attributes: Any) -> int:
    """
    Return the place of a call that no instrument knows, by the span's attributes.
    """
    told: Mapping[Any, Any] = attributes if isinstance(attributes, Mapping) else {}
    if any(name in told for name in _QUERY):
        return _asked(part, shown, told)
    seam, name = "external", shown
    if any(attribute in told for attribute in _HTTP):
        name = "http"
    elif any(attribute in told for attribute in _RPC):
        service, method = _word(told, "rpc.service"), _word(told, "rpc.method")
        name = f"{service}/{method}" if service and method else method or _word(told, *_RPC) or shown
    elif kind == "PRODUCER":
        seam = "job"
    return core.place_of(seam, name, None, _line(part, shown))


def _asked(part: Part, shown: str, told: Mapping[Any, Any]) -> int:
    """
    Return the place of a call of a database or a cache.
    """
    system = _word(told, "db.system.name", "db.system").lower()
    if system in _CACHES:
        return core.place_of("cache", system, None, _line(part, shown))
    host, port = _word(told, "server.address", "net.peer.name"), told.get("server.port", told.get("net.peer.port"))
    database = _word(told, "db.namespace", "db.name")
    where: statements.Database = f"{system or 'database'}/{database}"
    if host:
        where = ((host, port), database) if isinstance(port, int) else (host, database)
    text = told.get("db.query.text", told.get("db.statement"))
    if system in _READABLE and isinstance(text, str) and text.strip():
        route = part.request.route
        known = state.asked.get((text, where, route))
        if known is None:
            known = statements.noted(text, where, route, percent="%s" in text or "%(" in text)
        return known[0]
    operation = _word(told, "db.operation.name", "db.operation")
    collection = _word(told, "db.collection.name", "db.sql.table")
    name = _word(told, "db.query.summary") or f"{operation} {collection}".strip() or shown
    return core.place_of("query", name, statements.label(where), _line(part, shown))


def _word(told: Mapping[Any, Any], *names: str) -> str:
    """
    Return the first of these attributes that is a text, as names are shown; "" for none.
    """
    for name in names:
        value = told.get(name)
        if isinstance(value, str) and value:
            return _plain(value)
    return ""


def named(name: Any) -> str:
    """
    Return what is shown of a span's name: no more than NAMES_MAX different ones, without what looks like a value.

    >>> named("charge the card"), named("GET /orders/4711?key=1"), named("mail to ada@example.org")
    ('charge the card', 'GET /orders/{}{}', 'mail to {}')
    """
    if not isinstance(name, str) or not name:
        return UNNAMED
    shown = _plain(name)
    if shown not in _shown:
        if len(_shown) >= NAMES_MAX:
            state.names_folded += 1
            return OTHER_NAME
        _shown.add(shown)
    return shown


def _plain(text: str) -> str:
    return _VALUE.sub("{}", text[: 4 * NAME_MAX])[:NAME_MAX]


def _place(name: Any, seam: str, route: str | None) -> int:
    """
    Return the place of spans of that name, with the line of the first that ended.
    """
    if len(state.named) >= NAMED_MAX:
        state.named.clear()
    place = state.named[name, seam, route] = core.place_of(seam, named(name), None, lines.line_here())
    return place


def _line(part: Part, name: str) -> str | None:
    return lines.line_of_call(name, part.request.route)


def started_at(part: Part, start_time: Any) -> None:
    """
    Have *part* begin at a moment that the app names, nanoseconds since 1970; not before its request.
    """
    part.start = min(max(_moment(start_time, part.start), part.request.start), part.start)


def ended_at(part: Part, end_time: Any) -> float:
    """
    Return when *part* ended, of perf_counter: now, or at the moment that the app names if that makes sense.
    """
    now = perf_counter()
    return now if end_time is None else min(max(_moment(end_time, now), part.start), now)


def _moment(named: Any, now: float) -> float:
    """
    Return that moment, of perf_counter; *now* where it makes no sense.
    """
    return now + named * NANOSECOND_S - time() if isinstance(named, int) and not isinstance(named, bool) else now


def since_1970(part: Part, moment: float) -> int:
    """
    Return a moment of perf_counter as OpenTelemetry tells it: nanoseconds since 1970.
    """
    request = part.request
    return int((request.arrived_s + moment - request.start) / NANOSECOND_S)


def place_for(scope: core.Scope | None, held: Any) -> core.Scope | None:
    """
    Return the scope that a span begins in: *scope* is where the code runs, *held* the parent that OpenTelemetry knows.

    A span may be made the current one without anybody but OpenTelemetry knowing, or be handed to another thread.
    """
    if not isinstance(held, Part) or held.request.ended or held.cut:
        return scope
    if scope is None or scope.request is not held.request or (not scope.leaf and held.serial > scope.serial):
        return held
    return scope


def disabled() -> bool:
    """
    Return whether the app is told to do without OpenTelemetry.
    """
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def serves(tracer: Any) -> bool:
    """
    Return whether the spans of a tracer of that name are requests that rung records itself.
    """
    return isinstance(tracer, str) and tracer in SERVING


def is_unit(scope: core.Scope) -> bool:
    """
    Return whether *scope* is a job as a whole, so that the span of who consumes it is that job.
    """
    return scope.serial == NONE and scope.request.kind == "job"


def ids(request: core.Request, segment: int = ROOT) -> tuple[int, int]:
    """
    Return the ids of the trace and of the span that a segment of *request* is, or the request as a whole.
    """
    if request.follows is not None and request.serial == request.follows:
        # What goes on after a response has a serial of its own once somebody asks.
        request.serial = next(state.serials)
    if request.trace is not None:
        trace = int(request.trace, 16)
    else:
        trace = trace_of(state.key, request.serial if request.follows is None else request.follows)
    return trace, span_of(state.key, request.serial, segment)


class Unit:
    """
    A unit of work that nothing but a span tells of: what a server or a consumer does that no instrument knows.
    """

    __slots__ = ("_token", "request")

    _token: Token[core.Scope | None] | None

    def __init__(self, name: Any) -> None:
        self._token = None
        self.request: core.Request
        if _on_loop():
            # Whose steps these are nobody tells, so its computing is not known.
            self.request = core.Request("", "job")
            self._token = current.set(core.Scope(self.request, self.request))
            state.live.add(self.request)
        else:
            self.request = Threaded("", "job")
        self.request.route = f"job:{named(name)}"

    def note(self, error: BaseException) -> None:
        """
        Keep type and line of an exception.
        """
        self.request.error = core.describe_error(error, lines.line_of_error(error.__traceback__))

    def end(self) -> None:
        """
        Hand it over; also in another thread or context than it began in.
        """
        request = self.request
        if request.ended:
            return
        if isinstance(request, Threaded):
            if request.thread != get_ident():
                request.thread = request.token = None
            request.end()
            return
        if self._token is not None:
            leave(self._token)
        state.live.discard(request)
        core.freeze(request, final=True)


def _on_loop() -> bool:
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None


def leave(token: Token[core.Scope | None]) -> None:
    """
    Have the code run where it did before; not in another context than the one that was left.
    """
    try:
        current.reset(token)
    except ValueError:
        pass
