"""
OpenTelemetry's API as rung implements it: TracerProvider, Tracer, and spans that become the current one.

Loaded by the instrument once the app has imported the API.  What runs for every span is written out rather than called,
as in core.py.

In        the API's module; calls of the app and of OpenTelemetry's instrumentations
Out       spans that are recorded, or stand for what is recorded already; those of no request are counted
Not here  the spans themselves (otel_span.py), the app's SDK (opentelemetry.py)

Source: OpenTelemetry specification 1.50, Tracing API.
"""

from __future__ import annotations

import functools
from contextvars import Token
from time import perf_counter
from types import ModuleType, TracebackType
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context.context import Context
from opentelemetry.trace import propagation

from rung.probe import core, spans
from rung.probe.instruments.otel_current import Using, decorated, put, tell
from rung.probe.instruments.otel_span import (
    INTERNAL,
    INVALID,
    KEY,
    UNSET,
    Folded,
    Job,
    Span,
    attach,
    context_now,
    detach,
)
from rung.probe.threaded import nested

SERVER, CONSUMER = trace.SpanKind.SERVER, trace.SpanKind.CONSUMER

current = core.current
state = core.state
_begin = spans.Part.__init__
_close = spans.close


def is_apps(provider: Any) -> bool:
    """
    Return whether a provider that was set is not rung's own, got from the API and set by the app.
    """
    return provider.__class__ is not TracerProvider


class Tracer(trace.ProxyTracer):
    """
    Makes spans; the app's own once it has set a TracerProvider.
    """

    def __init__(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Any = None
    ) -> None:
        super().__init__(name, version, schema_url, attributes)
        self._noise = spans.serves(name)

    def start_span(
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
        if trace._TRACER_PROVIDER is not None and is_apps(trace._TRACER_PROVIDER):
            return self._tracer.start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        try:
            held = (context_now() if context is None else context).get(KEY)
            scope = current.get()
            if held is not None and held is not scope:
                scope = spans.place_for(scope, held)
            if scope is None or scope.leaf or scope.request.ended or self._noise or kind is SERVER or kind is CONSUMER:
                other = self._other(name, kind, scope, held)
                if other is not None:
                    return other
            assert scope is not None
            span = Span(scope)
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
        # Not a server's: the request that it is the span of may begin inside of it.
        if kind is CONSUMER and not self._noise and not nested(scope):
            if state.recording:
                return Job(name, kind, held)
        elif scope is not None and not scope.request.ended:
            noise = self._noise or kind is SERVER or (kind is CONSUMER and spans.is_unit(scope))
            return Folded(scope, held) if scope.leaf or noise else None
        if not self._noise:
            state.spans_outside += 1
        return trace.NonRecordingSpan(held.get_span_context()) if isinstance(held, trace.Span) else INVALID

    def start_as_current_span(
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
        return Current(
            self, name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception,
            end_on_exit,
        )  # fmt: skip


class Current(Span):
    """
    A span that begins, and becomes the current one, when it is entered; a decorator as well.
    """

    __slots__ = (
        "_asked",
        "_before",
        "_began_at",
        "_ends",
        "_instead",
        "_links",
        "_plain",
        "_records",
        "_token",
        "_tracer",
    )

    _before: Token[core.Scope | None]

    def __init__(  # not that of a span: it has not begun
        self,
        tracer: Tracer,
        name: str,
        context: Context | None,
        kind: trace.SpanKind,
        attributes: Any,
        links: Any,
        start_time: int | None,
        records: bool,
        statuses: bool,
        ends: bool,
    ) -> None:
        self._tracer = tracer
        self.name = name
        self._asked = context
        self.kind = kind
        self._attributes = attributes
        self._links = links  # for the app's own tracer
        self._began_at = start_time
        self._records = records
        self._errs = statuses
        self._ends = ends
        self._instead: Any = None
        self._plain: bool | None = None  # before it is entered, and whether it is entered once more

    def __enter__(self) -> Any:
        if self._plain is not None:
            self._plain = True
            return self
        if trace._TRACER_PROVIDER is not None and is_apps(trace._TRACER_PROVIDER):
            return self._elsewhere(None)
        try:
            kind, context = self.kind, context_now()
            held = (context if self._asked is None else self._asked).get(KEY)
            scope = current.get()
            if held is not None and held is not scope:
                scope = spans.place_for(scope, held)
            if (
                scope is None or scope.leaf or scope.request.ended or self._tracer._noise
                or kind is SERVER or kind is CONSUMER
            ):  # fmt: skip
                other = self._tracer._other(self.name, kind, scope, held)
                if other is not None:
                    return self._elsewhere(other)
            assert scope is not None
            self._plain = self._ended = False
            self._held = held
            self._context = None
            self._status = UNSET
            context = Context(context)
            put(context, KEY, self)
            self._token = attach(context)
            self._before = current.set(self)
            _begin(self, scope)
            self.active = True
            if kind is not INTERNAL:
                spans.watch(self)
            if self._began_at is not None:
                spans.started_at(self, self._began_at)
            return self
        except Exception:
            core.failed()
            return self._elsewhere(INVALID)

    def _elsewhere(self, span: Any) -> Any:
        """
        Have the app's own tracer do it, or another span be the current one.
        """
        if span is None:
            self._instead = self._tracer._tracer.start_as_current_span(
                self.name, self._asked, self.kind, self._attributes, self._links, self._began_at,
                self._records, self._errs, self._ends,
            )  # fmt: skip
        else:
            self._instead = Using(span, self._ends, self._records, self._errs)
        return self._instead.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> Any:
        if self._instead is not None:
            return self._instead.__exit__(kind, error, trace_)
        if self._plain:
            self._plain = False
            return super().__exit__(kind, error, trace_)
        try:
            current.reset(self._before)
        except ValueError:  # closed in another context
            pass
        try:
            detach(self._token)
        except Exception:
            context_api.detach(self._token)  # says so, as OpenTelemetry does
        if error is not None:
            tell(self, error, self._records, self._errs)
        if not self._ends:
            self.active = False
        elif error is None and self.kind is INTERNAL and not self._ended:  # end, written out
            self._ended = True
            self._end = end = perf_counter()
            try:
                _close(self, end, self.name, None, None)
            except Exception:
                core.failed()
        else:
            self.end()
        return None

    def __call__(self, function: Any) -> Any:
        """
        Return *function* with every call of it inside a span of its own.
        """
        return decorated(function, self._again)

    def _again(self) -> Current:
        return Current(
            self._tracer, self.name, self._asked, self.kind, self._attributes, self._links, self._began_at,
            self._records, self._errs, self._ends,
        )  # fmt: skip


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
        if provider is not None and is_apps(provider):
            return provider.get_tracer(*asked)
        return Tracer(*asked)


# The API cannot be asked whether a provider was configured, so FastAPI goes by this name (0.165, fastapi/telemetry).
# None was: for rung's sake it is not to begin with spans and metrics of its own, which cost more than all of rung's.
TracerProvider.__module__ = trace.ProxyTracerProvider.__module__
TracerProvider.__name__ = TracerProvider.__qualname__ = trace.ProxyTracerProvider.__name__


def install(module: ModuleType) -> None:
    """
    Put them in the API's place.
    """
    api: Any = module
    api.use_span = Using
    api._PROXY_TRACER_PROVIDER = TracerProvider()
    _early(api)
    requests_are_current(are=True)


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


_get_current_span = trace.get_current_span


@functools.wraps(_get_current_span)
def get_current_span(context: Context | None = None) -> trace.Span:
    """
    Return the current span, which within a request is the request where there is no other.
    """
    span: trace.Span = _get_current_span(context)
    if span is not INVALID or trace._TRACER_PROVIDER is not None:
        return span
    scope = current.get()
    if scope is None or scope.request.ended or (context is not None and context is not context_now()):
        return span
    return Folded(scope)


def requests_are_current(*, are: bool) -> None:
    """
    Have requests be the current span, so that their ids go out with calls of other services; or no longer.
    """
    held: Any = (trace, propagation)
    for module in held:
        module.get_current_span = get_current_span if are else _get_current_span
