"""
A server that nobody had to start: requests wait in line for one thing that is busy, on a machine whose speed drifts.

Arrivals are Poisson's, service is lognormal; a share of its spread belongs to the request (the same one costs the same
again), the rest is drawn anew each time.  The machine's mood multiplies service: two processes that are pulled back
(Ornstein-Uhlenbeck), one that lasts for seconds and one that lasts for minutes.

In        utilisation, mood, how much cheaper a request has become
Out       latencies by block, as the sender of `rung confirm --pairs` cuts them, or as a recording has them
Not here  what is concluded (steps/confirm), counting verdicts (__main__.py)
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from rung.steps.measure import Floats

RATE_PER_S = 100.0
SPREAD = 0.8  # of the logarithm of service: its variance is 0.9 of the mean squared
MOOD_LASTS_S = (5.0, 120.0)
GRID_S = 0.25
LONG_S = 4000.0


@dataclass(frozen=True, slots=True)
class App:
    """
    An app on its machine.

    Attributes:
        utilisation: Of what is busy, before the change.
        mood: Standard deviation of each part of the machine's mood, as a logarithm.
        cheaper: Service after the change as a share of service before.
        of_request: Share of the spread of service that belongs to the request: it is the same on both sides.
        rate_per_s: Requests a second.
    """

    utilisation: float
    mood: float
    cheaper: float = 1.0
    of_request: float = 0.95
    rate_per_s: float = RATE_PER_S

    @property
    def service_s(self) -> float:
        """
        Return the mean service of a request before the change.
        """
        return self.utilisation / self.rate_per_s


@dataclass(frozen=True, slots=True, eq=False)
class Arriving:
    """
    Requests: when each is due, and what of its service is its own.
    """

    due_s: Floats
    own: Floats


def arriving(generator: np.random.Generator, app: App, lasted_s: float) -> Arriving:
    """
    Return *lasted_s* seconds of requests.
    """
    due_s = np.sort(generator.uniform(0, lasted_s, generator.poisson(app.rate_per_s * lasted_s)))
    return Arriving(due_s, generator.normal(0, SPREAD * math.sqrt(app.of_request), len(due_s)))


def moods(generator: np.random.Generator, mood: float, lasted_s: float) -> Floats:
    """
    Return the logarithm of the machine's slowness on a grid of GRID_S.
    """
    count = int(lasted_s / GRID_S) + 2
    total = np.zeros(count)
    for lasts_s in MOOD_LASTS_S if mood else ():
        kept = math.exp(-GRID_S / lasts_s)
        pushes = generator.normal(0, mood * math.sqrt(1 - kept**2), count)
        value = generator.normal(0, mood)
        for place, push in enumerate(pushes.tolist()):
            value = kept * value + push
            total[place] += value
    return total


def latencies(
    generator: np.random.Generator, app: App, requests: Arriving, mood: Floats, begun_s: float, *, changed: bool
) -> Floats:
    """
    Return the latency of each of *requests*, sent to an idle server at *begun_s* of the machine's time.
    """
    drawn = requests.own + generator.normal(0, SPREAD * math.sqrt(1 - app.of_request), len(requests.own))
    place = ((begun_s + requests.due_s) / GRID_S).astype(np.int64)
    factor = app.cheaper if changed else 1.0
    service_s = factor * app.service_s * np.exp(drawn - SPREAD**2 / 2 + mood[np.minimum(place, len(mood) - 1)])
    worked_s = np.cumsum(service_s)
    # Lindley's recursion without the loop: who finishes when, after the latest moment at which nobody was waiting.
    finished_s = worked_s + np.maximum.accumulate(requests.due_s - (worked_s - service_s))
    waited_s: Floats = finished_s - requests.due_s
    return waited_s


@functools.cache
def cheaper_by(utilisation: float, effect: float, percent: int) -> float:
    """
    Return the share of service at which the percentile of latency is less by *effect*.
    """
    generator = np.random.Generator(np.random.PCG64(11))
    app = App(utilisation, 0.0)
    requests, none = arriving(generator, app, LONG_S), np.zeros(1)

    def number(share: float) -> float:
        again = np.random.Generator(np.random.PCG64(12))
        taken_s = latencies(again, App(utilisation, 0.0, share), requests, none, 0.0, changed=True)
        return float(np.percentile(taken_s, percent))

    low, high, wanted = 0.05, 1.0, number(1.0) * (1 - effect)
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if number(middle) < wanted else (low, middle)
    return (low + high) / 2
