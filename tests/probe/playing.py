"""
Apps of a few lines over ASGI, played on an event loop of their own and recorded in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rung.probe import asgi, core
from tests.probe import rows

App = Callable[[Any, Any, Any], Awaitable[None]]


@contextmanager
def recording() -> Iterator[None]:
    """
    Record in this process, send nothing, and leave nothing behind.
    """
    state, started = core.state, core.state.started
    state.reset()
    state.on_finished = state.on_framework = None
    try:
        yield
    finally:
        state.reset()
        state.keep_whole = None
        state.started = started


def recorded(app: App) -> App:
    """
    Return *app* as it is under `rung record`.
    """

    async def of_self(_self: Any, scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    around = asgi.around(of_self)
    return lambda scope, receive, send: around(None, scope, receive, send)


async def ask(app: App, path: str = "/", method: str = "GET", query: bytes = b"", headers: Any = ()) -> None:
    """
    Ask *app*, whose route is its path.
    """
    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:
        pass

    await asyncio.create_task(app(scope, receive, send))


def routed() -> core.Request:
    """
    Return the request that runs.
    """
    scope = core.current.get()
    assert scope is not None
    return scope.request


async def answer(send: Any, body: bytes = b"{}", status: int = 200) -> None:
    """
    Answer in one piece.
    """
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def finished() -> list[dict[str, Any]]:
    """
    Return what was recorded, with its segments by name.
    """
    from rung import frames

    names = frames.Request.__struct_fields__
    return [{**dict(zip(names, row, strict=True)), "segments": rows.unpacked(row)} for row in list(core.state.finished)]
