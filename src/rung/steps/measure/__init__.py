"""
Measure a recording: every second of every request on exactly one seam.

A segment that lies inside another one (opening a connection inside waiting for one) is taken out of
it, and where segments of one request overlap (two queries at once) each instant goes to the one that
began last, so that no second is counted twice.  What no segment covers is the app's CPU time as far
as its clock saw it, and `other` beyond that.

In        the tables of one recording, asked for as rows
Out       a Profile: columns over requests and over segments, and the names they refer to
Not here  which of it matters (find/), reading Parquet (adapters/recordings.py); requests that were counted and not
          kept (traffic.py), what was seen beside the requests (beside.py)

The sum closes: for each request, queue + cpu + other + the own time of its segments = latency.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rung.errors import RecordingEmpty
from rung.ports import Column, Manifest, RecordingFacts, Rows, Step
from rung.steps.measure.beside import Beside, look_beside
from rung.steps.measure.questions import over_kept, sql
from rung.steps.measure.traffic import NOTHING_COUNTED, Counted, Traffic, traffic_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Name = TypeVar("Name", str, tuple[str, str])

# A stray request without X-Request-Start (a browser, a probe) does not make the rest unknown.
QUEUE_KNOWN_MIN = 0.95

# From this status on a request has failed.
FAILED = 500

NOTHING_BESIDE = Beside()

# A segment's times are rounded on their way here; less than this is no overlap.
ROUNDING_S = 2e-6


@dataclass(frozen=True, slots=True)
class Part:
    """
    One thing that requests spend time on: a seam and the name of what is there.

    Attributes:
        seam: One of the closed list (docs/glossary.md).
        name: For a query the statement's fingerprint, for mail "mail", for cpu "app".
    """

    seam: str
    name: str


# What no segment tells: it is worked out for each request.
QUEUE, CPU, OTHER = Part("queue", ""), Part("cpu", "app"), Part("other", "")


@dataclass(frozen=True, slots=True)
class Text:
    """
    A statement as recorded: normalised, with $n for every value.

    Attributes:
        statement: Its fingerprint, 16 hex digits.
        kind: read, write or other.
        database: host:port/name it was sent to.
    """

    statement: str
    text: str
    kind: str
    database: str


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """
    Columns with one entry a request, in order of arrival at the app.  Times are seconds.

    Attributes:
        route: Index into Profile.routes.
        process: Index of the app process that served it.
        due_s: When it arrived, since the recording's first arrival: at the load balancer where known.
        arrived_s: When the app took it, on the same clock.
        latency_s: From due to the last byte.
        queue_s, cpu_s, other_s: The parts of latency that are no segments.
    """

    route: Integers
    process: Integers
    due_s: Floats
    arrived_s: Floats
    latency_s: Floats
    queue_s: Floats
    cpu_s: Floats
    other_s: Floats
    status: Integers

    def __len__(self) -> int:
        return len(self.route)


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """
    Columns with one entry a segment, in order of request and start.  Times are seconds.

    Attributes:
        request: Index into Requests.
        part: Index into Profile.parts.
        code: Index into Profile.codes.
        start_s: When it began, since the recording's first arrival.
        duration_s: From begin to end, with whatever lies inside it.
        own_s: What of it is its own: neither inside another segment nor counted there.
        calls: Executions it stands for; 1 unless the request had too many to keep one by one.
        rows: Rows returned or affected, -1 where unknown.
    """

    request: Integers
    part: Integers
    code: Integers
    start_s: Floats
    duration_s: Floats
    own_s: Floats
    calls: Integers
    rows: Integers

    def __len__(self) -> int:
        return len(self.request)


@dataclass(frozen=True, slots=True, eq=False)
class After:
    """
    What requests went on with after their response: columns with one entry a segment of it, in order of request and
    start, the computing of each first.  Times are seconds.

    Attributes:
        request: Index into Requests.
        part: Index into parts.
        duration_s: From begin to end.
    """

    parts: tuple[Part, ...]
    request: Integers
    part: Integers
    duration_s: Floats


NOTHING_AFTER = After((), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """
    What a recording shows.

    Attributes:
        facts: The recording's own account.
        routes: Method and template, e.g. "GET /customers/{id}/orders".
        parts: What segments are spent on, each once.
        codes: Lines of the user's code, "" for unknown.
        texts: Statements by fingerprint.
        processes: App processes that served requests.
        queue_known: Whether arrivals are the load balancer's, for nearly every request.
        lasted_s: From first arrival to last.
        counted: Requests that were not kept whole or arrived while no window was open.
        beside: What was seen beside the requests.
        process_names: Host, instance and pid of each process, joined by "/".
        after: What requests went on with after their response.
    """

    facts: RecordingFacts
    routes: tuple[str, ...]
    parts: tuple[Part, ...]
    codes: tuple[str, ...]
    texts: dict[str, Text]
    processes: int
    queue_known: bool
    lasted_s: float
    requests: Requests
    segments: Segments
    counted: Counted = NOTHING_COUNTED
    beside: Beside = NOTHING_BESIDE
    process_names: tuple[str, ...] = ()
    after: After = NOTHING_AFTER

    @property
    def requests_all(self) -> int:
        """
        How many requests there were, kept whole or counted.
        """
        return len(self.requests) + int(self.counted.requests.sum())

    def traffic(self) -> tuple[Traffic, ...]:
        """
        Return all requests by route, kept whole or counted: first the routes of this profile, in their order.
        """
        requests = self.requests
        inside_s = requests.latency_s - requests.queue_s
        return traffic_of(self.routes, requests.route, inside_s, requests.status >= FAILED, self.counted)

    def text_of(self, part: Part) -> str:
        """
        Return the statement that *part* is, "" where it is none.
        """
        return self.texts[part.name].text if part.name in self.texts else ""

    def seconds_on(self, part: Part) -> Floats:
        """
        Return the seconds of each request that are spent on *part*.
        """
        worked_out = {QUEUE: self.requests.queue_s, CPU: self.requests.cpu_s, OTHER: self.requests.other_s}
        seconds_s = self._own_seconds([part == each for each in self.parts])
        return seconds_s + worked_out[part] if part in worked_out else seconds_s

    def seconds_on_seam(self, seam: str) -> Floats:
        """
        Return the seconds of each request that are spent on any segment of *seam*.
        """
        return self._own_seconds([seam == each.seam for each in self.parts])

    def _own_seconds(self, wanted: list[bool]) -> Floats:
        """
        Return the seconds of each request's segments on those parts that are *wanted*.
        """
        chosen = np.flatnonzero(np.array(wanted, dtype=np.bool_)[self.segments.part])
        request, own_s = self.segments.request[chosen], self.segments.own_s[chosen]
        return np.bincount(request, weights=own_s, minlength=len(self.requests)).astype(np.float64)

    def digest(self) -> str:
        """
        Return 16 hex digits that change when any recorded latency does.
        """
        return hashlib.blake2b(self.requests.latency_s.tobytes(), digest_size=8).hexdigest()


def percentile(values: Floats, percent: int) -> float:
    """
    Return the smallest value that at least *percent* % of them do not exceed: always one that was measured.

    >>> percentile(np.array([1.0, 2.0, 3.0, 4.0]), 50)
    2.0
    """
    assert len(values)
    return float(np.percentile(values, percent, method="inverted_cdf"))


def measure() -> Step[Profile]:
    """
    Ask for a recording's rows and return its Profile.

    Raises:
        RecordingEmpty: it holds no request.
    """
    facts: RecordingFacts = yield Manifest()
    requests = yield Rows(over_kept("requests"))
    if not len(requests["route"]):
        raise RecordingEmpty(facts.name, processes=facts.processes)
    segments = yield Rows(over_kept("places", "segments"))
    places = yield Rows(over_kept("places", "place_names"))
    texts = yield Rows(sql("statements"))
    totals = yield Rows(over_kept("totals"))
    beside = yield from look_beside()
    units = yield Rows(over_kept("after"))
    pieces = yield Rows(over_kept("after_segments"))
    profile = profile_of(facts, requests, segments, texts, places=places)
    return replace(profile, counted=_counted(totals), beside=beside, after=_after(units, pieces))


def _after(units: dict[str, Column], pieces: dict[str, Column]) -> After:
    """
    Return what followed the responses: the pieces of each unit, and its computing, which is told once, before them.
    """
    names = [Part(*name) for name in zip(pieces["seam"].tolist(), pieces["name"].tolist(), strict=True)]
    parts = (CPU, *sorted(set(names), key=lambda part: (part.seam, part.name)))
    place = {part: index for index, part in enumerate(parts)}
    request = np.concatenate([units["request"], pieces["request"]]).astype(np.int64)
    part = np.array([0] * len(units["request"]) + [place[name] for name in names], dtype=np.int64)
    duration_s = np.concatenate([units["cpu_s"], pieces["duration_s"]]).astype(np.float64)
    order = np.argsort(request, kind="stable")
    return After(parts, request[order], part[order], duration_s[order])


def _counted(totals: dict[str, Column]) -> Counted:
    return Counted(
        route=tuple(totals["route"].tolist()),
        duration_s=totals["duration_s"].astype(np.float64),
        requests=totals["requests"].astype(np.int64),
        failed=totals["failed"].astype(np.int64),
    )


def profile_of(
    facts: RecordingFacts,
    requests: dict[str, Column],
    segments: dict[str, Column],
    texts: dict[str, Column],
    *,
    places: dict[str, Column],
) -> Profile:
    """
    Return the Profile of the rows of one recording.

    Args:
        requests: As requests.sql gives them, in order of arrival.
        segments: As segments.sql gives them, in order of request and start.
        texts: As statements.sql gives them.
        places: As place_names.sql gives them.
    """
    route_names, route = _coded(requests["route"].tolist())
    process_names, process = _coded(requests["process"].tolist())
    met, place = np.unique(segments["place"], return_inverse=True)
    seams, names, codes = (places[name][met].tolist() for name in ("seam", "name", "code"))
    code_names, code_of = _coded(codes)
    part_names, part_of = _coded(list(zip(seams, names, strict=True)))

    request = segments["request"].astype(np.int64, copy=False)
    inside = np.maximum(requests["duration_s"].astype(np.float64, copy=False), 0.0)
    start_s, end_s, own_s = _times(segments, inside)
    covered_s = np.bincount(request, weights=own_s, minlength=len(inside))
    rest_s = np.maximum(inside - covered_s, 0.0)
    cpu_s = np.minimum(requests["cpu_s"].astype(np.float64, copy=False), rest_s)
    queue_s = np.maximum(requests["queue_s"].astype(np.float64, copy=False), 0.0)
    arrived_s = requests["arrived_s"].astype(np.float64, copy=False)

    columns = Requests(
        route=route,
        process=process,
        due_s=requests["due_s"].astype(np.float64, copy=False),
        arrived_s=arrived_s,
        latency_s=(queue_s + covered_s + rest_s).astype(np.float64),
        queue_s=queue_s,
        cpu_s=cpu_s,
        other_s=rest_s - cpu_s,
        status=requests["status"].astype(np.int64, copy=False),
    )
    return Profile(
        facts=facts,
        routes=route_names,
        parts=tuple(Part(*name) for name in part_names),
        codes=code_names,
        texts={
            row[0]: Text(*row)
            for row in zip(*(texts[name].tolist() for name in ("statement", "text", "kind", "database")), strict=True)
        },
        processes=len(process_names),
        process_names=process_names,
        queue_known=bool(requests["queue_known"].mean() >= QUEUE_KNOWN_MIN),
        lasted_s=float(columns.due_s.max()),
        requests=columns,
        segments=Segments(
            request=request,
            part=part_of[place],
            code=code_of[place],
            start_s=arrived_s[request] + start_s,
            duration_s=end_s - start_s,
            own_s=own_s,
            calls=segments["calls"].astype(np.int64, copy=False),
            rows=segments["rows"].astype(np.int64, copy=False),
        ),
    )


def _coded(values: list[Name]) -> tuple[tuple[Name, ...], Integers]:
    """
    Return the distinct values, sorted, and each value's index into them.
    """
    # np.unique sorts all of them, which for a million texts takes ten times as long.
    names = tuple(sorted(set(values)))
    place = {name: index for index, name in enumerate(names)}
    return names, np.fromiter(map(place.__getitem__, values), dtype=np.int64, count=len(values))


def _times(segments: dict[str, Column], inside_s: Floats) -> tuple[Floats, Floats, Floats]:
    """
    Return begin, end and own time of segments, seconds since their request began.
    """
    request = segments["request"].astype(np.int64, copy=False)
    duration_s = segments["duration_s"].astype(np.float64, copy=False)
    start_s, end_s = _clipped(segments["start_s"].astype(np.float64, copy=False), duration_s, inside_s[request])
    single = segments["calls"] == 1
    own_s = np.where(single, end_s - start_s, np.maximum(duration_s, 0.0))
    own_s[single] = own_seconds(
        request[single],
        segments["segment"].astype(np.int64, copy=False)[single],
        segments["parent"].astype(np.int64, copy=False)[single],
        start_s[single],
        end_s[single],
    )
    own_s[~single] *= _room(inside_s, request, own_s, single)[request[~single]]
    return start_s, end_s, own_s


def _clipped(start_s: Floats, duration_s: Floats, inside_s: Floats) -> tuple[Floats, Floats]:
    """
    Return begin and end of segments, cut where their request ends: what runs after it is not waited for.
    """
    begin_s = np.clip(start_s, 0.0, inside_s)
    return begin_s, np.clip(start_s + duration_s, begin_s, inside_s)


def own_seconds(request: Integers, segment: Integers, parent: Integers, start_s: Floats, end_s: Floats) -> Floats:
    """
    Return what of each segment is its own, so that the sum over a request is the time that any of them covers.
    """
    own_s = end_s - start_s
    if not len(request):
        return own_s
    outer = np.full(len(request), -1)
    inner = np.flatnonzero(parent >= 0)
    if len(inner):
        outer[inner] = _places(request, segment, request[inner], parent[inner])
        inner = np.flatnonzero(outer >= 0)
        np.subtract.at(own_s, outer[inner], (end_s - start_s)[inner])
    around = outer[inner]
    strays = (
        (start_s[inner] < start_s[around] - ROUNDING_S)
        | (end_s[inner] > end_s[around] + ROUNDING_S)
        | (segment[inner] <= segment[around])
    )
    overlapping = np.union1d(request[inner[strays]], request[_overlapped(request, outer, start_s, end_s)])
    bounds = np.searchsorted(request, [overlapping, overlapping + 1])
    for low, high in bounds.T:
        own_s[low:high] = _swept(start_s[low:high].tolist(), end_s[low:high].tolist())
    return np.maximum(own_s, 0.0)


def _places(request: Integers, segment: Integers, wanted_request: Integers, wanted_segment: Integers) -> Integers:
    """
    Return where each wanted (request, segment) stands, -1 where it was not kept.
    """
    width = int(max(segment.max(), wanted_segment.max())) + 1
    keys = request * width + segment
    order = np.argsort(keys, kind="stable")
    wanted = wanted_request * width + wanted_segment
    place = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    return np.where(keys[order][place] == wanted, order[place], -1)


def _overlapped(request: Integers, outer: Integers, start_s: Floats, end_s: Floats) -> Integers:
    """
    Return the places of segments that begin before another one beside them, inside the same parent, has ended.
    """
    # They are in order of request and start; where some lie inside others, those are looked at by themselves.
    order = np.arange(len(request))
    nested = np.flatnonzero(np.isin(request, request[outer >= 0]))
    order[nested] = nested[np.lexsort((start_s[nested], outer[nested], request[nested]))]
    request, outer, start_s, end_s = request[order], outer[order], start_s[order], end_s[order]
    group = np.concatenate([[0], np.cumsum((np.diff(request) != 0) | (np.diff(outer) != 0))])
    # Groups are laid behind one another on one axis, so that one running maximum serves all of them.
    offset_s = group * (float(end_s.max()) + 1.0)
    reached_s = np.concatenate([[-np.inf], np.maximum.accumulate(end_s + offset_s)[:-1]])
    return order[start_s + offset_s < reached_s - ROUNDING_S]


def _room(inside_s: Floats, request: Integers, own_s: Floats, single: NDArray[np.bool_]) -> Floats:
    """
    Return for each request the share of its summed calls that it has room for.

    A sum of many calls has a length but no place of its own: it lies between the segments kept one by one.
    """
    count = len(inside_s)
    left_s = np.maximum(inside_s - np.bincount(request[single], weights=own_s[single], minlength=count), 0.0)
    summed_s = np.bincount(request[~single], weights=own_s[~single], minlength=count)
    return np.minimum(np.divide(left_s, summed_s, out=np.ones(count), where=summed_s > 0), 1.0)


def _swept(start_s: list[float], end_s: list[float]) -> list[float]:
    """
    Return the own time of overlapping segments of one request: each instant goes to the one that began last.

    Args:
        start_s: Ascending; of those that begin together the last one counts as begun last.
    """
    own_s = [0.0] * len(start_s)
    begun: list[int] = []
    for place, until_s in enumerate([*start_s[1:], math.inf]):
        begun.append(place)
        at_s = start_s[place]
        # Those that ended meanwhile lie below the one that began last, and are met when it has ended.
        while begun and at_s < until_s:
            last_s = min(end_s[begun[-1]], until_s)
            if last_s > at_s:
                own_s[begun[-1]] += last_s - at_s
                at_s = last_s
            if at_s < until_s:
                begun.pop()
    return own_s
