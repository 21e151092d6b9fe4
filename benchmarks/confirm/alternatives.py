"""
Two other intervals for the ratio of a percentile over pairs of blocks, beside the one that confirm uses.

`python -m benchmarks.confirm.alternatives [--times N]` simulates unchanged apps in turns, 300 s a side, and prints the
median half-width of each interval of 99 %, as a logarithm, and how often it leaves out the truth.

In        simulated pairs (simulated.py)
Out       a table
Not here  what confirm uses (steps/confirm/ratio.py)
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np

from benchmarks.confirm.queues import App
from benchmarks.confirm.simulated import GOAL, drawn_in_turns
from rung.steps.confirm import CONFIDENCE
from rung.steps.confirm.ratio import HALVINGS, REACH, Sample, ratio, student_t
from rung.steps.measure import percentile

APPS = (App(0.5, 0.0), App(0.5, 0.1), App(0.7, 0.0), App(0.7, 0.02), App(0.7, 0.1))
SIDE_S = 300.0
Ends = tuple[float, float]


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.confirm.alternatives")
    parser.add_argument("--times", type=int, default=100)
    times = parser.parse_args().times
    print(f"| busy | mood | {' | '.join(WAYS)} |")
    print("|--:|--:|" + "--:|" * len(WAYS))
    for app in APPS:
        generator = np.random.Generator(np.random.PCG64(5))
        ends: dict[str, list[Ends]] = {name: [] for name in WAYS}
        for _ in range(times):
            compared = drawn_in_turns(generator, app, SIDE_S)
            sides = compared.requests(compared.routes[0])
            for name, way in WAYS.items():
                ends[name].append(way(*sides, compared.pairs))
        cells = [
            f"±{np.median([(high - low) / 2 for low, high in each]):.3f}, "
            f"{np.mean([not low <= 0 <= high for low, high in each]):.0%} out"
            for each in ends.values()
        ]
        print(f"| {app.utilisation:.0%} | {app.mood:g} | {' | '.join(cells)} |", flush=True)


def slowest_by_side(before: Sample, after: Sample, pairs: int) -> Ends:
    """
    Return the interval that confirm uses.
    """
    found = ratio(before, after, pairs, GOAL.percentile, confidence=CONFIDENCE)
    assert found is not None
    return math.log(found.low), math.log(found.high)


def of_blocks(before: Sample, after: Sample, pairs: int) -> Ends:
    """
    Return the mean of the logarithms of the blocks' own ratios, give or take Student's t.
    """
    logs = [
        math.log(
            percentile(after.latency_s[after.block == pair], GOAL.percentile)
            / percentile(before.latency_s[before.block == pair], GOAL.percentile)
        )
        for pair in range(pairs)
    ]
    width = student_t(CONFIDENCE, pairs - 1) * float(np.std(logs, ddof=1)) / math.sqrt(pairs)
    return float(np.mean(logs)) - width, float(np.mean(logs)) + width


def over_all(before: Sample, after: Sample, pairs: int) -> Ends:
    """
    Return the ratios with which as many requests of both sides pass one limit for all blocks (Woodruff 1952).
    """
    limit = student_t(CONFIDENCE, pairs - 1)

    def believed(log_ratio: float) -> bool:
        scaled_s = after.latency_s / math.exp(log_ratio)
        limit_s = percentile(np.concatenate([before.latency_s, scaled_s]), GOAL.percentile)
        beyond = [
            np.bincount(side.block, weights=values_s > limit_s, minlength=pairs)
            for side, values_s in ((before, before.latency_s), (after, scaled_s))
        ]
        apart = beyond[0] - beyond[1]
        error = math.sqrt(pairs / (pairs - 1) * float(((apart - apart.mean()) ** 2).sum()))
        return abs(float(apart.sum())) <= limit * error

    middle = math.log(percentile(after.latency_s, GOAL.percentile) / percentile(before.latency_s, GOAL.percentile))
    ends = []
    for reach in (-REACH, REACH):
        good, bad = middle, reach
        for _ in range(HALVINGS):
            between = (good + bad) / 2
            good, bad = (between, bad) if believed(between) else (good, between)
        ends.append(good)
    return ends[0], ends[1]


WAYS: dict[str, Callable[[Sample, Sample, int], Ends]] = {
    "limit over all blocks": over_all,
    "percentile of each block": of_blocks,
    "slowest of each pair, by side": slowest_by_side,
}


if __name__ == "__main__":
    main()
