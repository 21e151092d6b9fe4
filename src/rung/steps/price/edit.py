"""
Work out a price by editing the recorded requests one by one.

The time of each execution of the replaced part becomes a draw from recorded executions of like cost;
everything else of the request, its waiting included, stays as it was.  That is what can be said before
queues are simulated: where the part kept others waiting, the number is rather too high than too low.

In        the Profile, a Replacement
Out       the percentile of the goal's route, with an interval over blocks, draws and the surplus
Not here  which move to price, what it costs
"""

from __future__ import annotations

import numpy as np

from rung.steps.find.finding import Finding, Interval
from rung.steps.find.resample import resampled_blocks
from rung.steps.measure import Profile
from rung.steps.price.quote import Replacement


def predicted(profile: Profile, finding: Finding, replacement: Replacement) -> Interval:
    """
    Return the goal's number after *replacement*, with the range of 80 % of the draws.

    Each resample of blocks draws the replaced times anew, and the surplus from a triangle between its
    low, middle and high; the seed is fixed, so the same recording gives the same price.
    """
    generator = np.random.Generator(np.random.PCG64(1))
    chosen = np.flatnonzero(profile.requests.route == profile.routes.index(finding.route))
    kept_s = (profile.requests.latency_s - profile.seconds_on(replacement.part))[chosen]
    request, calls = _executions(profile, replacement, chosen)
    low_s, middle_s, high_s = replacement.surplus_s
    values = []
    resamples = resampled_blocks(profile.requests.due_s[chosen])
    for resample in range(len(resamples)):
        surplus_s = generator.triangular(low_s, middle_s, high_s) if high_s > low_s else middle_s
        like_s = generator.choice(replacement.likeness_s, size=len(request)) + surplus_s
        new_s = kept_s + np.bincount(request, weights=like_s * calls, minlength=len(chosen))
        values.append(resamples.percentile_of(new_s, resample, finding.goal.percentile))
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return Interval(float(middle), float(low), float(high))


def _executions(profile: Profile, replacement: Replacement, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return for each execution its request's place in *chosen*, and the calls that it stands for.
    """
    segments = profile.segments
    place = np.full(len(profile.requests), -1)
    place[chosen] = np.arange(len(chosen))
    met = (segments.part == profile.parts.index(replacement.part)) & (place[segments.request] >= 0)
    return place[segments.request[met]], segments.calls[met]
