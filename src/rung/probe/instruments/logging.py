"""
The standard library's logging: each record has the ids of its trace and span, and becomes a line of its request.

What is wrapped is `Logger.callHandlers`, where a record arrives that its logger let through.  By then the app's `extra`
is in it, with which an attribute that was there before would be in conflict; whatever names these attributes as well,
a factory or a filter of the app's, has the last word.  The app's handlers, formatters and levels stay what they are.

In        logging after its import
Out       LogRecord.trace_id and LogRecord.span_id, "" outside of a request; logged lines
Not here  what is kept of a line (logged.py); structlog's own loggers (structlog.py)
"""

from __future__ import annotations

import functools
import sys

from rung.probe import core, logged, propagating
from rung.probe.lines import of_place

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any

_CALLER = 4  # frames above: callHandlers, handle, _log, info, and who called that
_OUTSIDE = ("", "")


def _logging(module: Any) -> None:
    owner = module.Logger
    original = owner.callHandlers
    logged.passed_by(original.__code__.co_filename)
    current, state = core.current.get, core.state

    @functools.wraps(original)
    def recorded(self: Any, record: Any) -> None:
        try:
            scope = current()
            trace, span = _OUTSIDE if scope is None else propagating.ids(scope)
            held = record.__dict__
            if "trace_id" not in held:
                held["trace_id"] = trace
            if "span_id" not in held:
                held["span_id"] = span
            # One that another process handed over was counted there.
            if (record.process == state.pid or record.process is None) and logged.wanted():
                _note(record)
        except Exception:
            core.failed()
        original(self, record)

    owner.callHandlers = recorded


def _note(record: Any) -> None:
    template = logged.constant(record.msg, sys._getframe(1 + _CALLER))
    error = logged.described(record.exc_info) if record.exc_info else None
    code = of_place(record.pathname, record.lineno)
    logged.note(float(record.created), int(record.levelno), str(record.name), template, code, error)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"logging": _logging}
