"""
Finished requests as the probe hands them over: tuples in the order of frames.Request.
"""

from __future__ import annotations

from typing import Any

from rung import frames
from rung.probe import core

PLAIN: dict[str, Any] = {
    "request": 1, "kind": "request", "route": "/", "method": "GET", "status": 200, "arrived_s": 1.0, "queue_s": None,
    "first_byte_s": None, "duration_s": 1.0, "cpu_s": 0.1, "cancelled": False, "error": None, "session": None,
    "follows": None, "exemplar": False, "segments": b"", "reads": [], "trace": None,
    "caller": None,
}  # fmt: skip
PLACE = (0, "query", "f" * 16, "h:1/d", None)


def request(number: int = 1, **changed: Any) -> tuple[Any, ...]:
    """
    Return a finished request.
    """
    values = {**PLAIN, "request": number, **changed}
    return tuple(values[name] for name in frames.Request.__struct_fields__)


def segment(
    serial: int = 0,
    *,
    parent: int = -1,
    place: int = 0,
    start_s: float = 0.0,
    duration_s: float = 0.1,
    calls: int = 1,
    rows: int = -1,
) -> bytes:
    """
    Return a finished segment, by default at PLACE.
    """
    return core.pack(serial, parent, place, start_s, duration_s, calls, rows)


def unpacked(row: tuple[Any, ...]) -> list[dict[str, Any]]:
    """
    Return the segments of a finished row as the probe of this process has named their places.
    """
    places = {number: place for place, number in core.state.places.items()}
    found = []
    for part in core.SEGMENT.iter_unpack(row[core.SEGMENTS]):
        known = [None if value == core.NONE else value for value in part]
        named = dict(zip(("segment", "parent", "place", "start_s", "duration_s", "calls", "rows"), known, strict=True))
        seam, name, database, code = places[named.pop("place")]
        found.append({**named, "seam": seam, "name": name, "database": database, "code": code})
    return found
