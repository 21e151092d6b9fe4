"""
How much the twin has to run: what a shorter excerpt of the traffic costs in the prices that come of it.

Recordings of some minutes are priced from excerpts of several lengths, and each price is held against that of the
longest: what an excerpt misses because of which requests happen to be in it.

In        --quick for one short recording, --json for a document
Out       by steps simulated: processor time of a run; how far p95 by route is from that of the longest excerpt
Not here  how far the twin is from the truth (benchmarks/gauntlet)
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.twin import traffic
from rung import __version__, wire
from rung.steps.measure import Part, Profile
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Model, Twin
from rung.steps.twin.workload import Workload
from rung.units import show_share

STEPS = (50_000, 100_000, 150_000, 200_000, 300_000, 600_000)
LASTS_S, SEEDS = 300.0, (1, 2)
QUICK_STEPS, QUICK_LASTS_S, QUICK_SEEDS = (20_000, 60_000), 60.0, (1,)
PERCENT = 95
FASTER = 1.3


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.twin.bound", description="How much the twin must run.")
    parser.add_argument("--quick", action="store_true", help="one recording of a minute")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    steps, lasts_s, seeds = (QUICK_STEPS, QUICK_LASTS_S, QUICK_SEEDS) if asked.quick else (STEPS, LASTS_S, SEEDS)
    rows = summed([row for seed in seeds for row in errors(seed, lasts_s, steps)])
    if asked.json:
        print(json.dumps({"benchmark": "twin.bound", "rung": __version__, "lasts_s": lasts_s, "rows": rows}, indent=2))
        return
    print("| steps | a run, processor time | p95, median error | worst of ten | as p95 itself, median error |")
    print("|--:|--:|--:|--:|--:|")
    for row in rows:
        shares = " | ".join(show_share(row[name]) for name in ("median", "of_ten", "plain_median"))
        print(f"| {row['steps']:,} | {row['run_cpu_s']:.2f} s | {shares} |")


def errors(seed: int, lasts_s: float, steps: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """
    Yield for each excerpt, question and route of one recording by how much its p95 misses that of all of the traffic.
    """
    profile = recorded(seed, lasts_s)
    truth = answers(Twin(profile, steps_max=10**9))
    for steps_max in steps:
        for key, (number_s, plain_s, run_cpu_s) in answers(Twin(profile, steps_max=steps_max)).items():
            true_s, true_plain_s, _ = truth[key]
            yield {
                "steps": steps_max, "run_cpu_s": run_cpu_s, "error": abs(number_s / true_s - 1),
                "plain": abs(plain_s / true_plain_s - 1),
            }  # fmt: skip


def recorded(seed: int, lasts_s: float) -> Profile:
    """
    Return the profile of a recording of that length.
    """
    with tempfile.TemporaryDirectory(prefix="rung-bound-") as home:
        made = traffic.write(Path(home), lasts_s=lasts_s, rate_per_s=200.0, workers=4, seed=seed)
        with wire.workplace({"folder": "."}, database=None, folder=Path(home)).loop() as loop:
            return loop.measure(made.name)


def answers(twin: Twin) -> dict[tuple[str, str], tuple[float, float, float]]:
    """
    Return p95 by question and route: as a price tells it, as the run has it, and what the run took.
    """
    found = {}
    for name, (model, speed) in QUESTIONS.items():
        begun_s = _cpu_s()
        outcome = twin.run(model, speed=speed)
        took_s = _cpu_s() - begun_s
        for route in twin.workload.routes:
            number_s = twin.number(outcome, route, PERCENT)
            found[name, route] = (number_s, number_s / twin.scale(route, PERCENT), took_s)
    return found


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _slow_statement_in_a_third(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
    slow = edit.spent_on(workload, Part("query", traffic.fingerprint(traffic.ORDERS)))
    return edit.scaled(workload, slow, 1 / 3), topology


def _smaller_pools(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
    return workload, replace(topology, workers=tuple(replace(worker, pool=6) for worker in topology.workers))


QUESTIONS: dict[str, tuple[Model | None, float]] = {
    "slow statement in a third of its time": (_slow_statement_in_a_third, 1.0),
    "more traffic": (None, FASTER),
    "pools of six": (_smaller_pools, 1.0),
}


def summed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Return one row for each length of an excerpt.
    """
    found = []
    for steps in sorted({row["steps"] for row in rows}):
        ours = [row for row in rows if row["steps"] == steps]
        error, plain = (np.array([row[name] for row in ours]) for name in ("error", "plain"))
        found.append({
            "steps": steps, "run_cpu_s": float(np.median([row["run_cpu_s"] for row in ours])),
            "median": float(np.median(error)), "of_ten": float(np.quantile(error, 0.9)),
            "plain_median": float(np.median(plain)), "predictions": len(ours),
        })  # fmt: skip
    return found


if __name__ == "__main__":
    main()
