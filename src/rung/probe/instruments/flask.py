"""
Flask: requests, their route templates, and the errors that it answers with a page of its own.

In        flask.app and flask.ctx after their import
Out       requests
Not here  its async views (asgiref.py), its templates (templates.py)
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import core, lines, reads, wsgi
from rung.probe.threaded import Threaded

# <converter(arguments):name>, as werkzeug.routing.rules has it
_PARAMETER = re.compile(r"<(?:[a-zA-Z_]\w*(?:\(.*?\))?:)?([a-zA-Z_]\w*)>")


@functools.lru_cache(maxsize=10_000)
def template(rule: str) -> str:
    """
    Return a rule of Flask's with its parameters in braces.

    >>> template("/orders/<int:order_id>/<any(open, 'paid'):state>")
    '/orders/{order_id}/{state}'
    """
    return _PARAMETER.sub(r"{\1}", rule)


def _app(module: ModuleType) -> None:
    owner = module.Flask
    # A middleware may stand between the two, and another server of apps in front of the inner one alone.
    wsgi.around_app(owner, "__call__", counts=False)
    wsgi.around_app(owner, "wsgi_app", counts=True)
    _note_response(owner)
    for name in ("handle_user_exception", "handle_exception"):
        _note_error(owner, name)
    core.framework_seen()


def _note_response(owner: Any) -> None:
    original, current = owner.finalize_request, core.current.get

    @functools.wraps(original)
    def finalize_request(*args: Any, **kwargs: Any) -> Any:
        response = original(*args, **kwargs)
        scope = current()
        if scope is not None and isinstance(scope.request, Threaded):
            _noted(scope.request, response)
        return response

    owner.finalize_request = finalize_request


def _noted(request: Threaded, response: Any) -> None:
    try:
        request.streaming = getattr(response, "is_streamed", None)
        if reads.encode is not None and request.streaming is False and not response.direct_passthrough:
            request.body = response.get_data()
    except Exception:
        core.failed()


def _note_error(owner: Any, attribute: str) -> None:
    original, current = getattr(owner, attribute), core.current.get

    @functools.wraps(original)
    def noted(self: Any, e: Exception) -> Any:
        scope = current()
        if scope is not None:
            try:
                code = getattr(e, "code", None)
                # Kept only if the answer turns out to be one of failure (wsgi.settle).
                if not isinstance(code, int) or code >= 500:
                    scope.request.error = core.describe_error(e, lines.line_of_error(e.__traceback__))
            except Exception:
                core.failed()
        return original(self, e)

    setattr(owner, attribute, noted)


def _ctx(module: ModuleType) -> None:
    for name in ("RequestContext", "AppContext"):
        owner = getattr(module, name, None)
        if owner is not None and "match_request" in vars(owner):
            _note_route(owner)


def _note_route(owner: Any) -> None:
    original, current = owner.match_request, core.current.get

    @functools.wraps(original)
    def match_request(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        scope = current()
        if scope is not None:
            try:
                rule, unit = self.request.url_rule, scope.request
                if rule is not None:
                    unit.route = unit.prefix + template(rule.rule)
            except Exception:
                core.failed()
        return result

    owner.match_request = match_request


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"flask.app": _app, "flask.ctx": _ctx}
