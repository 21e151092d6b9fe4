"""
Requests that have not ended for long, and where each of them waits: after a hang they are the ones one wants.

In        `state.live`, the stacks of coroutines and threads
Out       rows in the order of frames.InFlight
Not here  requests that end (core.py), stacks of what computes (sampler.py)
"""

from __future__ import annotations

import sys
from time import perf_counter, time

from rung.probe import core, lines, sampler

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LONG_S = 5.0
ROWS_MAX = 200
DEPTH_MAX = 200


def rows() -> list[tuple[Any, ...]]:
    """
    Return the requests in flight for longer than LONG_S, the oldest first.
    """
    now, seen_s = perf_counter(), time()
    old = [request for request in list(core.state.live) if now - request.start > LONG_S and not request.ended]
    if not old:
        return []
    running = {request: (code, function) for request, code, function in sampler.computing() if request is not None}
    stacks = sys._current_frames()
    found = []
    for request in sorted(old, key=lambda request: request.start)[:ROWS_MAX]:
        code, function = running.get(request) or _place(request, stacks)
        found.append((
            request.serial, request.kind, request.route or core.UNMATCHED, request.method, request.arrived_s, seen_s,
            len(request.segments), code, function,
        ))  # fmt: skip
    return found


def _place(request: core.Request, stacks: dict[int, Any]) -> tuple[str | None, str | None]:
    """
    Return the user's innermost line and the innermost function of a request that waits.
    """
    code = function = None
    try:
        if request.coroutine is not None:
            for frame in _awaited(request.coroutine):  # outermost first
                code = lines.of_frame(frame) or code
                function = frame.f_code.co_qualname
        elif request.thread is not None:
            frame = stacks.get(request.thread)
            function = frame.f_code.co_qualname if frame is not None else None
            while frame is not None and code is None:
                code, frame = lines.of_frame(frame), frame.f_back
    except Exception:
        core.failed()
    return code, function


def _awaited(waiting: Any) -> Iterator[Any]:
    """
    Yield the frames of what awaits what, from a coroutine to the future at the end, through tasks.
    """
    for _ in range(DEPTH_MAX):
        if waiting is None:
            return
        frame = None
        for kind in ("cr", "gi", "ag"):
            frame = getattr(waiting, f"{kind}_frame", None)
            if frame is not None:
                yield frame
                waiting = getattr(waiting, f"{kind}_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        if frame is None:
            # A task knows its coroutine; what else there is (a future, a driver's own awaitable) ends the chain.
            inner = getattr(waiting, "get_coro", None)
            waiting = inner() if inner is not None else None
