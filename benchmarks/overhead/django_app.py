"""
The Django site of the benchmark: its settings, and requests to it one after the other without a server.

Import it before the recorder is set up: a recorder that adds itself to the settings needs them.

In        DATABASE_URL
Out       a WSGI app
Not here  its page (django_page.py), recorders (recorders.py), gunicorn (contender.py)
"""

from __future__ import annotations

import io
import os
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings

PAGE = """<!doctype html>
<title>{{ products|length }} products</title>
<ul>{% for product in products %}
<li><a href="/page/{{ product.pk }}/">{{ product.name }}</a> {{ product.price }}{% endfor %}
</ul>"""

_LOADER = ("django.template.loaders.locmem.Loader", {"products.html": PAGE})

_database = urlsplit(os.environ["DATABASE_URL"])

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="benchmarks.overhead.django_page",
    SECRET_KEY="nothing is signed",  # noqa: S106 - nothing is
    USE_TZ=True,
    LOGGING_CONFIG=None,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"loaders": [("django.template.loaders.cached.Loader", [_LOADER])]},
        }
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": _database.path.lstrip("/"),
            "USER": unquote(_database.username or ""), "PASSWORD": unquote(_database.password or ""),
            "HOST": _database.hostname, "PORT": _database.port, "CONN_MAX_AGE": None,
        },
    },
)  # fmt: skip


def application() -> Any:
    """
    Return the site.
    """
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def drive(app: Any, path: str, requests: int) -> None:
    """
    Ask *app* so many times for *path*, and see that it answers.
    """
    statuses = set()

    def start_response(status: str, _headers: Any, _error: Any = None) -> None:
        statuses.add(status)

    for _ in range(requests):
        environment = {
            "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8000", "HTTP_ACCEPT": "text/html",
            "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False, "wsgi.multiprocess": False, "wsgi.run_once": False,
        }  # fmt: skip
        response = app(environment, start_response)
        assert b"".join(response)
        response.close()
    assert statuses == {"200 OK"}, statuses
