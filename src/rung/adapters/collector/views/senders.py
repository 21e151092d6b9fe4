"""
What the views remember of each process: who it is, its key, what numbers in its segments stand for.

In        a Process (steps/record.py)
Out       a Source
Not here  rows of a recording (steps/record.py), ids (trace_context.py, steps/trace/ids.py)
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from rung.frames import Hello, Place, Request
from rung.steps.record import Process
from rung.trace_context import ROOT, span_of, trace_of


class Source:
    """
    One process that sends.

    Attributes:
        run: Tells it from every other process.
        places: As the recording has them; grows as the process names more.
        rows: Of (number of a route, place), the rows of histograms that its segments are counted in.
    """

    def __init__(self, process: Process) -> None:
        self.run = process.run
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
