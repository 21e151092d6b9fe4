"""
The format between the probe inside an app and the collector beside it, with its version.

A frame is four bytes of length (big endian) and a msgpack array whose first element names its kind.  The first
frame of a connection is a Hello, which carries the format; a reader refuses a newer one, for it could not know
what it misses.  The probe encodes plain tuples in the order of the fields below, so that a request in flight costs
no more than a tuple a segment.

In        tuples of the probe; bytes of a Unix stream socket
Out       bytes; Hello and Batch
Not here  sockets (probe/sender.py, adapters/collector), what a plausible frame is (steps/record.py)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

FORMAT = 1
FRAME_BYTES_MAX = 64 * 1024 * 1024
_LENGTH_BYTES = 4


class FrameRefused(ValueError):
    """
    Bytes or values that are no frame of a format known here; the message is the reason.
    """


class Hello(msgspec.Struct, array_like=True, frozen=True, tag="hello"):
    """
    Who sends: one per process, and again when more libraries have been imported.
    """

    format: int
    rung: str
    host: str
    instance: str
    worker: int
    python: str
    libraries: dict[str, str]
    started_s: float


class Segment(msgspec.Struct, array_like=True, frozen=True):
    """
    One wait or piece of work of a request; `start_s` counts from the request's arrival.
    """

    segment: int
    parent: int | None
    seam: str
    name: str
    start_s: float
    duration_s: float
    calls: int
    database: str | None
    code: str | None
    rows: int | None


class Request(msgspec.Struct, array_like=True, frozen=True):
    """
    One finished request with its segments.
    """

    request: int
    route: str
    method: str
    status: int
    arrived_s: float
    queue_s: float | None
    duration_s: float
    cpu_s: float
    cancelled: bool
    error: str | None
    segments: list[Segment]


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
    What finished since the last one; `dropped` and `failures` count since the process started.
    """

    requests: list[Request]
    statements: list[Statement]
    dropped: int
    failures: int


def encode_hello(hello: Hello) -> bytes:
    """
    Return *hello* as one frame.
    """
    return _framed(msgspec.msgpack.encode(hello))


def encode_batch(
    requests: Sequence[tuple[Any, ...]], statements: Sequence[tuple[Any, ...]], *, dropped: int, failures: int
) -> bytes:
    """
    Return one frame; the tuples are in the order of the fields of Request, Segment and Statement.
    """
    return _framed(msgspec.msgpack.encode(("batch", requests, statements, dropped, failures)))


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
                _refuse_newer(body)
            frame: Hello | Batch = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FrameRefused(f"not a frame of format {FORMAT}: {error}") from error
        if not self._greeted and not isinstance(frame, Hello):
            raise FrameRefused("the first frame does not say who sends")
        self._greeted = True
        return frame


def _refuse_newer(body: bytes) -> None:
    # Read loosely first: a newer Hello may have fields that the strict decoder stumbles over.
    head = msgspec.msgpack.decode(body)
    if not isinstance(head, list) or len(head) < 2 or head[0] != "hello" or not isinstance(head[1], int):
        raise FrameRefused("the first frame does not say who sends")
    if head[1] > FORMAT:
        version = head[2] if len(head) > 2 and isinstance(head[2], str) else "a newer version"
        raise FrameRefused(f"format {head[1]} of rung {version[:40]}; this collector reads up to {FORMAT}")
