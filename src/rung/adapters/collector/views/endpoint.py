"""
Serve the metrics over HTTP, from threads of their own: who asks holds up nobody who sends.

In        where to listen; the registry
Out       /metrics in the format that was asked for, and /-/healthy
Not here  the formats (openmetrics.py, client_model.py), values (registry.py)
"""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rung.adapters.collector.views.client_model import CONTENT_TYPE, messages
from rung.adapters.collector.views.openmetrics import OPENMETRICS, PLAIN, openmetrics_text, plain_text
from rung.adapters.collector.views.registry import Registry

ASKING_MAX = 4  # at once; more are told to come back
PATIENCE_S = 5.0  # for a whole question
METRICS, HEALTHY = "/metrics", "/-/healthy"

_WRITERS: Mapping[str, Callable[..., bytes]] = {
    OPENMETRICS: openmetrics_text,
    PLAIN: plain_text,
    CONTENT_TYPE: messages,
}


def chosen(accept: str) -> str:
    """
    Return the content type of those offered that *accept* likes best; the plain one for whoever has no wish.

    >>> chosen("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1").partition(";")[0]
    'application/openmetrics-text'
    """
    best, best_weight = PLAIN, 0.0
    for wish in accept.split(","):
        kind, *given = (part.strip() for part in wish.split(";"))
        told = dict(part.partition("=")[::2] for part in given)
        try:
            weight = float(told.get("q", "1"))
        except ValueError:
            continue
        found = None
        if kind == "application/openmetrics-text" and told.get("version", "1.0.0") in {"1.0.0", "0.0.1"}:
            found = OPENMETRICS
        elif kind == "application/vnd.google.protobuf" and told.get("proto") == "io.prometheus.client.MetricFamily":
            found = CONTENT_TYPE if told.get("encoding", "delimited") == "delimited" else None
        elif kind in {"text/plain", "text/*", "*/*"}:
            found = PLAIN
        if found is not None and weight > best_weight:
            best, best_weight = found, weight
    return best


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # Two collectors must not share a port and each tell a half.
    allow_reuse_port = False

    def __init__(self, address: tuple[str, int], registry: Registry, facts: Mapping[str, str]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.registry, self.facts = registry, facts
        self.asking = threading.BoundedSemaphore(ASKING_MAX)
        super().__init__(address, _Answer)
        self.local = _is_local(self.server_address[0])

    def server_bind(self) -> None:
        """
        Listen, without the look-up of a name that HTTPServer would do.
        """
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """
        Answer in a thread, where there are not too many yet.
        """
        if not self.asking.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.sendall(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """
        Answer, and make room for the next.
        """
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.asking.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """
        Say nothing of somebody who went away.
        """


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    server_version = "rung"
    sys_version = ""
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        """
        Answer one question.
        """
        # A page in somebody's browser may call this machine by a name of its own, and would then read along.
        if self.server.local and not _is_local(_host_of(self.headers.get("Host", ""))):
            self._put(HTTPStatus.FORBIDDEN, "text/plain; charset=utf-8", b"rung answers to localhost here\n")
            return
        path = self.path.partition("?")[0]
        if path == HEALTHY:
            self._put(HTTPStatus.OK, "text/plain; charset=utf-8", b"rung is healthy\n")
        elif path == METRICS:
            kind = chosen(", ".join(self.headers.get_all("Accept", [])))
            self.server.registry.add("rung.scrapes")
            self._put(HTTPStatus.OK, kind, _WRITERS[kind](self.server.registry.snapshot(), self.server.facts))
        else:
            self._put(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"the metrics are at /metrics\n")

    def do_HEAD(self) -> None:
        """
        Answer without the body.
        """
        self.do_GET()

    def _put(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """
        Log nothing: standard error is the app's.
        """


def _host_of(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _is_local(host: str | bytes | bytearray) -> bool:
    name = host if isinstance(host, str) else bytes(host).decode()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() in {"", "localhost"}


class Endpoint:
    """
    The endpoint, listening from the moment it is made.

    Raises:
        OSError: nothing can listen there.
    """

    def __init__(self, host: str, port: int, registry: Registry, facts: Mapping[str, str]) -> None:
        self._server = _Server((host, port), registry, facts)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="rung-metrics", daemon=True
        )

    @property
    def url(self) -> str:
        """
        Return where the metrics are.
        """
        host, port = self._server.server_address[:2]
        name = str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}{METRICS}"

    def start(self) -> None:
        """
        Begin to answer.
        """
        self._thread.start()

    def end(self) -> None:
        """
        Stop listening.
        """
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
