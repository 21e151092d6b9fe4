"""
Make one recording of all that a fleet recorded within a span: its manifest, which names the objects to read.

It lies among the other recordings, so that it can be named, compared and kept as they are; of its rows only what is
asked for is fetched, when it is asked for (reading.py).  The same objects give the same name.

In        the URL of a prefix, a time
Out       the name of a recording
Not here  which objects count (span.py), rows (reading.py)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rung import clock
from rung.adapters.fleet import layout, span
from rung.adapters.fleet.layout import PARTS, Kept
from rung.adapters.fleet.span import Held, Span
from rung.adapters.fleet.store import Store, at_once
from rung.adapters.launcher import make_private
from rung.adapters.shelf import MANIFEST, RECORDINGS
from rung.errors import FileUnwritable, RecordingBroken, RecordingMissing, RecordingTooNew, UsageError
from rung.steps.record import FORMAT


def gathered(
    data: Path, url: str, *, since_s: float | None = None, until_s: float | None = None, store: Store | None = None
) -> str:
    """
    Return the name of the recording of what lies below *url*, once its manifest lies in *data*.

    Raises:
        RecordingMissing: nothing lies there, or nothing within that time.
        StoreError: it cannot be read.
        RecordingTooNew: a newer rung wrote some of it.
    """
    asked = span.parsed(url, since_s=since_s, until_s=until_s)
    reached = store if store is not None else Store(asked.prefix)
    found = span.within(asked, _held(reached, asked))
    if not found:
        raise RecordingMissing(asked.prefix, wanted=f"a recording {_wanted(asked)}".strip())
    manifest = _merged(asked.prefix, found)
    name = f"{clock.stamp(manifest['started_s'])}-fleet-{_digest(manifest)}"
    _write(data, name, manifest)
    return name


def _wanted(asked: Span) -> str:
    if asked.name is not None:
        return repr(asked.name)
    since = f"since {clock.stamp(asked.since_s)}" if asked.since_s is not None else ""
    until = f"until {clock.stamp(asked.until_s)}" if asked.until_s is not None else ""
    return f"{since} {until}".strip()


def _held(store: Store, asked: Span) -> list[Held]:
    """
    Return the recordings that may lie within the span, with what they say of themselves.
    """
    whole = span.names_within(asked, store.folders())
    parts = span.names_within(asked, store.folders(PARTS))
    with at_once() as pool:
        listed = [objects for page in pool.map(store.objects, whole) for objects in page]
        listed_parts = [
            objects for page in pool.map(store.objects, [f"{PARTS}/{name}" for name in parts]) for objects in page
        ]
        kept = layout.kept_of(listed, listed_parts)
        return list(pool.map(_reader(store), kept))


def _reader(store: Store) -> Callable[[Kept], Held]:
    def read(kept: Kept) -> Held:
        where = f"{store.url}/{kept.manifest}"
        try:
            manifest = json.loads(store.get(kept.manifest))
            told = {**manifest, "format": int(manifest["format"]), "started_s": float(manifest["started_s"])}
        except (ValueError, KeyError, TypeError) as problem:
            raise RecordingBroken(where, f"it is no manifest ({type(problem).__name__})") from None
        if told["format"] > FORMAT:
            raise RecordingTooNew(
                where, format_found=told["format"], format_known=FORMAT, rung_version=str(told.get("rung", "?"))
            )
        return Held(kept, told)

    return read


def _merged(prefix: str, found: Sequence[Held]) -> dict[str, Any]:
    """
    Return the manifest of recordings that are read together.
    """
    formats = sorted({held.manifest["format"] for held in found})
    if len(formats) > 1:
        raise UsageError(
            f"these recordings have the formats {' and '.join(map(str, formats))}",
            why="They are read together by their columns, and these have others.",
            steps=(("Read those since all hosts have the same rung", f"rung find {prefix} --since 1h"),),
        )
    dropped: Counter[str] = Counter()
    libraries: dict[str, str] = {}
    for held in found:
        dropped.update(held.manifest.get("dropped") or {})
        libraries |= held.manifest.get("libraries") or {}
    first = found[0].manifest
    return {
        "format": formats[0],
        "rung": first.get("rung"),
        "name": "fleet",
        "started_s": min(held.began_s for held in found),
        "ended_s": max(held.until_s for held in found),
        "sealed": all(held.manifest.get("sealed") for held in found if held.kept.ended),
        "python": first.get("python"),
        "libraries": libraries,
        "requests": sum(held.manifest.get("requests") or 0 for held in found),
        "dropped": dict(dropped),
        "clocks": {host: list(told) for host, told in sorted(span.clocks(found).items())},
        "namesakes": list(span.namesakes(found)),
        "fleet": {
            "prefix": prefix,
            "recordings": [held.kept.place for held in found],
            "under_way": [held.kept.place for held in found if not held.kept.ended],
            "tables": {
                table: {
                    which: [[one.key, one.size_bytes, one.etag] for one in stored]
                    for which, stored in (("all", chosen.all), ("app", chosen.app))
                    if stored
                }
                for table, chosen in span.chosen(found).items()
            },
        },
    }


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(manifest["fleet"], sort_keys=True).encode(), digest_size=5).hexdigest()


def _write(data: Path, name: str, manifest: dict[str, Any]) -> None:
    folder = data / RECORDINGS / name
    try:
        make_private(data)
        (data / RECORDINGS).mkdir(exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        beside = folder / f".{MANIFEST}.{os.getpid()}"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
        beside.replace(folder / MANIFEST)
    except OSError as problem:
        raise FileUnwritable(str(folder), str(problem.strerror), see="rung find") from None
