"""
Gather one trace: its units of work, what each waited for and worked on, and what it logged.

In        an Index and one unit of it; segments and lines, asked for as rows
Out       Trace: units in order of arrival, each with the span that called it where that was recorded
Not here  which trace (units.py), drawing it (surfaces/waterfall.py)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rung.ports import Column, Rows, Step
from rung.steps.measure import own_seconds
from rung.steps.trace.ids import spans_of
from rung.steps.trace.questions import over_numbered, rows_of
from rung.steps.trace.units import Index
from rung.trace_context import ROOT

UNITS_MAX = 500  # of one trace that are gathered; a caller that never ends makes no trace to look at


@dataclass(frozen=True, slots=True)
class Span:
    """
    One segment: a wait or a piece of work.

    Attributes:
        segment, parent: Its number within its unit, and that of the one around it, -1 for none.
        statement: The text of a statement, "" for others.
        start_s: Since its unit arrived.
        own_s: What of it lies in no other segment, so that the sum over a unit is no more than its duration.
        calls: Executions it stands for.
        rows: -1 where unknown.
        span: Its id, "" where there is none.
    """

    segment: int
    parent: int
    seam: str
    name: str
    statement: str
    code: str
    database: str
    start_s: float
    duration_s: float
    own_s: float
    calls: int
    rows: int
    span: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """
    What was logged, without the values in it.

    Attributes:
        at_s: Since its unit arrived.
        segment: The one within which it was logged, -1 for none.
        template: None where the text was put together before it was logged.
        error: Type and line of the exception that was logged with it, "" for none.
    """

    at_s: float
    segment: int
    level: int
    logger: str
    template: str | None
    code: str
    error: str


@dataclass(frozen=True, slots=True)
class Unit:
    """
    A request, or another unit of work.

    Attributes:
        who: Host, instance and worker.
        queue_s: What it waited before the app took it, None where that is unknown.
        cpu_s: Python working outside of segments.
        other_s: What nobody recorded.
        span: Its id, "" where there is none.
        caller: The id of the span that called it, "" where nobody said.
        under: Position in Trace.units of the unit that called it or that it follows, and the segment there (-1: the
            unit as a whole); None where that was not recorded.
    """

    who: str
    request: int
    kind: str
    route: str
    method: str
    status: int
    arrived_s: float
    queue_s: float | None
    duration_s: float
    cpu_s: float
    other_s: float
    cancelled: bool
    error: str
    exemplar: bool
    span: str
    caller: str
    spans: tuple[Span, ...]
    lines: tuple[LogLine, ...]
    under: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """
    Units of work that belong together.

    Attributes:
        trace: Its id, "" where the recording has none.
        units: In order of arrival.
        left_out: How many more there are.
    """

    trace: str
    units: tuple[Unit, ...]
    left_out: int = 0


def traced(index: Index, place: int) -> Step[Trace]:
    """
    Return the trace of the unit at *place*.
    """
    places = [place]
    if index.trace[place]:
        places = [each for each, trace in enumerate(index.trace) if trace == index.trace[place]]
    left_out = max(len(places) - UNITS_MAX, 0)
    units = yield from _units(index, places[:UNITS_MAX])
    return together([Trace(index.trace[place], units, left_out)])


def together(parts: list[Trace]) -> Trace:
    """
    Return one trace of what several recordings have of it, each unit below what called it.
    """
    assert parts
    units = sorted((unit for part in parts for unit in part.units), key=lambda unit: (unit.arrived_s, unit.who))
    called_by = _called_by(units)
    placed = tuple(replace(unit, under=called_by.get(unit.caller) if unit.caller else None) for unit in units)
    return Trace(parts[0].trace, placed, sum(part.left_out for part in parts))


def _called_by(units: list[Unit]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for place, unit in enumerate(units):
        if unit.span:
            found.setdefault(unit.span, (place, ROOT))
        for span in unit.spans:
            if span.span:
                found.setdefault(span.span, (place, span.segment))
    return found


def _units(index: Index, places: list[int]) -> Step[tuple[Unit, ...]]:
    process, request = index.columns["process"], index.columns["request"]
    chosen = ", ".join(f"({int(process[place])}, {int(request[place])})" for place in places)
    segments: Mapping[str, Column] = yield Rows(over_numbered("spans").format(chosen=chosen))
    logged: Mapping[str, Column] = yield Rows(over_numbered("lines").format(chosen=chosen))
    by_unit, lines = _by_unit(segments), _by_unit(logged)
    return tuple(_unit(index, place, by_unit, lines) for place in places)


Grouped = dict[tuple[int, int], list[dict[str, Any]]]


def _by_unit(columns: Mapping[str, Column]) -> Grouped:
    grouped: Grouped = {}
    for row in rows_of(columns):
        grouped.setdefault((int(row["process"]), int(row["request"])), []).append(row)
    return grouped


def _unit(index: Index, place: int, segments: Grouped, lines: Grouped) -> Unit:
    told = {name: column[place] for name, column in index.columns.items()}
    unit = int(told["process"]), int(told["request"])
    duration_s = float(told["duration_s"])
    key = int(index.key[place]) if index.keyed[place] else None
    spans = _spans(segments.get(unit, []), key, duration_s)
    free_s = max(duration_s - sum(span.own_s for span in spans), 0.0)
    cpu_s = min(float(told["cpu_s"]), free_s)
    arrived_s, queue_s, follows = float(told["arrived_s"]), float(told["queue_s"]), int(told["follows"])
    caller = str(told["caller"])
    if follows >= 0 and key is not None:
        # What goes on after a response was begun by the request that it follows, whoever called that.
        caller = f"{int(spans_of([key], [follows])[0]):016x}"
    return Unit(
        who=str(told["who"]),
        request=unit[1],
        kind=str(told["kind"]),
        route=str(told["route"]),
        method=str(told["method"]),
        status=int(told["status"]),
        arrived_s=arrived_s,
        queue_s=None if math.isnan(queue_s) else queue_s,
        duration_s=duration_s,
        cpu_s=cpu_s,
        other_s=free_s - cpu_s,
        cancelled=bool(told["cancelled"]),
        error=str(told["error"]),
        exemplar=bool(told["exemplar"]),
        span="" if key is None else f"{int(index.span[place]):016x}",
        caller=caller,
        spans=spans,
        lines=tuple(_line(row, arrived_s) for row in lines.get(unit, [])),
    )


def _spans(rows: list[dict[str, Any]], key: int | None, duration_s: float) -> tuple[Span, ...]:
    if not rows:
        return ()
    segment, parent = (np.array([row[name] for row in rows], dtype=np.int64) for name in ("segment", "parent"))
    # What was still under way as its unit ended lasts no longer than that.
    start_s = np.clip([row["start_s"] for row in rows], 0.0, duration_s)
    end_s = np.clip([row["start_s"] + row["duration_s"] for row in rows], start_s, duration_s)
    own_s = end_s - start_s
    # A sum of many calls has a length and no place of its own: it lies where the others are not.
    single = np.array([row["calls"] == 1 for row in rows], dtype=np.bool_)
    unit = np.zeros(int(single.sum()), dtype=np.int64)
    own_s[single] = own_seconds(unit, segment[single], parent[single], start_s[single], end_s[single])
    own_s[~single] = np.maximum([row["duration_s"] for row in rows], 0.0)[~single]
    summed_s, left_s = own_s[~single].sum(), max(duration_s - own_s[single].sum(), 0.0)
    if summed_s > left_s:
        own_s[~single] *= left_s / summed_s
    request = np.array([row["request"] for row in rows], dtype=np.int64)
    ids = [""] * len(rows) if key is None else [f"{span:016x}" for span in spans_of(key, request, segment).tolist()]
    return tuple(
        Span(
            segment=int(row["segment"]),
            parent=int(row["parent"]),
            seam=str(row["seam"]),
            name=str(row["name"]),
            statement=str(row["statement"]),
            code=str(row["code"]),
            database=str(row["database"]),
            start_s=float(row["start_s"]),
            duration_s=float(row["duration_s"]),
            own_s=float(own),
            calls=int(row["calls"]),
            rows=int(row["rows"]),
            span=span,
        )
        for row, own, span in zip(rows, own_s.tolist(), ids, strict=True)
    )


def _line(row: dict[str, Any], arrived_s: float) -> LogLine:
    return LogLine(
        at_s=float(row["at_s"]) - arrived_s,
        segment=int(row["segment"]),
        level=int(row["level"]),
        logger=str(row["logger"]),
        template=str(row["template"]) if row["known"] else None,
        code=str(row["code"]),
        error=str(row["error"]),
    )
