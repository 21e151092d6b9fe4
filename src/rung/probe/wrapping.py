"""
Replace a function by a closure that records a segment around it and is otherwise the function itself.

In        an owner (class or module), the name of its function, the seam, and how to describe a finished call
Out       the owner with that attribute replaced; `__wrapped__` leads to the original
Not here  which functions (instruments/)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rung.probe import core, lines, statement

Arguments = tuple[Any, ...]


class Described(NamedTuple):
    """
    What is known of a finished call.
    """

    name: str
    database: str | None = None
    rows: int | None = None
    seam: str | None = None


# (positional arguments, keyword arguments, result or None where the call raised) -> what to record
Describe = Callable[[Arguments, Mapping[str, Any], Any], Described]


def named(name: str) -> Describe:
    """
    Return a description that is the same for every call.
    """
    described = Described(name)
    return lambda _args, _kwargs, _result: described


def query(text: str, database: str | None, *, percent: bool, rows: int | None = None) -> Described:
    """
    Describe a statement that was executed, and note its text once per process; a COMMIT has a seam of its own.
    """
    known = statement.normalised(text, percent=percent)
    if known.text == "COMMIT":
        return Described("commit", database, None, "commit")
    key = (database or "", known.fingerprint)
    state = core.state
    if key not in state.statements_known:
        if len(state.statements_known) >= 10_000:
            state.statements_known.clear()
        state.statements_known.add(key)
        state.statements.append((*key, known.text, known.kind))
    return Described(known.fingerprint, database, rows)


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
