"""
The results as tables: for a terminal, and for docs/benchmarks/gauntlet.md.

In        results, one a scenario, as run.py keeps them
Out       text
Not here  working them out (judge.py)
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.gauntlet.scenario import Scenario
from rung.units import show_seconds

Result = dict[str, Any]
CLOSE, NEAR = 0.10, 0.20
_HEAD = "| scenario | named first | right | p95 | promised after the fix | measured | error |"
_LINE = "|---|---|:-:|--:|--:|--:|--:|"


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """
    Return the figures over all scenarios; one that failed is one that is wrong.
    """
    faulty, healthy = ([one for one in results if one["faulty"] is kind] for kind in (True, False))
    errors = {
        by: [
            abs(one["after"]["error"])
            for one in faulty
            if one.get("after") and one["after"]["error"] is not None and by in {"all", one["after"]["promise"]["by"]}
        ]
        for by in ("all", "move")
    }
    inside = [one["after"]["inside"] for one in faulty if one.get("after") and one["after"]["inside"] is not None]
    return {
        "faulty": len(faulty),
        "right": sum(_right(one) for one in faulty),
        "healthy": len(healthy),
        "left_alone": sum(_right(one) for one in healthy),
        "failed": sum("failed" in one for one in results),
        "void": sum(bool(one.get("void")) for one in results),
        "inside": [sum(inside), len(inside)],
        **{
            f"errors_{by}": {
                "promises": len(values),
                "median": statistics.median(values) if values else None,
                "within_20_percent": sum(value <= NEAR for value in values),
            }
            for by, values in errors.items()
        },
    }


def _right(result: Result) -> bool:
    return bool(result.get("find", {}).get("right"))


def summary_text(figures: dict[str, Any]) -> str:
    """
    Return the figures over all scenarios in words.
    """
    lines = [
        f"{figures['right']} of {figures['faulty']} faulty scenarios: the true answer was named first.",
        f"{figures['left_alone']} of {figures['healthy']} healthy scenarios: nothing was named.",
    ]
    for by, words in (
        ("all", "with the number without the bottleneck where no move is priced"),
        ("move", "prices of moves alone"),
    ):
        errors = figures[f"errors_{by}"]
        if errors["promises"]:
            lines.append(
                f"Promise beside what was measured after the true fix, {words}: median error {errors['median']:.0%}, "
                f"within 20 % in {errors['within_20_percent']} of {errors['promises']}."
            )
    inside, promises = figures["inside"]
    lines.append(f"{inside} of {promises} measurements lie inside the promise's interval.")
    if figures["failed"] or figures["void"]:
        lines.append(f"{figures['failed']} could not be run; in {figures['void']} the load was late, so they are void.")
    return "\n".join(lines)


def table(results: Sequence[Result]) -> str:
    """
    Return one row a scenario, in Markdown.
    """
    return "\n".join([_HEAD, _LINE, *(_row(one) for one in results)])


def _row(result: Result) -> str:
    name = result["scenario"] + (" (void)" if result.get("void") else "")
    if "failed" in result:
        return f"| {name} | failed: {_cell(result['failed'])} | no | | | | |"
    found, after = result["find"], result.get("after")
    cells = [name, _named(found["first"]), "yes" if found["right"] else "**no**", show_seconds(found["now_s"])]
    if after is None:
        return "| " + " | ".join([*cells, "", "", ""]) + " |"
    promise = after["promise"]
    if promise is None:
        cells.append("–")
    else:
        low, high = show_seconds(promise["low_s"]), show_seconds(promise["high_s"])
        cells.append(f"{promise['name'] or 'without it'}: {show_seconds(promise['value_s'])} ({low} to {high})")
    cells.append("–" if after["measured_s"] is None else show_seconds(after["measured_s"]))
    cells.append("–" if after["error"] is None else f"{after['error']:+.0%}")
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _named(first: dict[str, Any] | None) -> str:
    if first is None:
        return "nothing"
    what = first["statement"] or first["code"] or first["name"]
    return _cell(f"{first['seam']} {what[:48]}".strip())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def progress(scenario: Scenario, result: Result) -> str:
    """
    Return one line on a scenario that has just been run.
    """
    if "failed" in result:
        return f"{scenario.name}: failed: {result['failed']}"
    found, after = result["find"], result.get("after")
    judged = "right" if found["right"] else "WRONG"
    line = f"{scenario.name}: {judged}, {_named(found['first'])}, p95 {show_seconds(found['now_s'])}"
    if after is not None and after["measured_s"] is not None:
        promised = show_seconds(after["promise"]["value_s"]) if after["promise"] else "–"
        line += f"; after the fix {show_seconds(after['measured_s'])}, promised {promised}"
    return line + (f"; void: {result['void']}" if result.get("void") else "")
