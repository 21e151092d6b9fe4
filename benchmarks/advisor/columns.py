"""
Which columns of which tables a statement has, by where they stand in it: what the contenders make indexes of.

In        a statement; tables with their columns
Out       columns by table, in the order in which they first appear
Not here  what is made of them (contenders.py)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import expressions as exp

# Where a column can save reading or sorting.
CONDITIONS = (exp.Where, exp.Join, exp.Having, exp.Order)
GROUPS = (exp.Group,)


@dataclass(frozen=True, slots=True)
class Used:
    """
    A column, by table, and whether it stands in a condition or an order, and in a grouping.
    """

    table: str
    column: str
    condition: bool
    group: bool


def used(statement: str, tables: Mapping[str, Sequence[str]]) -> tuple[Used, ...]:
    """
    Return the columns that *statement* has of *tables*; a name that several of its tables have is one of each.
    """
    tree = sqlglot.parse_one(statement, dialect="postgres")
    known = {table.alias_or_name: table.name for table in tree.find_all(exp.Table) if table.name in tables}
    found: dict[tuple[str, str], Used] = {}
    for column in tree.find_all(exp.Column, bfs=False):
        owners = [known[column.table]] if column.table in known else list(dict.fromkeys(known.values()))
        for table in owners:
            if column.name not in tables[table]:
                continue
            key = (table, column.name)
            before = found.get(key, Used(*key, condition=False, group=False))
            found[key] = Used(
                *key,
                condition=before.condition or column.find_ancestor(*CONDITIONS) is not None,
                group=before.group or column.find_ancestor(*GROUPS) is not None,
            )
    return tuple(found.values())


def tables_of(statement: str, tables: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """
    Return those of *tables* that *statement* names.
    """
    tree = sqlglot.parse_one(statement, dialect="postgres")
    return frozenset(table.name for table in tree.find_all(exp.Table) if table.name in tables)
