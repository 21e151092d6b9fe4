"""
Starlette and FastAPI, with values in every corner of their requests.
"""

from __future__ import annotations

import private_work as work
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

app = FastAPI()
work.begin()


@app.get("/task/{number}")
async def do(number: str):
    await work.async_work()
    return JSONResponse({"said": work.SECRETS["response"]}, headers={"x-said": work.SECRETS["response_header"]})


@app.get("/work-in-thread/{number}")
def do_in_thread(number: str):
    work.sync_work()
    return work.SECRETS["response"]


@app.api_route("/echo", methods=["GET", "POST", work.SECRETS["method"]])
async def echo(request: Request):
    return PlainTextResponse(await request.body())


@app.get("/boom")
async def boom():
    work.fail()


@app.get("/people/{email}")
def people(email: str):
    return {"found": work.slow(email)}


async def inner(request: Request):
    return PlainTextResponse(request.path_params["name"])


app.mount("/mounted/{tenant}", Starlette(routes=[Route("/{name}", inner)]))
