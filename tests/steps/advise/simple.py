"""
A planner of a few lines, for what must hold whatever the planner says: it never uses more indexes than help.

In        tables, statements as what they look up
Out       answers to Explain, Describe and Costs
Not here  PostgreSQL (test_real.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rung.ports import (
    Condition,
    Configuration,
    Cost,
    Costed,
    Costs,
    Describe,
    ExistingIndex,
    Explain,
    ForeignKey,
    Index,
    IndexColumn,
    Plan,
    PlanNode,
    Question,
    Table,
    TableColumn,
    TableWrites,
    Unavailable,
)

ROWS = 1_000_000.0
NAMES = ("id", "a", "b", "c", "d", "e")
DISTINCT = {"id": -1.0, "a": 10_000.0, "b": 500.0, "c": 20.0, "d": -0.5, "e": 3.0}


@dataclass(frozen=True, slots=True)
class Lookup:
    """
    A statement over one table: columns it fixes, one it ranges over, those it sorts by, those it returns; or a join of
    several lookups.
    """

    table: str = "t"
    equal: tuple[str, ...] = ()
    ranged: str = ""
    by: tuple[str, ...] = ()
    returned: tuple[str, ...] = ("id",)
    write: str = ""
    sets: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """
        Some SQL, different for each lookup.
        """
        where = [f"{name} = $1" for name in self.equal] + ([f"{self.ranged} > $2"] if self.ranged else [])
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        if self.write == "Update":
            return f"UPDATE {self.table} SET {', '.join(f'{name} = $9' for name in self.sets)}{condition}"
        if self.write == "Insert":
            return f"INSERT INTO {self.table} VALUES ($1)"
        if self.write == "Delete":
            return f"DELETE FROM {self.table}{condition}"
        order = f" ORDER BY {', '.join(self.by)}" if self.by else ""
        return f"SELECT {', '.join(self.returned)} FROM {self.table}{condition}{order}"


def table(name: str = "t", *existing: ExistingIndex, **more: Any) -> Table:
    """
    Return a table of a million rows.
    """
    columns = tuple(TableColumn(column, "bigint", 8, DISTINCT[column]) for column in NAMES)
    plain = tuple(each.index for each in existing if each.plain)
    return Table("public", name, ROWS, 80_000_000, columns, plain, existing, **more)


def existing(name: str, *columns: str, of: str = "t", **more: Any) -> ExistingIndex:
    """
    Return an index that the table has.
    """
    facts = {"unique": False, "constraint": False, "scans": 1, "size_bytes": 20_000_000, **more}
    return ExistingIndex(name, index(*columns, of=of), "btree", plain=True, valid=True, **facts)


def index(*columns: str, of: str = "t", include: tuple[str, ...] = ()) -> Index:
    """
    Return an index, "-" before a column that descends.
    """
    keys = tuple(IndexColumn(column.removeprefix("-"), column.startswith("-")) for column in columns)
    return Index("public", of, keys, include)


class Simple:
    """
    Answers questions about some tables; counts what it is asked.
    """

    def __init__(self, lookups: Sequence[Lookup], *tables: Table, away: bool = False) -> None:
        self.lookups = {lookup.text: lookup for lookup in lookups}
        self.tables = {each.name: each for each in tables or (table(),)}
        self.away = away
        self.questions: list[Question] = []

    def __call__(self, question: Question) -> Any:
        """
        Return the answer to *question*.
        """
        self.questions.append(question)
        if isinstance(question, Describe):
            return self.tables[question.name]
        if isinstance(question, Explain):
            lookup = self._lookup(question.statement)
            return Unavailable("no such statement") if lookup is None else _plan(lookup)
        assert isinstance(question, Costs)
        return Unavailable("the twin is away") if self.away else self._costed(question)

    def _lookup(self, text: str) -> Lookup | None:
        if text.startswith("SELECT 1 FROM ONLY"):
            return Lookup(text.split('"')[3], (text.split('"')[5],), returned=("ctid",))
        return self.lookups.get(text)

    def _costed(self, question: Costs) -> Costed:
        rows = []
        for configuration in question.configurations:
            row = [self._cost(self._lookup(text), question.indexes, configuration) for text in question.statements]
            rows.append(tuple(row))
        return Costed(
            costs=tuple(rows),
            unplanned=tuple("" if self._lookup(text) else "no such statement" for text in question.statements),
            sizes_bytes=tuple(size_bytes(each) for each in question.indexes),
            refused=("",) * len(question.indexes),
        )

    def _cost(self, lookup: Lookup | None, indexes: Sequence[Index], configuration: Configuration) -> Cost | None:
        if lookup is None:
            return None
        own = self.tables[lookup.table]
        standing = [each.index for each in own.existing if f"public.{each.name}" not in configuration.dropped]
        offers = [(cost(lookup, None), ())] + [(cost(lookup, each), ()) for each in standing]
        offers += [(cost(lookup, indexes[place]), (place,)) for place in configuration.added]
        least, used = min(offers)
        return Cost(least, (least,), (1.0,), used)


def cost(lookup: Lookup, by: Index | None) -> float:
    """
    Return what a lookup costs by an index, or without one.
    """
    rows, sorting = ROWS, bool(lookup.by)
    if lookup.write == "Insert":
        return 0.01
    if by is not None and by.table == lookup.table:
        kept, left = 1.0, list(lookup.equal)
        keys = [column.name for column in by.columns]
        while keys and keys[0] in left:
            name = keys.pop(0)
            left.remove(name)
            kept /= DISTINCT[name] if DISTINCT[name] > 0 else -DISTINCT[name] * ROWS
        if keys and keys[0] == lookup.ranged:
            kept *= 0.1
        sorted_by = bool(lookup.by) and tuple(keys[: len(lookup.by)]) == lookup.by
        if kept == 1.0 and not sorted_by:
            return 2 * ROWS
        rows *= kept
        names = {column.name for column in by.columns} | set(by.include)
        covers = {*lookup.equal, *lookup.by, *lookup.returned, lookup.ranged} - {""} <= names
        read = 1.0 + rows * (0.02 if covers else 1.0)
        return read + (rows * 0.5 if sorting and not sorted_by else 0.0)
    return 20_000.0 + (rows * 0.05 if sorting else 0.0)


def size_bytes(of: Index) -> int:
    """
    Return what an index takes: 8 bytes a column and 16 for the entry.
    """
    return int(ROWS) * (16 + 8 * (len(of.columns) + len(of.include)))


def _plan(lookup: Lookup) -> Plan:
    columns = [f"({lookup.table}.{name} = $1)" for name in lookup.equal]
    columns += [f"({lookup.table}.{lookup.ranged} > $2)"] if lookup.ranged else []
    said = columns[0] if len(columns) == 1 else f"({' AND '.join(columns)})"
    conditions = (Condition("Filter", said),) if columns else ()
    output = tuple(f"{lookup.table}.{name}" for name in lookup.returned)
    if lookup.write:
        change = PlanNode(
            0, "ModifyTable", lookup.table, "public", "", 1.0, 0.0, "", lookup.table, (), (), lookup.write
        )
        if lookup.write == "Insert":
            return Plan((change, PlanNode(1, "Result", "", "", "", 0.01, 1.0, "")))
        output = (f"{lookup.table}.ctid",)
        below = PlanNode(1, "Seq Scan", lookup.table, "public", "", 1.0, 1.0, "", lookup.table, conditions, output)
        return Plan((change, below))
    scan = PlanNode(0, "Seq Scan", lookup.table, "public", "", 1.0, 1.0, "", lookup.table, conditions, output)
    if not lookup.by:
        return Plan((scan,))
    keys = tuple(Condition("Sort Key", f"{lookup.table}.{name}") for name in lookup.by)
    sort = PlanNode(0, "Sort", "", "", "", 1.0, 1.0, "", "", keys, output)
    return Plan(
        (sort, PlanNode(1, "Seq Scan", lookup.table, "public", "", 1.0, 1.0, "", lookup.table, conditions, output))
    )


def writes(**counted: Any) -> TableWrites:
    """
    Return what the server counted in a month.
    """
    return TableWrites(**{"watched_s": 30 * 86400.0, **counted})


def key(child: str, column: str, to: str = "id", *, of: str = "t") -> tuple[ForeignKey, ForeignKey]:
    """
    Return a foreign key as the parent and as the child sees it.
    """
    return ForeignKey("public", child, (column,), (to,)), ForeignKey("public", of, (column,), (to,))
