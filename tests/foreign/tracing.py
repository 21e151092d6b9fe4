"""
OpenTelemetry's own SDK, writing what it exports into a file as the collector's file exporter does.

The example apps beside this file import it where TRACES names that file; tests import it to make spans.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

IDS = frozenset({"traceId", "spanId", "parentSpanId"})


class IntoFile(SpanExporter):
    """A line of OTLP's JSON each time that spans are exported."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a", encoding="utf-8")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.file.write(line_of(spans))
        self.file.flush()
        return SpanExportResult.SUCCESS


class Kept(SpanExporter):
    """All spans that were exported, for a test to write down."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


def line_of(spans: Sequence[ReadableSpan]) -> str:
    """Spans as a line of JSON: protobuf's own mapping, but for ids, which OTLP has in hexadecimal."""
    tree = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    return json.dumps(_with_hex(tree)) + "\n"


def message_of(spans: Sequence[ReadableSpan]) -> bytes:
    return encode_spans(spans).SerializeToString()


def _with_hex(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: base64.b64decode(inner).hex() if name in IDS else _with_hex(inner) for name, inner in value.items()
        }
    return [_with_hex(each) for each in value] if isinstance(value, list) else value


def tracer_into(exporter: SpanExporter, service: str, **resource: Any) -> trace.Tracer:
    told = {"service.name": service, **{name.replace("_", "."): value for name, value in resource.items()}}
    provider = TracerProvider(resource=Resource(told), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("tests.foreign")


def tracer(service: str) -> trace.Tracer | None:
    """The tracer of an example app; None where nobody asked for traces."""
    path = os.environ.get("TRACES")
    return tracer_into(IntoFile(Path(path)), service, process_pid=os.getpid()) if path else None
