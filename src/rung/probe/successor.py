"""
A program that takes the place of this process (exec): have the recorder started in it as well.

Others are started the same way as rung, by a sitecustomize in a folder that their command (opentelemetry-instrument,
newrelic-admin, ddtrace-run) puts first on PYTHONPATH before it becomes the app's.  Python runs the first one alone,
and not each of them runs the next; rung's does, so it goes first.

In        os.execv and os.execve, by which all of os.exec* go
Out       PYTHONPATH of the program that follows, changed only where another sitecustomize would come before rung's
Not here  programs that are started beside this process, or become the app's by other means than Python's
"""

from __future__ import annotations

import functools
import os

from rung.probe.core import failed

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_BOOTSTRAP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "bootstrap")


def reordered(python_path: str) -> str | None:
    """
    Return PYTHONPATH with rung's folder first; None where it may stay: nothing precedes it, or it is not there.
    """
    entries = python_path.split(os.pathsep)
    for position, entry in enumerate(entries):
        if os.path.realpath(entry) == _BOOTSTRAP:
            before = entries[:position]
            if not any(os.path.exists(os.path.join(one, "sitecustomize.py")) for one in before):
                return None
            return os.pathsep.join([entry, *before, *entries[position + 1 :]])
    return None


def install() -> None:
    """
    Look at PYTHONPATH whenever a program takes the place of this process.
    """
    execv, execve = os.execv, os.execve

    @functools.wraps(execv)
    def recorded_execv(path: Any, argv: Any, /) -> Any:
        try:
            changed = reordered(os.environ.get("PYTHONPATH", ""))
            if changed is not None:
                os.environ["PYTHONPATH"] = changed
        except Exception:
            failed()
        return execv(path, argv)

    @functools.wraps(execve)
    def recorded_execve(path: Any, argv: Any, env: Mapping[Any, Any]) -> Any:
        try:
            changed = reordered(str(env.get("PYTHONPATH", "")))
            if changed is not None:
                env = {**env, "PYTHONPATH": changed}
        except Exception:
            failed()
        return execve(path, argv, env)

    os.execv, os.execve = recorded_execv, recorded_execve
