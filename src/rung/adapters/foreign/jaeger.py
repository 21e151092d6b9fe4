"""
Read Jaeger's JSON, as its user interface downloads a trace and its API answers.

In        a document, decoded: {"data": [TRACE, ...]}, or one TRACE
Out       Raw spans; what cannot be read is noted and passed over
Not here  files (files.py), what a span means (meaning.py)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from rung.units import of_microseconds

LOGS_MAX = 128


def spans_of(document: Any, account: Account, place: str) -> Iterator[Raw]:
    """
    Yield the spans of *document*.

    Raises:
        Misread: it is no such document at all.
    """
    if not isinstance(document, dict):
        raise Misread("it is no object of Jaeger's")
    if "resourceSpans" in document:
        raise Misread("it is OTLP's form, not Jaeger's (--from otlp)")
    traces = document.get("data", [document] if "spans" in document else None)
    if not isinstance(traces, list):
        raise Misread("it has no data, a list of traces")
    for trace in traces:
        if not isinstance(trace, dict) or not isinstance(trace.get("spans"), list):
            account.unread(place, "a trace without a list of spans")
            continue
        described = trace.get("processes")
        processes = {
            name: _process(process)
            for name, process in (described.items() if isinstance(described, dict) else ())
            if isinstance(process, dict)
        }
        yield from each_read(trace["spans"], partial(_span, processes=processes), account, place)


def _process(process: Mapping[str, Any]) -> dict[str, Any]:
    return {**_tags(process.get("tags"), OF_THE_PROCESS), "service.name": name_of(process.get("serviceName"))}


def _span(span: Any, processes: Mapping[str, dict[str, Any]]) -> Raw:
    if not isinstance(span, dict):
        raise Misread("something that is no object")
    trace, own = (
        identity(span.get("traceID"), TRACE_BYTES, pad=True),
        identity(span.get("spanID"), SPAN_BYTES, pad=True),
    )
    if not trace or not own:
        raise Misread("a span without an id")
    # Microseconds; 0 is a span that was too short to have any.
    begin, count = whole(span.get("startTime") or 0), whole(span.get("duration") or 0)
    start_s, end_s = times(of_microseconds(begin), of_microseconds(begin + count))
    told = _tags(span.get("tags"), ALLOWED)
    error = _error(span.get("logs"))
    if error:
        told.setdefault("exception.type", error)
    within = span.get("process")
    origin = _process(within) if isinstance(within, dict) else processes.get(str(span.get("processID")), {})
    kind = told.get("span.kind")
    return Raw(
        trace=trace,
        span=own,
        parent=_parent(span, trace),
        kind=KINDS.get(kind.upper(), UNSPECIFIED) if isinstance(kind, str) else UNSPECIFIED,
        name=name_of(span.get("operationName")),
        start_s=start_s,
        end_s=end_s,
        failed=told.get("error") in (True, "true") or told.get("otel.status_code") == "ERROR",
        remote=None,
        state="",
        told=told,
        origin=origin,
    )


def _parent(span: Mapping[str, Any], trace: str) -> str:
    references = span.get("references")
    for kind in ("CHILD_OF", "FOLLOWS_FROM"):
        for reference in references if isinstance(references, list) else ():
            if not isinstance(reference, dict) or reference.get("refType") != kind:
                continue
            if identity(reference.get("traceID"), TRACE_BYTES, pad=True) in ("", trace):
                return identity(reference.get("spanID"), SPAN_BYTES, pad=True)
    return identity(span.get("parentSpanID"), SPAN_BYTES, pad=True)


def _tags(tags: Any, allowed: frozenset[str]) -> dict[str, Any]:
    told = {}
    for tag in tags if isinstance(tags, list) else ():
        key = tag.get("key") if isinstance(tag, dict) else None
        if isinstance(key, str) and key in allowed and plain(tag.get("value")) is not None:
            told[key] = tag["value"]
    return told


def _error(logs: Any) -> str:
    for log in reversed(logs[-LOGS_MAX:] if isinstance(logs, list) else []):
        kind = (
            _tags(log.get("fields"), frozenset({"exception.type"})).get("exception.type")
            if isinstance(log, dict)
            else None
        )
        if isinstance(kind, str):
            return kind
    return ""
