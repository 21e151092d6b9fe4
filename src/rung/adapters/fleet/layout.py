"""
Name what a fleet's prefix holds.

    PREFIX/RECORDING/HOST-ID/TABLE.parquet, recording.json             a recording that has ended: the manifest last
    PREFIX/parts/RECORDING/HOST-ID/TABLE-000001.parquet,               what came of it while it was under way, as often
                                   recording-000001.json               as it was sent: the manifest of each time last

Every name follows from the recording alone, so that what was interrupted goes on under the same ones; nothing is
written twice, and nothing is ever changed or removed.  What is under way has a folder of its own, so that a rule of
the bucket can let it expire.  Once a recording has ended its parts are not looked at any more.

In        recordings, keys
Out       keys, and what they say
Not here  reaching the store (store.py)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.adapters.fleet.store import Stored
from rung.adapters.shelf import MANIFEST, NAMED

PARTS = "parts"
WHOLE = re.compile(rf"(?P<name>{NAMED.pattern})/(?P<host>[A-Za-z0-9._-]+)/(?P<table>[a-z_]+)\.parquet")
PART = re.compile(
    rf"{PARTS}/(?P<name>{NAMED.pattern})/(?P<host>[A-Za-z0-9._-]+)/(?P<table>[a-z_]+)-(?P<number>\d{{6,9}})\.parquet"
)
TELLING = re.compile(rf"{PARTS}/{NAMED.pattern}/[A-Za-z0-9._-]+/recording-(?P<number>\d{{6,9}})\.json")
# Told anew as a whole each time.
RETOLD = frozenset({"processes"})


@dataclass(frozen=True, slots=True)
class Kept:
    """
    What a store holds of one recording of one host.

    Attributes:
        place: RECORDING/HOST-ID.
        manifest: The key of its newest manifest.
        ended: Whether it holds all that will ever come.
        objects: Those that belong to that manifest, by table.
    """

    place: str
    manifest: str
    ended: bool
    objects: Mapping[str, tuple[Stored, ...]]


def place_of(folder: Path, manifest: Mapping[str, Any]) -> str:
    """
    Return RECORDING/HOST-ID of the recording in *folder*.
    """
    name = folder.resolve().name
    told = json.dumps([manifest.get(key) for key in ("name", "started_s", "rung")])
    # An older rung gave none.
    identity = manifest.get("id") or hashlib.blake2b(told.encode(), digest_size=6).hexdigest()
    host = re.sub(r"[^A-Za-z0-9._-]+", "-", str(manifest.get("host") or "host")).strip(".-")[:60] or "host"
    return f"{name}/{host}-{identity}"


def whole_key(place: str, file_name: str) -> str:
    """
    Return the key of a file of a recording that has ended.
    """
    return f"{place}/{file_name}"


def part_key(place: str, what: str, number: int) -> str:
    """
    Return the key of a table, or of the manifest for "recording", as it was sent the *number*th time.
    """
    return f"{PARTS}/{place}/{what}-{number:06d}.{'json' if what == 'recording' else 'parquet'}"


def kept_of(whole: Iterable[Stored], parts: Iterable[Stored]) -> list[Kept]:
    """
    Return what is there of each recording, one that has no manifest left out: it is not whole yet.
    """
    found: dict[str, Kept] = {}
    for place, stored in _by_place(parts, skip=1).items():
        numbers = [int(match["number"]) for one in stored if (match := TELLING.fullmatch(one.key))]
        if numbers:
            newest = max(numbers)
            found[place] = Kept(place, part_key(place, "recording", newest), False, _until(stored, newest))
    for place, stored in _by_place(whole, skip=0).items():
        manifest = whole_key(place, MANIFEST)
        if any(one.key == manifest for one in stored):
            tables = {match["table"]: (one,) for one in stored if (match := WHOLE.fullmatch(one.key))}
            found[place] = Kept(place, manifest, True, tables)
    return [found[place] for place in sorted(found)]


def _by_place(stored: Iterable[Stored], *, skip: int) -> dict[str, list[Stored]]:
    grouped: dict[str, list[Stored]] = {}
    for one in stored:
        grouped.setdefault("/".join(one.key.split("/")[skip : skip + 2]), []).append(one)
    return grouped


def _until(stored: Iterable[Stored], newest: int) -> dict[str, tuple[Stored, ...]]:
    """
    Return the parts by table up to the *newest* time: what came after it has no manifest yet.
    """
    tables: dict[str, list[tuple[int, Stored]]] = {}
    for one in stored:
        match = PART.fullmatch(one.key)
        if match is not None and int(match["number"]) <= newest:
            tables.setdefault(match["table"], []).append((int(match["number"]), one))
    return {
        table: tuple(one for _, one in (parts if table not in RETOLD else parts[-1:]))
        for table, parts in ((table, sorted(parts, key=lambda part: part[0])) for table, parts in tables.items())
    }
