"""
Look at the stacks now and then: which function computes, for which request.

Twenty to fifty times a second, at moments that are drawn so that they fall in step with nothing.  A thread can be
looked at only where Python lets go of its lock, between steps of the interpreter, so what one call into C takes
falls on the line after it, or before; docs/limits.md says so.

In        the frames of all threads
Out       `state.sampled`, in the order of frames.Sample; `state.looked` for what held the event loop
Not here  CPU seconds (clocks, core.py): a look tells shares, not amounts
"""

from __future__ import annotations

import sys
import threading
from time import perf_counter, time

from rung.probe import asgi, core, lines

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

EVERY_S_MIN, EVERY_S_MAX = 0.02, 0.05
REST_S = 1.0  # while nothing is recorded, or stacks are shed
QUIET_S = 0.25  # where nothing was under way for QUIET_LOOKS looks: waking up is most of what a look costs
QUIET_LOOKS = 20
DEPTH_MAX = 250
# The frames that run an event loop: what lies outside of them is whoever started it.
_LOOPS = ("asyncio/base_events.py", "asyncio/runners.py", "uvloop/__init__.py", "asyncio/events.py")
_IDLE = ("selectors.py", "threading.py", "queue.py", "socket.py", "socketserver.py", "concurrent/futures/thread.py")

# Both hold the clock and the request of a task in locals of these names.
_DRIVING: frozenset[CodeType] = frozenset({asgi.driven.__code__, asgi.Task._step.__code__})


class Sampler(threading.Thread):
    """
    Looks until told to stop.
    """

    def __init__(self) -> None:
        super().__init__(name="rung-sampler", daemon=True)
        self.stopping = False
        self.wake = threading.Event()

    def run(self) -> None:
        """
        Look, and rest for a time that is drawn.
        """
        from random import Random  # only this thread needs it

        draw = Random().uniform
        lasted_s, quiet = EVERY_S_MAX, 0
        while not self.stopping:
            state = core.state
            wait_s = REST_S
            if state.recording and state.shed < core.SHED_STACKS:
                quiet = 0 if state.live else quiet + 1
                if not quiet:
                    try:
                        look(lasted_s)
                    except Exception:
                        core.failed()
                lasted_s = draw(EVERY_S_MIN, EVERY_S_MAX)
                wait_s = lasted_s if quiet < QUIET_LOOKS else QUIET_S
            self.wake.wait(wait_s)


def look(lasted_s: float) -> None:
    """
    Note what each thread computes at this moment; *lasted_s* is the time since the last look.
    """
    state = core.state
    at_s, now = time(), perf_counter()
    for request, code, function in computing():
        if request is None or request.thread is None:
            state.looked = (now, code)
        route = None if request is None else request.route or core.UNMATCHED
        state.sampled.append((at_s, lasted_s, None if request is None else request.serial, route, code, function))


def computing() -> list[tuple[core.Request | None, str | None, str]]:
    """
    Return for whom each other thread computes, the user's innermost line, and the innermost function.
    """
    own = threading.get_ident()
    threads = {request.thread: request for request in list(core.state.live) if request.thread is not None}
    looks = [_seen(frame, threads.get(thread)) for thread, frame in sys._current_frames().items() if thread != own]
    return [seen for seen in looks if seen is not None]


def _seen(frame: Any, request: core.Request | None) -> tuple[core.Request | None, str | None, str] | None:
    """
    Return for whom a thread computes, the user's innermost line, and the innermost function; None where it waits.
    """
    innermost = frame.f_code
    if innermost.co_filename.endswith(_IDLE) or innermost.co_filename.endswith(_LOOPS):
        return None
    function = f"{frame.f_globals.get('__name__', '')}.{innermost.co_qualname}"
    code = None
    for _ in range(DEPTH_MAX):
        if frame is None:
            break
        of = frame.f_code
        if of in core.waiting:
            return None
        if of in core.working:
            scope = frame.f_locals.get("scope")
            return None if scope is None else (scope.request, code, function)
        if of in _DRIVING:
            clock = frame.f_locals.get("clock")
            if clock is None or not clock.stepping or clock.depth:
                return None
            return frame.f_locals.get("request"), code, function
        if of.co_filename.endswith(_LOOPS):
            # A callback of nobody's request, or a library's own task.
            return None, code, function
        if code is None:
            code = lines.of_frame(frame)
            if code is not None and request is not None:
                break  # whose thread it is was known before
        frame = frame.f_back
    return (request, code, function) if request is not None and not request.depth else None
