"""
A recorded app whose metrics, traces and logs are read while it runs, as a user starts it: by settings alone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from rung.frames import encode_hello
from rung.trace_context import span_of, trace_of
from tests.adapters.raw_frames import batch, hello
from tests.adapters.test_pieces import collecting, ended
from tests.adapters.viewing import receiving, told
from tests.ports import free_port
from tests.probe.serving import HERE, PATIENCE_S, ask, end, table, uvicorn, wait_listening

NAME = "http_server_request_duration_seconds"
WITH_EXEMPLARS = "application/openmetrics-text;version=1.0.0"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@contextmanager
def recorded(folder: Path, port: int, environment: dict[str, str], said: Path) -> Iterator[Path]:
    """Run a small app below `rung record` and yield the folder of recordings; leaving ends and seals it."""
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "rung", "record", "--name", "small", "--", *uvicorn("small:app", port)],
            cwd=HERE, env=environment | {"RUNG_FOLDER": str(folder)}, stdin=subprocess.DEVNULL, stdout=output,
            stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            wait_listening(port, process)
            yield folder / "recordings"
        finally:
            end(process)


def plain() -> dict[str, str]:
    left_out = ("RUNG", "OTEL", "PG", "DATABASE")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


def scraped(port: int) -> str:
    url = f"http://127.0.0.1:{port}/metrics"
    asking = urllib.request.Request(url, headers={"Accept": WITH_EXEMPLARS})
    with urllib.request.urlopen(asking, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


def patiently(port: int) -> str:
    """What is scraped; nothing as long as nobody listens yet."""
    try:
        return scraped(port)
    except OSError:
        return ""


def exemplars(text: str, route: str | None = None) -> list[tuple[str, str]]:
    return [
        (sample.exemplar.labels["trace_id"], sample.exemplar.labels["span_id"])
        for family in text_string_to_metric_families(text)
        if family.name == NAME
        for sample in family.samples
        if sample.exemplar and route in {None, sample.labels["http_route"]}
    ]


def test_an_exemplar_leads_to_its_trace_and_to_its_row_of_the_recording(tmp_path: Path) -> None:
    port, metrics = free_port(), free_port()
    with receiving() as receiver:
        environment = plain() | {
            # Everything is slow to such a goal, so each request is sent.
            "RUNG_METRICS_LISTEN": str(metrics), "RUNG_GOAL_LATENCY": "1us", "RUNG_OTLP_SERVICE": "small-shop",
            "RUNG_OTLP_ENDPOINT": receiver.url,
        }  # fmt: skip
        with recorded(tmp_path, port, environment, tmp_path / "said") as recordings:
            for number in range(5):
                assert 200 == ask(port, f"/me/{number}", traceparent=PARENT if number == 0 else "none")[0]
            receiver.wait_for("/v1/traces")
            until = time.monotonic() + PATIENCE_S
            while not (found := exemplars(patiently(metrics))):
                assert time.monotonic() < until
                time.sleep(0.05)
        # Leaving ends the app; the collector behind it seals, and sends what is left.
        (recording,) = recordings.iterdir()
        while not (recording / "requests.parquet").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        while len(receiver.spans()) < 5:
            assert time.monotonic() < until
            time.sleep(0.05)
        spans = {(span.trace_id.hex(), span.span_id.hex()): span for span in receiver.spans()}
        (message, *_) = receiver.of("/v1/traces")
    for ids in found:
        assert "GET /me/{name}" == spans[ids].name
    (process,) = table(recording, "processes")
    key = int(process["key"], 16)
    for row in table(recording, "requests"):
        trace = row["trace"] or f"{trace_of(key, row['request']):032x}"
        span = spans[trace, f"{span_of(key, row['request']):016x}"]
        assert (row["caller"] or "") == span.parent_span_id.hex()
    assert 1 == sum(trace == PARENT.split("-")[1] for trace, _ in spans)
    assert "small-shop" == told(message.resource_spans[0].resource.attributes)["service.name"]
    words = (tmp_path / "said").read_text("utf-8")
    assert f"rung: metrics at http://127.0.0.1:{metrics}/metrics" in words
    assert f"rung: metrics, traces and logs go to {receiver.url}" in words


def test_one_slow_request_from_its_metric_to_its_trace_to_its_lines(tmp_path: Path) -> None:
    """
    The highest bucket's exemplar names the trace, `rung trace` shows the request, and `rung logs` what it logged.
    """
    port, metrics = free_port(), free_port()
    environment = plain() | {"RUNG_METRICS_LISTEN": str(metrics)}
    with recorded(tmp_path, port, environment, tmp_path / "said") as recordings:
        for number in range(5):
            assert 200 == ask(port, f"/me/{number}")[0]
        assert 200 == ask(port, "/slow/somebody")[0]
        until = time.monotonic() + PATIENCE_S
        while not (slow := exemplars(patiently(metrics), "/slow/{name}")):
            assert time.monotonic() < until
            time.sleep(0.05)
    (recording,) = recordings.iterdir()
    while not (recording / "requests.parquet").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    ((trace, _),) = slow

    shown = json.loads(_rung(environment | {"RUNG_FOLDER": str(tmp_path)}, "trace", trace, "--json"))
    lines = _rung(environment | {"RUNG_FOLDER": str(tmp_path)}, "logs", "--trace", trace).splitlines()

    ((request,),) = (one["units"] for one in shown["traces"])
    assert ("/slow/{name}", trace) == (request["route"], shown["traces"][0]["trace"])
    assert 0.4 <= request["duration_s"]
    assert ["%s had to wait"] == [line["body"] for line in map(json.loads, lines)]
    assert {trace} == {line["trace_id"] for line in map(json.loads, lines)}
    assert "somebody" not in str(shown) + str(lines)


def _rung(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rung", *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_port_in_use_and_a_receiver_that_is_away_cost_the_recording_nothing(tmp_path: Path) -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        metrics = taken.getsockname()[1]
        environment = plain() | {
            "RUNG_METRICS_LISTEN": str(metrics), "RUNG_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        }  # fmt: skip
        with recorded(tmp_path, port, environment, tmp_path / "said") as recordings:
            assert 200 == ask(port, "/me/one")[0]
        (recording,) = recordings.iterdir()
        until = time.monotonic() + PATIENCE_S
        while not (recording / "requests.parquet").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
    assert 1 == len(table(recording, "requests"))
    words = (tmp_path / "said").read_text("utf-8")
    assert f"rung: no metrics at 127.0.0.1:{metrics}: Address already in use" in words


def test_settings_that_are_wrong_are_said_and_the_app_starts(tmp_path: Path) -> None:
    port = free_port()
    environment = plain() | {"RUNG_OTLP_ENDPOINT": "on", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with recorded(tmp_path, port, environment, tmp_path / "said"):
        assert 200 == ask(port, "/me/one")[0]
    assert "no metrics, and nothing is sent: " in (tmp_path / "said").read_text("utf-8")


def test_a_collector_of_its_own_tells_over_its_cuts(tmp_path: Path) -> None:
    metrics = free_port()
    (tmp_path / "rung.toml").write_text(f'[metrics]\nlisten = "127.0.0.1:{metrics}"\n', "utf-8")
    with collecting(tmp_path, "--rotate", "1s") as (process, path):
        for first in (1, 11):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
                stream.connect(str(path))
                numbers = range(first, first + 10)
                stream.sendall(encode_hello(hello(7)) + batch(*numbers, statements=True, dropped=first))
                until = time.monotonic() + PATIENCE_S
                counted = f'{NAME}_count{{http_request_method="GET",http_response_status_code="200",http_route="/"}} '
                while f"{counted}{first + 9}.0" not in patiently(metrics):
                    assert time.monotonic() < until
                    time.sleep(0.05)
                assert f"rung_dropped_total {first}.0" in scraped(metrics)
                time.sleep(1.2)  # a recording is cut
        status, _, complained = ended(process, signal.SIGTERM)
    assert 0 == status
    assert f"metrics at http://127.0.0.1:{metrics}/metrics" in complained
