"""
anyio and asyncio: waiting for a worker thread, and the computing done in it.

In        anyio.to_thread and asyncio.threads after their import
Out       segments threads; the thread's CPU time added to its request
Not here  executors to which no context is carried (loop.run_in_executor)
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from time import perf_counter, thread_time
from types import ModuleType
from typing import Any

from rung.probe import core, lines


def _recorded(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def in_thread(func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        outer = core.current.get()
        if outer is None or outer.leaf or outer.request.ended:
            return await original(func, *args, **kwargs)
        # What the task itself does on the way to the thread and back is the price of the thread, not the app's work.
        paused = outer.clock.pause()
        try:
            return await original(_started(func, outer), *args, **kwargs)
        finally:
            if paused:
                outer.clock.resume()

    return in_thread


def _started(func: Callable[..., Any], outer: core.Scope) -> Callable[..., Any]:
    called = perf_counter()
    try:
        code = lines.line_of_call("threads", outer.request.route)
    except Exception:
        core.failed()
        code = None

    def run(*args: Any, **kwargs: Any) -> Any:
        scope = _enter_thread(outer, called, code)
        if scope is None:
            return func(*args, **kwargs)
        try:
            return func(*args, **kwargs)
        finally:
            _leave_thread(scope)

    return run


def _enter_thread(outer: core.Scope, called: float, code: str | None) -> core.Scope | None:
    request = outer.request
    try:
        if request.ended:
            return None
        serial = next(request.serials)
        where = ("threads", "", None, code, None)
        core.keep(request, serial, outer.serial, where, start=called, duration_s=perf_counter() - called)
        outer.used = True
        clock = core.ThreadClock()
        scope = core.Scope(request, clock, outer.serial)
        scope.token = core.current.set(scope)
        clock.stepping = True
        clock.mark = thread_time()
        request.clocks.append(clock)
    except Exception:
        core.failed()
        return None
    return scope


def _leave_thread(scope: core.Scope) -> None:
    try:
        clock = scope.clock
        clock.busy_s = clock.so_far_s()
        clock.stepping = False
        core.current.reset(scope.token)
    except Exception:
        core.failed()


def _anyio(module: ModuleType) -> None:
    module.run_sync = _recorded(module.run_sync)  # type: ignore[attr-defined]


def _asyncio(module: ModuleType) -> None:
    original = module.to_thread
    module.to_thread = recorded = _recorded(original)  # type: ignore[attr-defined]
    package = sys.modules.get("asyncio")
    if getattr(package, "to_thread", None) is original:
        package.to_thread = recorded  # type: ignore[union-attr]


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"anyio.to_thread": _anyio, "asyncio.threads": _asyncio}
