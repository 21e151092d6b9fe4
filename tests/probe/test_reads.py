"""
Digests tell equal from unequal, the same in every process, and are sampled by key; what cannot be digested is not.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.probe import core, digest, reads
from tests.probe.playing import answer, ask, finished, recorded, recording, routed

KEY = "00112233445566778899aabbccddeeff"


@pytest.fixture(autouse=True)
def _recording() -> Iterator[None]:
    with recording():
        reads.encode = msgspec.msgpack.Encoder().encode
        yield
        reads.encode = None


def read(parameters: Any, rows: Any, name: str = "f") -> tuple[Any, ...] | None:
    request = core.Request("GET")
    reads.of_statement(request, 3, name, parameters, lambda result: result, rows)
    core.state.live.discard(request)
    return request.reads[0] if request.reads else None


def test_the_same_read_has_the_same_key_and_result_and_another_has_not() -> None:
    first, same = read((7, "a"), [(1, "x")]), read((7, "a"), [(1, "x")])
    assert first == same
    assert first is not None
    keys = {read(parameters, [(1, "x")])[1] for parameters in [(8, "a"), (7, "b"), (7,), ("7", "a"), None]}
    keys |= {first[1], read((7, "a"), [(1, "x")], name="g")[1]}
    assert 7 == len(keys)
    results = {read((7, "a"), rows)[3] for rows in [[(1, "y")], [(1, "x"), (1, "x")], [], [(1,), ("x",)]]}
    assert 5 == len(results | {first[3]})


def test_rows_of_what_is_not_in_the_sample_are_never_looked_at() -> None:
    """
    With one key in a million left, a thousand reads cost no look at what came back.
    """
    request, looked = core.Request("GET"), []
    core.state.depth = reads.DEPTH_MAX
    try:
        for number in range(1000):
            reads.of_statement(request, 3, "f", (number,), looked.append, number)
    finally:
        core.state.depth = 0
        core.state.live.discard(request)
    assert len(looked) == len(request.reads) <= 1


def test_values_of_every_common_type_are_digested() -> None:
    values = (
        None, True, 2**40, 1.5, "é", b"\xff", decimal.Decimal("1.10"), uuid.UUID(int=7), [1, [2]], {"a": 1},
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.date(2026, 1, 1), dt.timedelta(1),
    )  # fmt: skip
    found = read(values, [values])
    assert found is not None
    assert found[3] is not None
    assert len(values) == found[4]


def test_what_has_no_form_or_is_too_large_or_was_not_read_whole_has_no_result() -> None:
    assert read((object(),), [(1,)]) is None
    assert read((1,), [(object(),)]) is None
    large, unread = read((1,), [(1,)] * (reads.CELLS_MAX + 1)), read((1,), None)
    assert large is not None
    assert (None, reads.CELLS_MAX + 1) == large[3:]
    assert unread is not None
    assert (None, None) == unread[3:]
    assert read((1,), [(1,)] * reads.CELLS_MAX)[3] is not None


def test_a_deeper_sample_is_part_of_a_shallower_one() -> None:
    depths = {number: read((number,), None)[2] for number in range(2_000)}
    assert 400 < sum(depth >= 2 for depth in depths.values()) < 600
    core.state.depth = 2
    kept = {number for number in depths if read((number,), None) is not None}
    assert {number for number, depth in depths.items() if depth >= 2} == kept
    core.state.depth = reads.DEPTH_MAX + 1
    assert read((1,), None) is None


@given(st.binary(max_size=200))
def test_a_digest_is_63_bits(data: bytes) -> None:
    assert 0 <= digest.of_bytes(data) < 2**63


def test_processes_of_one_recording_agree_and_others_do_not() -> None:
    code = "from rung.probe import digest, reads; print(digest.of_text('7'), reads._depth(b'7'))"

    def said(key: str) -> str:
        environment = {"RUNG_KEY": key, "PATH": "/usr/bin"}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert said(KEY) == said(KEY)
    assert 3 == len({said(KEY), said(KEY[::-1]), said("")})
    assert said("") != said("")


@pytest.mark.parametrize(
    ("cookies", "found"),
    [
        (b"sessionid=abc", True), (b"theme=dark; session=abc", True), (b"PHPSESSID=abc", True),
        (b"app.sess=abc; x=y", True), (b"theme=dark", False), (b"", False), (b"session", False),
    ],
)  # fmt: skip
def test_a_session_is_told_by_its_cookie(cookies: bytes, found: bool) -> None:
    told = digest.of_session(cookies)
    assert found == (told is not None)
    assert told in (None, digest.of_bytes(b"abc"))


async def pages(scope: Any, receive: Any, send: Any) -> None:
    routed().route = "/pages/{name}"
    if scope["path"] == "/pages/pieces":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for body in (b"one", b"two", b""):
            await send({"type": "http.response.body", "body": body, "more_body": bool(body)})
        return
    if scope["path"] == "/pages/middleware":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"whole", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    await answer(send, b"whole", 404 if scope["path"] == "/pages/missing" else 200)


def of_page(path: str, method: str = "GET", query: bytes = b"") -> list[tuple[Any, ...]]:
    core.state.finished.clear()
    headers = [(b"cookie", b"session=mine")]
    asyncio.run(ask(recorded(pages), path, method, query, headers))
    (request,) = finished()
    assert digest.of_bytes(b"mine") == request["session"]
    return list(request["reads"])


def test_a_whole_response_to_get_is_a_read() -> None:
    ((segment, key, _, result, cells),) = of_page("/pages/a", query=b"sort=name")
    assert (None, None) == (segment, cells)
    assert digest.of_bytes(b"whole") == result
    assert [(None, key, result)] == [(one[0], one[1], one[3]) for one in of_page("/pages/a", query=b"sort=name")]
    assert key != of_page("/pages/a")[0][1]
    assert result == of_page("/pages/middleware")[0][3]
    for path, method in (("/pages/pieces", "GET"), ("/pages/missing", "GET"), ("/pages/a", "POST")):
        assert [] == of_page(path, method)
    assert 0 == core.state.failures
