"""
Make what the recorder calls inside an app fail, while the app serves; where nothing is recorded, do nothing.

In        the name of a function: "core:keep"
Out       that function raising until it is healed; how often the recorder says that something failed
Not here  which functions (test_never_suffers.py)
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

_whole: list[tuple[Any, str, Any]] = []


class PoisonedError(LookupError):
    """No part of the recorder raises it by itself."""


def poison(point: str) -> None:
    """Have the function raise; a class raises as it is made."""
    heal()
    if "rung.probe.core" not in sys.modules:
        return
    module, _, path = point.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(f"rung.probe.{module}")
    for part in owners:
        owner = getattr(owner, part)

    def raises(*_args: Any, **_kwargs: Any) -> Any:
        raise PoisonedError(point)

    _whole.append((owner, name, vars(owner)[name]))
    setattr(owner, name, raises)
    # What is known already is not asked for again.
    sys.modules["rung.probe.core"].state.forget_statements()


def heal() -> None:
    """Have everything work again."""
    while _whole:
        owner, name, whole = _whole.pop()
        setattr(owner, name, whole)


def failures() -> dict[str, int]:
    """Return where the recorder failed, and how often."""
    core = sys.modules.get("rung.probe.core")
    return dict(core.state.failed_at) if core is not None else {}


def counted() -> int:
    """Return how often it failed."""
    core = sys.modules.get("rung.probe.core")
    return int(core.state.failures) if core is not None else 0
