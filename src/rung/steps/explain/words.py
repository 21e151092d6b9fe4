"""
Say what a node of a plan is, in PostgreSQL's own words, without anybody's values.

In        one node of EXPLAIN's JSON
Out       its kind as EXPLAIN's text has it, the sub-plan that begins there, its conditions
Not here  its figures (tree.py, memory.py)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

CONDITIONS = (
    "Index Cond", "Recheck Cond", "TID Cond", "Order By", "Filter", "Join Filter", "Hash Cond", "Merge Cond",
    "One-Time Filter", "Run Condition", "Cache Key", "Sort Key", "Presorted Key", "Group Key",
)  # fmt: skip
STRATEGIES = {"Hashed": "HashAggregate", "Sorted": "GroupAggregate", "Mixed": "MixedAggregate"}

# "(InitPlan 1).col1" and "(hashed SubPlan 2)": the number is a name.
_SUBPLAN = re.compile(r"\b((?:Init|Sub)Plan) \$n")

# A quoted name, a parameter or a word stays; a string or a number is a constant.
_PIECE = re.compile(
    r"""(?P<kept>"(?:[^"]|"")*"|\$[0-9]+|[^\W\d][\w$]*(?!['\w$]))|(?P<constant>[EBXebx]?'(?:[^'\\]|''|\\.)*'|[0-9][0-9.]*(?:e[+-]?[0-9]+)?)""",
    re.DOTALL,
)


_PARAMETER = re.compile(r"\$[0-9]")


def constants_of(statement: str) -> frozenset[str]:
    """
    Return the strings in a statement's text, and its numbers where it has no parameters.

    One with parameters was recorded without values; the numbers that are left count columns or rows, and a value that
    a view or a policy compares with could be the same by chance.

    >>> sorted(constants_of("select 1 from t where a = 'x' and b > 7"))
    ["'x'", '1', '7']
    >>> constants_of("select 1 from t where b > $1")
    frozenset()
    """
    found = {piece["constant"] for piece in _PIECE.finditer(statement) if piece["constant"]}
    return frozenset(each for each in found if "'" in each) if _PARAMETER.search(statement) else frozenset(found)


def without_constants(condition: str, known: frozenset[str] = frozenset()) -> str:
    """
    Return a plan's condition with $n for every constant that is not *known*: views and policies bring their own.

    >>> without_constants("((status = 'paid'::text) AND (total2 > 5) AND (id = $1))")
    '((status = $n::text) AND (total2 > $n) AND (id = $1))'
    >>> without_constants("((status = 'paid'::text) AND (total2 > 5))", frozenset({"'paid'"}))
    "((status = 'paid'::text) AND (total2 > $n))"
    """
    return _PIECE.sub(lambda piece: piece["kept"] or (piece[0] if piece[0] in known else "$n"), condition)


def conditions_of(told: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """
    Return what a node compares, sorts by or groups by, each with EXPLAIN's name for it.
    """
    found = []
    for name in CONDITIONS:
        value = told.get(name)
        if value:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            found.append((name, _SUBPLAN.sub(r"\1 ·", without_constants(text))))
    return tuple(found)


def kind_of(told: Mapping[str, Any]) -> str:
    """
    Return what a node is, as EXPLAIN's text has it.

    >>> kind_of({"Node Type": "Hash Join", "Join Type": "Left", "Parallel Aware": True})
    'Parallel Hash Left Join'
    >>> kind_of({"Node Type": "Aggregate", "Strategy": "Hashed", "Partial Mode": "Partial"})
    'Partial HashAggregate'
    """
    kind = str(told["Node Type"])
    if kind == "Aggregate":
        kind = STRATEGIES.get(str(told.get("Strategy")), kind)
        kind = f"{told['Partial Mode']} {kind}" if told.get("Partial Mode") not in {None, "Simple"} else kind
    elif kind == "SetOp":
        kind = f"{'Hash' if told.get('Strategy') == 'Hashed' else ''}SetOp {told.get('Command', '')}".strip()
    elif kind == "ModifyTable":
        kind = str(told.get("Operation", kind))
    join = told.get("Join Type")
    if join not in {None, "Inner"} and kind.endswith(("Join", "Nested Loop")):
        kind = f"{kind.removesuffix(' Join')} {join} Join"
    if told.get("Scan Direction") == "Backward":
        kind += " Backward"
    return f"Parallel {kind}" if told.get("Parallel Aware") else kind


def role_of(told: Mapping[str, Any]) -> str:
    """
    Return the name of the sub-plan that begins at a node, "" where none does.

    >>> role_of({"Subplan Name": "InitPlan 1 (returns $0)"})
    'InitPlan 1'
    """
    return str(told.get("Subplan Name", "")).partition(" (returns")[0]
