"""
OpenTelemetry's API as rung implements it: as the API promises, in the recording as what it was, never in the way.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rung.adapters.recordings import ParquetRecording
from rung.steps.measure import Part, Profile, measure
from rung.trace_context import span_of, trace_of
from tests.probe import canaries
from tests.probe.player import Played, played_recorded
from tests.probe.running import Recorded
from tests.probe.scenes_otel import WAIT_S
from tests.probe.serving import ask, line_of, serving
from tests.strategies import answered

ASKED, SENT_S = 3, 0.7


@pytest.fixture(scope="module")
def seen() -> Played:
    return played_recorded("scenes_otel")


def _parents(seen: Played, scene: str) -> dict[str, str | None]:
    names = {part["segment"]: part["name"] for part in seen.of(scene)}
    return {part["name"]: names.get(part["parent"]) for part in seen.of(scene)}


def _one(seen: Played, scene: str, name: str) -> dict[str, Any]:
    (found,) = (part for part in seen.of(scene) if part["name"] == name)
    return found


def test_nothing_failed(seen: Played) -> None:
    assert {} == seen.failures


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        ("ids_are_those_of_the_recording", True),
        ("decorated", [2, 4, "twice", "Twice."]),
        ("decorated_coroutine", [1, 2]),
        ("decorated_with_use_span", [True, True]),
        ("ended_once", [True, False, {"a": 1, "b": 2}, "once", "UNSET"]),
        ("statuses", ["UNSET", "ERROR", "OK", "OK"]),
        ("explicit_parent", True),
        ("remote_parent", [7, "a=b", True]),
        ("in_tasks", ["task a", "task b", "task c"]),
        ("within_what_is_known", True),
        ("the_request_itself", [True, True, True]),
        ("sent_on", [True, True]),
        ("rendering", "012345678"),
        ("garbage", 25),
        ("unprintable_error", True),
        ("outside_of_requests", [False, False, 1, True]),
        ("many_names", True),
        ("forked", "1 0"),
        ("a_job_on_the_loop", ["job", "job:consume"]),
    ],
)
def test_the_app_sees_what_the_api_promises(seen: Played, scene: str, expected: Any) -> None:
    assert expected == seen.recorded[scene]


def test_spans_lie_within_one_another(seen: Played) -> None:
    assert all(seen.recorded["nested"].values()), seen.recorded["nested"]
    assert {"inner": "outer", "outer": None} == _parents(seen, "nested")
    assert {"cpu"} == {part["seam"] for part in seen.of("nested")}
    assert _one(seen, "nested", "outer")["duration_s"] >= _one(seen, "nested", "inner")["duration_s"] >= WAIT_S


def test_a_decorated_function_is_a_span_at_each_call_until_it_has_ended(seen: Played) -> None:
    assert ["cpu decorated"] * 2 == seen.names("decorated")
    assert all(part["duration_s"] >= WAIT_S for part in seen.of("decorated_coroutine"))
    assert ["other decorated coroutine"] * 2 == seen.names("decorated_coroutine")


def test_what_is_raised_goes_through_and_ends_the_span(seen: Played) -> None:
    ended = [["'secret'", status, False] for status in ("ERROR", "UNSET", "ERROR")]
    assert [*ended, ["ERROR", False]] == seen.recorded["raising"]
    assert 4 == len(seen.of("raising"))


def test_a_span_is_kept_once_under_its_last_name(seen: Played) -> None:
    assert ["cpu once"] == seen.names("ended_once")
    assert ["cpu after"] == seen.names("renamed")


def test_a_parent_is_the_one_that_is_given(seen: Played) -> None:
    assert {"child": "parent", "parent": None, "alone": None} == _parents(seen, "explicit_parent")
    assert {"within": "attached", "attached": None} == _parents(seen, "attached")


def test_spans_of_other_threads_and_tasks_belong_to_the_request(seen: Played) -> None:
    assert "here" == _parents(seen, "in_threads")["there"]
    assert "ended elsewhere" in _parents(seen, "in_threads")
    tasks = {f"task {name}": "together" for name in "abc"}
    assert tasks | {"together": None} == _parents(seen, "in_tasks")


def test_what_computes_and_what_waits_are_told_apart(seen: Played) -> None:
    names = seen.names("computing_and_waiting")
    assert ["cpu computes", "other waits", "external http", "cpu waits for what is known"] == names
    # The computing of a span is no longer the request's own.
    assert seen.cpu_s["computing_and_waiting"] < WAIT_S


def test_times_that_the_app_gives_are_taken_where_they_make_sense(seen: Played) -> None:
    given = _one(seen, "given_times", "given")
    assert given["duration_s"] == pytest.approx(WAIT_S, abs=WAIT_S / 2)
    assert 0 == _one(seen, "given_times", "request so far")["start_s"]
    assert all(0 <= part["duration_s"] < 1 for part in seen.of("given_times"))
    assert 3 == sum(part["name"] == "senseless" for part in seen.of("given_times"))


def test_calls_that_no_instrument_knows_are_told_by_their_attributes(seen: Played) -> None:
    assert [
        "query SELECT a FROM t WHERE b = $1",
        "query SELECT a FROM t WHERE b = $1",
        "query SELECT t",
        "cache redis",
        "external http",
        "external shop.Stock/Reserve",
        "external something else",
        "job orders publish",
    ] == seen.names("calls")
    databases = [part["database"] for part in seen.of("calls", "query")]
    assert ["db:5432/shop", "postgresql/shop", "mysql/shop"] == databases


def test_a_call_that_an_instrument_recorded_is_not_counted_twice(seen: Played) -> None:
    names = seen.names("containing")
    assert ["external http", "cpu GET", "query " + "f" * 16] == names[:3]
    assert "file" == names[-1]
    assert {"cpu SELECT", "cpu around"} == set(names[3:-1])
    assert ["external http"] == seen.names("within_what_is_known")
    assert [] == seen.names("the_request_itself")


def test_instruments_record_within_spans(seen: Played) -> None:
    assert {"render": "page", "page": None} == _parents(seen, "rendering")


def test_what_is_open_at_the_answer_is_kept_with_the_request(seen: Played) -> None:
    assert [["never ends", "outlives"], ["background"], True, True] == seen.recorded["after_the_answer"]


def test_a_consumer_outside_of_requests_is_a_job(seen: Played) -> None:
    kind, route, error, ids, parts, recording = seen.recorded["a_job"]
    assert ("job", "job:orders process {}", "KeyError") == (kind, route, error)
    assert [f"{7:032x}", f"{9:016x}"] == ids
    assert [["inside", None]] == parts
    assert not recording


def test_names_are_bounded_and_hold_no_long_text(seen: Played) -> None:
    names = {part["name"] for part in seen.of("garbage")}
    assert all(len(name) <= 100 for name in names)
    assert "(unnamed)" in names
    assert "(other)" in {part["name"] for part in seen.of("many_names")}


def test_the_line_is_the_users(seen: Played) -> None:
    assert _one(seen, "nested", "inner")["code"].startswith("tests/probe/scenes_otel.py:")


@pytest.mark.parametrize("sdk", ["", "1"])
def test_a_real_app_has_its_spans_in_the_recording(tmp_path: Path, sdk: str) -> None:
    secret = "nobodysbusiness"
    with serving("otel_app:app", tmp_path, WITH_SDK=sdk, SECRET=secret) as (port, _, started):
        for _ in range(ASKED):  # a process that ends at once is not heard of on a machine with much to do
            status, _, body = ask(port, "/orders/7")
            assert 200 == status
            time.sleep(SENT_S)
        if sdk:
            assert {"wait", "SELECT", "charge", "order"} < set(json.loads(ask(port, "/exported")[2]))
    recorded = Recorded.read(started.recording)
    assert [] == recorded.failures()
    requests = recorded.of("/orders/{number}")
    assert ASKED == len(requests)
    request = max(requests, key=lambda one: one["arrived_s"])
    parts = {part["name"]: part for part in recorded.parts(request) if part["seam"] != "loop"}
    (query,) = recorded.parts(request, "query")
    assert {"middleware", "order", "wait", "charge", query["name"]} == set(parts)
    assert "SELECT * FROM people WHERE email = $1" == recorded.statements[query["name"]]["text"]
    assert line_of("span", "otel_app.py") == parts["wait"]["code"]
    assert "other" == parts["wait"]["seam"]
    assert parts["order"]["segment"] == parts["wait"]["parent"] == query["parent"] == parts["charge"]["parent"]
    assert parts["middleware"]["segment"] == parts["order"]["parent"]
    # What it told another service are the ids that the recording has, or those of the SDK.
    _, trace, span, _ = json.loads(body)["sent"].split("-")
    (process,) = (row for row in recorded.processes if row["worker"] == request["worker"])
    key = int(process["key"], 16)
    if sdk:
        assert trace == request["trace"]
    else:
        assert f"{trace_of(key, request['request']):032x}" == trace
        assert f"{span_of(key, request['request'], parts['order']['segment']):016x}" == span
    searched = canaries.search(canaries.everything_below(tmp_path), {"attribute": secret})
    assert [] == searched


def test_a_framework_begins_no_spans_of_its_own(tmp_path: Path) -> None:
    """
    FastAPI has some for apps that set up a provider; that rung is there is no reason to pay for them.
    """
    with serving("plain_fastapi:app", tmp_path) as (port, _, started):
        for _ in range(ASKED):
            assert 200 == ask(port, "/plain")[0]
            time.sleep(SENT_S)
    recorded = Recorded.read(started.recording)
    requests = recorded.of("/plain")
    assert ASKED == len(requests)
    assert {"request"} == {one["kind"] for one in requests}
    assert not [part for one in requests for part in recorded.parts(one) if part["name"].startswith("fastapi.")]


def test_the_sum_closes_and_waiting_is_no_computing(tmp_path: Path) -> None:
    with serving("otel_app:app", tmp_path) as (port, _, started):
        for _ in range(20):
            ask(port, "/orders/7")
    kept = ParquetRecording(started.recording)
    profile: Profile = answered(measure(), lambda question: getattr(kept, question.verb)(question))
    requests, segments = profile.requests, profile.segments
    own_s = np.bincount(segments.request, weights=segments.own_s, minlength=len(requests))
    sums_s = requests.queue_s + requests.cpu_s + requests.other_s + own_s
    assert np.allclose(sums_s, requests.latency_s)
    waits = profile.seconds_on(Part("other", "wait"))
    assert (waits >= 0.009).all()
    assert (profile.seconds_on(Part("cpu", "order")) < requests.latency_s / 2).all()
