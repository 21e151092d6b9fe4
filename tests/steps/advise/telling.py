"""
Tell an index in a few letters, and which indexes are thought of for a statement.

In        an Index, or an Access with its table
Out       "customer_id,-created_at +total where deleted_at IS NULL"
Not here  what any test expects
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rung.ports import Index, IndexColumn, Plan, Table
from rung.steps.advise.access import accesses
from rung.steps.advise.candidates import Lookups, extended, shapes


def told(index: Index) -> str:
    """
    Return an index as its keys ("-" before one that descends), what it carries, and its predicate.
    """
    keys = ",".join(_key(column) for column in index.columns)
    carried = f" +{','.join(index.include)}" if index.include else ""
    return keys + carried + (f" where {index.where}" if index.where else "")


def _key(column: IndexColumn) -> str:
    nulls = "" if column.nulls_first is None else "^first" if column.nulls_first else "^last"
    name = f"({column.name})" if column.expression else column.name
    return ("-" if column.descending else "") + name + nulls + (f"/{column.opclass}" if column.opclass else "")


def thought_of(plans: Iterable[Plan], tables: Mapping[str, Table]) -> dict[str, set[str]]:
    """
    Return the indexes that are thought of for *plans*, by table, wider kinds of each included.
    """
    found = [access for plan in plans for access in accesses(plan)]
    made: dict[str, set[str]] = {}
    for access in found:
        table = tables[access.table]
        lookups = Lookups(table, [(each, 1.0) for each in found if each.table == access.table])
        for index in shapes(access, table, lookups):
            made.setdefault(access.table, set()).update(map(told, (index, *extended(index, access, table))))
    return made
