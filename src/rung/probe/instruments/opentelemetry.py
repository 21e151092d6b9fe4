"""
OpenTelemetry's API and SDK: spans of its instrumentations and of the app's own code.

As long as the app has set no TracerProvider, the one that the API falls back on is rung's.  It is not set: the app may
set its SDK at any time, and every tracer that was given out goes over to it then.  An app that has an SDK keeps it; its
spans are looked at where they begin and end.

In        opentelemetry.trace and opentelemetry.sdk.trace after their import
Out       spans as segments (spans.py); the API's functions replaced by ones that also know in which request they run
Not here  the classes that the API is given (otel_api.py); spans that the SDK does not sample, which it does not make
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from time import perf_counter
from types import ModuleType
from typing import Any

from rung.probe import core, spans
from rung.probe.threaded import nested

OFF = "RUNG_OPENTELEMETRY"


def _wanted() -> bool:
    """
    Return whether spans are recorded: unless RUNG_OPENTELEMETRY says off, or OTEL_SDK_DISABLED true.
    """
    return os.environ.get(OFF, "") != "off" and not spans.disabled()


def _api(module: ModuleType) -> None:
    if not _wanted():
        return
    from rung.probe.instruments import otel_api

    otel_api.install(module)


class Seen(spans.Part):
    """
    A span of the app's SDK.
    """

    __slots__ = ("span",)

    def __init__(self, outer: core.Scope, span: Any) -> None:
        super().__init__(outer)
        self.span = span

    def told(self) -> tuple[Any, str | None, Any]:
        """
        Return what the SDK's span holds.
        """
        span = self.span
        kind = span._kind._name_
        return span._name, None if kind == "INTERNAL" else kind, span._attributes


def _sdk(module: ModuleType) -> None:
    if not _wanted():
        return
    from rung.probe.instruments import otel_api, otel_span

    _provider(module, otel_api)
    _spans(module, otel_span)


def _provider(module: ModuleType, api: ModuleType) -> None:
    owner: Any = module.TracerProvider
    original = owner.__init__

    @functools.wraps(original)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        # Its spans have parents of its own: a request of rung's as the parent of one would decide on its sampling.
        api.requests_are_current(are=False)
        original(self, *args, **kwargs)

    owner.__init__ = made


def _spans(module: ModuleType, held: ModuleType) -> None:
    owner: Any = module.Span
    start, end = owner.start, owner.end

    @functools.wraps(start)
    def recorded_start(self: Any, start_time: Any = None, parent_context: Any = None) -> None:
        start(self, start_time=start_time, parent_context=parent_context)
        try:
            _begun(self, start_time, held.held_in(parent_context))
        except Exception:
            core.failed()

    @functools.wraps(end)
    def recorded_end(self: Any, end_time: Any = None) -> None:
        end(self, end_time)
        part = vars(self).pop("_rung", None)
        if part is not None:
            try:
                _ended(part, self, end_time)
            except Exception:
                core.failed()

    owner.start, owner.end = recorded_start, recorded_end


def _begun(span: Any, start_time: Any, held: Any) -> None:
    kind = span._kind._name_
    scope = spans.place_for(spans.current.get(), getattr(held, "_rung", None))
    noise = span._instrumentation_scope.name in spans.SERVING
    if kind == "CONSUMER" and not noise and not nested(scope):
        if core.state.recording:
            span._rung = spans.Unit(span._name)
        return
    if scope is None or scope.request.ended:
        core.state.spans_outside += not noise
        return
    if kind == "SERVER":
        # The request itself; rung's views name its trace as the app's do.
        if scope.request.trace is None and scope.serial == core.NONE:
            scope.request.trace = f"{span._context.trace_id:032x}"
        return
    if scope.leaf or noise or (kind == "CONSUMER" and spans.is_unit(scope)):
        return
    part = span._rung = Seen(scope, span)
    if kind != "INTERNAL":
        spans.watch(part)
    if start_time is not None:
        spans.started_at(part, start_time)


def _ended(part: Any, span: Any, end_time: Any) -> None:
    if isinstance(part, spans.Unit):
        part.end()
        return
    end = perf_counter() if end_time is None else spans.ended_at(part, end_time)
    spans.close(part, end, *part.told())


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"opentelemetry.trace": _api, "opentelemetry.sdk.trace": _sdk}
