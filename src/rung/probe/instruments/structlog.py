"""
structlog: each event has the ids of its trace and span, and becomes a line of its request.

The ids are put beside what the app says with an event, so that its processors see them, and only where neither the
app nor its context has keys of these names.  An event that goes on to the standard library's logging is counted there.

structlog looks for the app's frame on the stack by leaving out what calls itself structlog's; what stands between
calls itself so as well, or every processor that tells the calling line would tell ours.

In        structlog._base after its import
Out       the keys trace_id and span_id within a request; logged lines of loggers that are structlog's own
Not here  what is kept of a line (logged.py); records of the standard library (logging.py)
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from time import time
from types import FrameType, FunctionType, ModuleType
from typing import Any

from rung.probe import core, logged, propagating
from rung.probe.lines import of_place

LEVELS = {
    "debug": 10, "info": 20, "msg": 20, "log": 20, "warning": 30, "warn": 30, "error": 40, "err": 40, "failure": 40,
    "exception": 40, "critical": 50, "fatal": 50,
}  # fmt: skip
_INFO = 20
_KEYS = ("trace_id", "span_id")


def _base(module: ModuleType) -> None:
    import logging  # structlog has imported it

    folder = os.path.join(os.path.dirname(str(module.__file__)), "")
    logged.passed_by(folder)
    owner: Any = vars(module)["BoundLoggerBase"]
    original = owner._process_event
    add, note, stdlib = _add, functools.partial(_note, folder), (logging.Logger, logging.LoggerAdapter)

    def _process_event(self: Any, method_name: Any, event: Any, event_kw: Any) -> Any:
        processed = original(self, method_name, event, add(self, event_kw))
        # Dropped by a processor, it is raised out of here.
        if not isinstance(self._logger, stdlib):
            note(method_name, event, event_kw)
        return processed

    as_its_own = {"__name__": f"{module.__package__}.rung", "__builtins__": __builtins__}
    renamed = FunctionType(
        _process_event.__code__, as_its_own, _process_event.__name__, None, _process_event.__closure__
    )
    owner._process_event = functools.wraps(original)(renamed)


def _add(bound: Any, event_kw: Any) -> Any:
    """
    Return what the app said with an event, and the ids unless it has its own.
    """
    try:
        scope = core.current.get()
        if scope is None:
            return event_kw
        told = zip(_KEYS, propagating.ids(scope), strict=True)
        missing = {key: value for key, value in told if not _has(bound, event_kw, key)}
        return {**event_kw, **missing}
    except Exception:
        core.failed()
        return event_kw


def _has(bound: Any, event_kw: Any, key: str) -> bool:
    if key in event_kw or key in bound._context:
        return True
    # merge_contextvars, a processor, adds what is not there yet.
    held = vars(sys.modules["structlog.contextvars"]).get("_CONTEXT_VARS", {}).get(f"structlog_{key}")
    return held is not None and held.get(...) is not ...


def _note(folder: str, method_name: str, event: Any, event_kw: Mapping[str, Any]) -> None:
    try:
        if not logged.wanted():
            return
        frame = _caller(folder)
        template = logged.constant(event, sys._getframe(2) if _asynchronous() is None else frame)
        told = event_kw.get("exc_info")
        error = logged.described(told if isinstance(told, tuple | BaseException) else sys.exc_info() if told else None)
        code = None if frame is None else of_place(frame.f_code.co_filename, frame.f_lineno)
        name = "" if frame is None else str(frame.f_globals.get("__name__", ""))
        logged.note(time(), LEVELS.get(method_name, _INFO), name, template, code, error)
    except Exception:
        core.failed()


def _caller(folder: str) -> FrameType | None:
    """
    Return the frame that logs: the first outside of structlog.
    """
    frame: FrameType | None = _asynchronous() or sys._getframe(2)
    while frame is not None and (frame.f_code.co_filename.startswith(folder) or _between(frame)):
        frame = frame.f_back
    return frame


def _between(frame: FrameType) -> bool:
    return frame.f_code.co_filename == __file__


def _asynchronous() -> FrameType | None:
    """
    Return the frame that awaits, where the event is logged in a thread for it.
    """
    held = vars(sys.modules["structlog.contextvars"]).get("_ASYNC_CALLING_STACK")
    return None if held is None else held.get(None)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"structlog._base": _base}
