"""
Read OTLP's JSON: a TracesData (or ExportTraceServiceRequest) as the collector's file exporter writes it.

In        a document, decoded
Out       Raw spans; what cannot be read is noted and passed over
Not here  files (files.py), what a span means (meaning.py)

Source: OpenTelemetry Protocol, "JSON Protobuf Encoding": ids in hexadecimal, 64-bit numbers as texts, enumerations as
numbers; names of enumerations and of fields as in the .proto file are taken as well, for there are writers of both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

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
    identity,
    name_of,
    plain,
    times,
    whole,
)
from rung.units import of_nanoseconds

OTHERS = {"resourceMetrics": "metrics", "resourceLogs": "logs", "resourceProfiles": "profiles"}
# Span.flags of OTLP: whether it is known that the parent is elsewhere, and whether it is.
REMOTE_KNOWN, REMOTE = 0x100, 0x200
EVENTS_MAX = 128


def spans_of(document: Any, account: Account, place: str) -> Iterator[Raw]:
    """
    Yield the spans of *document*.

    Raises:
        Misread: it is no such document at all.
    """
    if not isinstance(document, dict):
        raise Misread("it is no object of OTLP")
    resources = _field(document, "resourceSpans", "resource_spans")
    if resources is None:
        raise Misread(_instead(document))
    for resource in _objects(resources, account, place):
        try:
            described = resource.get("resource")
            told = _field(described, "attributes") if isinstance(described, dict) else None
            origin = attributes(told, OF_THE_PROCESS)
        except Misread as problem:
            account.unread(place, problem)
            continue
        scopes = _field(resource, "scopeSpans", "scope_spans", "instrumentationLibrarySpans")
        for scope in _objects(scopes, account, place):
            spans = _objects(scope.get("spans"), account, place)
            yield from each_read(spans, partial(_span, origin=origin), account, place)


def _instead(document: dict[str, Any]) -> str:
    for name, what in OTHERS.items():
        if name in document:
            return f"it holds {what}, no traces"
    if "data" in document or "traceID" in document:
        return "it is Jaeger's form, not OTLP (--from jaeger)"
    return "it has no resourceSpans"


def _field(of: dict[str, Any], *names: str) -> Any:
    for name in names:
        if name in of:
            return of[name]
    return None


def _objects(values: Any, account: Account, place: str) -> Iterator[dict[str, Any]]:
    if values is None:
        return
    if not isinstance(values, list):
        account.unread(place, "a list that is none")
        return
    for value in values:
        if isinstance(value, dict):
            yield value
        else:
            account.unread(place, "something that is no object")


def _span(span: dict[str, Any], origin: dict[str, Any]) -> Raw:
    trace = identity(_field(span, "traceId", "trace_id"), TRACE_BYTES)
    own = identity(_field(span, "spanId", "span_id"), SPAN_BYTES)
    if not trace or not own:
        raise Misread("a span without an id")
    start_s, end_s = times(
        of_nanoseconds(whole(_field(span, "startTimeUnixNano", "start_time_unix_nano") or 0)),
        of_nanoseconds(whole(_field(span, "endTimeUnixNano", "end_time_unix_nano") or 0)),
    )
    told = attributes(span.get("attributes"), ALLOWED)
    error = _exception(span.get("events"))
    if error:
        told.setdefault("exception.type", error)
    flags = span.get("flags") or 0
    flags = flags if isinstance(flags, int) else 0
    state = _field(span, "traceState", "trace_state")
    return Raw(
        trace=trace,
        span=own,
        parent=identity(_field(span, "parentSpanId", "parent_span_id"), SPAN_BYTES),
        kind=_kind(span.get("kind")),
        name=name_of(span.get("name")),
        start_s=start_s,
        end_s=end_s,
        failed=_failed(span.get("status")),
        remote=bool(flags & REMOTE) if flags & REMOTE_KNOWN else None,
        state=state if isinstance(state, str) else "",
        told=told,
        origin=origin,
    )


def _kind(value: Any) -> int:
    if isinstance(value, str):
        return KINDS.get(value.upper().removeprefix("SPAN_KIND_"), int(value) if value in "12345" and value else 0)
    return value if isinstance(value, int) and value in KINDS.values() else UNSPECIFIED


def _failed(status: Any) -> bool:
    return isinstance(status, dict) and status.get("code") in (2, "2", "STATUS_CODE_ERROR", "ERROR")


def _exception(events: Any) -> str:
    """
    Return the type of the last exception among the events of a span.
    """
    for event in reversed(events[-EVENTS_MAX:] if isinstance(events, list) else []):
        if isinstance(event, dict) and event.get("name") == "exception":
            kind = attributes(event.get("attributes"), frozenset({"exception.type"})).get("exception.type")
            if isinstance(kind, str):
                return kind
    return ""


def attributes(pairs: Any, allowed: frozenset[str]) -> dict[str, Any]:
    """
    Return those *allowed* of a list of attributes.

    Raises:
        Misread: it is no list.
    """
    if pairs is None:
        return {}
    if not isinstance(pairs, list):
        raise Misread("attributes that are no list")
    return dict(_pairs(pairs, allowed))


def _pairs(pairs: Iterable[Any], allowed: frozenset[str]) -> Iterator[tuple[str, Any]]:
    for pair in pairs:
        key = pair.get("key") if isinstance(pair, dict) else None
        if not isinstance(key, str) or key not in allowed or not isinstance(pair.get("value"), dict):
            continue
        held = pair["value"]
        value = _field(held, "stringValue", "doubleValue", "boolValue", "string_value")
        number = _field(held, "intValue", "int_value")
        if number is not None:
            with contextlib.suppress(Misread):
                value = whole(number)
        if plain(value) is not None:
            yield key, value
