"""
The JSON of `rung trace`.

In        a Trace
Out       plain dictionaries; docs/reference/json.md is generated from the classes here with those of schema.py
Not here  words for people (trace.py)
"""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec

from rung.steps.trace.traced import Trace
from rung.surfaces.shapes import Document


class SpanShape(TypedDict):
    """
    A segment: a wait or a piece of work. `parent` is the segment around it, -1 for none; `start_s` counts from its
    unit's arrival; `own_s` is what of it lies in no other segment; `rows` is -1 where unknown; `span` is its id, empty
    where the recording has none.
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


class LogLineShape(TypedDict):
    """
    A line that was logged; `template` is null where the text was put together before it was logged. `at_s` counts from
    its unit's arrival, `level` is the standard library's.
    """

    at_s: float
    segment: int
    level: int
    logger: str
    template: str | None
    code: str
    error: str


class UnderShape(TypedDict):
    """Which unit of work called, and in which of its segments (-1: none)."""

    unit: int
    segment: int


class UnitShape(TypedDict):
    """
    A request or another unit of work (`kind`). `who` is host, instance and worker; `cpu_s` Python working outside of
    segments, `other_s` what nobody recorded; `caller` the id of the span that called it, and `under` where that is in
    this trace, null where it was not recorded.
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
    spans: list[SpanShape]
    lines: list[LogLineShape]
    under: UnderShape | None


class TraceShape(TypedDict):
    """Units of work that belong together, in order of arrival; `left_out` says how many more there are."""

    trace: str
    recordings: list[str]
    units: list[UnitShape]
    left_out: int


class TraceDocument(Document):
    """`rung trace --json`, the slowest trace first."""

    traces: list[TraceShape]


DOCUMENTS: tuple[type, ...] = (TraceDocument,)
SHAPES: tuple[type, ...] = (TraceShape, UnitShape, SpanShape, LogLineShape, UnderShape)


def trace_shape(trace: Trace, recordings: tuple[str, ...]) -> dict[str, Any]:
    """
    Return *trace*, read from *recordings*.
    """
    units = msgspec.to_builtins(trace.units)
    for unit in units:
        under = unit["under"]
        unit["under"] = None if under is None else {"unit": under[0], "segment": under[1]}
    return {"trace": trace.trace, "recordings": list(recordings), "units": units, "left_out": trace.left_out}
