"""
Sample beside the app once a second: the host, its programs, the database.

What cannot be sampled is named in the manifest, and recording goes on.

In        the Intake with the processes that have reported; the DSN where one was named
Out       rows and facts, added to the Intake
Not here  what a host is asked (hosts.py), what a database is asked (databases.py)
"""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from rung import clock
from rung.steps.record import Intake

if TYPE_CHECKING:
    from rung.adapters.collector.databases import DatabaseSampler
    from rung.adapters.collector.hosts import HostSampler

EVERY_S = 1.0
END_S_MAX = 5.0
CUT_S_MAX = 1.0  # for so long nobody who sends is read
DATABASE_VARIABLE = "RUNG_DATABASE"


def database_given(environment: MutableMapping[str, str] = os.environ) -> str | None:
    """
    Return the DSN that the launcher handed over, and take it out of *environment*: nothing started later has it.
    """
    return environment.pop(DATABASE_VARIABLE, None) or None


class Samplers:
    """
    All that samples; to be made after the collector has forked, for a thread does not live on in a fork.
    """

    def __init__(
        self,
        database: str | None,
        *,
        say: Callable[[str], None],
        tell: Callable[[str, Sequence[tuple[Any, ...]]], None] | None = None,
    ) -> None:
        """
        Sample the host, and *database* where one is named; *tell* hears of all that is sampled.
        """
        self._say, self._tell = say, tell
        self._due = clock.monotonic_s() + EVERY_S
        self._missing: dict[str, str] = {}
        self._host: HostSampler | None = None
        self._database: DatabaseSampler | None = None
        try:
            from rung.adapters.collector.hosts import HostSampler

            self._host = HostSampler()
        except Exception as problem:
            self._missing["hosts"] = _named(problem)
        if database is None:
            self._missing["databases"] = "no database was named"
            return
        try:
            from rung.adapters.collector.databases import DatabaseSampler
        except ImportError as problem:
            self._missing["databases"] = _named(problem)
        else:
            self._database = DatabaseSampler(database, say=say)
            self._database.start()

    def sample(self, intake: Intake) -> None:
        """
        Add what is due to *intake*; nothing before EVERY_S has passed.
        """
        now = clock.monotonic_s()
        if now < self._due:
            return
        # The collector's turns are about as long; what a suspended machine missed is not made up for.
        self._due = max(self._due + EVERY_S, now + EVERY_S / 2)
        self._gather(intake)

    def cut(self, intake: Intake) -> None:
        """
        Finish *intake* with the last samples; the next one is of another recording.
        """
        if self._database is not None:
            self._database.cut(CUT_S_MAX)
        self._gather(intake)

    def end(self, intake: Intake) -> None:
        """
        Take the last sample and stop; a server that does not answer is left behind after END_S_MAX.
        """
        if self._database is not None:
            self._database.end(END_S_MAX)
        self._gather(intake)

    def _gather(self, intake: Intake) -> None:
        if self._host is not None:
            try:
                here = self._host.host
                hellos = [process.hello for process in intake.processes.values()]
                reported = [(hello.worker, hello.started_s) for hello in hellos if hello.host == here]
                for table, rows in self._host.sample(reported).items():
                    self._add(intake, table, rows)
            except Exception as problem:
                # A host that stops telling is no reason to stop recording; the same will fail again.
                self._missing["hosts"] = _named(problem)
                self._host = None
        if self._database is not None:
            for table, rows in self._database.taken():
                self._add(intake, table, rows)
        facts = self._database.facts() if self._database is not None else None
        intake.sampled = {"missing": self._missing, "database": facts}

    def _add(self, intake: Intake, table: str, rows: list[tuple[Any, ...]]) -> None:
        intake.sample(table, rows)
        if self._tell is not None:
            self._tell(table, rows)


def _named(problem: Exception) -> str:
    # The message may quote anything.
    return f"{problem.name} is not installed" if isinstance(problem, ImportError) else type(problem).__name__
