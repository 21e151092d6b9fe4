"""
All views together: what the collector hands on, to whom it goes, and what the user is told of it.

In        what was asked for (asked.py), batches, samples
Out       an endpoint and an exporter, begun and ended with the collector
Not here  the parts themselves

What fails here is said once and costs the views what it was about; the recording goes on.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rung import __version__, clock
from rung.adapters.collector.views.asked import Asked
from rung.adapters.collector.views.feeding import Feeder
from rung.adapters.collector.views.registry import Registry
from rung.adapters.collector.views.sampling import Taker
from rung.adapters.collector.views.senders import Source
from rung.adapters.collector.views.tail import OVER_BUDGET, Choice, Pick, Tail
from rung.frames import Batch
from rung.steps.record import Process

if TYPE_CHECKING:
    from rung.adapters.collector.views.endpoint import Endpoint
    from rung.adapters.collector.views.otlp import Exporter

END_S_MAX = 4.0


class Views:
    """
    What is told while it is recorded; to be made after the collector has forked.
    """

    def __init__(self, asked: Asked, *, say: Callable[[str], None]) -> None:
        self._say = say
        self._failed = False
        self.registry = Registry(started_s=clock.now_s())
        self._feeder = Feeder(self.registry)
        self._taker = Taker(self.registry)
        self._sources: dict[tuple[str, str, int, float], Source] = {}
        self._tail: Tail | None = None
        self._endpoint: Endpoint | None = None
        self._exporter: Exporter | None = None
        if asked.listen is not None:
            self._serve(asked.listen, asked.service)
        if asked.otlp:
            self._send(asked)

    def _serve(self, listen: tuple[str, int], service: str) -> None:
        host, port = listen
        facts = {
            "service_name": service, "host_name": socket.gethostname(), "telemetry_sdk_name": "rung",
            "telemetry_sdk_language": "python", "telemetry_sdk_version": __version__,
        }  # fmt: skip
        try:
            from rung.adapters.collector.views.endpoint import Endpoint

            self._endpoint = Endpoint(host, port, self.registry, facts)
        except (OSError, OverflowError) as problem:
            reason = getattr(problem, "strerror", None) or str(problem)
            self._say(
                f"rung: no metrics at {host}:{port}: {reason}\n"
                "rung: recording goes on. RUNG_METRICS_LISTEN=127.0.0.1:0 takes any port that is free.\n"
            )
            return
        except ImportError as problem:
            self._say(f"rung: no metrics: {problem.name} is not installed (pip install 'rung[tool]')\n")
            return
        self._endpoint.start()
        self._say(f"rung: metrics at {self._endpoint.url}\n")

    def _send(self, asked: Asked) -> None:
        try:
            from rung.adapters.collector.views.otlp import Exporter
            from rung.adapters.collector.views.posting import Post

            post = Post(asked.otlp, asked.headers, certificate=asked.certificate)
        except OSError as problem:
            self._say(f"rung: nothing is sent to {asked.otlp}: {asked.certificate}: {problem.strerror or problem}\n")
            return
        except ImportError as problem:
            self._say(f"rung: nothing is sent: {problem.name} is not installed (pip install 'rung[tool]')\n")
            return
        self._tail = Tail(goal_s=asked.goal_s, samples=asked.samples)
        self._exporter = Exporter(
            post, self.registry, service=asked.service, statements=self._feeder.statements, say=self._say
        )
        self._exporter.start()
        self._say(f"rung: metrics, traces and logs go to {asked.otlp}\n")

    def batch(self, process: Process, batch: Batch) -> None:
        """
        Take what *process* sent, once the recording has taken it.
        """
        self._safely(self._batch, process, batch)

    def _batch(self, process: Process, batch: Batch) -> None:
        source = self._source(process)
        shown = None
        if self._tail is not None and self._exporter is not None:
            choices = self._tail.choose(source, batch.requests, clock.now_s())
            picks = list(self._picked(source, batch, choices))
            self._tail.lines(source, batch.lines)
            lines = [self._tail.ready.popleft() for _ in range(len(self._tail.ready))]
            if picks or lines:
                self._exporter.offer(picks, lines)
            if self._tail.lost:
                self.registry.add("rung.otlp.lost", ("logs", "queue_full"), self._tail.lost)
                self._tail.lost = 0
            # An exemplar is of use where its trace can be looked at: of requests that are sent.
            shown = [choice is not None and choice.kept != OVER_BUDGET for choice in choices]
        self._feeder.batch(source, batch, shown)

    def _picked(self, source: Source, batch: Batch, choices: list[Choice | None]) -> Iterable[Pick]:
        for request, choice in zip(batch.requests, choices, strict=True):
            if choice is not None:
                self.registry.add("rung.traces", (choice.kept,))
                if choice.kept != OVER_BUDGET:
                    yield Pick(source, request, choice)

    def _source(self, process: Process) -> Source:
        source = self._sources.get(process.run)
        if source is None:
            source = self._sources[process.run] = Source(process)
        # The same process again: with more libraries, or to the next recording.
        source.hello, source.places = process.hello, process.places
        return source

    def sample(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """
        Take what was sampled beside the app.
        """
        self._safely(self._taker.sample, table, rows)

    def second(self, connected: Iterable[Process]) -> None:
        """
        Note who is connected; to be called about once a second.
        """
        self._safely(self._second, list(connected))

    def _second(self, connected: list[Process]) -> None:
        self._feeder.levels([self._source(process) for process in connected])
        self._feeder.look()
        here = {process.run for process in connected}
        self._sources = {run: source for run, source in self._sources.items() if run in here}

    def refused(self) -> None:
        """
        Note a connection that was closed for what it sent.
        """
        self._safely(self.registry.add, "rung.connections.refused")

    def end(self) -> None:
        """
        Send what is left, within END_S_MAX, and stop answering.
        """
        if self._exporter is not None:
            self._exporter.end(END_S_MAX)
        if self._endpoint is not None:
            self._endpoint.end()

    def _safely(self, act: Callable[..., None], *arguments: Any) -> None:
        try:
            act(*arguments)
        except Exception as problem:
            # The message may quote anything; the recording must go on whatever it was.
            if not self._failed:
                self._failed = True
                self._say(f"rung: metrics and traces lack something ({type(problem).__name__}); recording goes on.\n")
