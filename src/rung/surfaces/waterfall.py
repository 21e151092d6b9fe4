"""
Draw one trace as a waterfall: a row for each thing that was waited for or worked on, and each line that was logged.

In        a Trace
Out       lines of text, of the asked width
Not here  gathering it (steps/trace), what stands around it (trace.py)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from rung.steps.trace.telling import level_name
from rung.steps.trace.traced import LogLine, Span, Trace, Unit
from rung.surfaces.text import short_statement
from rung.trace_context import ROOT
from rung.units import show_count, show_seconds

BAR_WIDTH, BAR_WIDTH_MIN = 40, 10
BESIDE_BAR_WIDTH = 50  # what stands left of a bar
TIME_WIDTH = 10
ROWS_MAX = 120
ROUNDING = 1e-3  # of a cell
INDENT, INDENTED_MAX = 2, 12
WORK, WAIT, PASSING, MARK = "█", "▒", "░", "◆"
LEGEND = f"{WORK} working, or unseen · {WAIT} waiting · {PASSING} within what stands below · {MARK} logged"
WORKING = frozenset({"cpu"})  # seams on which the app itself works

Mark = tuple[float, float, str]


@dataclass(slots=True)
class Row:
    """
    One row of the waterfall.

    Attributes:
        text: What it is; what more is known of it stands behind or below.
        time: What stands before the bar.
        marks: Begin, end and letter of what its bar shows, seconds since the trace began.
    """

    depth: int
    text: str
    more: tuple[str, ...]
    time: str
    marks: list[Mark] = field(default_factory=list)


def waterfall(trace: Trace, columns: int) -> list[str]:
    """
    Return the lines of *trace* within so many columns.
    """
    began_s, lasted_s = extent(trace)
    found = list(rows(trace, began_s))
    bar = max(BAR_WIDTH_MIN, min(BAR_WIDTH, columns - BESIDE_BAR_WIDTH - TIME_WIDTH - 3))
    left = columns - bar - TIME_WIDTH - 3
    lines = [line for row in found[:ROWS_MAX] for line in _drawn(row, left, bar, lasted_s)]
    if len(found) > ROWS_MAX:
        lines.append(f"… and {show_count(len(found) - ROWS_MAX)} more rows")
    return lines


def extent(trace: Trace) -> tuple[float, float]:
    """
    Return when *trace* began, and how long it lasted.
    """
    began_s = min(unit.arrived_s - (unit.queue_s or 0.0) for unit in trace.units)
    ended_s = max(unit.arrived_s + unit.duration_s for unit in trace.units)
    return began_s, ended_s - began_s


def rows(trace: Trace, began_s: float) -> Iterator[Row]:
    """
    Yield the rows of *trace* from the outermost inwards, each below what it is part of.
    """
    drawing = _Drawing(trace, began_s)
    for place, unit in enumerate(trace.units):
        if unit.under is None:
            yield from drawing.unit(place, 0)
    # What calls itself, over however many others, is below nothing.
    for place in range(len(trace.units)):
        yield from drawing.unit(place, 0)


class _Drawing:
    """
    What of a trace has been drawn.
    """

    def __init__(self, trace: Trace, began_s: float) -> None:
        self._units = trace.units
        self._began_s = began_s
        self._drawn: set[int] = set()
        self._below: dict[tuple[int, int], list[int]] = {}
        for place, unit in enumerate(trace.units):
            if unit.under is not None:
                self._below.setdefault(unit.under, []).append(place)

    def unit(self, place: int, depth: int) -> Iterator[Row]:
        if place in self._drawn:
            return
        self._drawn.add(place)
        unit = self._units[place]
        at_s = unit.arrived_s - self._began_s
        yield _head(unit, depth, at_s)
        if unit.queue_s:
            mark = (at_s - unit.queue_s, at_s, WAIT)
            yield Row(depth + 1, "queue", ("before the app took it",), show_seconds(unit.queue_s), [mark])
        inside = _Inside(unit)
        yield from self._items(place, ROOT, inside, depth + 1)
        # Segments that lie inside each other, which no recorder writes.
        for group in inside.left():
            yield from self._group(place, group, inside, depth + 1)

    def _items(self, place: int, segment: int, inside: _Inside, depth: int) -> Iterator[Row]:
        at_s = self._units[place].arrived_s
        groups = inside.below(segment, self._holders(place))
        items: list[tuple[float, int, list[Span] | list[LogLine] | int]] = [
            *((group[0].start_s, 0, group) for group in groups),
            *((lines[0].at_s, 1, lines) for lines in inside.lines(segment)),
            *((self._units[other].arrived_s - at_s, 2, other) for other in self._below.get((place, segment), ())),
        ]
        for _, kind, item in sorted(items, key=lambda each: each[:2]):
            if kind == 0:
                yield from self._group(place, item, inside, depth)  # type: ignore[arg-type]
            elif kind == 1:
                yield _logged(item, depth, at_s - self._began_s)  # type: ignore[arg-type]
            else:
                yield from self.unit(item, depth)  # type: ignore[arg-type]

    def _group(self, place: int, group: list[Span], inside: _Inside, depth: int) -> Iterator[Row]:
        yield _spans(group, depth, self._units[place], self._began_s)
        for span in group:
            yield from self._items(place, span.segment, inside, depth + 1)

    def _holders(self, place: int) -> set[int]:
        return {segment for other, segment in self._below if other == place}


class _Inside:
    """
    Segments and lines of one unit by what they lie in, each given out once.
    """

    def __init__(self, unit: Unit) -> None:
        known = {span.segment for span in unit.spans}
        self._spans: dict[int, list[Span]] = {}
        self._lines: dict[int, list[LogLine]] = {}
        for span in unit.spans:
            parent = span.parent if span.parent in known else ROOT
            self._spans.setdefault(parent, []).append(span)
        for line in unit.lines:
            segment = line.segment if line.segment in known else ROOT
            self._lines.setdefault(segment, []).append(line)

    def below(self, segment: int, holders: set[int]) -> list[list[Span]]:
        """
        Return the segments directly inside of *segment*; those that are alike and hold nothing go together.
        """
        groups: dict[object, list[Span]] = {}
        for span in self._spans.pop(segment, []):
            alone = span.segment in self._spans or span.segment in self._lines or span.segment in holders
            key: object = span.segment if alone else (span.seam, span.name, span.code, span.database)
            groups.setdefault(key, []).append(span)
        return list(groups.values())

    def lines(self, segment: int) -> list[list[LogLine]]:
        """
        Return the lines logged directly inside of *segment*; the same one again and again goes together.
        """
        groups: list[list[LogLine]] = []
        for line in self._lines.pop(segment, []):
            last = groups[-1][-1] if groups else None
            if last is not None and _alike(last, line):
                groups[-1].append(line)
            else:
                groups.append([line])
        return groups

    def left(self) -> Iterator[list[Span]]:
        """
        Yield what nothing leads to.
        """
        while self._spans:
            segment = next(iter(self._spans))
            yield from self.below(segment, set())


def _alike(one: LogLine, other: LogLine) -> bool:
    return (one.logger, one.level, one.template, one.code) == (other.logger, other.level, other.template, other.code)


def _head(unit: Unit, depth: int, at_s: float) -> Row:
    name = f"{unit.method} {unit.route}".strip()
    status = str(unit.status) if unit.kind == "request" else unit.kind
    told = (unit.error, "cancelled" if unit.cancelled else "", unit.who)
    end_s = at_s + unit.duration_s
    marks = [(at_s, end_s, WORK), *((at_s + begin_s, at_s + until_s, PASSING) for begin_s, until_s in _covered(unit))]
    return Row(depth, f"{name} {status}", tuple(each for each in told if each), show_seconds(unit.duration_s), marks)


def _covered(unit: Unit) -> Iterator[tuple[float, float]]:
    for span in unit.spans:
        begin_s = min(max(span.start_s, 0.0), unit.duration_s)
        if span.calls == 1:  # a sum of many has no place of its own
            yield begin_s, min(begin_s + max(span.duration_s, 0.0), unit.duration_s)


def _spans(group: list[Span], depth: int, unit: Unit, began_s: float) -> Row:
    first = group[0]
    text = f"{first.seam} {short_statement(first.statement) if first.statement else first.name}".strip()
    calls, returned = sum(span.calls for span in group), [span.rows for span in group if span.rows >= 0]
    told = (
        f"×{show_count(calls)}" if calls > 1 else "",
        first.code,
        f"{show_count(sum(returned))} row{'s' if sum(returned) != 1 else ''}" if returned else "",
        f"[{first.name[:8]}]" if first.statement else "",
    )
    at_s = unit.arrived_s - began_s
    letter = WORK if first.seam in WORKING else WAIT
    marks = [
        (at_s + span.start_s, at_s + span.start_s + span.duration_s, letter) for span in group if span.calls == 1
    ]  # fmt: skip
    return Row(depth, text, tuple(each for each in told if each), show_seconds(sum(s.duration_s for s in group)), marks)


def _logged(lines: list[LogLine], depth: int, at_s: float) -> Row:
    first = lines[0]
    text = first.template if first.template is not None else "(text not kept)"
    told = (f"×{show_count(len(lines))}" if len(lines) > 1 else "", first.error, first.code)
    marks = [(at_s + line.at_s, at_s + line.at_s, MARK) for line in lines]
    return Row(
        depth,
        f"{MARK} {level_name(first.level)} {first.logger}: {text}",
        tuple(each for each in told if each),
        f"+{show_seconds(max(at_s + first.at_s, 0.0))}",
        marks,
    )


def _drawn(row: Row, left: int, bar: int, lasted_s: float) -> Iterator[str]:
    margin = " " * min(row.depth * INDENT, INDENTED_MAX * INDENT, max(left - 20, 0))
    time = f" {row.time:>{TIME_WIDTH - 1}}"
    room = left + TIME_WIDTH - len(time)  # hours and minutes take some of what stands before them
    more = " · ".join(row.more)
    together = printable(f"{margin}{row.text}  {more}" if more else f"{margin}{row.text}")
    fits = len(together) <= room
    first = together if fits else cut(printable(f"{margin}{row.text}"), room)
    yield f"{first:<{room}}{time} │{_bar(row.marks, bar, lasted_s)}│"
    if more and not fits:
        yield cut(printable(f"{margin}    {more}"), left)


def _bar(marks: list[Mark], columns: int, lasted_s: float) -> str:
    cells = [" "] * columns
    per_s = columns / lasted_s if lasted_s > 0 and math.isfinite(columns / lasted_s) else 0.0
    for begin_s, end_s, letter in marks:
        # Clocks tell a moment to a part of a microsecond: what begins with a cell is drawn in it.
        first = min(max(int(begin_s * per_s + ROUNDING), 0), columns - 1)
        last = min(max(round(end_s * per_s), first + 1), columns)
        cells[first:last] = letter * (last - first)
    return "".join(cells)


def cut(text: str, columns: int) -> str:
    """
    Return *text* with its end left out where it is too long.

    >>> cut("waiting", 5)
    'wait…'
    """
    return text if len(text) <= columns else f"{text[: columns - 1]}…"


def printable(text: str) -> str:
    r"""
    Return *text* on one line, without what a terminal would obey.

    >>> printable("a\n b\x1b[31m")
    'a b?[31m'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in _one_line(text))


def _one_line(text: str) -> str:
    head = len(text) - len(text.lstrip(" "))
    body = text[head:]
    return text[:head] + (" ".join(body.split()) if any(letter in body for letter in "\n\r\t") else body)
