"""
Say which traces of a recording are meant: by an id, or by being slow, failed or of a route.

In        every unit of work of a recording, asked for as rows
Out       Index, columns over units; positions in it
Not here  what a trace looks like (traced.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rung.ports import Column, Rows, Step
from rung.steps.measure import FAILED
from rung.steps.trace.ids import SPAN_DIGITS, Ids, begin_as, spans_of
from rung.steps.trace.questions import over_numbered

REQUEST = "request"


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """
    The units of work of a recording, one entry each, in order of arrival.

    Attributes:
        columns: As units.sql has them.
        keyed: Whether the process had a key; without one, as an older rung recorded it, a unit has no ids of its own.
        key: Of its process.
        span: The id of the unit itself.
        trace: The id of its trace, "" where there is none.
    """

    columns: Mapping[str, Column]
    keyed: NDArray[np.bool_]
    key: Ids
    span: Ids
    trace: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.trace)

    @property
    def routes(self) -> tuple[str, ...]:
        """
        The name of each unit: method and route of a request, job:NAME.
        """
        methods, routes = self.columns["method"], self.columns["route"]
        return tuple(f"{method} {route}".strip() for method, route in zip(methods, routes, strict=True))

    @property
    def latency_s(self) -> NDArray[np.float64]:
        """
        Of each unit, from when it was due where that is known.
        """
        queue_s = np.asarray(self.columns["queue_s"], dtype=np.float64)
        duration_s: NDArray[np.float64] = np.asarray(self.columns["duration_s"], dtype=np.float64)
        return np.where(np.isnan(queue_s), 0.0, queue_s) + duration_s


def units() -> Step[Index]:
    """
    Ask for every unit of work.
    """
    columns: Mapping[str, Column] = yield Rows(over_numbered("units"))
    keys = [str(key) for key in columns["key"].tolist()]
    keyed = np.array([bool(key) for key in keys], dtype=np.bool_)
    key = np.array([int(key, 16) if key else 0 for key in keys], dtype=np.uint64)
    request = np.asarray(columns["request"], dtype=np.int64)
    follows = np.asarray(columns["follows"], dtype=np.int64)
    began = spans_of(key, np.where(follows >= 0, follows, request))
    rows = zip(columns["trace"].tolist(), keys, began.tolist(), strict=True)
    trace = tuple(came or (f"{key}{span:016x}" if key else "") for came, key, span in rows)
    return Index(columns, keyed, key, spans_of(key, request), trace)


def named(index: Index, asked: str) -> Step[tuple[int, ...]]:
    """
    Return a unit of each trace that *asked* may mean: the id of a trace or of a span, or the beginning of one.

    A whole id means that one alone, whatever else begins like it.
    """
    of_trace = [place for place, trace in enumerate(index.trace) if trace.startswith(asked)]
    found = _one_each(index, of_trace)
    if found or len(asked) > SPAN_DIGITS:
        return found
    found = _one_each(index, np.flatnonzero(begin_as(index.span, asked) & index.keyed).tolist())
    if found:
        return found
    callers = index.columns["caller"].tolist()
    found = _one_each(index, [place for place, caller in enumerate(callers) if caller.startswith(asked)])
    return found or _one_each(index, (yield from _within(index, asked)))


def _one_each(index: Index, places: list[int]) -> tuple[int, ...]:
    first: dict[str, int] = {}
    for place in places:
        first.setdefault(index.trace[place], place)
    return tuple(first.values())


def _within(index: Index, asked: str) -> Step[list[int]]:
    """
    Return the units of which a segment has such an id.
    """
    columns: Mapping[str, Column] = yield Rows(over_numbered("all_spans"))
    place_of = {
        unit: place
        for place, unit in enumerate(
            zip(index.columns["process"].tolist(), index.columns["request"].tolist(), strict=True)
        )
    }
    units = zip(columns["process"].tolist(), columns["request"].tolist(), strict=True)
    places = np.array([place_of.get(unit, -1) for unit in units], dtype=np.int64)
    known = places >= 0
    places, segment = places[known], np.asarray(columns["segment"])[known]
    spans = spans_of(index.key[places], np.asarray(index.columns["request"])[places], segment)
    met = begin_as(spans, asked) & index.keyed[places]
    return sorted(set(places[met].tolist()))


def slowest(index: Index, *, at_most: int, route: str | None = None, failed: bool = False) -> tuple[int, ...]:
    """
    Return the slowest requests, the slowest first.

    Args:
        route: Only of it: a name as `Index.routes` has it, or a route whatever the method.
        failed: Only those with a status of 500 and above.
    """
    wanted = np.array([kind == REQUEST for kind in index.columns["kind"]], dtype=np.bool_)
    if route is not None:
        plain = index.columns["route"].tolist()
        pairs = zip(index.routes, plain, strict=True)
        # Jobs are units of their own, and have a route by which to ask for them.
        wanted = np.array([route in pair for pair in pairs], dtype=np.bool_)
    if failed:
        wanted &= np.asarray(index.columns["status"]) >= FAILED
    order = np.argsort(-index.latency_s, kind="stable")
    return tuple(int(place) for place in order if wanted[place])[:at_most]
