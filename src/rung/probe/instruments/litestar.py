"""
Litestar: requests, their route templates, and the errors that it answers with a response of its own.

In        litestar.app, litestar._asgi.asgi_router and its middleware for exceptions after their import
Out       requests
Not here  what a request over ASGI is (asgi.py), its sync handlers (executors.py), its JSON (serialise.py)
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import asgi, core, lines

_PARAMETER = re.compile(r"\{\s*(\w+)\s*:[^{}]*\}")


@functools.lru_cache(maxsize=10_000)
def template(path: str) -> str:
    """
    Return a path of Litestar's with its parameters in braces and without their types.

    >>> template("/orders/{order_id:int}/lines/{line:str}")
    '/orders/{order_id}/lines/{line}'
    """
    return _PARAMETER.sub(r"{\1}", path)


def _app(module: ModuleType) -> None:
    owner = module.Litestar
    original = owner.__call__
    owner.__call__ = functools.wraps(original)(asgi.around(original))
    core.framework_seen()


def _router(module: ModuleType) -> None:
    owner = module.ASGIRouter
    if callable(vars(owner).get("handle_routing")):  # one method for all of them
        owner.handle_routing = _noted(owner.handle_routing, None)
        return
    original = owner.__init__

    @functools.wraps(original)
    def begun(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        try:
            self.handle_routing = _noted(self.handle_routing, self)
        except Exception:
            core.failed()

    owner.__init__ = begun


def _noted(original: Callable[..., Any], router: Any) -> Callable[..., Any]:
    current = core.current.get

    @functools.wraps(original)
    def handle_routing(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        scope = current()
        if scope is not None:
            try:
                path = kwargs["path"] if "path" in kwargs else args[0 if router is not None else 1]
                _note(scope.request, router if router is not None else args[0], found, path)
            except Exception:
                core.failed()
        return found

    return handle_routing


def _note(request: core.Request, router: Any, found: Any, path: str) -> None:
    """
    Note the route that *path* led to; an app that is mounted there tells the rest of it.
    """
    mounts = router._mount_paths_regex
    if mounts is None or not getattr(found[1], "is_mount", False):
        request.route = request.prefix + template(found[4])
        return
    match = mounts.match(path)
    if match is not None:
        request.prefix += match[0]
        request.route = request.prefix


def _exceptions(module: ModuleType) -> None:
    owner, current = module.ExceptionHandlerMiddleware, core.current.get
    original = owner.handle_request_exception

    @functools.wraps(original)
    async def handle_request_exception(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = await original(self, *args, **kwargs)
        scope = current()
        if scope is not None and scope.request.status >= 500:  # a handler may have made another answer of it
            try:
                error = kwargs["exc"] if "exc" in kwargs else args[4]
                scope.request.error = core.describe_error(error, lines.line_of_error(error.__traceback__))
            except Exception:
                core.failed()
        return result

    owner.handle_request_exception = handle_request_exception


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "litestar.app": _app,
    "litestar._asgi.asgi_router": _router,
    "litestar.middleware._internal.exceptions.middleware": _exceptions,
}
