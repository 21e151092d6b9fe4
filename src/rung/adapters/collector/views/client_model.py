"""
Write a snapshot as Prometheus' messages, the only format of an endpoint in which histograms have growing buckets.

There is no package of these few messages for Python, so they are written here, field by field.

In        a Snapshot (registry.py)
Out       MetricFamily messages, each behind its length
Not here  the text formats (openmetrics.py), who asks for which (endpoint.py)

Source: prometheus/client_model, io/prometheus/client/metrics.proto; Protocol Buffers, "Encoding".
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Mapping

from rung.adapters.collector.views import buckets
from rung.adapters.collector.views.registry import Distribution, Exemplar, Family, Snapshot
from rung.adapters.collector.views.table import COUNTER, GAUGE, HISTOGRAM, legal
from rung.units import nanoseconds

CONTENT_TYPE = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)  # fmt: skip
_TYPES = {COUNTER: 0, GAUGE: 1, HISTOGRAM: 4}
# Where a metric's value stands in the message Metric.
_VALUES = {COUNTER: 3, GAUGE: 2, HISTOGRAM: 7}
# What a field is written as.
_VARINT, _DOUBLE, _LENGTH = 0, 1, 2
_GAP_MAX = 2  # of empty buckets written out rather than left out: a new span takes as much


def messages(snapshot: Snapshot, facts: Mapping[str, str]) -> bytes:
    """
    Return *snapshot*, with *facts* about the service as target_info.
    """
    info = _message(4, b"".join(_label(name, value) for name, value in facts.items()) + _message(2, _double(1, 1)))
    target = _text(1, "target_info") + _text(2, "Who this is about.") + _number(3, _TYPES[GAUGE]) + info
    families = [target, *(_family(family, snapshot.started_s) for family in snapshot.families)]
    return b"".join(_varint(len(family)) + family for family in families)


def _family(family: Family, started_s: float) -> bytes:
    metric = family.metric
    name = f"{metric.prometheus_name}_total" if metric.kind == COUNTER else metric.prometheus_name
    parts = [_text(1, name), _text(2, metric.help), _number(3, _TYPES[metric.kind])]
    labels = [legal(label) for label in metric.labels]
    field = _VALUES[metric.kind]
    since = _moment(started_s)
    for point in family.points:
        value = _double(1, point.value) + (_message(3, since) if metric.kind == COUNTER else b"")
        parts.append(_message(4, _labels(labels, point.labels) + _message(field, value)))
    for one in family.distributions:
        value = _histogram(one) + _message(15, since)
        parts.append(_message(4, _labels(labels, one.labels) + _message(field, value)))
    if metric.prometheus_unit:
        parts.append(_text(5, metric.prometheus_unit))
    return b"".join(parts)


def _histogram(one: Distribution) -> bytes:
    parts = [_number(1, one.count), _double(2, one.total_s)]
    bounds = (*buckets.BOUNDS_S, math.inf)
    for place, (bound_s, count) in enumerate(zip(bounds, itertools.accumulate(one.classic), strict=True)):
        bucket = _number(1, count) + _double(2, bound_s)
        shown = one.exemplars.get(place)
        parts.append(_message(3, bucket if shown is None else bucket + _message(3, _exemplar(shown))))
    growing = one.native
    parts += [_number(5, _zigzag(growing.schema)), _double(6, buckets.ZERO_S), _number(7, growing.zero)]
    deltas, before, end = [], 0, 0
    for first, counts in _spans(growing.first, growing.counts):
        # The first span says where it begins, each further one how far behind the last.
        parts.append(_message(12, _number(1, _zigzag(first - end)) + _number(2, len(counts))))
        end = first + len(counts)
        for count in counts:
            deltas.append(_varint(_zigzag(count - before)))
            before = count
    if not deltas:
        # Without a span a histogram that holds nothing but zeros would be taken for one of fixed buckets.
        parts.append(_message(12, _number(1, 0) + _number(2, 0)))
    parts.append(_message(13, b"".join(deltas)))
    return b"".join(parts)


def _spans(first: int, counts: tuple[int, ...]) -> Iterable[tuple[int, list[int]]]:
    """
    Yield the runs of buckets that hold anything, each with its first.
    """
    run: list[int] = []
    begin = gap = 0
    for place, count in enumerate(counts):
        if not count:
            gap += 1
            continue
        if run and gap <= _GAP_MAX:
            run += [0] * gap
        elif run:
            yield first + begin, run
            run = []
        if not run:
            begin = place
        run.append(count)
        gap = 0
    if run:
        yield first + begin, run


def _exemplar(shown: Exemplar) -> bytes:
    ids = _label("trace_id", shown.trace) + _label("span_id", shown.span)
    return ids + _double(2, shown.value_s) + _message(3, _moment(shown.at_s))


def _labels(names: list[str], values: tuple[str, ...]) -> bytes:
    return b"".join(_label(name, value) for name, value in zip(names, values, strict=True) if value)


def _label(name: str, value: str) -> bytes:
    return _message(1, _text(1, name) + _text(2, value))


def _moment(at_s: float) -> bytes:
    whole_s, rest = divmod(nanoseconds(at_s), nanoseconds(1))
    return _number(1, whole_s) + _number(2, rest)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | _LENGTH) + _varint(len(body)) + body


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | _DOUBLE) + struct.pack("<d", value)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else -value * 2 - 1


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
