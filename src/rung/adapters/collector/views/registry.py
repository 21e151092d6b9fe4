"""
Hold the metrics' values: counters, gauges and histograms by their labels, within bounds.

Histograms are rows of arrays, so that a batch of a thousand observations is counted at once.  A label that has had
LIMITS values folds every further one into `_OTHER`, and says so.

In        observations (feeding.py, sampling.py), from the collector's thread
Out       a snapshot, for whoever serves or sends it
Not here  what is observed, formats
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung.adapters.collector.views import buckets
from rung.adapters.collector.views.table import (
    COUNTER,
    DATABASE,
    ERROR,
    GAUGE,
    HISTOGRAM,
    METRICS,
    OTHER,
    ROUTE,
    STATEMENT,
    Metric,
)

Labels = tuple[str, ...]

LIMITS: Mapping[str, int] = {
    ROUTE: 500,
    STATEMENT: 200,
    ERROR: 200,
    DATABASE: 50,
    "host.name": 50,
    "db.client.connection.pool.name": 50,
}
# Of one metric, whatever its labels are: what comes after goes to one that is _OTHER in all of them.
SERIES_MAX = 5_000

# An id of a trace is its two halves: an array of plain numbers is copied as a whole.
EXEMPLAR = np.dtype([
    ("value_s", "f8"), ("at_s", "f8"), ("upper", "u8"), ("lower", "u8"), ("span", "u8"),
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exemplar:
    """
    One observation of a bucket, and where it can be looked at; ids are hexadecimal.
    """

    value_s: float
    at_s: float
    trace: str
    span: str


@dataclass(frozen=True, slots=True)
class Point:
    """
    The value of a counter or gauge.
    """

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """
    The value of a histogram: counts by bucket (not cumulated), the last without a bound; exemplars by bucket.
    """

    labels: Labels
    count: int
    total_s: float
    classic: tuple[int, ...]
    native: buckets.Sparse
    exemplars: Mapping[int, Exemplar]


@dataclass(frozen=True, slots=True)
class Family:
    """
    A metric with its values.
    """

    metric: Metric
    points: Sequence[Point] = ()
    distributions: Sequence[Distribution] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    All values at one moment.
    """

    started_s: float
    families: Sequence[Family]


class Histograms:
    """
    One metric's histograms, a row for each set of labels.
    """

    def __init__(self) -> None:
        self.rows: dict[Labels, int] = {}
        self._classic = np.zeros((0, buckets.CLASSIC), dtype=np.int64)
        self._native = np.zeros((0, buckets.NATIVE), dtype=np.int64)
        self._total_s = np.zeros(0)
        self._exemplars = np.zeros((0, buckets.CLASSIC), dtype=EXEMPLAR)

    def row(self, labels: Labels) -> int:
        """
        Return the row of *labels*, made where there is none yet.
        """
        row = self.rows.setdefault(labels, len(self.rows))
        if row >= len(self._total_s):
            more = max(16, len(self._total_s))
            for name in ("_classic", "_native", "_total_s", "_exemplars"):
                held = getattr(self, name)
                setattr(self, name, np.concatenate([held, np.zeros((more, *held.shape[1:]), dtype=held.dtype)]))
        return row

    def observe(self, rows: Any, values_s: Any, times: Any, exemplars: Any = None, shown: Any = None) -> None:
        """
        Count each of *values_s*, so many *times*, in its row; those *shown* become the exemplars of their buckets.
        """
        place = buckets.classic(values_s)
        cell = rows * buckets.CLASSIC + place
        np.add.at(self._classic.reshape(-1), cell, times)
        np.add.at(self._native.reshape(-1), rows * buckets.NATIVE + buckets.native(values_s), times)
        np.add.at(self._total_s, rows, values_s * times)
        if exemplars is not None:
            # Where a bucket is named twice the later one stays.
            self._exemplars.reshape(-1)[cell[shown]] = exemplars[shown]

    def add_total(self, row: int, total_s: float) -> None:
        """
        Mend the sum of a row whose observations are known less exactly than their sum.
        """
        self._total_s[row] += total_s

    def copied(self) -> tuple[list[Labels], list[Any]]:
        """
        Return copies of labels and arrays, to be turned into values when nobody is held up.
        """
        count = len(self.rows)
        held = (self._classic, self._native, self._total_s, self._exemplars)
        return list(self.rows), [array[:count].copy() for array in held]


def _distributions(labels: list[Labels], arrays: list[Any]) -> list[Distribution]:
    classic, native, total_s, exemplars = arrays
    return [
        Distribution(
            labels=labels[row],
            count=int(classic[row].sum()),
            total_s=max(0.0, float(total_s[row])),
            classic=tuple(classic[row].tolist()),
            native=buckets.sparse(native[row]),
            exemplars={
                int(place): _exemplar(exemplars[row, place]) for place in np.nonzero(exemplars[row]["span"])[0]
            },
        )
        for row in range(len(labels))
        if classic[row].any()
    ]  # fmt: skip


def _exemplar(cell: Any) -> Exemplar:
    trace = f"{int(cell['upper']):016x}{int(cell['lower']):016x}"
    return Exemplar(float(cell["value_s"]), float(cell["at_s"]), trace, f"{int(cell['span']):016x}")


class Registry:
    """
    Every value; who changes or copies them holds `lock`, for a few milliseconds at most.
    """

    def __init__(self, *, started_s: float, limits: Mapping[str, int] = LIMITS, series_max: int = SERIES_MAX) -> None:
        self.lock = threading.RLock()
        self.started_s = started_s
        self._limits = limits
        self._series_max = series_max
        self._known: dict[str, set[str]] = {label: set() for label in limits}
        self._histograms = {name: Histograms() for name, metric in METRICS.items() if metric.kind == HISTOGRAM}
        self._values: dict[str, dict[Labels, float]] = {
            name: {} for name, metric in METRICS.items() if metric.kind in {COUNTER, GAUGE}
        }

    def bounded(self, label: str, value: str) -> str:
        """
        Return *value*, or `_OTHER` where the label has as many values as it may.
        """
        known = self._known[label]
        if value in known or value == OTHER:
            return value
        if len(known) < self._limits[label]:
            known.add(value)
            return value
        self.add("rung.cardinality.folded", (label,))
        return OTHER

    def row(self, name: str, labels: Labels) -> int:
        """
        Return the row of a histogram, that of `_OTHER` where the metric has as many as it may.
        """
        histograms = self._histograms[name]
        if labels not in histograms.rows and len(histograms.rows) >= self._series_max:
            self.add("rung.cardinality.folded", ("series",))
            labels = (OTHER,) * len(labels)
        return histograms.row(labels)

    def histograms(self, name: str) -> Histograms:
        """
        Return the histograms of one metric.
        """
        return self._histograms[name]

    def add(self, name: str, labels: Labels = (), amount: float = 1) -> None:
        """
        Add to a counter.
        """
        with self.lock:
            values = self._values[name]
            if labels not in values and len(values) >= self._series_max:
                labels = (OTHER,) * len(labels)
            values[labels] = values.get(labels, 0) + amount

    def put(self, name: str, labels: Labels = (), value: float = 0) -> None:
        """
        Set a gauge, or a counter that somebody else counts.
        """
        with self.lock:
            values = self._values[name]
            if labels in values or len(values) < self._series_max:
                values[labels] = value

    def forget(self, name: str, *begins: str) -> None:
        """
        Take away the values of a metric whose labels begin with *begins*: nobody sees these things any more.
        """
        with self.lock:
            values = self._values[name]
            for labels in [labels for labels in values if labels[: len(begins)] == begins]:
                del values[labels]

    def snapshot(self) -> Snapshot:
        """
        Return all values; what takes long is done without the lock.
        """
        with self.lock:
            histograms = {name: held.copied() for name, held in self._histograms.items()}
            values = {name: dict(held) for name, held in self._values.items()}
        families = []
        for name, metric in METRICS.items():
            if name in histograms:
                families.append(Family(metric, distributions=_distributions(*histograms[name])))
            else:
                families.append(Family(metric, [Point(labels, value) for labels, value in values[name].items()]))
        return Snapshot(self.started_s, [family for family in families if family.points or family.distributions])
