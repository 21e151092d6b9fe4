"""
Who waited for the event loop, for how long, and who held it; and whose the computing of a task is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from rung.probe import asgi, core
from rung.probe.instruments import tasks
from tests.probe.playing import answer, ask, finished, recorded, recording, routed

HELD_S = 0.06


@pytest.fixture(autouse=True)
def _recording() -> Iterator[None]:
    with recording():
        yield


def compute(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


async def app(scope: Any, receive: Any, send: Any) -> None:
    routed().route = scope["path"]
    if scope["path"] == "/waits":
        await asyncio.sleep(HELD_S / 6)
    elif scope["path"] == "/computes":
        compute(HELD_S)
    elif scope["path"] == "/steps":
        for _ in range(40):
            compute(HELD_S / 40)
            await asyncio.sleep(0)
    elif scope["path"] == "/after":
        await answer(send)
        await asyncio.sleep(HELD_S)
        compute(HELD_S)
        return
    await answer(send)


def of(path: str, kind: str = "request") -> list[dict[str, Any]]:
    return [one for one in finished() if one["route"] == path and one["kind"] == kind]


def loops(path: str) -> list[tuple[str, float]]:
    (request,) = of(path)
    return [(part["name"], part["duration_s"]) for part in request["segments"] if part["seam"] == "loop"]


async def both(*paths: str) -> None:
    recorded_app = recorded(app)
    await asyncio.gather(*[ask(recorded_app, path) for path in paths])


def test_a_request_that_waits_for_anothers_computing_says_so() -> None:
    asyncio.run(both("/waits", "/computes"))
    ((holder, waited_s),) = loops("/waits")
    assert "/computes" == holder
    assert HELD_S / 2 < waited_s <= of("/waits")[0]["duration_s"]
    assert [] == loops("/computes")


def test_ones_own_computing_is_no_waiting() -> None:
    asyncio.run(both("/computes"))
    asyncio.run(both("/steps"))
    assert [] == loops("/computes") + loops("/steps")
    assert of("/computes")[0]["cpu_s"] >= 0.9 * HELD_S


def test_a_run_of_steps_is_one_wait() -> None:
    asyncio.run(both("/waits", "/steps"))
    found = loops("/waits")
    assert {"/steps"} >= {name for name, _ in found}
    assert sum(waited_s for _, waited_s in found) <= of("/waits")[0]["duration_s"]


def test_what_goes_on_after_the_response_is_a_unit_of_its_own() -> None:
    asyncio.run(both("/after"))
    (request,), (after,) = of("/after"), of("/after", "background")
    assert request["request"] == after["follows"] != after["request"]
    assert request["duration_s"] < HELD_S
    assert request["cpu_s"] < HELD_S / 2
    assert after["duration_s"] >= 2 * HELD_S
    assert HELD_S * 0.9 <= after["cpu_s"] < after["duration_s"] - HELD_S * 0.9
    assert not core.state.live


class Loop(asyncio.SelectorEventLoop):
    """
    A loop of its own, so that instrumenting it touches no other test.
    """


tasks.starting(Loop)


@pytest.mark.parametrize("cancelled", [False, True])
def test_the_computing_of_started_tasks_is_their_requests(cancelled: bool) -> None:
    seen = []

    async def part(seconds: float) -> str:
        seen.append(routed().route)
        compute(seconds)
        await asyncio.sleep(0)
        return "done"

    async def fan_out(scope: Any, receive: Any, send: Any) -> None:
        routed().route = "/fan"
        async with asyncio.TaskGroup() as group:
            started = [group.create_task(part(HELD_S / 2), name=f"part {number}") for number in range(2)]
            late = group.create_task(part(HELD_S))
            if cancelled:  # before its first step
                late.cancel()
        assert ["done", "done"] == [one.result() for one in started]
        assert ["part 0", "part 1"] == [one.get_name() for one in started]
        assert cancelled == late.cancelled()
        assert "part" in repr(started[0])
        await answer(send)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(ask(recorded(fan_out)))
    (request,) = of("/fan")
    parts = 2 if cancelled else 3
    assert ["/fan"] * parts == seen
    assert request["cpu_s"] >= 0.9 * (HELD_S if cancelled else 2 * HELD_S)
    assert request["cpu_s"] <= request["duration_s"]
    assert 0 == core.state.failures


def test_a_task_that_outlives_its_request_goes_on_alone() -> None:
    done = []

    async def long() -> None:
        for _ in range(3):
            await asyncio.sleep(0.005)
        done.append(core.current.get())

    async def leaves(scope: Any, receive: Any, send: Any) -> None:
        routed().route = "/leaves"
        task = asyncio.get_running_loop().create_task(long())
        await answer(send)
        done.append(task)

    async def all_of_it() -> None:
        await ask(recorded(leaves))
        await done[0]

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(all_of_it())
    assert 2 == len(done)
    assert 1 == len(of("/leaves"))
    assert 0 == core.state.failures
    assert isinstance(done[0].get_coro(), asgi.Task)
