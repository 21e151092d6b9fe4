"""
Which line of the user's code a call comes from.

In        the stack at the moment of a call, or the traceback of an exception
Out       "shop/orders.py:48", relative to the working directory where below it; None where no frame is the user's
Not here  anything about what was called
"""

from __future__ import annotations

import os
import sys
from types import CodeType, TracebackType

from rung.probe.core import current

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from typing import Any

_REMEMBERED_MAX = 10_000

_OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "")
_EXAMPLES = os.path.join(_OURS, "examples", "")  # the demo's shop, where rung is installed as a wheel
_FOREIGN = (os.path.join(os.path.dirname(os.path.realpath(os.__file__)), ""), _OURS)

_DJANGO = os.path.join("django", "template", "base.py")

_names: dict[str, str | None] = {}
_calls: dict[tuple[str, str | None], str | None] = {}


def line_of_call(key: str, route: str | None) -> str | None:
    """
    Return the innermost line of the user's code on the stack, looked for once per (*key*, *route*).
    """
    found = _calls.get((key, route), "")
    if found == "":
        if len(_calls) >= _REMEMBERED_MAX:
            _calls.clear()
        found = _calls[(key, route)] = _search(sys._getframe(1)) or _handed_over()
    return found


def _handed_over() -> str | None:
    """
    Return the line that sent the calling thread to work, where its scope knows it.
    """
    scope: Any = current.get()
    while scope is not None:
        line: str | None = getattr(scope, "line", None)
        if line is not None:
            return line
        scope = getattr(scope, "outer", None)
    return None


def line_here() -> str | None:
    """
    Return the innermost line of the user's code on the stack, looked for at each call.
    """
    return _search(sys._getframe(1)) or _handed_over()


def of_frame(frame: Any) -> str | None:
    """
    Return the line that *frame* is at, if it is the user's.
    """
    name = _name(frame.f_code)
    return None if name is None else f"{name}:{_number(frame, frame.f_lineno)}"


def line_of_error(traceback: TracebackType | None) -> str | None:
    """
    Return the innermost line of the user's code in *traceback*.
    """
    found = None
    while traceback is not None:
        name = _name(traceback.tb_frame.f_code)
        if name is not None:
            found = f"{name}:{_number(traceback.tb_frame, traceback.tb_lineno)}"
        traceback = traceback.tb_next
    return found


def _search(frame: Any) -> str | None:
    waiting = _greenlet_parent_frame()
    while frame is not None:
        # SQLAlchemy runs a driver's coroutine in the parent of the greenlet that asked for it; what asked hangs
        # in a local of the function that drives both.
        if frame.f_code.co_name == "greenlet_spawn" and "sqlalchemy" in frame.f_code.co_filename:
            asking = getattr(frame.f_locals.get("context"), "gr_frame", None)
            found = _innermost(asking)
            if found is not None:
                return found
        found = _line(frame)
        if found is not None:
            return found
        frame = frame.f_back
        if frame is None:
            frame, waiting = waiting, None
    return None


def _greenlet_parent_frame() -> Any:
    """
    Return the frame that waits for the current greenlet, or None; greenlet is never imported by this.
    """
    module = sys.modules.get("greenlet")
    if module is None:
        return None
    parent = module.getcurrent().parent
    return parent.gr_frame if parent is not None else None


def _innermost(frame: Any) -> str | None:
    while frame is not None:
        found = _line(frame)
        if found is not None:
            return found
        frame = frame.f_back
    return None


def _line(frame: Any) -> str | None:
    """
    Return the line that *frame* is at, if it is the user's: of their code, or of a template of theirs.
    """
    code = frame.f_code
    name = _name(code)
    if name is not None:
        return f"{name}:{_number(frame, frame.f_lineno)}"
    # Django walks through a template's nodes, each of which knows its place.
    if code.co_name == "render_annotated" and code.co_filename.endswith(_DJANGO):
        node = frame.f_locals.get("self")
        origin, token = getattr(node, "origin", None), getattr(node, "token", None)
        name = _shown_once(getattr(origin, "name", "<"))
        if name is not None and token is not None:
            return f"{name}:{token.lineno}"
    return None


def _number(frame: Any, number: int) -> int:
    """
    Return the number of a line as the user wrote it; Jinja compiles a template into code with lines of its own.
    """
    template = frame.f_globals.get("__jinja_template__")
    return number if template is None else int(template.get_corresponding_lineno(number))


def _name(code: CodeType) -> str | None:
    return _shown_once(code.co_filename)


def _shown_once(filename: str) -> str | None:
    name = _names.get(filename, "")
    if name == "":
        if len(_names) >= _REMEMBERED_MAX:
            _names.clear()
        name = _names[filename] = _shown(filename)
    return name


def _shown(filename: str) -> str | None:
    if filename.startswith("<"):
        return None
    path = os.path.realpath(filename)
    parts = path.split(os.sep)
    foreign = path.startswith(_FOREIGN) or "site-packages" in parts or "dist-packages" in parts
    if foreign and not path.startswith(_EXAMPLES):
        return None
    here = os.path.join(os.path.realpath(os.getcwd()), "")
    return path.removeprefix(here)


def of_place(filename: str, number: int) -> str | None:
    """
    Return a line of *filename*, if it is the user's.
    """
    name = _shown_once(filename)
    return None if name is None else f"{name}:{number}"
