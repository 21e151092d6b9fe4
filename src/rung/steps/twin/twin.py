"""
The recorded app, ready to be asked what if.

In        a Profile
Out       outcomes of the recorded traffic, as it was or as a model makes it; its numbers set right by what the twin
          misses of its own recording
Not here  which questions to ask (find/, price/)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rung.steps.measure import Floats, Profile
from rung.steps.twin.blocks import STEPS_MAX
from rung.steps.twin.calibrate import Calibration, calibrated
from rung.steps.twin.idle import Share, shares_in_use
from rung.steps.twin.outcome import Outcome
from rung.steps.twin.recover import recover
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import Topology
from rung.steps.twin.workload import Workload

Model = Callable[[Workload, Topology], tuple[Workload, Topology]]

RESIDUAL_MAX = 0.15  # at the goal's number; a twin that errs by more is not asked
SPEED_MAX = 16.0
SPEED_STEPS = 5


@dataclass(frozen=True, slots=True)
class Limit:
    """
    How much more traffic there could be.

    Attributes:
        speed: By how much arrivals may speed up; at least SPEED_MAX where that bears it, too.
        first: What breaks first then, in words: a route, or a resource that is full.
    """

    speed: float
    first: str


class Twin:
    """
    One recording, as a workload and a topology that reproduce it.

    Attributes:
        base: The recorded traffic run again as it was.
        scale: Per route, by how much the recorded percentile of a number is more than the twin's; see `number`.
    """

    def __init__(self, profile: Profile, *, steps_max: int = STEPS_MAX) -> None:
        recovered = recover(profile, steps_max=steps_max)
        self.profile = profile
        self.calibration: Calibration = calibrated(profile, recovered)
        self.notes = recovered.notes
        self.workload, self.topology = self.calibration.workload, recovered.topology
        self.base = self.calibration.base
        self._as_recorded = {1.0: self.base}
        self._residuals: dict[tuple[str, int], float] = {}

    def run(self, model: Model | None = None, *, speed: float = 1.0) -> Outcome:
        """
        Run the recorded traffic again, as *model* makes it and that much faster.
        """
        workload, topology = self._made(model)
        if workload is not self.workload or topology is not self.topology:
            return simulate(workload, topology, speed=speed)
        if speed not in self._as_recorded:
            self._as_recorded[speed] = simulate(workload, topology, speed=speed)
        return self._as_recorded[speed]

    @property
    def rate_per_s(self) -> float:
        """
        The requests a second that are run, at the speed at which they were recorded.
        """
        due_s = self.workload.due_s
        return len(due_s) / max(float(due_s[-1] - due_s[0]), 1e-9) if len(due_s) else 0.0

    def residual(self, route: str, percent: int) -> float:
        """
        Return by what share the twin's percentile of a route misses the recorded one; NaN without either.
        """
        # Asked for with every price, of as many requests as were recorded.
        if (route, percent) not in self._residuals:
            recorded_s, simulated_s = self._recorded_s(route, percent), self._raw_s(self.base, route, percent)
            self._residuals[route, percent] = simulated_s / recorded_s - 1 if recorded_s > 0 else math.nan
        return self._residuals[route, percent]

    def number(self, outcome: Outcome, route: str, percent: int) -> float:
        """
        Return a route's percentile, set right by what the twin misses of the recorded one.
        """
        return self._raw_s(outcome, route, percent) * self.scale(route, percent)

    def scale(self, route: str, percent: int) -> float:
        """
        Return by what a simulated percentile of a route is multiplied.
        """
        residual = self.residual(route, percent)
        return 1.0 / (1.0 + residual) if residual > -1 else 1.0

    def latencies(self, outcome: Outcome, route: str) -> Floats:
        """
        Return the simulated latency of each counted request of a route.
        """
        return outcome.latencies(self._place(route))

    def counted_due_s(self, route: str) -> Floats:
        """
        Return when each of those requests arrived.
        """
        due_s: Floats = self.workload.due_s[self.workload.counted & (self.workload.route == self._place(route))]
        return due_s

    def bears(self, model: Model | None = None) -> Limit:
        """
        Return how much faster requests could come before something is full, by what each takes of each resource.
        """
        used = shares_in_use(*self._made(model))
        fullest = max((share for share in used if share.busy > 0), key=lambda share: share.busy, default=None)
        if fullest is None:
            return Limit(math.inf, "")
        return Limit(1.0 / fullest.busy, words(fullest))

    def limit(self, holds: Callable[[Outcome], str], model: Model | None = None) -> Limit:
        """
        Return how much faster requests could come before *holds* names something that is broken.
        """
        low, high, first = 1.0, SPEED_MAX, ""
        full = self.bears(model)
        if full.speed < high:
            high, first = max(full.speed, low), full.first
        for _ in range(SPEED_STEPS):
            middle = math.sqrt(low * high)
            broken = holds(self.run(model, speed=middle))
            if broken:
                high, first = middle, broken
            else:
                low = middle
        return Limit(low, first)

    def _made(self, model: Model | None) -> tuple[Workload, Topology]:
        return (self.workload, self.topology) if model is None else model(self.workload, self.topology)

    def _place(self, route: str) -> int:
        return self.workload.routes.index(route)

    def _raw_s(self, outcome: Outcome, route: str, percent: int) -> float:
        return outcome.percentile_s(percent, self._place(route))

    def _recorded_s(self, route: str, percent: int) -> float:
        values = self.profile.requests.latency_s[self.profile.requests.route == self.profile.routes.index(route)]
        return float(np.percentile(values, percent, method="inverted_cdf")) if len(values) else math.nan


def words(share: Share) -> str:
    """
    Return a resource in words.

    >>> words(Share("loop", "0", 0.9))
    'the event loop of an app process'
    """
    return {
        "cores": f"the processor of {share.name}",
        "loop": "the event loop of an app process",
        "lock of python": "the processor of an app process (one interpreter uses one core)",
        "slots": "the app's workers",
        "pool": "the connection pool of an app process",
        "threads": "the thread pool of an app process",
        "lock": "a lock in the database",
    }[share.kind]
