"""
Let an answer arrive, whatever reads it: a terminal without UTF-8, a pipe that is closed, a program that wants JSON.

In        standard output and standard error as Python opened them
Out       streams that never raise on a letter; letters that a stream cannot show, by their look
Not here  what is printed (text.py, errors_text.py, document.py)
"""

from __future__ import annotations

import codecs
import io
import json
import math
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any, TextIO

EXIT_ANSWERED, EXIT_CHECK_FAILED, EXIT_NO_ANSWER, EXIT_NOT_SET_UP, EXIT_INTERRUPTED = 0, 1, 2, 125, 130

HANDLER = "rung.plain"
# Everything that rung prints beyond ASCII, by what it looks like.
PLAIN = {
    "█": "#", "▒": "=", "░": ".", "◆": "*",
    "│": "|", "▸": ">", "◂": "<", "·": "-", "–": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=",
    "×": "x", "÷": "/", "µ": "u", "’": "'", "ρ": "rho", "−": "-",
}  # fmt: skip


def make_printable() -> None:
    """
    Have both streams write letters that their encoding lacks by their look, instead of raising.
    """
    codecs.register_error(HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _plain(problem: UnicodeError) -> tuple[str, int]:
    assert isinstance(problem, UnicodeEncodeError)
    lacking = problem.object[problem.start : problem.end]
    return "".join(PLAIN.get(letter, "?") for letter in lacking), problem.end


def shows_all() -> bool:
    """
    Return whether standard output takes every letter there is.
    """
    return codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name.startswith("utf")


WIDTH_MAX, WIDTH_MIN = 110, 60


def width(stream: TextIO | None = None) -> int:
    """
    Return how many columns of a stream to fill (of standard output where none is named): what its terminal has,
    within what is readable; the most where it is no terminal.
    """
    asked = stream if stream is not None else sys.stdout
    if asked is None or not asked.isatty():
        return WIDTH_MAX
    return max(WIDTH_MIN, min(WIDTH_MAX, shutil.get_terminal_size((WIDTH_MAX, 24)).columns))


def flush() -> None:
    """
    Write out what was printed, while a failure to do so can still be told.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed by whoever started us (`rung find >&-`)
            stream.flush()


def fall_silent() -> None:
    """
    Send the rest to nowhere: the interpreter flushes once more on its way out, and would fail aloud.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())


def print_json(tree: Mapping[str, Any]) -> None:
    """
    Print one JSON document; a figure that does not exist is null.
    """
    print(json.dumps(_finite(tree), indent=2, ensure_ascii=not shows_all(), allow_nan=False))


def _finite(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
