"""
httpx, sync and async: calls of other services.

In        httpx._client after its import
Out       segments external, named "http": one for a call with its redirects, its retries and its body
Not here  the body of a response that is streamed; to whom the call goes (its line of code tells calls apart)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

from rung.probe.wrapping import around_call, around_coroutine, named


def _client(module: ModuleType) -> None:
    around_call(module.Client, "send", "external", named("http"))
    around_coroutine(module.AsyncClient, "send", "external", named("http"))


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"httpx._client": _client}
