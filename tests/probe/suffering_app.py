"""
A FastAPI app that does a bit of everything, counts what it does, and can be hurt in ways that tests ask for.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import jinja2
import poison
import psycopg
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

DATABASE = os.environ["DATABASE_URL"]
engine = create_async_engine(DATABASE.replace("postgresql://", "postgresql+asyncpg://"))
pages = jinja2.Environment(autoescape=True, enable_async=True)
executor = ThreadPoolExecutor(1)
done: list[str] = []

app = FastAPI()


def once(what: str) -> str:
    done.append(what)
    return f"{what} {done.count(what)}"


@app.get("/hello/{name}")
async def hello(name: str):
    return {"hello": name}


@app.get("/did")
async def did():
    return done


@app.get("/poison/{point}")
async def poisoned(point: str):
    poison.poison(point)
    done.clear()
    return {}


@app.get("/heal")
async def heal():
    poison.heal()
    return {}


@app.get("/failures")
async def failures():
    return {"failures": poison.counted(), "failed_at": poison.failures()}


def ask() -> list[object]:
    with psycopg.connect(DATABASE) as connection:
        row = connection.execute("SELECT %s::int + 1", [41]).fetchone()
        with connection.transaction():
            connection.execute("SELECT 1")
    return [once("psycopg"), *(row or ())]


@app.get("/psycopg")
def with_psycopg():
    return ask()


@app.get("/asyncpg")
async def with_asyncpg():
    connection = await asyncpg.connect(DATABASE)
    try:
        async with connection.transaction():
            return [once("asyncpg"), await connection.fetchval("SELECT $1::int", 7)]
    finally:
        await connection.close()


@app.get("/wrong")
async def wrong():
    connection = await asyncpg.connect(DATABASE)
    try:
        await connection.execute("SELECT nothing FROM nowhere")
    except asyncpg.PostgresError as error:
        return [once("wrong"), str(error)]
    finally:
        await connection.close()


@app.get("/sqlalchemy")
async def with_sqlalchemy():
    async with engine.begin() as connection:
        return [once("sqlalchemy"), (await connection.execute(text("SELECT 3"))).scalar()]


@app.get("/threads")
async def threads():
    loop = asyncio.get_running_loop()
    first = await asyncio.to_thread(once, "to_thread")
    second = await loop.run_in_executor(executor, once, "executor")
    third = await loop.run_in_executor(None, functools.partial(sum, [1, 2]))
    return [first, second, third]


@app.get("/tasks")
async def tasks():
    async def one(number: int) -> str:
        await asyncio.sleep(0.002)
        time.sleep(0.003)  # noqa: ASYNC251 - the others are to wait for it
        return once(f"task {number}")

    return await asyncio.gather(*(one(number) for number in range(4)), return_exceptions=True)


@app.get("/page")
async def page():
    template = pages.from_string("{% for n in range(3) %}{{ once('page') }},{% endfor %}")
    whole = await asyncio.to_thread(template.render, once=once)
    pieces = jinja2.Environment(autoescape=True).from_string("a{{ once('piece') }}b").generate(once=once)
    return [whole, await template.render_async(once=once), *pieces]


@app.get("/file")
async def file():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it"
        path.write_text("some")
        with path.open("a") as opened:
            opened.write(once("file"))
        return path.read_text()


@app.get("/collect")
async def collect():
    gc.collect()
    return {}


@app.get("/large")
async def large():
    return JSONResponse({"numbers": list(range(30_000)), "once": once("large")})


@app.get("/boom")
async def boom():
    raise ValueError(once("boom"))


@app.get("/refused")
async def refused():
    from fastapi import HTTPException

    raise HTTPException(503, once("refused"))


@app.get("/stream")
async def stream():
    async def parts():
        for number in range(3):
            yield once(f"part {number}")
            await asyncio.sleep(0.002)

    return StreamingResponse(parts())


@app.get("/background")
async def background(tasks: BackgroundTasks):
    async def later():
        await asyncio.sleep(0.006)
        once("later")

    tasks.add_task(later)
    return once("at once")


@app.post("/echo")
async def echo(request: Request):
    return {"got": (await request.body()).decode()}


@app.get("/slow")
async def slow(seconds: float):
    await asyncio.sleep(seconds)  # MARK slow
    return {}


@app.get("/fork")
async def fork():
    """Fork in the middle, with statements before, in the child and after."""
    before = await asyncio.to_thread(ask)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 7 if ask()[1:] == [42] else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)  # noqa: ASYNC222 - as apps do
    return [before, os.waitstatus_to_exitcode(status), await asyncio.to_thread(ask)]


@app.get("/set-back")
async def set_back():
    """Set the clock back by an hour, for everybody in this process who asks for the time."""
    now = time.time

    def earlier() -> float:
        return now() - 3600

    for module in list(sys.modules.values()):
        if vars(module).get("time") is now:
            module.time = earlier
    time.time = earlier
    return {}


@app.get("/kill-sender")
async def kill_sender():
    """End the recorder's thread from outside, as nothing but a bug or a debugger would."""
    for thread in threading.enumerate():
        if thread.name == "rung":
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
            while thread.is_alive():  # noqa: ASYNC110 - a thread sets no event
                await asyncio.sleep(0.01)
    return {}


async def inner(request):
    return PlainTextResponse(f"inner {request.path_params['name']}")


app.mount("/mounted/{tenant}", Starlette(routes=[Mount("/deep", routes=[Route("/{name}", inner)])]))
