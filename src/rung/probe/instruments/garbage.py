"""
Collections of garbage that hold a request up.

A collection happens wherever something is allocated, also in the recorder itself, and nothing runs beside it but what
it finalises; so its beginning is one number a process.  It is told apart from what it interrupted: of the request's
own computing, its time is taken off the clock, and of a segment it is kept as part.

In        gc.callbacks
Out       segments cpu, named "gc", of a millisecond or more, and of every full collection
Not here  short ones, which stay part of what they interrupted; which line allocated last, for that says nothing
"""

from __future__ import annotations

import gc
from time import perf_counter
from typing import Any

from rung.probe import core

LEAST_S = 1e-3
FULL = 2

_begun = 0.0


def _on_collection(phase: str, info: dict[str, Any]) -> None:
    global _begun
    if phase == "start":
        _begun = perf_counter()
        return
    duration_s = perf_counter() - _begun
    if duration_s >= LEAST_S or info["generation"] == FULL:
        _collected(_begun, duration_s)


def _collected(start: float, duration_s: float) -> None:
    try:
        scope = core.current.get()
        if scope is None or scope.request.ended or start < scope.request.start:
            return
        clock = scope.clock
        counted, before_s = clock.depth == 0, clock.busy_s
        if clock.halt():
            if counted:  # a thread may have waited meanwhile, and then its clock counted less
                clock.busy_s -= min(duration_s, clock.busy_s - before_s)
            clock.resume()
        scope.used = True
        where = ("cpu", "gc", None, None, None)
        core.keep(scope.request, next(scope.request.serials), scope.serial, where, start=start, duration_s=duration_s)
    except Exception:
        core.failed()


def install() -> None:
    """
    Be told of collections from now on.
    """
    if _on_collection not in gc.callbacks:
        gc.callbacks.append(_on_collection)
