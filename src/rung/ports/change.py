"""
What is carried out: statements, files, and what became of them.

In        nothing
Out       values
Not here  carrying it out (adapters/hands.py)
"""

from __future__ import annotations

from dataclasses import dataclass

from rung.ports.database import Index


@dataclass(frozen=True, slots=True)
class Statement:
    """
    SQL to be run by itself, outside a transaction block.
    """

    sql: str


@dataclass(frozen=True, slots=True)
class NamedIndex:
    """
    An index that is to be there.

    Attributes:
        create: What builds it without blocking writers; of a partitioned table, what builds a partition's.
        index: What it is on; None where *create* is a definition that PostgreSQL wrote.
        partitioned: Whether its table is, so that each partition is given one and the parent's joins them.
    """

    schema: str
    table: str
    name: str
    create: Statement
    index: Index | None = None
    partitioned: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """
    What is run against the database, each statement by itself and outside a transaction, and what takes it back.

    Attributes:
        builds: The indexes that the statements build, in order; the undo drops them, in the same order.
        rebuilds: The index that the undo builds, None where it builds none.
    """

    statements: tuple[Statement, ...]
    undo: tuple[Statement, ...]
    builds: tuple[NamedIndex, ...] = ()
    rebuilds: NamedIndex | None = None


@dataclass(frozen=True, slots=True)
class TextFile:
    """
    A text file for the user's repository; *path* is relative to it.
    """

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Applied:
    """
    What applying a change did.

    Attributes:
        already: The change was there before, and nothing was done.
        took_s: Seconds from first to last statement.
        size_bytes: Size of what was built in the database, 0 where nothing was.
    """

    already: bool
    took_s: float
    size_bytes: int
