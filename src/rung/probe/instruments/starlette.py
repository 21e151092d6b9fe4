"""
Starlette and FastAPI: requests and their route templates.

In        starlette.applications, starlette.routing and fastapi.routing after their import
Out       requests
Not here  what a request over ASGI is (asgi.py)
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import asgi, core


def _applications(module: ModuleType) -> None:
    original = module.Starlette.__call__
    module.Starlette.__call__ = functools.wraps(original)(asgi.around(original))
    core.framework_seen()


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
    original, current = router.app, core.current.get

    @functools.wraps(original)
    def routed(self: Any, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        outer = current()
        if outer is None or outer.clock.stepping or outer.request.ended or scope["type"] != "http":
            return original(self, scope, receive, send)  # type: ignore[no-any-return]
        # A middleware runs the rest of the app in a task of its own, which needs a clock of its own.
        return _timed(outer, original(self, scope, receive, send))

    router.app = routed


async def _timed(outer: core.Scope, coroutine: Any) -> None:
    try:
        clock = core.Clock()
        token = core.current.set(core.Scope(outer.request, clock, outer.serial))
        outer.request.clocks.append(clock)
    except Exception:
        core.failed()
        await coroutine
        return
    try:
        await asgi.driven(coroutine, clock, outer.request)
    finally:
        try:
            core.current.reset(token)
        except Exception:
            core.failed()


def _fastapi_routing(module: ModuleType) -> None:
    if "app" in vars(module.APIRouter):
        _in_own_task(module.APIRouter)
    if "handle" in vars(module.APIRoute):
        _note_included(module.APIRoute)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "starlette.applications": _applications,
    "starlette.routing": _routing,
    "fastapi.routing": _fastapi_routing,
}
