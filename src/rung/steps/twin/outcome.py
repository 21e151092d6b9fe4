"""
What a workload on a topology gives.

In        nothing
Out       the value Outcome
Not here  working it out (simulate.py)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rung.steps.measure import Floats
from rung.steps.twin.workload import Workload


@dataclass(frozen=True, slots=True)
class Use:
    """
    How one resource was used.

    Attributes:
        kind: "cores", "loop", "slots", "pool", "threads" or "lock".
        name: Of the host, or the number of the worker, database or lock.
        busy: Share of its capacity that was in use, over the time of the counted arrivals; NaN where it has no limit.
        visits: How often it was asked for.
        wait_s: Mean wait at it, over all visits.
    """

    kind: str
    name: str
    busy: float
    visits: int
    wait_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """
    Latency and waiting, by simulation.

    Attributes:
        workload: What was run.
        latency_s: Of each request, counted or not, from due to the last byte.
        waited_s: Of each part, the mean over its steps of what they took beyond their service; steps on the app's own
            computing are the first part's.
        uses: Each resource.
        inside: Mean number of requests between due and last byte (for Little's law).
        lasted_s: From the first arrival to the last answer.
        events: Simulated.
    """

    workload: Workload
    latency_s: Floats
    waited_s: Floats
    uses: tuple[Use, ...]
    inside: float
    lasted_s: float
    events: int

    def latencies(self, route: int | None = None) -> Floats:
        """
        Return the latency of the counted requests (of one route).
        """
        chosen = self.workload.counted if route is None else self.workload.counted & (self.workload.route == route)
        latency_s: Floats = self.latency_s[chosen]
        return latency_s

    def percentile_s(self, percent: int, route: int | None = None) -> float:
        """
        Return a percentile of the counted requests' latency, NaN where there is none.
        """
        values = self.latencies(route)
        return float(np.percentile(values, percent, method="inverted_cdf")) if len(values) else float("nan")

    def use(self, kind: str, name: str) -> Use:
        """
        Return how that resource was used.
        """
        return next(use for use in self.uses if use.kind == kind and use.name == name)
