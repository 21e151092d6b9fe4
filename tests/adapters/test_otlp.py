"""
What is sent by OTLP, as OpenTelemetry's own messages read it: what arrives, and what becomes of it when it does not.
"""

from __future__ import annotations

import random
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from rung import frames
from rung.adapters.collector.views import otlp, tail
from rung.adapters.collector.views.asked import Asked
from rung.adapters.collector.views.lanes import Lane, Parcel
from rung.adapters.collector.views.posting import Answer, Post
from rung.adapters.collector.views.registry import Registry
from rung.adapters.collector.views.watching import Views
from rung.trace_context import span_of, trace_of
from tests.adapters.viewing import KEY, Receiver, Sending, families, quiet, receiving, request, told, values
from tests.ports import free_port
from tests.probe import rows

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def sending(url: str, **more: Any) -> tuple[Views, Sending, list[str]]:
    views, said = quiet(Asked(otlp=url, **{"service": "shop", "samples": 0, **more}))
    return views, Sending(views), said


def line(number: int | None, *, level: int = 20, segment: int | None = None, template: str | None = "made %s") -> Any:
    values = {
        "at_s": 1_795_000_000.5, "request": number, "segment": segment, "level": level, "logger": "shop.orders",
        "template": template, "code": "shop/orders.py:31",
    }  # fmt: skip
    return tuple(values.get(name) for name in frames.Line.__struct_fields__)


def test_one_slow_request_from_exemplar_to_trace_to_lines() -> None:
    with receiving() as receiver:
        views, app, _ = sending(receiver.url, listen=("127.0.0.1", 0))
        app.send(
            *[request(n, duration_s=0.01) for n in range(1, 20)],
            request(20, rows.segment(0, start_s=0.1, duration_s=0.8), duration_s=0.9, route="/orders/{id}"),
            lines=[line(20, segment=0), line(19)],
        )  # fmt: skip
        views.end()
    (family,) = [one for one in families(views.registry).values() if one.metric.name == "http.server.request.duration"]
    shown = [exemplar for one in family.distributions for exemplar in one.exemplars.values()]
    # Only what is sent is shown as an example, so that each can be looked at.
    assert [f"{trace_of(KEY, 20):032x}"] == [exemplar.trace for exemplar in shown]
    spans = [span for span in receiver.spans() if span.trace_id.hex() == shown[0].trace]
    assert ["GET /orders/{id}", "SELECT orders"] == [span.name for span in spans]
    assert shown[0].span == spans[0].span_id.hex() == spans[1].parent_span_id.hex()
    (record,) = [record for record in receiver.records() if record.trace_id.hex() == shown[0].trace]
    assert (spans[1].span_id, "made %s") == (record.span_id, record.body.string_value)
    assert 1 == len(receiver.records())


def test_a_trace_has_the_recordings_ids_kinds_and_the_conventions_attributes() -> None:
    with receiving() as receiver:
        views, app, _ = sending(receiver.url)
        app.send(
            request(
                5, rows.segment(0, place=0, start_s=0.1, duration_s=0.2, rows=3),
                rows.segment(1, place=1, duration_s=0.05), rows.segment(2, place=2, start_s=0.3, duration_s=0.1),
                rows.segment(3, place=4, start_s=0.4, duration_s=0.01), rows.segment(4, place=5, start_s=0.5),
                rows.segment(5, place=6, start_s=0.6, duration_s=0.01, calls=3),
                duration_s=1.0, trace=TRACE, caller=CALLER, status=500, error="KeyError shop/orders.py:30",
                queue_s=0.02, method="POST",
            ),
            request(6, kind="background", follows=5, trace=TRACE, caller=CALLER, duration_s=0.1),
        )  # fmt: skip
        views.end()
    (message,) = receiver.of("/v1/traces")
    resource = told(message.resource_spans[0].resource.attributes)
    assert ("shop", "i-7", 7, "rung") == (
        resource["service.name"], resource["service.instance.id"], resource["process.pid"],
        resource["telemetry.sdk.name"],
    )  # fmt: skip
    spans = receiver.spans()
    assert {TRACE} == {span.trace_id.hex() for span in spans}
    root = spans[0]
    assert (CALLER, Span.SPAN_KIND_SERVER, "POST /", 2) == (
        root.parent_span_id.hex(), root.kind, root.name, root.status.code
    )  # fmt: skip
    assert 0x301 == root.flags
    assert {
        "http.route": "/", "http.request.method": "POST", "http.response.status_code": 500, "error.type": "KeyError",
        "rung.kept": "failed", "rung.sampled_share": 1.0, "rung.kind": "request", "rung.queue.duration": 0.02,
        "rung.cpu.time": 0.1,
    } == told(root.attributes)  # fmt: skip
    (event,) = root.events
    assert {"exception.type": "KeyError", "code.file.path": "shop/orders.py", "code.line.number": 30} == told(
        event.attributes
    )
    assert 10**9 == root.end_time_unix_nano - root.start_time_unix_nano
    client, internal = Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL
    assert [
        ("SELECT orders", client), ("pool psycopg_pool", internal), ("external http", client), ("COMMIT", client),
        ("cpu render", internal), ("cache redis", client), ("background /", internal),
    ] == [(span.name, span.kind) for span in spans[1:]]  # fmt: skip
    assert [f"{span_of(KEY, 5, n):016x}" for n in range(6)] == [span.span_id.hex() for span in spans[1:-1]]
    assert {
        "rung.seam": "query", "db.system.name": "postgresql", "db.namespace": "shop", "server.address": "h",
        "server.port": 5432, "db.query.text": "SELECT * FROM orders WHERE id = $1", "db.query.summary": "SELECT orders",
        "db.operation.name": "SELECT", "rung.statement": "f" * 16, "db.response.returned_rows": 3,
        "code.file.path": "shop/orders.py", "code.line.number": 29,
    } == told(spans[1].attributes)  # fmt: skip
    assert 3 == told(spans[6].attributes)["rung.calls"]
    # What goes on after the response is part of its trace.
    assert root.span_id == spans[-1].parent_span_id
    assert "follows" == told(spans[-1].attributes)["rung.kept"]


def test_a_statement_of_another_database_is_none_of_postgresql() -> None:
    with receiving() as receiver:
        views, app, _ = sending(receiver.url)
        app.send(request(1, rows.segment(place=7), status=500))
        views.end()
    (_, span) = receiver.spans()
    assert "find carts" == span.name
    assert {
        "rung.seam": "query", "db.system.name": "other_sql", "db.query.summary": "find carts",
        "db.operation.name": "FIND",
    } == told(span.attributes)  # fmt: skip


def test_metrics_are_sums_that_grow_gauges_and_both_kinds_of_histogram() -> None:
    with receiving() as receiver:
        views, app, _ = sending(receiver.url, samples=1000)
        app.send(*[request(n, duration_s=0.001 * n) for n in range(1, 301)], counts={"dropped": 4})
        views.second([app.process])
        receiver.wait_for("/v1/traces")
        views.end()
    (resource,) = receiver.of("/v1/metrics")[-1].resource_metrics
    assert "shop" == told(resource.resource.attributes)["service.name"]
    found = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    dropped = found["rung.dropped"].sum
    assert (4.0, True, metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE) == (
        dropped.data_points[0].as_double, dropped.is_monotonic, dropped.aggregation_temporality
    )  # fmt: skip
    assert 1.0 == found["rung.processes"].gauge.data_points[0].as_double
    assert "s" == found["http.server.request.duration"].unit
    (fixed,) = found["http.server.request.duration"].histogram.data_points
    assert (300, 300, 15) == (fixed.count, sum(fixed.bucket_counts), len(fixed.bucket_counts))
    assert {"http.route": "/", "http.request.method": "GET", "http.response.status_code": 200} == told(fixed.attributes)
    assert 0 < fixed.start_time_unix_nano <= fixed.time_unix_nano
    (growing,) = found["http.server.request.duration.exponential"].exponential_histogram.data_points
    assert (300, 3) == (growing.count, growing.scale)
    assert 300 == growing.zero_count + sum(growing.positive.bucket_counts)
    # Bucket i begins at base ** i there: nothing of 1 ms to 300 ms may lie below the first or beyond the last.
    first, last = growing.positive.offset, growing.positive.offset + len(growing.positive.bucket_counts)
    assert 2 ** (first / 8) < 0.001 <= 2 ** ((first + 1) / 8)
    assert 2 ** ((last - 1) / 8) < 0.3 <= 2 ** (last / 8)
    sent = {span.trace_id for span in receiver.spans()}
    assert fixed.exemplars
    assert {exemplar.trace_id for exemplar in fixed.exemplars} <= sent


def test_what_is_posted_is_compressed_and_has_the_headers() -> None:
    with receiving() as receiver:
        views, app, _ = sending(receiver.url, headers={"api-key": "k=1"})
        app.send(request(1))
        views.end()
    assert receiver.headers
    for headers in receiver.headers:
        assert ("gzip", "application/x-protobuf", "k=1") == (
            headers["Content-Encoding"], headers["Content-Type"], headers["Api-Key"]
        )  # fmt: skip


def _lane(
    answers: list[Answer], parcels: list[Parcel], *, keeps: bool = True
) -> tuple[Lane, Registry, list[str], list[bytes], Callable[[float], None]]:
    registry, said, posted = Registry(started_s=0.0), list[str](), list[bytes]()

    def post(path: str, body: bytes) -> Answer:
        assert "/v1/traces" == path
        posted.append(body)
        return answers.pop(0) if answers else Answer(accepted=True)

    lane = Lane(
        "traces", every_s=2.0, make=lambda: parcels.pop(0) if parcels else None,
        answer=traces.ExportTraceServiceResponse, registry=registry, say=said.append, generator=random.Random(7),
        keeps=keeps,
    )  # fmt: skip
    return lane, registry, said, posted, lambda now_s: lane.turn(post, now_s)


def test_an_outage_is_waited_out_longer_each_time_and_nothing_is_lost() -> None:
    away = [Answer(accepted=False, again=True, trouble="Connection refused")] * 8
    lane, registry, said, posted, turn = _lane(away, [Parcel(b"a", 3), Parcel(b"b", 2)])
    now_s, pauses = 100.0, []
    for _ in range(8):
        turn(now_s)
        pauses.append(lane.due_s - now_s)
        now_s = lane.due_s
    for place, pause_s in enumerate(pauses):
        assert min(60.0, 2.0**place) / 2 <= pause_s <= min(60.0, 2.0**place)
    turn(now_s)
    assert [b"a"] * 9 + [b"b"] == posted
    assert {("traces",): 5} == values(registry, "rung.otlp.sent")
    assert {("traces",): 8} == values(registry, "rung.otlp.retries")
    assert {} == values(registry, "rung.otlp.lost")
    assert 1 == len(said)
    assert "Connection refused; it is tried again" in said[0]
    assert now_s + 2.0 == lane.due_s


def test_a_receiver_that_says_when_is_believed() -> None:
    lane, _, _, _, turn = _lane([Answer(accepted=False, again=True, after_s=17.0, trouble="x")], [Parcel(b"a", 1)])
    turn(5.0)
    assert 22.0 == lane.due_s


def test_newer_metrics_take_the_place_of_those_that_could_not_be_sent() -> None:
    away = [Answer(accepted=False, again=True, trouble="x")]
    _, _, _, posted, turn = _lane(away, [Parcel(b"old", 1), Parcel(b"new", 1)], keeps=False)
    turn(0.0)
    turn(10.0)
    assert [b"old", b"new"] == posted


def test_what_is_refused_is_lost_counted_and_said() -> None:
    lane, registry, said, posted, turn = _lane([Answer(accepted=False, trouble="status 400")], [Parcel(b"a", 3)])
    turn(0.0)
    assert [b"a"] == posted
    assert {("traces", "refused"): 3} == values(registry, "rung.otlp.lost")
    assert "status 400, which no second attempt would change" in said[0]
    assert 2.0 == lane.due_s


def test_a_partial_success_is_counted_and_said_once() -> None:
    partial = traces.ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 2
    partial.partial_success.error_message = "too old"
    body = partial.SerializeToString()
    with receiving() as receiver:
        views, app, said = sending(receiver.url)
        receiver.wait_for("/v1/metrics")
        for number in (1, 2):
            receiver.answers.append((200, {}, body))
            app.send(request(number, rows.segment(), rows.segment(1)))
            receiver.wait_for("/v1/traces", number)
        views.end()
    assert 2 == values(views.registry, "rung.otlp.sent")["traces",]
    assert 4 == values(views.registry, "rung.otlp.lost")["traces", "rejected"]
    about = [words for words in said if "rejected" in words]
    assert ["rung: traces cannot all be sent: the receiver rejected 2 of 3 items: 'too old'\n"] == [
        words.splitlines(keepends=True)[0] for words in about
    ]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_answer_that_asks_for_patience_is_followed_by_another_attempt(status: int) -> None:
    with receiving() as receiver:
        post = Post(receiver.url, {})
        receiver.answers.append((status, {"Retry-After": "3"}, b""))
        refused = post("/v1/traces", b"")
        receiver.answers.append((status, {"Retry-After": formatdate(time.time() + 30, usegmt=True)}, b""))
        dated = post("/v1/traces", b"")
    assert (False, True, 3.0, f"status {status}") == (refused.accepted, refused.again, refused.after_s, refused.trouble)
    assert dated.after_s is not None
    assert 20 < dated.after_s <= 30


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 501])
def test_other_answers_are_final(status: int) -> None:
    with receiving() as receiver:
        receiver.answers.append((status, {"Retry-After": "3"}, b""))
        assert Answer(accepted=False, trouble=f"status {status}") == Post(receiver.url, {})("/v1/traces", b"")


def test_a_receiver_that_points_elsewhere_is_not_followed() -> None:
    with receiving() as there, receiving() as receiver:
        receiver.answers.append((302, {"Location": there.url + "/v1/traces"}, b""))
        answer = Post(receiver.url, {"api-key": "secret"})("/v1/traces", b"")
    assert (False, False) == (answer.accepted, answer.again)
    assert not there.headers


def test_an_outage_and_the_return_of_a_real_receiver() -> None:
    port = free_port()
    views, app, said = sending(f"http://127.0.0.1:{port}")
    app.send(request(1), lines=[line(1)])
    until = time.monotonic() + 60.0
    while ("traces",) not in values(views.registry, "rung.otlp.retries"):
        assert time.monotonic() < until
        time.sleep(0.02)
    with receiving(port) as receiver:
        (message,) = receiver.wait_for("/v1/traces")
        receiver.wait_for("/v1/logs")
        receiver.wait_for("/v1/metrics")
        assert [f"{trace_of(KEY, 1):032x}"] == [span.trace_id.hex() for span in receiver.spans()]
        views.end()
    assert {"queue_full"} & {reason for _, reason in values(views.registry, "rung.otlp.lost")} == set()
    assert message.resource_spans
    assert 1 == sum("traces cannot all be sent" in words for words in said)


def test_what_waits_is_bounded_and_the_oldest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "SPANS_WAITING_MAX", 10)
    monkeypatch.setattr(otlp, "LINES_WAITING_MAX", 2)
    views, app, _ = sending(f"http://127.0.0.1:{free_port()}", samples=1000)
    exporter = views._exporter
    assert exporter is not None
    exporter.end(10.0)
    app.send(*[request(n, rows.segment()) for n in range(1, 9)], lines=[line(n, level=40) for n in range(1, 6)])
    waiting = [pick.request.request for pick in exporter._picks]
    assert [4, 5, 6, 7, 8] == waiting
    lost = values(views.registry, "rung.otlp.lost")
    assert (6, 3) == (lost["traces", "queue_full"], lost["logs", "queue_full"])
    assert {("traces",): 5, ("logs",): 2} == values(views.registry, "rung.otlp.waiting")


def test_lines_go_with_what_is_kept_and_warnings_always() -> None:
    with receiving() as receiver:
        views, app, _ = sending(receiver.url)
        app.send(lines=[line(1), line(2), line(2, level=30), line(None, level=20, template=None)])
        app.send(request(1, duration_s=0.9), request(2, duration_s=0.01), lines=[line(2), line(1, level=10)])
        views.end()
    found = [(record.severity_text, record.trace_id.hex(), record.body.string_value) for record in receiver.records()]
    one, two = f"{trace_of(KEY, 1):032x}", f"{trace_of(KEY, 2):032x}"
    assert sorted(
        [("INFO", "", ""), ("INFO", one, "made %s"), ("WARNING", two, "made %s"), ("DEBUG", one, "made %s")]
    ) == sorted(found)
    message = receiver.of("/v1/logs")[0]
    assert "shop.orders" == message.resource_logs[0].scope_logs[0].scope.name
    attributes = told(receiver.records()[0].attributes)
    assert {"code.file.path": "shop/orders.py", "code.line.number": 31} == attributes


def test_the_slow_the_failed_and_a_fair_sample_are_chosen() -> None:
    views, app, _ = sending("http://127.0.0.1:1", samples=20)
    chosen = tail.Tail(goal_s=0.3, samples=20)
    source = views._source(app.process)
    made = [
        frames.Request(*request(n, duration_s=0.5 if n % 500 == 0 else 0.01, status=500 if n % 700 == 0 else 200))
        for n in range(1, 7001)
    ]
    views.end()
    found: dict[str, list[tuple[int, float]]] = {}
    for first in range(0, 7000, 100):
        for one, choice in zip(
            made[first : first + 100], chosen.choose(source, made[first : first + 100], 1_794_999_000.0), strict=True
        ):
            if choice is not None:
                found.setdefault(choice.kept, []).append((one.request, choice.share))
    assert {(n, 1.0) for n in range(500, 7001, 500) if n % 700} == set(found["slow"])
    assert {(n, 1.0) for n in range(700, 7001, 700)} == set(found["failed"])
    # Each was drawn at its stated share: together they estimate how many there were.
    assert 20 <= len(found["sample"]) < 300
    estimated = sum(1 / share for _, share in found["sample"])
    assert 3500 < estimated < 14_000
    again = tail.Tail(goal_s=0.3, samples=20).choose(source, made[:100], 1_794_999_000.0)
    assert [n for n, _ in found["sample"] if n <= 100] == [
        one.request for one, choice in zip(made, again, strict=False) if choice is not None and choice.kept == "sample"
    ]


def test_the_slowest_percent_of_a_fast_route_is_slow_too() -> None:
    views, app, _ = sending("http://127.0.0.1:1")
    source = views._source(app.process)
    views.end()
    chosen = tail.Tail(goal_s=10.0, samples=0)
    usual = [frames.Request(*request(n, duration_s=0.01)) for n in range(1, 201)]
    assert not any(chosen.choose(source, usual, 60.0))
    (choice,) = chosen.choose(source, [frames.Request(*request(300, duration_s=0.1))], 61.0)
    assert tail.Choice("slow", 1.0) == choice


def test_a_route_that_is_slow_throughout_does_not_send_all_it_does() -> None:
    views, app, _ = sending("http://127.0.0.1:1")
    source = views._source(app.process)
    views.end()
    chosen = tail.Tail(goal_s=0.3, samples=0)
    made = [frames.Request(*request(n, duration_s=1.0)) for n in range(1, 201)]
    first = [choice.kept for choice in chosen.choose(source, made, 60.0) if choice]
    assert (tail.ROUTE_MAX, 200 - tail.ROUTE_MAX) == (first.count("slow"), first.count("over_budget"))
    assert "slow" == chosen.choose(source, made[:1], 121.0)[0].kept  # type: ignore[union-attr]


def test_a_certificate_that_nobody_knows_is_said_and_can_be_named(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip

    class Accepting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Accepting)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        url = f"https://127.0.0.1:{server.server_address[1]}"
        unknown = Post(url, {})("/v1/traces", b"")
        known = Post(url, {}, certificate=str(certificate))("/v1/traces", b"")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (False, True) == (unknown.accepted, unknown.again)
    assert "its certificate is not trusted (self-signed certificate)" in unknown.trouble
    assert known.accepted


def test_a_process_of_an_older_recorder_has_ids_of_its_own() -> None:
    with receiving() as receiver:
        views, _, _ = sending(receiver.url)
        for worker in (7, 8):
            Sending(views, worker, key=0).send(request(1, status=500))
        views.end()
    assert 2 == len({span.trace_id for span in receiver.spans()})


def test_a_receiver_that_never_answers_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "END_TIMEOUT_S", 0.1)
    with receiving() as receiver:
        receiver.answers += [(503, {}, b"")] * 50
        views, app, _ = sending(receiver.url)
        app.send(request(1))
        views.end()
        assert not views._exporter._thread.is_alive()  # type: ignore[union-attr]
    assert isinstance(receiver, Receiver)
