"""
httpx, sync and async: calls of other services.

In        httpx._client after its import
Out       segments external, named "http": one for a call with its redirects, its retries and its body; the trace's
          headers on each request that is sent
Not here  the body of a response that is streamed; to whom the call goes (its line of code tells calls apart)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import propagating
from rung.probe.wrapping import around_call, around_coroutine, named, taken


def _client(module: ModuleType) -> None:
    if propagating.on():
        _carrying(module.Client)
        _carrying_async(module.AsyncClient)
    around_call(module.Client, "send", "external", named("http"))
    around_coroutine(module.AsyncClient, "send", "external", named("http"))


def _carrying(owner: Any) -> None:
    original, put = taken(owner, "_send_single_request")
    if original is None:
        return

    @functools.wraps(original)
    def _send_single_request(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        added = propagating.added(request.headers)
        try:
            return original(self, request, *args, **kwargs)
        finally:
            propagating.taken_back(added, request.headers)

    put(_send_single_request)


def _carrying_async(owner: Any) -> None:
    original, put = taken(owner, "_send_single_request")
    if original is None:
        return

    @functools.wraps(original)
    async def _send_single_request(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        added = propagating.added(request.headers)
        try:
            return await original(self, request, *args, **kwargs)
        finally:
            propagating.taken_back(added, request.headers)

    put(_send_single_request)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"httpx._client": _client}
