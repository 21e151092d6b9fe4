"""
The figures of the timing benchmark as a page has them.

In        the whole document
Out       Markdown
Not here  where the figures come from (measured.py, judged.py, writing.py, building.py)
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.timing.judged import WAYS, WINNER
from rung.units import show_bytes, show_seconds

Raw = dict[str, Any]


def shown(told: Raw) -> str:
    """
    Return the document as Markdown.
    """
    begun = f"{told['date']}, took {told['took']}, rung {told['rung']}, PostgreSQL {told['version']}"
    place = f"python {told['python']}, {told['system']}, {told['cores']} cores"
    lines = [f"{begun}, {place}; tables at {told['scale']:g} of their size."]
    for title, ways in told.get("judged", {}).items():
        lines += ["", f"### {title}", "", *_ways(ways)]
    if told.get("judged"):
        first = next(iter(told["judged"].values()))
        lines += ["", "### By group", "", *_groups(first), "", "### Each statement", "", *_each(first[WINNER]["rows"])]
        lines += ["", *_plans(told["plans"])]
    if told.get("writes"):
        lines += ["", "### Writes", "", *_writes(told["writes"]), "", *_writes_summed(told["writes_summed"])]
    if told.get("builds"):
        lines += ["", "### Builds", "", *_builds(told["builds"], told["builds_judged"])]
    if told.get("calibrated"):
        lines += ["", "### Seconds of each kind of work", "", *_calibrated(told["calibrated"])]
    return "\n".join(lines)


def _ways(ways: Raw) -> list[str]:
    lines = [
        "| way | median error | off by 2× | within 35 % | sign right | predicted / measured | range of 80 % held |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name in WAYS:
        each = ways[name]
        lines.append(
            f"| {name} | {each['median_error']:.0%} | {each['off_by_two']:.0%} | {each['within']:.0%} "
            f"| {each['sign']:.0%} | {each['bias']:.2f} | {each['held']:.0%} |"
        )
    return lines


def _groups(ways: Raw) -> list[str]:
    groups = list(ways[WINNER]["groups"])
    lines = [
        "| way | " + " | ".join(f"{group}: median, off by 2×" for group in groups) + " |",
        "|---|" + "--:|" * len(groups),
    ]
    for name in WAYS:
        cells = [ways[name]["groups"][group] for group in groups]
        lines.append(
            f"| {name} | " + " | ".join(f"{one['median_error']:.0%}, {one['off_by_two']:.0%}" for one in cells) + " |"
        )
    return lines


def _each(rows: Sequence[Raw]) -> list[str]:
    return [
        "| statement | measured | predicted | ratio |",
        "|---|--:|--:|--:|",
        *(
            f"| `{row['text']}` | {show_seconds(row['measured_s'])} | {show_seconds(row['predicted_s'])} "
            f"| {row['ratio']:.2f} |"
            for row in rows
        ),
    ]


def _plans(plans: Raw) -> list[str]:
    shapes = f"The twin's plan had the shape of the real server's in {plans['same_shape']} of {plans['cases']} cases"
    return [f"{shapes}; its cost was off by {plans['cost_error']:.1%} at the median."]


def _writes(rows: Sequence[Raw]) -> list[str]:
    lines = [
        "| index | write | rows | whole pages | adds, measured | adds, foreseen | log, measured | log, foreseen |",
        "|---|---|--:|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        if row["kind"] == "delete" and row["images"]:
            continue
        lines.append(
            f"| {row['shape']} | {row['kind']} | {row['rows']:,} | {'yes' if row['images'] else 'no'} "
            f"| {row['seconds'] / row['plain_s']:+.0%} of {show_seconds(row['plain_s'])} "
            f"| {row['foreseen_s'] / row['plain_s']:+.0%} | {show_bytes(max(round(row['wal_bytes']), 0))} "
            f"| {show_bytes(round(row['foreseen_wal_bytes']))} |"
        )
    return lines


def _writes_summed(summed: Raw) -> list[str]:
    lines = ["| figure | median error | within 25 % | of |", "|---|--:|--:|--:|"]
    lines += [
        f"| {name} | {each['median_error']:.0%} | {each['within']:.0%} | {each['cases']} |"
        for name, each in summed.items()
    ]
    return lines


def writes_summed(rows: Sequence[Raw]) -> Raw:
    """
    Return how far off the slow-down of a write and its bytes are: whole writes, and what the index adds alone.
    """
    found: Raw = {}
    adding = [row for row in rows if row["foreseen_s"] > 0]
    for name, errors in {
        "a write with the index": [
            (row["plain_s"] + row["foreseen_s"]) / (row["plain_s"] + row["seconds"]) - 1 for row in rows
        ],
        "what the index adds, seconds": [row["foreseen_s"] / max(row["seconds"], 1e-12) - 1 for row in adding],
        "what the index adds, bytes": [row["foreseen_wal_bytes"] / max(row["wal_bytes"], 1.0) - 1 for row in adding],
    }.items():
        sizes = [abs(error) for error in errors]
        found[name] = {
            "median_error": statistics.median(sizes), "cases": len(sizes),
            "within": sum(size <= 0.25 for size in sizes) / len(sizes),
        }  # fmt: skip
    return found


def _builds(rows: Sequence[Raw], judged: Raw) -> list[str]:
    lines = [
        "| index | rows | table's filling | measured | on the clock | foreseen | log, measured | log, foreseen |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row, foreseen_s in zip(rows, judged["foreseen_s"], strict=True):
        lines.append(
            f"| {row['shape']} | {row['rows']:,} | {row['width']} B | {show_seconds(row['seconds'])} "
            f"| {show_seconds(row['clock_s'])} | {show_seconds(foreseen_s)} "
            f"| {show_bytes(row['wal_bytes'])} | {show_bytes(row['foreseen_wal_bytes'])} |"
        )
    lines += ["", "| figure | median error | within 35 % | worst | of |", "|---|--:|--:|--:|--:|"]
    lines += [
        f"| {name} | {each['median_error']:.0%} | {each['within']:.0%} | {each['worst']:.1f}× | {each['cases']} |"
        for name, each in judged["errors"].items()
    ]
    best = ", ".join(f"{kind} {each_s:.2g}" for kind, each_s in judged["seconds"].items())
    return [*lines, "", f"Seconds that fit these builds best: {best}."]


def _calibrated(told: Raw) -> list[str]:
    ratios = [row["ratio"] for row in told["rows"]]
    lines = ["| kind | seconds | known to a factor of |", "|---|--:|--:|"]
    for kind, each_s in told["seconds"].items():
        lines.append(f"| {kind} | {each_s:.3g} | {math.exp(told['spread'][kind]):.2f} |")
    middle = statistics.median(abs(each - 1) for each in ratios)
    worst = max(max(each, 1 / each) for each in ratios)
    lines += [
        "",
        f"Over {len(ratios)} statements the fit is off by {middle:.0%} at the median, {worst:.1f}× at the worst.",
    ]
    return lines
