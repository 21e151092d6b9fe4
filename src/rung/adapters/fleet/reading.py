"""
Read the rows of a fleet's recording: a table's objects are fetched once, when a question first names it.

In        a recording's folder, whose manifest names the objects (gather.py); SQL from a step
Out       columns as numpy arrays, as any recording gives them; objects in a cache of a bounded size
Not here  which objects count (span.py)
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from rung.adapters.fleet.store import Store, at_once
from rung.adapters.recordings import EMPTY, ParquetRecording, confined, tables_of, whole_rows
from rung.adapters.shelf import manifest_of
from rung.errors import FileUnwritable, RecordingBroken
from rung.ports import Column, Rows

CACHE = Path("cache") / "fleet"


class FleetRecording(ParquetRecording):
    """
    A recording of many hosts, of which the asked tables are fetched.  Fulfils the port Recordings.
    """

    def __init__(self, path: Path, *, cache_bytes: int) -> None:
        self.path = path
        self._manifest = manifest_of(path)
        fleet = self._manifest["fleet"]
        self._prefix, self._tables = str(fleet["prefix"]), fleet["tables"]
        self._cache = Cache(path.resolve().parent.parent / CACHE, self._prefix, cache_bytes)
        self._connection = confined(self._cache.folder)
        self._reached: set[str] = set()

    def rows(self, question: Rows) -> Mapping[str, Column]:
        """
        Return the asked rows, once the tables that they are of are here.
        """
        missing = [table for table in tables_of(question.sql) if table not in self._reached]
        if missing:
            self._reach(missing)
        return super().rows(question)

    def _reach(self, tables: Sequence[str]) -> None:
        wanted = [tuple(one) for table in tables for stored in self._tables.get(table, {}).values() for one in stored]
        files = self._cache.files(wanted)
        for table in tables:
            self._view(table, files)
            self._reached.add(table)

    def _view(self, table: str, files: Mapping[str, Path]) -> None:
        chosen = self._tables.get(table, {})
        every, app = ([files[one[0]] for one in chosen.get(which, ())] for which in ("all", "app"))
        if not every and not app:
            self._connection.execute(EMPTY[table])
            return
        try:
            relations = [whole_rows(self._connection, table, every)] if every else []
            if app:
                relations.append(whole_rows(self._connection, table, app).filter("role = 'app'"))
            relation = relations[0] if len(relations) == 1 else relations[0].union(relations[1])
            relation.create_view(table)
        except duckdb.Error as problem:
            raise RecordingBroken(f"{self._prefix} ({table})", str(problem).splitlines()[0]) from None


class Cache:
    """
    Objects that were fetched, each under a name made of its key and its tag: another content has another name.
    """

    def __init__(self, folder: Path, prefix: str, bytes_max: int) -> None:
        self.folder, self._prefix, self._bytes_max = folder, prefix, bytes_max
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as problem:
            raise FileUnwritable(str(folder), str(problem.strerror), see="rung find") from None

    def files(self, objects: Sequence[Sequence[Any]]) -> dict[str, Path]:
        """
        Return the file of each object (key, bytes, tag), fetched where it is not here.

        Raises:
            StoreError: it cannot be fetched.
            FileUnwritable: there is no room for it.
        """
        found = {str(key): self.folder / self._name(str(key), str(etag)) for key, _, etag in objects}
        missing = [key for key, file in found.items() if not _used(file)]
        if missing:
            store = Store(self._prefix)
            try:
                with at_once() as pool:
                    list(pool.map(lambda key: store.fetch(key, found[key]), missing))
            except OSError as problem:
                raise FileUnwritable(str(self.folder), str(problem.strerror), see="rung find") from None
            self._forget(set(found.values()))
        return found

    def _name(self, key: str, etag: str) -> str:
        told = f"{self._prefix}\n{key}\n{etag}"
        return f"{hashlib.blake2b(told.encode(), digest_size=16).hexdigest()}.parquet"

    def _forget(self, needed: set[Path]) -> None:
        """
        Remove what was not used for longest beyond the bound; what is needed now stays whatever it takes.
        """
        files = []
        for file in self.folder.iterdir():
            with contextlib.suppress(OSError):
                status = file.stat()
                files.append((status.st_mtime, status.st_size, file))
        held_bytes = sum(size_bytes for _, size_bytes, _ in files)
        for _, size_bytes, file in sorted(files):
            if held_bytes <= self._bytes_max:
                return
            if file not in needed:
                with contextlib.suppress(OSError):
                    file.unlink()
                held_bytes -= size_bytes


def _used(file: Path) -> bool:
    try:
        os.utime(file)
    except OSError:
        return False
    return True
