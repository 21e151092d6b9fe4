"""
Whoever reads while it records: a Prometheus that asks every ten seconds, and a receiver of OTLP that takes everything.

In        which views there are to be: none, metrics, all
Out       the variables that start them in a collector; Read: what came
Not here  measuring (rounds.py)
"""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rung.adapters.collector.views import asked

NONE, METRICS, ALL = "none", "metrics", "all"
EVERY_S = 10.0  # half the pause that Prometheus makes by default, or less
# As Prometheus asks for growing buckets.
ACCEPT = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@dataclass
class Read:
    """
    What came to those who read.
    """

    scrapes: int = 0
    scraped_bytes: int = 0
    posts: int = 0
    posted_bytes: int = 0


@contextlib.contextmanager
def reading(views: str, read: Read) -> Iterator[dict[str, str]]:
    """
    Yield the variables of a collector that tells, while somebody reads; *read* is added to.
    """
    if views == NONE:
        yield {}
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    ended = threading.Event()
    scraper = threading.Thread(target=_scrape, args=(port, ended, read))
    scraper.start()
    try:
        with _receiving(read) if views == ALL else contextlib.nullcontext("") as url:
            yield asked.given(asked.Asked(listen=("127.0.0.1", port), otlp=url, service="bench"))
    finally:
        ended.set()
        scraper.join()


def _scrape(port: int, ended: threading.Event, read: Read) -> None:
    asking = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": ACCEPT})
    while not ended.wait(EVERY_S):
        with contextlib.suppress(OSError), urllib.request.urlopen(asking, timeout=EVERY_S) as answer:
            read.scraped_bytes = len(answer.read())
            read.scrapes += 1


@contextlib.contextmanager
def _receiving(read: Read) -> Iterator[str]:
    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            read.posted_bytes += len(self.rfile.read(int(self.headers["Content-Length"])))
            read.posts += 1
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
