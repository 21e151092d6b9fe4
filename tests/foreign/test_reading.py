"""
Files of traces as they come: three formats, compressed or cut short, with whatever in them; and what is kept of it.
"""

from __future__ import annotations

import copy
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind, set_span_in_context

from rung.adapters.foreign.assembling import units_of
from rung.adapters.foreign.converting import _Recorder, raw_of, recording_of
from rung.adapters.foreign.files import Document
from rung.adapters.foreign.meaning import Meanings, kept_share
from rung.adapters.foreign.span import Account
from rung.adapters.shelf import told_by
from rung.errors import BadFile, TracesUnreadable
from rung.steps.record import Intake
from tests.foreign.tracing import Kept, line_of, message_of, tracer_into
from tests.foreign.written import BEGAN_NS, CLIENT, GET, LOOKUP, SERVER, Read, document, line, span

JAEGER = {
    "data": [
        {
            "traceID": "1",
            "processes": {"p1": {"serviceName": "shop", "tags": [{"key": "hostname", "type": "string", "value": "h"}]}},
            "spans": [
                {
                    "traceID": "1", "spanID": "1", "operationName": "GET /orders/{id}", "references": [],
                    "startTime": BEGAN_NS // 1000, "duration": 100_000, "processID": "p1",
                    "tags": [
                        {"key": "span.kind", "type": "string", "value": "server"},
                        {"key": "http.method", "type": "string", "value": "GET"},
                        {"key": "http.status_code", "type": "int64", "value": 200},
                    ],
                },
                {
                    "traceID": "1", "spanID": "2", "operationName": "SELECT", "processID": "p1",
                    "references": [{"refType": "CHILD_OF", "traceID": "1", "spanID": "1"}],
                    "startTime": BEGAN_NS // 1000 + 10_000, "duration": 50_000,
                    "tags": [
                        {"key": "span.kind", "type": "string", "value": "client"},
                        {"key": "db.type", "type": "string", "value": "sql"},
                        {"key": "db.statement", "type": "string", "value": "SELECT * FROM orders WHERE id = 7"},
                    ],
                },
            ],
        }
    ]
}  # fmt: skip


def two() -> list[dict[str, Any]]:
    return [span(1, kind=SERVER, told=GET, took=100), span(2, 1, kind=CLIENT, told=LOOKUP, at=10, took=50)]


def by_the_sdk() -> list[Any]:
    """
    The same two spans from OpenTelemetry's own SDK.
    """
    kept = Kept()
    tracer = tracer_into(kept, "shop", host_name="h", process_pid=7)
    began_ns = BEGAN_NS
    server = tracer.start_span("GET /orders/{id}", kind=SpanKind.SERVER, start_time=began_ns, attributes=GET)
    inside = set_span_in_context(server)
    client = tracer.start_span(
        "SELECT", context=inside, kind=SpanKind.CLIENT, start_time=began_ns + 10_000_000, attributes=LOOKUP
    )
    client.end(began_ns + 60_000_000)
    server.end(began_ns + 100_000_000)
    return kept.spans


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


NAMED = [{**each, "kind": {2: "SPAN_KIND_SERVER", 3: "3"}[each["kind"]]} for each in two()]
FORMS: dict[str, tuple[str, bytes]] = {
    "a line each": ("otlp", b"".join(line_of([each]).encode() for each in by_the_sdk())),
    "one line": ("otlp", line_of(by_the_sdk()).encode()),
    "a line behind a mark": ("otlp", b"\xef\xbb\xbf\n" + line_of(by_the_sdk()).encode()),
    "over many lines": ("otlp", json.dumps(json.loads(line_of(by_the_sdk())), indent=1).encode()),
    "names of enumerations": ("otlp", line(document(NAMED)).encode()),
    "gzip": ("otlp", gzip.compress(line_of(by_the_sdk()).encode())),
    "protobuf": ("otlp", message_of(by_the_sdk())),
    "protobuf in frames": ("otlp", b"".join(framed(message_of([each])) for each in by_the_sdk())),
    "protobuf, gzip": ("otlp", gzip.compress(message_of(by_the_sdk()))),
    "jaeger": ("jaeger", json.dumps(JAEGER).encode()),
    "jaeger over many lines": ("jaeger", json.dumps(JAEGER, indent=2).encode()),
    "jaeger, a trace a line": ("jaeger", json.dumps(JAEGER["data"][0]).encode()),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_every_form_tells_the_same(name: str, tmp_path: Path) -> None:
    form, data = FORMS[name]
    read = Read(tmp_path, data, form=form)

    (one,) = read.requests
    assert ("GET", "/orders/{id}", 200, "h", "shop") == (
        one["method"], one["route"], one["status"], one["host"], one["instance"],
    )  # fmt: skip
    assert (BEGAN_NS / 1e9, 0.1) == pytest.approx((one["arrived_s"], one["duration_s"]))
    assert [("query", "SELECT * FROM orders WHERE id = $1")] == read.waits()
    assert (2, 0, form) == (read.told["spans"], read.told["unread"], read.told["form"])
    assert ["query"] == read.told["seams"]


def test_the_same_files_are_read_once_and_others_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    folder.mkdir()
    (folder / "a.jsonl").write_text(line(document([two()[0]])))
    (folder / "b.jsonl").write_text(line(document([two()[1]])))
    first = recording_of(tmp_path / ".rung", "otlp", [str(folder)])
    again = recording_of(tmp_path / ".rung", "otlp", [str(folder / "a.jsonl"), str(folder / "b.jsonl")])
    other = recording_of(tmp_path / ".rung", "otlp", [str(folder / "a.jsonl")])

    assert first == again == "2026-11-18T11-06-40Z-a"
    assert f"{first}-2" == other
    assert [first, other] == sorted(path.name for path in (tmp_path / ".rung" / "recordings").iterdir())
    told = told_by(tmp_path / ".rung" / "recordings" / first)
    assert told["sealed"]
    assert ["a.jsonl", "b.jsonl"] == [file["name"] for file in told["foreign"]["files"]]
    assert 0o700 == (tmp_path / ".rung" / "recordings" / first).stat().st_mode & 0o777


BROKEN = {
    "no JSON": ('{"resourceSpans": [', "it is no JSON"),
    "not a number": (line(document(two())).replace('"200"', "NaN"), "it is no JSON"),
    "deep": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "a list": ("[1, 2]", "it is no object of OTLP"),
    "metrics": ('{"resourceMetrics": []}', "it holds metrics"),
    "jaeger's": (json.dumps(JAEGER), "--from jaeger"),
    "no list": ('{"resourceSpans": 7}', "a list that is none"),
    "attributes": ('{"resourceSpans": [{"resource": {"attributes": 7}}]}', "attributes that are no list"),
    "short id": (line(document([{**two()[0], "traceId": "12"}])), "an id that is not 16 bytes"),
    "number for an id": (line(document([{**two()[0], "spanId": 12}])), "an id that is no text"),
    "no id": (line(document([{**two()[0], "spanId": "0" * 16}])), "a span without an id"),
    "before it begins": (line(document([{**two()[0], "endTimeUnixNano": "1"}])), "ends before it begins"),
    "never ended": (line(document([{**two()[0], "endTimeUnixNano": "0"}])), "has not ended"),
    "negative": (line(document([{**two()[0], "startTimeUnixNano": "-5"}])), "begins at no time"),
    "no time": (line(document([{**two()[0], "startTimeUnixNano": "soon"}])), "a number that is none"),
    "for ever": (line(document([{**two()[0], "endTimeUnixNano": str(2**63 - 1)}])), "more than a week"),
    "something else": (line(document([7])), "something that is no object"),  # type: ignore[list-item]
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_counted_with_its_place_and_the_rest_stands(name: str, tmp_path: Path) -> None:
    text, reason = BROKEN[name]
    read = Read(tmp_path, line(document(two())) + text.strip() + "\n" + line(document([span(9, kind=SERVER, trace=3)])))

    assert (2, 1) == (len(read.requests), read.told["unread"])
    assert read.told["unread_first"].startswith("spans.jsonl:2: ")
    assert reason in read.told["unread_first"]


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_of_nothing_else_is_refused_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    text, reason = BROKEN[name]
    with pytest.raises(TracesUnreadable) as refused:
        Read(tmp_path, text)

    assert reason in refused.value.message
    assert "spans.jsonl" in refused.value.message
    assert [] == list((tmp_path / ".rung" / "recordings").iterdir())


def test_what_is_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    frames = framed(message_of(by_the_sdk())) * 2
    packed = gzip.compress(line_of(by_the_sdk()).encode() * 500)
    for name, data in {"frames": frames[:-9], "gzip": packed[:-40], "junk": frames + b"\xff\xff\xff\xff"}.items():
        read = Read(tmp_path, data, name=f"{name}.pb")
        assert (1, 1) == (len(read.requests), read.told["unread"]), name
        assert read.told["unread_first"].startswith(f"{name}.pb: ")


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\x0a\xff\xff\xff", b"\x28\xb5\x2f\xfd1234", b"PK\x03\x04", b"\0\0\0"])
def test_bytes_that_are_no_traces_are_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(TracesUnreadable):
        Read(tmp_path, data)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nothing.jsonl"):
        with pytest.raises(BadFile, match=name):
            recording_of(tmp_path / ".rung", "otlp", [str(tmp_path / name)])


def test_spans_without_a_request_are_no_recording(tmp_path: Path) -> None:
    with pytest.raises(TracesUnreadable, match="of 1 spans none is a request"):
        Read(tmp_path, line(document([span(2, kind=CLIENT, told=LOOKUP)])))


def test_a_span_of_very_many_attributes_is_read(tmp_path: Path) -> None:
    many = two()
    many[0]["attributes"] += [{"key": f"a{number}", "value": {"stringValue": "b"}} for number in range(200_000)]
    nested: dict[str, Any] = {"stringValue": "c"}
    for _ in range(50):
        nested = {"kvlistValue": {"values": [{"key": "k", "value": nested}]}}
    many[0]["attributes"].append({"key": "http.route", "value": nested})

    assert 1 == len(Read(tmp_path, line(document(many))).requests)


def test_a_sampled_recording_says_what_share_it_is_of(tmp_path: Path) -> None:
    spans = [
        span(1, kind=SERVER, told=GET, traceState="ot=th:c,other=1"),
        span(1, kind=SERVER, told={**GET, "SampleRate": 4}, trace=2),
        span(1, kind=SERVER, told={**GET, "sampling.probability": 0.25}, trace=3),
        span(1, kind=SERVER, told={**GET, "sampler.type": "probabilistic", "sampler.param": 0.25}, trace=4),
        span(1, kind=SERVER, told=GET, traceState="ot=p:2", trace=5),
    ]

    assert 0.25 == pytest.approx(Read(tmp_path, line(document(spans))).told["kept_share"])
    for state in ("ot=th:", "ot=th:zz", "ot=p:99", "ot", "=", "ot=th:ffffffffffffff" + "0" * 600, "ot=p:-1"):
        assert 0 < kept_share({"SampleRate": 0, "sampling.probability": float("nan")}, state) <= 1


CANARY = "canary"


def test_nothing_of_a_value_is_kept(tmp_path: Path) -> None:
    """
    Attributes that hold what users typed, in every place where one may stand.
    """
    hidden = {
        name: f"{CANARY}-{number}"
        for number, name in enumerate([
            "url.path", "url.query", "http.target", "http.user_agent", "user_agent.original", "client.address",
            "enduser.id", "http.request.header.cookie", "http.request.body", "exception.message", "code.filepath",
            "db.user", "thread.name", "db.query.parameter.id", "messaging.message.id", "session.id",
        ])
    }  # fmt: skip
    addresses = {"url.full": f"http://{CANARY}.example/{CANARY}?q={CANARY}", "http.url": f"http://{CANARY}"}
    events = [{"name": CANARY, "attributes": [{"key": "exception.message", "value": {"stringValue": CANARY}}]}]
    status = {"code": 2, "message": CANARY}
    text = f"SELECT * FROM orders WHERE note = '{CANARY}' AND b = $${CANARY}$$ -- {CANARY}"
    spans = [
        span(1, kind=SERVER, told={**GET, **hidden, "error.type": f"{CANARY} was wrong"}, events=events, status=status),
        span(2, 1, kind=CLIENT, told={**hidden, "db.system": "postgresql", "db.statement": text}, status=status),
        span(3, 1, kind=CLIENT, told={**hidden, **addresses, "http.request.method": CANARY}),
        span(4, 1, kind=CLIENT, told={"db.system": "redis", "db.statement": f"GET {CANARY}"}),
        span(5, 1, kind=SERVER, told={"http.request.method": CANARY, "http.route": f"/a?b={CANARY}"}, trace=2),
        span(6, 1, kind=CLIENT, told={"db.system": CANARY.upper() + " !", "db.operation": "SELECT"}, links=[CANARY]),
    ]
    read = Read(tmp_path, line(document(spans, host_ip=CANARY, process_command_line=CANARY, telemetry_sdk_name=CANARY)))

    assert 2 == len(read.requests)
    held = []
    for file in read.recording.iterdir():
        if file.suffix == ".parquet":
            with duckdb.connect(":memory:") as connection:
                held.append(str(connection.read_parquet(str(file)).fetchall()))
        else:
            held.append(file.read_text())
    assert not [text for text in held if CANARY in text.lower()]


def test_the_command_tells_what_it_could_not_read_and_never_a_traceback(tmp_path: Path) -> None:
    many = [span(1, kind=SERVER, told=GET, trace=number + 1, at=200 * number, took=400) for number in range(80)]
    (tmp_path / "spans.jsonl").write_text(line(document(many)) + "{\n" + line(document([])))
    command = [sys.executable, "-m", "rung", "find", "--from", "otlp"]
    told = subprocess.run([*command, "spans.jsonl"], cwd=tmp_path, capture_output=True, text=True, check=False)
    piped = subprocess.run(
        [*command, "-", "--json"], cwd=tmp_path, capture_output=True, check=False, input=line(document(many)).encode()
    )
    refused = subprocess.run([*command, "none.jsonl"], cwd=tmp_path, capture_output=True, text=True, check=False)
    nothing = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    words = " ".join(told.stdout.split())
    assert 0 == told.returncode, told.stderr
    assert "Traces of OpenTelemetry: they show no waiting for a connection" in words
    assert "They have no spans of statements or calls to other services or caches." in words
    assert "100 % of the time is the app's own, which these traces do not take apart" in words
    assert "1 span or line could not be read (first, spans.jsonl:2: it is no JSON" in words
    assert "Bottleneck other the app's own time" in words
    assert 80 == json.loads(piped.stdout)["recording"]["foreign"]["spans"]
    assert (2, 2) == (refused.returncode, nothing.returncode)
    assert "none.jsonl" in refused.stderr
    assert "needs the file of traces" in nothing.stderr
    assert "Traceback" not in told.stderr + refused.stderr + nothing.stderr


WHOLE = document([*two(), span(3, 2), span(4, 1, at=200, took=5), span(1, kind=5, trace=2, told={"SampleRate": 3})])
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=8),
    st.just([]), st.just({}), st.just("0" * 32), st.just("f" * 16), st.lists(st.integers(), max_size=2),
    st.just({"stringValue": "x"}), st.just(str(2**63 - 1)), st.just(BEGAN_NS), st.just("SPAN_KIND_SERVER"),
)  # fmt: skip


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for key, inner in pairs for each in [(*path, key), *places_in(inner, (*path, key))]]


OTLP_PLACES, JAEGER_PLACES = places_in(WHOLE), places_in(JAEGER)


@settings(max_examples=300)
@given(form=st.sampled_from(["otlp", "jaeger"]), data=st.data())
def test_whatever_stands_where_something_else_should_does_no_harm(form: str, data: st.DataObject) -> None:
    """
    A document in which something is replaced by something odd gives rows that a recording takes, or says why not.
    """
    whole, places = (WHOLE, OTLP_PLACES) if form == "otlp" else (JAEGER, JAEGER_PLACES)
    mutated = copy.deepcopy(whole)
    for path in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=4)):
        at: Any = mutated
        try:
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = copy.deepcopy(data.draw(ODD))
        except (TypeError, KeyError, IndexError):
            continue
    account = Account()
    meanings = Meanings(account)
    text = Document("here", json.dumps(mutated).encode(), binary=False)
    by_trace: dict[str, list[Any]] = {}
    for raw in raw_of(form, text, account):
        by_trace.setdefault(raw.trace, []).append(meanings.of(raw))
    intake = Intake()
    recorder = _Recorder(intake, meanings)
    services = [process.service for process in meanings.processes]
    for spans in by_trace.values():
        spans.sort(key=lambda each: each.start_s)
        for unit in units_of(spans, account, services):
            recorder.add(unit)
    recorder.flush()

    read = sum(len(spans) for spans in by_trace.values())
    assert read <= 5
    assert all(reason.startswith("here: ") for reason in account.first.values())


@settings(max_examples=60)
@given(data=st.binary(max_size=300), cut=st.integers(0, 400))
def test_protobuf_that_is_damaged_does_no_harm(data: bytes, cut: int) -> None:
    message = message_of(by_the_sdk())
    account = Account()
    damaged = Document("here", message[:cut] + data + message[cut + len(data) :], binary=True)
    meanings = Meanings(account)
    found = [meanings.of(raw) for raw in raw_of("otlp", damaged, account)]

    assert len(found) <= 2 + len(data)
