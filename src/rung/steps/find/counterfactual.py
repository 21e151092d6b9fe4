"""
Ask the twin what the goal's number would be if one thing cost nothing.

In        the Twin, the Trial of the goal's route
Out       what gains most and what gains most after it, waiting of others included
Not here  what the recorded times alone say (trial.py)

Everything is screened first, by the time that the route's requests spend on it and by how much of the resources all
requests take of it; what is left is simulated one by one.
"""

from __future__ import annotations

import numpy as np

from rung.steps.find.finding import Suspect
from rung.steps.find.resample import resampled_blocks
from rung.steps.find.trial import WAITED_FOR, Candidate, Trial
from rung.steps.measure import CPU, OTHER, QUEUE, Floats, Part, percentile
from rung.steps.twin import edit
from rung.steps.twin.outcome import Outcome
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Model, Twin
from rung.steps.twin.workload import Op, Workload

BY_TIME, BY_DEMAND = 6, 4  # candidates that are simulated
WAIT_SHARE_MIN = 0.005  # of the route's time; what is waited for less is no candidate


def suspects(twin: Twin, trial: Trial, *, speed: float = 1.0) -> tuple[Suspect, ...]:
    """
    Return what gains most and what gains most after it, when requests come *speed* times as fast.
    """
    if speed == 1.0 and overloaded(twin):
        return by_rate(twin, trial)
    scale = twin.scale(trial.route, trial.percent)
    base = twin.base if speed == 1.0 else twin.run(speed=speed)
    latency_s = twin.latencies(base, trial.route) * scale
    left: dict[Candidate, Floats] = {}
    for candidate in candidates(twin, trial, base):
        outcome = twin.run(taken_away(candidate), speed=speed)
        left[candidate] = np.minimum(twin.latencies(outcome, trial.route) * scale, np.inf)
    return trial.ranked(latency_s, left, resampled_blocks(twin.counted_due_s(trial.route)))


def overloaded(twin: Twin) -> bool:
    """
    Return whether more requests came than something can serve: latency then grows for as long as it is looked at.
    """
    return twin.bears().speed < 1.0


def by_rate(twin: Twin, trial: Trial) -> tuple[Suspect, ...]:
    """
    Return without what the app would bear most, and what comes after it: under overload p95 has no steady value.

    What is full is summed up and not simulated, so a twin that misses the recorded waiting tells it as well.
    """
    names = [*trial.profile.parts, OTHER]
    asked = [Candidate(part) for part in names if part.seam not in WAITED_FOR and twin.workload.part_of(part) >= 0]
    asked = [each for each in asked if each.part != CPU]
    asked += [Candidate(CPU, route) for route in twin.workload.routes]
    asked += [Candidate(part) for part in (Part("pool", ""), Part("threads", ""), QUEUE)]
    rates = {each: twin.rate_per_s * twin.bears(taken_away(each)).speed for each in asked}
    return trial.bearing(twin.rate_per_s * twin.bears().speed, rates)


def candidates(twin: Twin, trial: Trial, base: Outcome) -> list[Candidate]:
    """
    Return what is worth simulating.
    """
    profile, workload = trial.profile, twin.workload
    now_s = percentile(trial.latency_s, trial.percent)
    asked = [part for part in (*profile.parts, OTHER) if part.seam not in WAITED_FOR and workload.part_of(part) >= 0]
    bound = {Candidate(part): now_s - percentile(trial.without(part), trial.percent) for part in asked}
    bound |= {
        Candidate(part): max(bound[Candidate(part)], float(profile.seconds_on(part)[trial.chosen].mean()))
        for part in asked
    }
    bound[Candidate(CPU, trial.route)] = now_s - percentile(trial.without(CPU), trial.percent)
    bound.pop(Candidate(CPU), None)
    found = [each for each, gain in sorted(bound.items(), key=lambda item: -item[1])[:BY_TIME] if gain > 0]
    found += [each for each in demanding(workload) if each not in found]
    return found + [each for each in waiting(trial, base) if each not in found]


def demanding(workload: Workload) -> list[Candidate]:
    """
    Return what takes most of what is shared, whosever it is: it may keep the route waiting and not be met on it.
    """
    shared = np.isin(workload.op, (Op.EXECUTE, Op.HELP, Op.COMPUTE, Op.HOLD))
    route = workload.route[workload.request[shared]]
    part, service_s = workload.part[shared], workload.service_s[shared]
    own = workload.parts.index(CPU) if CPU in workload.parts else -1
    # The app's own computing is told by route, everything else by what it is.
    key = part * (len(workload.routes) + 1) + np.where(part == own, route + 1, 0)
    keys, place = np.unique(key, return_inverse=True)
    spent_s = np.bincount(place, weights=service_s, minlength=len(keys))
    found = []
    for number in np.argsort(-spent_s, kind="stable")[:BY_DEMAND]:
        which, of_route = divmod(int(keys[number]), len(workload.routes) + 1)
        found.append(Candidate(workload.parts[which], workload.routes[of_route - 1] if of_route else ""))
    return found


def waiting(trial: Trial, base: Outcome) -> list[Candidate]:
    """
    Return the resources of the app that are waited for.
    """
    waited_s = {"pool": 0.0, "threads": 0.0, "loop": 0.0, "slots": 0.0}
    for use in base.uses:
        if use.kind in waited_s:
            waited_s[use.kind] += use.visits * use.wait_s
        elif use.kind == "lock of python":
            waited_s["loop"] += use.visits * use.wait_s
    total_s = float(base.latencies().sum())
    parts = {"pool": Part("pool", ""), "threads": Part("threads", ""), "loop": Part("loop", ""), "slots": QUEUE}
    named = {part.seam: part for part in trial.profile.parts}
    return [
        Candidate(named.get(parts[kind].seam, parts[kind]) if kind in {"pool", "threads"} else parts[kind])
        for kind, seconds_s in waited_s.items()
        if total_s and seconds_s / total_s > WAIT_SHARE_MIN
    ]


def taken_away(candidate: Candidate) -> Model:
    """
    Return the model in which *candidate* costs nothing.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        if not candidate.route:
            return edit.without(workload, topology, candidate.part)
        chosen = edit.spent_on(workload, candidate.part) & edit.on_route(workload, candidate.route)
        return edit.replaced(workload, chosen, 0.0), topology

    return model
