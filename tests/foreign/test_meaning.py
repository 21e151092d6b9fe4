"""
What a span is, by the conventions that are in force and by those before them; and what it is called.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.foreign.written import CLIENT, CONSUMER, INTERNAL, LOOKUP, PRODUCER, SERVER, meant

OLD = {"db.system": "postgresql", "db.statement": "SELECT * FROM orders WHERE id = 7", "net.peer.name": "db"}


@pytest.mark.parametrize(
    ("kind", "told", "expected"),
    [
        (SERVER, {"http.request.method": "GET", "http.route": "/orders/{id}"}, ("request", "GET", "/orders/{id}")),
        (SERVER, {"http.method": "POST", "http.route": "/a/<int:b>"}, ("request", "POST", "/a/{b}")),
        (SERVER, {"http.method": "GET", "http.route": "a/<slug:b>/"}, ("request", "GET", "/a/{b}/")),
        (SERVER, {"http.method": "GET", "http.route": r"^a/(?P<b>[0-9]+)/$"}, ("request", "GET", "/a/{b}/")),
        (SERVER, {"http.method": "GET", "http.route": "/orders/4711"}, ("request", "GET", "/orders/{}")),
        (SERVER, {"http.method": "BREW", "url.template": "/pot"}, ("request", "OTHER", "/pot")),
        (SERVER, {"rpc.system": "grpc"}, ("request", "RPC", "a span")),
        (CONSUMER, {"messaging.destination.name": "mails"}, ("task", "", "job:mails")),
        (CONSUMER, {"celery.task_name": "shop.tasks.send"}, ("task", "", "job:shop.tasks.send")),
        (CLIENT, {"db.system": "redis", "db.statement": "GET secret"}, ("cache", "", "redis")),
        (CLIENT, {"db.system.name": "mongodb"}, ("external", "", "mongodb")),
        (CLIENT, {"http.request.method": "GET"}, ("external", "", "http")),
        (CLIENT, {"http.url": "http://secret/"}, ("external", "", "http")),
        (CLIENT, {"rpc.system": "aws-api", "rpc.service": "S3"}, ("external", "", "storage")),
        (CLIENT, {"rpc.system": "grpc"}, ("external", "", "grpc")),
        (CLIENT, {}, ("external", "", "a span")),
        (PRODUCER, {"messaging.system": "kafka"}, ("job", "", "kafka")),
        (INTERNAL, {}, ("other", "", "a span")),
        (INTERNAL, {"asgi.event.type": "http.response.body"}, ("through", "", "")),
        (99, {}, ("other", "", "a span")),
    ],
)
def test_what_a_span_is(kind: int, told: dict[str, Any], expected: tuple[str, str, str]) -> None:
    found, _ = meant(told, kind=kind)

    assert expected == (found.role, found.method, found.name)


@pytest.mark.parametrize("told", [LOOKUP, OLD], ids=["in force", "before"])
def test_a_statement_has_the_fingerprint_that_the_recorder_gives_it(told: dict[str, Any]) -> None:
    found, meanings = meant(told, kind=CLIENT)
    again, _ = meant({**told, "db.query.text": "select * from orders where id = 8"}, kind=CLIENT)

    assert ("query", "SELECT * FROM orders WHERE id = $1") == (found.role, meanings.texts[found.name][1])
    assert again.name != found.name  # another spelling is another statement, as in pg_stat_statements' texts
    assert ("db:5432/" if told is OLD else "unknown:5432/") == found.database


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1 WHERE a = %s AND b = %(name)s", "SELECT $3 WHERE a = $1 AND b = $2"),
        ("SELECT a FROM t WHERE id = ? AND b IN (?, ?)", "SELECT a FROM t WHERE id = $1 AND b IN ($2 /*, ... */)"),
        ("SELECT a FROM t WHERE note ? $1", "SELECT a FROM t WHERE note ? $1"),
        ("INSERT INTO t VALUES (?, ?)", "INSERT INTO t VALUES ($1, $2)"),
    ],
)
def test_a_statement_can_be_planned_whatever_stands_for_a_parameter(text: str, expected: str) -> None:
    found, meanings = meant({"db.system": "postgresql", "db.statement": text}, kind=CLIENT)

    # Which number a parameter has is no part of a statement's name.
    assert _unnumbered(expected) == _unnumbered(meanings.texts[found.name][1])


def _unnumbered(text: str) -> str:
    return "".join(letter for letter in text if not letter.isdigit())


def test_a_statement_of_which_only_the_operation_is_told_has_a_name_and_is_counted() -> None:
    told = {"db.system": "postgresql", "db.operation": "SELECT", "db.sql.table": "orders"}
    found, meanings = meant(told, kind=CLIENT)

    assert ("query", "SELECT orders") == (found.role, meanings.texts[found.name][1])
    assert 1 == meanings._account.counts["unworded"]


@pytest.mark.parametrize(
    ("told", "more", "status", "error"),
    [
        ({"http.status_code": 404}, {}, 404, ""),
        ({"http.response.status_code": 503, "error.type": "TimeoutError"}, {}, 503, "TimeoutError"),
        ({"error.type": "a secret, of somebody"}, {"status": {"code": 2}}, 500, "error"),
        ({"http.status_code": 99999}, {}, 200, ""),
        (
            {},
            {
                "status": {"code": "STATUS_CODE_ERROR", "message": "secret"},
                "events": [
                    {
                        "name": "exception",
                        "attributes": [{"key": "exception.type", "value": {"stringValue": "KeyError"}}],
                    }
                ],
            },
            500,
            "KeyError",
        ),
    ],
)
def test_how_a_request_ended(told: dict[str, Any], more: dict[str, Any], status: int, error: str) -> None:
    found, _ = meant({"http.route": "/a", **told}, kind=SERVER, **more)

    assert (status, error) == (found.status, found.error)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GET /orders/{id}", ("GET", "/orders/{id}")),
        ("GET /orders/17/lines", ("GET", "/orders/{}/lines")),
        ("HTTP GET", ("GET", "(unmatched)")),
        ("GET", ("GET", "(unmatched)")),
        ("/v1/orders", ("OTHER", "/v1/orders")),
    ],
)
def test_a_request_without_a_route_goes_by_the_name_of_its_span(name: str, expected: tuple[str, str]) -> None:
    told = {"http.method": "GET"} if expected[0] == "GET" else {}
    found, _ = meant(told, kind=SERVER, name=name)

    assert expected == (found.method, found.name)


def test_names_are_few_however_many_there_are() -> None:
    _, meanings = meant({}, kind=SERVER)
    routes = set()
    for number in range(3_000):
        word = "".join(chr(97 + int(digit)) for digit in str(number))
        routes.add(meanings._routes.kept(f"/{word}")[0])

    assert len(routes) <= 1_001
    assert "(others)" in routes
