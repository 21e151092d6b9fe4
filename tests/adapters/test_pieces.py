"""
A collector by itself: recordings one after the other, each of which stands for itself.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rung.adapters.collector.pieces import Pieces, Place
from rung.adapters.recordings import ParquetRecording
from rung.adapters.shelf import names, told_by
from rung.errors import CommandNotStarted
from rung.frames import encode_hello
from rung.ports import Rows
from tests.adapters.raw_frames import batch, decoded, hello
from tests.probe.serving import PATIENCE_S, table
from tests.scenarios.shapes import misfits


class Shelf:
    """Pieces in folders that are numbered, cut when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.full = False
        self.said: list[str] = []
        self.whole: list[str] = []
        self.pieces = Pieces(
            self.place(),
            say=self.said.append,
            on_sealed=lambda path: self.whole.append(path.name),
            every_s=3600.0,
            following=self.place,
        )

    def place(self) -> Place:
        if self.full:
            raise CommandNotStarted("the disk is full")
        self.count += 1
        path = self.folder / str(self.count)
        path.mkdir()
        return Place(path, "app")

    def cut(self, *senders: Any) -> None:
        self.pieces._cut_at_s = 0.0
        self.pieces.write(list(senders))
        if self.pieces._sealing is not None:
            self.pieces._sealing.join()


def test_the_recording_after_a_cut_stands_for_itself(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    sender = shelf.pieces.hello(hello(7), None)
    shelf.pieces.batch(sender, decoded(batch(1, 2, statements=True, dropped=3, level=2)))
    silent = shelf.pieces.hello(hello(8), None)
    shelf.cut(sender, silent)
    shelf.pieces.batch(sender, decoded(batch(3, dropped=4, level=2)))
    shelf.pieces.end()

    assert ["1", "2"] == shelf.whole
    assert [2, 1] == [told_by(tmp_path / name)["requests"] for name in ("1", "2")]
    for name, dropped in (("1", 3), ("2", 1)):
        rows = {row["worker"]: row for row in table(tmp_path / name, "processes")}
        assert {7, 8} == set(rows)
        assert dropped == rows[7]["dropped"]
        assert 2 == json.loads(rows[7]["counts"])["level"]
        assert ["select $1"] == [row["text"] for row in table(tmp_path / name, "statements")]
        joined = "select count(*) as n from segments s join statements t on s.name = t.statement"
        assert ParquetRecording(tmp_path / name).rows(Rows(joined))["n"][0]
    assert not shelf.said


def test_a_process_that_connects_again_counts_from_the_cut_too(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.pieces.batch(shelf.pieces.hello(hello(7), None), decoded(batch(1, dropped=3)))
    shelf.cut()
    shelf.pieces.batch(shelf.pieces.hello(hello(7), None), decoded(batch(2, dropped=5)))
    shelf.pieces.end()
    assert [2] == [row["dropped"] for row in table(tmp_path / "2", "processes")]


def test_a_time_without_requests_leaves_no_recording(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    sender = shelf.pieces.hello(hello(7), None)
    shelf.cut(sender)
    shelf.pieces.batch(sender, decoded(batch(1)))
    shelf.cut(sender)
    shelf.pieces.end()
    assert ["2"] == shelf.whole == sorted(path.name for path in tmp_path.iterdir())


def test_where_none_can_be_begun_the_last_goes_on(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    sender = shelf.pieces.hello(hello(7), None)
    shelf.full = True
    shelf.pieces.batch(sender, decoded(batch(1)))
    shelf.cut(sender)
    shelf.pieces.batch(sender, decoded(batch(2)))
    shelf.pieces.end()
    assert ["1"] == shelf.whole
    assert 2 == told_by(tmp_path / "1")["requests"]
    assert "the disk is full" in shelf.said[0]


@contextmanager
def collecting(place: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Yield `rung collect` in *place* and the path of its socket, once it listens."""
    path = place / "shared" / "s"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RUNG", "PG", "DATABASE"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "rung", "collect", "--socket", str(path), "--json", *more], cwd=place, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        assert "listening at" in process.stderr.readline()
        yield process, path
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)


def ended(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    process.send_signal(number)
    said, complained = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said, complained


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_seals_and_the_socket_is_gone(tmp_path: Path, number: int) -> None:
    with collecting(tmp_path, "--name", "pod") as (process, path):
        assert 0o660 == path.stat().st_mode & 0o777
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.connect(str(path))
            stream.sendall(encode_hello(hello(7)) + batch(1, 2))
        status, said, complained = ended(process, number)
    assert (0, "") == (status, "".join(line for line in complained.splitlines() if "Traceback" in line))
    assert path.parent.is_dir()
    assert not path.exists()
    (name,) = names(tmp_path / ".rung")
    told = told_by(tmp_path / ".rung" / "recordings" / name)
    assert (True, 2, "pod") == (told["sealed"], told["requests"], told["name"])
    assert f"sealed .rung/recordings/{name}" in complained
    document = json.loads(said)
    assert [] == misfits(document, "collect")
    assert [f".rung/recordings/{name}"] == document["recordings"]


def test_a_path_in_use_is_refused_and_one_that_was_left_is_taken(tmp_path: Path) -> None:
    with collecting(tmp_path) as (process, path):
        command = [sys.executable, "-m", "rung", "collect", "--socket", str(path)]
        second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert 2 == second.returncode
        assert "another collector listens there" in second.stderr
        process.kill()
        process.wait()
        assert path.exists()
    with collecting(tmp_path) as (process, _):
        assert 0 == ended(process, signal.SIGTERM)[0]


@pytest.mark.parametrize(
    ("where", "says"), [("file", "no socket"), ("file/s", "Not a directory"), ("x" * 120, "at most 100 bytes")]
)
def test_where_nothing_can_listen_is_said(tmp_path: Path, where: str, says: str) -> None:
    (tmp_path / "file").write_text("x")
    command = [sys.executable, "-m", "rung", "collect", "--socket", str(tmp_path / where)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert 2 == done.returncode
    assert says in done.stderr
    assert "rung record --raw" in done.stderr
    assert ["file"] == [path.name for path in tmp_path.iterdir()]
