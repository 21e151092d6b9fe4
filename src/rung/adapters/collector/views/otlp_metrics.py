"""
Make metrics of OTLP out of a snapshot: sums that only grow, gauges, and both kinds of histogram.

In        a Snapshot (registry.py)
Out       ExportMetricsServiceRequest
Not here  sending (otlp.py), Prometheus (openmetrics.py, client_model.py)

A histogram is sent with fixed buckets under its name, as the conventions advise, and with growing ones under
NAME.exponential: a receiver would take two of one name for two values of the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from rung.adapters.collector.views import buckets, registry
from rung.adapters.collector.views.attributes import SCHEMA_URL, SCOPE, Value, attributes
from rung.adapters.collector.views.registry import Distribution, Family, Snapshot
from rung.adapters.collector.views.table import COUNTER, HISTOGRAM, STATUS, Metric
from rung.units import nanoseconds

GROWING = ".exponential"
_NUMBERS = frozenset({STATUS})  # labels that are numbers by the conventions
_CUMULATIVE = otlp.AGGREGATION_TEMPORALITY_CUMULATIVE


def metrics(snapshot: Snapshot, resource: Resource, at_s: float) -> ExportMetricsServiceRequest:
    """
    Return *snapshot*, taken at *at_s*.
    """
    made = [metric for family in snapshot.families for metric in _metrics(family, snapshot.started_s, at_s)]
    return ExportMetricsServiceRequest(
        resource_metrics=[
            otlp.ResourceMetrics(
                resource=resource,
                scope_metrics=[otlp.ScopeMetrics(scope=SCOPE, metrics=made, schema_url=SCHEMA_URL)],
                schema_url=SCHEMA_URL,
            )
        ]
    )


def points(request: ExportMetricsServiceRequest) -> int:
    """
    Return how many points *request* has.
    """
    return sum(
        len(getattr(metric, metric.WhichOneof("data")).data_points)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def _metrics(family: Family, started_s: float, at_s: float) -> Iterator[otlp.Metric]:
    metric = family.metric
    times: dict[str, Any] = {"start_time_unix_nano": nanoseconds(started_s), "time_unix_nano": nanoseconds(at_s)}
    told: dict[str, Any] = {"description": metric.help, "unit": metric.unit}
    if metric.kind == HISTOGRAM:
        growing = [_growing(metric, one, times) for one in family.distributions]
        fixed = [_fixed(metric, one, times) for one in family.distributions]
        yield otlp.Metric(
            name=metric.name, **told,
            histogram=otlp.Histogram(data_points=fixed, aggregation_temporality=_CUMULATIVE),
        )  # fmt: skip
        yield otlp.Metric(
            name=metric.name + GROWING, **told,
            exponential_histogram=otlp.ExponentialHistogram(data_points=growing, aggregation_temporality=_CUMULATIVE),
        )  # fmt: skip
        return
    numbers = [
        otlp.NumberDataPoint(attributes=_labels(metric, point.labels), as_double=point.value, **times)
        for point in family.points
    ]
    if metric.kind == COUNTER:
        total = otlp.Sum(data_points=numbers, aggregation_temporality=_CUMULATIVE, is_monotonic=True)
        yield otlp.Metric(name=metric.name, **told, sum=total)
    else:
        yield otlp.Metric(name=metric.name, **told, gauge=otlp.Gauge(data_points=numbers))


def _labels(metric: Metric, labels: registry.Labels) -> list[KeyValue]:
    told: dict[str, Value] = {
        name: int(value) if name in _NUMBERS and value.isdigit() else value
        for name, value in zip(metric.labels, labels, strict=True)
    }
    return attributes(told)


def _growing(metric: Metric, one: Distribution, times: dict[str, Any]) -> otlp.ExponentialHistogramDataPoint:
    return otlp.ExponentialHistogramDataPoint(
        attributes=_labels(metric, one.labels),
        **times,
        count=one.count,
        sum=one.total_s,
        scale=one.native.schema,
        zero_count=one.native.zero,
        zero_threshold=buckets.ZERO_S,
        # There a bucket is numbered by where it begins, here by where it ends.
        positive=otlp.ExponentialHistogramDataPoint.Buckets(
            offset=one.native.first - 1, bucket_counts=one.native.counts
        ),
        exemplars=_exemplars(one.exemplars.values()),
    )


def _fixed(metric: Metric, one: Distribution, times: dict[str, Any]) -> otlp.HistogramDataPoint:
    return otlp.HistogramDataPoint(
        attributes=_labels(metric, one.labels),
        **times,
        count=one.count,
        sum=one.total_s,
        explicit_bounds=buckets.BOUNDS_S,
        bucket_counts=one.classic,
        exemplars=_exemplars(one.exemplars.values()),
    )


def _exemplars(exemplars: Iterable[registry.Exemplar]) -> list[otlp.Exemplar]:
    return [
        otlp.Exemplar(
            time_unix_nano=nanoseconds(one.at_s),
            as_double=one.value_s,
            trace_id=bytes.fromhex(one.trace),
            span_id=bytes.fromhex(one.span),
        )
        for one in exemplars
    ]
