"""
Hold the twin against its own recording before anybody believes it, and set right what was counted twice.

In        a Profile, what was recovered of it
Out       Calibration: the workload set right, and by how much the twin still misses each route's percentiles
Not here  refusing a price because of that (price/)

A statement's recorded time holds waiting that cannot be told from service in the recording alone; the simulation
makes the waiting anew.  Where the two together take longer than what was recorded, the waiting was counted twice, and
service is scaled until they agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rung.steps.measure import QUEUE, Floats, Profile
from rung.steps.twin.outcome import Outcome
from rung.steps.twin.pieces import Flags
from rung.steps.twin.recover import ROWS_MAX, Recovered
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import Topology
from rung.steps.twin.workload import Op, Workload

PERCENTILES = (50, 90, 95, 99)
ROUNDS_MAX = 4
NEAR = 0.02
FACTOR_MIN, FACTOR_MAX = 0.5, 1.5  # of one round
REQUESTS_MIN = 5
SEARCHES = 4
SCALE_MAX = 1.25
FULL_MIN = 0.6
LOCK_WAIT_NEAR = 1.25
LOCK_WAIT_S_MIN = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """
    Attributes:
        workload: What reproduces the recording best.
        base: Its run, as it was recorded.
        residuals: By route and percentile, simulated / recorded - 1, over the same requests.
        rounds: How often service was scaled.
    """

    workload: Workload
    base: Outcome
    residuals: Mapping[tuple[str, int], float]
    rounds: int


def calibrated(profile: Profile, recovered: Recovered) -> Calibration:
    """
    Return the workload of *recovered*, set right, with what the twin still misses.
    """
    recorded_s = profile.requests.latency_s[recovered.request]
    topology = recovered.topology
    workload, outcome = _locked_by_row(recovered)
    asked_max_s = np.maximum(SCALE_MAX * _asked_at_most_s(profile, recovered), _asked_s(workload))
    best, rounds = (_missed(outcome, recorded_s), workload, outcome), 0
    while best[0] > NEAR and rounds < ROUNDS_MAX:
        rounds += 1
        workload = _scaled(workload, outcome, recorded_s, asked_max_s)
        outcome = simulate(workload, topology)
        best = min(best, (_missed(outcome, recorded_s), workload, outcome), key=lambda each: each[0])
    if best[0] > NEAR:
        rounds += SEARCHES
        best = min(best, _fitted(best[1], best[2], topology, recorded_s), key=lambda each: each[0])
    _, workload, outcome = best
    return Calibration(workload, outcome, residuals(outcome, recorded_s), rounds)


def _locked_by_row(recovered: Recovered) -> tuple[Workload, Outcome]:
    """
    Return the workload, run, with each statement's lock as so many that they are waited for as long as recorded.
    """
    workload = recovered.workload
    outcome = simulate(workload, recovered.topology)
    rows = dict.fromkeys(recovered.lock_wait_s, 1)
    while True:
        waits: dict[int, list[tuple[int, float]]] = {}
        for use in outcome.uses:
            if use.kind == "lock":
                waits.setdefault(int(use.name) // ROWS_MAX * ROWS_MAX, []).append((use.visits, use.wait_s))
        more = [
            lock
            for lock, seen in waits.items()
            if rows[lock] < ROWS_MAX
            and sum(visits * wait_s for visits, wait_s in seen) / max(sum(visits for visits, _ in seen), 1)
            > LOCK_WAIT_NEAR * max(recovered.lock_wait_s[lock], LOCK_WAIT_S_MIN)
        ]
        if not more:
            return workload, outcome
        rows |= {lock: rows[lock] * 2 for lock in more}
        workload = _spread(recovered.workload, rows)
        outcome = simulate(workload, recovered.topology)


def _spread(workload: Workload, rows: Mapping[int, int]) -> Workload:
    which = workload.which.copy()
    locks = (workload.op == Op.LOCK) | (workload.op == Op.UNLOCK)
    # Which row it was is not known: as if each request had drawn one.
    drawn = np.random.Generator(np.random.PCG64(0)).integers(0, ROWS_MAX, len(workload))[workload.request]
    for lock, count in rows.items():
        ours = locks & (which == lock)
        which[ours] = lock + drawn[ours] % count
    return replace(workload, which=which)


def _fitted(
    workload: Workload, outcome: Outcome, topology: Topology, recorded_s: Floats
) -> tuple[float, Workload, Outcome]:
    """
    Return the best of a few scales of what the fullest resource is asked for: near its limit little of it counts much.
    """
    best = (_missed(outcome, recorded_s), workload, outcome)
    fullest = max((use for use in outcome.uses if use.busy >= 0), key=lambda use: use.busy, default=None)
    if fullest is None or fullest.busy < FULL_MIN:
        return best
    op = Op.EXECUTE if fullest.kind in {"cores", "pool", "lock"} else Op.COMPUTE
    chosen = workload.op == op
    low, high = (1.0, SCALE_MAX) if _signed(outcome, recorded_s) < 0 else (1.0 / SCALE_MAX, 1.0)
    for _ in range(SEARCHES):
        middle = float(np.sqrt(low * high))
        scaled = replace(workload, service_s=np.where(chosen, workload.service_s * middle, workload.service_s))
        outcome = simulate(scaled, topology)
        best = min(best, (_missed(outcome, recorded_s), scaled, outcome), key=lambda each: each[0])
        low, high = (middle, high) if _signed(outcome, recorded_s) < 0 else (low, middle)
    return best


def _signed(outcome: Outcome, recorded_s: Floats) -> float:
    return float(np.nan_to_num(outcome.latency_s).sum() - recorded_s.sum())


def residuals(outcome: Outcome, recorded_s: Floats) -> dict[tuple[str, int], float]:
    """
    Return by what share each route's simulated percentiles miss those of the same requests as recorded.
    """
    workload = outcome.workload
    found: dict[tuple[str, int], float] = {}
    for place, route in enumerate(workload.routes):
        ours = workload.counted & (workload.route == place)
        if not ours.any():
            continue
        was_s = np.percentile(recorded_s[ours], PERCENTILES, method="inverted_cdf")
        is_s = np.percentile(outcome.latency_s[ours], PERCENTILES, method="inverted_cdf")
        found |= {
            (route, percent): float(now / before - 1) if before > 0 else float("nan")
            for percent, before, now in zip(PERCENTILES, was_s, is_s, strict=True)
        }
    return found


def _missed(outcome: Outcome, recorded_s: Floats) -> float:
    """
    Return by how much mean and median latency of routes are missed, weighted by the time that they took.
    """
    workload = outcome.workload
    if not np.isfinite(outcome.latency_s).all():
        return np.inf
    count = np.bincount(workload.route, minlength=len(workload.routes))
    means, medians = _differences(outcome, recorded_s)
    missed_s = (count * (np.abs(means) + np.abs(medians)) / 2).sum()
    return float(missed_s / max(recorded_s.sum(), 1e-12))


def _differences(outcome: Outcome, recorded_s: Floats) -> tuple[Floats, Floats]:
    """
    Return by how much the recorded mean and median of each route exceed the simulated.
    """
    route, routes = outcome.workload.route, len(outcome.workload.routes)
    means, medians = np.zeros(routes), np.zeros(routes)
    for place in range(routes):
        ours = route == place
        if ours.any():
            was_s, is_s = recorded_s[ours], outcome.latency_s[ours]
            means[place] = was_s.mean() - is_s.mean()
            medians[place] = np.median(was_s) - np.median(is_s)
    return means, medians


def _asked_at_most_s(profile: Profile, recovered: Recovered) -> Floats:
    """
    Return for each route what its requests took but for their computing and their waiting for loop, thread or pool.

    What they asked of others took no longer, as far as computing and waiting are told apart exactly.
    """
    requests = profile.requests
    waited_s = sum(profile.seconds_on_seam(seam) for seam in ("loop", "pool", "threads"))
    rest_s = np.maximum(requests.latency_s - requests.cpu_s - waited_s, 0.0)[recovered.request]
    workload = recovered.workload
    return np.bincount(workload.route, weights=rest_s, minlength=len(workload.routes)).astype(np.float64)


def _asked(workload: Workload) -> Flags:
    """
    Return which steps ask something of others; the way to the app is none, or a queue before it would be made up for.
    """
    asks = (workload.op == Op.EXECUTE) | (workload.op == Op.DELAY)
    asked: Flags = asks & (workload.part != workload.part_of(QUEUE))
    return asked


def _asked_s(workload: Workload) -> Floats:
    """
    Return for each route the service that its requests ask of others, all of them together.
    """
    asked = _asked(workload)
    route = workload.route[workload.request[asked]]
    return np.bincount(route, weights=workload.service_s[asked], minlength=len(workload.routes)).astype(np.float64)


def _scaled(workload: Workload, outcome: Outcome, recorded_s: Floats, asked_max_s: Floats) -> Workload:
    """
    Return *workload* with what each route asks of others scaled by as much as its latency is missed.

    By the smaller of what the mean and the median are missed by, and not at all where they disagree: a tail that the
    simulation does not make is not to be made up for by slower service.  Nor is waiting whose cause was not recorded:
    no route asks for more than *asked_max_s* in all.
    """
    routes, request = len(workload.routes), workload.request
    count = np.bincount(workload.route, minlength=routes)
    means, medians = _differences(outcome, recorded_s)
    more_s = np.where(means * medians > 0, np.sign(means) * np.minimum(np.abs(means), np.abs(medians)), 0.0)
    all_s = _asked_s(workload)
    wanted_s = np.minimum(all_s + more_s * count, asked_max_s)
    factor = np.divide(wanted_s, all_s, out=np.ones(routes), where=all_s > 0)
    factor = np.where(count >= REQUESTS_MIN, np.clip(factor, FACTOR_MIN, FACTOR_MAX), 1.0)
    scale = np.where(_asked(workload), factor[workload.route[request]], 1.0)
    return replace(workload, service_s=workload.service_s * scale)
