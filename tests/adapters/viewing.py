"""
Views fed with frames as processes write them, and a receiver of OTLP, for tests of what is told while recording.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

from rung import frames
from rung.adapters.collector.views.asked import Asked
from rung.adapters.collector.views.registry import Family, Registry
from rung.adapters.collector.views.watching import Views
from rung.steps.record import Intake, Process
from tests.adapters.raw_frames import hello
from tests.probe import rows

KEY = 0x1122334455667788
PLACES = [
    (0, "query", "f" * 16, "h:5432/shop", "shop/orders.py:29"), (1, "pool", "psycopg_pool", "h:5432/shop", None),
    (2, "external", "http", None, "shop/mail.py:41"), (3, "loop", "GET /", None, None),
    (4, "commit", "commit", "h:5432/shop", None), (5, "cpu", "render", None, None), (6, "cache", "redis", None, None),
    (7, "query", "find carts", None, None),
]  # fmt: skip
STATEMENT = ("h:5432/shop", "f" * 16, "SELECT * FROM orders WHERE id = $1", "read")


class Sending:
    """One process of an app, whose frames go through the recording's own check into views."""

    def __init__(self, views: Views, worker: int = 7, key: int = KEY) -> None:
        self.views = views
        self.intake = Intake()
        self.process: Process = self.intake.hello(hello(worker, key=key))
        self.reader = frames.Reader()
        list(self.reader.feed(frames.encode_hello(hello(worker, key=key))))
        self.first = True

    def send(self, *requests: tuple[Any, ...], counts: Mapping[str, int] | None = None, **more: Any) -> None:
        if self.first:
            more = {"places": PLACES, "statements": [STATEMENT]} | more
            self.first = False
        given = more.pop("statements", [])
        for frame in self.reader.feed(
            frames.encode_batch(requests, given, counts=dict(counts or {}), failed_at={}, **more)
        ):
            assert isinstance(frame, frames.Batch)
            self.intake.batch(self.process, frame)
            self.views.batch(self.process, frame)


def request(number: int, *segments: bytes, **changed: Any) -> tuple[Any, ...]:
    return rows.request(number, **{"arrived_s": 1_795_000_000.0 + number, "segments": b"".join(segments), **changed})


def families(registry: Registry) -> dict[str, Family]:
    return {family.metric.name: family for family in registry.snapshot().families}


def values(registry: Registry, name: str) -> dict[tuple[str, ...], float]:
    family = families(registry).get(name)
    return {point.labels: point.value for point in family.points} if family is not None else {}


def counts(registry: Registry, name: str) -> dict[tuple[str, ...], int]:
    family = families(registry).get(name)
    return {one.labels: one.count for one in family.distributions} if family is not None else {}


def quiet(asked: Asked | None = None) -> tuple[Views, list[str]]:
    said: list[str] = []
    return Views(asked or Asked(), say=said.append), said


_REQUESTS = {
    "/v1/metrics": metrics.ExportMetricsServiceRequest, "/v1/traces": traces.ExportTraceServiceRequest,
    "/v1/logs": logs.ExportLogsServiceRequest,
}  # fmt: skip


@dataclass
class Receiver:
    """
    What came, decoded by OpenTelemetry's own messages; and how to answer next: (status, headers, body).
    """

    url: str = ""
    came: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    something: threading.Condition = field(default_factory=threading.Condition)

    def of(self, path: str) -> list[Any]:
        with self.something:
            return [message for at, message in self.came if at == path]

    def wait_for(self, path: str, number: int = 1, timeout_s: float = 60.0) -> list[Any]:
        def enough() -> bool:
            return sum(at == path for at, _ in self.came) >= number

        with self.something:
            assert self.something.wait_for(enough, timeout_s), f"{number} at {path} did not come"
            return [message for at, message in self.came if at == path]

    def spans(self) -> list[Any]:
        return [
            span
            for message in self.of("/v1/traces")
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def records(self) -> list[Any]:
        return [
            record
            for message in self.of("/v1/logs")
            for resource in message.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Yield a receiver of OTLP over HTTP."""
    receiver = Receiver()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            message = _REQUESTS[self.path].FromString(body)
            with receiver.something:
                receiver.headers.append(dict(self.headers))
                status, headers, answer = (200, {}, b"") if not receiver.answers else receiver.answers.pop(0)
                if status == 200:
                    receiver.came.append((self.path, message))
                    receiver.something.notify_all()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Answering)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(attributes: Any) -> dict[str, Any]:
    """Return the attributes of a message as a dict."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
