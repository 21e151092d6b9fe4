"""
The command line of the benchmark: `python -m benchmarks.collector [--json] [--quick] [--views all]`.

In        --quick for a short round, --json for a document
Out       CPU of the collector at 500 requests/s, and bytes on disk per request
Not here  measuring (rounds.py)
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
from importlib import metadata
from typing import Any

from benchmarks.collector.rounds import Cost, Plan, measure
from rung import __version__, clock
from rung.units import show_bytes, show_seconds, show_share

SEED = 20261124
CPU_SHARE_MAX = 0.05
BYTES_MAX = 1_000
PEERS = ("duckdb", "msgspec", "numpy", "psutil", "psycopg")
# 500 requests/s is what is asked of CPU; 30 segments of bytes.
FULL = {"cpu": (Plan(500, 6, 4, 30.0), 5), "disk": (Plan(300, 30, 4, 30.0), 1)}
QUICK = {"cpu": (Plan(500, 6, 4, 10.0), 1), "disk": (Plan(300, 30, 4, 8.0), 1)}


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collector", description="What the collector costs.")
    parser.add_argument("--quick", action="store_true", help="one short round of each")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--database", help="sample this database as well")
    parser.add_argument(
        "--views", choices=("none", "metrics", "all"), default="none",
        help="serve metrics, scraped every 10 s; with all, send traces and metrics by OTLP as well",
    )  # fmt: skip
    asked = parser.parse_args()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNG")}
    if asked.database:
        environment["RUNG_DATABASE"] = asked.database
    begun_s = clock.now_s()
    costs = {
        name: [measure(plan, environment, seed=SEED + turn, views=asked.views) for turn in range(rounds)]
        for name, (plan, rounds) in (QUICK if asked.quick else FULL).items()
    }
    facts = {
        "date": clock.stamp(begun_s),
        "took": show_seconds(clock.now_s() - begun_s),
        "rung": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": {name: metadata.version(name) for name in PEERS},
        "database": bool(asked.database),
        "views": asked.views,
    }
    if asked.json:
        rounds = {name: [dataclasses.asdict(cost) for cost in made] for name, made in costs.items()}
        print(json.dumps({"benchmark": "collector", **facts, "rounds": rounds, "held": held(costs)}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(table(costs))


def held(costs: dict[str, list[Cost]]) -> dict[str, Any]:
    """
    Return the figures that must hold, each with its limit.
    """
    share = statistics.median(cost.cpu_share for cost in costs["cpu"])
    size_bytes = statistics.median(cost.bytes_per_request for cost in costs["disk"])
    return {
        "cpu_share": {"median": share, "most": CPU_SHARE_MAX, "holds": share <= CPU_SHARE_MAX},
        "bytes_per_request": {"median": size_bytes, "most": BYTES_MAX, "holds": size_bytes <= BYTES_MAX},
    }


def table(costs: dict[str, list[Cost]]) -> str:
    """
    Return the rounds as a table, and whether the limits hold.
    """
    rows = [
        "| round | requests | CPU of one core | CPU of sealing | memory | bytes a request |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    rows += [
        f"| {name} | {cost.requests:,} | {show_share(cost.cpu_share)} | {show_seconds(cost.sealing_cpu_s)} "
        f"| {show_bytes(cost.rss_bytes)} | {cost.bytes_per_request:.0f} |"
        for name, made in costs.items()
        for cost in made
    ]
    for name, found in held(costs).items():
        rows.append(f"{name}: {found['median']:.3g}, at most {found['most']:g}: {'holds' if found['holds'] else 'NO'}")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
