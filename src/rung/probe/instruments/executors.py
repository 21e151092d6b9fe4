"""
Executors of threads: waiting for a thread, and the computing done in it.

An executor carries no context.  What a request submits runs in the request's scope for as long as it runs, by our own
context variable alone, in the thread's own context or in the one that the caller brought (`context.run`, which is how
asyncio.to_thread goes about it); the app's variables stay as they are.  `loop.run_in_executor`, also uvloop's, submits
the same way, and so does `Executor.map`.

In        concurrent.futures.thread after its import
Out       segments threads; the thread's CPU time added to its request
Not here  processes, executors of other makes; what still runs as the request ends is counted no further
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextvars import Context
from types import BuiltinMethodType, ModuleType
from typing import Any

from rung.probe import core
from rung.probe.instruments import threads


def _thread(module: ModuleType) -> None:
    original, current = module.ThreadPoolExecutor.submit, core.current.get

    @functools.wraps(original)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        outer = current()
        if outer is None or outer.leaf or outer.request.ended:
            return original(self, fn, *args, **kwargs)
        try:
            fn, args = carried(fn, args, outer)
        except Exception:
            core.failed()
        return original(self, fn, *args, **kwargs)

    module.ThreadPoolExecutor.submit = submit


def carried(fn: Callable[..., Any], args: tuple[Any, ...], outer: core.Scope) -> tuple[Callable[..., Any], Any]:
    """
    Return what to submit in place of *fn* and *args*, so that it runs in the request of *outer*.
    """
    if type(fn) is functools.partial and _runs_in_context(fn.func) and fn.args:
        inner, *rest = fn.args
        return functools.partial(fn.func, _within(inner, outer), *rest, **fn.keywords), args
    if _runs_in_context(fn) and args:
        return fn, (_within(args[0], outer), *args[1:])
    return _within(fn, outer), args


def _runs_in_context(fn: Any) -> bool:
    return type(fn) is BuiltinMethodType and type(fn.__self__) is Context and fn.__name__ == "run"


def _within(fn: Callable[..., Any], outer: core.Scope) -> Callable[..., Any]:
    return fn if threads.is_started(fn) else threads.started(fn, outer, each_call=True)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"concurrent.futures.thread": _thread}
