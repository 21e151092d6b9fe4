"""
Litestar, with values in every corner of its requests.
"""

from __future__ import annotations

from typing import Any

import private_work as work
from litestar import Litestar, MediaType, Request, Response, get, post

work.begin()


@get("/task/{number:str}")
async def do(number: str) -> Response[dict[str, str]]:
    await work.async_work()
    return Response({"said": work.SECRETS["response"]}, headers={"x-said": work.SECRETS["response_header"]})


@get("/work-in-thread/{number:str}", sync_to_thread=True)
def do_in_thread(number: str) -> str:
    work.sync_work()
    return work.SECRETS["response"]


@post("/echo", media_type=MediaType.TEXT, status_code=200)
async def echo(request: Request[Any, Any, Any]) -> bytes:
    return await request.body()


@get("/boom")
async def boom() -> None:
    work.fail()


@get("/people/{email:str}", sync_to_thread=True)
def people(email: str) -> dict[str, int]:
    return {"found": work.slow(email)}


app = Litestar([do, do_in_thread, echo, boom, people], openapi_config=None, logging_config=None)
