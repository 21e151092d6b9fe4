"""
uvicorn: what is finished is sent before it ends its process by a signal, which runs no exit handlers.

In        uvicorn.server after its import
Out       nothing of its own
Not here  requests (they are the app's), apps with a lifespan (asgi.py sends at its end)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import sender


def _server(module: ModuleType) -> None:
    original = module.Server.shutdown

    @functools.wraps(original)
    async def shutdown(*args: Any, **kwargs: Any) -> Any:
        try:
            return await original(*args, **kwargs)
        finally:
            sender.flush()

    module.Server.shutdown = shutdown


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"uvicorn.server": _server}
