"""
Work out what indexes cost the statements that write.

A row that is inserted, or updated so that its address changes, brings an entry to every index of its table.  An update
that touches no indexed column can stay on its page (heap-only tuple, HOT) and brings none: so the first index on a
column that is updated costs an entry in all of them.

In        what each statement writes and how often, the tables with their indexes, the indexes that there would be
Out       seconds of the database and bytes of its log: a second, and of one execution
Not here  what reads gain (select.py), what one entry costs (entries.py)

Not counted: that deleted and dead entries are cleaned away later, that pages which are not in memory are read first.
Source: PostgreSQL documentation, 66.7 Heap-Only Tuples, 67 B-Tree Indexes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from rung.ports import Index, Table
from rung.steps.advise.entries import NOTHING_ADDED, Added, Tree, entries_cost, row_cost, tree_of
from rung.steps.measure.parsed import parsed

# Of updates that could be HOT, how many find room on their page, where the server has not counted any.
HOT_SHARE_USUAL = 0.5
CHECKPOINT_S = 300.0  # from one to the next: PostgreSQL's default of checkpoint_timeout
READ_CHARACTERS_MAX = 20_000  # of a longer statement every column is taken to be written

Name = tuple[str, str]
Sized = tuple[tuple[Index, int], ...]  # indexes, each with the bytes that it takes


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

    def __init__(
        self,
        writings: Sequence[Writing],
        tables: Mapping[Name, Table],
        size_bytes_of: Callable[[Index], int] = lambda _: 0,
    ) -> None:
        """
        Take what is written to which tables.

        Args:
            size_bytes_of: What an index that there is not yet would take; 0 if unknown.
        """
        self.tables = tables
        self.writings = tuple(writing for writing in writings if (writing.schema, writing.table) in tables)
        self._of: dict[Name, list[Writing]] = {}
        for writing in self.writings:
            self._of.setdefault((writing.schema, writing.table), []).append(writing)
        self._size_bytes_of = size_bytes_of
        self._read: dict[tuple[Index, int], tuple[Tree, frozenset[str]]] = {}
        self._rows: dict[tuple[Name, Sized], tuple[Added, ...]] = {}

    def per_s(self, added: Collection[Index], dropped: Collection[str] = ()) -> Added:
        """
        Return what writing takes more a second, with *added* and without *dropped* (as schema.name).
        """
        more = NOTHING_ADDED
        for writing, row in self._changed(added, dropped):
            more = more.plus(row.times(writing.rows_per_s))
        return more

    def per_execution(self, added: Collection[Index], dropped: Collection[str] = ()) -> dict[int, Added]:
        """
        Return what one execution of each statement that writes to their tables takes more.
        """
        more: dict[int, Added] = {}
        for writing, row in self._changed(added, dropped):
            if writing.statement >= 0:
                more[writing.statement] = more.get(writing.statement, NOTHING_ADDED).plus(row.times(writing.rows))
        return more

    def _changed(self, added: Collection[Index], dropped: Collection[str]) -> Iterator[tuple[Writing, Added]]:
        """
        Give each writing to the tables whose indexes change, with what a row takes more.
        """
        for name in self._touched(added, dropped):
            table = self.tables[name]
            now = tuple((each.index, each.size_bytes) for each in table.existing)
            then = [
                (each.index, each.size_bytes) for each in table.existing if f"{table.schema}.{each.name}" not in dropped
            ]
            then += [(index, self._size_bytes_of(index)) for index in added if (index.schema, index.table) == name]
            rows = zip(self._of.get(name, ()), self._costs(name, tuple(then)), self._costs(name, now), strict=True)
            for writing, after, before in rows:
                yield writing, after.minus(before)

    def _touched(self, added: Collection[Index], dropped: Collection[str]) -> list[Name]:
        changed = {(index.schema, index.table) for index in added}
        changed |= {
            name
            for name, table in self.tables.items()
            for existing in table.existing
            if f"{table.schema}.{existing.name}" in dropped
        }
        return sorted(changed)

    def _costs(self, name: Name, indexes: Sized) -> tuple[Added, ...]:
        """
        Return of each writing to a table what a row takes in all *indexes*.
        """
        key = (name, indexes)
        if key not in self._rows:
            table, writings = self.tables[name], self._of.get(name, ())
            read = [self._reading(index, table, size_bytes) for index, size_bytes in indexes]
            indexed: frozenset[str] = frozenset().union(*(columns for _, columns in read))
            hot = [_hot(writing, table, indexed) for writing in writings]
            entries_per_s = sum(
                writing.rows_per_s * (1.0 - share)
                for writing, share in zip(writings, hot, strict=True)
                if writing.operation != "Delete"
            )
            entries = entries_cost((tree for tree, _ in read), writes_between=CHECKPOINT_S * entries_per_s)
            self._rows[key] = tuple(
                row_cost(writing.operation, entries, hot=share) for writing, share in zip(writings, hot, strict=True)
            )
        return self._rows[key]

    def _reading(self, index: Index, table: Table, size_bytes: int) -> tuple[Tree, frozenset[str]]:
        key = (index, size_bytes)
        if key not in self._read:
            self._read[key] = tree_of(index, table, size_bytes), columns_of(index, table)
        return self._read[key]


def _hot(writing: Writing, table: Table, indexed: frozenset[str]) -> float:
    """
    Return the share of a writing's rows that bring no entry, while the columns *indexed* are in some index.
    """
    if writing.operation != "Update" or writing.columns is None or writing.columns & indexed:
        return 0.0
    return HOT_SHARE_USUAL if table.writes.hot_share is None else table.writes.hot_share


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
