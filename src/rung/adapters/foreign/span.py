"""
A span as any of the formats has it, and the account of what was read and what could not be.

In        nothing
Out       Raw, Misread, Account; ids, numbers and times out of what a file says
Not here  the formats (otlp_json.py, otlp_protobuf.py, jaeger.py), what a span means (meaning.py)
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

TRACE_BYTES, SPAN_BYTES = 16, 8
NAME_MAX = 200  # characters of a span's name that are looked at
TIME_S_MAX = 1e10  # some three hundred years from 1970
LASTED_S_MAX = 7 * 24 * 3600.0  # what is said to have lasted a week was never ended
UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(6)
KINDS = {
    "UNSPECIFIED": UNSPECIFIED, "INTERNAL": INTERNAL, "SERVER": SERVER, "CLIENT": CLIENT, "PRODUCER": PRODUCER,
    "CONSUMER": CONSUMER,
}  # fmt: skip
_HEX = re.compile(r"[0-9a-f]+")

# The attributes that are looked at; all others are passed over unread (docs/reading-traces.md).
ALLOWED = frozenset({
    "http.request.method", "http.method", "http.response.status_code", "http.status_code", "http.route",
    "url.template", "url.full", "http.url",
    "db.system.name", "db.system", "db.type", "db.query.text", "db.statement", "db.query.summary",
    "db.operation.name", "db.operation", "db.collection.name", "db.sql.table", "db.namespace", "db.name",
    "db.response.returned_rows", "server.address", "server.port", "net.peer.name", "net.peer.port",
    "messaging.system", "messaging.destination.name", "messaging.destination", "celery.task_name",
    "rpc.system", "rpc.system.name", "rpc.service", "rpc.method", "peer.service", "asgi.event.type",
    "error.type", "exception.type", "error", "span.kind", "otel.status_code",
    "sampling.probability", "SampleRate", "sampler.type", "sampler.param",
})  # fmt: skip
OF_THE_PROCESS = frozenset({
    "service.name", "service.instance.id", "service.namespace", "host.name", "hostname", "k8s.pod.name",
    "container.id", "process.pid", "pid", "process.runtime.version",
})  # fmt: skip

Value = TypeVar("Value")
Told = Mapping[str, Any]  # texts, numbers and truth values by the name of an attribute


class Misread(ValueError):
    """
    Something in a file is not what it should be; the message says what, without any value of the user's.
    """


@dataclass(frozen=True, slots=True)
class Raw:
    """
    One span as it was written; times are seconds since the epoch, within half a microsecond.

    Attributes:
        trace, span, parent: Ids in hexadecimal; `parent` is "" of one that has none.
        remote: Whether its parent is in another process, None where that is not told.
        state: The tracestate of W3C.
        told, origin: Its own attributes and those of its process, as far as they are ALLOWED.
    """

    trace: str
    span: str
    parent: str
    kind: int
    name: str
    start_s: float
    end_s: float
    failed: bool
    remote: bool | None
    state: str
    told: Told
    origin: Told


class Account:
    """
    What was read, what was not, and where that was first.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def note(self, what: str, told: str = "") -> None:
        """
        Count one more of *what*; the first one's place and reason are kept.
        """
        self.counts[what] += 1
        if told:
            self.first.setdefault(what, told)

    def unread(self, place: str, problem: Misread | str) -> None:
        """
        Count one more thing that could not be read, where it stands and why.
        """
        self.note("unread", f"{place}: {problem}")


def each_read(values: Iterable[Value], read: Callable[[Value], Raw], account: Account, place: str) -> Iterator[Raw]:
    """
    Yield what *read* makes of each of *values*; one that it cannot read is noted.
    """
    for value in values:
        try:
            yield read(value)
        except Misread as problem:
            account.unread(place, problem)


def identity(value: Any, size: int, *, pad: bool = False) -> str:
    """
    Return an id of so many bytes in hexadecimal; "" for none.

    OTLP's JSON has it in hexadecimal, a program that knows only protobuf's own JSON writes base64, and Jaeger leaves
    out leading zeros (*pad*).

    >>> identity("AAAAAAAAAAE=", 8), identity("1", 8, pad=True)
    ('0000000000000001', '0000000000000001')

    Raises:
        Misread: it is none.
    """
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        raise Misread("an id that is no text")
    text = value.lower()
    if pad:
        text = text.rjust(2 * size, "0")
    if len(text) != 2 * size or not _HEX.fullmatch(text):
        try:
            text = base64.b64decode(value, validate=True).hex()
        except (binascii.Error, ValueError):
            text = ""
        if len(text) != 2 * size:
            raise Misread(f"an id that is not {size} bytes in hexadecimal")
    return text if text.strip("0") else ""


def whole(value: Any) -> int:
    """
    Return a whole number, which JSON may have as a text.

    Raises:
        Misread: it is none.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit():
        return int(value)
    raise Misread("a number that is none")


def times(start_s: float, end_s: float) -> tuple[float, float]:
    """
    Return begin and end where they can be true.

    Raises:
        Misread: they cannot.
    """
    if not 0 < start_s < TIME_S_MAX:
        raise Misread("a span that begins at no time")
    if end_s == 0:
        raise Misread("a span that has not ended")
    if end_s < start_s:
        raise Misread("a span that ends before it begins")
    if end_s - start_s > LASTED_S_MAX:
        raise Misread("a span of more than a week")
    return start_s, end_s


def plain(value: Any) -> str | int | float | bool | None:
    """
    Return *value* where it is a text or a number; None otherwise.
    """
    return value if isinstance(value, (str, int, float)) else None


def name_of(value: Any) -> str:
    """
    Return the beginning of a span's name on one line.
    """
    return " ".join(value[:NAME_MAX].split()) if isinstance(value, str) else ""
