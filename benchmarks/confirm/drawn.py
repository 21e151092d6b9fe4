"""
How often confirm is wrong: pairs of recordings of an app that nobody changed, and of one that got faster.

Latencies are drawn, so that thousands of pairs cost seconds: lognormal, times the machine's mood, a
random walk that is pulled back (an autoregressive process over seconds) and independent in both runs.

In        --quick for a short round, --json for a document
Out       the shares of verdicts for each mood of the machine
Not here  real load (tests/end_to_end), the statistics themselves (steps/confirm.py)
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from typing import Any

import numpy as np

from rung import __version__
from rung.ports import RecordingFacts
from rung.steps.confirm import MOVED, NOT_MOVED, TOO_LITTLE, WORSE, confirm
from rung.steps.find.finding import Goal
from rung.steps.measure import Floats, Profile, Requests, Segments

GOAL = Goal(percentile=95, target_s=0.3, headroom=2.0, errors_share=0.01)
LASTED_S = 30.0
SPREAD = 0.5  # of the logarithm of latency: p95 is 2.3 times the median
KEPT_PER_S = 0.8  # of the mood from one second to the next: it lasts for about five
MOODS = {"even": 0.0, "mild": 0.1, "strong": 0.3}
FASTER = {"unchanged": 1.0, "a quarter off": 0.75, "halved": 0.5, "a tenth left": 0.1}


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.confirm", description="How often confirm is wrong.")
    parser.add_argument("--quick", action="store_true", help="40 pairs instead of 400 each")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = [
        row(change, mood, rate_per_s, pairs=40 if asked.quick else 400)
        for change in FASTER
        for mood in MOODS
        for rate_per_s in (3.0, 10.0)
    ]
    if asked.json:
        print(json.dumps({"rung": __version__, "benchmark": "confirm", "rows": rows}, indent=2))
        return
    print("| app | machine | requests/s of the route | moved | not moved | worse | too little data |")
    print("|---|---|---|---|---|---|---|")
    for one in rows:
        shares = " | ".join(f"{one[verdict]:.1%}" for verdict in (MOVED, NOT_MOVED, WORSE, TOO_LITTLE))
        print(f"| {one['app']} | {one['machine']} | {one['rate_per_s']:g} | {shares} |")


def row(change: str, mood: str, rate_per_s: float, *, pairs: int) -> dict[str, Any]:
    """
    Return the shares of verdicts over *pairs* of recordings with the same arrivals.
    """
    generator = np.random.Generator(np.random.PCG64(7))
    verdicts: Counter[str] = Counter()
    for _ in range(pairs):
        due_s = np.sort(generator.uniform(0, LASTED_S, generator.poisson(rate_per_s * LASTED_S)))
        before = recorded("before", due_s, latencies(generator, due_s, MOODS[mood]))
        after = recorded("after", due_s, FASTER[change] * latencies(generator, due_s, MOODS[mood]))
        verdicts[confirm(before, after, GOAL, None).verdict] += 1
    shares = {verdict: verdicts[verdict] / pairs for verdict in (MOVED, NOT_MOVED, WORSE, TOO_LITTLE)}
    return {"app": change, "machine": mood, "rate_per_s": rate_per_s, "pairs": pairs, **shares}


def latencies(generator: np.random.Generator, due_s: Floats, mood: float) -> Floats:
    """
    Return a latency for each arrival, seconds.
    """
    steps = generator.normal(0, mood * math.sqrt(1 - KEPT_PER_S**2), int(LASTED_S) + 1)
    moods = [generator.normal(0, mood)] if mood else [0.0]
    for step in steps:
        moods.append(KEPT_PER_S * moods[-1] + step)
    drawn: Floats = 0.1 * np.exp(generator.normal(0, SPREAD, len(due_s)) + np.array(moods)[due_s.astype(np.int64)])
    return drawn


def recorded(name: str, due_s: Floats, latency_s: Floats) -> Profile:
    """
    Return the profile of one route with these arrivals and latencies, all of it unexplained.
    """
    zeros, none = np.zeros(len(due_s)), np.zeros(0)
    whole, empty = np.zeros(len(due_s), dtype=np.int64), np.zeros(0, dtype=np.int64)
    return Profile(
        facts=RecordingFacts(name, sealed=True, processes=1, dropped=0, failures=0),
        routes=("GET /",),
        parts=(),
        codes=("",),
        texts={},
        processes=1,
        queue_known=True,
        lasted_s=LASTED_S,
        requests=Requests(
            route=whole, process=whole, due_s=due_s, arrived_s=due_s, latency_s=latency_s,
            queue_s=zeros, cpu_s=zeros, other_s=latency_s, status=whole + 200,
        ),
        segments=Segments(
            request=empty, part=empty, code=empty, start_s=none, duration_s=none, own_s=none, calls=empty, rows=empty
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main()
