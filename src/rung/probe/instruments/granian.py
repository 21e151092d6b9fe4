"""
granian: what is finished is sent before a worker ends, which is a process of multiprocessing.

In        granian.server.mp after its import
Out       nothing of its own
Not here  requests (they are the app's), apps that speak RSGI alone
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import sender

# RSGI is not among them: of what speaks it nothing is recorded.
_WORKERS = ("_spawn_asgi_worker", "_spawn_asgi_lifespan_worker", "_spawn_wsgi_worker")


def _server(module: ModuleType) -> None:
    owner = module.MPServer
    for name in _WORKERS:
        setattr(owner, name, staticmethod(_ending(getattr(owner, name))))


def _ending(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)  # a worker that is spawned finds it by its name
    def worked(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        finally:
            sender.flush()

    return worked


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"granian.server.mp": _server}
