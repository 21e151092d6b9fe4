"""
Scenes: the caches of Django and dogpile.cache.  Lines are asked for by their marks.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit

import django
import psycopg
from django.conf import settings
from django.core.cache import caches
from django.core.management import call_command
from dogpile.cache import make_region

REDIS_URL = os.environ["REDIS_URL"]
DATABASE = os.environ["DATABASE_URL"]
FOLDER = os.environ["FOLDER"]
KEY = f"key-{os.getpid()}"
_url = urlsplit(DATABASE)
_table = f"cached_{os.getpid()}"


class Client:
    """As a library for memcached has it, and of one process."""

    held: dict[str, Any] = {}  # noqa: RUF012 - the same for all clients

    def __init__(self, servers: Any, **_options: Any) -> None:
        self.servers = servers

    def get(self, key: str, default: Any = None) -> Any:
        return self.held.get(key, default)

    def set(self, key: str, value: Any, _timeout: Any) -> bool:
        self.held[key] = value
        return True

    def delete(self, key: str) -> bool:
        return self.held.pop(key, None) is not None


_backends = "django.core.cache.backends"
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql", "HOST": _url.hostname, "PORT": _url.port,
            "NAME": _url.path[1:], "USER": unquote(_url.username or ""), "PASSWORD": unquote(_url.password or ""),
        }
    },
    CACHES={
        "default": {"BACKEND": f"{_backends}.redis.RedisCache", "LOCATION": REDIS_URL},
        "files": {"BACKEND": f"{_backends}.filebased.FileBasedCache", "LOCATION": FOLDER},
        "database": {"BACKEND": f"{_backends}.db.DatabaseCache", "LOCATION": _table},
        "memory": {"BACKEND": f"{_backends}.locmem.LocMemCache"},
    },
)  # fmt: skip
django.setup()
call_command("createcachetable", verbosity=0)


def _made() -> int:
    with psycopg.connect(DATABASE) as connection:
        row = connection.execute("SELECT 42").fetchone()
        assert row is not None
        return int(row[0])


def _dealt_with(cache: Any) -> Any:
    saw = [cache.set(KEY, 1), cache.get(KEY), cache.get("none"), sorted(cache.get_many([KEY, "none"]).values())]
    return [*saw, cache.delete(KEY)]


def with_django_and_redis() -> Any:
    cache = caches["default"]
    cache.set(KEY, 1)  # MARK redis
    return [*_dealt_with(cache), cache.get_or_set(f"{KEY}-made", _made)]


async def with_django_async() -> Any:
    cache = caches["default"]
    await cache.aset(KEY, 2)
    return await cache.aget(KEY)


def with_django_and_files() -> Any:
    return _dealt_with(caches["files"])


def with_django_and_memcached() -> Any:
    from types import SimpleNamespace

    from django.core.cache.backends.memcached import BaseMemcachedCache

    cache = BaseMemcachedCache("127.0.0.1:1", {}, SimpleNamespace(Client=Client), KeyError)
    return [cache.set(KEY, 3), cache.get(KEY), cache.delete(KEY)]


def with_django_and_a_table() -> Any:
    cache = caches["database"]
    return [cache.set(KEY, 4), cache.get(KEY)]


def with_django_in_memory() -> Any:
    return _dealt_with(caches["memory"])


def with_dogpile() -> Any:
    region = make_region().configure("dogpile.cache.redis", arguments={"url": REDIS_URL})
    made = region.get_or_create(f"{KEY}-dogpile", _made)  # MARK dogpile
    found = region.get_or_create(f"{KEY}-dogpile", _made)
    region.set_multi({f"{KEY}-a": 1, f"{KEY}-b": 2})
    saw = [made, found, region.get_multi([f"{KEY}-a", f"{KEY}-b"])]
    region.delete(f"{KEY}-a")
    return saw


def with_dogpile_in_a_file() -> Any:
    region = make_region().configure("dogpile.cache.dbm", arguments={"filename": f"{FOLDER}/{KEY}"})
    return region.get_or_create(KEY, lambda: 5)


def with_dogpile_in_memory() -> Any:
    region = make_region().configure("dogpile.cache.memory")
    return [region.get_or_create(KEY, _made), region.get_or_create(KEY, _made)]
