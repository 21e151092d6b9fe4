"""
Turning what an endpoint returns into JSON, where that takes a millisecond or more.

In        modules of Starlette, FastAPI, Django and Flask after their import
Out       segments cpu, named "serialise"
Not here  what the app serialises itself; shorter ones, which stay the app's own computing
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe.wrapping import around_computing

LEAST_S = 1e-3


def _serialise(owner: Any, *attributes: str) -> None:
    for attribute in attributes:
        around_computing(owner, attribute, "serialise", least_s=LEAST_S)


def _flask(module: ModuleType) -> None:
    _serialise(module.JSONProvider, "response")
    _serialise(module.DefaultJSONProvider, "response")


# What each holds is plain code that waits for nothing: FastAPI's serialize_response may go to a thread on its way, so
# it is taken at what it calls.  A model is validated as it goes out, too; a parameter that takes that long is the
# same work, the other way round.
MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "starlette.responses": lambda module: _serialise(module.JSONResponse, "render"),
    "fastapi.routing": lambda module: _serialise(module, "jsonable_encoder"),
    "fastapi._compat.v2": lambda module: _serialise(module.ModelField, "validate", "serialize", "serialize_json"),
    "django.http.response": lambda module: _serialise(module.JsonResponse, "__init__"),
    "flask.json.provider": _flask,
}
