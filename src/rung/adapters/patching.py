"""
Apply a unified difference to a text, or take it back.

In        the text of one file, and what differs, as steps/ write it
Out       the other text, None where the difference does not fit
Not here  which file, reading and writing it (hands.py)

A hunk fits where its lines stand, at its own place or at the only other one that has them: what was changed elsewhere
in the file since does not matter, what was changed in these lines is not overwritten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEAD = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
NO_NEWLINE = "\\"


@dataclass(frozen=True, slots=True)
class Hunk:
    """
    Some lines and what they become; *line* is where they begin, from 1.
    """

    line: int
    old: tuple[str, ...]
    new: tuple[str, ...]


def applied(text: str, diff: str, *, back: bool = False) -> str | None:
    r"""
    Return *text* with *diff* in it, or with it taken back; None where it does not fit.

    >>> applied("a\nb\n", "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n")
    'a\nc\n'
    """
    lines, shift = _lines(text), 0
    for hunk in hunks(diff, back=back):
        place = _place(lines, hunk, hunk.line - 1 + shift)
        if place is None:
            return None
        lines[place : place + len(hunk.old)] = hunk.new
        shift = place - (hunk.line - 1) + len(hunk.new) - len(hunk.old)
    return "".join(lines)


def hunks(diff: str, *, back: bool) -> list[Hunk]:
    """
    Return the hunks of a difference, turned round with *back*.
    """
    found: list[tuple[int, list[str], list[str]]] = []
    last = ""
    for line in _lines(diff):
        head = _HEAD.match(line)
        if head is not None:
            found.append((int(head[2 if back else 1]), [], []))
        elif not found:
            continue
        elif line.startswith(NO_NEWLINE):
            for side in found[-1][1:]:
                if side and side[-1] is last:
                    side[-1] = last.removesuffix("\n")
        else:
            last = line[1:]
            if line[0] in " -":
                found[-1][1].append(last)
            if line[0] in " +":
                found[-1][2].append(last)
    turned = [(line, new, old) if back else (line, old, new) for line, old, new in found]
    return [Hunk(line, tuple(old), tuple(new)) for line, old, new in turned]


def _place(lines: list[str], hunk: Hunk, expected: int) -> int | None:
    wanted = list(hunk.old)
    if not wanted:  # of an empty file, whose first line has the number 0
        return 0 if not lines else None
    if expected >= 0 and lines[expected : expected + len(wanted)] == wanted:
        return expected
    places = [place for place in range(len(lines)) if lines[place : place + len(wanted)] == wanted]
    return places[0] if len(places) == 1 else None


def _lines(text: str) -> list[str]:
    return [line for line in re.split(r"(?<=\n)", text) if line]
