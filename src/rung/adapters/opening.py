"""
Open a recording by what reads it: DuckDB over its folder or a fleet's objects, or ClickHouse.

In        a recording's folder; an engine's URL where one was named
Out       what answers the questions about it
Not here  which recording is meant (shelf.py)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rung.adapters.recordings import ParquetRecording
from rung.adapters.shelf import is_fleet, manifest_of

if TYPE_CHECKING:
    from rung.ports import Recordings

CACHE_BYTES_MAX = 2 * 1024**3


def opened(folder: Path, engine: str | None = None, cache_bytes: int = CACHE_BYTES_MAX) -> Recordings:
    """
    Return the recording in *folder*, as the engine at the URL *engine* reads it; None: DuckDB, here.

    Args:
        cache_bytes: What of a fleet's objects stays here.
    """
    if engine is not None:
        from rung.adapters.clickhouse.engine import engine_of
        from rung.adapters.clickhouse.reading import ClickHouseRecording

        return ClickHouseRecording(folder, engine_of(engine))
    if is_fleet(manifest_of(folder)):
        from rung.adapters.fleet.reading import FleetRecording

        return FleetRecording(folder, cache_bytes=cache_bytes)
    return ParquetRecording(folder)
