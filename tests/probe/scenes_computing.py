"""
Scenes: templates, serialisation, garbage, executors.  Lines are asked for by their marks.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import gc
import json
import os
import time
from pathlib import Path
from typing import Any

import django
import fastapi
import flask
import jinja2
import uvloop
from django.conf import settings
from django.http import JsonResponse
from django.template import Context, Engine
from starlette.responses import JSONResponse

FOLDER = Path(os.environ["FOLDER"])
LARGE = {"numbers": list(range(200_000))}
BUSY_S = 0.05
mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine", default="nothing")

settings.configure()
django.setup()
engine = Engine(loaders=[("django.template.loaders.locmem.Loader", {"part": "{{ busy }}", "wrong": "{{ wrong }}"})])
jinja = jinja2.Environment(
    loader=jinja2.DictLoader({"part": "{{ busy() }}", "whole": "{{ busy() }}{% include 'part' %}{{ write() }}"}),
    autoescape=True,
)


def _busy() -> str:
    until = time.thread_time() + BUSY_S
    while time.thread_time() < until:
        pass
    return "done"


def _write() -> str:
    with (FOLDER / str(os.getpid())).open("w", encoding="utf-8") as file:  # MARK inside
        return str(file.write("some"))


def jinja_render() -> Any:
    saw = [jinja.get_template("whole").render(busy=_busy, write=_write)]  # MARK render
    try:
        jinja.from_string("{{ 1 / 0 }}").render()
    except ZeroDivisionError as error:
        saw.append(error.args[0])
    return saw


def jinja_generate() -> Any:
    pieces = jinja.get_template("whole").generate(busy=_busy, write=_write)
    saw: list[Any] = [type(pieces).__name__, next(pieces)]
    saw.append(_busy())  # between two pieces the time is the app's
    saw += list(pieces)
    left = jinja.get_template("whole").generate(busy=_busy, write=_write)
    next(left)
    left.close()
    return saw


async def jinja_async() -> Any:
    environment = jinja2.Environment(enable_async=True, autoescape=True)
    template = environment.from_string("{{ busy() }}{{ wait() }}{{ busy() }}")

    async def wait() -> str:
        await asyncio.sleep(0.05)
        return "waited"

    return await template.render_async(busy=_busy, wait=wait)


def django_render() -> Any:
    whole = engine.from_string("{% include 'part' %} {% include 'part' %}")
    saw = [str(whole.render(Context({"busy": _busy})))]
    response = JsonResponse(LARGE, headers={"X-Mine": "1"})
    return [*saw, len(response.content), response["X-Mine"], type(saw[0]).__name__]


def starlette_json() -> Any:
    response = JSONResponse(LARGE)
    try:
        JSONResponse({"wrong": object()})
    except TypeError as error:
        return [len(response.body), response.status_code, str(error)]


async def fastapi_json() -> Any:
    app = fastapi.FastAPI()

    @app.get("/any")
    async def as_it_is():
        return LARGE

    @app.get("/model")
    async def by_model() -> dict[str, list[int]]:
        return LARGE

    return [await _asked(app, "/any"), await _asked(app, "/model")]


async def _asked(app: Any, path: str) -> Any:
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(len(message["body"]) if "body" in message else message["status"])

    asgi = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "root_path": ""}
    await app(asgi, receive, send)
    return said


def flask_json() -> Any:
    with flask.Flask("shop").app_context():
        response = flask.jsonify(LARGE)
        return [response.status_code, len(response.get_data()), len(json.loads(response.get_data())["numbers"])]


def garbage() -> Any:
    kept = [[number] for number in range(300_000)]
    return [len(kept), type(gc.collect()).__name__]


def submitted() -> Any:
    token = mine.set("mine")
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        saw: list[Any] = [threads.submit(mine.get).result(), list(threads.map(_seen, [1, 2]))]
        saw.append(threads.submit(_busy).result())  # MARK submit
        saw.append(threads.submit((FOLDER / str(os.getpid())).write_bytes, b"some").result())  # MARK bare
        saw.append(threads.submit(contextvars.copy_context().run, _set).result())
        saw.append(threads.submit(functools.partial(contextvars.copy_context().run, _seen), 3).result())
        wrong = threads.submit(int, "x").exception()
        saw += [type(wrong).__name__, threads.submit(mine.get).result()]
    mine.reset(token)
    return saw


def _seen(number: int) -> list[Any]:
    return [number, mine.get()]


def _set() -> str:
    mine.set("changed")
    return mine.get()


async def in_executors() -> Any:
    mine.set("mine")
    loop = asyncio.get_running_loop()
    saw = [await loop.run_in_executor(None, _seen, 1), await loop.run_in_executor(None, _busy)]
    return [*saw, await asyncio.to_thread(_seen, 2), await asyncio.to_thread(_write)]


def on_uvloop() -> Any:
    async def main() -> Any:
        return [await asyncio.get_running_loop().run_in_executor(None, _seen, 1), await asyncio.to_thread(_seen, 2)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def left_behind() -> Any:
    threads = concurrent.futures.ThreadPoolExecutor(1)
    after.append(threads.submit(time.sleep, 0.2))
    threads.shutdown(wait=False)
    return 1


after: list[concurrent.futures.Future[None]] = []


def the_one_after_it() -> Any:
    return after[0].result()
