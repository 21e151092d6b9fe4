"""
What contenders advise, really built and timed.

In        a database with TPC-H, contenders, budgets as shares of the data's size
Out       a document
Not here  what they advise (contenders.py, ours.py), tables for people (report.py)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.advisor.advising import Advisor, Weighted, shown
from benchmarks.advisor.built import Built
from benchmarks.advisor.contenders import SEARCHES, Search
from benchmarks.advisor.priced import Facts, Layer, Priced, facts_of
from benchmarks.advisor.tpch import Timed
from rung.ports import Index

Say = Callable[[str], None]
NOTHING = "no index"


def advisors(layer: Callable[[str], Layer]) -> dict[str, Advisor]:
    """
    Return the searches as advisors over a layer that is made for a DSN.
    """
    return {name: _advisor(search, layer) for name, search in SEARCHES.items()}


def _advisor(search: Search, layer: Callable[[str], Layer]) -> Advisor:
    known: dict[tuple[str, tuple[Weighted, ...]], tuple[Facts, Priced]] = {}

    def advise(statements: Sequence[Weighted], dsn: str, budget_bytes: int | None) -> tuple[Index, ...]:
        key = (dsn, tuple(statements))
        if key not in known:
            facts = facts_of(dsn)
            known[key] = (facts, Priced(statements, facts, layer(dsn)))
        return search(known[key][1], budget_bytes)

    return advise


def judge(
    built: Built,
    dsn: str,
    timed: Sequence[Timed],
    contenders: Mapping[str, Advisor],
    *,
    data_bytes: int,
    shares: Sequence[float],
    rounds: int,
    timeout_s: float,
    say: Say,
) -> list[dict[str, Any]]:
    """
    Return a row for each budget and contender, and one for no index at all.
    """
    statements = tuple(Weighted(each.text) for each in timed)
    advised: list[tuple[str, float, tuple[Index, ...], float]] = [(NOTHING, 0.0, (), 0.0)]
    for share in shares:
        for name, advise in contenders.items():
            began_s = time.perf_counter()
            indexes = advise(statements, dsn, int(share * data_bytes))
            took_s = time.perf_counter() - began_s
            say(f"{share:.0%} {name} after {took_s:.1f} s: {'; '.join(shown(index) for index in indexes) or 'nothing'}")
            advised.append((name, share, indexes, took_s))
    rows = []
    for name, share, indexes, took_s in advised:
        row = {"contender": name, "budget": share, "budget_bytes": int(share * data_bytes), "advised_s": took_s}
        rows.append(row | measured(built, timed, indexes, rounds=rounds, timeout_s=timeout_s))
        say(f"{share:.0%} {name}: {rows[-1]['total_s']:.2f} s, {rows[-1]['size_bytes']} bytes")
    return rows


def foreseen(
    dsn: str,
    timed: Sequence[Timed],
    contenders: Mapping[str, Advisor],
    layer: Layer,
    *,
    data_bytes: int,
    shares: Sequence[float],
    say: Say,
) -> list[dict[str, Any]]:
    """
    Return a row for each budget and contender, and one for no index: what the planner would ask for all statements.

    Nothing is built: for a database whose rows are not there.
    """
    statements = tuple(Weighted(each.text) for each in timed)
    priced = Priced(statements, facts_of(dsn), layer)
    now = priced.begin()
    rows: list[dict[str, Any]] = [{"contender": NOTHING, "budget": 0.0, "cost": now, "size_bytes": 0}]
    for share in shares:
        for name, advise in contenders.items():
            began_s = time.perf_counter()
            indexes = frozenset(advise(statements, dsn, int(share * data_bytes)))
            took_s = time.perf_counter() - began_s
            cost, size_bytes = priced.totals([indexes])[0], priced.size_bytes(indexes)
            say(f"{share:.0%} {name} after {took_s:.1f} s: {cost:.0f}, {size_bytes} bytes")
            rows.append({
                "contender": name, "budget": share, "cost": cost, "size_bytes": size_bytes, "advised_s": took_s,
                "indexes": [shown(index) for index in sorted(indexes, key=shown)],
            })  # fmt: skip
    return rows


def measured(
    built: Built, timed: Sequence[Timed], indexes: Sequence[Index], *, rounds: int, timeout_s: float
) -> dict[str, Any]:
    """
    Return what the statements take with *indexes* built and nothing else; one beyond the time-out takes just that.
    """
    built.put_in_force(indexes)
    times = {each.name: built.time_s(each, rounds=rounds, timeout_s=timeout_s) for each in timed}
    return {
        "indexes": [shown(index) for index in indexes],
        "size_bytes": built.size_bytes(indexes),
        "build_s": sum(built.build_s[index] for index in indexes),
        "times_s": times,
        "timed_out": sum(value is None for value in times.values()),
        "total_s": sum(timeout_s if value is None else value for value in times.values()),
    }


def many(columns: Mapping[str, Sequence[str]], timed: Sequence[Timed], count: int) -> tuple[Weighted, ...]:
    """
    Return *count* different statements: those of TPC-H, and lookups, ranges and pages on every column of its tables.
    """
    texts = [each.text for each in timed]
    pairs = [(table, name) for table, names in columns.items() for name in names]
    # Names come from the catalog of a database of ours.
    texts += [f"select * from {table} where {name} = $1" for table, name in pairs]  # noqa: S608
    texts += [
        f"select * from {table} where {name} = $1 order by {columns[table][0]} desc limit 20"  # noqa: S608
        for table, name in pairs
    ]
    assert len(texts) >= count
    return tuple(Weighted(text) for text in texts[:count])
