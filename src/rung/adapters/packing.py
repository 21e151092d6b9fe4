"""
Carry recordings: one file of one or more of them, and back; raw frames made a recording on the way.

In        folders of recordings, folders of raw frames, packed files
Out       NAME.rung, a zip file; recordings in the folder of recordings
Not here  which recording is meant (shelf.py), reading frames (collector/raw.py)

A zip file says of each member how large it is before it is read, and has no place for links or owners.  Nothing that
is unpacked decides where it goes: a member has one of the names that rung writes, or the file is refused as a whole.
Parquet is stored as it is, since it is compressed; raw frames are deflated.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rung import clock
from rung.adapters import shelf
from rung.adapters.shelf import FRAMES, MANIFEST, NAMED, RAW, RECORDINGS, is_fleet, is_raw, size_bytes, told_by
from rung.config import PREFIXES
from rung.errors import ExtraMissing, FileUnwritable, PackRefused, RecordingBroken, RecordingMissing, UsageError
from rung.units import show_bytes

SUFFIX = ".rung"
ANSWERS = "answers.jsonl"
CHUNK_BYTES = 1024 * 1024
MEMBERS_MAX = 100_000
UNPACKED_BYTES_MAX = 64 * 1024**3
SPARE_BYTES = 64 * 1024**2  # of the disk, left free by unpacking

TABLE = re.compile(r"([a-z_]{1,40})(-\d{1,9})?\.parquet")
MEMBER = re.compile(
    rf"(?P<top>{NAMED.pattern})/(?P<file>recording\.json|answers\.jsonl|{TABLE.pattern}"
    r"|[A-Za-z0-9][A-Za-z0-9._-]{0,249}\.frames)"
)


@dataclass(frozen=True, slots=True)
class Packed:
    """
    What was packed.

    Attributes:
        raw: Whether it holds raw frames, to be made a recording where the tool is installed.
    """

    name: str
    sources: tuple[str, ...]
    raw: bool
    file_bytes: int


@dataclass(frozen=True, slots=True)
class Member:
    """
    A file, or a text made for it, and the name that it is packed under.
    """

    name: str
    content: Path | bytes


def brought(data: Path, asked: str | None, *, since_s: float | None = None, until_s: float | None = None) -> str | None:
    """
    Return *asked* as the name of a recording in *data* where it is a packed file or a folder of raw frames: these are
    unpacked and converted first, once; or the prefix of a fleet, of which it is what lies within that time.  Anything
    else is returned as it is.

    Without a name, raw frames that are newer than every recording become one.
    """
    raw = shelf.raw_names(data)
    if asked is not None and asked.startswith(PREFIXES):
        from rung.adapters.fleet.gather import gathered

        return gathered(data, asked, since_s=since_s, until_s=until_s)
    if asked is None:
        newest = max(shelf.names(data), default="")
        return _converted(data, [data / RAW / raw[-1]], raw[-1]) if raw and raw[-1] > newest else None
    path = Path(asked)
    if path.is_file():
        return unpacked(data, path)
    if is_raw(path):
        return _converted(data, [path], _stamped(path))
    if not path.exists() and shelf.meant(shelf.names(data), asked) is None:
        name = shelf.meant(raw, asked)
        if name is not None:
            return _converted(data, [data / RAW / name], name)
    return asked


def sources_of(data: Path, asked: Sequence[str]) -> list[Path]:
    """
    Return the folders that *asked* means, the newest recording (else the newest raw frames) where nothing is asked.

    Raises:
        RecordingMissing: there is none.
        UsageError: one is named twice.
    """
    found = [_source(data, one) for one in asked] if asked else [_newest_source(data)]
    twice = [str(path) for path, times in Counter(path.resolve() for path in found).items() if times > 1]
    if twice:
        raise UsageError(
            f"{twice[0]} is named twice",
            why="Each of its requests would count twice.",
            steps=(("Name it once", f"rung pack {found[0]}"),),
        )
    return found


def _source(data: Path, asked: str) -> Path:
    path = Path(asked)
    if path.is_file():
        return data / RECORDINGS / unpacked(data, path)
    if (path / MANIFEST).is_file() or is_raw(path):
        return path
    for known, place in ((shelf.names(data), RECORDINGS), (shelf.raw_names(data), RAW)):
        name = shelf.meant(known, asked)
        if name is not None:
            return data / place / name
    raise RecordingMissing(str(data), wanted=f"a recording or raw frames {asked!r}")


def _newest_source(data: Path) -> Path:
    raw = shelf.raw_names(data)
    sealed = [name for name in shelf.names(data) if told_by(data / RECORDINGS / name).get("sealed")]
    if raw and raw[-1] > max(sealed, default=""):
        return data / RAW / raw[-1]
    if sealed:
        return data / RECORDINGS / sealed[-1]
    raise RecordingMissing(str(data), wanted="a sealed recording")


def pack(data: Path, sources: Sequence[Path], out: Path | IO[bytes], *, name: str | None) -> Packed:
    """
    Write *sources* to *out* as one recording; raw frames are converted first where the tool is installed.

    Raises:
        UsageError: they cannot be read together.
        FileUnwritable: the disk does not take it; nothing is left of it.
    """
    if _can_convert():
        folders = _all_converted(data, sources)
    elif all(is_raw(path) for path in sources) or not any(is_raw(path) for path in sources):
        folders = list(sources)
    else:
        raise ExtraMissing("duckdb")
    for folder in folders:
        if (folder / MANIFEST).is_file() and is_fleet(told_by(folder)):
            raise UsageError(
                f"{folder.name} is a fleet's: its rows lie in its store",
                why="There is nothing to carry: whoever may read the store reads it from there.",
                steps=(("Read it there", f"rung find {told_by(folder)['fleet']['prefix']}"),),
            )
    called = _packed_name(folders, name)
    members = list(_raw_members(folders) if is_raw(folders[0]) else _recorded_members(data, folders))
    if isinstance(out, Path):
        written_bytes = _written(out, called, members)
    else:
        _zip(out, called, members)
        written_bytes = sum(_length(member) for member in members)
    return Packed(called, tuple(path.name for path in sources), is_raw(folders[0]), written_bytes)


def _can_convert() -> bool:
    return all(importlib.util.find_spec(module) is not None for module in ("duckdb", "numpy"))


def _all_converted(data: Path, sources: Sequence[Path]) -> list[Path]:
    raw = [path for path in sources if is_raw(path)]
    if not raw:
        return list(sources)
    # Read together, so that processes and statements that they share are told once.
    name = _converted(data, raw, min(_stamped(path) for path in raw))
    return [*(path for path in sources if path not in raw), data / RECORDINGS / name]


def _packed_name(folders: Sequence[Path], name: str | None) -> str:
    first = min(_stamped(path) for path in folders)
    if name is None:
        return first
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:60] or "packed"
    return f"{first[: len(clock.stamp(0))]}-{safe}"


def _stamped(path: Path) -> str:
    """
    Return the name of a folder as recordings are named; one that was renamed gets the time of its first file.
    """
    name = path.resolve().name
    if NAMED.fullmatch(name):
        return name
    began_s = min((file.stat().st_mtime for file in path.iterdir() if file.is_file()), default=0.0)
    with contextlib.suppress(RecordingBroken, KeyError, TypeError):
        began_s = float(told_by(path)["started_s"])
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:60] or "app"
    return f"{clock.stamp(began_s)}-{safe}"


def _raw_members(folders: Sequence[Path]) -> Iterator[Member]:
    taken: Counter[str] = Counter()
    for folder in folders:
        for file in sorted(folder.glob(f"*{FRAMES}")):
            taken[file.name] += 1
            number = f"{taken[file.name]}-" if taken[file.name] > 1 else ""
            yield Member(number + file.name, file)


def _recorded_members(data: Path, folders: Sequence[Path]) -> Iterator[Member]:
    if len(folders) == 1:
        (folder,) = folders
        for file in sorted(folder.iterdir()):
            if TABLE.fullmatch(file.name):
                yield Member(file.name, file)
        yield Member(MANIFEST, folder / MANIFEST)
        answers = data / "answers" / f"{folder.resolve().name}.jsonl"
        if answers.is_file():
            yield Member(ANSWERS, answers)
        return
    yield Member(MANIFEST, json.dumps(_merged([told_by(folder) for folder in folders], folders), indent=2).encode())
    numbers: Counter[str] = Counter()
    for folder in folders:
        files = {file.name for file in folder.iterdir()}
        for file_name in sorted(files):
            match = TABLE.fullmatch(file_name)
            # Where TABLE.parquet exists, parts beside it are leftovers (collector/writer.py).
            if match is not None and not (match[2] and f"{match[1]}.parquet" in files):
                numbers[match[1]] += 1
                yield Member(f"{match[1]}-{numbers[match[1]]:06d}.parquet", folder / file_name)


def _merged(manifests: Sequence[Mapping[str, Any]], folders: Sequence[Path]) -> dict[str, Any]:
    """
    Return the manifest of recordings that are read together.
    """
    formats = sorted({manifest["format"] for manifest in manifests})
    if len(formats) > 1:
        raise UsageError(
            f"they have the formats {' and '.join(map(str, formats))}",
            why="Recordings are read together by their columns, and these have others.",
            steps=(("Pack them one by one", f"rung pack {folders[0]}"),),
        )
    dropped: Counter[str] = Counter()
    libraries: dict[str, str] = {}
    for manifest in manifests:
        dropped.update(manifest.get("dropped") or {})
        libraries |= manifest.get("libraries") or {}
    ends_s = [float(manifest["ended_s"]) for manifest in manifests if manifest.get("ended_s") is not None]
    return {
        **manifests[0],
        "name": "merged",
        "started_s": min(manifest["started_s"] for manifest in manifests),
        "ended_s": max(ends_s) if len(ends_s) == len(manifests) else None,
        "sealed": all(manifest.get("sealed") for manifest in manifests),
        "libraries": libraries,
        "processes": sum(manifest.get("processes") or 0 for manifest in manifests),
        "requests": sum(manifest.get("requests") or 0 for manifest in manifests),
        "dropped": dict(dropped),
        "merged": [folder.resolve().name for folder in folders],
    }


def _written(out: Path, name: str, members: Sequence[Member]) -> int:
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                _zip(file, name, members)
                written_bytes = file.tell()
            beside.replace(out)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as problem:
        raise FileUnwritable(str(out), str(problem.strerror), see="rung pack") from None
    return written_bytes


def _zip(out: IO[bytes], name: str, members: Sequence[Member]) -> None:
    with zipfile.ZipFile(out, "w") as packed:
        for member in members:
            info = zipfile.ZipInfo(f"{name}/{member.name}")  # of no date, so that the same packs to the same
            info.external_attr = (stat.S_IFREG | 0o600) << 16
            info.compress_type = zipfile.ZIP_STORED if member.name.endswith(".parquet") else zipfile.ZIP_DEFLATED
            with packed.open(info, "w", force_zip64=True) as target:
                if isinstance(member.content, bytes):
                    target.write(member.content)
                else:
                    with _opened(member.content) as source:
                        shutil.copyfileobj(source, target, CHUNK_BYTES)
    out.flush()


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError:
        # Its collector has just made one file of the parts.
        raise RecordingBroken(str(path.parent), f"{path.name} was there a moment ago: it is being sealed") from None


def _length(member: Member) -> int:
    return len(member.content) if isinstance(member.content, bytes) else member.content.stat().st_size


def unpacked(data: Path, path: Path) -> str:
    """
    Return the name of the recording that the packed file at *path* holds, once it lies in *data*.

    Raises:
        PackRefused: it is no such file, or holds what it should not; nothing of it was kept.
        FileUnwritable: the disk does not take it; nothing is left of it.
    """
    place = data / RECORDINGS
    try:
        with zipfile.ZipFile(path) as packed:
            members = _checked(path, packed)
            _make(data, place)
            _refuse_large(path, members, place)
            beside = Path(tempfile.mkdtemp(prefix=".unpack-", dir=place))
            try:
                for member in members:
                    _extract(path, packed, member, beside / member.filename.rpartition("/")[2])
                return _put_up(data, beside, members[0].filename.partition("/")[0])
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as problem:
        raise PackRefused(str(path), str(problem) or "it is not a zip file") from None
    except OSError as problem:
        raise FileUnwritable(str(place), str(problem.strerror or problem), see=f"rung find {path}") from None


def _make(data: Path, place: Path) -> None:
    from rung.adapters.launcher import make_private

    make_private(data)
    place.mkdir(exist_ok=True, mode=0o700)


def _checked(path: Path, packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """
    Return the members, all of which are named as rung names them, in one folder.
    """
    members = packed.infolist()
    if not 1 <= len(members) <= MEMBERS_MAX:
        raise PackRefused(str(path), f"it has {len(members)} members")
    tops = set()
    for member in members:
        match = MEMBER.fullmatch(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if match is None or kind not in {0, stat.S_IFREG} or member.flag_bits & 1:
            raise PackRefused(str(path), f"it holds {member.filename[:80]!r}, which is no part of a recording")
        tops.add(match["top"])
    if len(tops) > 1 or len({member.filename for member in members}) < len(members):
        raise PackRefused(str(path), "its members are not those of one recording")
    return members


def _refuse_large(path: Path, members: Sequence[zipfile.ZipInfo], place: Path) -> None:
    total_bytes = sum(member.file_size for member in members)
    room_bytes = min(UNPACKED_BYTES_MAX, shutil.disk_usage(place).free - SPARE_BYTES)
    if total_bytes > room_bytes:
        problem = f"it holds {show_bytes(total_bytes)}, and there is room for {show_bytes(max(0, room_bytes))}"
        raise PackRefused(str(path), problem)


def _extract(path: Path, packed: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    left_bytes = member.file_size
    with os.fdopen(descriptor, "wb") as file, packed.open(member) as source:
        while data := source.read(CHUNK_BYTES):
            left_bytes -= len(data)
            if left_bytes < 0:
                raise PackRefused(str(path), f"{member.filename!r} is larger than it says")
            file.write(data)


def _put_up(data: Path, beside: Path, name: str) -> str:
    """
    Give what was unpacked its place among the recordings, unless it lies there already.
    """
    answers = beside / ANSWERS
    kept = answers.read_bytes() if answers.is_file() else None
    answers.unlink(missing_ok=True)
    if is_raw(beside):
        return _converted(data, [beside], name)
    manifest = told_by(beside)
    for turn in range(1, 1000):
        called = name if turn == 1 else f"{name}-{turn}"
        target = data / RECORDINGS / called
        with contextlib.suppress(RecordingBroken):
            if target.exists() and told_by(target) == manifest and size_bytes(target) == size_bytes(beside):
                return called
        if not target.exists():
            beside.replace(target)
            _keep_answers(data, called, kept)
            return called
    raise FileUnwritable(str(data / RECORDINGS / name), "there are a thousand of that name", see="rung find")


def _keep_answers(data: Path, name: str, kept: bytes | None) -> None:
    if kept is None:
        return
    (data / "answers").mkdir(exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(data / "answers" / f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(kept)


def _converted(data: Path, folders: Sequence[Path], name: str) -> str:
    """
    Return *name* once the raw frames of *folders* are a recording of that name; they are read again if they grew.
    """
    if not _can_convert():
        raise ExtraMissing("duckdb", instead=("Or carry the frames to where it is", f"rung pack {folders[0]}"))
    from rung.adapters.collector import raw

    files = [file for folder in folders for file in raw.frames_of(folder)]
    target = data / RECORDINGS / name
    told = told_by(target).get("raw") if target.exists() else None
    if told == {"files": len(files), "bytes": raw.bytes_of(files)}:
        return name
    if target.exists() and told is None:
        # A recording of its own right has that name.
        name = f"{name}-raw"
        target = data / RECORDINGS / name
    _make(data, data / RECORDINGS)
    raw.convert(files, target, name=name[len(clock.stamp(0)) + 1 :])
    return name
