"""
What the views remember of each process: who it is, its key, what numbers in its segments stand for.

In        a Process (steps/record.py)
Out       a Source; ids of many spans at once
Not here  rows of a recording (steps/record.py), one id (trace_context.py)
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np

from rung.frames import SEGMENT, Hello, Place, Request
from rung.steps.record import Process
from rung.trace_context import ROOT, span_of, trace_of

PARTS = np.dtype(list(SEGMENT))
_STEP, _FIRST, _SECOND = (np.uint64(number) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class Source:
    """
    One process that sends.

    Attributes:
        places: As the recording has them; grows as the process names more.
        rows: Of (number of a route, place), the rows of histograms that its segments are counted in.
    """

    def __init__(self, process: Process) -> None:
        self.hello: Hello = process.hello
        self.places: Mapping[int, Place] = process.places
        # An older recorder has no key; ids must differ from those of other processes all the same.
        self.key = process.hello.key or secrets.randbits(64)
        self.rows: dict[int, tuple[int, int, int]] = {}

    def trace(self, request: Request) -> str:
        """
        Return the trace that *request* belongs to; background work belongs to that of its request.
        """
        return request.trace or f"{trace_of(self.key, self.root(request)):032x}"

    def root(self, request: Request) -> int:
        """
        Return the request that a unit of work comes from: itself, or the one that background work follows.
        """
        return request.request if request.follows is None else request.follows

    def span(self, request: int, segment: int = ROOT) -> int:
        """
        Return the id of the span that a request or one of its segments is.
        """
        return span_of(self.key, request, segment)


def parts_of(requests: list[Request]) -> tuple[Any, Any]:
    """
    Return the segments of *requests* as one array (frames.SEGMENT), and for each the place of its request.
    """
    parts = np.frombuffer(b"".join([request.segments for request in requests]), dtype=PARTS)
    counts = [len(request.segments) // PARTS.itemsize for request in requests]
    return parts, np.repeat(np.arange(len(requests)), counts)


def spans_of(key: int, requests: Any, segments: Any) -> Any:
    """
    Return what trace_context.span_of does, of many at once: array of 64 bits.
    """
    mixed = (requests.astype(np.uint64) << np.uint64(24)) | (segments + 1).astype(np.uint64)
    mixed = mixed + _STEP
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    mixed = mixed ^ (mixed >> np.uint64(31)) ^ np.uint64(key)
    return np.where(mixed == 0, np.uint64(1), mixed)
