"""
Django, over WSGI and ASGI: requests, their route templates, and the errors that it answers with a page of its own.

In        django.core.handlers.wsgi, .asgi, .base and .exception after their import
Out       requests
Not here  its threads (asgiref.py), its templates (templates.py), its database (the drivers), commands (jobs.py)
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import asgi, core, lines, wsgi
from rung.probe.instruments.asgiref import timed

_CONVERTED = re.compile(r"<(?:[^<>:]+:)?(\w+)>")
_NAMED = re.compile(r"\(\?P<(\w+)>")
_EDGE = re.compile(r"\\[AZbB]|[\^$]")


@functools.lru_cache(maxsize=10_000)
def template(route: str) -> str:
    r"""
    Return a route of Django's, path() or re_path(), with its parameters in braces.

    >>> template("shops/<slug:shop>/orders/<int:pk>/")
    '/shops/{shop}/orders/{pk}/'
    >>> template(r"^archive/(?P<year>[0-9]{4})(?:/(?P<page>\d+))?/$")
    '/archive/{year}/{page}/'
    """
    text = route
    if "(?P<" in route or route[:1] == "^" or route[-1:] == "$":
        text = _of_expression(route)
    return "/" + _CONVERTED.sub(r"{\1}", text).lstrip("/")


def _of_expression(route: str) -> str:
    parts, position, unnamed = [], 0, 0
    while position < len(route):
        char = route[position]
        edge = _EDGE.match(route, position)
        if edge is not None:
            position = edge.end()
        elif char == "\\" and position + 1 < len(route):
            # An escaped letter is a class of characters, anything else stands for itself.
            parts.append(route[position : position + 2] if route[position + 1].isalnum() else route[position + 1])
            position += 2
        elif char == "(":
            end = _group_end(route, position)
            named = _NAMED.match(route, position)
            if named is not None:
                parts.append("{" + named[1] + "}")
            elif route.startswith("(?:", position):
                parts.append(_of_expression(route[position + 3 : end - 1]))
            elif not route.startswith("(?", position):
                unnamed += 1
                parts.append("{" + str(unnamed) + "}")
            position = end
        else:
            if char != "?":
                parts.append(char)
            position += 1
    return "".join(parts)


def _group_end(route: str, position: int) -> int:
    """
    Return where the group that begins at *position* has ended.
    """
    depth, in_class = 0, False
    while position < len(route):
        char = route[position]
        if char == "\\":
            position += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
            # A bracket that comes first in a class is one of its characters.
            position += route.startswith(("[^]", "[]"), position) * (1 + route.startswith("[^]", position))
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return len(route)


def _wsgi(module: ModuleType) -> None:
    wsgi.around_app(module.WSGIHandler, "__call__", counts=True)
    core.framework_seen()


def _asgi(module: ModuleType) -> None:
    handler = module.ASGIHandler
    original = handler.__call__
    handler.__call__ = functools.wraps(original)(asgi.around(original))
    for name in ("run_get_response", "send_response"):
        if name in vars(handler):
            _in_own_task(handler, name)
    _end_with_response(handler)
    core.framework_seen()


def _in_own_task(owner: Any, attribute: str) -> None:
    original, current = getattr(owner, attribute), core.current.get

    @functools.wraps(original)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        outer = current()
        if outer is None or outer.clock.stepping or outer.request.ended:
            return await original(*args, **kwargs)
        # Django watches for the client's leaving beside it, and so runs this in a task.
        return await timed(original(*args, **kwargs), outer)

    setattr(owner, attribute, recorded)


def _end_with_response(owner: Any) -> None:
    original, current = owner.send_response, core.current.get

    @functools.wraps(original)
    async def send_response(*args: Any, **kwargs: Any) -> None:
        await original(*args, **kwargs)
        scope = current()
        # Django has no background work; it closes what it had opened, in a thread and not at once.
        if scope is not None and scope.request.kind == "background":
            scope.request.ended = True

    owner.send_response = send_response


def _base(module: ModuleType) -> None:
    handler, current = module.BaseHandler, core.current.get
    original = handler.resolve_request

    @functools.wraps(original)
    def resolve_request(self: Any, request: Any) -> Any:
        match = original(self, request)
        scope = current()
        if scope is not None:
            try:
                unit = scope.request
                unit.route = unit.prefix + template(match.route)
            except Exception:
                core.failed()
        return match

    handler.resolve_request = resolve_request


def _exception(module: ModuleType) -> None:
    held: Any = module
    original, current = held.response_for_exception, core.current.get

    @functools.wraps(original)
    def response_for_exception(request: Any, exc: Exception) -> Any:
        response = original(request, exc)
        scope = current()
        if scope is not None and response.status_code >= 500:
            try:
                scope.request.error = core.describe_error(exc, lines.line_of_error(exc.__traceback__))
            except Exception:
                core.failed()
        return response

    held.response_for_exception = response_for_exception


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "django.core.handlers.wsgi": _wsgi,
    "django.core.handlers.asgi": _asgi,
    "django.core.handlers.base": _base,
    "django.core.handlers.exception": _exception,
}
