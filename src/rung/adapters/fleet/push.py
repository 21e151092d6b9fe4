"""
Send one recording to a fleet's prefix, going on where an earlier try ended.

A recording under way is sent as parts, each time those that came since the last one, as one object a table.  What
such a time consists of is written down before it is sent and counted as sent once its manifest is there: whoever goes
on after an end in between sends the same rows under the same keys.  A recording that has ended is sent as one object
a table; one whose collector was killed has its parts joined for that.

In        a recording's folder, a Store
Out       objects (layout.py), and beside the recording what was sent of it
Not here  when that happens (pusher.py, surfaces/push.py)
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from rung.adapters.collector.writer import without_globs
from rung.adapters.fleet.layout import part_key, place_of, whole_key
from rung.adapters.fleet.sent import begin, tell, told
from rung.adapters.fleet.store import Store, at_once
from rung.adapters.shelf import MANIFEST, held, is_under_way, told_by
from rung.errors import RecordingBroken, StoreRefused
from rung.steps.record import TABLES

SENDING = ".sending"  # locked by who sends; the state itself is replaced each time
NUMBERED = re.compile(r"([a-z_]+)-(\d{6,9})\.parquet")


@dataclass(frozen=True, slots=True)
class Sent:
    """
    What became of sending one recording.

    Attributes:
        objects: How many were put this time.
        size_bytes: Of those.
        already: How many were there before.
        ended: Whether all that will ever be of it is there now.
        busy: Whether somebody else was sending it.
    """

    name: str
    objects: int = 0
    size_bytes: int = 0
    already: int = 0
    ended: bool = False
    busy: bool = False


def push(folder: Path, store: Store) -> Sent:
    """
    Send what *store* does not have of the recording in *folder*.

    Raises:
        StoreError: the store did not take it; what it has taken is not sent again.
        RecordingBroken: it cannot be read, or was sealed in between, which another try finds whole.
    """
    try:
        (folder / SENDING).touch(0o600)
        lock = held(folder / SENDING)
    except OSError as problem:
        raise RecordingBroken(str(folder), f"it cannot be locked ({problem.strerror})") from None
    if lock is None:
        return Sent(folder.name, busy=True)
    try:
        begin(folder, store.url)
        sending = _Sending(folder, store)
        sending.parts() if is_under_way(folder) else sending.whole()
        return sending.sent()
    except (OSError, duckdb.Error) as problem:
        raise RecordingBroken(str(folder), f"its files change ({type(problem).__name__})") from None
    finally:
        os.close(lock)


class _Sending:
    def __init__(self, folder: Path, store: Store) -> None:
        self._folder, self._store = folder, store
        self._manifest = told_by(folder)
        self._place = place_of(folder, self._manifest)
        self._state = told(folder)[store.url]
        self._put: list[tuple[bool, int]] = []

    def sent(self) -> Sent:
        new = [size_bytes for was_new, size_bytes in self._put if was_new]
        ended = bool(self._state.get("ended"))
        return Sent(self._folder.name, len(new), sum(new), len(self._put) - len(new), ended)

    def parts(self) -> None:
        """
        Send what came since the last time.
        """
        planned = self._state.get("planned") or self._next()
        if planned is None:
            return
        number = self._state["number"] + 1
        # Written down first: an end from here on leaves the same rows for the same keys.
        self._note(planned=planned)
        manifest = self._told_now()
        for table, numbers in planned.items():
            files = [file for place, file in self._numbered(table) if place in numbers]
            if len(files) < len(numbers):
                raise RecordingBroken(str(self._folder), "its parts are made one file of at this moment")
            with self._joined(files, table) as joined:
                self._one(part_key(self._place, table, number), joined, same=False)
        processes = self._folder / "processes.parquet"
        if processes.is_file():
            self._one(part_key(self._place, "processes", number), processes.read_bytes(), same=False)
        self._one(part_key(self._place, "recording", number), manifest, same=False)
        through = {table: max(numbers) for table, numbers in planned.items()}
        self._note(planned=None, number=number, through={**self._state["through"], **through})

    def _next(self) -> dict[str, list[int]] | None:
        through = self._state["through"]
        found = {}
        for table in TABLES:
            numbers = [number for number, _ in self._numbered(table) if number > through.get(table, 0)]
            if numbers:
                found[table] = numbers
        return found or None

    def _numbered(self, table: str) -> list[tuple[int, Path]]:
        files = self._folder.glob(f"{table}-[0-9]*.parquet")
        return sorted((int(match[2]), file) for file in files if (match := NUMBERED.fullmatch(file.name)))

    def whole(self) -> None:
        """
        Send a recording that has ended.
        """
        if self._state.get("ended"):
            return
        there = {stored.key: stored.size_bytes for stored in self._store.objects(self._place)}
        waiting = []
        with contextlib.ExitStack() as stack, at_once() as pool:
            for table in TABLES:
                file = self._folder / f"{table}.parquet"
                parts = [] if file.is_file() else [part for _, part in self._numbered(table)]
                if not file.is_file() and not parts:
                    continue
                key = whole_key(self._place, file.name)
                if key in there and parts:
                    self._put.append((False, 0))
                    continue
                source = stack.enter_context(self._joined(parts, table)) if parts else file
                waiting.append(pool.submit(self._one, key, source, same=not parts, there=there.get(key)))
            for sending in waiting:
                sending.result()
        # Last: with it the recording is there.
        self._one(whole_key(self._place, MANIFEST), self._told_now(), same=False)
        self._note(ended=True)

    def _told_now(self) -> bytes:
        changed_s = (self._folder / MANIFEST).stat().st_mtime
        told = {**self._manifest, "until_s": self._manifest.get("ended_s") or changed_s}
        return json.dumps(told, indent=2).encode()

    @contextlib.contextmanager
    def _joined(self, files: list[Path], table: str) -> Iterator[Path]:
        """
        Yield one file of the rows of *files*, in their order.
        """
        if len(files) == 1:
            yield files[0]
            return
        beside = self._folder / f".sent-{table}.parquet"
        try:
            with duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "128MB"}) as database:
                rows = database.read_parquet([without_globs(file) for file in files], union_by_name=True)
                rows.write_parquet(str(beside), compression="zstd")
            yield beside
        finally:
            beside.unlink(missing_ok=True)

    def _one(self, key: str, content: bytes | Path, *, same: bool, there: int | None = None) -> None:
        """
        Put one object; *same* says that what is there already has to be of the same size.
        """
        size_bytes = len(content) if isinstance(content, bytes) else content.stat().st_size
        was_new = there is None and self._store.put(key, content)
        if same and not was_new:
            found = there if there is not None else self._store.size_of(key)
            if found != size_bytes:
                why = "It was sent from another recording of the same id. Nothing was overwritten."
                raise StoreRefused(f"{self._store.url}/{key}", "another object of that name is there", why=why)
        self._put.append((was_new, size_bytes))

    def _note(self, **changed: Any) -> None:
        self._state = {**self._state, **changed}
        tell(self._folder, {**told(self._folder), self._store.url: self._state})
