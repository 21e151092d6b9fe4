"""
One Flask app under gunicorn's threads: what the recording says, and that the app says the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from rung.probe.instruments.flask import template
from tests.ports import free_port
from tests.probe.running import Recorded, gunicorn, left_in_the_middle, running
from tests.probe.serving import ask, line_of

APP = "flask_app.py"
ITEM = "/shops/north/items/1b4e28ba-2fa1-11d2-883f-0016d3cca427"
SAME = [
    "/orders/3", "/boom", "/handled", "/unavailable", "/stream", "/file", "/async/5", "/nowhere", f"{ITEM}/paid",
    f"{ITEM}/lost",
]  # fmt: skip
ONCE = ["/orders/2", "/wait", "/compute"]


@dataclass
class Seen(Recorded):
    said: dict[str, Any]
    said_plain: dict[str, Any]


def _answers(port: int) -> dict[str, Any]:
    answers = {path: ask(port, path) for path in SAME}
    answers["/echo"] = ask(port, "/echo", "POST", "a body")
    answers["/wrong"] = ask(port, "/wait", "POST")
    answers["HEAD"] = ask(port, "/stream", "HEAD")
    return answers


def _broken(port: int) -> None:
    with pytest.raises(Exception, match=r"Incomplete|chunk"):
        ask(port, "/breaks")


@pytest.fixture(scope="module")
def seen(cluster, tmp_path_factory) -> Seen:
    folder = tmp_path_factory.mktemp("recorded") / ".rung"
    port = free_port()
    command = gunicorn("flask_app:app", port, "--threads", "2")
    with running(command, port, None, DATABASE_URL=cluster.dsn()):
        plain = _answers(port)
        _broken(port)
    with running(command, port, folder, DATABASE_URL=cluster.dsn()) as started:
        recorded = _answers(port)
        for path in ONCE:
            ask(port, path)
        ask(port, "/wait", X_Request_Start=f"t={time.time() - 0.5:.3f}")
        _broken(port)
        left_in_the_middle(port, "/endless")
    read = Recorded.read(started.recording)
    return Seen(read.requests, read.segments, read.statements, read.processes, recorded, plain)


def test_the_app_answers_as_it_does_unrecorded(seen: Seen) -> None:
    assert seen.said_plain == seen.said


def test_nothing_inside_the_probe_failed_and_every_request_is_there_once(seen: Seen) -> None:
    assert [] == seen.failures()
    assert len(SAME) + 3 + len(ONCE) + 1 + 1 + 1 == len(seen.requests)


def test_routes_are_templates_with_the_prefix_of_their_blueprint(seen: Seen) -> None:
    assert 2 == len(seen.of("/orders/{order_id}"))
    assert 200 == seen.of("/shops/{shop}/items/{item_id}/{state}")[0]["status"]
    # A path that matches nothing, a value that no converter takes, and a method that the path has not.
    assert [404, 404, 405] == sorted(request["status"] for request in seen.of("(unmatched)"))


def test_a_statement_is_kept_without_its_values(seen: Seen) -> None:
    request = seen.of("/orders/{order_id}")[0]
    (query,) = seen.parts(request, "query")
    assert ["SELECT n, $1 FROM generate_series($2, $3) n WHERE n < $4"] == seen.texts(request)
    assert (line_of("order", APP), 2) == (query["code"], query["rows"])
    assert ["connect", "query", "commit"] == [part["seam"] for part in seen.parts(request)]


def test_an_error_is_kept_by_type_and_line_only(seen: Seen) -> None:
    (boom,) = seen.of("/boom")
    assert (500, f"ValueError {line_of('boom', APP)}") == (boom["status"], boom["error"])
    (known,) = seen.of("/handled")
    assert (418, None) == (known["status"], known["error"])
    (unavailable,) = seen.of("/unavailable")
    assert (503, f"ServiceUnavailable {line_of('unavailable', APP)}") == (unavailable["status"], unavailable["error"])


def test_a_stream_that_breaks_off_has_its_error(seen: Seen) -> None:
    (request,) = seen.of("/breaks")
    assert (200, f"LookupError {line_of('breaks', APP)}") == (request["status"], request["error"])


def test_computing_is_told_from_waiting(seen: Seen) -> None:
    assert 0.045 <= seen.of("/compute")[0]["cpu_s"] <= seen.of("/compute")[0]["duration_s"]
    waited = [request for request in seen.of("/wait") if request["method"] == "GET"]
    assert 2 == len(waited)
    for request in waited:
        assert request["cpu_s"] <= request["duration_s"] - 0.09
    (told,) = [request["queue_s"] for request in waited if request["queue_s"] is not None]
    assert 0.45 <= told < 30


def test_a_stream_lasts_until_its_last_part(seen: Seen) -> None:
    request = min(seen.of("/stream"), key=lambda one: one["arrived_s"])
    assert request["duration_s"] >= 0.04
    assert 0 < request["first_byte_s"] <= request["duration_s"] - 0.03
    assert not [one for one in [*seen.of("/stream"), *seen.of("/file")] if one["cancelled"]]
    assert seen.of("/compute")[0]["first_byte_s"] is None


def test_a_client_that_leaves_in_the_middle_is_a_cancelled_request(seen: Seen) -> None:
    (request,) = seen.of("/endless")
    assert request["cancelled"]
    assert request["duration_s"] < 10


def test_an_async_view_computes_in_a_thread_with_a_loop(seen: Seen) -> None:
    (request,) = seen.of("/async/{number}")
    assert 1 == len(seen.parts(request, "threads"))
    assert 0.045 <= request["cpu_s"] <= request["duration_s"] - 0.045


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("/", "/"),
        ("/static/<path:filename>", "/static/{filename}"),
        ("/<string(length=2):lang>/<any('a:b', c):kind>/<name>", "/{lang}/{kind}/{name}"),
    ],
)
def test_any_rule_becomes_a_template(rule: str, shown: str) -> None:
    assert shown == template(rule)
