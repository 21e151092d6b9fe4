"""
The JSON of what a recording is: what was kept of it, what the recorder missed, what each route shows, what of it was
sent again.

In        a Finding
Out       plain dictionaries; docs/reference/json.md is generated from the classes here with those of schema.py
Not here  the finding itself (document.py), words for people (text.py)
"""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec

from rung.known import untested
from rung.steps.find.finding import Finding


class UnfinishedShape(TypedDict):
    """
    Requests that had not ended when the recording did, by where they waited: the user's line and the innermost
    function, empty where they are not known. `longest_s` is how long the oldest of them had been in flight.
    """

    route: str
    code: str
    function: str
    requests: int
    longest_s: float


class TrafficShape(TypedDict):
    """
    All requests of a route, also those that were counted and not kept whole: percentiles are from the app's entry
    and within 1 %.
    """

    n: int
    errors_share: float
    p50_s: float
    p95_s: float
    p99_s: float


class LeftOutShape(TypedDict):
    """Requests of a recording that were not sent again, and why."""

    requests: int
    why: str


class ReplayedShape(TypedDict):
    """
    What `rung load --replay` took from a recording. `speed` 2 halves the time between arrivals; each recorded session
    was sent as a virtual user of its own.
    """

    recording: str
    speed: float
    sessions: int
    left_out: list[LeftOutShape]


class ForeignShape(TypedDict):
    """
    The traces of others that a recording was made from. `kept_share` is what a sampler let through of the requests,
    `seams` what the spans tell of. `unread` spans or lines could not be read, `unread_first` says where and why;
    `shifted` spans were moved because clocks differ, `adopted` ones were without their parent and given to the request
    under way, `orphans` belong to requests that are not there and `outside` to none; `background` requests went on
    after their response; `folded` names had numbers in them; `unworded` statements are without their text.
    """

    form: str
    seams: list[str]
    kept_share: float
    spans: int
    unread: int
    unread_first: str
    duplicates: int
    shifted: int
    adopted: int
    orphans: int
    outside: int
    background: int
    folded: int
    unworded: int


class RecordingShape(TypedDict):
    """
    What was looked at. `requests` were kept whole, `requests_all` counted; `kept_share` is of those and of the dropped
    ones. `doubts` says why the numbers are not to be trusted. `shed` is what the recorder gave up, `failed_at` where
    its instruments failed, most often first. `untested` are libraries of versions that rung was not tested with.
    `server` is the database's version, null where none was asked. `foreign` is null of a recording of rung's own.
    """

    name: str
    requests: int
    requests_all: int
    kept_share: float
    processes: int
    lasted_s: float
    server: str | None
    doubts: list[str]
    dropped: int
    shed: list[str]
    failures: int
    failed_at: dict[str, int]
    untested: list[str]
    websockets: int
    unfinished: list[UnfinishedShape]
    foreign: ForeignShape | None


class RouteShape(TypedDict):
    """
    One route; `judged` is false where it has too few requests for the goal to hold of it. `n` and the percentile are
    of the requests kept whole.
    """

    route: str
    n: int
    p95_s: float
    judged: bool
    all: TrafficShape


SHAPES: tuple[type, ...] = (
    RecordingShape,
    RouteShape,
    TrafficShape,
    UnfinishedShape,
    ForeignShape,
    ReplayedShape,
    LeftOutShape,
)


def recording_shape(finding: Finding) -> dict[str, Any]:
    """
    Return what was looked at.
    """
    facts = finding.facts
    return {
        "name": finding.recording,
        "requests": finding.requests,
        "requests_all": sum(number.all_traffic.requests for number in finding.routes),
        "kept_share": finding.kept_share,
        "processes": finding.processes,
        "lasted_s": finding.lasted_s,
        "server": finding.server or None,
        "doubts": list(finding.doubts),
        "dropped": facts.dropped,
        "shed": list(facts.shed),
        "failures": facts.failures,
        "failed_at": dict(facts.failed_at),
        "untested": untested(dict(facts.libraries)),
        "websockets": facts.websockets,
        "unfinished": msgspec.to_builtins(finding.unfinished),
        "foreign": msgspec.to_builtins(facts.foreign),
    }


def routes_shape(finding: Finding) -> list[dict[str, Any]]:
    """
    Return what each route shows.
    """
    return [
        {
            "route": number.route,
            "n": number.requests,
            f"p{finding.goal.percentile}_s": number.at_percentile_s,
            "judged": number.judged,
            "all": {
                "n": number.all_traffic.requests,
                "errors_share": number.all_traffic.failed_share,
                "p50_s": number.all_traffic.p50_s,
                "p95_s": number.all_traffic.p95_s,
                "p99_s": number.all_traffic.p99_s,
            },
        }
        for number in finding.routes
    ]
