"""
Replace a function by a closure that records a segment around it and is otherwise the function itself.

In        an owner (class or module), the name of its function, the seam, and how to describe a finished call
Out       the owner with that attribute replaced; `__wrapped__` leads to the original
Not here  which functions (instruments/), statements (statements.py)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from rung.probe import core, lines

Arguments = tuple[Any, ...]

# name, database
Described = tuple[str, str | None]

# (positional arguments, keyword arguments, result or None where the call raised) -> what to record
Describe = Callable[[Arguments, Mapping[str, Any], Any], Described]


def named(name: str) -> Describe:
    """
    Return a description that is the same for every call.
    """
    described = (name, None)
    return lambda _args, _kwargs, _result: described


def around_coroutine(owner: Any, attribute: str, seam: str, describe: Describe) -> None:
    """
    Record *seam* around a coroutine function, or around a class method that is one.
    """
    original, put = taken(owner, attribute)
    if original is None:
        return

    @functools.wraps(original)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        segment = core.enter(seam)
        if segment is None:
            return await original(*args, **kwargs)
        try:
            result = await original(*args, **kwargs)
        except BaseException:
            _finish(segment, describe, args, kwargs, None)
            raise
        _finish(segment, describe, args, kwargs, result)
        return result

    put(recorded)


def around_call(owner: Any, attribute: str, seam: str, describe: Describe) -> None:
    """
    Record *seam* around a plain function, or around a class method that is one.
    """
    original, put = taken(owner, attribute)
    if original is None:
        return

    @functools.wraps(original)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        segment = core.enter(seam)
        if segment is None:
            return original(*args, **kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException:
            _finish(segment, describe, args, kwargs, None)
            raise
        _finish(segment, describe, args, kwargs, result)
        return result

    put(recorded)


def _finish(segment: core.Segment, describe: Describe, args: Arguments, kwargs: Mapping[str, Any], result: Any) -> None:
    name, database, code = "", None, None
    try:
        name, database = describe(args, kwargs, result)
        code = lines.line_of_call(name or segment.seam, segment.request.route)
    except Exception:
        core.failed()
    core.leave(segment, name, database=database, code=code)


def taken(owner: Any, attribute: str) -> tuple[Any, Callable[[Any], None]]:
    """
    Return the function that *owner* has under that name, or None, and what puts another one in its place.
    """
    # Only what the owner defines itself: an inherited function is replaced where it stands.
    held = vars(owner).get(attribute)
    if isinstance(held, classmethod):
        return held.__func__, lambda function: setattr(owner, attribute, classmethod(function))
    return held, lambda function: setattr(owner, attribute, function)
