"""
What a peer would send to its maker, taken in on 127.0.0.1: for Sentry, and for ddtrace's agent.
"""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

_INFO = {"version": "7.60.0", "endpoints": ["/v0.4/traces"], "client_drop_p0s": False}


class Agent:
    """
    Keeps the transactions that come in, each as its name and the descriptions of the statements inside of it.
    """

    def __init__(self) -> None:
        self.transactions: list[tuple[str, list[str]]] = []
        self.port = 0

    def take(self, path: str, body: bytes) -> None:
        if path.endswith("/envelope/"):
            self._of_sentry(body)
        elif path.endswith("/traces"):
            self._of_ddtrace(body)

    def _of_sentry(self, body: bytes) -> None:
        for line in body.splitlines():
            item = json.loads(line) if line.startswith(b"{") else {}
            if item.get("type") == "transaction" and "spans" in item:
                asked = [span["description"] for span in item["spans"] if span["op"] == "db"]
                self.transactions.append((item["transaction"], asked))

    def _of_ddtrace(self, body: bytes) -> None:
        for trace in msgspec.msgpack.decode(body):
            root = next(span for span in trace if not span.get("parent_id"))
            asked = [span["resource"] for span in trace if span.get("type") == "sql"]
            self.transactions.append((root["resource"], asked))


@contextmanager
def listening() -> Iterator[Agent]:
    """Yield an agent on a port of its own."""
    agent = Agent()

    class Taking(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(_INFO)

        def do_POST(self) -> None:
            body = self._body()
            kind = self.headers.get("Content-Encoding", "")
            body = gzip.decompress(body) if kind == "gzip" else zlib.decompress(body) if kind == "deflate" else body
            agent.take(self.path, body)
            self._answer({"rate_by_service": {}})

        do_PUT = do_POST  # noqa: N815 - as http.server looks it up

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    agent.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield agent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
