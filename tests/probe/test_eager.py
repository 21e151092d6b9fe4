"""
Eager tasks (Python 3.12 and later), which begin before their creator goes on.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import pytest

from rung.probe import asgi, core

BURNT_S = 0.03


def _burn() -> None:
    until = time.perf_counter() + BURNT_S
    while time.perf_counter() < until:
        pass


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are eager tasks from 3.12 on")
def test_what_an_eager_task_computes_is_counted_once() -> None:
    async def inner() -> None:
        _burn()
        await asyncio.sleep(0)

    async def app(request: Any, scope: core.Scope) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - unknown to 3.11
        begun, before_s = time.perf_counter(), request.so_far_s()
        task = loop.create_task(asgi.Task(inner(), scope))
        own_s, (clock,) = request.so_far_s() - before_s, request.clocks
        assert clock.busy_s >= BURNT_S
        # One processor runs both, so that what they computed fits into the time that it took.
        assert own_s + clock.busy_s <= time.perf_counter() - begun
        await task

    async def main() -> None:
        request = core.Request("GET")
        scope = core.Scope(request, request)
        request.token = core.current.set(scope)
        await asgi.driven(app(request, scope), request, request)
        assert core.current.get() is scope
        core.state.live.discard(request)

    asyncio.run(main())
