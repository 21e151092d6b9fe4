"""
Turning what an endpoint returns into JSON, where that takes a millisecond or more.

In        modules of Starlette, FastAPI, Litestar, Django and Flask after their import
Out       segments cpu, named "serialise"
Not here  what the app serialises itself; shorter ones, which stay the app's own computing
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping
from types import ModuleType
from typing import Any

from rung.probe.wrapping import around_computing, computing

LEAST_S = 1e-3


def _serialise(owner: Any, *attributes: str) -> None:
    for attribute in attributes:
        around_computing(owner, attribute, "serialise", least_s=LEAST_S)


def _flask(module: ModuleType) -> None:
    _serialise(module.JSONProvider, "response")
    _serialise(module.DefaultJSONProvider, "response")


class _Field:
    """
    A field of FastAPI's whose steps are recorded one by one.
    """

    def __init__(self, field: Any) -> None:
        self._field = field

    def __getattr__(self, name: str) -> Any:
        return getattr(self._field, name)

    def validate(self, *args: Any, **kwargs: Any) -> Any:
        return self._field.validate(*args, **kwargs)

    def serialize(self, *args: Any, **kwargs: Any) -> Any:
        return self._field.serialize(*args, **kwargs)

    def serialize_json(self, *args: Any, **kwargs: Any) -> Any:
        return self._field.serialize_json(*args, **kwargs)


_serialise(_Field, "validate", "serialize", "serialize_json")


def _fastapi(module: Any) -> None:
    original = module.serialize_response
    whole = computing(original, "serialise", least_s=LEAST_S)

    @functools.wraps(original)
    def serialize_response(**kwargs: Any) -> Coroutine[Any, Any, Any]:
        field = kwargs.get("field")
        if field is None or kwargs.get("is_coroutine", True):
            return whole(**kwargs)
        # The result of a sync endpoint is validated in a thread, and waits for one: it is taken step by step.
        kwargs["field"] = _Field(field)
        return original(**kwargs)  # type: ignore[no-any-return]

    module.serialize_response = serialize_response


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "starlette.responses": lambda module: _serialise(module.JSONResponse, "render"),
    "fastapi.routing": _fastapi,
    "django.http.response": lambda module: _serialise(module.JsonResponse, "__init__"),
    "flask.json.provider": _flask,
    "litestar.response.base": lambda module: _serialise(module.Response, "render"),
}
