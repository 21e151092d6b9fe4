"""
OpenTelemetry's API as rung implements it: TracerProvider, Tracer, Span, and what makes a span the current one.

Loaded by the instrument once the app has imported the API.  What runs for every span is written out rather than called,
as in core.py.  Whatever the app hands over is held and not looked at before the span ends: attributes of any kind do no
harm, and events, links, and the descriptions of errors are taken and not kept.

In        the API's module; calls of the app and of OpenTelemetry's instrumentations
Out       spans.Part, begun and ended; contexts with the ids that rung's other views have too
Not here  what a span is in a recording (spans.py), the app's SDK (opentelemetry.py)

Source: OpenTelemetry specification 1.50, Tracing API.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from contextvars import Token
from time import perf_counter
from types import MappingProxyType, ModuleType, TracebackType
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import propagation
from opentelemetry.trace.status import Status, StatusCode

from rung.probe import core, spans
from rung.probe.threaded import nested
from rung.trace_context import ROOT

ATTRIBUTES_MAX = 128  # of one span, as the SDK has it

INTERNAL, SERVER, CONSUMER = trace.SpanKind.INTERNAL, trace.SpanKind.SERVER, trace.SpanKind.CONSUMER
INVALID = trace.INVALID_SPAN
UNSET = Status()
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_KEY: Any = propagation._SPAN_KEY
_RUNTIME = context_api._RUNTIME_CONTEXT
# The default one keeps it in a context variable, which is asked without the two calls around it.
_DIRECT = type(_RUNTIME) is ContextVarsRuntimeContext
_held: Any = _RUNTIME._current_context.get if isinstance(_RUNTIME, ContextVarsRuntimeContext) else None
_attach: Any = _RUNTIME._current_context.set if isinstance(_RUNTIME, ContextVarsRuntimeContext) else None
_detach: Any = _RUNTIME._current_context.reset if isinstance(_RUNTIME, ContextVarsRuntimeContext) else None
if not _DIRECT:
    _held, _attach, _detach = _RUNTIME.get_current, _RUNTIME.attach, _RUNTIME.detach

current = spans.current
state = core.state


class OfApp:
    """
    Whether the app has made a TracerProvider of its own.
    """

    present = False


of_app = OfApp()


def held_in(context: Any) -> Any:
    """
    Return the span that a context, by default the current one, holds.
    """
    return (_held() if context is None else context).get(_KEY)


def _is_apps(provider: Any) -> bool:
    """
    Return whether a provider that was set is not rung's own, got from the API and set by the app.
    """
    return provider.__class__ is not TracerProvider


def _context_of(request: core.Request, segment: int, held: Any) -> trace.SpanContext:
    """
    Return the ids of a segment: in the trace of the span that OpenTelemetry knows as its parent, if there is one.
    """
    trace_id, span_id = spans.ids(request, segment)
    trace_state = None
    if isinstance(held, trace.Span):
        parent = held.get_span_context()
        if parent.is_valid:
            trace_id, trace_state = parent.trace_id, parent.trace_state
    return trace.SpanContext(trace_id, span_id, False, _SAMPLED, trace_state)


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
            self._known = _context_of(request, ROOT if serial == core.NONE else serial, self._held)
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
    __init__ = spans.Part.__init__

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
            self._context = _context_of(self.request, self.serial, self._held)
        known: trace.SpanContext = self._context
        return known

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
        known: Status = self._status
        return known

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
        return _context_of(self.request, ROOT if serial == core.NONE else serial, None)

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
        return int((self.request.arrived_s + self.start - self.request.start) * 1e9)

    @property
    def end_time(self) -> int | None:
        """
        When it ended, nanoseconds since 1970.
        """
        return self.start_time + int((self._end - self.start) * 1e9) if self._ended else None

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
        self._context = _context_of(self._unit.request, ROOT, held)
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


class Tracer(trace.ProxyTracer):
    """
    Makes spans; the app's own once it has set a TracerProvider.
    """

    def __init__(self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Any = None):
        super().__init__(name, version, schema_url, attributes)
        self._noise = spans.serves(name)

    def start_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        """
        Begin a span, which does not become the current one by that.
        """
        if trace._TRACER_PROVIDER is not None and _is_apps(trace._TRACER_PROVIDER):
            return self._tracer.start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        try:
            held = (_held() if context is None else context).get(_KEY)
            scope = current.get()
            if held is not None and held is not scope:
                scope = spans.place_for(scope, held)
            if scope is None or scope.leaf or scope.request.ended or self._noise or kind is SERVER or kind is CONSUMER:
                other = self._other(name, kind, scope, held)
                if other is not None:
                    return other
            assert scope is not None
            span = Span(scope, name)
            span.name = name
            span.kind = kind
            span._attributes = attributes
            span._held = held
            span._context = None
            span._ended = False
            span._status = UNSET
            span._errs = set_status_on_exception
            if kind is not INTERNAL:
                spans.watch(span)
            if start_time is not None:
                spans.started_at(span, start_time)
            return span
        except Exception:
            core.failed()
            return INVALID

    def _other(self, name: str, kind: trace.SpanKind, scope: core.Scope | None, held: Any) -> trace.Span | None:
        """
        Return the span in place of one that is no segment; None where it is one.
        """
        if (kind is SERVER or kind is CONSUMER) and not self._noise and not nested(scope):
            if state.recording:
                return Job(name, kind, held)
        elif scope is not None and not scope.request.ended:
            noise = self._noise or kind is SERVER or (kind is CONSUMER and spans.is_unit(scope))
            return Folded(scope, held) if scope.leaf or noise else None
        if not self._noise:
            state.spans_outside += 1
        return trace.NonRecordingSpan(held.get_span_context()) if isinstance(held, trace.Span) else INVALID

    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Any:
        """
        Return what begins a span and makes it the current one when it is entered; a decorator as well.
        """
        return Starting(
            self, (name, context, kind, attributes, links, start_time), record_exception, set_status_on_exception,
            end_on_exit,
        )  # fmt: skip


class Using:
    """
    A context manager within which a span is the current one; a decorator of functions, also async ones.
    """

    __slots__ = ("_before", "_ends", "_records", "_span", "_statuses", "_token")

    _before: Token[core.Scope | None] | None

    def __init__(
        self,
        span: Any,
        end_on_exit: bool = False,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> None:
        self._span = span
        self._ends = end_on_exit
        self._records = record_exception
        self._statuses = set_status_on_exception

    def __enter__(self) -> Any:
        return self._enter(self._span)

    def _enter(self, span: Any) -> Any:
        values = dict(_held())
        values[_KEY] = span
        self._token = _attach(Context(values))
        self._before = None
        part = span if span.__class__ is Span else getattr(span, "_rung", None)
        if isinstance(part, spans.Part) and not part.cut:
            part.active = True
            self._before = current.set(part)
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        span = self._span
        before = self._before
        if before is not None:
            try:
                current.reset(before)
            except ValueError:  # closed in another context
                pass
        try:
            _detach(self._token)
        except Exception:
            context_api.detach(self._token)  # says so, as OpenTelemetry does
        if error is not None:
            self._failed(span, error)
        if self._ends:
            span.end()
        elif before is not None:
            (span if span.__class__ is Span else span._rung).active = False

    def _failed(self, span: Any, error: BaseException) -> None:
        if isinstance(error, Exception) and isinstance(span, trace.Span) and span.is_recording():
            if self._records:
                span.record_exception(error)
            if self._statuses and span.__class__ is Span:
                span.set_status(StatusCode.ERROR)
            elif self._statuses:
                span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))

    def _again(self) -> Using:
        return Using(self._span, self._ends, self._records, self._statuses)

    def __call__(self, function: Any) -> Any:
        """
        Return *function* with every call of it inside.
        """
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return await function(*args, **kwargs)

            return awaited

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return called


class Starting(Using):
    """
    As Using, with a span that begins when it is entered.
    """

    __slots__ = ("_asked", "_instead", "_tracer")

    def __init__(
        self, tracer: Tracer, asked: tuple[Any, ...], records: bool, statuses: bool, ends: bool
    ) -> None:
        self._tracer = tracer
        self._asked = asked
        self._records = records
        self._statuses = statuses
        self._ends = ends
        self._instead: Any = None

    def __enter__(self) -> Any:
        tracer = self._tracer
        if trace._TRACER_PROVIDER is not None and _is_apps(trace._TRACER_PROVIDER):
            self._instead = tracer._tracer.start_as_current_span(
                *self._asked, self._records, self._statuses, self._ends
            )
            return self._instead.__enter__()
        self._span = span = tracer.start_span(*self._asked, self._records, self._statuses)
        return self._enter(span)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> Any:
        if self._instead is not None:
            return self._instead.__exit__(kind, error, trace_)
        return super().__exit__(kind, error, trace_)

    def _again(self) -> Using:
        return Starting(self._tracer, self._asked, self._records, self._statuses, self._ends)


class TracerProvider(trace.ProxyTracerProvider):
    """
    Gives out tracers of rung's, for as long as the app has set no provider of its own.
    """

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> trace.Tracer:
        """
        Return a tracer.
        """
        asked = (instrumenting_module_name, instrumenting_library_version, schema_url, attributes)
        provider = trace._TRACER_PROVIDER
        if provider is not None and _is_apps(provider):
            return provider.get_tracer(*asked)
        return Tracer(*asked)


def install(module: ModuleType) -> None:
    """
    Put them in the API's place.
    """
    api: Any = module
    api.use_span = Using
    api._PROXY_TRACER_PROVIDER = TracerProvider()
    _early(api)
    _within_requests(api)


def _early(api: Any) -> None:
    """
    Have tracers that were given out before go over to rung's as well.
    """
    owner = api.ProxyTracer
    original = owner._tracer.fget

    def tracer(self: Any) -> trace.Tracer:
        found: trace.Tracer = original(self)
        if found is not self._noop_tracer or isinstance(self, Tracer) or isinstance(found, Tracer):
            return found
        self._noop_tracer = made = Tracer(
            self._instrumenting_module_name, self._instrumenting_library_version, self._schema_url, self._attributes
        )
        return made

    owner._tracer = property(tracer)


def _within_requests(api: Any) -> None:
    """
    Have the request be the current span where there is no other, so that its ids go out with calls of other services.
    """
    original = api.get_current_span

    @functools.wraps(original)
    def get_current_span(context: Context | None = None) -> trace.Span:
        span: trace.Span = original(context)
        if span is not INVALID or of_app.present or trace._TRACER_PROVIDER is not None:
            return span
        scope = current.get()
        if scope is None or scope.request.ended or (context is not None and context is not _held()):
            return span
        return Folded(scope)

    api.get_current_span = propagation.get_current_span = get_current_span
