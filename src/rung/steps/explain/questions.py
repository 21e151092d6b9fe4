"""
What is asked about one statement beside its plan: what the server knows of the tables in it.

In        nothing
Out       Statistics, a question, with its answer; Planned, a plan with what bears on reading it
Not here  asking (adapters/statistics.py, adapters/explaining.py)

No value of a column is in any of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rung.ports import Question


@dataclass(frozen=True, slots=True)
class Statistics(Question):
    """
    How well the planner knows *tables*, each a schema and a name.  Answer: Known or Unavailable.
    """

    verb: ClassVar[str] = "statistics"

    tables: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class KnownColumn:
    """
    A column, or an expression of an index, as the statistics have it.

    Attributes:
        known: Whether there are statistics of it.
        target: Its own statistics target, -1 for the server's default.
    """

    name: str
    known: bool
    target: int = -1


@dataclass(frozen=True, slots=True)
class Extended:
    """
    An object of CREATE STATISTICS: its columns, its kinds by their letters (d, f, m, e), whether it was filled.
    """

    name: str
    columns: tuple[str, ...]
    kinds: str
    filled: bool


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """
    What the planner knows of one table, and how old that is.

    Attributes:
        rows_known: As of its last ANALYZE or VACUUM; -1 if it never had one.
        rows_live: As the server counts them since.
        changed: Rows inserted, updated or deleted since the last ANALYZE.
        analyzed_s: Seconds since it, by hand or by autovacuum; None if never, or not since counters were reset.
        automatic: Whether autovacuum may do it.
        readable: Whether this role may see whether columns have statistics.
        parent: Whether it is partitioned: autovacuum never analyses it, only its partitions.
        pages_known, pages: Its size then and now.  A crash, a restore and a failover lose counters; not these.
    """

    schema: str
    name: str
    rows_known: float
    rows_live: int
    changed: int
    analyzed_s: float | None
    automatic: bool
    readable: bool
    parent: bool
    columns: tuple[KnownColumn, ...]
    extended: tuple[Extended, ...] = ()
    pages_known: int = 0
    pages: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """
    What the planner knows of tables.

    Attributes:
        target: default_statistics_target.
        standby: A standby counts no changes; those of the primary are not known there.
    """

    tables: tuple[TableStatistics, ...]
    target: int
    standby: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """
    What EXPLAIN said of one statement.

    Attributes:
        document: Its JSON.
        version: The server's, as it shows itself.
        version_number: The same as a number: 180001.
        generic: Planned with values unknown.
        work_memory_bytes: work_mem.
        hash_factor: hash_mem_multiplier.
        standby: Whether it is one.
    """

    document: Mapping[str, Any]
    version: str
    version_number: int
    generic: bool
    work_memory_bytes: int
    hash_factor: float
    standby: bool
