"""
Make a recording from raw frames, as if a collector had been there to read them.

In        files of frames that processes wrote by themselves (probe/outlet.py)
Out       a sealed recording; one that goes on where a process still writes
Not here  which files (adapters/packing.py), what a recording's rows are (steps/record.py)

A process that crashed leaves a torn frame at the end of its file: what stands before it is kept.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from rung.adapters.collector.writer import Writer
from rung.adapters.shelf import FRAMES, MANIFEST, is_written
from rung.errors import FileUnwritable, RecordingBroken, RecordingTooNew
from rung.frames import FORMAT, FrameRefused, Hello, Reader
from rung.steps.record import Intake, Process

READ_BYTES = 1024 * 1024
WRITE_EVERY_BYTES = 16 * 1024 * 1024  # of frames: what a part holds while it is in memory


def frames_of(folder: Path) -> list[Path]:
    """
    Return the files of raw frames in *folder* that hold anything.
    """
    return sorted(path for path in folder.glob(f"*{FRAMES}") if path.is_file() and path.stat().st_size)


def bytes_of(files: Sequence[Path]) -> int:
    """
    Return the bytes of *files*: raw frames that grew since they were read are read again.
    """
    return sum(file.stat().st_size for file in files)


def convert(files: Sequence[Path], target: Path, *, name: str) -> None:
    """
    Make *target*, a recording's folder that does not exist, from all *files* together.

    Raises:
        RecordingBroken: there is no frame in them that can be read.
        RecordingTooNew: a newer rung wrote them.
        FileUnwritable: the disk does not take it; nothing is left of it.
    """
    held_bytes = bytes_of(files)
    # A process that still writes may go on while its file is read.
    goes_on = any(is_written(folder) for folder in {file.parent for file in files})
    problems: list[str] = []
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".raw-", dir=target.parent))
    except OSError as problem:
        raise FileUnwritable(str(target), str(problem.strerror), see="rung find") from None
    try:
        intake, refusals = Intake(), list[str]()
        writer = Writer(beside, name=name, started_s=0.0, say=problems.append)
        for file in files:
            _read(file, intake, writer, refusals)
        writer.seal(intake, refused=len(refusals))
        if not intake.processes:
            reason = refusals[0] if refusals else "nothing was written"
            raise RecordingBroken(str(files[0].parent if files else target), f"it holds no frame ({reason})")
        manifest = json.loads((beside / MANIFEST).read_text("utf-8"))
        if problems or not manifest["sealed"]:
            raise FileUnwritable(str(target), (problems or ["not all of it was written"])[0].strip(), see="rung find")
        started_s = min(process.hello.started_s for process in intake.processes.values())
        ended_s = max(file.stat().st_mtime for file in files)
        raw = {"files": len(files), "bytes": held_bytes}
        _tell(beside, {**manifest, "started_s": started_s, "ended_s": ended_s, "sealed": not goes_on, "raw": raw})
        shutil.rmtree(target, ignore_errors=True)
        beside.replace(target)
    except OSError as problem:
        raise FileUnwritable(str(target), str(problem.strerror), see="rung find") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _read(file: Path, intake: Intake, writer: Writer, refusals: list[str]) -> None:
    """
    Read one process's file into *intake*; where it cannot be read to its end, add the reason to *refusals*.
    """
    reader, process = Reader(), None
    pending_bytes = 0
    with file.open("rb") as stream:
        _refuse_newer(file, stream.read(READ_BYTES))
        stream.seek(0)
        while data := stream.read(READ_BYTES):
            try:
                process = _take(reader, data, process, intake)
            except FrameRefused as refused:
                refusals.append(str(refused))
                break
            pending_bytes += len(data)
            if pending_bytes >= WRITE_EVERY_BYTES:
                writer.write(intake, refused=len(refusals))
                pending_bytes = 0
    writer.write(intake, refused=len(refusals))


def _take(reader: Reader, data: bytes, process: Process | None, intake: Intake) -> Process | None:
    for frame in reader.feed(data):
        if isinstance(frame, Hello):
            process = intake.hello(frame)
        elif process is not None:
            intake.batch(process, frame)
    return process


def _refuse_newer(file: Path, head: bytes) -> None:
    try:
        first: Any = msgspec.msgpack.decode(head[4 : 4 + int.from_bytes(head[:4], "big")])
        found, version = first[1], first[2]
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, IndexError, KeyError):
        return  # no frame at all: the reader says so
    if isinstance(found, int) and found > FORMAT:
        raise RecordingTooNew(str(file), format_found=found, format_known=FORMAT, rung_version=str(version)[:40])


def _tell(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
