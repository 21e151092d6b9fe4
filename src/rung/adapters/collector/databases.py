"""
Sample the app's database once a second, in a thread: a server that hangs holds up nobody but this.

No text of a statement is read but what pg_stat_statements keeps, and that leaves here without literals and comments,
under the fingerprint that the probe would give it.  Nothing is asked of the app's tables, and every look has a
time-out.

In        a DSN
Out       rows of the tables `databases`, `activity`, `statement_totals`, `table_totals`, `index_totals`; facts
Not here  plans and catalogs (adapters/postgres.py), what the figures mean (steps/)
"""

from __future__ import annotations

import hashlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import psycopg
from psycopg import sql

from rung import clock
from rung.adapters.collector import looks
from rung.adapters.postgres import address, connected, first_line, mapped_errors
from rung.errors import RungError
from rung.probe.statement import normalised

SETTINGS = (
    "-c statement_timeout=2s -c lock_timeout=200ms -c idle_in_transaction_session_timeout=10s"
    " -c default_transaction_read_only=on -c application_name=rung"
)
EVERY_S = 1.0
TOTALS_EVERY_S = 300.0
RETRY_S = 5.0
RETRY_S_MAX = 60.0
CLOCKS_FIRST = 5
HELD_MAX = 1_000  # looks whose rows nobody has taken; what more of them see is dropped and counted
LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, ...]


class DatabaseSampler:
    """
    One server, looked at until `end`.
    """

    def __init__(self, dsn: str, *, say: Callable[[str], None]) -> None:
        self._dsn = dsn
        self._say = say
        self._host = socket.gethostname()
        self._wake = threading.Event()
        self._ending = self._cutting = False
        self._cut_done = threading.Event()
        self._piece = 0  # of which recording what is seen now is part
        self._taking = 0
        self._thread = threading.Thread(target=self._run, name="rung-database", daemon=True)
        self._rows: deque[tuple[int, str, list[Row]]] = deque()
        self._facts: dict[str, Any] = {"database": address(dsn)}
        self._totals = Totals()
        self._refused: dict[str, str] = {}
        self._said = False

    def start(self) -> None:
        """
        Begin; the server need not be there yet.
        """
        self._thread.start()

    def end(self, timeout_s: float) -> None:
        """
        Take the last totals and close the connection, within *timeout_s*.
        """
        self._ending = True
        self._wake.set()
        self._thread.join(timeout_s)

    def cut(self, timeout_s: float) -> None:
        """
        Take the last totals of one recording and have the first of the next one follow, within *timeout_s*.
        """
        self._cut_done.clear()
        self._cutting = True
        self._wake.set()
        # Where the server does not answer in time, its totals go to the next recording and are the first there.
        self._cut_done.wait(timeout_s)

    def taken(self) -> Iterator[tuple[str, list[Row]]]:
        """
        Yield what was seen since the last call, as table and rows; the last call before a cut is the one after `cut`.
        """
        while self._rows and self._rows[0][0] <= self._taking:
            _, table, rows = self._rows.popleft()
            yield table, rows
        self._taking = self._piece

    def facts(self) -> dict[str, Any]:
        """
        Return what the manifest says of this server.
        """
        return {**self._facts, "refused": dict(self._refused)}

    def _run(self) -> None:
        pause_s = RETRY_S
        while True:
            began = clock.monotonic_s()
            try:
                with mapped_errors(self._dsn), connected(self._dsn, options=SETTINGS, autocommit=True) as connection:
                    connection.prepare_threshold = None  # a pooler between may not know of prepared statements
                    self._watch(connection)
            except RungError as problem:
                self._lost(str(problem), problem.code)
            except psycopg.Error as problem:
                self._lost(first_line(problem), type(problem).__name__)
            except Exception as problem:
                # Anything else would end the thread in silence.
                self._lost(type(problem).__name__, type(problem).__name__)
            # One that lasted is tried again soon; one that refuses us is not asked each second of the day.
            pause_s = RETRY_S if clock.monotonic_s() - began > RETRY_S_MAX else min(pause_s, RETRY_S_MAX)
            if not self._ending:
                self._wake.wait(pause_s)
            if self._ending:
                return
            pause_s *= 2
            # A cut while there is no server.
            self._begin_piece()

    def _lost(self, why: str, code: str) -> None:
        # The manifest has the kind only: a server's own words may quote anything.
        if not self._ending:
            self._facts.setdefault("lost_s", clock.now_s())
            self._facts |= {"lost": self._facts.get("lost", 0) + 1, "lost_by": code}
        if not self._said and not self._ending:
            self._said = True
            self._say(f"rung: the database is not sampled for now: {why}\nrung: everything else is recorded.\n")

    def _watch(self, connection: Connection) -> None:
        info = connection.info
        label = f"{info.host}:{info.port}/{info.dbname}"
        self._facts |= {"database": label, "server_version": info.server_version, "server_pid": _server_pid(connection)}
        self._facts["server"] = _identity(connection)
        # Statements before 14 have no id outside the extension.
        activity = looks.ACTIVITY if info.server_version >= looks.QUERY_ID_SINCE else looks.ACTIVITY_OLD
        for _ in range(CLOCKS_FIRST):
            self._clock(connection)
        self._take_totals(connection, label)
        totals_at = clock.monotonic_s() + TOTALS_EVERY_S
        due = clock.monotonic_s()
        while True:
            self._wake.wait(max(0.0, due - clock.monotonic_s()))
            if self._ending:
                break
            if self._cutting:
                self._take_totals(connection, label)
                self._begin_piece()
                self._take_totals(connection, label)
                totals_at = clock.monotonic_s() + TOTALS_EVERY_S
                continue
            due = max(due + EVERY_S, clock.monotonic_s())
            offset_s, uncertainty_s = self._clock(connection)
            at_s = clock.now_s()
            counted = self._look(connection, "databases", sql.SQL(looks.DATABASE))
            self._put("databases", [(label, at_s, self._host, offset_s, uncertainty_s, *row) for row in counted])
            server = label.rpartition("/")[0]
            seen = self._look(connection, "activity", sql.SQL(activity))
            self._put(
                "activity",
                [
                    (f"{server}/{name or ''}", at_s, *row, looks.program_of(application))
                    for name, *row, application in seen
                ],
            )
            if clock.monotonic_s() >= totals_at:
                self._take_totals(connection, label)
                totals_at = clock.monotonic_s() + TOTALS_EVERY_S
        self._take_totals(connection, label)

    def _begin_piece(self) -> None:
        self._wake.clear()
        if self._cutting:
            self._cutting = False
            self._totals.begin()
            self._piece += 1
            self._cut_done.set()

    def _clock(self, connection: Connection) -> tuple[float, float]:
        """
        Return by how much the server's clock is ahead of ours, and how wrong that can be: half the round trip.
        """
        sent_s, begun = clock.now_s(), clock.monotonic_s()
        row = connection.execute(looks.CLOCK).fetchone()
        took_s = clock.monotonic_s() - begun
        assert row is not None
        offset_s, uncertainty_s = row[0] - (sent_s + took_s / 2), took_s / 2
        if uncertainty_s < self._facts.get("clock_uncertainty_s", float("inf")):
            self._facts |= {"clock_offset_s": offset_s, "clock_uncertainty_s": uncertainty_s}
        return offset_s, uncertainty_s

    def _take_totals(self, connection: Connection, label: str) -> None:
        at_s = clock.now_s()
        for table, question in (("table_totals", looks.TABLES), ("index_totals", looks.INDEXES)):
            found = self._look(connection, table, sql.SQL(question))
            self._put(table, [(label, at_s, *row) for row in self._totals.changed(table, found)])
        installed = connection.execute(looks.EXTENSION).fetchone()
        if installed is None:
            self._refused["statement_totals"] = "pg_stat_statements is not installed in this database"
            return
        self._refused.pop("statement_totals", None)
        extension, version = sql.Identifier(installed[0]), tuple(map(int, installed[1].split(".")))
        helpers = sql.SQL(looks.HELPERS if version >= looks.HELPERS_SINCE else looks.NO_HELPERS)
        numbers = self._look(connection, "statement_totals", sql.SQL(looks.STATEMENTS).format(helpers, extension))
        changed = self._totals.changed("statement_totals", numbers)
        wanted = self._totals.without_text(changed)
        if wanted:
            texts = sql.SQL(looks.TEXTS).format(extension)
            self._totals.texts |= {
                query_id: _without_values(text or "")
                for query_id, text in self._look(connection, "statement_totals", texts, {"wanted": wanted})
            }
        self._put("statement_totals", [(label, at_s, *row) for row in self._totals.with_texts(changed)])

    def _look(
        self, connection: Connection, name: str, question: sql.SQL | sql.Composed, given: dict[str, Any] | None = None
    ) -> list[Row]:
        try:
            return connection.execute(question, given).fetchall()
        except psycopg.Error as problem:
            # One look may be forbidden, new to this server or too slow just now: the others go on.
            if connection.closed:
                raise
            self._refused[name] = f"{type(problem).__name__} {problem.sqlstate or ''}".strip()
            return []

    def _put(self, table: str, rows: list[Row]) -> None:
        if not rows:
            return
        if len(self._rows) >= HELD_MAX:
            self._facts["dropped_rows"] = self._facts.get("dropped_rows", 0) + len(rows)
            return
        self._rows.append((self._piece, table, rows))


class Totals:
    """
    What the server's counters were, so that only what has changed is written again.

    Of statements only those that ran while recording keep a text, so that one from before, with whatever its
    comments held, is not even read.
    """

    def __init__(self) -> None:
        self._before: dict[str, dict[Row, Row]] = {}
        self.texts: dict[int, tuple[str, str, str] | None] = {}
        self._begun = False

    def begin(self) -> None:
        """
        Have everything count as changed the next time, for a recording that begins then.
        """
        self._before.clear()
        self._begun = False

    def changed(self, table: str, rows: list[Row]) -> list[Row]:
        """
        Return those of *rows* that differ from the last time, all of them the first time.
        """
        width = looks.KEYS[table]
        before = self._before.setdefault(table, {})
        kept = [row for row in rows if before.get(row[:width]) != row[width:]]
        before |= {row[:width]: row[width:] for row in kept}
        return kept

    def without_text(self, rows: list[Row]) -> list[int]:
        """
        Return the ids in *rows* whose text is not known yet; none the first time, when nothing has run yet.
        """
        if not self._begun:
            self._begun = True
            return []
        return [row[0] for row in rows if row[0] not in self.texts]

    def with_texts(self, rows: list[Row]) -> Iterator[Row]:
        """
        Yield *rows* with fingerprint, text and kind behind the id.  rung's own statements are left out.
        """
        for query_id, *counts in rows:
            known = self.texts.get(query_id, ("", "", ""))
            if known is not None:
                yield (query_id, *(part or None for part in known), *counts)


def _without_values(text: str) -> tuple[str, str, str] | None:
    if not text:
        return ("", "", "")
    if looks.OWN in text:
        return None
    # PostgreSQL 18 folds a list to `$1 /*, ... */`; the probe folds those of two or more values the same way.
    known = normalised(text.replace(" /*, ... */", ", $1"))
    return known.fingerprint, known.text, known.kind


def _identity(connection: Connection) -> str:
    """
    Return what tells this server from others of the same address: when it was started, to the microsecond.
    """
    row = connection.execute(looks.STARTED).fetchone()
    assert row is not None
    return hashlib.blake2b(str(row[0]).encode(), digest_size=8).hexdigest()


def _server_pid(connection: Connection) -> int | None:
    """
    Return the server's first process where it runs on this host, to find it among the programs.
    """
    if connection.info.host not in LOCAL and not connection.info.host.startswith("/"):
        return None
    try:
        backend = psutil.Process(connection.info.backend_pid)
        if backend.name().startswith("post"):
            return int(backend.ppid())
    except (psutil.Error, OSError):  # another container's process, or an address that is forwarded
        pass
    return None
