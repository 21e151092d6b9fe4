"""
A Litestar app with one handler for each thing that the probe has to get right.  Lines are asked for by their marks.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import psycopg
from litestar import Litestar, MediaType, Request, Response, Router, WebSocket, asgi, get, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.params import Parameter
from litestar.response import Stream
from litestar.types import Receive, Scope, Send
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

DATABASE = os.environ["DATABASE_URL"]
MANY = 60_000


class Row(msgspec.Struct):
    number: int
    text: str


def counted() -> int:
    with psycopg.connect(DATABASE) as connection:
        row = connection.execute("SELECT 40 + %s", [2]).fetchone()
        assert row is not None
        return row[0]


@get("/orders/{order_id:int}", sync_to_thread=False)
def order(order_id: int) -> dict[str, int]:
    with psycopg.connect(DATABASE) as connection:
        asked = "SELECT n, 'a secret' FROM generate_series(1, 3) n WHERE n < %s"
        rows = connection.execute(asked, [order_id])  # MARK order
        return {"rows": len(rows.fetchall())}


@get("/thread", sync_to_thread=True)
def thread() -> int:
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    return counted()


@get("/provided", dependencies={"number": Provide(counted, sync_to_thread=True)})
async def provided(number: int) -> int:
    return number


@get("/wait")
async def wait() -> dict[str, str]:
    await asyncio.sleep(0.1)
    return {}


@get("/many")
async def many() -> list[Row]:
    return [Row(number, "some text") for number in range(MANY)]


@get("/boom")
async def boom() -> None:
    raise ValueError("a secret")  # MARK boom


@get("/unavailable")
async def unavailable() -> None:
    raise HTTPException(status_code=503, detail="a secret")  # MARK unavailable


@get("/handled")
async def handled() -> None:
    raise KeyError("a secret")


@get("/missing")
async def missing() -> None:
    raise HTTPException(status_code=404)


@get("/checked", media_type=MediaType.TEXT)
async def checked(number: Annotated[int, Parameter(query="number")]) -> str:
    return str(number)


@get("/background")
async def background() -> Response[dict[str, str]]:
    async def later() -> None:
        async with await psycopg.AsyncConnection.connect(DATABASE) as connection:
            await connection.execute("SELECT pg_sleep(0.1)")

    return Response({"said": "at once"}, background=BackgroundTask(later))


@get("/stream")
async def stream() -> Stream:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"xxx"
            await asyncio.sleep(0.02)

    return Stream(parts())


@post("/echo", media_type=MediaType.TEXT, status_code=200)
async def echo(request: Request[Any, Any, Any]) -> bytes:
    return await request.body()


@websocket("/socket")
async def socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


async def inner(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse(request.path_params["name"])


starlette = Starlette(routes=[Route("/{name}", inner)])


@asgi("/mounted", is_mount=True, copy_scope=True)
async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
    await starlette({**scope, "root_path": "", "path": scope["path"].rstrip("/")}, receive, send)


class Passing(ASGIMiddleware):
    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: Any) -> None:
        await next_app(scope, receive, send)


def known(_request: Request[Any, Any, Any], _error: Exception) -> Response[dict[str, str]]:
    return Response({"known": "yes"}, status_code=418)


shop = Router("/shops/{shop:str}", route_handlers=[order, thread])
app = Litestar(
    [
        shop, order, thread, provided, wait, many, boom, unavailable, handled, missing, checked, background, stream,
        echo, socket, mounted,
    ],
    middleware=[Passing()],
    exception_handlers={KeyError: known},
    openapi_config=None,
    logging_config=None,
)  # fmt: skip
