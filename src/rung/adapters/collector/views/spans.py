"""
Make spans and log records of OTLP out of requests that were chosen and of lines.

In        picks and lines (tail.py), the texts of statements
Out       ExportTraceServiceRequest, ExportLogsServiceRequest
Not here  which are chosen (tail.py), sending (otlp.py)

What the conventions ask for and rung never knows is left out: paths, query strings and addresses of callers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from rung.adapters.collector.views.attributes import (
    SCHEMA_URL,
    SCOPE,
    Value,
    attributes,
    line_of,
    process_resource,
)
from rung.adapters.collector.views.senders import Source
from rung.adapters.collector.views.summary import OTHER_SQL, POSTGRESQL, operation, summary, system_of
from rung.adapters.collector.views.table import OTHER
from rung.adapters.collector.views.tail import Logged, Pick
from rung.frames import Line, Place, Request, Statement
from rung.steps.record import FAILED_FROM, METHODS, PARTS, UNMATCHED
from rung.units import nanoseconds

_KINDS = {
    "query": Span.SPAN_KIND_CLIENT, "commit": Span.SPAN_KIND_CLIENT, "connect": Span.SPAN_KIND_CLIENT,
    "cache": Span.SPAN_KIND_CLIENT, "external": Span.SPAN_KIND_CLIENT, "job": Span.SPAN_KIND_PRODUCER,
}  # fmt: skip
_ROOTS = {
    "request": Span.SPAN_KIND_SERVER, "job": Span.SPAN_KIND_CONSUMER, "background": Span.SPAN_KIND_INTERNAL,
}  # fmt: skip
# SpanFlags: sampled; that it is known whether the parent is another process's, and that it is.
_SAMPLED, _KNOWN, _REMOTE = 0x1, 0x100, 0x200
# Source: OpenTelemetry, Logs Data Model, "Mapping of SeverityNumber"; levels are the standard library's.
_SEVERITIES = (
    (50, 21, "CRITICAL"), (40, 17, "ERROR"), (30, 13, "WARNING"), (20, 9, "INFO"), (10, 5, "DEBUG"), (0, 1, "TRACE"),
)  # fmt: skip


def traces(picks: Iterable[Pick], statements: Mapping[str, Statement], service: str) -> ExportTraceServiceRequest:
    """
    Return *picks* as spans, by the process that recorded them.
    """
    by_source: dict[Source, list[Span]] = {}
    # What spans at one place have in common takes longer to make than to copy.
    alike: dict[tuple[Source, int], Span | None] = {}
    for pick in picks:
        by_source.setdefault(pick.source, []).extend(_trace(pick, statements, alike))
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=process_resource(service, source),
                scope_spans=[ScopeSpans(scope=SCOPE, spans=spans, schema_url=SCHEMA_URL)],
                schema_url=SCHEMA_URL,
            )
            for source, spans in by_source.items()
        ]
    )


def _trace(pick: Pick, statements: Mapping[str, Statement], alike: dict[tuple[Source, int], Span | None]) -> list[Span]:
    source, request = pick.source, pick.request
    trace, root = bytes.fromhex(source.trace(request)), source.span(request.request)
    spans = [_root(pick, trace, root)]
    for segment, up, number, start_s, duration_s, calls, rows in np.frombuffer(request.segments, dtype=PARTS).tolist():
        key = (source, number)
        if key not in alike:
            alike[key] = _alike(source.places.get(number), statements)
        common = alike[key]
        if common is None:
            continue
        begins_s = request.arrived_s + start_s
        span = Span(
            trace_id=trace,
            span_id=_id(source.span(request.request, segment)),
            parent_span_id=_id(root if up < 0 else source.span(request.request, up)),
            start_time_unix_nano=nanoseconds(begins_s),
            end_time_unix_nano=nanoseconds(begins_s + duration_s),
        )
        span.MergeFrom(common)
        if rows >= 0:
            span.attributes.extend(attributes({"db.response.returned_rows": rows}))
        if calls > 1:
            # More of a kind than are kept apart: one span stands for so many calls, as long as all of them.
            span.attributes.extend(attributes({"rung.calls": calls}))
        spans.append(span)
    return spans


def _alike(place: Place | None, statements: Mapping[str, Statement]) -> Span | None:
    """
    Return what all spans at *place* have in common.
    """
    if place is None:
        return None
    known = statements.get(place.name) if place.seam == "query" else None
    return Span(
        flags=_SAMPLED | _KNOWN,
        name=_name(place, known),
        kind=_KINDS.get(place.seam, Span.SPAN_KIND_INTERNAL),
        attributes=attributes({"rung.seam": place.seam, **_database(place, known), **line_of(place.code)}),
    )


def _root(pick: Pick, trace: bytes, root: int) -> Span:
    source, request, choice = pick.source, pick.request, pick.choice
    parent, flags = b"", _SAMPLED | _KNOWN
    if request.follows is not None:
        parent = _id(source.span(request.follows))
    elif request.caller is not None:
        parent, flags = bytes.fromhex(request.caller), flags | _REMOTE
    error, _, line = (request.error or "").partition(" ")
    failed = request.status >= FAILED_FROM
    told: dict[str, Value] = {
        "http.route": request.route if request.kind == "request" and request.route != UNMATCHED else None,
        "error.type": error or (str(request.status) if failed else None),
        "rung.kind": request.kind, "rung.kept": choice.kept, "rung.sampled_share": choice.share,
        "rung.queue.duration": request.queue_s, "rung.cpu.time": request.cpu_s,
        "rung.cancelled": request.cancelled or None,
    }  # fmt: skip
    if request.kind == "request":
        told["http.request.method"] = request.method if request.method in METHODS else OTHER
        told["http.response.status_code"] = request.status or None
    events = []
    if error:
        at_s = request.arrived_s + request.duration_s
        raised = attributes({"exception.type": error, **line_of(line)})
        events.append(Span.Event(time_unix_nano=nanoseconds(at_s), name="exception", attributes=raised))
    return Span(
        trace_id=trace,
        span_id=_id(root),
        parent_span_id=parent,
        flags=flags,
        name=_root_name(request),
        kind=_ROOTS[request.kind],
        start_time_unix_nano=nanoseconds(request.arrived_s),
        end_time_unix_nano=nanoseconds(request.arrived_s + request.duration_s),
        attributes=attributes(told),
        events=events,
        status=Status(code=Status.STATUS_CODE_ERROR) if error or failed else None,
    )


def _root_name(request: Request) -> str:
    if request.kind != "request":
        return request.route if request.kind == "job" else f"background {request.route}"
    method = request.method if request.method in METHODS else "HTTP"
    return method if request.route == UNMATCHED else f"{method} {request.route}"


def _name(place: Place, known: Statement | None) -> str:
    if place.seam == "query":
        other = place.name if system_of(place.name) == OTHER_SQL else ""
        return (summary(known.text) if known is not None else other) or "query"
    if place.seam == "commit":
        return "COMMIT"
    return f"{place.seam} {place.name}".rstrip()


def _database(place: Place, known: Statement | None) -> dict[str, Value]:
    if place.seam == "cache":
        return {"db.system.name": place.name}
    if place.seam not in {"query", "commit", "connect", "pool"}:
        return {"rung.name": place.name}
    address, _, name = (place.database or "").rpartition("/")
    host, _, port = address.rpartition(":")
    told: dict[str, Value] = {
        "db.namespace": name, "server.address": host or address, "server.port": int(port) if port.isdigit() else None,
    }  # fmt: skip
    if place.seam == "pool":
        return {"db.client.connection.pool.name": place.name, **told}
    told["db.system.name"] = POSTGRESQL if place.seam == "connect" else system_of(place.name)
    if place.seam == "commit":
        told["db.operation.name"] = told["db.query.summary"] = told["db.query.text"] = "COMMIT"
    elif place.seam == "query":
        if told["db.system.name"] == OTHER_SQL:
            return told | {"db.query.summary": place.name, "db.operation.name": operation(place.name)}
        told["rung.statement"] = place.name
        if known is not None:
            told |= {
                "db.query.text": known.text, "db.query.summary": summary(known.text),
                "db.operation.name": operation(known.text),
            }  # fmt: skip
    return told


def logs(lines: Iterable[Logged], service: str) -> ExportLogsServiceRequest:
    """
    Return *lines* as log records, by process and logger.
    """
    by_logger: dict[Source, dict[str, list[LogRecord]]] = {}
    for logged in lines:
        by_logger.setdefault(logged.source, {}).setdefault(logged.line.logger, []).append(_record(logged))
    return ExportLogsServiceRequest(
        resource_logs=[
            ResourceLogs(
                resource=process_resource(service, source),
                scope_logs=[
                    ScopeLogs(scope=InstrumentationScope(name=logger), log_records=records, schema_url=SCHEMA_URL)
                    for logger, records in loggers.items()
                ],
                schema_url=SCHEMA_URL,
            )
            for source, loggers in by_logger.items()
        ]
    )


def _record(logged: Logged) -> LogRecord:
    line: Line = logged.line
    number, name = next((number, name) for level, number, name in _SEVERITIES if max(0, line.level) >= level)
    error, _, raised_at = (getattr(line, "error", None) or "").partition(" ")
    known: dict[str, Any] = {"severity_number": number}
    if logged.trace is not None and logged.span is not None:
        known |= {"trace_id": bytes.fromhex(logged.trace), "span_id": bytes.fromhex(logged.span), "flags": _SAMPLED}
    return LogRecord(
        time_unix_nano=nanoseconds(line.at_s),
        observed_time_unix_nano=nanoseconds(line.at_s),
        severity_text=name,
        # The template; a text that was put together before it was logged may hold anything, and is not here.
        body=AnyValue(string_value=line.template) if line.template is not None else None,
        attributes=attributes({**line_of(line.code), "exception.type": error, "rung.raised_at": raised_at}),
        **known,
    )


def _id(span: int) -> bytes:
    return span.to_bytes(8, "big")
