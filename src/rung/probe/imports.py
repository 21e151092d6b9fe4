"""
Put an instrument in place right after the app imports what it instruments.

A finder at the head of sys.meta_path lets the others find the module and has its loader's exec_module followed by
the instrument.  Loader and spec stay the ones that Python made, so inspect, importlib.resources and reload see
nothing of it.

In        names of modules, and which instrument each has
Out       instrumented modules, also those imported before
Not here  what an instrument does (instruments/)
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from rung.probe.core import failed, serving

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from typing import Any

# module -> the instruments that have a function for it
INSTRUMENTS = {
    "starlette.applications": "starlette",
    "starlette.routing": "starlette",
    "fastapi.routing": "starlette serialise",
    "anyio.to_thread": "threads",
    "asyncio.base_events": "tasks",
    "asyncio.threads": "threads",
    "uvloop": "tasks",
    "asyncpg.connect_utils": "asyncpg",
    "asyncpg.connection": "asyncpg",
    "asyncpg.cursor": "asyncpg",
    "asyncpg.pool": "asyncpg",
    "asyncpg.prepared_stmt": "asyncpg",
    "psycopg.connection": "psycopg",
    "psycopg.connection_async": "psycopg",
    "psycopg.cursor": "psycopg",
    "psycopg.cursor_async": "psycopg",
    "psycopg._server_cursor": "psycopg",
    "psycopg._server_cursor_async": "psycopg",
    "psycopg.transaction": "psycopg",
    "psycopg_pool.pool": "psycopg_pool",
    "psycopg_pool.pool_async": "psycopg_pool",
    "sqlalchemy.pool.impl": "sqlalchemy",
    "psycopg2": "psycopg2",
    "redis.client": "redis",
    "redis.cluster": "redis",
    "redis.asyncio.client": "redis",
    "redis.asyncio.cluster": "redis",
    "django.core.cache.backends.redis": "caches",
    "django.core.cache.backends.memcached": "caches",
    "django.core.cache.backends.filebased": "caches",
    "dogpile.cache.region": "caches",
    "smtplib": "smtplib",
    "httpx._client": "httpx",
    "requests.sessions": "urllib3",
    "urllib3.connectionpool": "urllib3",
    "urllib.request": "urllib3",
    "aiohttp.client": "aiohttp",
    "aiohttp.client_reqrep": "aiohttp",
    "botocore.client": "botocore",
    "botocore.response": "botocore",
    "obstore": "obstore",
    "jinja2.environment": "templates",
    "django.template.base": "templates",
    "starlette.responses": "serialise",
    "django.http.response": "serialise",
    "flask.json.provider": "serialise",
    "concurrent.futures.thread": "executors",
    "asgiref.sync": "asgiref",
    "django.core.handlers.asgi": "django",
    "django.core.handlers.base": "django",
    "django.core.handlers.exception": "django",
    "django.core.handlers.wsgi": "django",
    "django.core.management.base": "jobs",
    "flask.app": "flask",
    "flask.ctx": "flask",
    "celery.app.base": "jobs",
    "celery.app.trace": "jobs",
    "celery.signals": "jobs",
    "rq.queue": "rq",
    "rq.job": "rq",
    "rq.worker.base": "rq",
    "dramatiq.brokers.redis": "dramatiq",
    "dramatiq.brokers.rabbitmq": "dramatiq",
    "dramatiq.brokers.stub": "dramatiq",
    "dramatiq.worker": "dramatiq",
    "procrastinate.manager": "procrastinate",
    "procrastinate.worker": "procrastinate",
    "pgqueuer.adapters.persistence.queries": "pgqueuer",
    "pgqueuer.core.qm": "pgqueuer",
    "pgqueuer.core.sm": "pgqueuer",
    "uvicorn.server": "uvicorn",
    "opentelemetry.trace": "opentelemetry",
    "opentelemetry.sdk.trace": "opentelemetry",
    "logging": "logging",
    "structlog._base": "structlog",
    "granian.server.mp": "granian",
    "litestar.app": "litestar",
    "litestar._asgi.asgi_router": "litestar",
    "litestar.middleware._internal.exceptions.middleware": "litestar",
    "litestar.response.base": "serialise",
}
_AROUND_REQUESTS = ("files", "garbage")


class Finder:
    """
    Finds nothing itself; what others find of INSTRUMENTS is instrumented once it has run.
    """

    def __init__(self) -> None:
        self._asking = threading.local()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """
        Return the other finders' spec for *name*, with its loader followed by the instrument.
        """
        if name not in INSTRUMENTS or getattr(self._asking, "name", None) == name:
            return None
        self._asking.name = name
        try:
            spec = _found_by_others(self, name, path, target)
            if spec is not None and spec.loader is not None:
                _follow(spec, name)
            return spec
        finally:
            self._asking.name = None


def _found_by_others(
    finder: Finder, name: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    for other in sys.meta_path:
        if other is not finder:
            spec = other.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


def _follow(spec: ModuleSpec, name: str) -> None:
    loader: Any = spec.loader
    # Other recorders put an object around a loader that passes for it and hands on what is set on it: followed there,
    # it would follow itself.
    if type(loader) is not loader.__class__:
        followed: Any = _Following(spec, loader)
        spec.loader = followed
        return
    original = loader.exec_module

    @functools.wraps(original)
    def exec_module(module: ModuleType) -> None:
        original(module)
        if module.__name__ == name:
            # The loader is the module's own again; a reload finds it anew.
            vars(loader).pop("exec_module", None)
            instrument(module)

    try:
        loader.exec_module = exec_module
    except Exception:  # a loader without a place for it: that module stays as it is
        failed()


class _Following:
    """
    Stands in a spec for a loader on which nothing can be set, until the module has run.
    """

    def __init__(self, spec: ModuleSpec, loader: Any) -> None:
        self._spec = spec
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """
        Run the module, then its instrument.
        """
        self._spec.loader = self._loader
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._loader
        self._loader.exec_module(module)
        instrument(module)


def instrument(module: ModuleType) -> None:
    """
    Run the function that *module*'s instrument has for it.
    """
    try:
        name = module.__name__
        for instrument_name in INSTRUMENTS[name].split():
            importlib.import_module(f"rung.probe.instruments.{instrument_name}").MODULES[name](module)
    except Exception:
        failed()


def around_requests() -> None:
    """
    Put in place what watches the process itself: only where requests are served is it worth its cost.
    """
    for name in _AROUND_REQUESTS:
        try:
            importlib.import_module(f"rung.probe.instruments.{name}").install()
        except Exception:
            failed()


def install() -> None:
    """
    Watch imports from now on, and instrument what was imported before.
    """
    sys.meta_path.insert(0, Finder())
    serving.append(around_requests)
    for name in INSTRUMENTS:
        module = sys.modules.get(name)
        if module is not None:
            instrument(module)
