"""
Read every line that a recording holds.

In        its lines, asked for as rows
Out       lines in order of time, and how many more there were
Not here  what a line is called elsewhere (telling.py), one trace's lines (traced.py)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rung.ports import Column, Rows, Step
from rung.steps.trace.questions import rows_of, sql
from rung.steps.trace.telling import Logged


@dataclass(frozen=True, slots=True)
class Lines:
    """
    What was logged.

    Attributes:
        dropped: How many more lines there were: too many at once, or of requests that were not kept.
    """

    lines: tuple[Logged, ...]
    dropped: int


def lines_of() -> Step[Lines]:
    """
    Ask for every line.
    """
    columns: Mapping[str, Column] = yield Rows(sql("logged"))
    counted: Mapping[str, Column] = yield Rows("select coalesce(counts, '') as counts from processes")
    lines = tuple(map(_line, rows_of(columns)))
    return Lines(lines, sum(_dropped(counted["counts"].tolist())))


def _line(row: dict[str, object]) -> Logged:
    key, known, template = str(row.pop("key")), row.pop("known"), row.pop("template")
    told: Any = row  # the other columns are named as the attributes are
    return Logged(key=int(key, 16) if key else None, template=str(template) if known else None, **told)


def _dropped(counts: Iterable[str]) -> Iterable[int]:
    for text in counts:
        try:
            told = json.loads(text or "{}")
        except ValueError:
            told = None
        yield int(told.get("lines_dropped", 0)) if isinstance(told, dict) else 0
