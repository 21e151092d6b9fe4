"""
aiohttp's client: calls of other services.

In        aiohttp.client and aiohttp.client_reqrep after their import
Out       segments external, named "http": one until the response's headers, one while its body is read whole; the
          trace's headers on each call
Not here  a body read in pieces; aiohttp's server
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import propagating
from rung.probe.wrapping import around_coroutine, named, taken


def _client(module: ModuleType) -> None:
    if propagating.on():
        _carrying(module)
    around_coroutine(module.ClientSession, "_request", "external", named("http"))


def _carrying(module: Any) -> None:
    original, put = taken(module.ClientSession, "_request")
    if original is None:
        return

    @functools.wraps(original)
    def _request(self: Any, *args: Any, headers: Any = None, **kwargs: Any) -> Any:
        # Headers that the session adds to each of its calls are the app's own as well.
        if propagating.TRACEPARENT not in (getattr(self, "_default_headers", None) or ()):
            headers = propagating.with_headers(headers, module.CIMultiDict)
        return original(self, *args, headers=headers, **kwargs)

    put(_request)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "aiohttp.client": _client,
    "aiohttp.client_reqrep": lambda module: around_coroutine(module.ClientResponse, "read", "external", named("http")),
}
