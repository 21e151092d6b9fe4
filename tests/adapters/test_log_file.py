"""
The collector's log file: JSON lines as they come, each with its trace; rotated by others; a full disk costs lines only.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from rung.adapters.collector.log_file import LogFile
from rung.adapters.collector.pieces import Pieces, Place
from rung.frames import FORMAT, Batch, FrameRefused, Hello, Line, Request
from rung.steps.record import LEVEL_MAX
from rung.trace_context import span_of, trace_of
from tests.probe import rows

KEY = 0xABCDEF
HELLO = Hello(FORMAT, "0", "h", "i", 7, "3.11", {}, 1.0, KEY)
OTHER = Hello(FORMAT, "0", "h", "i", 8, "3.11", {}, 1.0, KEY + 1)


def line(request: int | None, template: str | None = "user %s", **more: Any) -> Line:
    return Line(1_800_000_000.0, request, None, more.pop("level", 20), "shop", template, "a.py:4")


def request(number: int, **changed: Any) -> Request:
    return Request(**{**rows.PLAIN, "request": number, "route": f"/{number}", **changed})


def batch(lines: list[Line], *requests: Request) -> Batch:
    return Batch(list(requests), [], [], [], [], [], {}, {}, lines)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text("utf-8").splitlines()]


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_line_has_its_trace_and_route(tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / "app.jsonl"
    log = LogFile(path, say=said.append)
    came = "ab" * 16
    log.batch(HELLO, batch([line(1), line(2), line(None, None)], request(1), request(2, trace=came)))
    log.close()
    first, second, third = read(path)
    assert f"{trace_of(KEY, 1):032x}" == first["trace_id"]
    assert f"{span_of(KEY, 1):016x}" == first["span_id"]
    assert ("/1", "GET", came) == (first["http.route"], first["http.request.method"], second["trace_id"])
    assert None is third["body"]
    assert "trace_id" not in third
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert [] == said


def test_a_line_waits_for_its_request_until_the_next_batch(tmp_path: Path, said: list[str]) -> None:
    path = tmp_path / "app.jsonl"
    log = LogFile(path, say=said.append)
    log.batch(HELLO, batch([line(5)]))
    log.batch(OTHER, batch([], request(5)))
    assert not path.exists()
    log.batch(HELLO, batch([], request(5, trace="cd" * 16)))
    (told,) = read(path)
    assert ("cd" * 16, "/5", 7) == (told["trace_id"], told["http.route"], told["process.pid"])
    # One whose request never comes is written all the same, and so is one that still waits at the end.
    log.batch(HELLO, batch([line(6)]))
    log.batch(HELLO, batch([]))
    log.batch(HELLO, batch([line(9)]))
    log.close()
    assert ["/5", None, None] == [each.get("http.route") for each in read(path)]


def test_of_background_work_the_trace_is_that_of_its_request(tmp_path: Path, said: list[str]) -> None:
    log = LogFile(tmp_path / "a", say=said.append)
    log.batch(HELLO, batch([line(3)], request(3, kind="background", follows=2)))
    (told,) = read(tmp_path / "a")
    assert f"{trace_of(KEY, 2):032x}" == told["trace_id"]
    assert "http.route" not in told


def test_a_file_that_was_moved_is_begun_anew(tmp_path: Path, said: list[str]) -> None:
    path, moved = tmp_path / "app.jsonl", tmp_path / "app.jsonl.1"
    log = LogFile(path, say=said.append)
    log.batch(HELLO, batch([line(None, "one")]))
    path.rename(moved)
    log.batch(HELLO, batch([line(None, "two")]))
    log.batch(HELLO, batch([line(None, "three")]))
    log.close()
    assert (["one"], ["two", "three"]) == (
        [each["body"] for each in read(moved)],
        [each["body"] for each in read(path)],
    )


def test_what_cannot_be_written_is_said_once(tmp_path: Path, said: list[str]) -> None:
    log = LogFile(tmp_path / "none" / "app.jsonl", say=said.append)
    for _ in range(3):
        log.batch(HELLO, batch([line(None)]))
    assert 1 == len(said)
    (tmp_path / "none").mkdir()
    log.batch(HELLO, batch([line(None)]))
    assert 1 == len(read(tmp_path / "none" / "app.jsonl"))


@pytest.mark.parametrize("odd", [line(None, level=LEVEL_MAX + 1), Line(float("nan"), None, None, 20, "a", None, None)])
def test_what_cannot_be_true_is_refused_and_not_written(tmp_path: Path, said: list[str], odd: Line) -> None:
    path = tmp_path / "app.jsonl"
    (tmp_path / "recording").mkdir()
    pieces = Pieces(
        Place(tmp_path / "recording", "test"), say=said.append, on_sealed=lambda _: None,
        log_file=LogFile(path, say=said.append),
    )  # fmt: skip
    sender = pieces.hello(HELLO, None)
    with pytest.raises(FrameRefused):
        pieces.batch(sender, batch([odd]))
    pieces.batch(sender, batch([line(None)]))
    pieces.end()
    assert 1 == len(read(path))
