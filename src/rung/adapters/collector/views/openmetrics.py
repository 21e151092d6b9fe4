"""
Write a snapshot as text: OpenMetrics 1.0 with exemplars, and the older format of Prometheus.

In        a Snapshot (registry.py); facts about who tells
Out       bytes, by prometheus_client's own writers
Not here  the format with growing buckets (client_model.py), who asks for which (endpoint.py)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import Metric as Written
from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from rung.adapters.collector.views import buckets, registry
from rung.adapters.collector.views.registry import Distribution, Family, Snapshot
from rung.adapters.collector.views.table import COUNTER, HISTOGRAM, legal

OPENMETRICS = openmetrics.CONTENT_TYPE_LATEST
PLAIN = exposition.CONTENT_TYPE_PLAIN_0_0_4
BOUNDS = (*(f"{bound_s:g}" for bound_s in buckets.BOUNDS_S), "+Inf")


class _Told(Collector):
    def __init__(self, families: list[Written]) -> None:
        self._families = families

    def collect(self) -> Iterable[Written]:
        """
        Return the families, to a writer that knows registries only.
        """
        return self._families


def openmetrics_text(snapshot: Snapshot, facts: Mapping[str, str]) -> bytes:
    """
    Return *snapshot* in OpenMetrics 1.0, *facts* about the service as target_info.
    """
    target = Written("target", "Who this is about.", "info")
    target.add_sample("target_info", dict(facts), 1)
    told = _Told([target, *(_written(family, exemplars=True) for family in snapshot.families)])
    return bytes(openmetrics.generate_latest(told))  # type: ignore[no-untyped-call]


def plain_text(snapshot: Snapshot, facts: Mapping[str, str]) -> bytes:
    """
    Return *snapshot* in the text format 0.0.4, which has no exemplars.
    """
    target = Written("target_info", "Who this is about.", "gauge")
    target.add_sample("target_info", dict(facts), 1)
    told = _Told([target, *(_written(family, exemplars=False) for family in snapshot.families)])
    return exposition.generate_latest(told)


def _written(family: Family, *, exemplars: bool) -> Written:
    metric = family.metric
    name = metric.prometheus_name
    written = Written(name, metric.help, metric.kind, metric.prometheus_unit)
    labels = [legal(label) for label in metric.labels]
    if metric.kind == HISTOGRAM:
        for one in family.distributions:
            _add(written, dict(_given(labels, one.labels)), one, exemplars=exemplars)
        return written
    sample = f"{name}_total" if metric.kind == COUNTER else name
    for point in family.points:
        written.add_sample(sample, dict(_given(labels, point.labels)), point.value)
    return written


def _given(names: list[str], values: registry.Labels) -> Iterator[tuple[str, str]]:
    # To Prometheus an empty label is none at all.
    return ((name, value) for name, value in zip(names, values, strict=True) if value)


def _add(written: Written, labels: dict[str, str], one: Distribution, *, exemplars: bool) -> None:
    for place, (bound, count) in enumerate(zip(BOUNDS, itertools.accumulate(one.classic), strict=True)):
        shown = one.exemplars.get(place) if exemplars else None
        exemplar = None
        if shown is not None:
            ids = {"trace_id": shown.trace, "span_id": shown.span}
            exemplar = Exemplar(ids, shown.value_s, round(shown.at_s, 3))
        written.add_sample(f"{written.name}_bucket", {**labels, "le": bound}, count, exemplar=exemplar)
    written.add_sample(f"{written.name}_count", labels, one.count)
    written.add_sample(f"{written.name}_sum", labels, one.total_s)
