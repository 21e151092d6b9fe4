"""
Flask and Django, sync, that count what they do and can have the recorder beneath them fail.
"""

from __future__ import annotations

import asyncio
import os

import django
import flask
import poison
import psycopg
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import Context, Engine
from django.urls import path

DATABASE = os.environ["DATABASE_URL"]
done: list[str] = []

settings.configure(
    SECRET_KEY="of no use anywhere",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    LOGGING_CONFIG=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
django.setup()
whole = Engine().from_string("<p>{{ it }}</p>")
shop = flask.Flask(__name__)


def once(what: str) -> str:
    done.append(what)
    return f"{what} {done.count(what)}"


def ask() -> list[object]:
    with psycopg.connect(DATABASE) as connection:
        row = connection.execute("SELECT %s::int + 1", [41]).fetchone()
    return [once("psycopg"), *(row or ())]


def parts():
    for number in range(3):
        yield once(f"part {number}")


async def later() -> str:
    await asyncio.sleep(0.001)
    return once("async")


def steered(name: str) -> dict[str, object]:
    """Do what the tests ask of the app itself."""
    if name == "did":
        return {"done": done}
    if name == "failures":
        return {"failures": poison.counted(), "failed_at": poison.failures()}
    if name == "heal":
        poison.heal()
    else:
        done.clear()
        poison.poison(name)
    return {}


shop.add_url_rule("/steer/<name>", "steer", steered)
shop.add_url_rule("/psycopg", "psycopg", ask)
shop.add_url_rule("/stream", "stream", lambda: flask.Response(parts()))
shop.add_url_rule("/page/<it>", "page", lambda it: flask.render_template_string("<p>{{ it }}</p>", it=once(it)))
shop.add_url_rule("/large", "large", lambda: flask.jsonify(numbers=list(range(30_000)), once=once("large")))


@shop.get("/async")
async def asynchronous():
    return await later()


@shop.get("/boom")
def boom():
    raise ValueError(once("boom"))


@shop.get("/refused")
def refused():
    flask.abort(503, once("refused"))


async def django_asynchronous(request):
    return HttpResponse(await later())


def django_boom(request):
    raise ValueError(once("boom"))


def django_refused(request):
    return HttpResponse(once("refused"), status=503)


urlpatterns = [
    path("steer/<name>", lambda _request, name: JsonResponse(steered(name))),
    path("psycopg", lambda _request: JsonResponse(ask(), safe=False)),
    path("stream", lambda _request: StreamingHttpResponse(parts())),
    path("page/<it>", lambda _request, it: HttpResponse(whole.render(Context({"it": once(it)})))),
    path("large", lambda _request: JsonResponse({"numbers": list(range(30_000)), "once": once("large")})),
    path("async", django_asynchronous),
    path("boom", django_boom),
    path("refused", django_refused),
]
wsgi, asgi = WSGIHandler(), ASGIHandler()
