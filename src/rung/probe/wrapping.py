"""
Replace a function by a closure that records a segment around it and is otherwise the function itself.

In        an owner (class or module), the name of its function, the seam, and how to describe a finished call
Out       the owner with that attribute replaced; `__wrapped__` leads to the original
Not here  which functions (instruments/)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from rung.probe import core, lines, statement

Arguments = tuple[Any, ...]


# name, database, rows, and the seam where it is another than the wrapper's: a plain tuple, made for every call
Described = tuple[str, str | None, int | None, str | None]

# (positional arguments, keyword arguments, result or None where the call raised) -> what to record
Describe = Callable[[Arguments, Mapping[str, Any], Any], Described]

_ASKED_MAX = 4_096
_KNOWN_MAX = 10_000


def named(name: str) -> Describe:
    """
    Return a description that is the same for every call.
    """
    described = (name, None, None, None)
    return lambda _args, _kwargs, _result: described


def query(text: str, database: str | None, *, percent: bool, rows: int | None = None) -> Described:
    """
    Describe a statement that was executed, and note its text once per process; a COMMIT has a seam of its own.
    """
    asked = core.state.asked.get((text, database, percent))
    if asked is None:
        asked = _note(text, database, percent=percent)
    return (asked[0], database, rows, asked[1])


def _note(text: str, database: str | None, *, percent: bool) -> tuple[str, str | None]:
    state = core.state
    known = statement.normalised(text, percent=percent)
    asked = ("commit", "commit") if known.text == "COMMIT" else (known.fingerprint, None)
    key = (database or "", known.fingerprint)
    if asked[1] is None and key not in state.statements_known:
        if len(state.statements_known) >= _KNOWN_MAX:
            state.statements_known.clear()
        state.statements_known.add(key)
        state.statements.append((*key, known.text, known.kind))
    if len(text) <= statement.TEXT_MAX:
        if len(state.asked) >= _ASKED_MAX:
            state.asked.clear()
        state.asked[text, database, percent] = asked
    return asked


def around_coroutine(owner: Any, attribute: str, seam: str, describe: Describe) -> None:
    """
    Record *seam* around a coroutine function, or around a class method that is one.
    """
    original, put = _taken(owner, attribute)
    if original is None:
        return

    @functools.wraps(original)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        scope = core.enter(seam)
        if scope is None:
            return await original(*args, **kwargs)
        try:
            result = await original(*args, **kwargs)
        except BaseException:
            _finish(scope, describe, args, kwargs, None)
            raise
        _finish(scope, describe, args, kwargs, result)
        return result

    put(recorded)


def around_call(owner: Any, attribute: str, seam: str, describe: Describe) -> None:
    """
    Record *seam* around a plain function, or around a class method that is one.
    """
    original, put = _taken(owner, attribute)
    if original is None:
        return

    @functools.wraps(original)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        scope = core.enter(seam)
        if scope is None:
            return original(*args, **kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException:
            _finish(scope, describe, args, kwargs, None)
            raise
        _finish(scope, describe, args, kwargs, result)
        return result

    put(recorded)


def _finish(scope: core.Scope, describe: Describe, args: Arguments, kwargs: Mapping[str, Any], result: Any) -> None:
    name, database, rows, seam, code = "", None, None, None, None
    try:
        name, database, rows, seam = describe(args, kwargs, result)
        code = lines.line_of_call(name or scope.seam, scope.request.route)
    except Exception:
        core.failed()
    core.leave(scope, name, seam=seam, database=database, code=code, rows=rows)


def _taken(owner: Any, attribute: str) -> tuple[Any, Callable[[Any], None]]:
    # Only what the owner defines itself: an inherited function is replaced where it stands.
    held = vars(owner).get(attribute)
    if isinstance(held, classmethod):
        return held.__func__, lambda function: setattr(owner, attribute, classmethod(function))
    return held, lambda function: setattr(owner, attribute, function)
