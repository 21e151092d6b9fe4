"""
Ask for what is known of a workload before any index is thought of: plans of today, tables, what is written where.

In        statements with their weights
Out       Gathered: accesses of each statement, tables, writings
Not here  indexes that do not exist yet (candidates.py, rounds.py)

A DELETE has PostgreSQL look up what refers to the row, by statements of its own that no plan shows (PostgreSQL source,
ri_triggers.c).  They are added to the workload, so that the index that they lack is found like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rung.ports import Describe, Explain, ForeignKey, Plan, Step, Table, Unavailable
from rung.steps.advise.access import Access, Change, accesses, changes
from rung.steps.advise.advice import Weighted
from rung.steps.advise.writes import Name, Writing, columns_set
from rung.steps.take import identifier

# In less time what was counted may be one import of data.
COUNTED_S_MIN = 86400.0
CATALOGS = ("pg_catalog", "information_schema", "pg_toast")


@dataclass(frozen=True, slots=True)
class Gathered:
    """
    What is known of a workload.

    Attributes:
        statements: The workload's, then those that PostgreSQL adds to it.
        plans: Of each, None where there is none.
        accesses: Of each, by the tables on which an index would be made: of a partition the partitioned one.
        tables: By schema and name.
        unplanned: Why a statement has no plan, "" where it has one.
        homes: The position of the statement itself, or of the one for whose sake PostgreSQL executes it.
    """

    statements: tuple[Weighted, ...]
    plans: tuple[Plan | None, ...]
    accesses: tuple[tuple[Access, ...], ...]
    tables: Mapping[Name, Table]
    writings: tuple[Writing, ...]
    unplanned: tuple[str, ...]
    homes: tuple[int, ...]


def gather(workload: Sequence[Weighted]) -> Step[Gathered]:
    """
    Ask for the plan of each statement and for the tables in them.
    """
    statements, homes = list(workload), list(range(len(workload)))
    plans: list[Plan | None] = []
    unplanned: list[str] = []
    tables: dict[Name, Table] = {}
    writings: list[Writing] = []
    for statement in workload:
        plan, why = yield from _planned(statement)
        plans.append(plan)
        unplanned.append(why)
    for place, plan in enumerate(list(plans)):
        if plan is None:
            continue
        for change in changes(plan):
            yield from _described(change.schema, change.table, tables)
            if (change.schema, change.table) in tables:
                writings.append(_writing(place, workload[place], change))
                checked = yield from _checked(workload[place], change, tables)
                statements += checked
                homes += [place] * len(checked)
    for statement in statements[len(plans) :]:
        plan, why = yield from _planned(statement)
        plans.append(plan)
        unplanned.append(why)
    found = []
    for plan in plans:
        mine = []
        for access in accesses(plan) if plan is not None else ():
            yield from _described(access.schema, access.table, tables)
            root = _root(access, tables)
            if root is not None:
                yield from _described(*root, tables)
                mine.append(replace(access, schema=root[0], table=root[1]))
        found.append(tuple(access for access in dict.fromkeys(mine) if (access.schema, access.table) in tables))
    writings += _unaccounted(tables, writings)
    return Gathered(
        tuple(statements), tuple(plans), tuple(found), tables, tuple(writings), tuple(unplanned), tuple(homes)
    )


def _planned(statement: Weighted) -> Step[tuple[Plan | None, str]]:
    answer = yield Explain(statement.statement)
    return (None, answer.reason) if isinstance(answer, Unavailable) else (answer, "")


def _described(schema: str, name: str, tables: dict[Name, Table]) -> Step[None]:
    if schema in CATALOGS or not schema or (schema, name) in tables:
        return
    answer = yield Describe(schema, name)
    if not isinstance(answer, Unavailable):
        tables[schema, name] = answer


def _root(access: Access, tables: Mapping[Name, Table]) -> Name | None:
    table = tables.get((access.schema, access.table))
    return None if table is None else table.partition_of or (table.schema, table.name)


def _writing(place: int, statement: Weighted, change: Change) -> Writing:
    columns = columns_set(statement.statement, change.operation) if change.operation == "Update" else None
    return Writing(
        statement=place,
        schema=change.schema,
        table=change.table,
        operation=change.operation,
        rows_per_s=statement.executions_per_s * change.rows,
        rows=change.rows,
        columns=columns,
    )


def _checked(statement: Weighted, change: Change, tables: dict[Name, Table]) -> Step[list[Weighted]]:
    """
    Return the statements by which PostgreSQL looks for rows that refer to those changed, where no index serves them.
    """
    made = []
    columns = columns_set(statement.statement, change.operation) if change.operation == "Update" else None
    for key in tables[change.schema, change.table].referred_by:
        if change.operation == "Update" and columns is not None and not columns & set(key.to_columns):
            continue
        if change.operation not in {"Update", "Delete"}:
            continue
        yield from _described(key.schema, key.table, tables)
        child = tables.get((key.schema, key.table))
        if child is not None and not _indexed(child, key):
            checks_per_s = statement.executions_per_s * max(change.rows, 1.0)
            made.append(Weighted(looking_for(key), checks_per_s, None, statement.weight))
    return made


def _indexed(table: Table, key: ForeignKey) -> bool:
    wanted = set(key.columns)
    return any({column.name for column in index.columns[: len(wanted)]} == wanted for index in table.indexes)


def looking_for(key: ForeignKey) -> str:
    """
    Return the statement by which PostgreSQL looks for rows that refer to one that goes.

    >>> looking_for(ForeignKey("public", "orders", ("customer_id",), ("id",)))
    'SELECT 1 FROM ONLY "public"."orders" x WHERE "customer_id" = $1 FOR KEY SHARE OF x'
    """
    table = f"{identifier(key.schema)}.{identifier(key.table)}"
    where = " AND ".join(f"{identifier(name)} = ${place}" for place, name in enumerate(key.columns, start=1))
    return f"SELECT 1 FROM ONLY {table} x WHERE {where} FOR KEY SHARE OF x"  # noqa: S608  # names are quoted


def _unaccounted(tables: Mapping[Name, Table], writings: Sequence[Writing]) -> list[Writing]:
    """
    Return what the server counted as written to tables that no statement of the workload writes to.
    """
    accounted = {(writing.schema, writing.table) for writing in writings}
    made = []
    for (schema, name), table in tables.items():
        watched_s = table.writes.watched_s
        if (schema, name) in accounted or watched_s < COUNTED_S_MIN:
            continue
        for operation, rows in (("Insert", table.writes.inserted), ("Update", table.writes.updated)):
            if rows:
                # Which columns those updates set is not known; that they leave the new index alone is as likely as not.
                made.append(Writing(-1, schema, name, operation, rows / watched_s, 1.0, frozenset()))
    return made
