"""
Replace a function by a closure that records a segment around it and is otherwise the function itself.

In        an owner (class or module), the name of its function, the seam, and how to describe a finished call
Out       the owner with that attribute replaced; `__wrapped__` leads to the original
Not here  which functions (instruments/), statements (statements.py)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping
from time import perf_counter
from types import FunctionType
from typing import Any

from rung.probe import core, lines

Arguments = tuple[Any, ...]

# name, database
Described = tuple[str, str | None]

# (positional arguments, keyword arguments, result or None where the call raised) -> what to record
Describe = Callable[[Arguments, Mapping[str, Any], Any], Described]

# Where one of many lines stands for all of a route: a pool has its own reasons to wait.  Other calls of one name are
# told apart by their lines alone.
_ALIKE = frozenset({"pool", "connect"})


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
    if original is not None:
        put(call(original, seam, describe))


def call(original: Callable[..., Any], seam: str, describe: Describe) -> Callable[..., Any]:
    """
    Return *original*, a plain function, with *seam* recorded around it.
    """

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

    if seam == "cpu":  # all closures of one place share their code, and equal code is the same to a set
        recorded.__code__ = recorded.__code__.replace(co_name="computing")
    else:
        core.waiting.add(recorded.__code__)
    return functools.wraps(original)(recorded)


def around_computing(owner: Any, attribute: str, name: str, *, least_s: float) -> None:
    """
    Record a plain function that computes, on the seam cpu, where a call takes *least_s* or longer.

    A shorter call stays what it was, a part of the app's own computing, and costs a look at the clock.  A statement
    inside of a longer one is kept beside it; who reads the recording gives each instant to what began last.
    """
    original, put = taken(owner, attribute)
    if original is None:
        return
    current = core.current.get

    @functools.wraps(original)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        scope = current()
        if scope is None or scope.leaf or scope.seam == "cpu":
            return original(*args, **kwargs)
        clock = scope.clock
        busy_s, mark, start = clock.busy_s, clock.mark, perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            duration_s = perf_counter() - start
            if duration_s >= least_s:
                counted_s = clock.so_far_s() - busy_s - (start - mark) if clock.read is perf_counter else duration_s
                _computed(scope, name, start, duration_s, counted_s)

    put(recorded)


def computing(
    original: Callable[..., Coroutine[Any, Any, Any]], name: str, *, least_s: float
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """
    Return a coroutine function that computes and awaits nothing, recorded as by `around_computing`.
    """
    current = core.current.get

    @functools.wraps(original)
    async def recorded(**kwargs: Any) -> Any:
        scope = current()
        if scope is None or scope.leaf or scope.seam == "cpu":
            return await original(**kwargs)
        clock = scope.clock
        busy_s, mark, start = clock.busy_s, clock.mark, perf_counter()
        try:
            return await original(**kwargs)
        finally:
            duration_s = perf_counter() - start
            if duration_s >= least_s:
                counted_s = clock.so_far_s() - busy_s - (start - mark) if clock.read is perf_counter else duration_s
                _computed(scope, name, start, duration_s, counted_s)

    return recorded


def _computed(scope: core.Scope, name: str, start: float, duration_s: float, counted_s: float) -> None:
    try:
        request, clock = scope.request, scope.clock
        if request.ended or start < request.start:
            return
        # What is told apart is no longer the app's own computing.
        clock.busy_s -= max(0.0, min(duration_s, counted_s))
        scope.used = True
        where = ("cpu", name, None, lines.line_here(), None)
        core.keep(request, next(request.serials), scope.serial, where, start=start, duration_s=duration_s)
    except Exception:
        core.failed()


def _finish(segment: core.Segment, describe: Describe, args: Arguments, kwargs: Mapping[str, Any], result: Any) -> None:
    name, database, code = "", None, None
    try:
        name, database = describe(args, kwargs, result)
        seam = segment.seam
        code = lines.line_of_call(name or seam, segment.request.route) if seam in _ALIKE else lines.line_here()
    except Exception:
        core.failed()
    core.leave(segment, name, database=database, code=code)


def taken(owner: Any, attribute: str) -> tuple[Any, Callable[[Any], None]]:
    """
    Return the function that *owner* has under that name, or None, and what puts another one in its place.

    Other recorders (OpenTelemetry, New Relic, ddtrace) leave objects there that pass for what they replaced, and know
    whose method they are only when they are bound.
    """
    # Only what the owner defines itself: an inherited function is replaced where it stands.
    held = vars(owner).get(attribute)
    if type(held) is classmethod:
        return held.__func__, lambda function: setattr(owner, attribute, classmethod(function))
    if isinstance(held, classmethod):
        return _bound_to_class(held), lambda function: setattr(owner, attribute, classmethod(function))
    if held is not None and isinstance(owner, type) and type(held) is not FunctionType:
        held = getattr(owner, attribute)
    return held, lambda function: setattr(owner, attribute, function)


def _bound_to_class(held: Any) -> Callable[..., Any]:
    @functools.wraps(held.__func__)
    def original(cls: Any, *args: Any, **kwargs: Any) -> Any:
        return held.__get__(None, cls)(*args, **kwargs)

    return original
