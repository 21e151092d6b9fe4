"""
Know which recordings there are, and which one is meant.

In        the folder of recordings, what was typed
Out       names and paths; what a recording says of itself
Not here  reading rows (recordings.py), files that were brought from elsewhere (packing.py)

The standard library is enough for it, so that what the recorder alone has written can be packed where it was written.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rung.errors import RecordingBroken, RecordingMissing, RecordingTooNew, UsageError

MANIFEST = "recording.json"
RECORDINGS, RAW = "recordings", "raw"
FRAMES = ".frames"

# As clock.stamp writes it, then the name that was given.
NAMED = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


def names(folder: Path) -> list[str]:
    """
    Return the names of the recordings in *folder*, oldest first.
    """
    place = folder / RECORDINGS
    # One that begins with a dot is being made or removed.
    found = [path for path in place.iterdir() if not path.name.startswith(".")] if place.is_dir() else []
    return sorted(path.name for path in found if (path / MANIFEST).is_file())


def raw_names(folder: Path) -> list[str]:
    """
    Return the names of the folders of raw frames in *folder*, oldest first.
    """
    place = folder / RAW
    found = [path for path in place.iterdir() if not path.name.startswith(".")] if place.is_dir() else []
    return sorted(path.name for path in found if is_raw(path))


def is_raw(path: Path) -> bool:
    """
    Return whether *path* is a folder of raw frames.
    """
    return path.is_dir() and not (path / MANIFEST).exists() and any(path.glob(f"*{FRAMES}"))


def is_written(folder: Path) -> bool:
    """
    Return whether a process still writes raw frames into *folder*: it holds a lock on its file.
    """
    return any(_is_locked(file) for file in folder.glob(f"*{FRAMES}"))


def is_under_way(folder: Path) -> bool:
    """
    Return whether a collector still writes the recording in *folder*: it holds a lock on it.
    """
    return _is_locked(folder)


def held(path: Path) -> int | None:
    """
    Return a descriptor that holds the lock on *path* until it is closed or its process ends; None where somebody else
    does.  On a file system without locks nobody is kept out.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        return descriptor
    return descriptor


def _is_locked(file: Path) -> bool:
    try:
        descriptor = held(file)
    except OSError:
        return False
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def find_recording(folder: Path, asked: str | None) -> str:
    """
    Return the recording that *asked* means: a path, a name, the beginning of one, or the newest for None.

    Raises:
        RecordingMissing: there is none of that name, or none at all.
        UsageError: several begin like that.
        RecordingBroken: a path was given that holds no recording.
    """
    if asked is not None and (Path(asked) / MANIFEST).is_file():
        path = Path(asked)
        return str(path if path.name not in ("", "..") else path.resolve())
    known = names(folder)
    if asked is None:
        return _newest(folder, known)
    matching = meant(known, asked)
    if matching is None:
        if asked and Path(asked).is_dir():
            raise RecordingBroken(asked, f"the folder has no {MANIFEST}")
        raise RecordingMissing(str(folder / RECORDINGS), wanted=f"a recording {asked!r}")
    return matching


def meant(known: list[str], asked: str) -> str | None:
    """
    Return the name among *known* that *asked* stands for, None where there is none.

    Raises:
        UsageError: it could be several.
    """
    if asked in known:
        return asked
    # Runs of the same name follow one another; a beginning that several share could mean any of them.
    matching = [name for name in known if name.endswith(f"-{asked}")] if asked else []
    begun = [name for name in known if name.startswith(asked)] if asked and not matching else []
    if len(begun) > 1:
        raise UsageError(
            f"{asked!r} could be any of {len(begun)} recordings, from {begun[0]} to {begun[-1]}",
            why="Nothing was read: a finding about another recording would look like an answer.",
            steps=(("Name it", f"rung find {begun[-1]}"),),
        )
    matching += begun
    return matching[-1] if matching else None


def _newest(folder: Path, known: list[str]) -> str:
    """
    Return the newest sealed recording, else the newest; one that cannot be read hides no older one.
    """
    unsealed: list[str] = []
    broken: list[RecordingBroken] = []
    for name in reversed(known):
        try:
            if manifest_of(folder / RECORDINGS / name).get("sealed"):
                return name
            unsealed.append(name)
        except RecordingBroken as problem:
            broken.append(problem)
    if unsealed:
        return unsealed[0]
    if broken:
        raise broken[0]
    raise RecordingMissing(str(folder / RECORDINGS))


def folder_of(folder: Path, name: str) -> Path:
    """
    Return where the recording *name* (or path) lies.
    """
    return Path(name) if (Path(name) / MANIFEST).is_file() else folder / RECORDINGS / name


def manifest_of(path: Path) -> dict[str, Any]:
    """
    Return what the recording at *path* says of itself.

    Raises:
        RecordingBroken: it is not readable.
        RecordingTooNew: a newer rung wrote it.
    """
    # The format is known where it is written, which takes numpy: nothing that is listed needs it.
    from rung.steps.record import FORMAT

    manifest = told_by(path)
    if manifest["format"] > FORMAT:
        raise RecordingTooNew(
            str(path), format_found=manifest["format"], format_known=FORMAT, rung_version=str(manifest.get("rung", "?"))
        )
    return manifest


def is_fleet(manifest: Mapping[str, Any]) -> bool:
    """
    Return whether the rows of a recording with this manifest lie in a store (adapters/fleet).
    """
    return isinstance(manifest.get("fleet"), dict)


def told_by(path: Path) -> dict[str, Any]:
    """
    Return the manifest at *path* as it stands, of whatever format.

    Raises:
        RecordingBroken: it is not readable.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
        return {**manifest, "format": int(manifest["format"])}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise RecordingBroken(str(path), f"{MANIFEST} is not readable ({type(problem).__name__})") from None


def size_bytes(path: Path) -> int:
    """
    Return the bytes of all files in a recording's folder.
    """
    held = 0
    for file in path.iterdir():
        try:
            held += file.stat().st_size
        except FileNotFoundError:  # a part that was just made one file with others
            continue
    return held
