"""
The endpoint, read by those who read it in real life: Prometheus' parsers, its linter, and Prometheus itself.
"""

from __future__ import annotations

import gzip
import http.client
import itertools
import json
import math
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from rung.adapters.collector.views import client_model, endpoint, openmetrics
from rung.adapters.collector.views.asked import Asked
from rung.adapters.collector.views.watching import Views
from rung.trace_context import span_of, trace_of
from tests.adapters.client_model import decoded
from tests.adapters.prometheus_here import program
from tests.adapters.viewing import KEY, Sending, request
from tests.ports import free_port
from tests.probe import rows
from tests.probe.serving import PATIENCE_S

# As Prometheus 2.42 asks with and without growing buckets, and Prometheus 3.
WITH_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
WITHOUT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
NEWER = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)

NAME = "http_server_request_duration_seconds"


@pytest.fixture
def serving() -> Iterator[tuple[Views, str]]:
    """Views of an app with some traffic, and where its metrics are."""
    said: list[str] = []
    views = Views(Asked(listen=("127.0.0.1", 0), service="shop"), say=said.append)
    app = Sending(views)
    traffic(app)
    views.second([app.process])
    assert 1 == len(said)
    try:
        yield views, said[0].removeprefix("rung: metrics at ").strip()
    finally:
        views.end()


def traffic(app: Sending) -> None:
    app.send(
        *[
            request(
                n, rows.segment(0, duration_s=0.001 * n), rows.segment(1, place=1, start_s=0.9, duration_s=0.002),
                duration_s=0.01 * n, route=f"/r/{n % 3}", status=500 if n % 10 == 0 else 200,
                error='KeyError shop/"x".py:3' if n % 10 == 0 else None,
            )
            for n in range(1, 101)
        ],
        counts={"dropped": 1},
        totals=[(1_794_999_960.0, "/r/0", "GET", 200, 3, 0.6, 0.1, [(0.2, 3)])],
    )  # fmt: skip


def asked(url: str, accept: str = "", *, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    try:
        connection.request(method, parts.path, headers={"Accept": accept, **headers})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_openmetrics_is_read_by_its_own_parser(serving: tuple[Views, str]) -> None:
    _, url = serving
    status, headers, body = asked(url, WITHOUT)
    assert (200, openmetrics.OPENMETRICS) == (status, headers["Content-Type"])
    found = {family.name: family for family in openmetrics_parser.text_string_to_metric_families(body.decode())}
    assert "seconds" == found[NAME].unit
    assert 103 == sum(sample.value for sample in found[NAME].samples if sample.name.endswith("_count"))
    assert {"/r/0", "/r/1", "/r/2"} == {sample.labels["http_route"] for sample in found[NAME].samples}
    shown = [sample.exemplar for sample in found[NAME].samples if sample.exemplar]
    ids = {(f"{trace_of(KEY, n):032x}", f"{span_of(KEY, n):016x}"): 0.01 * n for n in range(1, 101)}
    assert len(shown) > 20
    for exemplar in shown:
        expected_s = ids[exemplar.labels["trace_id"], exemplar.labels["span_id"]]
        assert math.isclose(expected_s, exemplar.value, rel_tol=1e-9)
    (dropped,) = found["rung_dropped"].samples
    assert ("rung_dropped_total", 1.0) == (dropped.name, dropped.value)
    assert "shop" == found["target"].samples[0].labels["service_name"]


def test_the_plain_format_is_read_by_its_own_parser(serving: tuple[Views, str]) -> None:
    _, url = serving
    for accept in ("", "text/plain", "*/*", "application/json"):
        status, headers, body = asked(url, accept)
        assert (200, openmetrics.PLAIN) == (status, headers["Content-Type"])
        found = {family.name: family for family in parser.text_string_to_metric_families(body.decode())}
        assert 103 == sum(sample.value for sample in found[NAME].samples if sample.name.endswith("_count"))
        assert "# {" not in body.decode()


def test_protobuf_is_read_by_the_published_definition(serving: tuple[Views, str]) -> None:
    _, url = serving
    status, headers, body = asked(url, WITH_PROTOBUF)
    assert (200, client_model.CONTENT_TYPE) == (status, headers["Content-Type"])
    found = {family.name: family for family in decoded(body)}
    assert (4, "seconds") == (found[NAME].type, found[NAME].unit)
    assert (0, 1.0) == (found["rung_dropped_total"].type, found["rung_dropped_total"].metric[0].counter.value)
    count = 0
    for metric in found[NAME].metric:
        histogram = metric.histogram
        count += histogram.sample_count
        assert histogram.sample_count == histogram.bucket[-1].cumulative_count
        assert math.isinf(histogram.bucket[-1].upper_bound)
        growing = list(itertools.accumulate(histogram.positive_delta))
        assert histogram.sample_count == histogram.zero_count + sum(growing)
        assert len(growing) == sum(span.length for span in histogram.positive_span)
        assert 3 == histogram.schema
        for bucket in histogram.bucket:
            for label in bucket.exemplar.label:
                assert label.name in {"trace_id", "span_id"}
    assert 103 == count


def test_both_kinds_of_buckets_tell_of_the_same_observations(serving: tuple[Views, str]) -> None:
    _, url = serving
    found = {family.name: family for family in decoded(asked(url, WITH_PROTOBUF)[2])}
    for metric in found[NAME].metric:
        histogram = metric.histogram
        index, counts = 0, []
        deltas = itertools.accumulate(histogram.positive_delta)
        for span in histogram.positive_span:
            index += span.offset
            for _ in range(span.length):
                counts.append((2.0 ** (index / 8), next(deltas)))
                index += 1
        for bucket in histogram.bucket:
            within = sum(n for upper_s, n in counts if upper_s <= bucket.upper_bound)
            beyond = sum(n for upper_s, n in counts if upper_s / 2 ** (1 / 8) < bucket.upper_bound)
            assert within <= bucket.cumulative_count <= beyond


def test_a_histogram_of_nothing_but_next_to_nothing_keeps_its_growing_buckets() -> None:
    said: list[str] = []
    views = Views(Asked(), say=said.append)
    Sending(views).send(request(1, duration_s=0.0))
    found = {family.name: family for family in decoded(client_model.messages(views.registry.snapshot(), {}))}
    (metric,) = found[NAME].metric
    assert (1, 1, 0) == (
        metric.histogram.zero_count, len(metric.histogram.positive_span), metric.histogram.positive_span[0].length
    )  # fmt: skip


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (WITH_PROTOBUF, client_model.CONTENT_TYPE), (WITHOUT, openmetrics.OPENMETRICS),
        (NEWER, openmetrics.OPENMETRICS),
        ("text/plain;q=0.9,application/openmetrics-text;q=0.1", openmetrics.PLAIN),
        ("application/openmetrics-text;version=2.0.0", openmetrics.PLAIN), ("nonsense;q=much", openmetrics.PLAIN),
    ],
)  # fmt: skip
def test_who_asks_gets_what_he_likes_best(accept: str, expected: str) -> None:
    assert expected == endpoint.chosen(accept)


def test_other_questions(serving: tuple[Views, str]) -> None:
    _, url = serving
    status, _, body = asked(url.replace("/metrics", "/-/healthy"))
    assert (200, b"rung is healthy\n") == (status, body)
    assert 404 == asked(url.replace("/metrics", "/"))[0]
    assert 501 == asked(url, method="POST")[0]
    status, headers, body = asked(url, method="HEAD")
    assert (200, b"") == (status, body)
    assert int(headers["Content-Length"]) > 1000
    status, headers, body = asked(url, **{"Accept-Encoding": "gzip"})
    assert "gzip" == headers["Content-Encoding"]
    assert b"# HELP" in gzip.decompress(body)


def test_a_page_that_calls_this_machine_by_another_name_reads_nothing(serving: tuple[Views, str]) -> None:
    _, url = serving
    status, _, body = asked(url, Host="evil.example:9464")
    assert (403, False) == (status, b"http_server" in body)
    for host in ("localhost:9464", "127.0.0.1", "[::1]:9464"):
        assert 200 == asked(url, Host=host)[0]


def test_those_who_keep_silent_hold_up_nobody(serving: tuple[Views, str]) -> None:
    views, url = serving
    parts = urllib.parse.urlsplit(url)
    silent = [socket.create_connection((parts.hostname, parts.port)) for _ in range(endpoint.ASKING_MAX)]
    try:
        for stream in silent:
            stream.sendall(b"GET /metrics HTTP/1.1\r\n")
        until = time.monotonic() + PATIENCE_S
        while asked(url)[0] != 503:  # until each of them has a thread
            assert time.monotonic() < until
        Sending(views, worker=9).send(request(1))
    finally:
        for stream in silent:
            stream.close()
    while asked(url)[0] != 200:
        assert time.monotonic() < until


def test_a_port_that_is_taken_is_said_and_nothing_else() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said: list[str] = []
        views = Views(Asked(listen=("127.0.0.1", port)), say=said.append)
        app = Sending(views)
        app.send(request(1))
        views.end()
    assert 1 == app.intake.requests_total
    (words,) = said
    assert f"no metrics at 127.0.0.1:{port}: Address already in use" in words
    assert "recording goes on" in words


def test_promtool_finds_nothing_to_complain_of(serving: tuple[Views, str]) -> None:
    _, url = serving
    promtool = program("promtool")
    done = subprocess.run([promtool, "check", "metrics"], input=asked(url)[2], capture_output=True, check=False)
    assert (0, b"", b"") == (done.returncode, done.stdout, done.stderr)


def queried(port: int, question: str) -> list[Any]:
    asking = urllib.parse.urlencode({"query": question})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{asking}", timeout=PATIENCE_S) as answer:
        return json.load(answer)["data"]["result"]


@pytest.mark.parametrize("growing", [True, False], ids=["growing", "fixed"])
def test_prometheus_scrapes_it_and_answers_questions(
    serving: tuple[Views, str], tmp_path: Path, *, growing: bool
) -> None:
    _, url = serving
    prometheus, port = program("prometheus"), free_port()
    target = urllib.parse.urlsplit(url).netloc
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: rung, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    command = [
        prometheus, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        "--enable-feature=exemplar-storage" + (",native-histograms" if growing else ""),
    ]  # fmt: skip
    said = (tmp_path / "said").open("wb")
    process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        until = time.monotonic() + PATIENCE_S
        found: list[Any] = []
        while not found:
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < until, (tmp_path / "said").read_text()
            try:
                found = queried(port, "up{job='rung'} == 1")
            except OSError:
                time.sleep(0.1)
        count = f"histogram_count({NAME})" if growing else f"{NAME}_count"
        (total,) = queried(port, f"sum({count})")
        assert 103.0 == float(total["value"][1])
        buckets_of = NAME if growing else f"sum by (le) ({NAME}_bucket)"
        quantiles = queried(
            port, f"histogram_quantile(0.5, sum({NAME}))" if growing else f"histogram_quantile(0.5, {buckets_of})"
        )
        assert 0.4 < float(quantiles[0]["value"][1]) < 0.6
        assert [] == queried(port, "rung_dropped_total != 1")
        (info,) = queried(port, "target_info")
        assert "shop" == info["metric"]["service_name"]
        asking = urllib.parse.urlencode({
            "query": f"{NAME}_bucket", "start": 1_794_000_000, "end": 1_796_000_000,
        })  # fmt: skip
        asking = asking.replace("_bucket", "") if growing else asking
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query_exemplars?{asking}") as answer:
            shown = json.load(answer)["data"]
        traces = {one["labels"]["trace_id"] for series in shown for one in series["exemplars"]}
        assert traces
        assert traces <= {f"{trace_of(KEY, n):032x}" for n in range(1, 101)}
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        said.close()
