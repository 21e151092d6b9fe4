"""
Jobs: what hands one to a queue, and what runs it, each side with the trace that both are part of.

The context of a trace goes with the job where its queue has a place for it, as W3C's `traceparent`, unless one is
there already or RUNG_PROPAGATE is "off"; what runs the job is then part of the trace of what asked for it.

In        the functions of a queue that take a job and that run one
Out       segments job; units of work of the kind job and the route job:NAME
Not here  which functions these are (instruments/), a request over ASGI or WSGI
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping
from types import CoroutineType
from typing import Any

from rung.probe import arrival, asgi, core, lines, propagating
from rung.probe.threaded import Threaded, nested
from rung.probe.wrapping import Arguments, taken

CONTEXT = propagating.TRACEPARENT
SEVERAL = "(several)"  # different jobs that are handed over by one call

# (positional arguments, keyword arguments, the context of the trace or None) -> both as they are handed on, and the
# name of the job
Prepare = Callable[[Arguments, dict[str, Any], "str | None"], tuple[Arguments, dict[str, Any], str]]


def around_enqueue(owner: Any, attribute: str, prepare: Prepare) -> None:
    """
    Record a plain function that hands jobs to a queue.
    """
    original, put = taken(owner, attribute)
    if original is None:
        return

    def recorded(*args: Any, **kwargs: Any) -> Any:
        segment = core.enter("job")
        if segment is None:
            return original(*args, **kwargs)
        args, kwargs, name = _prepared(prepare, args, kwargs)
        try:
            return original(*args, **kwargs)
        finally:
            _handed_over(segment, name)

    core.waiting.add(recorded.__code__)
    put(functools.wraps(original)(recorded))


def around_async_enqueue(owner: Any, attribute: str, prepare: Prepare) -> None:
    """
    Record a coroutine function that hands jobs to a queue.
    """
    original, put = taken(owner, attribute)
    if original is None:
        return

    @functools.wraps(original)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        segment = core.enter("job")
        if segment is None:
            return await original(*args, **kwargs)
        args, kwargs, name = _prepared(prepare, args, kwargs)
        try:
            return await original(*args, **kwargs)
        finally:
            _handed_over(segment, name)

    put(recorded)


def _prepared(prepare: Prepare, args: Arguments, kwargs: dict[str, Any]) -> tuple[Arguments, dict[str, Any], str]:
    try:
        return prepare(args, kwargs, _context())
    except Exception:
        core.failed()
        return args, kwargs, ""


def _context() -> str | None:
    return dict(propagating.headers()).get(CONTEXT) if propagating.on() else None


def _handed_over(segment: core.Segment, name: str) -> None:
    code = None
    try:
        code = lines.line_here()
    except Exception:
        core.failed()
    core.leave(segment, name, code=code)


def named_alike(names: list[str]) -> str:
    """
    Return the name of jobs that are handed over together.

    >>> named_alike(["a", "a"]), named_alike(["a", "b"])
    ('a', '(several)')
    """
    return names[0] if len(set(names)) == 1 else SEVERAL


def begun(name: str, context: Any = None) -> Threaded | None:
    """
    Begin a job in the calling thread, with the *context* that came with it; None where nobody collects.
    """
    if not core.state.recording:
        core.state.dropped += 1
        return None
    try:
        request = Threaded("", "job")
        request.route = f"job:{name}"
        join(request, context)
    except Exception:
        core.failed()
        return None
    return request


def join(request: core.Request, context: Any) -> None:
    """
    Have *request* be part of the trace that its job came with, if that is what *context* says.
    """
    if isinstance(context, str):
        arrival.called_by(request, context.encode("latin-1", "replace"))


def run(request: Threaded, call: Callable[..., Any], args: Arguments, kwargs: Mapping[str, Any]) -> Any:
    """
    Call what the job *request* consists of, and end it.
    """
    try:
        result = call(*args, **kwargs)
    except SystemExit as error:
        # A command may well end by it.
        if error.code:
            note(request, error)
        request.end()
        raise
    except BaseException as error:
        request.broken(error)
        raise
    request.end()
    return result


def note(request: core.Request, error: BaseException) -> None:
    """
    Keep type and line of *error*.
    """
    try:
        request.error = core.describe_error(error, lines.line_of_error(error.__traceback__))
    except Exception:
        core.failed()


def note_here(error: Any) -> None:
    """
    Keep type and line of an *error* that a worker caught, with the job that runs here.
    """
    scope = core.current.get()
    if scope is not None and scope.request.kind == "job" and isinstance(error, BaseException):
        note(scope.request, error)


async def awaited(coroutine: Coroutine[Any, Any, Any], name: str, context: Any = None) -> Any:
    """
    Await what a job of the event loop consists of, as a unit of work of its own unless it is part of one.
    """
    if nested(core.current.get()) or not isinstance(coroutine, CoroutineType):
        return await coroutine
    if not core.state.recording:
        core.state.dropped += 1
        return await coroutine
    try:
        request = core.Request("", "job")
        request.route = f"job:{name}"
        join(request, context)
        scope = core.Scope(request, request)
        scope.leaf = core.state.shed >= core.SHED_SEGMENTS
        token = core.current.set(scope)
        core.state.live.add(request)
        request.coroutine = coroutine
    except Exception:
        core.failed()
        return await coroutine
    try:
        return await asgi.driven(coroutine, request, request)
    except BaseException as error:
        if isinstance(error, Exception):
            note(request, error)
        else:
            request.cancelled = True
        raise
    finally:
        _ended(request, token)


def _ended(request: core.Request, token: Any) -> None:
    try:
        core.current.reset(token)
        request.coroutine = None
        core.state.live.discard(request)
        core.freeze(request, final=True)
    except Exception:
        core.failed()
