"""
anyio and asyncio: waiting for a worker thread, and the computing done in it.

In        anyio.to_thread and asyncio.threads after their import
Out       segments threads; the thread's CPU time added to its request
Not here  executors to which no context is carried (executors.py)
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from time import perf_counter
from types import ModuleType
from typing import Any

from rung.probe import core, lines
from rung.probe.threaded import Steady


class InThread(core.Scope):
    """
    Where a function runs in its thread, with the line that sent it there: a stack of its own begins with it.
    """

    __slots__ = ("line",)

    line: str | None


def _recorded(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def in_thread(func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        outer = core.current.get()
        if outer is None or outer.leaf or outer.request.ended:
            return await original(func, *args, **kwargs)
        # What the task itself does on the way to the thread and back is the price of the thread, not the app's work.
        paused = outer.clock.pause()
        try:
            return await original(started(func, outer), *args, **kwargs)
        finally:
            if paused:
                outer.clock.resume()

    return in_thread


def started(func: Callable[..., Any], outer: core.Scope, *, each_call: bool = False) -> Callable[..., Any]:
    """
    Return *func* as it is to be called in another thread, for the request of *outer*, which waits from now on.

    A framework goes to a thread from no line of the user's, so the line is looked for once, or at each call.
    """
    called = perf_counter()
    try:
        code = lines.line_here() if each_call else lines.line_of_call("threads", outer.request.route)
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


def is_started(func: Any) -> bool:
    """
    Whether *func* was made by `started`, so that waiting for its thread is recorded already.
    """
    return getattr(func, "__code__", None) is _RUN


def _enter_thread(outer: core.Scope, called: float, code: str | None) -> core.Scope | None:
    request = outer.request
    try:
        if request.ended:
            return None
        serial = next(request.serials)
        if called >= request.start:  # else it was asked for before the response, and this is what goes on after it
            where = ("threads", "", None, code, None)
            core.keep(request, serial, outer.serial, where, start=called, duration_s=perf_counter() - called)
        outer.used = True
        clock = Steady()
        scope = InThread(request, clock, outer.serial)
        scope.line = code
        scope.token = core.current.set(scope)
        clock.begin()
        request.clocks.append(clock)
    except Exception:
        core.failed()
        return None
    return scope


def _leave_thread(scope: core.Scope) -> None:
    try:
        if isinstance(scope.clock, Steady):
            scope.clock.stop()
        core.current.reset(scope.token)
    except Exception:
        core.failed()


_RUN = next(one for one in started.__code__.co_consts if getattr(one, "co_name", None) == "run")
core.working.add(_RUN)


def _anyio(module: ModuleType) -> None:
    module.run_sync = _recorded(module.run_sync)  # type: ignore[attr-defined]


def _asyncio(module: ModuleType) -> None:
    original = module.to_thread
    module.to_thread = recorded = _recorded(original)  # type: ignore[attr-defined]
    package = sys.modules.get("asyncio")
    if getattr(package, "to_thread", None) is original:
        package.to_thread = recorded  # type: ignore[union-attr]


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"anyio.to_thread": _anyio, "asyncio.threads": _asyncio}
