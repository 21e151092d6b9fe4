"""
Read out of a statement which columns of a table it looks rows up by.

In        a normalised statement, with $n for every value, and a table
Out       the columns compared for equality, for range, and sorted by, in the statement's order
Not here  which of them would make a good index (index.py)

Parsed by sqlglot, in PostgreSQL's dialect: MIT, pure Python, no library of its own to be built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from rung.ports import IndexColumn, Table

Expression = Any  # sqlglot's own types of nodes differ between its releases


@dataclass(frozen=True, slots=True)
class Lookup:
    """
    How a statement finds its rows in one table.

    Attributes:
        equal: Columns compared with one value.
        ranged: Columns compared with a range of values.
        sorted: The leading columns of ORDER BY while they are plain columns of this table.
    """

    equal: tuple[str, ...]
    ranged: tuple[str, ...]
    sorted: tuple[IndexColumn, ...]


def lookup(statement: str, table: Table) -> Lookup | None:
    """
    Return how *statement* finds rows in *table*; None when it is no plain lookup there.

    Only conditions that every row must meet count (joined by AND), and only on columns compared with
    values: a join's condition and an OR are left to a better advisor.
    """
    try:
        tree = sqlglot.parse_one(statement, read="postgres")
    except SqlglotError:
        return None
    if not isinstance(tree, exp.Select | exp.Update | exp.Delete) or tree.args.get("where") is None:
        return None
    names = {found.alias_or_name for found in tree.find_all(exp.Table) if found.name == table.name}
    several = len(list(tree.find_all(exp.Table))) > 1
    known = {column.name for column in table.columns}

    def ours(node: object) -> str | None:
        if not isinstance(node, exp.Column) or node.name not in known:
            return None
        if node.table:
            return node.name if node.table in names else None
        return None if several else node.name

    equal: list[str] = []
    ranged: list[str] = []
    for condition in _conditions(tree.args["where"].this):
        sides = _compared(condition)
        if sides is None:
            continue
        column = ours(sides[0])
        if column is not None and all(_is_value(side) for side in sides[1:]):
            (equal if isinstance(condition, exp.EQ) else ranged).append(column)
    ordering = tree.args.get("order")
    by: list[IndexColumn] = []
    for ordered in ordering.expressions if ordering is not None else ():
        column = ours(ordered.this)
        if column is None:
            break
        by.append(IndexColumn(column, descending=bool(ordered.args.get("desc"))))
    return Lookup(tuple(dict.fromkeys(equal)), tuple(dict.fromkeys(ranged)), tuple(by))


def _conditions(where: Expression) -> list[Expression]:
    """
    Return the conditions that every row must meet.
    """
    joined = where.flatten() if isinstance(where, exp.And) else (where,)
    return [condition.unnest() for condition in joined]


def _compared(condition: Expression) -> tuple[Expression, ...] | None:
    """
    Return the sides of a comparison with the column first; None for what an index cannot look up.
    """
    if isinstance(condition, exp.Between):
        return condition.this, condition.args["low"], condition.args["high"]
    if isinstance(condition, exp.EQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        left, right = condition.this, condition.expression
        return (left, right) if isinstance(left, exp.Column) else (right, left)
    return None


def _is_value(node: Expression) -> bool:
    return not any(node.find_all(exp.Column, exp.Select))
