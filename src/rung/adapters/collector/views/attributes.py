"""
Attributes as OTLP has them, and who sends.

In        names with values
Out       KeyValue, Resource, InstrumentationScope of opentelemetry-proto
Not here  which attributes a span or a point has (spans.py, otlp_metrics.py)
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from rung import __version__
from rung.adapters.collector.views.senders import Source

Value = str | int | float | bool | None

# Of the conventions that names here follow.
SCHEMA_URL = "https://opentelemetry.io/schemas/1.37.0"
SCOPE = InstrumentationScope(name="rung", version=__version__)


def attributes(values: Mapping[str, Value]) -> list[KeyValue]:
    """
    Return *values* as attributes, without those that are None or empty.
    """
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items() if value not in {None, ""}]


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=str(value))


_TOLD = {"telemetry.sdk.name": "rung", "telemetry.sdk.language": "python", "telemetry.sdk.version": __version__}


def process_resource(service: str, source: Source) -> Resource:
    """
    Return who sent: one process of the service.
    """
    hello = source.hello
    return Resource(
        attributes=attributes({
            "service.name": service, "service.instance.id": f"{hello.instance or hello.host}-{hello.worker}",
            "host.name": hello.host, "process.pid": hello.worker, "process.runtime.name": "cpython",
            "process.runtime.version": hello.python, **_TOLD,
        })
    )  # fmt: skip


def collector_resource(service: str, instance: str) -> Resource:
    """
    Return who sends metrics, which are of all processes together: the collector.
    """
    told = {"service.name": service, "service.instance.id": instance, "host.name": socket.gethostname(), **_TOLD}
    return Resource(attributes=attributes(told))


def line_of(code: str | None) -> dict[str, Value]:
    """
    Return file and line of "shop/orders.py:29".
    """
    if not code:
        return {}
    path, _, line = code.rpartition(":")
    return {"code.file.path": path, "code.line.number": int(line)} if path and line.isdigit() else {}
