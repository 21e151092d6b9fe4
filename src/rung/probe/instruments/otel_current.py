"""
What makes a span the current one: OpenTelemetry's `use_span`, which has what runs inside recorded within that span too.

It takes the place of the API's function, which is a generator, and does what that does: for spans of rung's, for those
of an app's SDK, and for any other.

In        a span; the function that it decorates
Out       the span in OpenTelemetry's context, and in `core.current` where it is recorded
Not here  spans that begin as they become the current one (otel_api.py)
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context.context import Context
from opentelemetry.trace.status import Status, StatusCode

from rung.probe import core
from rung.probe.instruments.otel_span import KEY, Span, attach, context_now, detach
from rung.probe.spans import Part

put = dict.__setitem__  # a Context is made once and not changed

current = core.current


def tell(span: Any, error: BaseException, records: bool, statuses: bool) -> None:
    """
    Tell *span* of an exception that left what it is the span of; of those that are no errors it is not told.
    """
    if not isinstance(error, Exception) or not isinstance(span, trace.Span) or not span.is_recording():
        return
    if isinstance(span, Span):
        if statuses:
            span.set_status(StatusCode.ERROR)
        return
    if records:
        span.record_exception(error)
    if statuses:
        span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))


class Using:
    """
    A context manager within which a span is the current one; a decorator of functions, also async ones.
    """

    __slots__ = ("_before", "_ends", "_part", "_records", "_span", "_statuses", "_token")

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
        span = self._span
        context = Context(context_now())
        put(context, KEY, span)
        self._token = attach(context)
        self._before = None
        # Not whether it is a Span: asking that of an abstract class takes longer.
        part = span if isinstance(span, Part) else getattr(span, "_rung", None)
        if isinstance(part, Part) and not part.cut:
            part.active = True
            self._part = part
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
            detach(self._token)
        except Exception:
            context_api.detach(self._token)  # says so, as OpenTelemetry does
        if error is not None:
            tell(span, error, self._records, self._statuses)
        if self._ends:
            span.end()
        elif before is not None:
            self._part.active = False

    def __call__(self, function: Any) -> Any:
        """
        Return *function* with every call of it inside.
        """
        return decorated(function, lambda: Using(self._span, self._ends, self._records, self._statuses))


def decorated(function: Any, inside: Callable[[], Any]) -> Any:
    """
    Return *function*, sync or async, with every call of it inside of what *inside* returns.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def recorded(*args: Any, **kwargs: Any) -> Any:
            with inside():
                return await function(*args, **kwargs)

        return recorded

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with inside():
            return function(*args, **kwargs)

    return called
