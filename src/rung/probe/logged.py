"""
What the app logs: its template, level and line, never the values in it.

A text is a template where it stands as a constant in the code that logs it, or in what called that: the object that
was logged is the one that the compiler made, and not merely equal to it.  A text that was put together before it was
logged is an object of its own, and nothing of it is kept.

In        a line as it is logged; the scope in which that happens
Out       `Request.lines` and `state.lines`, tuples in the order of frames.Line
Not here  which functions log (instruments/logging.py, instruments/structlog.py); whether a request is kept, and with
          it its lines (core.py)
"""

from __future__ import annotations

from rung.probe import core, lines
from rung.probe.core import NONE, SHED_STACKS, current, state
from rung.probe.state import LINES_HELD_MAX

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

LINES_MAX = 200  # of one request, or of what it goes on with
LEVEL_MAX = 2**15 - 1
LOGGER_LETTERS_MAX = 200
FRAMES_MAX = 3  # of the app, from the one that logs outwards: a function of its own may stand between
DEPTH_MAX = 16
REMEMBERED_MAX = 5_000
LETTERS_MIN = 2  # Python has one object for each single letter, wherever it comes from

# The text constants of code that has logged, each under itself.  Holding the code keeps its id from being used anew.
_constants: dict[int, tuple[CodeType, dict[str, str]]] = {}
_passed: tuple[str, ...] = ()


def wanted() -> bool:
    """
    Return whether another line is kept at this moment; one that is not is counted.
    """
    state.lines_seen += 1
    if (
        state.lines_left > 0
        and state.shed < SHED_STACKS
        and state.recording
        and len(state.lines) < LINES_HELD_MAX
    ):  # fmt: skip
        return True
    state.lines_dropped += 1
    return False


def note(
    at_s: float, level: int, logger: str, template: str | None, code: str | None, error: str | None = None
) -> None:
    """
    Keep a line with the request that logs it, or by itself where none does.
    """
    state.lines_left -= 1
    level = max(0, min(level, LEVEL_MAX))
    logger = logger[:LOGGER_LETTERS_MAX]
    scope = current.get()
    if scope is None:
        state.lines.append((at_s, None, None, level, logger, template, code, error))
        return
    request = scope.request
    segment = None if scope.serial == NONE else scope.serial
    line = (at_s, request.serial, segment, level, logger, template, code, error)
    if request.ended and request.row is None:  # it has been handed over
        state.keep_lines([line], request.serial, kept=request.kept)
    elif request.lines is None:
        request.lines = [line]
    elif len(request.lines) < LINES_MAX:
        request.lines.append(line)
    else:
        state.lines_dropped += 1


def passed_by(path: str) -> None:
    """
    Note that code in files that begin with *path* is a logging library's.
    """
    global _passed
    _passed = (*_passed, path)


def constant(text: Any, frame: FrameType | None) -> str | None:
    """
    Return *text* if it is a constant of the code that *frame* and its callers run, else None.

    Of a logging library's frames, what one calls `event` is the text as the app gave it.
    """
    passed = _passed
    left = FRAMES_MAX
    sought = type(text) is str and len(text) >= LETTERS_MIN
    for _ in range(DEPTH_MAX):
        if frame is None:
            return None
        code = frame.f_code
        if sought:
            known = _constants.get(id(code))
            if (_looked_into(code) if known is None else known[1]).get(text) is text:
                return str(text)
        if code.co_filename.startswith(passed):
            if code.co_name in _EVENTFUL and "event" in code.co_varnames:
                text = frame.f_locals.get("event", text)
                sought = type(text) is str and len(text) >= LETTERS_MIN
        else:
            left -= 1
            if not left:
                return None
        frame = frame.f_back
    return None


# structlog's functions between the app and its processors.
_EVENTFUL = frozenset({
    "_proxy_to_logger", "meth", "ameth", "log", "alog", "exception", "aexception", "debug", "info", "warning", "error",
    "critical", "fatal",
})  # fmt: skip


def _looked_into(code: CodeType) -> dict[str, str]:
    if len(_constants) >= REMEMBERED_MAX:
        _constants.clear()
    texts = {each: each for each in code.co_consts if type(each) is str}
    _constants[id(code)] = (code, texts)
    return texts


def described(exc_info: Any) -> str | None:
    """
    Return type and line of the exception that was logged with a line, if one was.
    """
    error = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else exc_info
    if not isinstance(error, BaseException):
        return None
    return core.describe_error(error, lines.line_of_error(error.__traceback__))
