"""
Judge: is what find names the true answer, and does the price of the true fix come true?

In        the recordings before and after the fix, the Scenario
Out       a Result's parts, as JSON takes them
Not here  making the recordings (stage.py), tables (report.py)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gauntlet.scenario import Fix, Scenario
from rung import wire
from rung.loop import Look
from rung.steps.find.finding import Suspect
from rung.steps.measure import Profile, percentile
from rung.steps.price.quote import Quote

PERCENTILE = 95
SEAMS_SHOWN = 6
NOTHING = "nothing"
BY_MOVE, BY_COUNTERFACTUAL = "move", "counterfactual"


def looked_at(folder: Path, dsn: str, scenario: Scenario, recording: str) -> Look:
    """
    Return what the command line would show of the recording: the finding, and the price of each move.
    """
    goal = {
        "goal.latency": f"{scenario.goal_s}s",
        "goal.percentile": str(PERCENTILE),
        "goal.headroom": f"{scenario.headroom}",
    }
    with wire.workplace({"folder": ".", **goal}, database=dsn, folder=folder).loop() as loop:
        return loop.look(recording)


def profiled(folder: Path, recording: str) -> Profile:
    """
    Return what the recording shows, without asking a database.
    """
    with wire.workplace({"folder": "."}, database=None, folder=folder).loop() as loop:
        return loop.measure(recording)


def named(look: Look, scenario: Scenario) -> dict[str, Any]:
    """
    Return what was named first, and whether that is right.
    """
    suspect = look.finding.bottleneck if look.finding.verdict != NOTHING else None
    right = is_right(suspect, scenario)
    return {
        "verdict": look.finding.verdict,
        "right": right,
        "first": _shown(suspect),
        "second": _shown(look.finding.runner_up),
        "route": look.finding.route,
        "now_s": look.finding.now.value,
        "doubts": list(look.finding.doubts),
        "notes": list(look.finding.notes),
    }


def is_right(suspect: Suspect | None, scenario: Scenario) -> bool:
    """
    Return whether *suspect* is the scenario's true answer; None is that of a healthy one.
    """
    if suspect is None or not scenario.truth:
        return suspect is None and not scenario.truth
    texts = (suspect.part.name, suspect.statement, suspect.code)
    return any(culprit.is_met_by(suspect.part.seam, *texts) for culprit in scenario.truth)


def _shown(suspect: Suspect | None) -> dict[str, Any] | None:
    if suspect is None:
        return None
    return {
        "seam": suspect.part.seam, "name": suspect.part.name, "statement": suspect.statement, "code": suspect.code,
        "route": suspect.route, "without_s": suspect.without_s.value, "stability": suspect.stability,
    }  # fmt: skip


def priced(look: Look, fix: Fix) -> dict[str, Any] | None:
    """
    Return the promise for *fix*: the price of its move where there is one, else the number without the bottleneck.
    """
    quotes = [
        quote for quote in look.quotes if quote.predicted is not None and quote.name.startswith(fix.moves or "\0")
    ]
    if quotes:
        quote = min(quotes, key=_promised_s)
        assert quote.predicted is not None
        value = quote.predicted
        return {"by": BY_MOVE, "name": quote.name, "value_s": value.value, "low_s": value.low, "high_s": value.high}
    suspect = look.finding.bottleneck
    if suspect is None:
        return None
    value = suspect.without_s
    return {"by": BY_COUNTERFACTUAL, "name": "", "value_s": value.value, "low_s": value.low, "high_s": value.high}


def _promised_s(quote: Quote) -> float:
    return quote.predicted.value if quote.predicted is not None else float("inf")


def quotes_of(look: Look) -> list[dict[str, Any]]:
    """
    Return all prices.
    """
    return [
        {
            "name": quote.name, "rung": quote.rung, "verdict": quote.verdict, "reason": quote.reason,
            "predicted_s": None if quote.predicted is None
            else [quote.predicted.value, quote.predicted.low, quote.predicted.high],
        }
        for quote in look.quotes
    ]  # fmt: skip


def compared(promise: dict[str, Any] | None, profile: Profile, route: str) -> dict[str, Any]:
    """
    Return the goal's number after the fix, beside what was promised.
    """
    if route not in profile.routes:
        return {"route": route, "measured_s": None, "promise": promise, "error": None, "inside": None}
    chosen = profile.requests.route == profile.routes.index(route)
    measured_s = percentile(profile.requests.latency_s[chosen], PERCENTILE)
    return {
        "route": route,
        "measured_s": measured_s,
        "promise": promise,
        "error": None if promise is None else promise["value_s"] / measured_s - 1.0,
        "inside": None if promise is None else promise["low_s"] <= measured_s <= promise["high_s"],
    }


def account(profile: Profile) -> dict[str, Any]:
    """
    Return where the time of each route goes, most first: to see that a scenario shows its fault.
    """
    requests, routes = profile.requests, {}
    for index, route in enumerate(profile.routes):
        chosen = requests.route == index
        spent_s = {part.seam: 0.0 for part in profile.parts}
        for seam in spent_s:
            spent_s[seam] = float(profile.seconds_on_seam(seam)[chosen].mean())
        for seam, column in (("queue", requests.queue_s), ("cpu", requests.cpu_s), ("other", requests.other_s)):
            spent_s[seam] = spent_s.get(seam, 0.0) + float(column[chosen].mean())
        most = sorted(spent_s.items(), key=lambda item: -item[1])[:SEAMS_SHOWN]
        p50_s, p95_s, p99_s = np.percentile(requests.latency_s[chosen], [50, 95, 99], method="inverted_cdf").tolist()
        routes[route] = {
            "requests": int(chosen.sum()), "p50_s": p50_s, "p95_s": p95_s, "p99_s": p99_s, "mean_s_by_seam": dict(most),
        }  # fmt: skip
    return routes
