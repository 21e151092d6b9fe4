"""
Plays the scenes of a module in a process of its own, recorded or not, each as one request.

A scene is a public function, or coroutine function, that returns what it saw: JSON, the same recorded and not.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


@dataclass
class Played:
    plain: dict[str, Any]  # what each scene saw
    recorded: dict[str, Any]
    segments: dict[str, list[dict[str, Any]]]
    cpu_s: dict[str, float]
    lasted_s: dict[str, float]
    texts: dict[str, str]
    failures: dict[str, int]

    def of(self, scene: str, *seams: str) -> list[dict[str, Any]]:
        return [one for one in self.segments[scene] if not seams or one["seam"] in seams]

    def names(self, scene: str, *seams: str) -> list[str]:
        """Seam and name of each segment; of a query its text."""
        return [f"{one['seam']} {self.texts.get(one['name'], one['name'])}".strip() for one in self.of(scene, *seams)]


def play(module: str, **environment: str) -> Played:
    """Play all scenes of a module of this folder, twice."""
    with _child(module, "plain", environment) as one, _child(module, "recorded", environment) as other:
        try:
            plain, recorded = _said(one), _said(other)
        finally:
            one.kill()
            other.kill()
    return Played(plain["saw"], recorded.pop("saw"), **recorded)


def played_recorded(module: str, **environment: str) -> Played:
    """Play all scenes of a module of this folder once, recorded: what they see is not there without."""
    with _child(module, "recorded", environment) as child:
        try:
            recorded = _said(child)
        finally:
            child.kill()
    return Played({}, recorded.pop("saw"), **recorded)


def _child(module: str, how: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.probe.player", f"tests.probe.{module}", how],
        env={**os.environ, **environment},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _said(child: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 0, err
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return said


def main(name: str, how: str) -> None:
    from rung.probe import core, imports
    from tests.probe import rows

    if how == "recorded":
        imports.install()
        core.framework_seen()
    module = importlib.import_module(name)
    saw: dict[str, Any] = {}
    segments, cpu_s, lasted_s = {}, {}, {}
    for scene in vars(module).values():
        if inspect.isfunction(scene) and scene.__module__ == name and not scene.__name__.startswith("_"):
            request = core.Request("GET")
            saw[scene.__name__] = _played(scene, request)
            core.freeze(request)
            assert request.row is not None
            segments[scene.__name__] = rows.unpacked(request.row)
            cpu_s[scene.__name__] = request.row[core.CPU]
            lasted_s[scene.__name__] = request.row[core.DURATION]
    texts = {one[1]: one[2] for one in core.state.statements}
    said = {"segments": segments, "cpu_s": cpu_s, "lasted_s": lasted_s, "texts": texts}
    print(json.dumps({"saw": saw, **said, "failures": core.state.failed_at}))


def _played(scene: Any, request: Any) -> Any:
    from rung.probe import asgi, core

    async def drive() -> Any:
        core.current.set(core.Scope(request, request))
        return await asgi.driven(scene(), request, request)

    if inspect.iscoroutinefunction(scene):
        return asyncio.run(drive())
    token = core.current.set(core.Scope(request, request))
    request.stepping = True
    request.mark = perf_counter()
    try:
        return scene()
    finally:
        request.busy_s = request.so_far_s()
        request.stepping = False
        core.current.reset(token)


if __name__ == "__main__":
    main(*sys.argv[1:])
