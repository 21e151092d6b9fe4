"""
Move: statistics that let the planner expect the right rows (ANALYZE, extended statistics, a larger target).

In        a Finding whose bottleneck is a statement; what the server knows of its tables
Out       an offer for each table whose statistics are stale, or whose rows are expected wrongly by a factor of 10
Not here  reading a single plan (steps/explain), running anything (adapters/hands.py)

It has no price.  What the planner will do with statistics that do not exist yet nobody knows before they are made: the
planner twin has the old ones.  But it is the cheapest move there is, and what an index would bring is worked out from
the same statistics, so it comes first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from rung.ports import Plan, PlanNode, Step
from rung.steps.explain.questions import Known, KnownColumn, Statistics, TableStatistics
from rung.steps.explain.stale import columns_in, reasons, tables_of
from rung.steps.find.finding import Finding, costliest_scan
from rung.steps.measure import Part, Profile
from rung.steps.price.quote import MIGRATION, Offer, Script
from rung.steps.take import identifier
from rung.steps.take.sql import NAME_BYTES_MAX, NAME_SUFFIX
from rung.steps.twin.twin import Twin
from rung.steps.twin.variant import unchanged
from rung.units import show_count

OFF_FACTOR = 10.0
ROWS_MIN = 100  # below it another plan would hardly be another time
TARGET, TARGET_MAX = 1000, 10_000
# PostgreSQL takes at most eight columns (STATS_MAX_DIMENSIONS), and their combinations grow fast.
COLUMNS_MAX = 4
# Of unknown values the planner guesses: a range a third of the rows, a pattern half a percent, a list ten elements, a
# LIMIT a tenth (PostgreSQL, selfuncs.h).  Only of equality it expects what an average value gives.
GUESSED = re.compile(r"[<>~]|\bANY\b|\bALL\b")
UNPRICED = "what the planner does with statistics that are not there yet is known after ANALYZE only"


class StatisticsMove:
    """
    Offer to make statistics anew, or more of them, for the tables of the bottleneck.
    """

    kind = "statistics"
    rung = 1

    def offers(self, profile: Profile, twin: Twin, finding: Finding) -> Step[tuple[Offer, ...]]:
        """
        Return an offer for each table that the planner does not know well, nothing where it knows all of them.
        """
        suspect, plan = finding.bottleneck, finding.plan
        tables = tables_of(plan) if plan is not None else ()
        if suspect is None or plan is None or not tables:
            return ()
        known = yield Statistics(tables)
        if not isinstance(known, Known):
            return ()
        outdated = reasons(known)
        if outdated:
            return tuple(_offer(table, analyze(table), reason) for table, reason in outdated)
        return _off(profile, suspect.part, plan, known)


def _off(profile: Profile, part: Part, plan: Plan, known: Known) -> tuple[Offer, ...]:
    """
    Return an offer where executions gave ten times more or fewer rows than the plan expects.
    """
    text = profile.texts.get(part.name)
    gave, place = rows_of(profile, part), costliest_scan(plan)
    if gave is None or place is None or text is None or text.kind != "read":
        return ()
    expected, node = plan.nodes[0].rows, plan.nodes[place]
    if GUESSED.search(node.condition) or any(each.kind == "Limit" for each in plan.nodes):
        return ()
    ratio = max(gave, 1.0) / max(expected, 1.0)
    if 1 / OFF_FACTOR < ratio < OFF_FACTOR or max(gave, expected) < ROWS_MIN:
        return ()
    table = _table(known, node)
    run = more(table, node.condition, known.target) if table is not None else None
    if table is None or run is None:
        return ()
    reason = f"{show_count(expected)} rows are expected of it, and it gives {show_count(gave)} (mean of the recording)"
    return (_offer(table, run, reason),)


def rows_of(profile: Profile, part: Part) -> float | None:
    """
    Return how many rows an execution gave on average: as the driver said, else as the server counted; None
    where neither did.
    """
    if part in profile.parts:
        segments = profile.segments
        met = (segments.part == profile.parts.index(part)) & (segments.rows >= 0)
        calls = int(segments.calls[met].sum())
        if calls:
            return float(np.sum(segments.rows[met])) / calls
    counted = [each for each in profile.beside.executions if each.statement == part.name]
    calls = sum(each.calls for each in counted)
    return sum(each.rows for each in counted) / calls if calls else None


def _table(known: Known, node: PlanNode) -> TableStatistics | None:
    return next((each for each in known.tables if (each.schema, each.name) == (node.schema, node.relation)), None)


def analyze(table: TableStatistics) -> Script:
    """
    Return what makes a table's statistics anew; there is nothing to take back.
    """
    return Script((f"ANALYZE {qualified(table)}",), ())


def more(table: TableStatistics, condition: str, target: int) -> Script | None:
    """
    Return what has the planner know more of the columns that *condition* compares; None where nothing more can be had.

    Args:
        condition: As a plan of EXPLAIN has it.
        target: default_statistics_target.
    """
    columns = columns_in(condition, table)[:COLUMNS_MAX]
    if not columns:
        return None
    if any(not column.known for column in columns) and table.readable:
        return analyze(table)
    if len(columns) > 1:
        return _together(table, columns)
    (column,) = columns
    now = column.target if column.target >= 0 else target
    if now >= TARGET:
        return None
    alter = f"ALTER TABLE {qualified(table)} ALTER COLUMN {identifier(column.name)} SET STATISTICS"
    again = analyze(table).statements
    return Script((f"{alter} {min(max(TARGET, now), TARGET_MAX)}", *again), (f"{alter} {column.target}", *again))


def _together(table: TableStatistics, columns: Sequence[KnownColumn]) -> Script | None:
    """
    Return statistics of how the columns go together; None where there are some.
    """
    names = [column.name for column in columns]
    if any(set(names) <= set(each.columns) and each.filled for each in table.extended):
        return None
    name = statistics_name(table.name, names)
    made = f"{identifier(table.schema)}.{identifier(name)}"
    listed = ", ".join(map(identifier, names))
    create = (
        f"CREATE STATISTICS IF NOT EXISTS {made} (ndistinct, dependencies, mcv) ON {listed} FROM {qualified(table)}"
    )
    return Script((create, *analyze(table).statements), (f"DROP STATISTICS IF EXISTS {made}",))


def statistics_name(table: str, columns: Sequence[str]) -> str:
    """
    Return a name that says what it is about, ends in `_rung`, and fits PostgreSQL's 63 bytes.

    >>> statistics_name("visit", ["kind", "day"])
    'visit_kind_day_rung'
    """
    stem = "_".join([table, *columns]).encode()[: NAME_BYTES_MAX - len(NAME_SUFFIX)].decode(errors="ignore")
    return stem + NAME_SUFFIX


def qualified(table: TableStatistics) -> str:
    """
    Return a table's name for SQL.
    """
    return f"{identifier(table.schema)}.{identifier(table.name)}"


def _offer(table: TableStatistics, script: Script, reason: str) -> Offer:
    first = script.statements[0]
    return Offer(
        name=f"{StatisticsMove.kind}:{table.name}",
        rung=StatisticsMove.rung,
        what=_what(table, first),
        cost="a sample is read",
        assumptions=("ANALYZE reads a sample of the table, and holds up neither reads nor writes",),
        model=unchanged,
        script=script,
        taken_as=MIGRATION,
        unpriced=f"{reason}; {UNPRICED}",
    )


def _what(table: TableStatistics, first: str) -> str:
    if first.startswith("ANALYZE"):
        return f"analyze {table.name}"
    if first.startswith("CREATE"):
        return f"extended statistics of {table.name}, and analyze it"
    return f"a larger statistics target in {table.name}, and analyze it"
