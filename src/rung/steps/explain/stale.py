"""
Tell whether the planner knows a table well enough: statistics that are old, or that were never made.

In        what the server says of a table's statistics
Out       a reason in words, "" where all is well; the columns that have none
Not here  the SQL against it (moves/statistics.py)
"""

from __future__ import annotations

import re

from rung.ports import Plan
from rung.steps.explain.questions import Known, KnownColumn, TableStatistics
from rung.units import show_count, show_share

# Autovacuum analyses after 10 % and 50 rows by default; what goes on unseen for three times that has been missed.
CHANGED_SHARE_MAX = 0.3
CHANGED_MIN = 500
GROWN_FACTOR = 2.0
GROWN_PAGES_MIN = 100
GROWN_LEAST = 1.1

_NAME = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)(?!\s*\()')


def tables_of(plan: Plan) -> tuple[tuple[str, str], ...]:
    """
    Return schema and name of each table that *plan* reads, once; what it only writes to needs no statistics.
    """
    read = (node for node in plan.nodes if node.schema and node.relation and "Scan" in node.kind)
    return tuple(dict.fromkeys((node.schema, node.relation) for node in read))


def stale(table: TableStatistics, *, standby: bool = False) -> str:
    """
    Return why the statistics of *table* are not to be relied on, as the end of a sentence; "" where they are.

    Args:
        standby: Whether a standby was asked, which counts no changes; how large tables are it knows.
    """
    name = table.name
    if table.parent and table.readable and not any(column.known for column in table.columns):
        return f"{name} is partitioned and was never analysed as a whole, which autovacuum does not do"
    if _never(table):
        return f"{name} was never analysed"
    if table.parent:
        return ""
    known = max(table.rows_known, 0.0)
    counted = not standby and not _counted_again(table, known)
    if counted and table.changed >= max(CHANGED_SHARE_MAX * known, CHANGED_MIN):
        off = "" if table.automatic else "; autovacuum is off for it"
        return (
            f"the statistics of {name} are of {show_count(known)} rows, and {show_count(table.changed)} "
            f"({show_share(table.changed / known) if known else 'all'}) were changed since{off}"
        )
    if table.pages >= GROWN_PAGES_MIN and table.pages >= GROWN_FACTOR * table.pages_known:
        grown = table.pages / max(table.pages_known, 1)
        return f"{name} is {grown:.1f} times as large as when its statistics were made, of {show_count(known)} rows"
    if counted and table.rows_live >= CHANGED_MIN and table.rows_live >= GROWN_FACTOR * known:
        return f"{name} has {show_count(table.rows_live)} rows, and its statistics are of {show_count(known)}"
    return ""


def _counted_again(table: TableStatistics, known: float) -> bool:
    """
    Return whether the counters have rows that the last ANALYZE saw already.

    What a session inserted is counted after its transaction, also where it has analysed the table meanwhile, as after
    loading one.  The table is then as large as it was.
    """
    return (
        table.pages_known > 0
        and table.rows_live > known * GROWN_LEAST
        and table.pages < table.pages_known * GROWN_LEAST
    )


def _never(table: TableStatistics) -> bool:
    if table.parent:
        return False
    if table.rows_known < 0:
        return True
    return (
        table.readable
        and table.rows_live > 0
        and bool(table.columns)
        and not any(column.known for column in table.columns)
    )


def reasons(known: Known) -> tuple[tuple[TableStatistics, str], ...]:
    """
    Return each table whose statistics are not to be relied on, and why.
    """
    told = ((table, stale(table, standby=known.standby)) for table in known.tables)
    return tuple((table, reason) for table, reason in told if reason)


def columns_in(condition: str, table: TableStatistics) -> tuple[KnownColumn, ...]:
    """
    Return the columns of *table* that a plan's condition names, in their order there.
    """
    by_name = {column.name: column for column in table.columns}
    found: dict[str, KnownColumn] = {}
    for quoted, word in _NAME.findall(condition):
        name = quoted.replace('""', '"') if quoted else word
        if name in by_name:
            found.setdefault(name, by_name[name])
    return tuple(found.values())
