"""
Every metric that rung tells: its name, unit, labels, and what it means.

Names and units are OpenTelemetry's semantic conventions where these have one, and those of its PostgreSQL receiver for
what the server counts; the rest begins with `rung.`.  docs/reference/metrics.md is written from this table.

In        nothing
Out       METRICS by name; the name that Prometheus has for one
Not here  values (registry.py), which observation goes where (feeding.py, sampling.py)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

# What a value stands for that is one too many for its label.
OTHER = "_OTHER"

# How Prometheus spells a unit; what stands in braces only says what is counted, and is left out.
# Source: OpenTelemetry, Prometheus and OpenMetrics Compatibility, "Metric Metadata".
_UNITS = {"s": "seconds", "By": "bytes"}


@dataclass(frozen=True, slots=True)
class Metric:
    """
    One row of the table; `labels` are attributes in OpenTelemetry's spelling.
    """

    name: str
    kind: str
    unit: str
    labels: tuple[str, ...]
    help: str

    @property
    def prometheus_unit(self) -> str:
        """
        Return the unit as a word in the name that Prometheus has, empty where it has none.
        """
        return "ratio" if self.unit == "1" and self.kind == GAUGE else _UNITS.get(self.unit, "")

    @property
    def prometheus_name(self) -> str:
        """
        Return the name without the `_total` of counters.

        >>> METRICS["http.server.request.duration"].prometheus_name
        'http_server_request_duration_seconds'
        """
        unit = self.prometheus_unit
        name = legal(self.name)
        return f"{name}_{unit}" if unit and not name.endswith(f"_{unit}") else name


def legal(name: str) -> str:
    """
    Return *name* as Prometheus takes it for a metric or a label.

    >>> legal("http.request.method")
    'http_request_method'
    """
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


ROUTE, METHOD, STATUS, ERROR = "http.route", "http.request.method", "http.response.status_code", "error.type"
SEAM, STATEMENT, ROLE, STATE, KIND = "rung.seam", "rung.statement", "rung.role", "rung.state", "rung.kind"
DATABASE = "db.namespace"

_ROWS = (
    Metric(
        "http.server.request.duration", HISTOGRAM, "s", (ROUTE, METHOD, STATUS, ERROR),
        "How long requests took in the app. All traffic: what was not kept whole is counted within 1 %.",
    ),
    Metric(
        "rung.seam.duration", HISTOGRAM, "s", (ROUTE, SEAM),
        "Where requests and jobs waited or worked, without what lies inside of it. One observation a segment; of "
        "queue, cpu and other one a request more. Of requests kept whole.",
    ),
    Metric(
        "db.client.operation.duration", HISTOGRAM, "s",
        ("db.system.name", DATABASE, "db.operation.name", "db.query.summary", STATEMENT),
        "How long statements took for the app. Of requests kept whole.",
    ),
    Metric(
        "db.client.connection.wait_time", HISTOGRAM, "s", ("db.client.connection.pool.name",),
        "Waits for a connection of a pool, from 100 µs on. Of requests kept whole.",
    ),
    Metric(
        "rung.work.duration", HISTOGRAM, "s", (KIND, ROUTE),
        "How long jobs took, and what requests went on with after their response (background).",
    ),
    Metric("rung.cpu.time", COUNTER, "s", (ROUTE,), "Computing of Python for requests. All traffic."),
    Metric(
        "rung.errors", COUNTER, "{error}", (ROUTE, ERROR),
        "Exceptions that ended a request or job. Of those kept whole, and of failed ones kept as examples.",
    ),
    Metric(
        "rung.requests", COUNTER, "{request}", ("rung.kept",),
        "Requests that were kept whole, and those that were counted only. What speaks of requests kept whole speaks "
        "of this share.",
    ),
    Metric(
        "rung.requests.long", GAUGE, "{request}", (ROUTE,), "Requests in flight for longer than five seconds.",
    ),
    Metric("rung.websockets", COUNTER, "{connection}", (), "WebSocket connections, which are counted and not timed."),
    Metric("rung.log.lines", COUNTER, "{line}", ("rung.level",), "Lines that the app logged, as recorded."),
    Metric("rung.processes", GAUGE, "{process}", (), "Processes of the app that are connected."),
    Metric("rung.dropped", COUNTER, "{request}", (), "Requests that the recorder dropped; nothing else counts them."),
    Metric("rung.recorder.failures", COUNTER, "{error}", (), "Errors inside the recorder, none of which the app saw."),
    Metric(
        "rung.recorder.shed", GAUGE, "{level}", (),
        "What the recorder gave up, at most over all processes: 0 nothing, 1 digests, 2 stacks, 3 segments, 4 all.",
    ),
    Metric(
        "rung.recorder.window", GAUGE, "1", (),
        "Share of each minute in which requests are kept whole, at least over all processes.",
    ),
    Metric("rung.frames", COUNTER, "{frame}", (), "Frames that the collector read."),
    Metric("rung.connections.refused", COUNTER, "{connection}", (), "Connections closed for what they sent."),
    Metric(
        "rung.cardinality.folded", COUNTER, "{observation}", ("label",),
        "Observations whose label had too many values already, and went to _OTHER.",
    ),
    Metric("rung.scrapes", COUNTER, "{scrape}", (), "Answers given at the metrics endpoint."),
    Metric(
        "rung.traces", COUNTER, "{trace}", ("rung.kept",),
        "Requests chosen for export, by why; over_budget: slow or failed ones beyond what a route may send a minute.",
    ),
    Metric("rung.otlp.sent", COUNTER, "{item}", ("rung.signal",), "Spans, log lines and points that were accepted."),
    Metric(
        "rung.otlp.lost", COUNTER, "{item}", ("rung.signal", "rung.reason"),
        "Spans, log lines and points that nobody got: queue_full, refused by the receiver, or rejected by it in part.",
    ),
    Metric("rung.otlp.retries", COUNTER, "{attempt}", ("rung.signal",), "Attempts to send that are made again."),
    Metric("rung.otlp.waiting", GAUGE, "{item}", ("rung.signal",), "Requests and log lines that wait to be sent."),
    Metric("system.cpu.utilization", GAUGE, "1", ("host.name",), "Share of the host's cores that is busy."),
    Metric("system.cpu.logical.count", GAUGE, "{cpu}", ("host.name",), "Cores of the host."),
    Metric(
        "rung.host.cpu.time", COUNTER, "s", ("host.name", STATE),
        "Seconds of the host's cores, while sampled: busy (of it nice), iowait, steal; pressure: somebody had none.",
    ),
    Metric("rung.host.load", GAUGE, "{process}", ("host.name",), "Load average of a minute."),
    Metric("system.memory.usage", GAUGE, "By", ("host.name", "system.memory.state"), "Memory in use on the host."),
    Metric("system.memory.limit", GAUGE, "By", ("host.name",), "Memory of the host."),
    Metric(
        "rung.program.cpu.time", COUNTER, "s", ("host.name", ROLE),
        "Seconds that programs took of the host's cores: app, database, load, and rung's own collector.",
    ),
    Metric("rung.program.memory", GAUGE, "By", ("host.name", ROLE), "Memory of these programs."),
    Metric("postgresql.backends", GAUGE, "{connection}", (DATABASE,), "Connections to the database."),
    Metric("postgresql.connection.max", GAUGE, "{connection}", (DATABASE,), "Connections that the server allows."),
    Metric("postgresql.commits", COUNTER, "{commit}", (DATABASE,), "Transactions committed, as the server counts."),
    Metric("postgresql.rollbacks", COUNTER, "{rollback}", (DATABASE,), "Transactions rolled back."),
    Metric("postgresql.blks_read", COUNTER, "{block}", (DATABASE,), "Blocks that the server read."),
    Metric("postgresql.blks_hit", COUNTER, "{block}", (DATABASE,), "Blocks that the server found in its buffers."),
    Metric("postgresql.temp.io", COUNTER, "By", (DATABASE,), "Written to temporary files."),
    Metric("postgresql.deadlocks", COUNTER, "{deadlock}", (DATABASE,), "Deadlocks."),
    Metric(
        "rung.database.sessions", GAUGE, "{connection}", (DATABASE, STATE, "rung.wait"),
        "Connections that are not idle, by state and by what they wait for (Lock, IO, LWLock, Client, ...).",
    ),
    Metric(
        "rung.database.transaction.age", GAUGE, "s", (DATABASE,), "For how long the oldest transaction has been open.",
    ),
)  # fmt: skip

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ROWS}
