"""
One Litestar app under uvicorn and granian: what the recording says, and that the app says the same.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.ports import free_port
from tests.probe.running import Recorded, granian, running
from tests.probe.serving import PATIENCE_S, ask, line_of, uvicorn

APP = "litestar_app.py"
SAME = [
    "/orders/3", "/shops/north/orders/2", "/thread", "/provided", "/boom", "/unavailable", "/handled", "/missing",
    "/checked?number=4", "/checked?number=x", "/background", "/stream", "/many", "/mounted/name", "/nowhere",
    "/orders/x", "/orders/3?x=1",
]  # fmt: skip


SERVERS = {
    "uvicorn": lambda port: uvicorn("litestar_app:app", port),
    "granian": lambda port: granian("litestar_app:app", port, "--interface", "asgi"),
}


@dataclass
class Seen(Recorded):
    said: dict[str, Any]
    said_plain: dict[str, Any]
    sockets: int


def _answers(port: int, sockets: int) -> dict[str, Any]:
    answers = {path: ask(port, path) for path in SAME}
    answers["/echo"] = ask(port, "/echo", "POST", "a body")
    answers["/wrong"] = ask(port, "/wait", "POST")
    answers["sockets"] = [_greeted(port) for _ in range(sockets)]
    return answers


def _greeted(port: int) -> bytes:
    """Return what a websocket says first."""
    key = base64.b64encode(os.urandom(16)).decode()
    asked = (
        f"GET /socket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(asked.encode())
        said = b""
        while b"hello" not in said:
            part = connection.recv(65536)
            if not part:
                break
            said += part
    return said[said.find(b"hello") :][:5]


@pytest.fixture(scope="module", params=SERVERS)
def seen(request, cluster, tmp_path_factory) -> Seen:
    folder = tmp_path_factory.mktemp("recorded") / ".rung"
    port = free_port()
    command = SERVERS[request.param](port)
    sockets = 1 if request.param == "granian" else 0  # uvicorn has none without a package for them
    with running(command, port, None, DATABASE_URL=cluster.dsn()):
        plain = _answers(port, sockets)
    with running(command, port, folder, DATABASE_URL=cluster.dsn()) as started:
        recorded = _answers(port, sockets)
        ask(port, "/wait")
        ask(port, "/wait", X_Request_Start=f"t={time.time() - 0.5:.3f}")
    read = Recorded.read(started.recording)
    return Seen(read.requests, read.segments, read.statements, read.processes, recorded, plain, sockets)


def test_the_app_answers_as_it_does_unrecorded(seen: Seen) -> None:
    assert seen.said_plain == seen.said


def test_nothing_inside_the_probe_failed_and_every_request_is_there_once(seen: Seen) -> None:
    assert [] == seen.failures()
    assert len(SAME) + 2 + 2 == len([one for one in seen.requests if one["kind"] == "request"])


def test_routes_are_templates_with_the_prefix_of_their_router_and_mount(seen: Seen) -> None:
    assert 2 == len(seen.of("/orders/{order_id}"))
    assert 200 == seen.of("/shops/{shop}/orders/{order_id}")[0]["status"]
    assert 200 == seen.of("/mounted/{name}")[0]["status"]
    # A path that matches nothing, a value that is no number, and a method that the path has not.
    assert [404, 404, 405] == sorted(request["status"] for request in seen.of("(unmatched)"))


def test_a_statement_is_kept_without_its_values(seen: Seen) -> None:
    request = seen.of("/orders/{order_id}")[0]
    (query,) = seen.parts(request, "query")
    assert ["SELECT n, $1 FROM generate_series($2, $3) n WHERE n < $4"] == seen.texts(request)
    assert (line_of("order", APP), 2) == (query["code"], query["rows"])


def test_an_error_is_kept_by_type_and_line_only(seen: Seen) -> None:
    (boom,) = seen.of("/boom")
    assert (500, f"ValueError {line_of('boom', APP)}") == (boom["status"], boom["error"])
    (unavailable,) = seen.of("/unavailable")
    assert (503, f"HTTPException {line_of('unavailable', APP)}") == (unavailable["status"], unavailable["error"])
    assert [(418, None)] == [(one["status"], one["error"]) for one in seen.of("/handled")]
    assert [(404, None)] == [(one["status"], one["error"]) for one in seen.of("/missing")]
    assert [200, 400] == sorted(one["status"] for one in seen.of("/checked"))


def test_sync_handlers_and_dependencies_wait_for_a_thread_and_compute_in_it(seen: Seen) -> None:
    for route in ("/thread", "/provided"):
        (request,) = seen.of(route)
        assert ["threads"] == [part["seam"] for part in seen.parts(request, "threads")]
        assert ["SELECT $1 + $2"] == seen.texts(request)
    (request,) = seen.of("/thread")
    assert 0.045 <= request["cpu_s"] <= request["duration_s"]


def test_turning_a_large_answer_into_json_is_told_apart(seen: Seen) -> None:
    (request,) = seen.of("/many")
    assert 1 == [part["name"] for part in seen.parts(request, "cpu")].count("serialise")


def test_what_goes_on_after_the_response_is_a_unit_of_its_own(seen: Seen) -> None:
    (request,) = seen.of("/background")
    (after,) = [one for one in seen.requests if one["kind"] == "background"]
    assert (request["request"], "/background") == (after["follows"], after["route"])
    assert request["duration_s"] < 0.1 <= after["duration_s"]
    assert ["SELECT pg_sleep($1)"] == seen.texts(after)


def test_streams_and_queues(seen: Seen) -> None:
    (streamed,) = seen.of("/stream")
    assert 0 < streamed["first_byte_s"] <= streamed["duration_s"] - 0.03
    waited = seen.of("/wait")
    (told,) = [request["queue_s"] for request in waited if request["queue_s"] is not None]
    assert 0.45 <= told < 30
    for request in waited:
        assert request["cpu_s"] <= request["duration_s"] - 0.09


def test_websockets_are_counted(seen: Seen) -> None:
    assert seen.sockets == sum(json.loads(row["counts"])["websockets"] for row in seen.processes)
