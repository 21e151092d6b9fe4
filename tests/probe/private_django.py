"""
Django, over WSGI and ASGI, with values in every corner of its requests.
"""

from __future__ import annotations

import logging
from urllib.parse import unquote, urlsplit

import django
import private_work as work
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, models
from django.http import HttpResponse
from django.template import Context, Template
from django.urls import path

_url = urlsplit(work.DATABASE)

settings.configure(
    SECRET_KEY=work.SECRETS["password"],
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    LOGGING_CONFIG=None,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": _url.hostname,
            "PORT": _url.port,
            "NAME": _url.path[1:],
            "USER": unquote(_url.username or ""),
            "PASSWORD": unquote(_url.password or ""),
        }
    },
)
django.setup()
logging.getLogger("django").handlers = work.log.handlers
logging.getLogger("django").propagate = False
work.begin()


class Person(models.Model):
    email = models.TextField()

    class Meta:
        app_label = "private"
        db_table = "people"

    def __str__(self):
        return self.email


async def do(request, number):
    await work.async_work()
    return HttpResponse(work.SECRETS["response"], headers={"X-Said": work.SECRETS["response_header"]})


def do_in_thread(request, number):
    work.sync_work()
    Person.objects.filter(email=work.SECRETS["bound"]).count()
    Person.objects.extra(where=[f"email <> '{work.SECRETS['literal']}'"]).count()  # noqa: S610 - pasted on purpose
    with connection.cursor() as cursor:
        cursor.execute(work.careless("SELECT '<literal>', %s"), [work.SECRETS["parameter"]])
    return HttpResponse(Template("{{ it }}").render(Context({"it": work.SECRETS["template_value"]})))


def echo(request):
    return HttpResponse(request.body)


def boom(request):
    work.fail()


def people(request, email):
    return HttpResponse(work.slow(email))


urlpatterns = [
    path("task/<number>", do),
    path("work-in-thread/<number>", do_in_thread),
    path("echo", echo),
    path("boom", boom),
    path("people/<email>", people),
]
wsgi, asgi = WSGIHandler(), ASGIHandler()
