"""
Finished requests as the probe hands them over: tuples in the order of frames.Request.
"""

from __future__ import annotations

from typing import Any

from rung import frames

PLAIN: dict[str, Any] = {
    "request": 1, "kind": "request", "route": "/", "method": "GET", "status": 200, "arrived_s": 1.0, "queue_s": None,
    "first_byte_s": None, "duration_s": 1.0, "cpu_s": 0.1, "cancelled": False, "error": None, "session": None,
    "follows": None, "exemplar": False, "segments": [], "reads": [],
}  # fmt: skip
SEGMENT: dict[str, Any] = {
    "segment": 0, "parent": None, "seam": "query", "name": "f" * 16, "start_s": 0.0, "duration_s": 0.1, "calls": 1,
    "database": "h:1/d", "code": None, "rows": None,
}  # fmt: skip


def request(number: int = 1, **changed: Any) -> tuple[Any, ...]:
    """
    Return a finished request.
    """
    values = {**PLAIN, "request": number, **changed}
    return tuple(values[name] for name in frames.Request.__struct_fields__)


def segment(serial: int = 0, **changed: Any) -> tuple[Any, ...]:
    """
    Return a finished segment.
    """
    values = {**SEGMENT, "segment": serial, **changed}
    return tuple(values[name] for name in frames.Segment.__struct_fields__)
