"""
asgiref, by which Django and Flask cross between threads and event loops.

In        asgiref.sync after its import
Out       segments threads; the computing on the other side added to its request
Not here  which views are async (Django and Flask)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from threading import get_ident
from time import perf_counter
from types import CoroutineType, ModuleType
from typing import Any

from rung.probe import asgi, core, lines
from rung.probe.instruments.threads import InThread
from rung.probe.threaded import Steady

# Threads that wait for a coroutine and meanwhile run what it sends back to them, with the clock that counts them.
_lent: dict[int, core.Clock] = {}


class Handed(core.Scope):
    """
    What the context holds between a call and its start on the other side; nothing else is recorded there.
    """

    __slots__ = ("called", "line", "outer")

    def __init__(self, outer: core.Scope) -> None:
        super().__init__(outer.request, outer.clock, outer.serial)
        self.leaf = True
        self.outer = outer
        self.line = lines.line_here()
        self.called = perf_counter()


def _sync(module: ModuleType) -> None:
    _to_thread(module.SyncToAsync)
    _to_loop(module.AsyncToSync, module.SyncToAsync)


def _to_thread(owner: Any) -> None:
    begin, call, current = owner.__init__, owner.__call__, core.current

    @functools.wraps(begin)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - takes its place
        begin(self, *args, **kwargs)
        try:
            self.func = _in_thread(self.func)
        except Exception:
            core.failed()

    @functools.wraps(call)
    async def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - takes its place
        outer = current.get()
        if outer is None or outer.leaf or outer.request.ended:
            return await call(self, *args, **kwargs)
        token = _handed_over(outer)
        if token is None:
            return await call(self, *args, **kwargs)
        # What the task does on the way to the thread and back is the price of the thread, not the app's work.
        paused = outer.clock.pause()
        try:
            return await call(self, *args, **kwargs)
        finally:
            _reset(token)
            if paused:
                outer.clock.resume()

    owner.__init__, owner.__call__ = __init__, __call__


def _handed_over(outer: core.Scope) -> Any:
    """
    Have the context hold what the other side needs; return what takes it out again, or None where that failed.
    """
    try:
        return core.current.set(Handed(outer))
    except Exception:
        core.failed()
        return None


def _in_thread(func: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        handed = core.current.get()
        if type(handed) is not Handed or handed.request.ended:
            return func(*args, **kwargs)
        scope, clock = _enter_thread(handed)
        if scope is None:
            return func(*args, **kwargs)
        try:
            return func(*args, **kwargs)
        finally:
            _leave_thread(scope, clock)

    core.working.add(run.__code__)
    return functools.wraps(func)(run)


def _enter_thread(handed: Handed) -> tuple[core.Scope | None, Steady | None]:
    """
    Return the scope of the calling thread, and the clock begun for it unless it is counted already.
    """
    request, outer = handed.request, handed.outer
    try:
        if handed.called >= request.start:  # else it was asked for before the response, and goes on after it
            where = ("threads", "", None, handed.line, None)
            duration_s = perf_counter() - handed.called
            core.keep(request, next(request.serials), outer.serial, where, start=handed.called, duration_s=duration_s)
        outer.used = True
        clock = _lent.get(get_ident())
        own = None
        if clock is None:
            clock = own = Steady()
            own.begin()
            request.clocks.append(own)
        scope = InThread(request, clock, outer.serial)
        scope.line = handed.line
        scope.token = core.current.set(scope)
    except Exception:
        core.failed()
        return None, None
    return scope, own


def _leave_thread(scope: core.Scope, clock: Steady | None) -> None:
    if clock is not None:
        clock.stop()
    _reset(scope.token)


def _to_loop(owner: Any, other: Any) -> None:
    begin, call, current = owner.__init__, owner.__call__, core.current

    @functools.wraps(begin)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - takes its place
        begin(self, *args, **kwargs)
        try:
            self.awaitable = _on_loop(self.awaitable, other.threadlocal)
        except Exception:
            core.failed()

    @functools.wraps(call)
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - takes its place
        outer = current.get()
        if outer is None or outer.leaf or outer.request.ended:
            return call(self, *args, **kwargs)
        token = _handed_over(outer)
        if token is None:
            return call(self, *args, **kwargs)
        thread = get_ident()
        before = _lent.get(thread)
        _lent[thread] = outer.clock
        try:
            return call(self, *args, **kwargs)
        finally:
            _reset(token)
            if before is None:
                del _lent[thread]
            else:
                _lent[thread] = before

    owner.__init__, owner.__call__ = __init__, __call__


def _on_loop(awaitable: Callable[..., Any], threadlocal: Any) -> Callable[..., Any]:
    @functools.wraps(awaitable)
    def begun(*args: Any, **kwargs: Any) -> Any:
        made = awaitable(*args, **kwargs)
        handed = core.current.get()
        if type(handed) is not Handed or handed.request.ended or type(made) is not CoroutineType:
            return made
        if getattr(threadlocal, "main_event_loop", None) is not None:
            return timed(made, handed.outer)
        # No loop runs above this thread: there will be one in a new thread.
        return _in_new_loop(made, handed)

    return begun


async def timed(coroutine: Any, outer: core.Scope) -> Any:
    """
    Await *coroutine*, which runs in a task of its own for the request of *outer*, with a clock of its own.
    """
    try:
        clock = core.Clock()
        token = core.current.set(core.Scope(outer.request, clock, outer.serial))
        outer.request.clocks.append(clock)
    except Exception:
        core.failed()
        return await coroutine
    try:
        return await asgi.driven(coroutine, clock, outer.request)
    finally:
        _reset(token)


async def _in_new_loop(coroutine: Any, handed: Handed) -> Any:
    scope, clock = _enter_thread(handed)
    if scope is None:
        return await coroutine
    try:
        # The thread runs this loop alone, so that its own clock tells what was computed.
        return await coroutine
    finally:
        _leave_thread(scope, clock)


def _reset(token: Any) -> None:
    try:
        core.current.reset(token)
    except Exception:
        core.failed()


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"asgiref.sync": _sync}
