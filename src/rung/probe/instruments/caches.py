"""
Django's cache framework and the regions of dogpile.cache: each call of a cache that is outside of the process.

What a region's creator or `get_or_set` computes for a cache runs between two calls, and is the app's own.

In        the backends of Django and dogpile.cache.region after their import
Out       segments cache, named after what keeps it: "redis", "memcached", "files"
Not here  which key it was; caches in the process's memory, which are computing; Django's in the database, whose
          statements are told as such
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe.wrapping import around_call, call, named, taken

_VERBS = (
    "add", "get", "set", "touch", "delete", "incr", "has_key", "get_many", "set_many", "delete_many", "clear",
)  # fmt: skip
_REGION = (
    "_get_from_backend", "_get_multi_from_backend", "_set_cached_value_to_backend",
    "_set_multi_cached_value_to_backend", "delete", "delete_multi",
)  # fmt: skip
_DOGPILE = "dogpile.cache.backends."
_KEPT_IN = {"file": "files", "memory": None, "null": None}
_OTHER = "dogpile"  # a backend of the user's own
_recorded: dict[tuple[Callable[..., Any], str], Callable[..., Any]] = {}


def _django(owner: Any, name: str) -> None:
    for verb in _VERBS:
        around_call(owner, verb, "cache", named(name))


def _memcached(module: ModuleType) -> None:
    _django(module.BaseMemcachedCache, "memcached")
    _django(module.PyLibMCCache, "memcached")


def _region(module: ModuleType) -> None:
    for attribute in _REGION:
        getattr(module.CacheRegion, attribute)  # one that is missing is told as a failure
        _by_backend(module.CacheRegion, attribute)


def _by_backend(owner: Any, attribute: str) -> None:
    original, put = taken(owner, attribute)

    @functools.wraps(original)
    def asked(self: Any, *args: Any, **kwargs: Any) -> Any:
        name = _kept_in(self)
        if name is None:
            return original(self, *args, **kwargs)
        recorded = _recorded.get((original, name))
        if recorded is None:
            recorded = _recorded[(original, name)] = call(original, "cache", named(name))
        return recorded(self, *args, **kwargs)

    put(asked)


def _kept_in(region: Any) -> str | None:
    module = type(getattr(region, "actual_backend", None)).__module__
    if not module.startswith(_DOGPILE):
        return _OTHER
    kind = module.removeprefix(_DOGPILE)
    return _KEPT_IN.get(kind, kind)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "django.core.cache.backends.redis": lambda module: _django(module.RedisCache, "redis"),
    "django.core.cache.backends.memcached": _memcached,
    "django.core.cache.backends.filebased": lambda module: _django(module.FileBasedCache, "files"),
    "dogpile.cache.region": _region,
}
