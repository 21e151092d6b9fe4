"""
A span of rung's own, as OpenTelemetry's API has it, and what stands for one that is recorded already.

Loaded once the app has imported the API.  Whatever the app hands over is held and not looked at before the span ends:
attributes of any kind do no harm; events, links, and the descriptions of errors are taken and not kept.

In        the API's module; calls of the app and of OpenTelemetry's instrumentations
Out       spans.Part, begun and ended; contexts with the ids that rung's other views have too
Not here  what a span is in a recording (spans.py), what makes one the current one (otel_current.py, otel_api.py)

Source: OpenTelemetry specification 1.50, Tracing API.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from types import MappingProxyType, TracebackType
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import propagation
from opentelemetry.trace.status import Status, StatusCode

from rung.probe import core, spans
from rung.trace_context import ROOT

ATTRIBUTES_MAX = 128  # of one span, as the SDK has it

INTERNAL = trace.SpanKind.INTERNAL
INVALID = trace.INVALID_SPAN
UNSET = Status()
SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)
KEY: Any = propagation._SPAN_KEY

_runtime: Any = context_api._RUNTIME_CONTEXT
if type(_runtime) is ContextVarsRuntimeContext:
    # The default one keeps it in a context variable, which is asked without the two calls around it.
    _held: Any = _runtime._current_context
    context_now, attach, detach = _held.get, _held.set, _held.reset
else:
    context_now, attach, detach = _runtime.get_current, _runtime.attach, _runtime.detach


def held_in(context: Any) -> Any:
    """
    Return the span that a context, by default the current one, holds.
    """
    return (context_now() if context is None else context).get(KEY)


def context_of(request: core.Request, segment: int, held: Any) -> trace.SpanContext:
    """
    Return the ids of a segment: in the trace of the span that OpenTelemetry knows as its parent, if there is one.
    """
    trace_id, span_id = spans.ids(request, segment)
    trace_state = None
    if isinstance(held, trace.Span):
        parent = held.get_span_context()
        if parent.is_valid:
            trace_id, trace_state = parent.trace_id, parent.trace_state
    return trace.SpanContext(trace_id, span_id, False, SAMPLED, trace_state)


class Folded(trace.NonRecordingSpan):
    """
    A span that is recorded already: as the request that it is in, or as the call that an instrument knows.
    """

    def __init__(self, scope: core.Scope, held: Any = None) -> None:
        self._scope, self._held, self._known = scope, held, None

    _known: trace.SpanContext | None

    def get_span_context(self) -> trace.SpanContext:
        """
        Return the ids of what it is recorded as.
        """
        if self._known is None:
            request, serial = self._scope.request, self._scope.serial
            self._known = context_of(request, ROOT if serial == core.NONE else serial, self._held)
        return self._known

    def __repr__(self) -> str:
        return f"Folded({self.get_span_context()!r})"


class Span(trace.Span, spans.Part):
    """
    A span, which is also the scope of what runs while it is the current one.
    """

    __slots__ = (
        "_attributes", "_context", "_end", "_ended", "_errs", "_held", "_status", "kind", "name",
    )  # fmt: skip

    name: str
    kind: trace.SpanKind
    _attributes: Any
    _context: trace.SpanContext | None
    _end: float
    _ended: bool
    _errs: bool
    _held: Any
    _status: Status

    def told(self) -> tuple[Any, str | None, Any]:
        """
        Return its name, its kind (None for INTERNAL) and its attributes, as they are now.
        """
        kind = self.kind
        return self.name, None if kind is INTERNAL else getattr(kind, "_name_", ""), self._attributes

    def end(self, end_time: int | None = None) -> None:
        """
        End it; only the first call counts.
        """
        if self._ended:
            return
        self._ended = True
        try:
            end = perf_counter() if end_time is None else spans.ended_at(self, end_time)
            self._end = end
            if self.kind is INTERNAL:
                spans.close(self, end, self.name, None, None)
            else:
                spans.close(self, end, *self.told())
        except Exception:
            core.failed()

    def get_span_context(self) -> trace.SpanContext:
        """
        Return its ids, worked out when somebody asks.
        """
        if self._context is None:
            self._context = context_of(self.request, self.serial, self._held)
        return self._context

    def is_recording(self) -> bool:
        """
        Return whether it has not ended.
        """
        return not self._ended

    def set_attribute(self, key: str, value: Any) -> None:
        """
        Set one attribute.
        """
        if self._ended:
            return
        try:
            own = self._own_attributes()
            if key in own or len(own) < ATTRIBUTES_MAX:
                own[key] = value
        except Exception:
            core.failed()

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """
        Set several attributes.
        """
        if self._ended or not attributes:
            return
        try:
            for key, value in attributes.items():
                self.set_attribute(key, value)
        except Exception:
            core.failed()

    def _own_attributes(self) -> dict[Any, Any]:
        held = self._attributes
        if type(held) is not _Own:
            held = self._attributes = _Own(held if isinstance(held, Mapping) else ())
        own: dict[Any, Any] = held
        return own

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """
        Take an event; none is kept.
        """

    def add_link(self, context: trace.SpanContext, attributes: Any = None) -> None:
        """
        Take a link; none is kept.
        """

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        """
        Take an exception; what makes a request fail is kept with the request.
        """

    def update_name(self, name: str) -> None:
        """
        Call it something else.
        """
        if not self._ended:
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """
        Set its status: OK is final, UNSET is no status.
        """
        code = status.status_code if isinstance(status, Status) else status
        if self._ended or self.status.status_code is StatusCode.OK or code is StatusCode.UNSET:
            return
        if isinstance(code, StatusCode):
            self._status = Status(code)

    @property
    def status(self) -> Status:
        """
        Its status, without the description.
        """
        return self._status

    @property
    def context(self) -> trace.SpanContext:
        """
        Its ids, as the SDK's spans have them.
        """
        return self.get_span_context()

    @property
    def parent(self) -> trace.SpanContext | None:
        """
        The ids of what it began in.
        """
        if isinstance(self._held, trace.Span):
            return self._held.get_span_context()
        serial = self.outer.serial
        return context_of(self.request, ROOT if serial == core.NONE else serial, None)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """
        What was set, not to be changed.
        """
        held = self._attributes
        return MappingProxyType(dict(held) if isinstance(held, Mapping) else {})

    @property
    def start_time(self) -> int:
        """
        When it began, nanoseconds since 1970.
        """
        return spans.since_1970(self, self.start)

    @property
    def end_time(self) -> int | None:
        """
        When it ended, nanoseconds since 1970.
        """
        return spans.since_1970(self, self._end) if self._ended else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and self._errs:
            self.set_status(StatusCode.ERROR)
        self.end()


class _Own(dict[Any, Any]):
    """
    Attributes that a span has copied, so that what the app handed over stays the app's.
    """


class Job(trace.NonRecordingSpan):
    """
    A unit of work that began with it: a server's or a consumer's outside of any request.
    """

    def __init__(self, name: str, kind: trace.SpanKind, held: Any) -> None:
        self._unit = spans.Unit(name)
        self._context = context_of(self._unit.request, ROOT, held)
        self.name, self.kind = name, kind
        parent = held.get_span_context() if isinstance(held, trace.Span) else None
        if parent is not None and parent.is_valid:
            request = self._unit.request
            request.trace, request.caller = f"{parent.trace_id:032x}", f"{parent.span_id:016x}"

    def is_recording(self) -> bool:
        """
        Return whether it has not ended.
        """
        return not self._unit.request.ended

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        """
        Keep type and line of what failed.
        """
        try:
            self._unit.note(exception)
        except Exception:
            core.failed()

    def end(self, end_time: int | None = None) -> None:
        """
        End the unit of work.
        """
        try:
            self._unit.end()
        except Exception:
            core.failed()
