"""
urllib3, requests on top of it, and the standard library's urllib: calls of other services.

requests reads a body after urllib3 has returned, and follows redirects itself; so a call of its session is the segment
and what urllib3 does inside of it adds none.

In        urllib3.connectionpool, requests.sessions and urllib.request after their import
Out       segments external, named "http"; the trace's headers on what urllib3 sends
Not here  a body that the app reads itself; botocore and other clients on top of urllib3 (seen as urllib3's calls)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import propagating
from rung.probe.wrapping import around_call, named, taken


def _pool(module: ModuleType) -> None:
    # HTTPSConnectionPool inherits it.
    owner = module.HTTPConnectionPool
    if propagating.on():
        _carrying(owner)
    around_call(owner, "urlopen", "external", named("http"))


def _carrying(owner: Any) -> None:
    original, put = taken(owner, "urlopen")
    if original is None:
        return

    @functools.wraps(original)
    def urlopen(
        self: Any, method: Any, url: Any, body: Any = None, headers: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        given = self.headers if headers is None else headers
        return original(self, method, url, body, propagating.with_headers(given, _copied), *args, **kwargs)

    put(urlopen)


def _copied(given: Any) -> Any:
    # What has several values under one name knows how to copy itself.
    return given.copy() if hasattr(given, "copy") else dict(given)


def _opener(module: ModuleType) -> None:
    around_call(module.OpenerDirector, "open", "external", named("http"))


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "urllib3.connectionpool": _pool,
    "requests.sessions": lambda module: around_call(module.Session, "send", "external", named("http")),
    "urllib.request": _opener,
}
