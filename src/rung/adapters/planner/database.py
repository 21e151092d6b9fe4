"""
Answer the questions of the port Planner: look, restore what is needed into the twin, ask there.

In        a DSN that may read the catalog, or the folder of a dump
Out       answers to Server, Explain, Describe, WhatIf, Costs, or Unavailable with the reason
Not here  what a stage is (stage.py), planning on it (costing.py)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from rung.adapters.catalog import describe
from rung.adapters.cluster import Cluster, start_passing
from rung.adapters.planner.copying import Problem, copy, fill
from rung.adapters.planner.costing import NUMBERED, Costing
from rung.adapters.planner.dumped import PlannerDump
from rung.adapters.planner.facts import Facts, Sight, locked_reason, look_at, sight_of, sights_of
from rung.adapters.planner.kept import KeptLook
from rung.adapters.planner.stage import Stage
from rung.adapters.postgres import (
    Named,
    connected,
    exclusively_locked,
    explain,
    index_use,
    looking,
    reason_of,
    server_facts,
)
from rung.adapters.statistics import known
from rung.errors import RungError
from rung.ports import (
    Costed,
    Costs,
    Describe,
    Explain,
    IndexUse,
    IndexUsed,
    Plan,
    Promise,
    Server,
    ServerFacts,
    Table,
    Unavailable,
    WhatIf,
)
from rung.steps.explain.questions import Known, Statistics

Answer = TypeVar("Answer")
Connection = psycopg.Connection[Any]

TWIN_PREFIX = "twin_"
TWIN_SETTINGS = {
    "fsync": "off",
    # Beside what it does, it keeps CREATE INDEX from counting the rows of its empty tables.
    "autovacuum": "off",
    "shared_buffers": "16MB",
    # The tops of its indexes are made to look as high as the real ones (btree.py), behind its checksums.
    "ignore_checksum_failure": "on",
}
# The major versions that a test runs against; the twin is the last.
TESTED = (15, 18)


class DatabasePlanner:
    """
    The user's database, or a dump of it, and its planner twin.  Fulfils the port Planner.

    The twin starts at the first what-if and ends with close(). It shows the database as it was when a table was asked
    about for the first time.
    """

    def __init__(
        self, dsn: str | None, *, dump: Path | None = None, missing: str = "no database was named (--database)"
    ) -> None:
        self.dsn, self.missing = dsn, missing
        self._dump = None if dump is None else PlannerDump(dump)
        self._looking = None if dsn is None else KeptLook(dsn)
        self._cluster: Cluster | None = None
        self._costings: list[Costing] = []
        self._sights: dict[str, Sight] = {}

    def moved(self, dsn: str) -> None:
        """
        Go on with the same database, which is reached by another DSN now; the twin stays.
        """
        if self._looking is not None:
            self._looking.close()
        self.dsn, self._looking = dsn, KeptLook(dsn)

    def close(self) -> None:
        """
        End the connection, and stop the twin; its data are deleted with it.
        """
        if self._looking is not None:
            self._looking.close()
        if self._cluster is not None:
            cluster, self._cluster = self._cluster, None
            for costing in self._costings:
                costing.stage.close()
            self._costings.clear()
            cluster.stop()

    def server(self, question: Server) -> ServerFacts | Unavailable:
        """
        Return which database answers, or was dumped.
        """
        if self._dump is not None:
            dump = self._dump
            return _told(lambda: dump.facts().server)
        return self._look(server_facts)

    def explain(self, question: Explain) -> Plan | Unavailable:
        """
        Return the plan that the database would choose today, its parameters unknown.
        """
        return self._look(lambda connection: explain(connection, question.statement))

    def describe(self, question: Describe) -> Table | Unavailable:
        """
        Return what the catalog knows of a table.
        """
        found = self._look(lambda connection: describe(connection, question.schema, question.name))
        if found is None:
            return Unavailable(f"there is no table {question.schema}.{question.name}")
        if isinstance(found, Unavailable):
            return found
        # Planning from a dump looks into the twin itself, where candidates are.
        return replace(found, existing=tuple(each for each in found.existing if not NUMBERED.match(each.name)))

    def index_use(self, question: IndexUse) -> IndexUsed | Unavailable:
        """
        Return how often an index has been used since it was built.
        """
        return self._look(lambda connection: index_use(connection, question.schema, question.name))

    def statistics(self, question: Statistics) -> Known | Unavailable:
        """
        Return how well the planner knows some tables.
        """
        return self._look(lambda connection: known(connection, question.tables))

    def what_if(self, question: WhatIf) -> Promise | Unavailable:
        """
        Return the plan that the database would choose if the index existed.
        """
        table = (question.index.schema, question.index.table)

        def ask() -> Promise | Unavailable:
            costing, (sight,) = self._ready((question.statement,))
            reason = sight.reason or (costing.stage.missing.get(table) if costing else "")
            if reason or costing is None:
                return Unavailable(reason or "the statement reads no table")
            if table not in sight.relations:
                return Unavailable(f"the statement does not read {'.'.join(table)}")
            return costing.promise(question, sight)

        return _told(ask)

    def costs(self, question: Costs) -> Costed | Unavailable:
        """
        Return what statements would cost under each configuration.
        """

        def ask() -> Costed | Unavailable:
            costing, sights = self._ready(question.statements)
            if costing is None:
                reasons = tuple(sight.reason or "it reads no table" for sight in sights)
                nothing = tuple((None,) * len(reasons) for _ in question.configurations)
                untouched = ("no statement that can be planned reads its table",) * len(question.indexes)
                return Costed(nothing, reasons, (0,) * len(untouched), untouched, ("",) * len(reasons))
            return costing.costs(question, sights)

        return _told(ask)

    def _look(self, ask: Callable[[Connection], Answer]) -> Answer | Unavailable:
        if self._dump is not None:
            return _told(lambda: ask(self._today()))
        if self._looking is None:
            return Unavailable(self.missing)
        try:
            return self._looking.ask(ask)
        except (RungError, psycopg.Error) as problem:
            return Unavailable(reason_of(problem))

    def _today(self) -> Connection:
        """
        Return a connection to all that was dumped, as it is today.
        """
        stage = self._whole().stage
        stage.configure((), ())
        return stage.connection

    def _ready(self, statements: Sequence[str]) -> tuple[Costing | None, list[Sight]]:
        """
        Return a costing with all tables of *statements*, and what planning each of them told.
        """
        if self._dump is not None:
            connection = self._today()
            # No server was asked, so there is nothing to hold the twin's plans against.
            sights = [sight_of(connection, statement) for statement in statements]
            return self._whole(), [Sight(None, sight.relations, sight.reason) for sight in sights]
        if self.dsn is None:
            raise _NoDatabase(self.missing)
        unseen = [statement for statement in dict.fromkeys(statements) if statement not in self._sights]
        seen = dict(zip(unseen, sights_of(self.dsn, unseen), strict=True)) if unseen else {}
        # A reason may be gone when it is asked again: a lock, a time-out.
        self._sights.update((statement, sight) for statement, sight in seen.items() if not sight.reason)
        sights = [self._sights.get(statement) or seen[statement] for statement in statements]
        names = frozenset(name for sight in sights for name in sight.relations)
        return (self._costing_of(self.dsn, names) if names else None), sights

    def _costing_of(self, dsn: str, names: frozenset[Named]) -> Costing:
        found = [costing for costing in self._costings if names <= costing.stage.names]
        if found:
            # Of several, that with most tables: so questions about fewer of them have its memory.
            return max(found, key=lambda costing: len(costing.stage.names))
        facts = look_at(dsn, names)
        refused = _refused(dsn, facts)
        wanted = [(one.schema, one.name) for one in facts.relations if (one.schema, one.name) not in refused]
        return self._staged(facts, refused, lambda twin, database: copy(dsn, twin, database, wanted, facts))

    def _whole(self) -> Costing:
        assert self._dump is not None
        if not self._costings:
            definitions = self._dump.definitions()
            facts = self._dump.facts()
            self._staged(facts, {}, lambda twin, database: fill(twin, database, definitions, facts))
        return self._costings[0]

    def _staged(
        self, facts: Facts, refused: dict[Named, str], filled: Callable[[Cluster, str], list[Problem]]
    ) -> Costing:
        """
        Return a costing on a new database of the twin, which *filled* fills.
        """
        if self._cluster is None:
            self._cluster = start_passing(settings=TWIN_SETTINGS)
        twin, database = self._cluster, f"{TWIN_PREFIX}{len(self._costings)}"
        with connected(twin.dsn("postgres"), options="", autocommit=True) as connection:
            name = sql.Identifier(database)
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(name))
            connection.execute(sql.SQL("create database {} template template0").format(name))
        problems = filled(twin, database)
        with connected(twin.dsn(database), options="", autocommit=True) as connection:
            missing = {**_not_arrived(connection, facts, problems), **refused}
            notes = _notes(connection, facts, dumped=self._dump is not None)
        costing = Costing(Stage(twin, database, facts, missing=missing, notes=notes))
        self._costings.append(costing)
        return costing


class _NoDatabase(psycopg.Error):
    """
    There is none to ask.
    """


def _told(ask: Callable[[], Answer]) -> Answer | Unavailable:
    try:
        return ask()
    except (RungError, psycopg.Error, OSError) as problem:
        return Unavailable(reason_of(problem))


def _refused(dsn: str, facts: Facts) -> dict[Named, str]:
    """
    Return the tables that are not to be copied now, with the reason.
    """
    refused = {
        (one.schema, one.name): f"permission denied for {one.schema}.{one.name}, whose definition the twin needs"
        for one in facts.relations
        if not one.readable
    }
    with looking(dsn) as connection:
        locked = exclusively_locked(connection)
    for one in facts.relations:
        if f"{one.schema}.{one.name}" in locked:
            refused[one.schema, one.name] = locked_reason([f"{one.schema}.{one.name}"])
    return refused


def _not_arrived(connection: Connection, facts: Facts, problems: Sequence[Problem]) -> dict[Named, str]:
    rows = connection.execute(
        "select n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    ).fetchall()
    arrived = {(schema, name) for schema, name in rows}
    why = problems[0].said if problems else "pg_dump left it out"
    reasons = {}
    for one in facts.relations:
        if (one.schema, one.name) not in arrived:
            made = re.compile(rf"CREATE .*(?<!\w){re.escape(one.name.replace(chr(34), chr(34) * 2))}(?!\w)")
            reason = next((problem.said for problem in problems if made.match(problem.command)), why)
            reasons[one.schema, one.name] = f"{one.schema}.{one.name} cannot be copied to the planner twin: {reason}"
    return reasons


def _notes(connection: Connection, facts: Facts, *, dumped: bool) -> tuple[str, ...]:
    notes = []
    if facts.major not in TESTED:
        notes.append(
            f"the planner twin is PostgreSQL {TESTED[-1]}; that it plans as PostgreSQL {facts.major} does is not tested"
        )
    available = {row[0] for row in connection.execute("select name from pg_available_extensions").fetchall()}
    absent = sorted(set(facts.extensions) - available)
    if absent:
        notes.append(f"the planner twin has no extension {', '.join(absent)}")
    if facts.statistics:
        notes.append(f"extended statistics are not carried over: {', '.join(facts.statistics)}")
    if dumped:
        notes.append("planned from a dump: the server itself was not asked for its plans")
    return tuple(notes)
