"""
One Django site under a sync and under an async server: what the recording says, and that the site says the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from rung.probe.instruments.django import template
from tests.ports import free_port
from tests.probe.running import Recorded, gunicorn, left_in_the_middle, running
from tests.probe.serving import ask, line_of, uvicorn

VIEWS = "django_site/views.py"
SAME = [
    "/orders/1/", "/orders/1", "/shops/north/items/7/parts", "/shops/north/archive/2024/3/", "/shops/a/archive/2024/",
    "/boom", "/denied", "/missing/99", "/nowhere", "/stream", "/file", "/async/1", "/write", "/command",
]  # fmt: skip
ONCE = ["/orders/2/", "/wait", "/compute"]


@dataclass
class Seen(Recorded):
    server: str
    said: dict[str, Any]
    said_plain: dict[str, Any]


def _answers(port: int) -> dict[str, Any]:
    answers = {path: ask(port, path) for path in SAME}
    answers["/echo"] = ask(port, "/echo", "POST", "a body")
    answers["HEAD"] = ask(port, "/stream", "HEAD")
    return answers


@pytest.fixture(scope="module")
def url(cluster) -> str:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS django_order")
        connection.execute(
            "CREATE TABLE django_order (id bigserial PRIMARY KEY, customer int NOT NULL, note text NOT NULL DEFAULT '')"
        )
        connection.execute("INSERT INTO django_order (customer) SELECT n % 2 FROM generate_series(1, 6) n")
    return cluster.dsn()


def _command(server: str, port: int) -> list[str]:
    if server == "wsgi":
        return gunicorn("django_site.wsgi", port, "--threads", "2")
    return uvicorn("django_site.asgi:application", port)


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def seen(request, url, tmp_path_factory) -> Seen:
    folder, server = tmp_path_factory.mktemp("recorded") / ".rung", request.param
    port = free_port()
    with running(_command(server, port), port, None, DATABASE_URL=url):
        plain = _answers(port)
    with running(_command(server, port), port, folder, DATABASE_URL=url) as started:
        recorded = _answers(port)
        for path in ONCE:
            ask(port, path)
        ask(port, "/wait", X_Request_Start=f"t={time.time() - 0.5:.3f}")
        left_in_the_middle(port, "/endless")
        ask(port, "/orders/3/")
    read = Recorded.read(started.recording)
    return Seen(read.requests, read.segments, read.statements, read.processes, server, recorded, plain)


def test_the_site_answers_as_it_does_unrecorded(seen: Seen) -> None:
    assert seen.said_plain == seen.said


def test_nothing_inside_the_probe_failed_and_every_request_is_there_once(seen: Seen) -> None:
    assert [] == seen.failures()
    asked = len(SAME) + 2 + len(ONCE) + 1 + 1 + 1
    assert asked == len([one for one in seen.requests if one["kind"] == "request"])


def test_routes_are_templates_with_every_prefix(seen: Seen) -> None:
    routes = {request["route"] for request in seen.requests}
    assert {"/orders/{pk}/", "/shops/{shop}/items/{item_id}/parts", "/shops/{shop}/archive/{year}/{page}/"} <= routes
    assert 2 == len(seen.of("/shops/{shop}/archive/{year}/{page}/"))
    # A path that matches nothing, and one that Django sends to the path with a slash.
    assert [301, 404] == sorted(request["status"] for request in seen.of("(unmatched)"))
    assert 404 == seen.of("/missing/{pk}")[0]["status"]
    assert "POST" == seen.of("/echo")[0]["method"]


def test_a_statement_of_the_orm_is_recorded_once_with_the_line_that_asked(seen: Seen) -> None:
    request = max(seen.of("/orders/{pk}/"), key=lambda one: one["arrived_s"])
    order, others = seen.parts(request, "query")[-2:]
    assert [line_of("order", VIEWS), line_of("others", VIEWS)] == [order["code"], others["code"]]
    asked = [text for text in seen.texts(request) if "django_order" in text]
    assert 2 == len(asked)
    assert "LIMIT $2" in asked[0]
    assert (1, 3) == (order["rows"], others["rows"])
    assert not [row for row in seen.statements.values() if "secret" in row["text"]]
    assert order["database"].endswith("/postgres")


def test_opening_a_connection_is_apart_from_its_first_query(seen: Seen) -> None:
    first = min(seen.of("/orders/{pk}/"), key=lambda one: one["arrived_s"])
    (connect,) = seen.parts(first, "connect")
    assert "psycopg" == connect["name"]
    query = seen.parts(first, "query")[-1]
    assert connect["start_s"] + connect["duration_s"] <= query["start_s"]


def test_a_transaction_ends_in_a_commit(seen: Seen) -> None:
    (request,) = seen.of("/write")
    assert 1 == len(seen.parts(request, "commit"))
    (update,) = [part for part in seen.parts(request, "query") if "UPDATE" in seen.statements[part["name"]]["text"]]
    assert 1 == update["rows"]


def test_an_error_is_kept_by_type_and_line_only(seen: Seen) -> None:
    (request,) = seen.of("/boom")
    assert (500, f"ValueError {line_of('boom', VIEWS)}") == (request["status"], request["error"])
    (denied,) = seen.of("/denied")
    assert (403, None) == (denied["status"], denied["error"])


def test_computing_is_told_from_waiting(seen: Seen) -> None:
    assert 0.045 <= seen.of("/compute")[0]["cpu_s"] <= seen.of("/compute")[0]["duration_s"]
    for request in seen.of("/wait"):
        assert request["duration_s"] >= 0.1
        assert request["cpu_s"] <= request["duration_s"] - 0.09


def test_the_queue_in_front_is_told_by_the_header(seen: Seen) -> None:
    told = [request["queue_s"] for request in seen.of("/wait") if request["queue_s"] is not None]
    assert 1 == len(told)
    assert 0.45 <= told[0] < 30


def test_a_stream_lasts_until_its_last_part(seen: Seen) -> None:
    request = min(seen.of("/stream"), key=lambda one: one["arrived_s"])
    assert request["duration_s"] >= 0.04
    if seen.server == "wsgi":
        assert 0 < request["first_byte_s"] <= request["duration_s"] - 0.03
    else:  # Django reads a plain iterator to its end before it sends the first part; how long it then takes, varies
        assert (request["first_byte_s"] or request["duration_s"]) >= 0.04
    assert not request["cancelled"]
    counted = [part for part in seen.parts(request, "query") if part["code"] == line_of("stream", VIEWS)]
    assert 3 == len(counted)
    assert not seen.of("/file")[0]["cancelled"]
    assert seen.of("/orders/{pk}/")[0]["first_byte_s"] is None


def test_a_client_that_leaves_in_the_middle_is_a_cancelled_request(seen: Seen) -> None:
    (request,) = seen.of("/endless")
    assert request["cancelled"]
    assert request["duration_s"] < 10


def test_an_async_view_and_the_threads_that_it_uses(seen: Seen) -> None:
    (request,) = seen.of("/async/{pk}")
    (query,) = [p for p in seen.parts(request, "query") if "django_order" in seen.statements[p["name"]]["text"]]
    assert line_of("asynchronous", VIEWS) == query["code"]
    assert len(seen.parts(request, "threads")) >= 2
    assert 0.045 <= request["cpu_s"] <= request["duration_s"] - 0.045


def test_a_command_called_by_a_view_is_part_of_the_request(seen: Seen) -> None:
    (request,) = seen.of("/command")
    assert any("django_order" in text for text in seen.texts(request))
    assert not [one for one in seen.requests if one["kind"] == "job"]


def test_the_parts_lie_within_their_request(seen: Seen) -> None:
    by_request = {(request["worker"], request["request"]): request for request in seen.requests}
    for part in seen.segments:
        request = by_request[part["worker"], part["request"]]
        assert 0 <= part["start_s"]
        assert part["start_s"] + part["duration_s"] <= request["duration_s"] + 1e-6


@pytest.mark.parametrize(
    ("route", "shown"),
    [
        ("", "/"),
        ("orders/<int:pk>/", "/orders/{pk}/"),
        ("<path:rest>", "/{rest}"),
        (r"^files/(?P<name>[^/()]+\.(?:png|jpg))$", "/files/{name}"),
        (r"^v1\.0/(\d+)/([a-z]+)/$", "/v1.0/{1}/{2}/"),
        (r"shops/<slug:shop>/archive/(?P<day>(\d{4})-\d\d)/?$", "/shops/{shop}/archive/{day}/"),
        (r"^(?i)about/(?=x)x$", "/about/x"),
        (r"^odd/(?P<x>[])(]+)/end\Z", "/odd/{x}/end"),
        (r"^broken/(?P<x>[", "/broken/{x}"),
    ],
)
def test_any_pattern_becomes_a_template(route: str, shown: str) -> None:
    assert shown == template(route)
