"""
Starlette and FastAPI: requests, their route templates, and the computing of their own task.

In        starlette.applications, starlette.routing and fastapi.routing after their import
Out       requests
Not here  websockets and lifespan (passed through), what runs after the last byte was handed over
"""

from __future__ import annotations

import functools
import types
from collections.abc import Awaitable, Callable, Generator, Mapping
from time import perf_counter
from types import ModuleType
from typing import Any

from rung.probe import arrival, core, lines, sender


@types.coroutine
def driven(coroutine: Any, clock: core.Clock) -> Generator[Any, Any, Any]:
    """
    Drive a coroutine and add each step, from resumption to suspension, to a clock.
    """
    resume, value = coroutine.send, None
    while True:
        clock.stepping = True
        clock.mark = perf_counter()
        try:
            waiting = resume(value)
        except StopIteration as stop:
            return stop.value
        finally:
            if clock.depth == 0:
                clock.busy_s += perf_counter() - clock.mark
            clock.stepping = False
        try:
            value = yield waiting
            resume = coroutine.send
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            resume, value = coroutine.throw, error


def _applications(module: ModuleType) -> None:
    original = module.Starlette.__call__
    state = core.state

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
        request = _begun(scope) if state.recording else None
        if request is None:
            if not state.recording and "app" not in scope:  # a mounted application has its outer one there
                state.dropped += 1
            await original(self, scope, receive, send)
            return
        try:
            watch = Watch(request, receive, send)
            await driven(original(self, scope, watch.receive, watch.send), request)
        except BaseException as error:
            _end(request, error)
            raise
        _end(request, None)

    module.Starlette.__call__ = recorded
    core.framework_seen()


def _begun(asgi: Any) -> core.Request | None:
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
        request.token = core.current.set(core.Scope(request, request))
    except Exception:
        core.failed()
        return None
    return request


class Watch:
    """
    What a request's app is given in place of the server's receive and send.
    """

    __slots__ = ("_receive", "_request", "_send")

    def __init__(self, request: core.Request, receive: Any, send: Any) -> None:
        self._request = request
        self._receive = receive
        self._send = send

    async def receive(self) -> Any:
        """
        Receive, and note a client that left.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._request.ending:
            self._request.cancelled = True
        return message

    def send(self, message: Any) -> Any:
        """
        Send, and note the status and the last byte.
        """
        kind = message["type"]
        if kind == "http.response.start":
            self._request.status = message["status"]
        elif kind == "http.response.pathsend" or (kind == "http.response.body" and not message.get("more_body", False)):
            self._request.ending = True
            return self._last(message)
        return self._send(message)

    async def _last(self, message: Any) -> None:
        await self._send(message)
        request = self._request
        try:
            if not request.ended:
                # What went wrong is known only when the exception leaves the app.
                core.freeze(request, final=request.status < 500)
        except Exception:
            core.failed()


def _end(request: core.Request, error: BaseException | None) -> None:
    try:
        if not request.ended:
            _note_unfinished(request, error)
            core.freeze(request)
        if request.row is not None:
            if request.status >= 500 and isinstance(error, Exception):
                request.error = core.describe_error(error, lines.line_of_error(error.__traceback__))
            core.emit(request)
        if request.token is not None:
            core.current.reset(request.token)
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
    _note_leaf(module.Route)
    _note_mount(module.Mount)
    _in_own_task(module.Router)


def _note_leaf(owner: Any) -> None:
    original, current = owner.handle, core.current.get

    @functools.wraps(original)
    def noted(self: Any, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        outer = current()
        if outer is not None and scope["type"] == "http":
            try:
                request = outer.request
                request.route = request.prefix + self.path_format
            except Exception:
                core.failed()
        return original(self, scope, receive, send)  # type: ignore[no-any-return]

    owner.handle = noted


def _note_included(owner: Any) -> None:
    original, current = owner.handle, core.current.get

    @functools.wraps(original)
    def noted(self: Any, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        # Newer FastAPI keeps the prefixes of included routers beside the route; otherwise Route.handle comes next.
        beside = scope.get("fastapi")
        if beside is not None:
            try:
                outer, context = current(), beside.get("effective_route_context")
                if outer is not None and context is not None and context.original_route is self:
                    outer.request.route = outer.request.prefix + context.path_format
            except Exception:
                core.failed()
        return original(self, scope, receive, send)  # type: ignore[no-any-return]

    owner.handle = noted


def _note_mount(owner: Any) -> None:
    original = owner.handle

    @functools.wraps(original)
    def noted(self: Any, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        outer = core.current.get()
        if outer is not None and scope["type"] == "http":
            try:
                _mounted(outer.request, self)
            except Exception:
                core.failed()
        return original(self, scope, receive, send)  # type: ignore[no-any-return]

    owner.handle = noted


def _mounted(request: core.Request, mount: Any) -> None:
    template = mount.path_format
    # What has no routes of its own (files) is told by the mount alone.
    request.route = None if mount.routes else request.prefix + template
    request.prefix += template.removesuffix("/{path}")


def _in_own_task(router: Any) -> None:
    original, current = router.__call__, core.current.get

    @functools.wraps(original)
    # A coroutine function, for that is how a server tells what kind of app a router is.
    async def routed(self: Any, scope: Any, receive: Any, send: Any) -> None:
        outer = current()
        if outer is None or outer.clock.stepping or outer.request.ended or scope["type"] != "http":
            await original(self, scope, receive, send)
        else:
            # A middleware runs the rest of the app in a task of its own, which needs a clock of its own.
            await _timed(outer, original(self, scope, receive, send))

    router.__call__ = routed


async def _timed(outer: core.Scope, coroutine: Any) -> None:
    clock = core.Clock()
    outer.request.clocks.append(clock)
    token = core.current.set(core.Scope(outer.request, clock, outer.serial))
    try:
        await driven(coroutine, clock)
    finally:
        try:
            core.current.reset(token)
        except Exception:
            core.failed()


def _fastapi_routing(module: ModuleType) -> None:
    if "handle" in vars(module.APIRoute):
        _note_included(module.APIRoute)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "starlette.applications": _applications,
    "starlette.routing": _routing,
    "fastapi.routing": _fastapi_routing,
}
