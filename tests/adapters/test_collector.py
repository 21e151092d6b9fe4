"""
The collector alone: what it writes, what it refuses, and what it does when the disk is full.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from rung import frames
from tests.probe import rows
from tests.probe.serving import PATIENCE_S, table


@contextmanager
def collecting(tmp_path: Path, *more: str, file_bytes_max: int | None = None) -> Iterator[tuple[str, Path]]:
    """Yield the socket's path and the recording; leaving ends the lifeline, and the collector with it."""
    recording = tmp_path / "recording"
    recording.mkdir()
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    path = str(private / "s")
    reading, writing = os.pipe()

    def limited() -> None:
        if file_bytes_max is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))

    command = [
        sys.executable, "-m", "rung.adapters.collector", "--folder", str(recording), "--socket", path,
        "--lifeline", str(reading), "--name", "test", *more,
    ]  # fmt: skip
    log = (tmp_path / "said").open("wb")
    process = subprocess.Popen(
        command,
        pass_fds=(reading,),
        stdout=subprocess.PIPE,
        stderr=log,
        preexec_fn=limited,  # noqa: PLW1509 - no threads
    )
    os.close(reading)
    try:
        assert b"listening\n" == process.stdout.readline()
        yield path, recording
    finally:
        os.close(writing)
        process.stdout.close()
        try:
            process.wait(PATIENCE_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            log.close()
    assert not private.exists()


def said(tmp_path: Path) -> str:
    return (tmp_path / "said").read_text("utf-8")


def connected(path: str) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.connect(path)
    return stream


def hello(worker: int = 7, **changed: object) -> frames.Hello:
    values = {"format": frames.FORMAT, "rung": "0.1.0", "host": "h", "instance": "i", "python": "3.11"}
    return frames.Hello(**{**values, "libraries": {"a": "1"}, "worker": worker, "started_s": 1.0, **changed})


def request(number: int, segments: int = 1) -> tuple[object, ...]:
    return rows.request(number, segments=b"".join(rows.segment(n) for n in range(segments)))


def batch(*requests: tuple[object, ...]) -> bytes:
    texts, counts = [("h:1/d", "0" * 16, "select $1", "read")], {"dropped": 2, "failures": 1}
    return frames.encode_batch(requests, texts, places=[rows.PLACE], counts=counts, failed_at={})


def manifest(recording: Path) -> dict[str, object]:
    return json.loads((recording / "recording.json").read_text("utf-8"))


def test_two_processes_become_one_recording(tmp_path: Path) -> None:
    with collecting(tmp_path) as (path, recording):
        for worker in (7, 8):
            with connected(path) as stream:
                stream.sendall(frames.encode_hello(hello(worker)) + batch(request(1), request(2)))
    told = manifest(recording)
    assert (True, 2, 4) == (told["sealed"], told["processes"], told["requests"])
    assert {"requests": 4, "refused_connections": 0} == told["dropped"]
    assert [(7, 1), (7, 2), (8, 1), (8, 2)] == sorted((r["worker"], r["request"]) for r in table(recording, "requests"))
    (statement,) = table(recording, "statements")
    assert "select $1" == statement["text"]
    assert [] == list(recording.glob("*-*.parquet"))
    assert "" == said(tmp_path)


def test_a_frame_in_two_pieces_is_one_frame(tmp_path: Path) -> None:
    with collecting(tmp_path) as (path, recording), connected(path) as stream:
        for byte in frames.encode_hello(hello()) + batch(request(1)):
            stream.sendall(bytes([byte]))
    assert 1 == len(table(recording, "requests"))


def test_nobody_reporting_is_said_and_an_empty_recording_is_whole(tmp_path: Path) -> None:
    with collecting(tmp_path, "--hello-within", "0") as (_, recording):
        pass
    assert 1 == said(tmp_path).count("nothing is being recorded")
    assert "another interpreter" in said(tmp_path)
    assert True is manifest(recording)["sealed"]
    assert [] == table(recording, "segments")


def test_a_newer_format_and_garbage_are_refused_and_others_go_on(tmp_path: Path) -> None:
    body = msgspec.msgpack.encode(["hello", 99, "7.0.0", {"new": "shape"}])
    newer = len(body).to_bytes(4, "big") + body
    mad = frames.encode_batch([rows.request(duration_s=-5.0)], counts={}, failed_at={})
    with collecting(tmp_path) as (path, recording), connected(path) as good:
        good.sendall(frames.encode_hello(hello()) + batch(request(1)))
        for bad in (newer, b"GET / HTTP/1.1\r\n\r\n", batch(request(1)), frames.encode_hello(hello(9)) + mad):
            with connected(path) as stream:
                stream.sendall(bad)
                assert b"" == stream.recv(1)
        good.sendall(batch(request(2)))
    told = manifest(recording)
    assert 4 == told["dropped"]["refused_connections"]
    assert {(7, 1), (7, 2)} == {(row["worker"], row["request"]) for row in table(recording, "requests")}
    lines = said(tmp_path).splitlines()
    assert 4 == len(lines)
    assert "format 99 of rung 7.0.0" in lines[0]


def test_a_full_disk_costs_rows_and_nothing_else(tmp_path: Path) -> None:
    with collecting(tmp_path, file_bytes_max=4_000) as (path, recording), connected(path) as stream:
        stream.sendall(frames.encode_hello(hello()))
        stream.sendall(batch(*[request(number, segments=500) for number in range(100)]))
    assert 1 == said(tmp_path).count("cannot write")
    told = manifest(recording)
    assert False is told["sealed"]
    assert 50_000 == told["dropped"]["unwritten_segments"]
    assert [] == list(recording.glob(".*"))
    assert [] == table(recording, "segments")
