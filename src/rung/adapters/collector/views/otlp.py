"""
Send metrics, traces and logs to a receiver of OTLP, from a thread of its own.

In        the registry; requests that were chosen, lines of the log
Out       messages over HTTP; counts of what was sent and what was lost
Not here  choosing (tail.py), spans (spans.py), one attempt (posting.py), when to try again (lanes.py)

Nothing here waits for the receiver but this thread: what waits to be sent is bounded, the oldest makes room, and that
is counted.
"""

from __future__ import annotations

import random
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from rung import clock
from rung.adapters.collector.views import otlp_metrics, spans
from rung.adapters.collector.views.attributes import collector_resource
from rung.adapters.collector.views.lanes import Lane, Parcel
from rung.adapters.collector.views.posting import Answer, Post
from rung.adapters.collector.views.registry import Registry
from rung.adapters.collector.views.tail import Logged, Pick
from rung.frames import Statement

METRICS_EVERY_S = 10.0
EVERY_S = 2.0
SPANS_WAITING_MAX = 50_000
LINES_WAITING_MAX = 10_000
SPANS_MAX, LINES_MAX = 5_000, 2_000  # of one message
END_TIMEOUT_S = 2.0


class Exporter:
    """
    Everything that waits to be sent, and the thread that sends it.
    """

    def __init__(
        self,
        post: Post,
        registry: Registry,
        *,
        service: str,
        statements: Mapping[str, Statement],
        say: Callable[[str], None],
        metrics_every_s: float = METRICS_EVERY_S,
        every_s: float = EVERY_S,
    ) -> None:
        self._post, self._registry, self._service, self._statements = post, registry, service, statements
        self._resource = collector_resource(service, secrets.token_hex(8))
        self._picks: deque[Pick] = deque()
        self._lines: deque[Logged] = deque()
        self._spans = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ending = False
        generator = random.Random(secrets.randbits(64))
        self._lanes = [
            Lane(
                "metrics", every_s=metrics_every_s, make=self._metrics, answer=ExportMetricsServiceResponse,
                registry=registry, say=say, generator=generator, keeps=False,
            ),
            Lane(
                "traces", every_s=every_s, make=self._traces, answer=ExportTraceServiceResponse,
                registry=registry, say=say, generator=generator,
            ),
            Lane(
                "logs", every_s=every_s, make=self._logs, answer=ExportLogsServiceResponse,
                registry=registry, say=say, generator=generator,
            ),
        ]  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="rung-otlp", daemon=True)

    def start(self) -> None:
        """
        Begin to send.
        """
        self._thread.start()

    def offer(self, picks: Iterable[Pick], lines: Iterable[Logged]) -> None:
        """
        Take what is to be sent; the oldest makes room.
        """
        with self._lock:
            for pick in picks:
                self._picks.append(pick)
                self._spans += pick.spans
            while self._spans > SPANS_WAITING_MAX:
                lost = self._picks.popleft().spans
                self._spans -= lost
                self._registry.add("rung.otlp.lost", ("traces", "queue_full"), lost)
            self._lines.extend(lines)
            while len(self._lines) > LINES_WAITING_MAX:
                self._lines.popleft()
                self._registry.add("rung.otlp.lost", ("logs", "queue_full"))
            self._registry.put("rung.otlp.waiting", ("traces",), len(self._picks))
            self._registry.put("rung.otlp.waiting", ("logs",), len(self._lines))

    def end(self, timeout_s: float) -> None:
        """
        Try once to send what is left, within *timeout_s*, and stop.
        """
        self._ending = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._ending:
            now_s = clock.monotonic_s()
            for lane in self._lanes:
                if lane.due_s <= now_s and not self._ending:
                    self._turn(lane, self._post, now_s)
            pause_s = min(lane.due_s for lane in self._lanes) - clock.monotonic_s()
            self._wake.wait(max(0.05, pause_s))
        for lane in self._lanes:
            self._turn(lane, self._hurried, clock.monotonic_s())

    def _turn(self, lane: Lane, post: Callable[[str, bytes], Answer], now_s: float) -> None:
        try:
            lane.turn(post, now_s)
        except Exception:
            # Whatever it was, it was one message; the thread goes on with the next.
            lane.due_s = now_s + lane.every_s
            self._registry.add("rung.otlp.lost", (lane.signal, "failed"))

    def _hurried(self, path: str, body: bytes) -> Answer:
        return self._post(path, body, timeout_s=END_TIMEOUT_S)

    def _metrics(self) -> Parcel | None:
        snapshot = self._registry.snapshot()
        request = otlp_metrics.metrics(snapshot, self._resource, clock.now_s())
        return Parcel(request.SerializeToString(), otlp_metrics.points(request))

    def _traces(self) -> Parcel | None:
        picks: list[Pick] = []
        count = 0
        with self._lock:
            while self._picks and count < SPANS_MAX:
                pick = self._picks.popleft()
                picks.append(pick)
                count += pick.spans
            self._spans -= count
            self._registry.put("rung.otlp.waiting", ("traces",), len(self._picks))
        if not picks:
            return None
        return Parcel(spans.traces(picks, self._statements, self._service).SerializeToString(), count)

    def _logs(self) -> Parcel | None:
        with self._lock:
            lines = [self._lines.popleft() for _ in range(min(LINES_MAX, len(self._lines)))]
            self._registry.put("rung.otlp.waiting", ("logs",), len(self._lines))
        if not lines:
            return None
        return Parcel(spans.logs(lines, self._service).SerializeToString(), len(lines))
