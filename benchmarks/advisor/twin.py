"""
The planner twin held against the real server, without an index and with one really built.

In        statements with candidate indexes, a database, its planner
Out       shape and cost of each plan on both sides, and sizes
Not here  the twin (rung.adapters.planner)
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psycopg

from benchmarks.advisor.advising import index, shown
from benchmarks.advisor.built import Built, name_of
from benchmarks.advisor.columns import tables_of
from benchmarks.advisor.tpch import TABLES, Timed
from rung.adapters.planner.compared import COST_SHARE_MAX
from rung.adapters.postgres import CannotPlan
from rung.ports import Index, Plan, Promise, Unavailable, WhatIf

Asking = Callable[[WhatIf], Promise | Unavailable]
Say = Callable[[str], None]
PAGE_BYTES = 8192

# Foreign keys, dates, what filters name, some of several columns, one partial, one of an expression, one that carries.
CANDIDATES = (
    "lineitem (l_partkey)", "lineitem (l_suppkey)", "lineitem (l_shipdate)",
    "lineitem (l_partkey, l_suppkey, l_shipdate)", "lineitem (l_orderkey, l_suppkey)",
    "lineitem (l_partkey) include (l_quantity, l_extendedprice)", "lineitem (l_receiptdate, l_shipmode)",
    "lineitem (l_orderkey) where l_returnflag = 'R'", "orders (o_custkey)", "orders (o_orderdate)",
    "orders (o_custkey, o_orderdate desc)", "orders (o_orderdate) include (o_custkey)", "partsupp (ps_suppkey)",
    "customer (c_nationkey)", "customer (c_mktsegment)", "customer (substring(c_phone from 1 for 2))",
    "customer (c_acctbal)", "part (p_size, p_type)", "part (p_brand, p_container)", "supplier (s_nationkey)",
)  # fmt: skip


def tpch_pairs(timed: Sequence[Timed]) -> list[tuple[str, str, Index]]:
    """
    Return each statement of TPC-H with each candidate on a table of its own: name, text, index.
    """
    names = dict.fromkeys(TABLES, ())
    candidates = [index(text) for text in CANDIDATES]
    return [
        (each.name, each.text, candidate)
        for each in timed
        for candidate in candidates
        if candidate.table in tables_of(each.text, names)
    ]


def compared(
    built: Built, ask: Asking, pairs: Iterable[tuple[str, str, Index]], say: Say, *, of: str
) -> list[dict[str, Any]]:
    """
    Return a row for each statement with its candidate; what the twin declines has the reason.
    """
    rows = []
    for name, text, candidate in pairs:
        # The twin copies what is in force.
        built.put_in_force(())
        row: dict[str, Any] = {"of": of, "statement": name, "index": shown(candidate)}
        row["expression"] = any(column.expression for column in candidate.columns)
        try:
            promise = ask(WhatIf(text, candidate))
            if isinstance(promise, Unavailable):
                row["declined"] = promise.reason
            else:
                row |= _beside(built, text, candidate, promise)
        except (psycopg.Error, CannotPlan) as problem:
            row["declined"] = str(problem)
        rows.append(row)
        say(f"{name} {shown(candidate)}: {row.get('declined') or _short(row)}")
    return rows


def _short(row: dict[str, Any]) -> str:
    sides = (row[side] for side in ("before", "after"))
    return ", ".join(f"{'same' if side['same'] else 'OTHER'} shape, cost {side['error']:+.2%}" for side in sides)


def _beside(built: Built, text: str, candidate: Index, promise: Promise) -> dict[str, Any]:
    before = built.explain(text)
    built.put_in_force((candidate,))
    after = built.explain(text)
    real_bytes = built.size_bytes((candidate,))
    return {
        "before": _held(promise.before, before, candidate),
        "after": _held(promise.after, after, candidate),
        "differs": promise.differs,
        "size_error": promise.size_bytes / real_bytes - 1,
        "size_bytes": real_bytes,
    }


def _held(promised: Plan, real: Plan, candidate: Index) -> dict[str, Any]:
    return {
        "same": _form(promised, candidate) == _form(real, candidate),
        "cost": real.cost,
        "error": promised.cost / real.cost - 1,
    }


def _form(plan: Plan, candidate: Index) -> list[tuple[int, str, str, str]]:
    # The candidate has another name on either side.
    known = {name_of(candidate)}
    return [
        (node.depth, node.kind, node.relation, "*" if node.index in known or "rung" in node.index else node.index)
        for node in plan.nodes
    ]


def figures(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """
    Return shares and errors over all plans: those without the candidate once for each statement.
    """
    asked = [row for row in rows if "declined" not in row]
    befores = list({(row["of"], row["statement"]): row["before"] for row in asked}.values())
    equal = [today["same"] and abs(today["error"]) <= COST_SHARE_MAX for today in befores]
    said = {(row["of"], row["statement"]): row["differs"] for row in asked}
    afters = [row["after"] for row in asked]
    plans = befores + afters
    errors = sorted(abs(plan["error"]) for plan in plans)
    # An index of a few pages is off by a page, which is a large share of nothing.
    sizes = sorted(abs(row["size_error"]) for row in asked if row["size_bytes"] >= 16 * PAGE_BYTES)
    return {
        "statements": len(befores),
        "plans": len(plans),
        "today_equal": sum(equal),
        "today_said": sum(1 for same, differs in zip(equal, said.values(), strict=True) if not same and differs),
        "declined": len(rows) - len(asked),
        "same_shape": sum(plan["same"] for plan in plans) / len(plans) if plans else None,
        "cost_error_median": statistics.median(errors) if errors else None,
        "cost_error_worst": errors[-1] if errors else None,
        "sizes": len(sizes),
        "size_error_median": statistics.median(sizes) if sizes else None,
        "size_error_worst": sizes[-1] if sizes else None,
    }
