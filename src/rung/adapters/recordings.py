"""
Read recordings: which there are, and the rows of one, through DuckDB over its Parquet files.

In        a folder of recordings, SQL from a step
Out       columns as numpy arrays; what a recording says of itself
Not here  writing them (collector/), what the rows mean (steps/measure)

DuckDB runs in memory, may open nothing outside this one recording, and is not let near the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from rung.adapters.collector.writer import MANIFEST, without_globs
from rung.errors import RecordingBroken, RecordingMissing, RecordingTooNew, UsageError
from rung.ports import Column, Manifest, RecordingFacts, Rows
from rung.steps.record import FORMAT, TABLES

# What makes a table that has no file yet.
EMPTY = {
    table: f"create table {table} ({', '.join(f'{name} {kind}' for name, kind in described)})"
    for table, described in TABLES.items()
}


def names(folder: Path) -> list[str]:
    """
    Return the names of the recordings in *folder*, oldest first.
    """
    place = folder / "recordings"
    return sorted(path.name for path in place.iterdir() if (path / MANIFEST).is_file()) if place.is_dir() else []


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
    if not matching:
        if asked and Path(asked).is_dir():
            raise RecordingBroken(asked, f"the folder has no {MANIFEST}")
        raise RecordingMissing(str(folder / "recordings"), wanted=f"a recording {asked!r}")
    return matching[-1]


def _newest(folder: Path, known: list[str]) -> str:
    """
    Return the newest sealed recording, else the newest; one that cannot be read hides no older one.
    """
    unsealed: list[str] = []
    broken: list[RecordingBroken] = []
    for name in reversed(known):
        try:
            if manifest_of(folder / "recordings" / name).get("sealed"):
                return name
            unsealed.append(name)
        except RecordingBroken as problem:
            broken.append(problem)
    if unsealed:
        return unsealed[0]
    if broken:
        raise broken[0]
    raise RecordingMissing(str(folder / "recordings"))


def folder_of(folder: Path, name: str) -> Path:
    """
    Return where the recording *name* (or path) lies.
    """
    return Path(name) if (Path(name) / MANIFEST).is_file() else folder / "recordings" / name


def manifest_of(path: Path) -> dict[str, Any]:
    """
    Return what the recording at *path* says of itself.

    Raises:
        RecordingBroken: it is not readable.
        RecordingTooNew: a newer rung wrote it.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
        found = int(manifest["format"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise RecordingBroken(str(path), f"{MANIFEST} is not readable ({type(problem).__name__})") from None
    if found > FORMAT:
        raise RecordingTooNew(
            str(path), format_found=found, format_known=FORMAT, rung_version=str(manifest.get("rung", "?"))
        )
    return dict(manifest)


class ParquetRecording:
    """
    One recording, read through DuckDB.  Fulfils the port Recordings.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest = manifest_of(path)
        self._connection = duckdb.connect(
            ":memory:",
            config={"threads": 2, "allow_unsigned_extensions": "false", "autoinstall_known_extensions": "false"},
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET allowed_directories = $folders", {"folders": [str(path), without_globs(path)]})
        self._connection.execute("SET enable_external_access = false")
        for table in TABLES:
            self._connect(table)
        self._connection.execute("SET lock_configuration = true")

    def _connect(self, table: str) -> None:
        whole = self.path / f"{table}.parquet"
        files = [whole] if whole.is_file() else sorted(self.path.glob(f"{table}-[0-9]*.parquet"))
        if not files:
            if self._manifest.get("sealed"):
                raise RecordingBroken(str(self.path), f"{table}.parquet is missing")
            # Ended before anything of this kind was written: a table without rows.
            self._connection.execute(EMPTY[table])
            return
        try:
            relation = self._connection.read_parquet([without_globs(file) for file in files], union_by_name=True)
            relation.create_view(table)
        except duckdb.Error as problem:
            raise RecordingBroken(str(files[0] if len(files) == 1 else self.path), _first_line(problem)) from None

    def rows(self, question: Rows) -> Mapping[str, Column]:
        """
        Return the asked rows, a numpy array a column, NULL as NaN or "".
        """
        try:
            columns = self._connection.execute(question.sql).fetchnumpy()
        except duckdb.Error as problem:
            raise RecordingBroken(str(self.path), _first_line(problem)) from None
        return {name: _without_nulls(column) for name, column in columns.items()}

    def manifest(self, question: Manifest) -> RecordingFacts:
        """
        Return what the recording says of itself; the counts are those of its processes.
        """
        counts = self.rows(
            Rows("select count(*) as processes, sum(dropped) as dropped, sum(failures) as failures from processes")
        )
        return RecordingFacts(
            name=self.path.resolve().name,
            sealed=bool(self._manifest.get("sealed")),
            processes=int(counts["processes"][0]),
            dropped=_whole(counts["dropped"][0]),
            failures=_whole(counts["failures"][0]),
        )


def _first_line(problem: duckdb.Error) -> str:
    return str(problem).splitlines()[0]


def _without_nulls(column: Any) -> Column:
    if not np.ma.isMaskedArray(column):
        return np.asarray(column)
    if not column.mask.any():
        return np.asarray(column.data)
    if column.dtype.kind in "OU":
        return np.asarray(np.ma.filled(column, ""))
    return np.asarray(np.ma.filled(column.astype(np.float64), np.nan))


def _whole(value: Any) -> int:
    return int(value) if value is not None and np.isfinite(float(value)) else 0
