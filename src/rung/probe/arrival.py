"""
What came with a request: how long it waited before the app took it, and which trace it is part of.

In        the values of X-Request-Start, traceparent and tracestate
Out       seconds, and ids; nothing where a value makes no sense
Not here  requests without these headers
"""

from __future__ import annotations

import math

from rung.trace_context import parse

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from rung.probe.core import Request

# nginx writes t=SECONDS.FRACTION, Heroku milliseconds, HAProxy and Apache microseconds: they differ in magnitude.
_SECONDS_MAX = 1e11  # in the year 5138
_OFF_S_MAX = 3600.0
TRACESTATE_LETTERS_MAX = 512


def queue_s(value: bytes, arrived_s: float) -> float | None:
    """
    Return the seconds between the moment that the header names and *arrived_s*.

    >>> queue_s(b"t=1700000000.25", 1700000000.5)
    0.25
    """
    text = value.strip().removeprefix(b"t=")
    if not text or len(text) > 32:
        return None
    try:
        sent_s = float(text)
    except ValueError:
        return None
    if not math.isfinite(sent_s) or sent_s <= 0:
        return None
    while sent_s > _SECONDS_MAX:
        sent_s /= 1000.0
    waited_s = arrived_s - sent_s
    if abs(waited_s) > _OFF_S_MAX:
        return None
    # Two clocks differ by a little; a request cannot have waited for less than nothing.
    return max(waited_s, 0.0)


def called_by(request: Request, traceparent: bytes) -> None:
    """
    Note the trace that *request* is part of, and the caller's span.
    """
    context = parse(traceparent)
    if context is not None:
        request.trace, request.caller, request.sampled = context


def also_traced(request: Request, tracestate: bytes) -> None:
    """
    Note what other tracers said of the trace, to be passed on; several headers of that name are one list.
    """
    said = tracestate.decode("latin-1")
    if request.tracestate is not None:
        said = f"{request.tracestate},{said}"
    # What is longer may be left out (Trace Context, 3.3.1.5).
    request.tracestate = said if len(said) <= TRACESTATE_LETTERS_MAX and said.isascii() and said.isprintable() else None
