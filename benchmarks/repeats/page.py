"""
One of the two pages: `python -m benchmarks.repeats.page bare|recorded`, asked a line at a time.

In        {"pages", "statements"} a line; DATABASE_URL
Out       {"cpu_s"} a line: CPU seconds of this process for these pages
Not here  when which page is asked (__main__.py)
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from typing import Any
from urllib.parse import urlsplit

RECORDED = sys.argv[1] == "recorded"
if RECORDED:
    from rung.probe import core, imports
    from rung.probe.threaded import Threaded

    imports.install()

import django  # noqa: E402 - after the probe watches imports, as under `rung record`
from django.conf import settings  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db import models  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

_server = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="benchmark",  # noqa: S106 - nothing is signed
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": _server.path.lstrip("/"), "USER": _server.username,
            "PASSWORD": _server.password, "HOST": _server.hostname, "PORT": _server.port, "CONN_MAX_AGE": None,
        },
    },
)  # fmt: skip
django.setup()


class Product(models.Model):
    """
    A row that the page asks for, one at a time.
    """

    name = models.TextField()

    class Meta:
        """
        Where it belongs.
        """

        app_label = "benchmark"
        db_table = "benchmark_product"

    def __str__(self) -> str:
        return self.name


def page(_request: Any, count: int) -> JsonResponse:
    """
    Ask *count* times for one row, as a list does that forgot select_related.
    """
    return JsonResponse({"names": [Product.objects.get(pk=number + 1).name for number in range(count)]})


urlpatterns = [path("page/<int:count>/", page)]
handler = WSGIHandler()


def _ask(count: int) -> None:
    environment = {
        "REQUEST_METHOD": "GET", "PATH_INFO": f"/page/{count}/", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(), "QUERY_STRING": "", "HTTP_HOST": "127.0.0.1",
    }  # fmt: skip
    response = handler(environment, lambda *_args: None)
    assert response.status_code == 200
    b"".join(response)
    response.close()


def _ask_recorded(count: int) -> None:
    request = Threaded("GET")
    try:
        _ask(count)
    finally:
        request.end()
    assert len(core.state.finished.pop()[core.SEGMENTS]) >= count * core.SEGMENT_BYTES
    core.state.held_bytes = 0


def main() -> None:
    """
    Answer until standard input ends.
    """
    ask = _ask_recorded if RECORDED else _ask
    for line in sys.stdin:
        asked = json.loads(line)
        before_s = time.process_time()
        for _ in range(asked["pages"]):
            ask(asked["statements"])
        print(json.dumps({"cpu_s": time.process_time() - before_s}), flush=True)


if __name__ == "__main__":
    main()
