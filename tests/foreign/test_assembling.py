"""
Which spans make a request, in whatever order and shape they come.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.foreign.written import (
    CLIENT,
    CONSUMER,
    GET,
    INTERNAL,
    LOOKUP,
    MS,
    PRODUCER,
    SERVER,
    Read,
    document,
    line,
    span,
)

CALL = {"http.request.method": "GET", "url.full": "http://prices/"}


def request(number: int = 1, parent: int = 0, **more: Any) -> dict[str, Any]:
    return span(number, parent, kind=SERVER, told=GET, **{"took": 100, **more})


def lookup(number: int, parent: int, **more: Any) -> dict[str, Any]:
    return span(number, parent, kind=CLIENT, told=LOOKUP, **more)


def test_what_is_inside_of_a_request_is_inside_of_it_in_whatever_order_it_comes(tmp_path: Path) -> None:
    spans = [
        request(), span(2, 1, name="render", at=10, took=50), lookup(3, 2, at=20, took=30), lookup(4, 1, at=70, took=5),
    ]  # fmt: skip
    random.Random(7).shuffle(spans)
    read = Read(tmp_path, "".join(line(document([each])) for each in spans))

    (one,) = read.requests
    text = "SELECT * FROM orders WHERE id = $1"
    assert ("request", "GET", "/orders/{id}", 200, 0.1) == (
        one["kind"], one["method"], one["route"], one["status"], pytest.approx(one["duration_s"]),
    )  # fmt: skip
    assert (f"{1:032x}", None, "h", "shop", 7) == (
        one["trace"], one["caller"], one["host"], one["instance"], one["worker"],
    )  # fmt: skip
    assert [("other", "render"), ("query", text), ("query", text)] == read.waits()
    assert [None, 0, None] == [row["parent"] for row in read.segments]
    assert [0.01, 0.02, 0.07] == pytest.approx([row["start_s"] for row in read.segments])


def test_a_span_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    whole = line(document([request(), lookup(2, 1)]))
    read = Read(tmp_path, whole + whole)

    assert (1, 1, 2) == (len(read.requests), len(read.segments), read.told["duplicates"])


def test_what_two_instrumentations_saw_counts_once(tmp_path: Path) -> None:
    """
    An ORM's span around the driver's, and a client's around that of the library beneath it.
    """
    spans = [
        request(), lookup(2, 1, at=10, took=20), lookup(3, 2, at=12, took=15),
        span(4, 1, kind=CLIENT, told=CALL, at=40, took=20), span(5, 4, kind=CLIENT, told=CALL, at=41, took=18),
    ]  # fmt: skip
    read = Read(tmp_path, line(document(spans)))

    assert ["query", "external"] == [row["seam"] for row in read.segments]
    assert [0.02, 0.02] == pytest.approx([row["duration_s"] for row in read.segments])


def test_a_second_server_span_in_the_same_process_is_no_second_request(tmp_path: Path) -> None:
    read = Read(tmp_path, line(document([request(), request(2, 1, at=1, took=90), lookup(3, 2, at=5)])))

    assert (1, [None]) == (len(read.requests), [row["parent"] for row in read.segments])


def test_an_app_that_calls_itself_answers_two_requests(tmp_path: Path) -> None:
    spans = [request(), span(2, 1, kind=CLIENT, told=CALL, at=10, took=80), request(3, 2, at=15, took=70)]
    read = Read(tmp_path, line(document(spans)))

    assert (2, ["external"]) == (len(read.requests), [row["seam"] for row in read.segments])


def test_clocks_that_differ_are_set_right(tmp_path: Path) -> None:
    """
    The second service's clock is two seconds slow: what it did is moved into the middle of the call of it.
    """
    shop = [request(), span(2, 1, kind=CLIENT, told=CALL, at=10, took=80)]
    prices = [request(3, 2, at=-2000, took=60), lookup(4, 3, at=-1990, took=5)]
    read = Read(tmp_path, line(document(shop), document(prices, "prices", host_name="other")))

    first, second = read.requests
    assert ["shop", "prices"] == [first["instance"], second["instance"]]
    assert 0.02 == pytest.approx(second["arrived_s"] - first["arrived_s"], abs=1e-6)
    assert f"{2:016x}" == second["caller"]
    assert 1 == read.told["shifted"]
    # Who was called is told by its own span, not by an address.
    assert ("external", "http prices") in read.waits()


def test_clocks_that_agree_are_left_alone(tmp_path: Path) -> None:
    shop = [request(), span(2, 1, kind=CLIENT, told=CALL, at=10, took=80)]
    read = Read(tmp_path, line(document(shop), document([request(3, 2, at=12, took=60)], "prices")))

    assert 0.012 == pytest.approx(read.requests[1]["arrived_s"] - read.requests[0]["arrived_s"], abs=1e-6)
    assert 0 == read.told["shifted"]


def test_what_goes_on_after_the_response_is_background(tmp_path: Path) -> None:
    spans = [
        request(took=20),
        lookup(2, 1, at=5, took=5),
        span(3, 1, name="send mail", at=30, took=500),
        lookup(4, 3, at=40),
    ]
    read = Read(tmp_path, line(document(spans)))

    first, after = read.requests
    assert ("request", "background", first["request"]) == (first["kind"], after["kind"], after["follows"])
    assert (0.03, 0.5) == pytest.approx((after["arrived_s"] - first["arrived_s"], after["duration_s"]), abs=1e-6)
    assert [(1, "query"), (2, "other"), (2, "query")] == [(row["request"], row["seam"]) for row in read.segments]
    assert 1 == read.told["background"]


def test_a_span_without_its_parent_belongs_to_the_request_under_way(tmp_path: Path) -> None:
    spans = [request(), lookup(2, 77, at=10), lookup(3, 78, at=5000), lookup(4, 0, at=20)]
    read = Read(tmp_path, line(document(spans)))

    assert [0.01] == pytest.approx([row["start_s"] for row in read.segments])
    assert (1, 1, 1) == (read.told["adopted"], read.told["orphans"], read.told["outside"])


def test_spans_longer_than_the_request_and_of_no_length_are_kept(tmp_path: Path) -> None:
    read = Read(tmp_path, line(document([request(), lookup(2, 1, at=50, took=900), lookup(3, 1, at=60, took=0)])))

    assert [0.9, 0.0] == pytest.approx([row["duration_s"] for row in read.segments])
    assert 0.1 == pytest.approx(read.requests[0]["duration_s"])


def test_parents_that_go_round_in_a_circle_are_let_go_and_counted(tmp_path: Path) -> None:
    read = Read(tmp_path, line(document([request(), lookup(2, 3), lookup(3, 2), span(4, 4)])))

    # One that names itself has no parent: it is taken for what the request does at that time.
    assert (1, ["other"]) == (len(read.requests), [row["seam"] for row in read.segments])
    assert (2, 1) == (read.told["orphans"], read.told["adopted"])


def test_messages_and_commands_are_jobs(tmp_path: Path) -> None:
    spans = [
        request(),
        span(2, 1, kind=PRODUCER, told={"messaging.system": "kafka"}, at=10, took=5),
        span(3, 2, kind=CONSUMER, told={"messaging.destination.name": "mails"}, at=300, took=50),
        lookup(4, 3, at=310),
        span(5, name="nightly", kind=INTERNAL, at=500, trace=2),
    ]
    read = Read(tmp_path, line(document(spans)))

    assert [("request", "/orders/{id}"), ("job", "job:mails"), ("job", "job:nightly")] == [
        (row["kind"], row["route"]) for row in read.requests
    ]
    assert [("job", "kafka")] == [each for each in read.waits() if each[0] == "job"]


def test_a_request_of_ten_thousand_calls_is_summed_up(tmp_path: Path) -> None:
    spans = [request(took=20_000), *(lookup(number + 2, 1, at=number, took=1) for number in range(10_000))]
    read = Read(tmp_path, line(document(spans)))

    assert (2_001, 10_000) == (len(read.segments), sum(row["calls"] for row in read.segments))


def test_processes_are_told_apart_also_where_they_say_little(tmp_path: Path) -> None:
    several = [
        document([request(number, trace=number)], service_instance_id=f"i{number}", process_pid=1) for number in (1, 2)
    ]
    nameless = document([request(3, trace=3)])
    nameless["resourceSpans"][0].pop("resource")
    read = Read(tmp_path, line(*several, nameless))

    assert 3 == len({(row["host"], row["instance"], row["worker"]) for row in read.requests})
    assert "unknown_service" in {row["instance"] for row in read.requests}


def test_both_ends_of_a_call_may_have_one_id(tmp_path: Path) -> None:
    """
    Zipkin's way, which Jaeger keeps.
    """
    shop = {
        "traceID": "1", "processes": {"p1": {"serviceName": "shop"}, "p2": {"serviceName": "prices"}},
        "spans": [
            _jaeger("1", "", "server", "p1", 0, 100), _jaeger("2", "1", "client", "p1", 10, 50),
            _jaeger("2", "1", "server", "p2", 15, 40), _jaeger("3", "2", "client", "p2", 20, 5),
        ],
    }  # fmt: skip
    read = Read(tmp_path, json.dumps({"data": [shop]}), form="jaeger", name="trace.json")

    assert ["shop", "prices"] == [row["instance"] for row in read.requests]
    assert [("shop", "http prices"), ("prices", "http")] == sorted(
        ((row["instance"], row["name"]) for row in read.segments), reverse=True
    )


def _jaeger(own: str, parent: str, kind: str, process: str, at: int, took: int) -> dict[str, Any]:
    began_us = 1_795_000_000 * 10**6
    return {
        "traceID": "1", "spanID": own, "operationName": "GET", "processID": process, "duration": took * MS // 1000,
        "startTime": began_us + at * MS // 1000,
        "references": [{"refType": "CHILD_OF", "traceID": "1", "spanID": parent}] if parent else [],
        "tags": [
            {"key": "span.kind", "type": "string", "value": kind},
            {"key": "http.method", "type": "string", "value": "GET"},
        ],
    }  # fmt: skip
