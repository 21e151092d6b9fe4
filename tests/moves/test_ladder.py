"""
Every move that there is stands on the ladder that the commands price, once, lowest rung first.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from rung import moves
from rung.moves.ladder import LADDER


def test_every_move_is_on_the_ladder() -> None:
    found = set()
    for module in pkgutil.iter_modules(moves.__path__, f"{moves.__name__}."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if kind.__module__ == module.name and isinstance(getattr(kind, "kind", None), str):
                found.add((kind.kind, kind.rung))

    assert len(LADDER) == len(found) >= 10
    assert {(move.kind, move.rung) for move in LADDER} == found


def test_the_ladder_is_climbed_from_below() -> None:
    rungs = [move.rung for move in LADDER]

    assert sorted(rungs) == rungs
