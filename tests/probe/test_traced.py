"""
Two services, recorded one by one: a request of the first is one trace with what it asks of the second.

The services are real, tracing_app.py under uvicorn; everything is asked once for all tests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rung.surfaces.cli import main
from rung.trace_context import ROOT, span_of, trace_of
from tests.probe.running import Recorded, running
from tests.probe.serving import ask, free_port, line_of, table, uvicorn

TRACE, CALLER = "12" * 16, "34" * 8
OWN = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"  # as the app has it
HERE = "tracing_app.py"


@dataclass
class Both:
    folder: Path
    outer: Path
    inner: Path
    answers: dict[str, Any]

    def rung(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
        for recording in (self.outer, self.inner):
            arguments += ("--recording", str(recording))
        assert 0 == main(arguments)
        return capsys.readouterr().out

    def request(self, route: str) -> tuple[dict[str, Any], int]:
        (request,) = [row for row in table(self.outer, "requests") if route == row["route"] and not row["trace"]][:1]
        (process,) = table(self.outer, "processes")
        return request, int(process["key"], 16)

    def trace_of(self, route: str) -> str:
        request, key = self.request(route)
        return f"{trace_of(key, request['request']):032x}"

    def lines(self, route: str) -> list[dict[str, Any]]:
        request, _ = self.request(route)
        return [line for line in table(self.outer, "lines") if line["request"] == request["request"]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("two")
    first, second = free_port(), free_port()
    named = {"APP_LOG": str(folder / "app.log"), "APP_EVENTS": str(folder / "events.jsonl")}
    with running(uvicorn("tracing_app:app", second), second, folder / "inner") as inner:
        upstream = f"http://127.0.0.1:{second}"
        with running(uvicorn("tracing_app:app", first), first, folder / "outer", UPSTREAM=upstream, **named) as outer:
            paths = ("/httpx", "/sync", "/aiohttp", "/later", "/logging", "/many/300")
            answers = {path: json.loads(ask(first, path)[2]) for path in paths}
            came = {"traceparent": f"00-{TRACE}-{CALLER}-00", "tracestate": "vendor=abc"}
            answers["came"] = json.loads(ask(first, "/httpx", **came)[2])
    return Both(folder, outer.recording, inner.recording, answers)


def test_nothing_failed(both: Both) -> None:
    for recording in (both.outer, both.inner):
        assert [] == Recorded.read(recording).failures()


def test_every_client_carries_the_trace_and_leaves_the_apps_own(both: Both) -> None:
    answers = both.answers
    for path, plain, own in (("/httpx", [0], [1]), ("/sync", [0, 2, 3], [1, 4]), ("/aiohttp", [0], [1, 2])):
        for place in plain:
            (carried,) = answers[path][place]["traceparent"]
            assert carried.startswith(f"00-{both.trace_of(path)}-"), path
            assert carried.endswith("-01")
        for place in own:
            assert [OWN] == answers[path][place]["traceparent"], path
    # What the app sends once more is as it was.
    assert False is answers["/httpx"][-1] is answers["/sync"][-1]


def test_the_trace_that_came_is_passed_on_with_all_that_was_said_of_it(both: Both) -> None:
    seen = both.answers["came"][0]
    ((carried,), state) = seen["traceparent"], seen["tracestate"]
    assert carried.startswith(f"00-{TRACE}-")
    assert carried.endswith("-00")
    assert ["vendor=abc"] == state


def test_the_callers_span_is_the_segment_of_the_call(both: Both) -> None:
    request, key = both.request("/httpx")
    calls = [
        row for row in table(both.outer, "segments")
        if row["request"] == request["request"] and "external" == row["seam"]
    ]  # fmt: skip
    (called,) = [row for row in table(both.inner, "requests") if row["trace"] == both.trace_of("/httpx")]
    assert f"{span_of(key, request['request'], calls[0]['segment']):016x}" == called["caller"]


def test_the_apps_own_format_shows_the_ids(both: Both) -> None:
    shown = (both.folder / "app.log").read_text("utf-8")
    request, key = both.request("/logging")
    # A framework that tells OpenTelemetry of its endpoint has a segment around what that logs.
    segments = [row["segment"] for row in table(both.outer, "segments") if row["request"] == request["request"]]
    spans = {f"{span_of(key, request['request'], segment):016x}" for segment in (ROOT, *segments)}
    trace = both.trace_of("/logging")
    assert any(f"{trace} {span} INFO user secret\n" in shown for span in spans)
    assert any(f"mine {span} INFO with ids of its own\n" in shown for span in spans)
    assert "below the level" not in shown
    events = [json.loads(line) for line in (both.folder / "events.jsonl").read_text("utf-8").splitlines()]
    assert {both.trace_of("/logging"), "bound"} == {event["trace_id"] for event in events}
    assert {event["span_id"] for event in events} <= spans


def test_lines_hold_templates_and_no_values(both: Both) -> None:
    lines = both.lines("/logging")
    told = [(line["level"], line["logger"], line["template"], line["error"]) for line in lines]
    failed = f"LookupError {HERE}:"
    assert [
        (20, "shop", "user %s"), (20, "shop", None), (40, "shop", "in another function"), (40, "shop", "failed for %s"),
        (20, "shop", "with ids of its own"), (20, "tracing_app", "event"), (20, "tracing_app", None),
        (30, "tracing_app", "awaited"), (20, "tracing_app", "bound"),
    ] == [row[:3] for row in told]  # fmt: skip
    assert [None, None, None] == [error for *_, error in told[:3]]
    assert told[3][-1].startswith(failed)
    assert line_of("failed", HERE) == lines[3]["code"]
    assert b"secret" not in b"".join(path.read_bytes() for path in both.outer.iterdir())


def test_what_is_too_much_is_counted(both: Both) -> None:
    assert 200 == len(both.lines("/many/{number}"))
    (process,) = table(both.outer, "processes")
    assert 100 == json.loads(process["counts"])["lines_dropped"]


def test_the_waterfall_leads_through_both(both: Both, capsys: pytest.CaptureFixture[str]) -> None:
    printed = both.rung(capsys, "trace", both.trace_of("/httpx"))
    lines = printed.splitlines()
    texts = ("GET /httpx 200", "external http", "GET /seen 200", "◆ INFO shop: asked by %s")
    places = [next(place for place, line in enumerate(lines) if line.lstrip().startswith(text)) for text in texts]
    margins = [len(lines[place]) - len(lines[place].lstrip()) for place in places]
    assert (sorted(places), sorted(set(margins))) == (places, margins)
    assert f"◆ INFO shop: calling %s  {line_of('calling', HERE)}" in printed
    assert f"rung logs --trace {both.trace_of('/httpx')}" in printed


def test_a_span_names_its_trace_and_so_does_the_beginning_of_an_id(
    both: Both, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = both.trace_of("/httpx")
    whole = both.rung(capsys, "trace", trace)
    (called,) = [row for row in table(both.inner, "requests") if row["trace"] == trace]
    request, key = both.request("/httpx")
    root = f"{span_of(key, request['request']):016x}"
    for asked in (trace[:24], trace.upper(), called["caller"], root, root[:8]):
        assert whole == both.rung(capsys, "trace", asked)


def test_the_id_that_came_names_the_trace(both: Both, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(both.rung(capsys, "trace", TRACE[:6], "--json"))
    (trace,) = document["traces"]
    # A loaded machine may leave the framework's tidying up long enough to be told.
    outer, inner = [unit for unit in trace["units"] if unit["kind"] == "request"]
    assert (TRACE, CALLER, None) == (trace["trace"], outer["caller"], outer["under"])
    assert ("/seen", 0) == (inner["route"], inner["under"]["unit"])
    (segment,) = [span for span in outer["spans"] if span["segment"] == inner["under"]["segment"]]
    assert inner["caller"] == segment["span"]


def test_what_goes_on_after_the_response_stands_below_its_request(
    both: Both, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(both.rung(capsys, "trace", "--route", "GET /later", "--json"))
    (trace,) = document["traces"]
    request, background, called = trace["units"][:3]
    assert {"unit": 0, "segment": -1} == background["under"]
    assert ["afterwards"] == [line["template"] for line in background["lines"] if line["logger"] == "shop"]
    assert 1 == called["under"]["unit"]
    assert ("request", "background", "/seen") == (request["kind"], background["kind"], called["route"])


def test_logs_of_one_trace_come_from_both_services(both: Both, capsys: pytest.CaptureFixture[str]) -> None:
    printed = both.rung(capsys, "logs", "--trace", both.trace_of("/httpx"))
    lines = [json.loads(line) for line in printed.splitlines()]
    assert {both.trace_of("/httpx")} == {line["trace_id"] for line in lines}
    assert {"/httpx", "/seen"} == {line["http.route"] for line in lines}
    assert sorted(line["timestamp"] for line in lines) == [line["timestamp"] for line in lines]
