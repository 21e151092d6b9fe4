"""
The same app under the same requests, recorded by rung and by OpenTelemetry's SDK: both name the same bottleneck.
"""

from __future__ import annotations

import http.server
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rung import wire
from rung.adapters.foreign.converting import recording_of
from rung.steps.find.finding import Finding
from tests.probe.running import gunicorn, running
from tests.probe.serving import ask, free_port, uvicorn

HERE = Path(__file__).resolve().parent
ROUNDS = 70
SLOW_S = 0.12
ORDERS = """
CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer NOT NULL, note text);
INSERT INTO orders SELECT number, number % 5000, repeat('x', 100) FROM generate_series(1, 300000) AS number;
"""


@pytest.fixture
def orders(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(ORDERS)
        connection.execute("VACUUM ANALYZE orders")
        # Whichever of two cores is free decides else how long a scan takes.
        name = connection.info.dbname
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET max_parallel_workers_per_gather = 0").format(sql.Identifier(name))
        )
    return database


@pytest.fixture
def slow_service() -> Iterator[str]:
    """The URL of another service, which takes SLOW_S to answer."""

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(SLOW_S)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"12")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/prices"
        finally:
            server.shutdown()
            thread.join()


def sent(port: int, paths: Sequence[str]) -> None:
    for number in range(1, ROUNDS + 1):
        for path in paths:
            status, _, _ = ask(port, path.format(number))
            assert status == 200, path


def found(folder: Path, name: str | None, form: str | None = None, file: Path | None = None) -> Finding:
    """What holds the app back, by the recording *name* or by a file of traces."""
    work = wire.workplace({"goal.latency": "1ms"}, database=None, folder=folder, asks=False)
    named = work.recording(name) if file is None or form is None else recording_of(work.data, form, [str(file)])
    with work.loop() as loop:
        return loop.look(named).finding


def both(folder: Path, command: Sequence[str], port: int, paths: Sequence[str], **environment: str) -> list[Finding]:
    """The findings of rung's recorder and of the SDK's traces, each of a run of its own."""
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    with running(command, port, folder / ".rung", **environment):
        sent(port, paths)
    traces = folder / "spans.jsonl"
    with running(command, port, None, TRACES=str(traces), **environment):
        sent(port, paths)
    return [found(folder, None), found(folder, None, "otlp", traces)]


@pytest.mark.timeout(240)
def test_a_lookup_without_an_index_is_found_in_both(tmp_path: Path, orders: str) -> None:
    port = free_port()
    command = uvicorn("orders_app:app", port, "--app-dir", str(HERE))

    ours, theirs = both(
        tmp_path, command, port, ["/customers/{}/orders", "/orders/{}"], DATABASE_URL=orders, PYTHONWARNINGS="ignore"
    )

    assert ours.bottleneck is not None
    assert theirs.bottleneck is not None
    # The statement's fingerprint is the part's name: one and the same from the driver and from a span's text.
    assert ("query", "GET /customers/{customer_id}/orders") == (ours.bottleneck.part.seam, ours.bottleneck.route)
    assert ours.bottleneck.part == theirs.bottleneck.part
    assert (ours.bottleneck.route, ours.bottleneck.statement) == (theirs.bottleneck.route, theirs.bottleneck.statement)
    assert {(each.route, each.requests) for each in ours.routes} == {
        (each.route, each.requests) for each in theirs.routes
    }
    assert theirs.facts.foreign is not None
    assert (("query",), 4 * ROUNDS, 0) == (
        theirs.facts.foreign.seams, theirs.facts.foreign.spans, theirs.facts.foreign.unread,
    )  # fmt: skip
    assert "no waiting for a connection" in theirs.notes[0]


@pytest.mark.timeout(240)
def test_a_slow_call_to_another_service_is_found_in_both(tmp_path: Path, orders: str, slow_service: str) -> None:
    port = free_port()
    command = gunicorn("prices_app:app", port, "--threads", "2", "--chdir", str(HERE))

    ours, theirs = both(
        tmp_path, command, port, ["/things/{}/price", "/things/{}"], DATABASE_URL=orders, PRICES_URL=slow_service
    )

    assert ours.bottleneck is not None
    assert theirs.bottleneck is not None
    assert ("external", "GET /things/{thing_id}/price") == (ours.bottleneck.part.seam, ours.bottleneck.route)
    assert (ours.bottleneck.part, ours.bottleneck.route) == (theirs.bottleneck.part, theirs.bottleneck.route)
    assert {(each.route, each.requests) for each in ours.routes} == {
        (each.route, each.requests) for each in theirs.routes
    }
