"""
Judge: is what find names the true answer, and does the price of the true fix come true?

In        the recordings before and after the fix, the Scenario
Out       a Result's parts, as JSON takes them
Not here  making the recordings (stage.py), tables (report.py)
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gauntlet.scenario import Culprit, Fix, Scenario, Take
from rung import wire
from rung.loop import Look
from rung.steps.find.counterfactual import taken_away
from rung.steps.find.finding import Suspect
from rung.steps.find.trial import Candidate
from rung.steps.measure import CPU, OTHER, Part, Profile, percentile
from rung.steps.price.predict import predicted
from rung.steps.price.quote import Offer
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Model, Twin
from rung.steps.twin.variant import unchanged
from rung.steps.twin.workload import Op, Workload

ROOT = Path(__file__).resolve().parents[2]
PERCENTILE = 95
SEAMS_SHOWN = 6
REQUESTS_MIN = 60  # of a route in one load: below it, its number says nothing
NOTHING = "nothing"
BY_MOVE, BY_COUNTERFACTUAL, BY_SPEED = "move", "counterfactual", "speed"


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What the command line would show of a recording, and what its prices are made of.
    """

    look: Look
    twin: Twin
    offers: tuple[Offer, ...]


def seen_in(folder: Path, dsn: str, scenario: Scenario, recording: str) -> Seen:
    """
    Return what find and price make of the recording.
    """
    goal = {
        "goal.latency": f"{scenario.goal_s}s",
        "goal.percentile": str(PERCENTILE),
        "goal.headroom": f"{scenario.headroom}",
    }
    with wire.workplace({"folder": ".", **goal}, database=dsn, folder=folder).loop() as loop:
        look = loop.look(recording)
        twin = Twin(look.profile)
        offers: list[Offer] = []
        if look.finding.verdict != NOTHING:
            for move in loop.moves:
                offers += loop.ask(move.offers(look.profile, twin, look.finding), recording)
        return Seen(look, twin, tuple(offers))


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
    texts = (suspect.part.name, suspect.statement, suspect.code, function_at(suspect.code))
    return any(culprit.is_met_by(suspect.part.seam, *texts) for culprit in scenario.truth)


def function_at(code: str) -> str:
    """
    Return the function that a line of the project's code is in, "" for other lines.

    >>> function_at("benchmarks/gauntlet/judge.py:1"), function_at("")
    ('', '')
    """
    path, _, line = code.rpartition(":")
    file = ROOT / path
    if not line.isdecimal() or not file.is_file():
        return ""
    holding = [
        node
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.lineno <= int(line) <= (node.end_lineno or node.lineno)
    ]
    return max(holding, key=lambda node: node.lineno).name if holding else ""


def _shown(suspect: Suspect | None) -> dict[str, Any] | None:
    if suspect is None:
        return None
    return {
        "seam": suspect.part.seam, "name": suspect.part.name, "statement": suspect.statement, "code": suspect.code,
        "route": suspect.route, "without_s": suspect.without_s.value, "stability": suspect.stability,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Promise:
    """
    What one load is held against: how it was come by, of which move, and what it makes of the recorded traffic.
    """

    by: str
    name: str
    model: Model
    bounds: tuple[Model, ...] = ()


def promised(seen: Seen, fix: Fix | None) -> Promise | None:
    """
    Return the promise for *fix*: its move's, where there is one; else the traffic without what it takes away.

    None where nothing is promised: another move that is not offered, or nothing named.
    """
    if fix is None:
        return Promise(BY_SPEED, "nothing", unchanged)
    offers = [offer for offer in seen.offers if fix.moves and not offer.unpriced and offer.name.startswith(fix.moves)]
    if offers:
        offer = min(offers, key=lambda offer: _number(seen, offer.model))
        return Promise(BY_MOVE, offer.name, offer.model, offer.bounds)
    suspect = seen.look.finding.bottleneck
    if fix.rival or suspect is None:
        return None
    if fix.takes_away is not None:
        if fix.takes_away.seam == CPU.seam:
            return Promise(BY_COUNTERFACTUAL, "", _waiting_instead(suspect.route, fix.leaves_s))
        return Promise(BY_COUNTERFACTUAL, "", _without(seen.look.profile, fix.takes_away, fix.leaves_s))
    return Promise(
        BY_COUNTERFACTUAL, "", taken_away(Candidate(suspect.part, suspect.route if suspect.part == CPU else ""))
    )


def _number(seen: Seen, model: Model) -> float:
    return seen.twin.number(seen.twin.run(model), seen.look.finding.route, PERCENTILE)


def _without(profile: Profile, culprit: Culprit, leaves_s: float) -> Model:
    """
    Return the model in which every part that *culprit* is met by takes *leaves_s* a call, in nobody's way.
    """
    texts = profile.texts
    parts = [
        part
        for part in profile.parts
        if culprit.is_met_by(part.seam, part.name, texts[part.name].text if part.name in texts else "")
    ] or [Part(culprit.seam, "")]

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        if culprit.seam == "lock":
            return edit.dropped(workload, np.isin(workload.op, (Op.LOCK, Op.UNLOCK))), topology
        for part in parts:
            if leaves_s:
                chosen = edit.spent_on(workload, part)
                waiting = edit.asking(workload, chosen, Op.DELAY, part=workload.part_of(part))
                workload = edit.replaced(waiting, chosen, leaves_s)
            else:
                workload, topology = edit.without(workload, topology, part)
        return workload, topology

    return model


def _waiting_instead(route: str, wait_s: float) -> Model:
    """
    Return the model in which the longest computing of each request of *route* is a wait of so long, in nobody's way.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        computing = np.flatnonzero(edit.on_route(workload, route) & (workload.op == Op.COMPUTE))
        order = np.lexsort((-workload.service_s[computing], workload.request[computing]))
        longest = edit.chosen_of(workload, computing[order[edit.firsts(workload.request[computing][order])]])
        waiting = edit.asking(workload, longest, Op.DELAY, part=workload.part_of(OTHER))
        return edit.replaced(waiting, longest, wait_s), topology

    return model


def predictions(seen: Seen, take: Take, profile: Profile) -> list[dict[str, Any]]:
    """
    Return each route's number in one load, beside what was promised of it.
    """
    promise = promised(seen, take.fix)
    if promise is None:
        return []
    told = []
    outcomes = [seen.twin.run(model, speed=take.speed) for model in (promise.model, *promise.bounds)]
    for number in seen.look.finding.routes:
        if not number.judged or not number.requests or number.route not in profile.routes:
            continue
        chosen = profile.requests.route == profile.routes.index(number.route)
        if chosen.sum() < REQUESTS_MIN:
            continue
        measured_s = percentile(profile.requests.latency_s[chosen], PERCENTILE)
        value = predicted(seen.twin, number.route, PERCENTILE, outcomes)
        told.append(
            {
                "take": take.name, "speed": take.speed, "by": promise.by, "move": promise.name, "route": number.route,
                "goals": number.route == seen.look.finding.route, "requests": int(chosen.sum()),
                "residual": seen.twin.residual(number.route, PERCENTILE),
                "value_s": value.value, "low_s": value.low, "high_s": value.high, "measured_s": measured_s,
                "error": value.value / measured_s - 1.0, "inside": value.low <= measured_s <= value.high,
            }
        )  # fmt: skip
    return told


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
