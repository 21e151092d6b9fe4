"""
Starlette and FastAPI: requests, their route templates, and the computing of their own task.

In        starlette.applications, starlette.routing and fastapi.routing after their import
Out       requests
Not here  websockets and lifespan (passed through), what runs after the last byte was handed over
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from types import ModuleType
from typing import Any

from rung.probe import arrival, core, lines, sender


class Driven:
    """
    Drives a coroutine and adds each step, from resumption to suspension, to a clock.
    """

    __slots__ = ("_clock", "_coroutine")

    def __init__(self, coroutine: Any, clock: core.Clock) -> None:
        self._coroutine = coroutine
        self._clock = clock

    def __await__(self) -> Driven:
        return self

    def __iter__(self) -> Driven:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """
        Resume the coroutine and time the step.
        """
        clock = self._clock
        clock.stepping = True
        if clock.depth == 0:
            clock.mark = perf_counter()
        try:
            return self._coroutine.send(value)
        finally:
            if clock.depth == 0:
                clock.busy_s += perf_counter() - clock.mark
            clock.stepping = False

    def throw(self, *error: Any) -> Any:
        """
        Raise inside the coroutine and time the step.
        """
        clock = self._clock
        clock.stepping = True
        if clock.depth == 0:
            clock.mark = perf_counter()
        try:
            return self._coroutine.throw(*error)
        finally:
            if clock.depth == 0:
                clock.busy_s += perf_counter() - clock.mark
            clock.stepping = False

    def close(self) -> None:
        """
        Close the coroutine.
        """
        self._coroutine.close()


def _applications(module: ModuleType) -> None:
    original = module.Starlette.__call__

    @functools.wraps(original)
    async def recorded(self: Any, scope: Any, receive: Any, send: Any) -> None:
        kind = scope["type"]
        if kind != "http":
            try:
                await original(self, scope, receive, send)
            finally:
                # The server may end the process by a signal next, which runs no exit handlers.
                if kind == "lifespan":
                    sender.flush()
            return
        begun = _begin(scope)
        if begun is None:
            await original(self, scope, receive, send)
            return
        request, outer = begun
        try:
            receive, send = _watched(request, receive, send)
            await Driven(original(self, scope, receive, send), outer.clock)
        except BaseException as error:
            _end(request, outer, error)
            raise
        _end(request, outer, None)

    module.Starlette.__call__ = recorded
    core.framework_seen()


def _begin(asgi: Any) -> tuple[core.Request, core.Scope] | None:
    outer = core.current.get()
    # A mounted application is part of the request it is mounted in.  A server may begin a pipelined request in the
    # context of the one that it just ended.
    if outer is not None and not outer.request.ending and not outer.request.ended:
        return None
    try:
        request = core.Request(asgi["method"])
        for name, value in asgi["headers"]:
            if name == b"x-request-start":
                request.queue_s = arrival.queue_s(value, request.arrived_s)
        clock = core.Clock()
        request.clocks.append(clock)
        scope = core.Scope(request, clock)
        scope.token = core.current.set(scope)
    except Exception:
        core.failed()
        return None
    return request, scope


def _watched(request: core.Request, receive: Any, send: Any) -> tuple[Any, Any]:
    async def watched_receive() -> Any:
        message = await receive()
        if message["type"] == "http.disconnect" and not request.ending:
            request.cancelled = True
        return message

    async def watched_send(message: Any) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            request.status = message["status"]
        elif kind == "http.response.pathsend" or (kind == "http.response.body" and not message.get("more_body", False)):
            request.ending = True
            await send(message)
            _last_byte(request)
            return
        await send(message)

    return watched_receive, watched_send


def _last_byte(request: core.Request) -> None:
    try:
        if request.ended:
            return
        core.freeze(request)
        # What went wrong is known only when the exception leaves the app.
        if request.status < 500:
            core.emit(request)
    except Exception:
        core.failed()


def _end(request: core.Request, scope: core.Scope, error: BaseException | None) -> None:
    try:
        if not request.ended:
            _note_unfinished(request, error)
            core.freeze(request)
        if request.row is not None:
            if request.status >= 500 and isinstance(error, Exception):
                request.error = core.describe_error(error, lines.line_of_error(error.__traceback__))
            core.emit(request)
        core.close(scope)
    except Exception:
        core.failed()


def _note_unfinished(request: core.Request, error: BaseException | None) -> None:
    if isinstance(error, Exception):
        request.status = request.status or 500
        request.error = core.describe_error(error, lines.line_of_error(error.__traceback__))
        if isinstance(error, OSError) or type(error).__name__ == "ClientDisconnect":
            request.cancelled = True
    else:
        request.cancelled = True


def _routing(module: ModuleType) -> None:
    _note_before(module.Route, "handle", _leaf)
    _note_before(module.Mount, "handle", _mounted)
    _in_own_task(module.Router)


def _note_before(owner: Any, name: str, note: Callable[[core.Request, Any, Any], None]) -> None:
    original = vars(owner)[name]

    @functools.wraps(original)
    def noted(self: Any, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        outer = core.current.get()
        if outer is not None and scope["type"] == "http":
            try:
                note(outer.request, self, scope)
            except Exception:
                core.failed()
        return original(self, scope, receive, send)  # type: ignore[no-any-return]

    setattr(owner, name, noted)


def _leaf(request: core.Request, route: Any, _scope: Any) -> None:
    request.route = request.prefix + route.path_format


def _api_leaf(request: core.Request, route: Any, scope: Any) -> None:
    # Newer FastAPI keeps the prefixes of included routers beside the route; older ones copy the route.
    beside = scope.get("fastapi")
    context = beside.get("effective_route_context") if isinstance(beside, dict) else None
    if context is not None and context.original_route is route:
        request.route = request.prefix + context.path_format
    else:
        request.route = request.prefix + route.path_format


def _mounted(request: core.Request, mount: Any, _scope: Any) -> None:
    template = mount.path_format
    # What has no routes of its own (files) is told by the mount alone.
    request.route = None if mount.routes else request.prefix + template
    request.prefix += template.removesuffix("/{path}")


def _in_own_task(router: Any) -> None:
    original = vars(router)["__call__"]

    @functools.wraps(original)
    # A coroutine function, for that is how a server tells what kind of app a router is.
    async def routed(self: Any, scope: Any, receive: Any, send: Any) -> None:
        outer = core.current.get()
        if outer is None or outer.clock.stepping or outer.request.ended or scope["type"] != "http":
            await original(self, scope, receive, send)
        else:
            # A middleware runs the rest of the app in a task of its own, which needs a clock of its own.
            await _timed(outer, original(self, scope, receive, send))

    router.__call__ = routed


async def _timed(outer: core.Scope, coroutine: Any) -> None:
    request = outer.request
    clock = core.Clock()
    request.clocks.append(clock)
    scope = core.Scope(request, clock, outer.serial)
    scope.token = core.current.set(scope)
    try:
        await Driven(coroutine, clock)
    finally:
        try:
            core.close(scope)
        except Exception:
            core.failed()


def _fastapi_routing(module: ModuleType) -> None:
    if "handle" in vars(module.APIRoute):
        _note_before(module.APIRoute, "handle", _api_leaf)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "starlette.applications": _applications,
    "starlette.routing": _routing,
    "fastapi.routing": _fastapi_routing,
}
