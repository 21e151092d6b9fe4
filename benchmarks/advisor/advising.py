"""
What an index advisor is to those who judge it, and indexes as short texts.

In        texts such as `orders (customer_id, placed_at desc) include (total) where shipped_at is null`
Out       values of rung.ports
Not here  any advisor (contenders.py, ours.py), building (built.py)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rung.ports import Index, IndexColumn


@dataclass(frozen=True, slots=True)
class Weighted:
    """
    A statement with $n for its values, and how often it is executed.
    """

    text: str
    executions: float = 1.0


# Statements, the database, the bytes that all advised indexes may take together (None: as many as it likes).
Advisor = Callable[[Sequence[Weighted], str, int | None], tuple[Index, ...]]

_INDEX = re.compile(r"(?P<table>[^(]+?)\s*\((?P<rest>.*)", re.DOTALL)
_AFTER = re.compile(r"\s*(?:include\s*\((?P<include>[^)]*)\))?\s*(?:where\s+(?P<where>.*))?", re.DOTALL)
_KEY = re.compile(
    r"(?P<name>.+?)(?:\s+(?P<opclass>\w+_ops))?(?:\s+(?P<order>asc|desc))?(?:\s+nulls\s+(?P<nulls>first|last))?"
)


def index(text: str) -> Index:
    """
    Return the index that *text* names; what is no bare column is an expression.

    >>> index("orders (lower(email), placed_at desc nulls last) where total > 5").columns[0]
    IndexColumn(name='lower(email)', descending=False, nulls_first=None, expression=True, opclass='')
    >>> index('"Billing".invoices ("Number") include (total)').schema
    'Billing'
    """
    parts = _INDEX.fullmatch(text.strip())
    assert parts is not None, text
    keys, rest = _inside(parts["rest"])
    after = _AFTER.fullmatch(rest)
    assert after is not None, text
    schema, _, table = parts["table"].rpartition(".")
    return Index(
        schema=_bare(schema) or "public",
        table=_bare(table),
        columns=tuple(_key(key) for key in keys),
        include=tuple(_bare(name) for name in (after["include"] or "").split(",") if name.strip()),
        where=(after["where"] or "").strip(),
    )


def _inside(text: str) -> tuple[list[str], str]:
    """
    Return what stands before the parenthesis that closes, cut at its commas, and what stands behind it.
    """
    depth, start, pieces, quoted = 0, 0, [], False
    for place, sign in enumerate(text):
        quoted ^= sign in "'\""
        if quoted:
            continue
        if sign == "," and depth == 0:
            pieces.append(text[start:place])
            start = place + 1
        if sign == ")" and depth == 0:
            return [*pieces, text[start:place]], text[place + 1 :]
        depth += (sign == "(") - (sign == ")")
    raise AssertionError(f"no closing parenthesis in {text!r}")


def _key(text: str) -> IndexColumn:
    parts = _KEY.fullmatch(text.strip())
    assert parts is not None, text
    name = parts["name"].strip()
    expression = re.fullmatch(r"\w+|\"[^\"]+\"", name) is None
    if expression and name.startswith("(") and _inside(name[1:])[1] == "":
        name = name[1:-1].strip()
    return IndexColumn(
        name=name if expression else _bare(name),
        descending=parts["order"] == "desc",
        nulls_first=None if parts["nulls"] is None else parts["nulls"] == "first",
        expression=expression,
        opclass=parts["opclass"] or "",
    )


def _bare(name: str) -> str:
    return name.strip().strip('"')


def shown(one: Index) -> str:
    """
    Return *one* as a text that `index` reads.

    >>> shown(index("orders (a, b desc) include (c) where d is null"))
    'orders (a, b desc) include (c) where d is null'
    """
    table = one.table if one.schema == "public" else f"{one.schema}.{one.table}"
    include = f" include ({', '.join(one.include)})" if one.include else ""
    where = f" where {one.where}" if one.where else ""
    return f"{table} ({', '.join(_shown_key(key) for key in one.columns)}){include}{where}"


def _shown_key(key: IndexColumn) -> str:
    name = f"({key.name})" if key.expression else key.name
    words = [name, key.opclass, "desc" * key.descending]
    if key.nulls_first is not None:
        words.append("nulls first" if key.nulls_first else "nulls last")
    return " ".join(word for word in words if word)
