"""
Work out what indexes cost the statements that write.

A row that is inserted, or updated so that its address changes, brings an entry to every index of its table.  An update
that touches no indexed column can stay on its page (heap-only tuple, HOT) and brings none: so the first index on a
column that is updated costs an entry in all of them.

In        what each statement writes and how often, the tables with their indexes, the indexes that there would be
Out       seconds of the database a second, and of one execution
Not here  what reads gain (select.py), what one entry costs (entries.py)

Not counted: that deleted and dead entries are cleaned away later, that pages which are not in memory are read first.
Source: PostgreSQL documentation, 66.7 Heap-Only Tuples, 67 B-Tree Indexes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from rung.ports import Index, Table
from rung.steps.advise.entries import entry_cost, tree_of
from rung.steps.measure.parsed import parsed

# Of keys that only grow, which go to the right end of the tree.
GROWS_CORRELATION_MIN = 0.99
# Of updates that could be HOT, how many find room on their page, where the server has not counted any.
HOT_SHARE_USUAL = 0.5
READ_CHARACTERS_MAX = 20_000  # of a longer statement every column is taken to be written

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Writing:
    """
    What one statement writes to one table.

    Attributes:
        statement: Its position; -1 for what the server counted and no statement accounts for.
        rows_per_s: Rows a second, over all executions.
        rows: Of one execution.
        columns: That an UPDATE sets; None where that is not known.
    """

    statement: int
    schema: str
    table: str
    operation: str
    rows_per_s: float
    rows: float
    columns: frozenset[str] | None = None


class Upkeep:
    """
    What the indexes of some tables cost those who write to them.
    """

    def __init__(self, writings: Sequence[Writing], tables: Mapping[Name, Table]) -> None:
        self.tables = tables
        self.writings = tuple(writing for writing in writings if (writing.schema, writing.table) in tables)
        self._of: dict[Name, list[Writing]] = {}
        for writing in self.writings:
            self._of.setdefault((writing.schema, writing.table), []).append(writing)

    def second_per_s(self, added: Collection[Index], dropped: Collection[str] = ()) -> float:
        """
        Return by how many seconds a second writing takes more, with *added* and without *dropped* (as schema.name).
        """
        return sum(
            writing.rows_per_s * self._row_s(writing, added, dropped)
            for table in self._touched(added, dropped)
            for writing in self._of.get(table, ())
        )

    def execution_s(self, statement: int, added: Collection[Index], dropped: Collection[str] = ()) -> float:
        """
        Return by how much one execution of a statement takes longer.
        """
        return sum(
            writing.rows * self._row_s(writing, added, dropped)
            for writing in self.writings
            if writing.statement == statement
        )

    def _touched(self, added: Collection[Index], dropped: Collection[str]) -> list[Name]:
        changed = {(index.schema, index.table) for index in added}
        changed |= {
            name
            for name, table in self.tables.items()
            for existing in table.existing
            if f"{table.schema}.{existing.name}" in dropped
        }
        return sorted(changed)

    def _row_s(self, writing: Writing, added: Collection[Index], dropped: Collection[str]) -> float:
        """
        Return what a row takes longer.
        """
        name = (writing.schema, writing.table)
        table = self.tables[name]
        new = [index for index in added if (index.schema, index.table) == name]
        now = [existing.index for existing in table.existing]
        then = [each.index for each in table.existing if f"{table.schema}.{each.name}" not in dropped] + new
        return self._upkeep_s(writing, table, then) - self._upkeep_s(writing, table, now)

    def _upkeep_s(self, writing: Writing, table: Table, indexes: Sequence[Index]) -> float:
        if writing.operation == "Delete":
            return 0.0
        entries_s = sum(entry_s(index, table) for index in indexes)
        if writing.operation == "Insert":
            return entries_s
        touched = writing.columns is None or any(writing.columns & columns_of(index, table) for index in indexes)
        counted = table.writes.hot_share
        hot_share = 0.0 if touched else HOT_SHARE_USUAL if counted is None else counted
        return entries_s * (1.0 - hot_share)


def entry_s(index: Index, table: Table) -> float:
    """
    Return what one entry of *index* takes the database, seconds.
    """
    first = next((column for column in table.columns if column.name == index.columns[0].name), None)
    grows = first is not None and first.correlation >= GROWS_CORRELATION_MIN
    return entry_cost(tree_of(index, table, gathered=grows)).seconds


def columns_of(index: Index, table: Table) -> frozenset[str]:
    """
    Return the columns of *table* that *index* depends on, those of its expressions and predicate by their names.
    """
    plain = {column.name for column in index.columns if not column.expression} | set(index.include)
    texts = " ".join([*(column.name for column in index.columns if column.expression), index.where])
    said = set(_words(texts)) if texts.strip() else set()
    return frozenset(plain | {column.name for column in table.columns if column.name in said})


def _words(text: str) -> list[str]:
    marks = "".join(mark if mark.isalnum() or mark in "_$" else " " for mark in text)
    return marks.split()


def columns_set(statement: str, operation: str) -> frozenset[str] | None:
    """
    Return the columns that an UPDATE, or an INSERT with ON CONFLICT DO UPDATE, sets; None where that cannot be read.

    >>> sorted(columns_set("UPDATE t SET a = $1, b = b + 1 WHERE id = $2", "Update"))
    ['a', 'b']
    """
    if len(statement) > READ_CHARACTERS_MAX:
        return None
    tree = parsed(statement, folded=True)
    if tree is None:
        return None
    kinds = {"Update": exp.Update, "Insert": exp.Insert}
    change = tree.find(kinds[operation]) if operation in kinds else None
    if operation == "Insert" and change is not None:
        change = change.args.get("conflict")
    if change is None:
        return None
    names = set()
    for each in change.expressions:
        if not isinstance(each, exp.EQ):
            return None
        names |= {column.name for column in each.this.find_all(exp.Column, exp.Identifier)}
    return frozenset(names)
