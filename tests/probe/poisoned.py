"""
Plays scenes (player.py) while every instrument fails at saying what it saw.

In        a module of scenes; "plain" or "recorded"
Out       what player.py prints, `failures` being where the instruments failed
Not here  failing anywhere else (poison.py)
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

from tests.probe import player

# Keyword and place of what an instrument hands to the functions that wrap.
TELLING = {
    "wrapping": {"around_call": 3, "around_coroutine": 3},
    "statements": {"around_call": 2, "around_coroutine": 2, "around_block": 2},
}


class SpeechlessError(Exception):
    """What an instrument raises that cannot say what it saw."""


def _speechless(instrument: str) -> Any:
    def tell(*_args: Any, **_kwargs: Any) -> Any:
        raise SpeechlessError(instrument)

    tell.__code__ = tell.__code__.replace(co_name=instrument)
    return tell


def _failing(original: Any, place: int) -> Any:
    @functools.wraps(original)
    def around(*args: Any, **kwargs: Any) -> None:
        instrument = sys._getframe(1).f_globals["__name__"].rpartition(".")[2]
        given = list(args)
        if len(given) > place:
            given[place] = _speechless(instrument)
        if "reading" in kwargs:
            kwargs["reading"] = (_speechless(instrument), _speechless(instrument))
        original(*given, **kwargs)

    return around


def begin() -> None:
    """Have every description fail; before any instrument is imported."""
    for name, functions in TELLING.items():
        module = importlib.import_module(f"rung.probe.{name}")
        for function, place in functions.items():
            setattr(module, function, _failing(getattr(module, function), place))


if __name__ == "__main__":
    if sys.argv[2] == "recorded":
        begin()
    player.main(*sys.argv[1:])
