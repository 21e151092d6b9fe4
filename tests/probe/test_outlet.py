"""
The ways out of a process: what was written stands there whole, what was not is refused, and nothing ever raises.
"""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rung import frames
from rung.adapters.shelf import is_written
from rung.probe.outlet import NOTE_BYTES_MAX, FolderOutlet, SocketOutlet, chosen
from tests.probe import rows

HELLO = frames.encode_hello(
    frames.Hello(
        format=frames.FORMAT, rung="0", host="h", instance="i", worker=7, python="3.11", libraries={}, started_s=1.0
    )
)
LARGE = 100_000_000


def batch(*numbers: int, dropped: int = 0) -> bytes:
    return frames.encode_batch([rows.request(number) for number in numbers], counts={"dropped": dropped}, failed_at={})


def read(folder: Path) -> list[frames.Batch]:
    (file,) = folder.glob("*.frames")
    first, *others = frames.Reader().feed(file.read_bytes())
    assert isinstance(first, frames.Hello)
    return [other for other in others if isinstance(other, frames.Batch)]


@contextmanager
def full_disk(file_bytes_max: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    outlet = FolderOutlet(str(folder), LARGE, instance="a/b")
    assert outlet.open()
    assert outlet.write(HELLO)
    assert outlet.write(batch(1, 2))
    assert outlet.write(batch(3))
    outlet.close()

    assert [[1, 2], [3]] == [[request.request for request in frame.requests] for frame in read(folder)]
    (file,) = folder.iterdir()
    assert 0o600 == file.stat().st_mode & 0o777
    assert 0o700 == folder.stat().st_mode & 0o777
    assert "a_b" in file.name


def test_a_full_folder_takes_no_frame_but_says_how_much_was_dropped(tmp_path: Path) -> None:
    outlet = FolderOutlet(str(tmp_path), len(HELLO) + len(batch(1)), instance="i")
    assert outlet.open()
    assert outlet.write(HELLO)
    assert outlet.write(batch(1))
    assert not outlet.write(batch(2))
    assert not outlet.open()
    for dropped in (1, 90_000, 2):
        outlet.note(batch(dropped=dropped))

    # What is said later stands where the earlier stood, also when it is shorter.
    kept, counted = read(tmp_path)
    assert [1] == [request.request for request in kept.requests]
    assert ([], {"dropped": 2}) == (counted.requests, counted.counts)
    outlet.close()


def test_a_process_that_begins_in_a_full_folder_says_who_it_is(tmp_path: Path) -> None:
    (tmp_path / "other.frames").write_bytes(b"x" * 1000)
    outlet = FolderOutlet(str(tmp_path / "."), 1000, instance="i")
    assert outlet.open()
    assert outlet.write(HELLO)
    assert not outlet.write(batch(1))
    outlet.note(batch(dropped=1))
    outlet.close()
    (tmp_path / "other.frames").unlink()
    assert [{"dropped": 1}] == [frame.counts for frame in read(tmp_path)]

    (tmp_path / "larger.frames").write_bytes(b"x" * (NOTE_BYTES_MAX + 1000))
    late = FolderOutlet(str(tmp_path), 1000, instance="i")
    assert late.open()
    assert not late.write(HELLO)
    late.note(batch(dropped=1))
    late.close()


def test_a_full_disk_leaves_whole_frames_and_is_tried_again(tmp_path: Path) -> None:
    outlet = FolderOutlet(str(tmp_path), LARGE, instance="i")
    assert outlet.open()
    assert outlet.write(HELLO)
    with full_disk(len(HELLO) + 10):
        assert not outlet.write(batch(1))
        outlet.note(batch(dropped=1))
    (file,) = tmp_path.iterdir()
    assert len(HELLO) == file.stat().st_size
    assert outlet.open()
    assert outlet.write(HELLO)
    assert outlet.write(batch(2))
    outlet.close()
    assert 2 * len(HELLO) + len(batch(2)) == file.stat().st_size


def test_a_folder_that_cannot_be_made_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    outlet = FolderOutlet(str(tmp_path / "file" / "raw"), LARGE, instance="i")
    assert not outlet.open()
    assert not outlet.write(HELLO)
    outlet.note(HELLO)
    outlet.close()


def test_a_folder_that_is_removed_costs_frames_only(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    outlet = FolderOutlet(str(folder), LARGE, instance="i")
    assert outlet.open()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert outlet.write(HELLO)
    outlet.close()


def test_a_file_is_locked_while_its_process_has_it(tmp_path: Path) -> None:
    outlet = FolderOutlet(str(tmp_path), LARGE, instance="i")
    assert outlet.open()
    assert is_written(tmp_path)
    outlet.close()
    assert not is_written(tmp_path)


def test_a_collector_that_is_not_there_or_goes_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    outlet = SocketOutlet(path)
    assert not outlet.open()
    assert not outlet.write(HELLO)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()
        assert outlet.open()
        assert outlet.write(HELLO)
        collector, _ = server.accept()
        with collector:
            assert HELLO == collector.recv(4096)
    assert not outlet.write(HELLO)
    assert not outlet.open()
    outlet.close()


@pytest.mark.parametrize("limit", ["", "many", "12"])
def test_the_environment_says_which(limit: str) -> None:
    assert isinstance(chosen({"RUNG_SOCKET": "/a"}), SocketOutlet)
    outlet = chosen({"RUNG_SOCKET": "/a", "RUNG_RAW": "/b", "RUNG_RAW_BYTES_MAX": limit})
    assert isinstance(outlet, FolderOutlet)
    assert (12 if limit == "12" else 1024**3) == outlet._bytes_max
