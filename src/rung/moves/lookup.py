"""
Read out of a statement which columns of a table it looks rows up by.

In        a normalised statement, with $n for every value, and a table
Out       the columns compared for equality, for range, and sorted by, in the statement's order
Not here  which of them would make a good index (index.py)

Parsed by sqlglot, in PostgreSQL's dialect: MIT, pure Python, no library of its own to be built.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from rung.ports import IndexColumn, Table

Expression = Any  # sqlglot's own types of nodes differ between its releases


@dataclass(frozen=True, slots=True)
class Lookup:
    """
    How a statement finds its rows in one table.

    Attributes:
        equal: Columns compared with one value.
        ranged: Columns compared with a range of values, or with several.
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
    tree = _parsed(statement)
    if not isinstance(tree, exp.Select | exp.Update | exp.Delete) or tree.args.get("where") is None:
        return None
    sources = _sources(tree)
    names = {
        source.alias_or_name
        for source in sources
        if isinstance(source, exp.Table) and source.name == table.name and source.db in {"", table.schema}
    } - {common.alias for common in tree.find_all(exp.CTE)}
    known = {column.name for column in table.columns}

    def ours(node: Expression) -> str | None:
        node = node.unnest()
        if not isinstance(node, exp.Column) or node.name not in known or not names:
            return None
        if node.table:
            return node.name if node.table in names else None
        return node.name if len(sources) == 1 else None

    equal: list[str] = []
    ranged: list[str] = []
    for condition in _conditions(tree.args["where"].this):
        sides = _compared(condition)
        if sides is None:
            continue
        column = ours(sides[0])
        if column is not None and all(_is_value(side) for side in sides[1:]):
            (equal if _is_one_value(condition) else ranged).append(column)
    ordering = tree.args.get("order")
    by: list[IndexColumn] = []
    for ordered in ordering.expressions if ordering is not None else ():
        column, descending = ours(ordered.this), bool(ordered.args.get("desc"))
        # A btree has its nulls where ORDER BY puts them by default: last, or first when descending.
        if column is None or bool(ordered.args.get("nulls_first")) != descending:
            break
        by.append(IndexColumn(column, descending=descending))
    return Lookup(tuple(dict.fromkeys(equal)), tuple(dict.fromkeys(ranged)), tuple(by))


def _parsed(statement: str) -> Expression:
    """
    Return the statement's tree with names as PostgreSQL folds them, None for what sqlglot cannot read.
    """
    # sqlglot takes "$2,$" for the beginning of a dollar-quoted text; a blank behind the number parts them.
    spaced = re.sub(r"\$[0-9]+", r"\g<0> ", statement)
    try:
        tree = sqlglot.parse_one(spaced, read="postgres")
        return normalize_identifiers(tree, dialect="postgres")
    except (SqlglotError, RecursionError):
        return None


def _sources(tree: Expression) -> list[Expression]:
    """
    Return the tables and subselects that the statement itself reads, those inside of subselects left out.
    """
    first = tree.args.get("from_") or tree.args.get("from")  # sqlglot renamed it
    sources = [tree.this] if isinstance(tree, exp.Update | exp.Delete) else []
    sources += [first.this] if first is not None else []
    sources += list(tree.args.get("using") or ())
    inner = [join for source in (tree, *sources) for join in source.args.get("joins") or ()]
    return sources + [join.this for join in inner]


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
    if isinstance(condition, exp.In) and condition.expressions:
        return condition.this, *condition.expressions
    if isinstance(condition, exp.EQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        left, right = condition.this.unnest(), condition.expression.unnest()
        return (left, right) if isinstance(left, exp.Column) else (right, left)
    return None


def _is_one_value(condition: Expression) -> bool:
    return isinstance(condition, exp.EQ) and condition.find(exp.Any) is None


def _is_value(node: Expression) -> bool:
    return not any(node.find_all(exp.Column, exp.Select))
