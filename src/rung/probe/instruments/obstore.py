"""
obstore: calls of object stores, sync and async.

What it gives for an async call is a future that is under way at once, so that it stays the one that the app gets; it
is looked at when it is done.

In        obstore after its import; the methods of its stores call these functions
Out       segments external, named "storage"; of a folder of this machine file, named "storage"
Not here  what is kept in memory; listings and bodies, which its own classes in Rust fetch as they are read
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from time import perf_counter
from types import ModuleType
from typing import Any

from rung.probe import core, lines
from rung.probe.wrapping import call, named

_NAME = "storage"
_FUNCTIONS = (
    "copy", "delete", "get", "get_range", "get_ranges", "head", "list_with_delimiter", "put", "rename",
)  # fmt: skip
_SEAMS = {"LocalStore": "file", "MemoryStore": None}


def _seam(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
    store = args[0] if args else kwargs.get("store")
    return _SEAMS.get(type(store).__name__, "external")


def _module(module: ModuleType) -> None:
    for name in _FUNCTIONS:
        setattr(module, name, _sync(getattr(module, name)))
        setattr(module, f"{name}_async", _async(getattr(module, f"{name}_async")))


def _sync(original: Callable[..., Any]) -> Callable[..., Any]:
    recorded = {seam: call(original, seam, named(_NAME)) for seam in ("external", "file")}

    @functools.wraps(original)
    def called(*args: Any, **kwargs: Any) -> Any:
        seam = _seam(args, kwargs)
        return (original if seam is None else recorded[seam])(*args, **kwargs)

    return called


def _async(original: Callable[..., Any]) -> Callable[..., Any]:
    current = core.current.get

    @functools.wraps(original)
    def called(*args: Any, **kwargs: Any) -> Any:
        outer = current()
        seam = None if outer is None or outer.leaf or outer.request.ended else _seam(args, kwargs)
        start = perf_counter()
        future = original(*args, **kwargs)
        if outer is not None and seam is not None:
            try:
                _keep_when_done(future, outer, seam, start)
            except Exception:
                core.failed()
        return future

    return called


def _keep_when_done(future: Any, outer: core.Scope, seam: str, start: float) -> None:
    request, parent = outer.request, outer.serial
    where = (seam, _NAME, None, lines.line_here(), None)
    outer.used = True

    def done(_future: Any) -> None:
        try:
            # What was asked for by a request that is over belongs to nobody.
            if not request.ended and start >= request.start:
                serial = next(request.serials)
                core.keep(request, serial, parent, where, start=start, duration_s=perf_counter() - start)
        except Exception:
            core.failed()

    future.add_done_callback(done)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"obstore": _module}
