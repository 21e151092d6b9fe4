"""
Read OTLP's protobuf: a TracesData (or ExportTraceServiceRequest, which has the same fields).

In        the bytes of one message
Out       Raw spans; what cannot be read is noted and passed over
Not here  where a message begins and ends in a file (files.py), what a span means (meaning.py)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from rung.adapters.foreign.otlp_json import EVENTS_MAX, REMOTE, REMOTE_KNOWN
from rung.adapters.foreign.span import (
    ALLOWED,
    KINDS,
    OF_THE_PROCESS,
    SPAN_BYTES,
    TRACE_BYTES,
    UNSPECIFIED,
    Account,
    Misread,
    Raw,
    each_read,
    name_of,
    times,
)
from rung.units import of_nanoseconds

STATUS_ERROR = 2


def spans_of(message: bytes, account: Account, place: str) -> Iterator[Raw]:
    """
    Yield the spans of *message*.

    Raises:
        Misread: it is no such message.
    """
    try:
        data = TracesData.FromString(message)
    except DecodeError:
        raise Misread("it is no message of OTLP's traces") from None
    for resource in data.resource_spans:
        origin = _attributes(resource.resource.attributes, OF_THE_PROCESS)
        for scope in resource.scope_spans:
            yield from each_read(scope.spans, partial(_span, origin=origin), account, place)


def _span(span: Any, origin: dict[str, Any]) -> Raw:
    start_s, end_s = times(of_nanoseconds(span.start_time_unix_nano), of_nanoseconds(span.end_time_unix_nano))
    trace, own = _identity(span.trace_id, TRACE_BYTES), _identity(span.span_id, SPAN_BYTES)
    if not trace or not own:
        raise Misread("a span without an id")
    told = _attributes(span.attributes, ALLOWED)
    for event in reversed(span.events[-EVENTS_MAX:]):
        if event.name == "exception":
            told = {**_attributes(event.attributes, frozenset({"exception.type"})), **told}
            break
    return Raw(
        trace=trace,
        span=own,
        parent=_identity(span.parent_span_id, SPAN_BYTES),
        kind=span.kind if span.kind in KINDS.values() else UNSPECIFIED,
        name=name_of(span.name),
        start_s=start_s,
        end_s=end_s,
        failed=span.status.code == STATUS_ERROR,
        remote=bool(span.flags & REMOTE) if span.flags & REMOTE_KNOWN else None,
        state=span.trace_state,
        told=told,
        origin=origin,
    )


def _identity(value: bytes, size: int) -> str:
    if len(value) not in (0, size):
        raise Misread(f"an id that is not {size} bytes")
    return value.hex() if value.strip(b"\0") else ""


def _attributes(pairs: Iterable[Any], allowed: frozenset[str]) -> dict[str, Any]:
    told = {}
    for pair in pairs:
        if pair.key in allowed:
            which = pair.value.WhichOneof("value")
            if which in {"string_value", "int_value", "double_value", "bool_value"}:
                told[pair.key] = getattr(pair.value, which)
    return told
