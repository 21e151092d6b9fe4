"""
The format between the probe inside an app and the collector beside it, with its version.

A frame is four bytes of length (big endian) and a msgpack array whose first element names its kind.  The first
frame of a connection is a Hello, which carries the format; a reader refuses another one, for it could not know
what it misses.  The probe encodes plain tuples in the order of the fields below, so that a request in flight costs
no more than a tuple a segment.

In        tuples of the probe; bytes of a Unix stream socket
Out       bytes; Hello and Batch
Not here  sockets (probe/sender.py, adapters/collector), what a plausible frame is (steps/record.py)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

FORMAT = 3
OLDEST = 2  # of an app's older rung: it says nothing of traces and log lines
FRAME_BYTES_MAX = 64 * 1024 * 1024
_LENGTH_BYTES = 4


class FrameRefused(ValueError):
    """
    Bytes or values that are no frame of a format known here; the message is the reason.
    """


class Hello(msgspec.Struct, array_like=True, frozen=True, tag="hello"):
    """
    Who sends: one per process, and again when more libraries have been imported.

    `key` are 64 random bits from which the ids of its traces and spans are worked out (trace_context.py), 0 of a
    process that has none.
    """

    format: int
    rung: str
    host: str
    instance: str
    worker: int
    python: str
    libraries: dict[str, str]
    started_s: float
    key: int = 0


# One wait or piece of work of a request, packed little-endian; `start_s` counts from the request's arrival, and -1
# stands for no parent and for rows that nobody knows.
SEGMENT = (
    ("segment", "<i4"), ("parent", "<i4"), ("place", "<u4"), ("start_s", "<f8"), ("duration_s", "<f8"),
    ("calls", "<u4"), ("rows", "<i8"),
)  # fmt: skip


class Place(msgspec.Struct, array_like=True, frozen=True):
    """
    What a number in segments stands for; sent once per process.
    """

    place: int
    seam: str
    name: str
    database: str | None
    code: str | None


class Read(msgspec.Struct, array_like=True, frozen=True):
    """
    What one statement, or the response as a whole (without a segment), was asked and gave: digests, never values.

    A key of `depth` n is in each sample of 1/2 to the power of 0 to n of all keys; `result` is None where it was not
    read whole by one call, or is too large to digest.
    """

    segment: int | None
    key: int
    depth: int
    result: int | None
    cells: int | None


class Request(msgspec.Struct, array_like=True, frozen=True):
    """
    One finished request or other unit of work, with its segments (SEGMENT, one after the other).

    `first_byte_s` is of streamed responses; `follows` is the request that this background work comes after; an
    `exemplar` was kept outside of a window because it was slow or failed; `trace` and `caller` are the ids that came
    with it, in hexadecimal, None where it began a trace of its own.
    """

    request: int
    kind: str
    route: str
    method: str
    status: int
    arrived_s: float
    queue_s: float | None
    first_byte_s: float | None
    duration_s: float
    cpu_s: float
    cancelled: bool
    error: str | None
    session: int | None
    follows: int | None
    exemplar: bool
    segments: bytes
    reads: list[Read]
    trace: str | None = None
    caller: str | None = None


class InFlight(msgspec.Struct, array_like=True, frozen=True):
    """
    A request that has not ended for long, as it was seen: the user's line that it waits at, and what was called there.
    """

    request: int
    kind: str
    route: str
    method: str
    arrived_s: float
    seen_s: float
    segments: int
    code: str | None
    function: str | None


class Sample(msgspec.Struct, array_like=True, frozen=True):
    """
    One look at a thread that computed for a request (None: for none): the user's innermost function, and the innermost.
    """

    at_s: float
    lasted_s: float
    request: int | None
    route: str | None
    code: str | None
    function: str


class Total(msgspec.Struct, array_like=True, frozen=True):
    """
    Requests of one minute that were counted and not kept; `bins` are durations with how many
    there were of each, within 1 % (probe/sketch.py).
    """

    from_s: float
    route: str
    method: str
    status: int
    requests: int
    duration_s: float
    cpu_s: float
    bins: list[tuple[float, int]]


class Line(msgspec.Struct, array_like=True, frozen=True):
    """
    One line that the app logged: its template, never the values in it.

    `segment` is the one within which it was logged, None for the request itself; `template` is None where the text was
    put together before it was logged; `level` is the standard library's number; `error` is type and line of the
    exception that was logged with it.
    """

    at_s: float
    request: int | None
    segment: int | None
    level: int
    logger: str
    template: str | None
    code: str | None
    error: str | None = None


class Statement(msgspec.Struct, array_like=True, frozen=True):
    """
    What a fingerprint stands for; sent once per process.
    """

    database: str
    statement: str
    text: str
    kind: str


class Batch(msgspec.Struct, array_like=True, frozen=True, tag="batch"):
    """
    What finished since the last one; `counts` are since the process started, `failed_at` says where instruments failed.
    """

    requests: list[Request]
    statements: list[Statement]
    places: list[Place]
    in_flight: list[InFlight]
    samples: list[Sample]
    totals: list[Total]
    counts: dict[str, int]
    failed_at: dict[str, int]
    lines: list[Line] = []


def encode_hello(hello: Hello) -> bytes:
    """
    Return *hello* as one frame.
    """
    return _framed(msgspec.msgpack.encode(hello))


def encode_batch(
    requests: Sequence[tuple[Any, ...]] = (),
    statements: Sequence[tuple[Any, ...]] = (),
    *,
    places: Sequence[tuple[Any, ...]] = (),
    in_flight: Sequence[tuple[Any, ...]] = (),
    samples: Sequence[tuple[Any, ...]] = (),
    totals: Sequence[tuple[Any, ...]] = (),
    counts: Mapping[str, int],
    failed_at: Mapping[str, int],
    lines: Sequence[tuple[Any, ...]] = (),
) -> bytes:
    """
    Return one frame; the tuples are in the order of the fields above.
    """
    return _framed(
        msgspec.msgpack.encode(
            ("batch", requests, statements, places, in_flight, samples, totals, counts, failed_at, lines)
        )
    )


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class Reader:
    """
    Cuts the bytes of one connection into frames.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._greeted = False
        self._decoder = msgspec.msgpack.Decoder(Hello | Batch)

    def feed(self, data: bytes) -> Iterator[Hello | Batch]:
        """
        Yield the frames that *data* completes.

        Raises:
            FrameRefused: what came is no frame, or of a newer format.  The connection is of no further use.
        """
        self._pending += data
        while len(self._pending) >= _LENGTH_BYTES:
            length_bytes = int.from_bytes(self._pending[:_LENGTH_BYTES], "big")
            if length_bytes > FRAME_BYTES_MAX:
                raise FrameRefused(f"a frame of {length_bytes} bytes; the largest is {FRAME_BYTES_MAX}")
            end = _LENGTH_BYTES + length_bytes
            if len(self._pending) < end:
                return
            body = bytes(self._pending[_LENGTH_BYTES:end])
            del self._pending[:end]
            yield self._decoded(body)

    def _decoded(self, body: bytes) -> Hello | Batch:
        try:
            if not self._greeted:
                _refuse_other(body)
            frame: Hello | Batch = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FrameRefused(f"not a frame of format {FORMAT}: {error}") from error
        if not self._greeted and not isinstance(frame, Hello):
            raise FrameRefused("the first frame does not say who sends")
        self._greeted = True
        return frame


def _refuse_other(body: bytes) -> None:
    # Read loosely first: a newer Hello may have fields that the strict decoder stumbles over.
    head = msgspec.msgpack.decode(body)
    if not isinstance(head, list) or len(head) < 2 or head[0] != "hello" or not isinstance(head[1], int):
        raise FrameRefused("the first frame does not say who sends")
    if not OLDEST <= head[1] <= FORMAT:
        version = head[2] if len(head) > 2 and isinstance(head[2], str) else "of another version"
        raise FrameRefused(
            f"format {head[1]} of rung {version[:40]}; this collector reads formats {OLDEST} to {FORMAT}"
        )
