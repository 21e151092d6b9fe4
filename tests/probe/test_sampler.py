"""
Looks at stacks: what computes, for whom; and where requests hang that do not end.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rung.probe import core, inflight, sampler
from rung.probe.threaded import Threaded
from tests.probe.playing import answer, ask, recorded, recording, routed
from tests.probe.serving import PATIENCE_S


@pytest.fixture(autouse=True)
def _recording() -> Iterator[None]:
    with recording():
        yield


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


class Running:
    """An app asked once in a thread of its own, which goes on until told to stop."""

    def __init__(self, app: Any) -> None:
        self.thread = threading.Thread(target=lambda: asyncio.run(ask(recorded(app))))

    def __enter__(self) -> None:
        self.thread.start()
        until(lambda: any(request.route for request in core.state.live))

    def __exit__(self, *_error: object) -> None:
        stop.set()
        self.thread.join()
        stop.clear()


stop = threading.Event()


def burn() -> None:
    while not stop.is_set():
        sum(range(100))


async def computes(scope: Any, receive: Any, send: Any) -> None:
    routed().route = "/computes"
    burn()
    await answer(send)


async def hang() -> None:
    while not stop.is_set():  # noqa: ASYNC110 - told by another thread
        await asyncio.sleep(0.01)


async def hangs(scope: Any, receive: Any, send: Any) -> None:
    routed().route = "/hangs"
    await asyncio.gather(asyncio.create_task(hang()))
    await answer(send)


async def awaits(scope: Any, receive: Any, send: Any) -> None:
    routed().route = "/awaits"
    await hang()
    await answer(send)


def looked(route: str) -> tuple[Any, ...]:
    def seen() -> tuple[Any, ...] | None:
        core.state.sampled.clear()
        sampler.look(0.03)
        return next((one for one in core.state.sampled if one[3] == route), None)

    until(seen)
    found = seen()
    while found is None:
        found = seen()
    return found


def test_a_task_that_computes_is_seen_with_its_request_and_line() -> None:
    with Running(computes):
        (request,) = core.state.live
        _, lasted_s, serial, route, code, function = looked("/computes")
        assert core.state.looked[1] == code
    assert (0.03, request.serial, "/computes") == (lasted_s, serial, route)
    assert code.startswith("tests/probe/test_sampler.py:")
    assert "burn" in function


def test_a_task_that_waits_is_not_seen() -> None:
    with Running(awaits):
        for _ in range(20):
            sampler.look(0.03)
    assert [] == [one for one in core.state.sampled if one[3] == "/awaits"]


def test_a_thread_of_its_own_is_seen_with_its_request() -> None:
    def work() -> None:
        request = Threaded("GET")
        request.route = "/sync"
        burn()
        request.end()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until(lambda: core.state.live)
        assert "burn" in looked("/sync")[5]
    finally:
        stop.set()
        thread.join()
        stop.clear()


@pytest.mark.parametrize(("app", "route"), [(hangs, "/hangs"), (awaits, "/awaits"), (computes, "/computes")])
def test_a_request_that_does_not_end_is_shown_where_it_waits(
    app: Any, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Running(app):
        assert [] == inflight.rows()
        monkeypatch.setattr(inflight, "LONG_S", 0.0)
        (row,) = inflight.rows()
    serial, kind, found, _, _, seen_s, segments, code, function = row
    assert ("request", route, 0) == (kind, found, segments)
    assert serial == 1
    assert abs(seen_s - time.time()) < PATIENCE_S
    assert code.startswith("tests/probe/test_sampler.py:")
    assert isinstance(function, str)
    assert [] == inflight.rows()
    assert 0 == core.state.failures
