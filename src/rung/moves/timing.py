"""
How long an execution of a plan takes the database, learnt from the statements that were recorded.

What a plan does is counted (work.py).  How long each kind of work takes differs from server to server, mostly by one
factor for all of them; a recording has few statements and cannot tell a dozen unknowns.  So it begins with what was
measured once (SECONDS), and is moved from there by each recorded statement, as far as that statement tells.

In        recorded statements: the work of an execution, and the seconds that one took
Out       low, middle and high of the seconds that other work would take
Not here  plans (adapters/planner.py), what becomes of a request (steps/twin), writes (steps/advise/entries.py)

Sources: SECONDS is measured by `python -m benchmarks.timing --only calibrate`; the question, what else was tried
and how far off it is: docs/design/0009-from-cost-to-time.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rung.moves.work import KINDS, Work
from rung.steps.measure import Floats

# Of a processor, for one of each kind of work, with data in shared buffers.
SECONDS = {
    "statement": 12e-6,
    "node": 3.3e-6,
    "descent": 0.04e-6,
    "fetched": 0.09e-6,
    "entry": 0.01e-6,
    "page": 1.5e-6,
    "scanned": 0.061e-6,
    "swept": 1.7e-6,
    "compared": 0.022e-6,
    "hashed": 0.091e-6,
    "passed": 0.094e-6,
    "returned": 0.27e-6,
}
# How far each may be from there beside the factor that all share, as a standard deviation of its logarithm.  What a
# page takes depends on whether it was in shared buffers, what a statement takes on how it was sent.
STRAYS = {"statement": 0.7, "page": 0.7, "swept": 0.3}
STRAY = 0.2
SPEED_STRAYS = 1.0  # of that factor: servers differ, and so do the machines beneath
MISSES = 0.5  # of a prediction, where the work is only what the planner expects
OUTLIER = 2.0  # a statement that misses by more than so many MISSES pulls no harder for it
NORMAL_80 = 1.2816  # 80 % of a normal distribution are within so many standard deviations
FIT_STEPS = 60
STEP_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Timed:
    """
    A recorded statement: the work of an execution, and the median seconds of those recorded.
    """

    work: Work
    time_s: float


@dataclass(frozen=True, slots=True)
class Seconds:
    """
    What an execution would take: the middle, and the ends of a range of 80 %.
    """

    low: float
    middle: float
    high: float


class Timing:
    """
    How long each kind of work takes on the recorded server.

    Attributes:
        seconds: For one of each of KINDS.
        speed: By what this server is slower than the one that SECONDS was measured on.
    """

    def __init__(self, recorded: Sequence[Timed], *, misses: float = MISSES) -> None:
        prior_s = np.array([SECONDS[kind] for kind in KINDS])
        self._misses = misses
        usable = [each for each in recorded if each.time_s > 0 and each.work.amounts @ prior_s > 0]
        moved, self._unsure = fitted(
            np.array([each.work.amounts for each in usable]).reshape(-1, len(KINDS)),
            np.array([each.time_s for each in usable]),
            prior_s=prior_s,
            strays=np.array([SPEED_STRAYS, *(STRAYS.get(kind, STRAY) for kind in KINDS)]),
            misses=np.array([math.hypot(misses, each.work.doubt) for each in usable]),
        )
        self.speed = math.exp(moved[0])
        self.seconds: Floats = prior_s * np.exp(moved[0] + moved[1:])

    def predict(self, work: Work) -> Seconds:
        """
        Return the seconds that *work* would take.

        The range holds what the recorded statements left open of each kind of work, what is doubtful of its amounts,
        and what predictions missed where all of that was known.
        """
        middle_s = float(work.amounts @ self.seconds)
        if middle_s <= 0:
            return Seconds(0.0, 0.0, 0.0)
        pulls = np.concatenate([[1.0], work.amounts * self.seconds / middle_s])
        spread = math.sqrt(float(pulls @ self._unsure @ pulls) + self._misses**2 + work.doubt**2)
        factor = math.exp(NORMAL_80 * spread)
        return Seconds(middle_s / factor, middle_s, middle_s * factor)


def fitted(work: Floats, told_s: Floats, *, prior_s: Floats, strays: Floats, misses: Floats) -> tuple[Floats, Floats]:
    """
    Return the most likely logarithms of the factor that all kinds share and of each beside it, with their covariance.

    Each logarithm is normal around 0, that of a time around its prediction; Gauss and Newton's method, in which what
    lies far off weighs less (Huber 1964).

    Args:
        work: A row a statement, a column a kind.
        told_s: What each took.
        prior_s: Seconds for one of each kind, as they are known beforehand.
        strays: How far the factor, and each kind beside it, may be from there: standard deviations of logarithms.
        misses: The same of each time around its prediction.
    """
    held = np.diag(strays**-2.0)
    moved: Floats = np.zeros(len(strays))
    curve = held
    for _ in range(FIT_STEPS if len(told_s) else 0):
        parts = work * prior_s * np.exp(moved[0] + moved[1:])
        total = parts.sum(axis=1)
        pulls = np.column_stack([np.ones(len(total)), parts / total[:, None]])
        missed = np.log(told_s / total)
        weight = np.minimum(1.0, OUTLIER * misses / np.maximum(np.abs(missed), 1e-9)) / misses**2
        curve = held + (pulls * weight[:, None]).T @ pulls
        step = np.linalg.solve(curve, (pulls * weight[:, None]).T @ missed - held @ moved)
        moved = moved + step * min(1.0, STEP_MAX / max(float(np.abs(step).max()), 1e-12))
    unsure: Floats = np.linalg.inv(curve).astype(np.float64)
    return moved, unsure
