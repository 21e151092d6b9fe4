"""
Raw frames made a recording: all that is whole is read, and it says what is not.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec
import pytest

from rung.adapters.collector import raw
from rung.adapters.recordings import ParquetRecording
from rung.adapters.shelf import told_by
from rung.errors import FileUnwritable, RecordingBroken, RecordingTooNew
from rung.ports import Rows
from tests.adapters.raw_frames import batch, written
from tests.probe.serving import table

NAME = "2026-11-23T10-00-00Z-shop"


def converted(folder: Path, target: Path) -> Path:
    raw.convert(raw.frames_of(folder), target / NAME, name="shop")
    return target / NAME


def test_processes_of_several_instances_become_one_recording(tmp_path: Path) -> None:
    for instance, worker in (("a", 7), ("a", 8), ("b", 7)):
        written(tmp_path / instance, worker, batch(1, 2, statements=True), batch(3, dropped=3), instance=instance)
    files = [*raw.frames_of(tmp_path / "a"), *raw.frames_of(tmp_path / "b")]
    raw.convert(files, tmp_path / NAME, name="shop")

    recording = tmp_path / NAME
    told = told_by(recording)
    assert (True, 3, 9, "shop") == (told["sealed"], told["processes"], told["requests"], told["name"])
    assert {"files": 3, "bytes": raw.bytes_of(files)} == told["raw"]
    assert 1795000000.0 == told["started_s"] < told["ended_s"]
    assert 9 == told["dropped"]["requests"]
    who = {(row["instance"], row["worker"], row["request"]) for row in table(recording, "requests")}
    assert {(i, w, n) for i, w in (("a", 7), ("a", 8), ("b", 7)) for n in (1, 2, 3)} == who
    assert ["select $1"] == [row["text"] for row in table(recording, "statements")]
    assert [9] == ParquetRecording(recording).rows(Rows("select count(*) as n from segments"))["n"].tolist()
    assert [recording, tmp_path / "a", tmp_path / "b"] == sorted(tmp_path.iterdir())


@pytest.mark.parametrize("cut_bytes", [1, 5, 40])
def test_a_torn_frame_at_the_end_is_left_out(tmp_path: Path, cut_bytes: int) -> None:
    file = written(tmp_path / "raw", 7, batch(1), batch(2))
    file.write_bytes(file.read_bytes()[:-cut_bytes])
    assert [1] == [row["request"] for row in table(converted(tmp_path / "raw", tmp_path), "requests")]


def test_what_follows_garbage_is_left_out_and_others_are_read(tmp_path: Path) -> None:
    written(tmp_path / "raw", 7, batch(1), b"\xff" * 100, batch(2))
    written(tmp_path / "raw", 8, batch(1))
    (tmp_path / "raw" / "empty.frames").touch()
    recording = converted(tmp_path / "raw", tmp_path)
    assert [7, 8] == sorted(row["worker"] for row in table(recording, "requests"))
    assert 1 == told_by(recording)["dropped"]["refused_connections"]


def test_while_a_process_writes_it_is_not_sealed(tmp_path: Path) -> None:
    file = written(tmp_path / "raw", 7, batch(1))
    descriptor = os.open(file, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        assert False is told_by(converted(tmp_path / "raw", tmp_path))["sealed"]
    finally:
        os.close(descriptor)
    assert True is told_by(converted(tmp_path / "raw", tmp_path))["sealed"]


def test_a_newer_format_is_refused_with_its_version(tmp_path: Path) -> None:
    body = msgspec.msgpack.encode(["hello", 99, "7.0.0", {"new": "shape"}])
    (tmp_path / "a.frames").write_bytes(len(body).to_bytes(4, "big") + body)
    with pytest.raises(RecordingTooNew, match=r"format 99, written by rung 7\.0\.0"):
        converted(tmp_path, tmp_path)
    assert ["a.frames"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("content", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x01\xc0"])
def test_no_frame_at_all_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.frames").write_bytes(content)
    with pytest.raises(RecordingBroken, match="it holds no frame"):
        converted(tmp_path, tmp_path)
    assert ["a.frames"] == [path.name for path in tmp_path.iterdir()]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    written(tmp_path / "raw", 7, batch(1))
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileUnwritable):
        converted(tmp_path / "raw", tmp_path / "file")
