"""
Write a recording: Parquet parts each second, one file a table at the end, and the manifest.

Every file gets its final name when it is whole, so a reader never sees half of one.  Where TABLE.parquet exists it
holds the whole table, and parts of the same table beside it are leftovers of an interrupted end.

In        columns (steps/record.py)
Out       files in the recording's folder
Not here  sockets (listener.py), reading recordings (adapters/recordings.py)
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rung import __version__, clock
from rung.adapters.shelf import held
from rung.steps.record import FORMAT, TABLES, Columns, Intake, columns

MANIFEST = "recording.json"
# A part costs some milliseconds a table however few rows it has, so a recording that has lasted writes them less
# often: each time that it has grown by a quarter, or by ten seconds, which is what an end without a seal can lose.
GROWTH_SHARE = 0.25
EVERY_S_MAX = 10.0
IDLE_S = 60.0  # when nothing but samples came
ROWS_MAX = 100_000  # held in memory


class Writer:
    """
    One recording's files.  A disk that is full costs rows, which are counted, and never more than that.
    """

    def __init__(self, folder: Path, *, name: str, started_s: float, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._name = name
        self._started_s = started_s
        self._say = say
        self._said = False
        self._part = 0
        self._written: dict[str, int] = dict.fromkeys(TABLES, 0)
        self._unwritten: dict[str, int] = dict.fromkeys(TABLES, 0)
        self._database: Any = None
        self._counted: tuple[Any, ...] = ()
        self._begun = self._wrote = clock.monotonic_s()
        # What tells a recording from every other one, wherever it is sent or carried.
        self._told = {"id": secrets.token_hex(6), "host": socket.gethostname()}
        self._lock: int | None = None

    def begin(self, intake: Intake) -> None:
        """
        Write the manifest of a recording that goes on; from now on the folder is seen to be under way.
        """
        self._lock = held(self._folder)
        self._manifest(intake, refused=0, sealed=False)

    def write(self, intake: Intake, *, refused: int) -> None:
        """
        Write what came since the last time as one part of each table, where that was long enough ago.
        """
        now = clock.monotonic_s()
        waited_s = now - self._wrote
        counted = (intake.requests_total, intake.dropped, refused, len(intake.processes))
        if counted == self._counted and waited_s < IDLE_S:
            return
        if waited_s < min(GROWTH_SHARE * (now - self._begun), EVERY_S_MAX) and intake.held < ROWS_MAX:
            return
        self._write(intake, counted, refused=refused)

    def _write(self, intake: Intake, counted: tuple[Any, ...], *, refused: int) -> None:
        self._wrote = clock.monotonic_s()
        self._counted = counted
        self._part += 1
        for taken in intake.take():
            if self._copy(taken, f"{taken.table}-{self._part:06d}.parquet"):
                self._written[taken.table] += 1
            else:
                self._unwritten[taken.table] += taken.rows
        self._copy(intake.processes_now(), "processes.parquet")
        self._manifest(intake, refused=refused, sealed=False)

    def seal(self, intake: Intake, *, refused: int) -> None:
        """
        Write the rest, make one file of each table's parts, and mark the recording as whole.
        """
        self._write(intake, (), refused=refused)
        whole = self._copy(intake.processes_now(), "processes.parquet")
        for table in TABLES:
            if table != "processes":
                whole = self._compact(table) and whole
        # What lost rows to a full disk would look like an answer and be half of one.
        self._manifest(intake, refused=refused, sealed=whole and not any(self._unwritten.values()), ended=True)
        if self._database is not None:
            self._database.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _compact(self, table: str) -> bool:
        if not self._written[table]:
            return self._copy(columns(table, ()), f"{table}.parquet")
        parts = sorted(self._folder.glob(f"{table}-*.parquet"))
        done = self._put(
            f"{table}.parquet", lambda database: database.read_parquet([without_globs(part) for part in parts])
        )
        if done:
            for part in parts:
                part.unlink()
        return done

    def _copy(self, taken: Columns, file_name: str) -> bool:
        chosen = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in TABLES[taken.table])

        def rows(database: Any) -> Any:
            database.register("taken", taken.columns)
            return database.view("taken").project(chosen)

        return self._put(file_name, rows)

    def _put(self, file_name: str, rows: Callable[[Any], Any]) -> bool:
        partial = self._folder / f".{file_name}.part"
        try:
            rows(self._connection()).write_parquet(str(partial), compression="zstd")
            partial.replace(self._folder / file_name)
        except Exception as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            self._failed(file_name, error)
            return False
        return True

    def _failed(self, file_name: str, error: Exception) -> None:
        # Whatever DuckDB or the disk say: the app goes on, what was written stays, and the rest is counted.
        if self._said:
            return
        self._said = True
        self._say(
            f"rung: cannot write {self._folder / file_name}: {error}\n"
            "rung: the app goes on unrecorded; what was written before stays readable. "
            "RUNG_FOLDER=/another/disk records somewhere else.\n"
        )

    def _connection(self) -> Any:
        if self._database is None:
            import duckdb

            self._database = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "128MB"})
            # Object columns hold text or nothing; a sample that holds nothing must not decide otherwise.
            self._database.execute("SET GLOBAL pandas_analyze_sample = 0")
        return self._database

    def _manifest(self, intake: Intake, *, refused: int, sealed: bool, ended: bool = False) -> None:
        hellos = [process.hello for process in intake.processes.values()]
        libraries: dict[str, str] = {}
        for hello in hellos:
            libraries |= hello.libraries
        unwritten = {f"unwritten_{table}": rows for table, rows in self._unwritten.items() if rows}
        told = {
            "format": FORMAT,
            "rung": __version__,
            "name": self._name,
            **self._told,
            "started_s": self._started_s,
            "ended_s": clock.now_s() if ended else None,
            "sealed": sealed,
            "python": hellos[0].python if hellos else None,
            "libraries": libraries,
            "processes": len(hellos),
            "requests": intake.requests_total - self._unwritten["requests"],
            "dropped": {"requests": intake.dropped, "refused_connections": refused, **unwritten},
            "sampled": intake.sampled,
        }
        partial = self._folder / f".{MANIFEST}.part"
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(told, file, indent=2)
                file.write("\n")
            partial.replace(self._folder / MANIFEST)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            self._failed(MANIFEST, error)


def without_globs(path: Path) -> str:
    """
    Return *path* as DuckDB takes it for itself: a folder may hold characters that it would read as a pattern.
    """
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))
