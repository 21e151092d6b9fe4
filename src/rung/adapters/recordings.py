"""
Read the rows of a recording, through DuckDB over its Parquet files.

In        a recording's folder, SQL from a step
Out       columns as numpy arrays; what the recording says of itself
Not here  which recording (shelf.py), writing them (collector/), what the rows mean (steps/measure)

DuckDB runs in memory, may open nothing outside this one recording, and is not let near the network.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np

from rung.adapters.collector.writer import without_globs
from rung.adapters.shelf import manifest_of
from rung.errors import RecordingBroken
from rung.ports import Column, Foreign, Manifest, RecordingFacts, Rows
from rung.steps.record import NEEDED, TABLES

# How a recorder that gave something up begins to say so (probe/guard.py), among the places where it failed.
SHED = "rung sheds "
SHED_LEVELS = ("digests", "stacks", "segments", "everything")

WORD = re.compile(r"[a-z_]+")

# What `facts_of` reads.
PROCESSES = "select host, instance, worker, dropped, failures, counts, failed_at, libraries from processes"

# What makes a table that has no file yet.
EMPTY = {
    table: f"create table {table} ({', '.join(f'{name} {kind}' for name, kind in described)})"
    for table, described in TABLES.items()
}


class ParquetRecording:
    """
    One recording, read through DuckDB.  Fulfils the port Recordings.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest = manifest_of(path)
        self._connection = confined(path)
        for table in TABLES:
            self._connect(table)

    def _connect(self, table: str) -> None:
        files = files_of(self.path, table)
        if not files:
            if self._manifest.get("sealed") and table in NEEDED:
                raise RecordingBroken(str(self.path), f"{table}.parquet is missing")
            # Ended before anything of this kind was written: a table without rows.
            self._connection.execute(EMPTY[table])
            return
        try:
            whole_rows(self._connection, table, files).create_view(table)
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
        return facts_of(self.path, self._manifest, self.rows(Rows(PROCESSES)))


def files_of(path: Path, table: str) -> list[Path]:
    """
    Return the files of *table* in a recording's folder: one that is whole, else its parts in order.
    """
    whole = path / f"{table}.parquet"
    return [whole] if whole.is_file() else sorted(path.glob(f"{table}-[0-9]*.parquet"))


def tables_of(sql: str) -> list[str]:
    """
    Return the tables that *sql* may read: every one whose name is a word of it.
    """
    words = set(WORD.findall(sql))
    return [table for table in TABLES if table in words]


def confined(folder: Path) -> duckdb.DuckDBPyConnection:
    """
    Return a DuckDB that may read *folder* and nothing else.
    """
    connection = duckdb.connect(
        ":memory:",
        config={"threads": 2, "allow_unsigned_extensions": "false", "autoinstall_known_extensions": "false"},
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET allowed_directories = $folders", {"folders": [str(folder), without_globs(folder)]})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def whole_rows(connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path]) -> duckdb.DuckDBPyRelation:
    """
    Return the rows of *table* that *files* hold, each with every column that this rung knows.
    """
    relation = connection.read_parquet([without_globs(file) for file in files], union_by_name=True)
    # An older rung wrote fewer columns.
    chosen = [
        f'"{name}"' if name in relation.columns else f'cast(null as {kind}) as "{name}"' for name, kind in TABLES[table]
    ]
    return relation.project(", ".join(chosen))


def facts_of(path: Path, manifest: Mapping[str, Any], told: Mapping[str, Column]) -> RecordingFacts:
    """
    Return what a recording says of itself, from its manifest and the rows that PROCESSES gives.
    """
    failed_at: Counter[str] = Counter()
    for places in map(_object, told["failed_at"]):
        # What an earlier recording of the same process told has come to nothing since.
        failed_at.update({str(place): _whole(times) for place, times in places.items() if _whole(times)})
    counts = [_object(text) for text in told["counts"]]
    shed = [place for place in failed_at if place.startswith(SHED)]
    level = max((_whole(each.get("shed")) for each in counts), default=0)
    if level and not shed:
        shed = [SHED + SHED_LEVELS[min(level, len(SHED_LEVELS)) - 1]]
    libraries: set[tuple[str, str]] = set()
    for versions in map(_object, told["libraries"]):
        libraries |= {(str(name), str(version)) for name, version in versions.items()}
    clocks = manifest.get("clocks") or {}
    return RecordingFacts(
        name=path.resolve().name,
        sealed=bool(manifest.get("sealed")),
        # The same process has a row in each recording that is read together with others.
        processes=len(set(zip(*(told[name].tolist() for name in ("host", "instance", "worker")), strict=True))),
        dropped=sum(map(_whole, told["dropped"])),
        failures=sum(map(_whole, told["failures"])),
        failed_at=tuple((place, times) for place, times in failed_at.most_common() if place not in shed),
        shed=tuple(sorted(place.removeprefix("rung ") for place in shed)),
        websockets=sum(_whole(each.get("websockets")) for each in counts),
        libraries=tuple(sorted(libraries)),
        clocks=tuple((str(host), float(told_s[0]), float(told_s[1])) for host, told_s in clocks.items()),
        namesakes=tuple(map(str, manifest.get("namesakes") or ())),
        foreign=_foreign(manifest.get("foreign")),
    )


def _foreign(told: Any) -> Foreign | None:
    """
    Return what the manifest says of others' traces, None where it was made from none.
    """
    if not isinstance(told, dict):
        return None
    try:
        return msgspec.convert(told, Foreign)
    except msgspec.ValidationError:
        return Foreign(form=str(told.get("form", "")))


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
    return int(value) if isinstance(value, (int, float, np.number)) and np.isfinite(float(value)) else 0


def _object(text: Any) -> Mapping[str, Any]:
    """
    Return what a column of JSON says of one process; an older rung wrote none.
    """
    try:
        told = json.loads(text or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
