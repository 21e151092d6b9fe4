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
FACTOR_MIN = 0.5  # of one round
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
    best, rounds = (_missed(outcome, recorded_s), workload, outcome), 0
    while best[0] > NEAR and rounds < ROUNDS_MAX:
        rounds += 1
        workload = _scaled(workload, outcome, recorded_s, recovered.took_s)
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
    chosen = np.isin(workload.op, (op, Op.HELP)) if op == Op.EXECUTE else workload.op == op
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


def _asked(workload: Workload) -> Flags:
    """
    Return which steps ask something of others; the way to the app is none, or a queue before it would be made up for.
    """
    asks = (workload.op == Op.EXECUTE) | (workload.op == Op.DELAY)
    asked: Flags = asks & (workload.part != workload.part_of(QUEUE))
    return asked


def _table(workload: Workload, chosen: Flags) -> Floats:
    """
    Return the service of the *chosen* steps by route and part.
    """
    table = np.zeros((len(workload.routes), len(workload.parts)))
    np.add.at(table, (workload.route[workload.request[chosen]], workload.part[chosen]), workload.service_s[chosen])
    return table


def _scaled(workload: Workload, outcome: Outcome, recorded_s: Floats, took_s: Floats) -> Workload:
    """
    Return *workload* with what each route asks of others shorter or longer by as much as its latency is missed.

    By the smaller of what the mean and the median are missed by, and not at all where they disagree: a tail that the
    simulation does not make is not to be made up for by slower service.  What is missing was taken for waiting where
    it was service, so it goes where so much was taken away, and no more than that: the time that a part took beyond
    its service.  It keeps nobody else waiting, for the server accounts for its own.
    """
    count = np.bincount(workload.route, minlength=len(workload.routes))
    means, medians = _differences(outcome, recorded_s)
    more_s = np.where(means * medians > 0, np.sign(means) * np.minimum(np.abs(means), np.abs(medians)), 0.0)
    more_s = np.where(count >= REQUESTS_MIN, more_s * count, 0.0)
    asked, of_query = _asked(workload), np.array([part.seam == "query" for part in workload.parts])[workload.part]
    delays = asked & (workload.op == Op.DELAY)
    asked_s, delayed_s = _table(workload, asked), _table(workload, delays)
    # A driver's computing within a statement is time of the statement's.
    left_s = np.maximum(took_s - asked_s - _table(workload, of_query & (workload.op == Op.COMPUTE)), 0.0)
    all_left_s = left_s.sum(axis=1)
    # Near a limit latency falls by more than what is asked for, so this goes half of the way.
    ran_s = np.bincount(workload.route, weights=outcome.latency_s, minlength=len(count))
    far = 1.0 + np.divide(more_s, ran_s, out=np.zeros_like(ran_s), where=ran_s > 0)
    shorter = np.sqrt(np.clip(far, FACTOR_MIN, 1.0))
    share = np.clip(np.divide(more_s, all_left_s, out=np.zeros_like(ran_s), where=all_left_s > 0), 0.0, 1.0)
    carried_s = np.where(delayed_s > 0, delayed_s, asked_s)
    longer = 1.0 + np.divide(share[:, None] * left_s, carried_s, out=np.zeros_like(left_s), where=carried_s > 0)
    route = workload.route[workload.request]
    carries = delays | (asked & (delayed_s[route, workload.part] == 0))
    scale = np.where(asked | (workload.op == Op.HELP), shorter[route], 1.0) * np.where(
        carries, longer[route, workload.part], 1.0
    )
    return replace(workload, service_s=workload.service_s * scale)
