"""
Spell an index as Django's models.Index, with the names of a model's fields.

In        an Index, and the model's fields by their columns
Out       a Spelling; or the reason why fields and Django's functions cannot say it
Not here  the migration around it (django.py)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from rung.ports import Index, IndexColumn
from rung.steps.take.draft import python_text

FUNCTIONS = {"lower": "Lower", "upper": "Upper"}
COMPARED = {exp.EQ: "", exp.LT: "__lt", exp.LTE: "__lte", exp.GT: "__gt", exp.GTE: "__gte"}


@dataclass(frozen=True, slots=True)
class Spelling:
    """
    An index as Django writes it.

    Attributes:
        arguments: Those of models.Index, but for its name.
        imports: What they need beside `models`.
    """

    arguments: tuple[str, ...]
    imports: tuple[str, ...] = ()

    def call(self, name: str) -> str:
        """
        Return the whole call.
        """
        return f"models.Index({', '.join([*self.arguments, f'name={python_text(name)}'])})"


class _NotSpelled(Exception):
    """
    Django cannot say it; the text is the reason.
    """


def spelled(index: Index, fields: Mapping[str, str]) -> Spelling | str:
    """
    Return *index* in the words of a model, or why there are none.

    Args:
        fields: Names of fields by their columns.

    >>> spelled(Index("public", "orders", (IndexColumn("customer_id"),)), {"customer_id": "customer"})
    Spelling(arguments=('fields=["customer"]',), imports=())
    """
    try:
        keys, imports = _keys(index, fields)
        arguments = [*keys]
        if index.include:
            arguments.append(f"include={_listed(_field(name, fields) for name in index.include)}")
        if index.where:
            arguments.append(f"condition={_condition(index.where, fields)}")
    except _NotSpelled as problem:
        return str(problem)
    return Spelling(tuple(arguments), tuple(imports))


def _keys(index: Index, fields: Mapping[str, str]) -> tuple[list[str], list[str]]:
    plain = [IndexColumn(column.name, column.descending, opclass=column.opclass) for column in index.columns]
    if list(index.columns) == plain:
        named = (("-" if column.descending else "") + _field(column.name, fields) for column in index.columns)
        keys = [f"fields={_listed(named)}"]
        if any(column.opclass for column in index.columns):
            keys.append(f"opclasses={_listed(column.opclass for column in index.columns)}")
        return keys, []
    used: set[str] = set()
    keys = [_expression(column, fields, used) for column in index.columns]
    return keys, [f"from django.db.models.functions import {', '.join(sorted(used))}"] if used else []


def _expression(column: IndexColumn, fields: Mapping[str, str], used: set[str]) -> str:
    if column.opclass:
        raise _NotSpelled(f"the operator class {column.opclass} beside an expression or an order of nulls")
    if column.expression:
        # PostgreSQL writes lower(email) of a text, and lower((email)::text) of a varchar.
        found = re.fullmatch(r'(lower|upper)\(\(?("?)([^\W\d]\w*)\2\)?(?:::[\w ]+)?\)', column.name)
        if found is None:
            raise _NotSpelled(f"the expression {column.name} is none that rung can write with Django's functions")
        function = FUNCTIONS[found[1]]
        used.add(function)
        key = f"{function}({python_text(_field(found[3], fields))})"
    else:
        key = f"models.F({python_text(_field(column.name, fields))})"
    nulls = ""
    if column.nulls_first is not None and column.nulls_first != column.descending:
        nulls = "nulls_first=True" if column.nulls_first else "nulls_last=True"
    if not column.descending and not nulls:
        return key
    return f"{key}.{'desc' if column.descending else 'asc'}({nulls})"


def _condition(where: str, fields: Mapping[str, str]) -> str:
    try:
        tree: Any = sqlglot.parse_one(where, dialect="postgres")
    except SqlglotError:
        raise _NotSpelled(f"the condition {where} is none that rung can write as a Q") from None
    parts = list(tree.flatten()) if isinstance(tree, exp.And) else [tree]
    return " & ".join(_part(_bare(part), where, fields) for part in parts)


def _part(part: Any, where: str, fields: Mapping[str, str]) -> str:
    negated = isinstance(part, exp.Not)
    inner = _bare(part.this) if negated else part
    if isinstance(inner, exp.Is) and isinstance(_bare(inner.expression), exp.Null):
        # IS NOT is a Not around an Is in some releases of sqlglot, and an Is that negates in others.
        null = negated == bool(inner.args.get("negate"))
        return _q(_column(inner.this, where, fields) + "__isnull", str(null))
    if isinstance(inner, exp.Column):
        return _q(_column(inner, where, fields), str(not negated))
    if not negated and type(inner) in COMPARED:
        name = _column(inner.this, where, fields) + COMPARED[type(inner)]
        return _q(name, _value(inner.expression, where))
    # Django writes the negation of a comparison with more conditions of its own, so <> is not among these.
    raise _NotSpelled(f"the condition {where} is none that rung can write as a Q")


def _column(node: Any, where: str, fields: Mapping[str, str]) -> str:
    node = _bare(node)
    if not isinstance(node, exp.Column):
        raise _NotSpelled(f"the condition {where} is none that rung can write as a Q")
    return _field(node.name, fields)


def _value(node: Any, where: str) -> str:
    node = _bare(node)
    if isinstance(node, exp.Literal):
        return python_text(node.name) if node.is_string else str(node.name)
    if isinstance(node, exp.Boolean):
        return str(node.this)
    raise _NotSpelled(f"the condition {where} is none that rung can write as a Q")


def _bare(node: Any) -> Any:
    """
    Return what is inside parentheses and casts to text, which Django does not write.
    """
    while isinstance(node, exp.Paren) or (
        isinstance(node, exp.Cast) and node.to.this in {exp.DataType.Type.TEXT, exp.DataType.Type.VARCHAR}
    ):
        node = node.this
    return node


def _q(name: str, value: str) -> str:
    return f"models.Q({name}={value})"


def _field(column: str, fields: Mapping[str, str]) -> str:
    if column not in fields:
        raise _NotSpelled(f"the column {column} is no field of the model that can be read without running it")
    return fields[column]


def _listed(names: Any) -> str:
    return f"[{', '.join(python_text(name) for name in names)}]"
