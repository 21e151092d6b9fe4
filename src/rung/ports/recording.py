"""
What is asked of a recording, and what it says of itself; what was sent to two instances in turns.

In        nothing
Out       questions and answers
Not here  reading one (adapters/recordings.py)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rung.ports.asking import Column, Question


@dataclass(frozen=True, slots=True)
class Rows(Question):
    """
    The rows that *sql* gives over the recording's tables: requests, segments, statements, processes.

    Answer: one numpy array a column, by name, all of one length.
    """

    verb: ClassVar[str] = "rows"
    port: ClassVar[str] = "recording"
    sql: str


@dataclass(frozen=True, slots=True)
class Manifest(Question):
    """
    What the recording says of itself.  Answer: RecordingFacts.
    """

    verb: ClassVar[str] = "manifest"
    port: ClassVar[str] = "recording"


@dataclass(frozen=True, slots=True)
class Foreign:
    """
    What a recording that was made from others' traces says of them.

    Attributes:
        form: "otlp" or "jaeger".
        seams: The seams that its spans tell of.
        kept_share: What share of the requests a sampler let through, 1 where none says so.
        spans, unread: How many were read, and how many spans or lines could not be; `unread_first` is where and why.
        duplicates: Spans that were there twice.
        shifted: Spans that were moved because clocks differ.
        adopted: Spans without their parent that were given to the request under way.
        orphans, outside: Spans of requests that are not there, and of none at all.
        background: Requests that went on after their response.
        folded: Names with numbers in them, or beyond those that are told apart.
        unworded: Statements of which only what they do is told, not their text.
    """

    form: str
    seams: tuple[str, ...] = ()
    kept_share: float = 1.0
    spans: int = 0
    unread: int = 0
    unread_first: str = ""
    duplicates: int = 0
    shifted: int = 0
    adopted: int = 0
    orphans: int = 0
    outside: int = 0
    background: int = 0
    folded: int = 0
    unworded: int = 0


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """
    A recording's own account.

    Attributes:
        name: The name of its folder.
        sealed: False when the collector ended before it could put the recording in order.
        processes: Processes of the app that reported.
        dropped: Requests that were dropped: a buffer was full, or what was sent was not taken.
        failures: Errors inside instruments, each counted and survived.
        failed_at: Where they happened with how many there, most first.
        shed: What the recorder says that it gave up so that the app does not notice it.
        websockets: Connections that were passed on and not recorded.
        libraries: Names and versions of what the app imported of the libraries that rung looks into.
        clocks: By host, how many seconds the database's clock was ahead of its, and how wrong that can be; of a
            recording of many hosts only.
        namesakes: Databases that were looked at under the address of another one, of which nothing counts.
        foreign: The traces of others that it was made from, None of a recording of our own.
    """

    name: str
    sealed: bool
    processes: int
    dropped: int
    failures: int
    failed_at: tuple[tuple[str, int], ...] = ()
    shed: tuple[str, ...] = ()
    websockets: int = 0
    libraries: tuple[tuple[str, str], ...] = ()
    clocks: tuple[tuple[str, float, float], ...] = ()
    namesakes: tuple[str, ...] = ()
    foreign: Foreign | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """
    What one of two instances made of what it was sent: a row a measured request, in the order in which they were due.

    Attributes:
        name: Its address.
        route: Position in Pairs.routes.
        block: The pair of blocks it is in, from 0.
        latency_s: From when it was due.
        failed: Whether it was answered with a status of 500 and above, or not at all.
    """

    name: str
    route: Column
    block: Column
    latency_s: Column
    failed: Column


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """
    The same arrivals, sent to two instances in turns.

    Attributes:
        pairs: Blocks for each of them.
        lasted_s: Seconds of arrivals.
    """

    routes: tuple[str, ...]
    before: Sent
    after: Sent
    pairs: int
    lasted_s: float
