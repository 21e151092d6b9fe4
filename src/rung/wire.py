"""
Wire settings, adapters and moves into a Loop: the only file that knows them all.

In        the flags of a command, the environment, the working folder
Out       a Workplace: settings in force, and a Loop ready to be driven
Not here  what any of them does
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rung import config
from rung.config import Settings
from rung.errors import BadFile, BadValue, DatabaseNotGiven, ExtraMissing, LedgerError

if TYPE_CHECKING:
    from rung.loop import Loop

# The parts of the tool extra that every command but `record` and `load` needs.
TOOL_MODULES = ("duckdb", "numpy", "psycopg", "sqlglot", "tomli_w", "psutil")


def settings_of(flags: Mapping[str, str | None], *, folder: Path) -> Settings:
    """
    Return the settings in force in *folder*.
    """
    path = folder / config.FILE_NAME
    try:
        text = path.read_text("utf-8") if path.exists() else None
    except OSError as problem:
        raise BadFile(config.FILE_NAME, str(problem.strerror)) from None
    except UnicodeDecodeError as problem:
        raise BadFile(config.FILE_NAME, f"it is not UTF-8 ({problem.reason} {problem.start} bytes into it)") from None
    return config.settle(file_text=text, environ=os.environ, flags=flags)


def database_of(settings: Settings, flag: str | None) -> str | None:
    """
    Return the DSN of the app's database: --database, rung.toml, DATABASE_URL, PG*, in this order; else None.

    Raises:
        BadValue: rung.toml names a variable that is not set.
    """
    if flag:
        return flag
    url = settings.database_url
    if url.startswith("env:"):
        name = url.removeprefix("env:")
        if not os.environ.get(name):
            raise BadValue(
                "database.url", url, expected="the name of a variable that is set", where=f"{name} is not set"
            )
        return os.environ[name]
    if url:
        return url
    if os.environ.get("DATABASE_URL"):
        return os.environ["DATABASE_URL"]
    # libpq reads PG* itself; an empty DSN means just that.
    return "postgresql://" if any(os.environ.get(name) for name in ("PGHOST", "PGDATABASE", "PGSERVICE")) else None


def require(*modules: str) -> None:
    """
    Raise ExtraMissing, with the pip line, for the first module that is not installed.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ExtraMissing(module)


class Workplace:
    """
    A folder with its settings, recordings and ledger, and the Loop over them.

    Attributes:
        folder: Where rung.toml, the ledger and the migrations are: the user's repository.
        data: Where recordings are.
        database: The DSN, None where none was named.
        engine: The URL of what reads recordings, None for DuckDB here.
    """

    def __init__(self, folder: Path, settings: Settings, database: str | None) -> None:
        self.folder, self.settings, self.database = folder, settings, database
        self.data = folder / settings.folder
        self.engine: str | None = None

    def recording(self, asked: str | None, *, since_s: float | None = None, until_s: float | None = None) -> str:
        """
        Return the name of the recording that *asked* means, the newest sealed one for None; a packed file, a folder of
        raw frames, or what a fleet recorded from *since_s* to *until_s* becomes one first.
        """
        from rung.adapters.packing import brought
        from rung.adapters.shelf import find_recording

        return find_recording(self.data, brought(self.data, asked, since_s=since_s, until_s=until_s))

    def reach_database(self, command: str) -> None:
        """
        Raise DatabaseNotGiven or DatabaseRefused where there is no database for *command* to ask or change.
        """
        from rung.adapters.postgres import connected, mapped_errors

        if self.database is None:
            raise DatabaseNotGiven(command=command)
        with mapped_errors(self.database), connected(self.database, options=""):
            pass

    def pair(self, loop: Loop, move: str | None) -> tuple[str, str]:
        """
        Return the recordings before and after the newest change in the ledger (or that of *move*).
        """
        from rung.adapters.shelf import find_recording, folder_of, manifest_of, names
        from rung.steps import ledger

        entry = ledger.newest(loop.entries(), move)
        before = Path(find_recording(self.data, entry.before)).name
        # Names begin with the second in which a recording began.
        later = [name for name in names(self.data) if name >= entry.taken and name != before]
        # One that goes on holds half of the traffic; the newest that ended is the one to judge by.
        ended = [name for name in later if manifest_of(folder_of(self.data, name)).get("sealed")]
        if not ended:
            raise LedgerError(
                f"there is no recording after {entry.quote.name} was taken"
                + (f" that has ended ({later[-1]} has not)" if later else ""),
                why=f"{before} was made before the change; the number after it is not known yet.",
                steps=(
                    ("Stop the recorded app (Ctrl-C), then", "rung confirm")
                    if later
                    else ("Record again, with the same load", "rung record -- uvicorn yourapp:app"),
                ),
            )
        return before, ended[-1]

    @contextmanager
    def loop(self, *, fresh: bool = False) -> Iterator[Loop]:
        """
        Yield a Loop over this workplace; what it started ends with the block.

        Args:
            fresh: Ask the database anew instead of using the answers kept beside the recording.
        """
        require(*TOOL_MODULES)
        from rung.adapters.answers import AnswerFile
        from rung.adapters.hands import RepositoryHands
        from rung.adapters.ledger import LedgerFolder
        from rung.adapters.opening import opened
        from rung.adapters.planner import DatabasePlanner
        from rung.adapters.repository import RepositoryFiles
        from rung.adapters.shelf import folder_of
        from rung.loop import Loop
        from rung.moves.ladder import LADDER
        from rung.ports import Ports

        asked_anew: set[str] = set()

        def answers(name: str) -> AnswerFile:
            first = fresh and name not in asked_anew
            asked_anew.add(name)
            return AnswerFile(self.data, name, fresh=first)

        dump = self.folder / self.settings.planner_dump if self.settings.planner_dump else None
        planner = DatabasePlanner(self.database, dump=dump)
        ports = Ports(
            recording=lambda name: opened(folder_of(self.data, name), self.engine, self.settings.fleet_cache_bytes),
            answers=answers,
            planner=planner,
            repository=RepositoryFiles(self.folder),
            hands=RepositoryHands(
                self.folder,
                self.database,
                lock_timeout_s=self.settings.index_lock_timeout_s,
                old_transaction_s=self.settings.index_old_transaction_s,
            ),
            ledger=LedgerFolder(self.folder / self.settings.ledger_folder),
        )
        try:
            yield Loop(ports=ports, moves=LADDER, settings=self.settings)
        finally:
            planner.close()


def workplace(
    flags: Mapping[str, str | None], *, database: str | None, folder: Path | None = None, asks: bool = True
) -> Workplace:
    """
    Return the workplace of *folder* (the working folder by default) with these flags in force.

    Args:
        asks: Whether the command may ask a database; one that does not needs none to be named right.
    """
    place = folder if folder is not None else Path.cwd()
    settings = settings_of(flags, folder=place)
    return Workplace(place, settings, database_of(settings, database) if asks else None)
