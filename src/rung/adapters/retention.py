"""
Remove the oldest recordings when a new one is sealed, by age and by size.

In        the folder of recordings, how long and how much to keep, the ledger
Out       what was removed
Not here  when that happens (collector/, launcher.py)

Never removed: the newest, one that goes on, and one that the ledger names: a verdict without its recordings could not
be checked.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rung import clock
from rung.adapters.shelf import MANIFEST, RAW, RECORDINGS, is_written, names, raw_names, size_bytes, told_by
from rung.errors import RecordingError
from rung.units import show_bytes


@dataclass(frozen=True, slots=True)
class Retention:
    """
    How long and how much to keep.

    Attributes:
        ledger: The folder whose entries name the recordings that stay.
    """

    age_s: float
    total_bytes: int
    ledger: Path


@dataclass(frozen=True, slots=True)
class Removed:
    """
    What was removed.
    """

    names: tuple[str, ...]
    freed_bytes: int

    def words(self) -> str:
        """
        Return a line for people, empty where nothing was removed.
        """
        if not self.names:
            return ""
        which = self.names[0] if len(self.names) == 1 else f"{len(self.names)} recordings, from {self.names[0]} on"
        freed = show_bytes(self.freed_bytes)
        return f"rung: removed {which} ({freed}); retain.age and retain.bytes say how much stays\n"


def prune(folder: Path, retention: Retention, *, newest: str) -> Removed:
    """
    Remove the oldest sealed recordings of *folder* beyond what *retention* says; *newest* stays whatever it says.
    """
    kept_text = _ledger_text(retention.ledger)
    place = folder / RECORDINGS
    held = {name: _size(place / name) for name in names(folder)}
    removable = [
        name for name in held if name != newest and name not in kept_text and _is_sealed(place / name)
    ]  # oldest first
    return _removed(place, held, removable, retention, answers=folder / "answers")


def prune_raw(folder: Path, retention: Retention, *, newest: str) -> Removed:
    """
    Remove the oldest folders of raw frames that no process writes any more.
    """
    place = folder / RAW
    held = {name: _size(place / name) for name in raw_names(folder)}
    removable = [name for name in held if name != newest and not is_written(place / name)]
    return _removed(place, held, removable, retention, answers=None)


def _removed(
    place: Path, held: dict[str, int], removable: list[str], retention: Retention, *, answers: Path | None
) -> Removed:
    total_bytes = sum(held.values())
    oldest_s = clock.now_s() - retention.age_s
    gone = []
    for name in removable:
        if total_bytes <= retention.total_bytes and _changed_s(place / name) >= oldest_s:
            continue
        if not _remove(place / name):
            continue
        gone.append(name)
        total_bytes -= held[name]
        if answers is not None:
            with contextlib.suppress(OSError):
                (answers / f"{name}.jsonl").unlink()
    return Removed(tuple(gone), sum(held[name] for name in gone))


def _remove(path: Path) -> bool:
    # Renamed first: a reader sees the whole of it, or nothing.
    aside = path.with_name(f".removed-{path.name}")
    try:
        path.rename(aside)
    except OSError:  # somebody else was faster, or may and we may not
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True


def _is_sealed(path: Path) -> bool:
    try:
        return told_by(path).get("sealed") is True
    except RecordingError:
        return False


def _changed_s(path: Path) -> float:
    # Not when it was recorded: one that was just brought here from elsewhere is new here.
    try:
        return (path / MANIFEST if (path / MANIFEST).exists() else path).stat().st_mtime
    except OSError:
        return clock.now_s()


def _size(path: Path) -> int:
    try:
        return size_bytes(path)
    except OSError:
        return 0


def _ledger_text(ledger: Path) -> str:
    """
    Return all entries as one text: an entry that is no TOML still names what it names.
    """
    return "\n".join(_texts(ledger))


def _texts(ledger: Path) -> Iterator[str]:
    for path in sorted(ledger.glob("*.toml")):
        with contextlib.suppress(OSError):
            yield path.read_text("utf-8", errors="replace")
