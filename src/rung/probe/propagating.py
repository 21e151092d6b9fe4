"""
Which trace and span the running code is part of, and what an outgoing call says of it.

In        the scope in which code runs (core.py)
Out       ids in hexadecimal; the headers traceparent and tracestate
Not here  how ids are worked out (trace_context.py), what came with a request (arrival.py), which calls carry the
          headers (instruments/)
"""

from __future__ import annotations

import os

from rung.probe.core import NONE, current, failed, state
from rung.trace_context import SAMPLED, span_of, trace_of

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rung.probe.core import Scope

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
NOTHING: tuple[tuple[str, str], ...] = ()


def on() -> bool:
    """
    Return whether outgoing calls carry the trace: unless RUNG_PROPAGATE says off.
    """
    return os.environ.get("RUNG_PROPAGATE", "") != "off"


# What `ids` returned last, and of which serials in which process: a request logs several lines in a row.
# Asked and found in one, so that no thread takes what another found for something else.
_last: tuple[tuple[int, int, int, str | None], tuple[str, str]] = ((0, 0, 0, None), ("", ""))


def ids(scope: Scope) -> tuple[str, str]:
    """
    Return trace and span of *scope*: the trace that its request came with or began, and its innermost open segment or
    the request itself.

    What goes on after a response is part of the trace of the request that it follows.  It may come to nothing worth
    keeping; until it has a serial of its own, it speaks for that request.
    """
    global _last
    request = scope.request
    serial, follows, key = request.serial, request.follows, state.key
    asked = (serial, scope.serial, key, request.trace)
    last = _last
    if asked == last[0]:
        return last[1]
    root = serial if follows is None else follows
    span = "%016x" % span_of(key, serial, NONE if serial == follows else scope.serial)  # noqa: UP031 - half of an f-string's time
    if request.trace is not None:
        found = (request.trace, span)
    elif serial == root and scope.serial == NONE:
        found = ("%016x%s" % (key or 1, span), span)  # noqa: UP031 - as above
    else:
        found = (f"{trace_of(key, root):032x}", span)
    _last = (asked, found)
    return found


def headers() -> tuple[tuple[str, str], ...]:
    """
    Return what a call that is made now is to carry, nothing outside of a request.
    """
    try:
        scope = current.get()
        if scope is None or scope.request.ended:
            return NOTHING
        request = scope.request
        if request.serial == request.follows:
            # Whoever is called names this work as its caller: from now on it is a unit of its own.
            request.serial = next(state.serials)
        flags = SAMPLED if request.sampled else 0
        trace, span = ids(scope)
        traceparent = (TRACEPARENT, f"00-{trace}-{span}-{flags:02x}")
        if request.trace is None or request.tracestate is None:
            return (traceparent,)
        return traceparent, (TRACESTATE, request.tracestate)
    except Exception:
        failed()
        return NOTHING


def added(to: Any) -> tuple[tuple[str, str], ...]:
    """
    Put the headers into *to*, a mapping that tells names apart without their case, unless the app or another tracer
    has; return what was put, for `taken_back`.
    """
    try:
        if TRACEPARENT in to:
            return NOTHING
        put = headers()
        for name, value in put:
            to[name] = value
    except Exception:
        failed()
        return NOTHING
    return put


def taken_back(put: tuple[tuple[str, str], ...], to: Any) -> None:
    """
    Take out of *to* what `added` put there: the app may send what it has once more, in another trace.
    """
    try:
        for name, value in put:
            if to.get(name) == value:
                del to[name]
    except Exception:
        failed()


def with_headers(given: Any, make: Callable[[Any], Any]) -> Any:
    """
    Return *given*, a mapping of headers, with those of the trace in a copy by *make*; itself where there is nothing to
    add.
    """
    try:
        if any(str(name).lower() == TRACEPARENT for name in given or ()):
            return given
        put = headers()
        if not put:
            return given
        copied = make(given or {})
        for name, value in put:
            copied[name] = value
    except Exception:
        failed()
        return given
    return copied
