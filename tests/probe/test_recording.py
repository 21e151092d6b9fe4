"""
One real app, asked once recorded and once not: what the recording says, and that the app says the same.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import time
from dataclasses import dataclass
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from rung.adapters.launcher import sealed
from tests.ports import free_port
from tests.probe.serving import ask, line_of, serving, table

SAME = ["/orders/3", "/boom", "/handled", "/stream", "/nowhere", "/asyncpg/write", "/psycopg/sync", "/background"]
ONCE = [
    "/orders/2", "/asyncpg/gather", "/psycopg/async", "/wait", "/compute", "/compute/thread", "/mail",
    "/api/shops/north/items/7/parts", "/mounted/acme/deep/2/hello/you", "/mounted/acme/nothing",
]  # fmt: skip

HELD_S = 0.2


class Slowly:
    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name for it
        time.sleep(0.05)  # noqa: ASYNC251 - its loop serves this one client
        return "250 OK"


@dataclass
class Seen:
    recorded: dict[str, Any]
    plain: dict[str, Any]
    manifest: dict[str, Any]
    requests: list[dict[str, Any]]
    segments: list[dict[str, Any]]
    statements: dict[str, dict[str, Any]]
    processes: list[dict[str, Any]]

    def of(self, route: str, kind: str = "request") -> list[dict[str, Any]]:
        found = [one for one in self.requests if one["route"] == route and one["kind"] == kind]
        assert found, f"{route} is not among {sorted({request['route'] for request in self.requests})}"
        return found

    def parts(self, request: dict[str, Any], *seams: str) -> list[dict[str, Any]]:
        key = (request["worker"], request["request"])
        own = [part for part in self.segments if (part["worker"], part["request"]) == key]
        return [part for part in own if not seams or part["seam"] in seams]

    def texts(self, request: dict[str, Any]) -> list[str]:
        return [self.statements[part["name"]]["text"] for part in self.parts(request, "query")]


def _answers(port: int) -> dict[str, Any]:
    answers = {path: ask(port, path) for path in SAME}
    answers["/echo"] = ask(port, "/echo", "POST", "a body")
    return answers


def _hold_up(port: int) -> None:
    """One request holds the only connection while another waits for it, for HELD_S at least."""
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        both = [threads.submit(ask, port, "/hold") for _ in range(2)]
        while "2" != ask(port, "/holding")[2]:
            time.sleep(0.01)
        time.sleep(HELD_S)
        ask(port, "/release")
    assert [200, 200] == [one.result()[0] for one in both]


@pytest.fixture(scope="module")
def seen(cluster, tmp_path_factory) -> Seen:
    folder = tmp_path_factory.mktemp("recorded") / ".rung"
    smtp_port = free_port()
    smtp = Controller(Slowly(), hostname="127.0.0.1", port=smtp_port)
    smtp.start()
    try:
        around = {"DATABASE_URL": cluster.dsn(), "SMTP_PORT": str(smtp_port)}
        with serving("app:app", folder, recorded=False, **around) as (port, _, _):
            plain = _answers(port)
        with serving("app:app", folder, **around) as (port, _, started):
            recorded = _answers(port)
            for path in ONCE:
                ask(port, path)
            ask(port, "/wait", X_Request_Start=f"t={time.time() - 0.5:.3f}")
            _hold_up(port)
    finally:
        smtp.stop()
    recording = started.recording
    assert sealed(recording)
    return Seen(
        recorded,
        plain,
        json.loads((recording / "recording.json").read_text("utf-8")),
        table(recording, "requests"),
        table(recording, "segments"),
        {row["statement"]: row for row in table(recording, "statements")},
        table(recording, "processes"),
    )


def test_the_app_answers_as_it_does_unrecorded(seen: Seen) -> None:
    assert seen.plain == seen.recorded


def test_nothing_inside_the_probe_failed_and_every_request_is_there(seen: Seen) -> None:
    assert [(0, 0)] == [(row["failures"], row["dropped"]) for row in seen.processes]
    polled = len(seen.of("/holding"))
    asked = len(SAME) + 1 + len(ONCE) + 1 + 2 + polled + 1
    assert (
        asked
        == len([one for one in seen.requests if one["kind"] == "request"])
        == seen.manifest["requests"]
        == seen.processes[0]["requests"]
    )
    assert "asyncpg" in seen.manifest["libraries"]


def test_routes_are_templates_with_every_prefix(seen: Seen) -> None:
    routes = {request["route"] for request in seen.requests}
    assert "/orders/{customer_id}" in routes
    assert "/api/shops/{shop}/items/{item_id}/parts" in routes
    assert "/mounted/{tenant}/deep/{level}/hello/{name}" in routes
    assert {"/nowhere", "/mounted/acme/nothing"}.isdisjoint(routes)
    assert 2 == len(seen.of("(unmatched)"))


def test_a_statement_is_kept_without_its_values(seen: Seen) -> None:
    request = seen.of("/orders/{customer_id}")[-1]
    (query,) = [part for part in seen.parts(request, "query") if part["rows"] is not None]
    statement = seen.statements[query["name"]]
    assert "SELECT n, $2 FROM generate_series($3, $4) n WHERE n < $1" == statement["text"].replace("::INTEGER", "")
    assert "read" == statement["kind"]
    assert 1 == query["rows"]
    assert query["code"] == line_of("orders")
    assert query["database"].endswith("/postgres")
    assert "@" not in query["database"]
    assert not [row for row in seen.statements.values() if "secret" in row["text"] or "private" in row["text"]]
    assert ["commit"] == [part["name"] for part in seen.parts(request, "commit")]


def test_waiting_for_the_pool_is_apart_from_the_query(seen: Seen) -> None:
    first, second = sorted(seen.of("/hold"), key=lambda request: request["arrived_s"])
    (waited,) = seen.parts(second, "pool")
    assert waited["duration_s"] >= HELD_S
    assert sum(part["duration_s"] for part in seen.parts(first, "pool")) < first["duration_s"] - HELD_S
    # What was asked for once the connection was there comes after the wait.
    end_s = waited["start_s"] + waited["duration_s"]
    assert all(part["start_s"] >= end_s for part in seen.parts(second, "query", "commit"))
    assert "SELECT $1 AS held" in seen.texts(second)


def test_opening_a_connection_lies_inside_waiting_for_the_pool(seen: Seen) -> None:
    first = min(seen.of("/orders/{customer_id}"), key=lambda request: request["request"])
    (pool,) = seen.parts(first, "pool")
    (connect,) = seen.parts(first, "connect")
    assert connect["parent"] == pool["segment"]
    assert connect["duration_s"] <= pool["duration_s"]


def test_queries_of_other_tasks_belong_to_the_request(seen: Seen) -> None:
    (request,) = seen.of("/asyncpg/gather")
    assert 2 == len([text for text in seen.texts(request) if text == "SELECT $1::int"])
    asked = [part for part in seen.parts(request, "query") if "int" in seen.statements[part["name"]]["text"]]
    assert {line_of("gather")} == {part["code"] for part in asked}


def test_a_transaction_of_asyncpg(seen: Seen) -> None:
    (request,) = seen.of("/asyncpg/write")
    texts = seen.texts(request)
    assert "BEGIN" in texts
    assert "INSERT INTO basket VALUES ($1) /*, ... */" in texts
    insert = next(part for part, text in zip(seen.parts(request, "query"), texts, strict=True) if "INSERT" in text)
    assert 3 == insert["rows"]
    assert "write" == seen.statements[insert["name"]]["kind"]
    assert 1 == len(seen.parts(request, "commit"))


def test_a_statement_prepared_and_executed_is_one_call(seen: Seen) -> None:
    (written,) = seen.of("/asyncpg/write")
    assert 1 == seen.texts(written).count("SELECT item FROM basket WHERE item > $1")
    # SQLAlchemy prepares what a connection has not seen yet, and executes it by a second call of the driver.
    cold = min(seen.of("/orders/{customer_id}"), key=lambda request: request["request"])
    assert 1 == len([text for text in seen.texts(cold) if "generate_series" in text])


def test_psycopg_async(seen: Seen) -> None:
    (request,) = seen.of("/psycopg/async")
    (query,) = [part for part in seen.parts(request, "query") if part["code"] == line_of("psycopg")]
    assert "SELECT $1::int + $2" == seen.statements[query["name"]]["text"]
    assert 1 == query["rows"]
    assert 1 == len(seen.parts(request, "commit"))


def test_psycopg_in_a_worker_thread(seen: Seen) -> None:
    request = seen.of("/psycopg/sync")[0]
    assert ["threads", "connect", "query", "commit"] == [part["seam"] for part in seen.parts(request)]
    (query,) = seen.parts(request, "query")
    assert "IN ($3 /*, ... */)" in seen.statements[query["name"]]["text"]
    assert 3 == query["rows"]


def test_mail_is_one_outer_call_each(seen: Seen) -> None:
    (request,) = seen.of("/mail")
    connected, sent = seen.parts(request, "external")
    assert {"mail"} == {connected["name"], sent["name"]}
    assert 1 == len(seen.parts(request, "threads"))
    assert sent["duration_s"] >= 0.05


def test_what_runs_after_the_response_is_no_part_of_it(seen: Seen) -> None:
    request = seen.of("/background")[0]
    assert [] == seen.parts(request)


def test_computing_is_told_from_waiting(seen: Seen) -> None:
    assert seen.of("/compute")[0]["cpu_s"] >= 0.045
    assert seen.of("/compute/thread")[0]["cpu_s"] >= 0.045
    for request in seen.of("/wait"):
        assert request["duration_s"] >= 0.1
        assert request["cpu_s"] <= request["duration_s"] - 0.09


def test_an_error_is_kept_by_type_and_line_only(seen: Seen) -> None:
    (request,) = seen.of("/boom")
    assert 500 == request["status"]
    assert f"ValueError {line_of('boom')}" == request["error"]
    (known,) = seen.of("/handled")
    assert (418, None) == (known["status"], known["error"])


def test_a_stream_lasts_until_its_last_part(seen: Seen) -> None:
    (request,) = seen.of("/stream")
    assert request["duration_s"] >= 0.04
    assert not request["cancelled"]


def test_the_queue_in_front_is_told_by_the_header(seen: Seen) -> None:
    told = [request["queue_s"] for request in seen.of("/wait") if request["queue_s"] is not None]
    assert 1 == len(told)
    assert 0.45 <= told[0] < 30


def test_the_parts_lie_within_their_request(seen: Seen) -> None:
    by_request = {(request["worker"], request["request"]): request for request in seen.requests}
    for part in seen.segments:
        request = by_request[part["worker"], part["request"]]
        assert 0 <= part["start_s"]
        assert part["start_s"] + part["duration_s"] <= request["duration_s"] + 1e-6
    for request in seen.requests:
        # Computing was interrupted by the parts, never counted inside them; only a thread's clock goes on.
        outer = [part for part in seen.parts(request) if part["parent"] is None and part["seam"] != "cpu"]
        one_after_another = all(
            a["start_s"] + a["duration_s"] <= b["start_s"] + 1e-6 for a, b in itertools.pairwise(outer)
        )
        if one_after_another and not seen.parts(request, "threads"):
            parts_s = sum(part["duration_s"] for part in outer)
            assert request["cpu_s"] + parts_s <= request["duration_s"] + 2e-3, (request["route"], str(outer))
