"""
The results as tables, for a terminal and for docs/benchmarks/advisor.md.

In        the document of a run
Out       text
Not here  measuring (judged.py, twin.py)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.advisor.judged import NOTHING
from rung.units import show_bytes

OURS = "rung"


def text(told: dict[str, Any]) -> str:
    """
    Return everything that a document holds.
    """
    parts = []
    if told.get("rows"):
        parts += [budgets(told["rows"]), advice(told["rows"])]
    if told.get("foreseen"):
        parts += [foreseen(told["foreseen"]), advice(told["foreseen"])]
    if told.get("many"):
        one = told["many"]
        parts.append(
            f"{one['statements']} statements at once: {one['indexes']} indexes advised after {one['took_s']:.1f} s."
        )
    if told.get("twin"):
        parts.append(twin(told["twin"]))
    return "\n\n".join(parts)


def budgets(rows: Sequence[dict[str, Any]]) -> str:
    """
    Return total seconds by budget and contender, the best one of each budget in bold.
    """
    return _by_budget(rows, "total_s", _total)


def foreseen(rows: Sequence[dict[str, Any]]) -> str:
    """
    Return the planner's cost of all statements by budget and contender, the least of each budget in bold.
    """
    return _by_budget(rows, "cost", lambda row: f"{row['cost']:,.0f}")


def _by_budget(rows: Sequence[dict[str, Any]], by: str, total_of: Callable[[dict[str, Any]], str]) -> str:
    nothing = next(row for row in rows if row["contender"] == NOTHING)
    shares = sorted({row["budget"] for row in rows if row["contender"] != NOTHING})
    names = list(dict.fromkeys(row["contender"] for row in rows if row["contender"] != NOTHING))
    lines = [
        f"Without an index: {total_of(nothing)}.",
        "",
        f"| contender | {' | '.join(f'{share:.0%}' for share in shares)} |",
        "|---|" + "--:|" * len(shares),
    ]
    found = {(row["contender"], row["budget"]): row for row in rows}
    best = {share: min(found[name, share][by] for name in names) for share in shares}
    for name in names:
        cells = []
        for share in shares:
            row = found[name, share]
            total = f"**{total_of(row)}**" if row[by] <= best[share] else total_of(row)
            cells.append(f"{total} ({show_bytes(row['size_bytes'])}, {row['advised_s']:.1f} s)")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _total(row: dict[str, Any]) -> str:
    return f"{row['total_s']:.2f} s" + (f", {row['timed_out']} timed out" if row["timed_out"] else "")


def advice(rows: Sequence[dict[str, Any]]) -> str:
    """
    Return what was advised.
    """
    lines = ["| budget | contender | indexes |", "|--:|---|---|"]
    lines += [
        f"| {row['budget']:.0%} | {row['contender']} | {', '.join(f'`{each}`' for each in row['indexes']) or 'none'} |"
        for row in rows
        if row["contender"] != NOTHING
    ]
    return "\n".join(lines)


def twin(told: dict[str, Any]) -> str:
    """
    Return how near the planner twin is to the real server.
    """
    lines = [
        "| of | statements | plans | same shape | cost, median | cost, worst | size, median | size, worst | declined |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, each in told["figures"].items():
        shares = [
            f"{each[key]:.2%}" if each[key] is not None else "–"
            for key in (
                "same_shape", "cost_error_median", "cost_error_worst", "size_error_median", "size_error_worst",
            )
        ]  # fmt: skip
        lines.append(f"| {name} | {each['statements']} | {each['plans']} | {' | '.join(shares)} | {each['declined']} |")
    today = [
        f"Of {name}, plans of today that are the server's own, costs within 1 %: {each['today_equal']} of "
        f"{each['statements']}; of the others {each['today_said']} are said to differ."
        for name, each in told["figures"].items()
    ]
    others = [
        f"- {row['statement']}, {side} `{row['index']}`: "
        + ("another shape, " * (not row[side]["same"]))
        + f"cost {row[side]['error']:+.1%}"
        for row in told["rows"]
        if "declined" not in row
        for side in ("before", "after")
        if not row[side]["same"] or abs(row[side]["error"]) > 0.15
    ]
    declined = sorted(
        {f"- {row['statement']} `{row['index']}`: {row['declined']}" for row in told["rows"] if "declined" in row}
    )
    return "\n".join([*lines, "", *today, "", *others, *declined])
