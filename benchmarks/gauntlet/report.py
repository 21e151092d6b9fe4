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
from rung.steps.score import wilson
from rung.units import show_seconds

Result = dict[str, Any]
NEAR = 0.20
STABLE = 0.8
_HEAD = "| scenario | named first | right | p95 | promised after the fix | measured | error |"
_LINE = "|---|---|:-:|--:|--:|--:|--:|"


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """
    Return the figures over all scenarios; one that failed is one that is wrong.
    """
    faulty, healthy = ([one for one in results if one["faulty"] is kind] for kind in (True, False))
    fixed = [told for one in results if (told := promise_of(one)) is not None]
    everything = [each for one in results for each in one.get("predictions", [])]
    stable = [one["find"]["first"]["stability"] for one in faulty if one.get("find", {}).get("first")]
    return {
        "faulty": len(faulty),
        "right": sum(_right(one) for one in faulty),
        "healthy": len(healthy),
        "left_alone": sum(_right(one) for one in healthy),
        "failed": sum("failed" in one for one in results),
        "void": sum(bool(one.get("void")) for one in results),
        "stable": [sum(value >= STABLE for value in stable), len(stable)],
        "errors_all": _errors(fixed),
        "errors_move": _errors([told for told in fixed if told["by"] == "move"]),
        "errors_everywhere": _errors(everything),
        "inside": _coverage(everything),
        "better": _better(results),
    }


def promise_of(result: Result) -> dict[str, Any] | None:
    """
    Return what was promised of the goal's route after the true fix, beside what came.
    """
    return next((each for each in result.get("predictions", []) if each["take"] == "after" and each["goals"]), None)


def _errors(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values = [abs(each["error"]) for each in told]
    return {
        "promises": len(values),
        "median": statistics.median(values) if values else None,
        "within_20_percent": sum(value <= NEAR for value in values),
    }


def _coverage(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """
    Return how many measurements lie inside their interval, with the 95 % interval of that share.
    """
    inside, count = sum(each["inside"] for each in told), len(told)
    share = wilson(inside, count) if count else None
    return {
        "inside": inside, "predictions": count, "low": share and share.low, "high": share and share.high,
    }  # fmt: skip


def _better(results: Sequence[Result]) -> list[int]:
    """
    Return in how many scenarios the move that was priced best was measured best, of how many with two.
    """
    right = count = 0
    for one in results:
        of = {each["take"]: each for each in one.get("predictions", []) if each["goals"] and each["speed"] == 1.0}
        if {"after", "rival"} <= set(of):
            count += 1
            right += min(of, key=lambda take: of[take]["value_s"]) == min(of, key=lambda take: of[take]["measured_s"])
    return [right, count]


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
    everywhere, covered = figures["errors_everywhere"], figures["inside"]
    if covered["predictions"]:
        share = covered["inside"] / covered["predictions"]
        lines.append(
            f"Over all {covered['predictions']} predictions (scenario, route and load): median error "
            f"{everywhere['median']:.0%}, within 20 % in {everywhere['within_20_percent']}."
        )
        lines.append(
            f"{covered['inside']} of them, {share:.0%}, lie inside their interval of 80 % "
            f"(95 % sure: {covered['low']:.0%} to {covered['high']:.0%})."
        )
    better, both = figures["better"]
    lines.append(f"Of two moves the one priced best was measured best in {better} of {both} scenarios.")
    stable, named = figures["stable"]
    lines.append(f"What was named first came first in at least {STABLE:.0%} of resamples in {stable} of {named}.")
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
    found, promise = result["find"], promise_of(result)
    cells = [name, _named(found["first"]), "yes" if found["right"] else "**no**", show_seconds(found["now_s"])]
    if promise is None:
        return "| " + " | ".join([*cells, "", "", ""]) + " |"
    low, high = show_seconds(promise["low_s"]), show_seconds(promise["high_s"])
    cells.append(f"{promise['move'] or 'without it'}: {show_seconds(promise['value_s'])} ({low} to {high})")
    cells += [show_seconds(promise["measured_s"]), f"{promise['error']:+.0%}"]
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
    found, promise = result["find"], promise_of(result)
    judged = "right" if found["right"] else "WRONG"
    line = f"{scenario.name}: {judged}, {_named(found['first'])}, p95 {show_seconds(found['now_s'])}"
    if promise is not None:
        line += f"; after the fix {show_seconds(promise['measured_s'])}, promised {show_seconds(promise['value_s'])}"
    return line + (f"; void: {result['void']}" if result.get("void") else "")
