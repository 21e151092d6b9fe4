"""
Look for indexes that could go: never scanned, or beside another one that does all that they do.

In        tables with their indexes and counters, the planner's costs without each
Out       a Dropped for each, with what writing gains
Not here  dropping one (adapters/hands.py)

An index that keeps values apart, belongs to a constraint or serves a foreign key's checks has a use that no counter
shows.  A standby counts its own scans.
"""

from __future__ import annotations

from collections.abc import Sequence

from rung.ports import Configuration, Costs, ExistingIndex, Index, Step, Table, Unavailable
from rung.steps.advise.advice import Dropped, Slowed
from rung.steps.advise.gather import Gathered
from rung.steps.advise.writes import Upkeep

# For so long the server must have counted: what runs once a week is not unused on a Tuesday.
WATCHED_S_MIN = 7 * 86400.0
UNUSED, REDUNDANT = "unused", "redundant"
# A plan's cost may rise by so much for a fuller or higher index.
COST_SHARE_MAX = 1.02


def drops(gathered: Gathered, upkeep: Upkeep, added: Sequence[Index] = ()) -> Step[tuple[Dropped, ...]]:
    """
    Return the indexes that could go, those whose going makes no statement of the workload dearer, the largest first.

    Args:
        added: Indexes that there will be; an existing one that one of them makes needless is redundant, too.
    """
    found = [
        (table, existing, *why)
        for table in gathered.tables.values()
        for existing in table.existing
        if (why := _why(existing, table, added)) is not None
    ]
    priced = []
    gone: set[str] = set()
    for table, existing, reason, beside in sorted(found, key=lambda each: (-each[1].size_bytes, each[1].name)):
        name = f"{table.schema}.{existing.name}"
        if f"{table.schema}.{beside}" in gone:
            continue  # of two that are alike one stays
        dearer = yield from _dearer(gathered, table, name, added)
        if dearer:
            continue
        gone.add(name)
        priced.append(_dropped(upkeep, table, existing, (reason, beside)))
    return tuple(priced)


def _why(existing: ExistingIndex, table: Table, added: Sequence[Index]) -> tuple[str, str] | None:
    """
    Return why an index could go and beside which other one; None where it has to stay.
    """
    if existing.unique or existing.constraint or not existing.valid or table.partition_of is not None:
        return None
    for other in table.existing:
        if other is not existing and other.valid and _serves(other, existing):
            return REDUNDANT, other.name
    for index in added:
        if (
            existing.plain
            and (index.schema, index.table) == (table.schema, table.name)
            and _begins(existing.index, index)
        ):
            return REDUNDANT, ""
    watched = table.writes.watched_s >= WATCHED_S_MIN
    if existing.scans == 0 and watched and not _checks(existing.index, table):
        return UNUSED, ""
    return None


def _serves(other: ExistingIndex, existing: ExistingIndex) -> bool:
    if other.method != "btree" or existing.method != "btree" or "$n" in existing.index.where:
        return False
    if any("$n" in column.name for column in existing.index.columns if column.expression):
        return False
    if other.index.where not in {"", existing.index.where} or not _begins(existing.index, other.index):
        return False
    # Of two that are alike, the one that is kept apart or belongs to a constraint stays; else the one made first.
    alike = other.index == existing.index
    return not alike or other.unique or other.constraint or other.name < existing.name


def _begins(short: Index, long: Index) -> bool:
    """
    Return whether *long* begins with all keys of *short* and has all that it carries along.
    """
    names = {column.name for column in long.columns} | set(long.include)
    return long.columns[: len(short.columns)] == short.columns and set(short.include) <= names


def _checks(index: Index, table: Table) -> bool:
    """
    Return whether an index serves to look for rows that refer to another table's.
    """
    first = index.columns[0].name if index.columns else ""
    return any(first in key.columns for key in table.refers_to)


def _dearer(gathered: Gathered, table: Table, name: str, added: Sequence[Index]) -> Step[bool]:
    """
    Ask whether any statement that reads the table would cost more without the index.
    """
    places = [
        place
        for place, mine in enumerate(gathered.accesses)
        if any((access.schema, access.table) == (table.schema, table.name) for access in mine)
    ]
    if not places:
        return False
    beside = tuple(index for index in added if (index.schema, index.table) == (table.schema, table.name))
    all_of = tuple(range(len(beside)))
    answer = yield Costs(
        tuple(gathered.statements[place].statement for place in places),
        beside,
        (Configuration(all_of), Configuration(all_of, (name,))),
    )
    if isinstance(answer, Unavailable):
        return True
    now, then = answer.costs
    return any(
        before is not None and after is not None and after.expected > COST_SHARE_MAX * before.expected
        for before, after in zip(now, then, strict=True)
    )


def _dropped(upkeep: Upkeep, table: Table, existing: ExistingIndex, why: tuple[str, str]) -> Dropped:
    name = f"{table.schema}.{existing.name}"
    return Dropped(
        schema=table.schema,
        table=table.name,
        name=existing.name,
        index=existing.index,
        size_bytes=existing.size_bytes,
        why=why[0],
        beside=why[1],
        upkeep=upkeep.per_s((), (name,)).times(-1.0),
        slowed=slowed(upkeep, (), (name,)),
        scans=existing.scans,
        watched_s=table.writes.watched_s,
        definition=existing.definition,
    )


def slowed(upkeep: Upkeep, added: Sequence[Index], dropped: Sequence[str] = ()) -> tuple[Slowed, ...]:
    """
    Return what each statement that writes takes more, those that do not change left out.
    """
    operations = {writing.statement: writing.operation for writing in upkeep.writings}
    return tuple(
        Slowed(place, operations[place], execution)
        for place, execution in sorted(upkeep.per_execution(added, dropped).items())
        if execution.seconds
    )
