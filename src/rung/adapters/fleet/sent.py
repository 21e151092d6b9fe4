"""
Note beside a recording what was sent of it, so that whoever comes later goes on from there.

In        a recording's folder, the prefix that it is sent to
Out       a small file in that folder
Not here  sending (push.py)

The standard library is enough for it: the collector notes at the beginning of a recording, and waits for nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STATE = ".sent.json"


def begin(folder: Path, prefix: str) -> None:
    """
    Note that the recording in *folder* is to be sent to *prefix*, so that whoever comes later knows.
    """
    noted = told(folder)
    if prefix not in noted:
        tell(folder, {**noted, prefix: {"number": 0, "through": {}}})


def waiting(place: Path, prefix: str) -> list[Path]:
    """
    Return the recordings in *place*, oldest first, whose sending to *prefix* was begun and not ended.
    """
    begun = [folder.parent for folder in sorted(place.glob(f"*/{STATE}")) if not folder.parent.name.startswith(".")]
    return [folder for folder in begun if not told(folder).get(prefix, {"ended": True}).get("ended")]


def told(folder: Path) -> dict[str, Any]:
    """
    Return what was noted of sending the recording in *folder*, by prefix.
    """
    try:
        noted = json.loads((folder / STATE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def tell(folder: Path, noted: Mapping[str, Any]) -> None:
    """
    Note it, as a whole or not at all, so that it outlives a power cut.
    """
    beside = folder / f"{STATE}.part"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(noted, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / STATE)
