"""
What a recorder keeps in memory and sends: bytes of the worker after many requests, bytes on the socket for each.

In        how many requests
Out       Memory: of a worker that records and of one without; Sent: bytes per request
Not here  CPU (rounds.py), the collector's memory (benchmarks/collector)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.overhead.processes import Process, side_by_side
from rung import clock

REQUESTS = 20_000
ORDER_REQUESTS = 500
SENT_REQUESTS = 100


@dataclass(frozen=True, slots=True)
class Memory:
    """
    Resident bytes of the two workers before their first request and after the last one.
    """

    requests: int
    statements: int
    bare_bytes: int
    rung_bytes: int
    bare_begun_bytes: int
    rung_begun_bytes: int

    @property
    def added_bytes(self) -> int:
        """
        What the recorded worker has more.
        """
        return self.rung_bytes - self.bare_bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """
    Bytes that the recorder wrote into its socket, a request.
    """

    app: str
    statements: int
    requests: int
    bytes_per_request: float


def memory(bare: Process, rung: Process, statements: int) -> Memory:
    """
    Return the memory of two processes without a server after REQUESTS requests, both asked at the same time.
    """
    begun = bare.rss_bytes(), rung.rss_bytes()
    for _ in range(REQUESTS // ORDER_REQUESTS):
        for process in (bare, rung):
            process.send(f"/statements/{statements}", ORDER_REQUESTS)
        for process in (bare, rung):
            process.answered()
    return Memory(bare.asked, statements, bare.rss_bytes(), rung.rss_bytes(), *begun)


def sent(environment: Mapping[str, str], folder: Path, app: str, statements: int, settled_s: float) -> Sent:
    """
    Return what is sent of each request, once the sample of digests has its size.
    """
    path = f"/statements/{statements}"
    with side_by_side(("rung-counted",), app, "none", environment, folder, []) as processes:
        process = processes["rung-counted"]
        assert process.sink is not None
        until_s = clock.monotonic_s() + settled_s
        while clock.monotonic_s() < until_s:
            process.ask(path, 10)
        process.ask(path, 1, flush=True)
        before_bytes = process.sink.settled_bytes()
        process.ask(path, SENT_REQUESTS, flush=True)
        return Sent(app, statements, SENT_REQUESTS, (process.sink.settled_bytes() - before_bytes) / SENT_REQUESTS)
