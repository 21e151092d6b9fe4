"""
Frames come out as they went in, however the bytes are cut, and what is no frame is refused with a reason.
"""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.frames import (
    FORMAT,
    FRAME_BYTES_MAX,
    OLDEST,
    SEGMENT,
    Batch,
    FrameRefused,
    Hello,
    Reader,
    encode_batch,
    encode_hello,
)
from rung.probe import core
from tests.probe import rows

HELLO = Hello(FORMAT, "0.1.0", "h", "i", 7, "3.11.7", {"asyncpg": "0.32"}, 1.5)
ROW = rows.request(segments=rows.segment(rows=3), reads=[(0, 77, 2, None, None)])
STREAM = encode_hello(HELLO) + encode_batch(
    [ROW],
    [("d", "f", "select 1", "read")],
    places=[rows.PLACE],
    counts={"dropped": 1, "failures": 2},
    failed_at={"KeyError at keep:1": 2},
)


@given(st.lists(st.integers(1, 60), max_size=20))
def test_the_cuts_do_not_matter(cuts: list[int]) -> None:
    reader, rest, read = Reader(), STREAM, []
    for cut in cuts:
        read += reader.feed(rest[:cut])
        rest = rest[cut:]
    read += reader.feed(rest)
    hello, batch = read
    assert HELLO == hello
    assert isinstance(batch, Batch)
    assert {"dropped": 1, "failures": 2} == batch.counts
    assert rows.segment(rows=3) == batch.requests[0].segments
    assert rows.PLACE == msgspec.structs.astuple(batch.places[0])


def test_the_probe_packs_segments_as_readers_unpack_them() -> None:
    codes = {"<i4": "i", "<u4": "I", "<f8": "d", "<i8": "q"}
    assert core.SEGMENT.format == "<" + "".join(codes[kind] for _, kind in SEGMENT)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (STREAM[len(encode_hello(HELLO)) :], "who sends"),
        ((FRAME_BYTES_MAX + 1).to_bytes(4, "big"), "largest"),
        (encode_hello(msgspec.structs.replace(HELLO, format=FORMAT + 1)), f"format {FORMAT + 1} of rung 0.1.0"),
        (encode_hello(msgspec.structs.replace(HELLO, format=OLDEST - 1)), f"reads formats {OLDEST} to {FORMAT}"),
        (b"\x00\x00\x00\x02\xc1\xc1", "not a frame"),
        (encode_hello(HELLO) + b"\x00\x00\x00\x01\x90", "not a frame"),
    ],
)
def test_what_is_no_frame_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(FrameRefused, match=reason):
        list(Reader().feed(data))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(FrameRefused):
        list(Reader().feed(data))


def test_what_an_older_rung_sends_is_read() -> None:
    old_hello = msgspec.msgpack.encode(("hello", OLDEST, "0.1.0", "h", "i", 7, "3.11.7", {}, 1.5))
    old_batch = msgspec.msgpack.encode(("batch", [ROW[:-2]], [], [], [], [], [], {}, {}))
    hello, batch = Reader().feed(b"".join(len(each).to_bytes(4, "big") + each for each in (old_hello, old_batch)))
    assert isinstance(hello, Hello)
    assert hello.key == 0
    assert isinstance(batch, Batch)
    assert (batch.requests[0].trace, batch.lines) == (None, [])
