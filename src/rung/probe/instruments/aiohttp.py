"""
aiohttp's client: calls of other services.

In        aiohttp.client and aiohttp.client_reqrep after their import
Out       segments external, named "http": one until the response's headers, one while its body is read whole
Not here  a body read in pieces; aiohttp's server
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

from rung.probe.wrapping import around_coroutine, named

MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "aiohttp.client": lambda module: around_coroutine(module.ClientSession, "_request", "external", named("http")),
    "aiohttp.client_reqrep": lambda module: around_coroutine(module.ClientResponse, "read", "external", named("http")),
}
