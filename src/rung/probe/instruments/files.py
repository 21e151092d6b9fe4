"""
Local files that a request opens to write: the time that takes, and that it happens at all.

An app that writes files beside itself is not one of many identical instances, so every opening counts, however short.
`open` is replaced rather than watched by an audit hook: a hook is called for every audited event of the process
(imports, attribute look-ups, our own looks at the stack), knows no duration, and can never be taken away again.  What
takes its place is an object with the function's looks and not a function, since a class may hold `open` as an
attribute, which a function would turn into a method.  Reading costs a look at the mode.

In        open as builtins and io have it; pathlib's write_text and write_bytes, with the writing itself
Out       segments file, named "" or, for what tempfile opens, "temporary"
Not here  paths; what is written to an open file later (mostly into memory, and part of the computing around it);
          descriptors opened by other means (os.open), and what C code opens
"""

from __future__ import annotations

import builtins
import io
import os
import sys
from typing import Any

from rung.probe import core, lines
from rung.probe.wrapping import around_call, named

_current = core.current.get
_WRITING = frozenset("wax+")


class Open:
    """
    The function `open`, recording the openings for writing that happen inside a request.
    """

    def __init__(self, original: Any) -> None:
        self.__wrapped__ = original
        for name in ("__doc__", "__name__", "__qualname__", "__self__", "__text_signature__"):
            setattr(self, name, getattr(original, name, None))
        self.__module__ = "io"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """
        Open, as the original does.
        """
        mode = args[1] if len(args) > 1 else kwargs.get("mode", "r")
        if mode == "r" or mode == "rb" or _current() is None:  # noqa: PLR1714 - a tuple costs more
            return self.__wrapped__(*args, **kwargs)
        return self._maybe_written(mode, args, kwargs)

    def _maybe_written(self, mode: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        segment = core.enter("file") if _opens_to_write(mode, args[0] if args else kwargs.get("file")) else None
        if segment is None:
            return self.__wrapped__(*args, **kwargs)
        try:
            return self.__wrapped__(*args, **kwargs)
        finally:
            _close(segment)

    def __reduce__(self) -> str:
        return "open"  # of io, wherever it is unpickled

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def _opens_to_write(mode: Any, file: Any) -> bool:
    # A descriptor is open already: mostly the end of a pipe.
    return isinstance(mode, str) and not _WRITING.isdisjoint(mode) and type(file) is not int and file != os.devnull


def _close(segment: core.Segment) -> None:
    name, code = "", None
    try:
        # This function, _maybe_written, __call__, and who called open.
        if sys._getframe(3).f_globals.get("__name__") == "tempfile":
            name = "temporary"
        code = lines.line_here()
    except Exception:
        core.failed()
    core.leave(segment, name, code=code)


def install() -> None:
    """
    Put the recording `open` in the place of the one that builtins and io share.
    """
    if builtins.open is not io.open or isinstance(io.open, Open):
        return
    core.waiting.add(Open._maybe_written.__code__)
    recorded: Any = Open(io.open)
    builtins.open = io.open = recorded
    pathlib = sys.modules.get("pathlib")
    if pathlib is not None:
        around_call(pathlib.Path, "write_text", "file", named(""))
        around_call(pathlib.Path, "write_bytes", "file", named(""))
