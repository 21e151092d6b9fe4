"""
The trace that a request came with, or began, is passed on; nothing that comes with one breaks it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.probe import core, propagating
from rung.probe.arrival import TRACESTATE_LETTERS_MAX
from rung.probe.wsgi import around_app
from rung.trace_context import parse, span_of, trace_of
from tests.probe.playing import answer, ask, finished, recorded, recording

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{CALLER}-01"
MALFORMED = [
    "", "-", "00", PARENT[:-1], f"{PARENT}0", f"{PARENT}-more", PARENT.upper(), f"ff{PARENT[2:]}",
    f"00-{'0' * 32}-{CALLER}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{CALLER}-zz", PARENT.replace("-", "_"),
    f"00-{TRACE[:-1]}g-{CALLER}-01", "00-" * 20_000, "9" * 100_000, "\xff" * 55,
]  # fmt: skip
LATER = [f"01-{TRACE}-{CALLER}-01", f"cc-{TRACE}-{CALLER}-01-what-it-says", f"fe-{TRACE}-{CALLER}-09-{'x' * 500}"]


@pytest.fixture(autouse=True)
def _recording() -> Iterator[None]:
    with recording():
        yield


class App:
    """
    Answers with the headers that a call of it would carry.
    """

    carried: tuple[tuple[str, str], ...] = ()

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        App.carried = propagating.headers()
        start_response("200 OK", [])
        return [b"fine"]


around_app(App, "__call__", counts=True)


@recorded
async def app(_scope: Any, _receive: Any, send: Any) -> None:
    App.carried = propagating.headers()
    await answer(send)


def asgi(**headers: str) -> dict[str, Any]:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    asyncio.run(ask(app, headers=raw))
    (row,) = finished()
    return row


def wsgi(**headers: str) -> dict[str, Any]:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    assert [b"fine"] == App()(environ, lambda *_: None)
    (row,) = finished()
    return row


SERVERS = [asgi, wsgi]


@pytest.mark.parametrize("value", MALFORMED)
@pytest.mark.parametrize("asked", SERVERS)
def test_what_is_no_header_begins_a_trace_of_its_own(asked: Any, value: str) -> None:
    row = asked(traceparent=value, tracestate="a=b")
    assert (200, None, None) == (row["status"], row["trace"], row["caller"])
    assert 0 == core.state.failures
    trace = f"{trace_of(core.state.key, row['request']):032x}"
    span = f"{span_of(core.state.key, row['request']):016x}"
    # What others said belongs to the trace that they said it of.
    assert (("traceparent", f"00-{trace}-{span}-01"),) == App.carried


@pytest.mark.parametrize("value", LATER)
@pytest.mark.parametrize("asked", SERVERS)
def test_of_a_later_version_what_is_known_is_read(asked: Any, value: str) -> None:
    row = asked(traceparent=value)
    assert (TRACE, CALLER) == (row["trace"], row["caller"])
    ((_, carried),) = App.carried
    assert carried.startswith(f"00-{TRACE}-")


@pytest.mark.parametrize("asked", SERVERS)
@pytest.mark.parametrize("flags", ["00", "01", "03"])
def test_whether_the_caller_keeps_the_trace_is_passed_on(asked: Any, flags: str) -> None:
    row = asked(traceparent=f"00-{TRACE}-{CALLER}-{flags}", tracestate="rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
    span = f"{span_of(core.state.key, row['request']):016x}"
    expected = {"00": "00", "01": "01", "03": "01"}[flags]
    assert ("traceparent", f"00-{TRACE}-{span}-{expected}") == App.carried[0]
    assert ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE") == App.carried[1]


@pytest.mark.parametrize("asked", SERVERS)
@pytest.mark.parametrize("said", ["a=" + "x" * TRACESTATE_LETTERS_MAX, "a=\x00b", "a=\xe9"])
def test_a_tracestate_that_should_not_travel_does_not(asked: Any, said: str) -> None:
    asked(traceparent=PARENT, tracestate=said)
    assert 1 == len(App.carried)


def test_several_tracestates_are_one_list() -> None:
    headers = [(b"tracestate", b"a=1"), (b"traceparent", PARENT.encode()), (b"tracestate", b"b=2")]
    asyncio.run(ask(app, headers=headers))
    assert ("tracestate", "a=1,b=2") == App.carried[1]


@given(value=st.binary(max_size=80), state=st.binary(max_size=600))
def test_any_bytes_have_an_answer(value: bytes, state: bytes) -> None:
    with recording():
        asyncio.run(ask(app, headers=[(b"traceparent", value), (b"tracestate", state)]))
        ((_, carried), *more) = App.carried
        assert parse(carried.encode()) is not None
        assert all(text.isprintable() for _, text in more)
        assert 0 == core.state.failures


def test_a_segment_calls_as_itself() -> None:
    request = core.Request("GET")
    token = core.current.set(core.Scope(request, request))
    segment = core.enter("external")
    assert segment is not None
    ((_, carried),) = propagating.headers()
    core.leave(segment, "http")
    core.current.reset(token)
    trace = f"{trace_of(core.state.key, request.serial):032x}"
    assert f"00-{trace}-{span_of(core.state.key, request.serial, segment.serial):016x}-01" == carried


def test_what_goes_on_after_a_response_calls_as_itself_in_the_same_trace() -> None:
    @recorded
    async def works(_scope: Any, _receive: Any, send: Any) -> None:
        await answer(send)
        App.carried = propagating.headers()
        await asyncio.sleep(2 * core.BACKGROUND_S_MIN)

    asyncio.run(ask(works))
    request, background = finished()
    assert request["request"] == background["follows"]
    ((_, carried),) = App.carried
    trace = f"{trace_of(core.state.key, request['request']):032x}"
    assert f"00-{trace}-{span_of(core.state.key, background['request']):016x}-01" == carried


def test_nothing_is_carried_outside_of_a_request() -> None:
    assert propagating.NOTHING == propagating.headers()
    held: dict[str, str] = {}
    assert propagating.NOTHING == propagating.added(held)
    assert held is propagating.with_headers(held, dict)


def test_headers_of_the_apps_own_stay_and_what_was_put_is_taken_back() -> None:
    request = core.Request("GET")
    token = core.current.set(core.Scope(request, request))
    try:
        own = {"traceparent": PARENT}
        assert propagating.NOTHING == propagating.added(own)
        assert own is propagating.with_headers(own, dict)
        assert {"TraceParent": PARENT} == propagating.with_headers({"TraceParent": PARENT}, dict)
        plain = {"accept": "*"}
        put = propagating.added(plain)
        assert {"accept", "traceparent"} == set(plain)
        propagating.taken_back(put, plain)
        assert {"accept": "*"} == plain
        put = propagating.added(plain)
        plain["traceparent"] = PARENT  # another tracer's, further in
        propagating.taken_back(put, plain)
        assert PARENT == plain["traceparent"]
    finally:
        core.current.reset(token)
    assert 0 == core.state.failures


def test_headers_that_cannot_be_read_are_left_alone() -> None:
    request = core.Request("GET")
    token = core.current.set(core.Scope(request, request))
    try:
        odd = object()
        assert propagating.NOTHING == propagating.added(odd)
        assert odd is propagating.with_headers(odd, dict)
    finally:
        core.current.reset(token)
    assert 2 == core.state.failures


@pytest.mark.parametrize(("value", "on"), [("", True), ("on", True), ("off", False)])
def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("RUNG_PROPAGATE", value)
    assert on is propagating.on()
