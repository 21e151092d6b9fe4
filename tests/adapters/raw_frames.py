"""
Frames as processes write them, for tests of those who read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rung import frames
from tests.probe import rows

STATEMENT = ("h:1/d", "f" * 16, "select $1", "read")


def hello(worker: int = 7, **changed: Any) -> frames.Hello:
    """
    Return who sends.
    """
    values = {"format": frames.FORMAT, "rung": "0.1.0", "host": "h", "instance": "i", "python": "3.11", "libraries": {}}
    return frames.Hello(**{**values, "worker": worker, "started_s": 1795000000.0, **changed})


def batch(*numbers: int, statements: bool = False, **counts: int) -> bytes:
    """
    Return a frame of requests with one statement each.
    """
    requests = [rows.request(number, segments=rows.segment()) for number in numbers]
    texts = [STATEMENT] if statements else []
    return frames.encode_batch(requests, texts, places=[rows.PLACE], counts=counts, failed_at={})


def decoded(frame: bytes) -> frames.Batch:
    """
    Return the frame as its reader has it.
    """
    _, found = frames.Reader().feed(frames.encode_hello(hello()) + frame)
    assert isinstance(found, frames.Batch)
    return found


def written(folder: Path, worker: int, *sent: bytes, **changed: Any) -> Path:
    """
    Return the file of one process in *folder*.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"h-i-{worker}-1795000000.000000.frames"
    file.write_bytes(frames.encode_hello(hello(worker, **changed)) + b"".join(sent))
    return file
