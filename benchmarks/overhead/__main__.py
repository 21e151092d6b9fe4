"""
The command line of the benchmark: `python -m benchmarks.overhead [--json] [--quick]`.

In        --quick for a short round, --json for a document, --only to leave contenders or layouts out
Out       a table of CPU per request for each layout and number of statements
Not here  measuring (rounds.py)
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.overhead import peers
from benchmarks.overhead.rounds import CONTENDERS, Cost, Plan, loading, measure, side_by_side
from rung import __version__, clock
from rung.adapters import cluster
from rung.units import show_seconds

STATEMENTS = (0, 1, 5)
FULL = {"in process": Plan(15, 10, 25, None), "uvicorn": Plan(9, 4, 50, 200.0)}
QUICK = {"in process": Plan(5, 5, 20, None), "uvicorn": Plan(3, 1, 60, 200.0)}
PEERS = (
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-fastapi",
    "opentelemetry-instrumentation-asyncpg",
    "sentry-sdk",
)
SHOWN = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "asyncpg", "msgspec")


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description="What a recorder costs the app.")
    parser.add_argument("--quick", action="store_true", help="a few short rounds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="these contenders, and bare")
    parser.add_argument("--layout", nargs="+", choices=FULL, default=list(FULL), help="these layouts")
    asked = parser.parse_args()
    names = [name for name in CONTENDERS if not asked.only or name in {"bare", *asked.only}]
    plans = {name: plan for name, plan in (QUICK if asked.quick else FULL).items() if name in asked.layout}
    begun_s = clock.now_s()
    costs = run(names, plans)
    facts = described(begun_s, clock.now_s() - begun_s)
    if asked.json:
        layouts = {
            layout: {
                **dataclasses.asdict(plans[layout]),
                "costs": [dataclasses.asdict(cost) for cost in costs[layout]],
                "against_otel": against_otel(costs[layout]),
            }
            for layout in costs
        }
        print(json.dumps({"benchmark": "overhead", **facts, "layouts": layouts}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items() if name != "versions"))
    print(", ".join(f"{name} {value}" for name, value in facts["versions"].items()))
    for layout in costs:
        print("\n" + table(layout, plans[layout], costs[layout]))


def run(names: Sequence[str], plans: Mapping[str, Plan]) -> dict[str, list[Cost]]:
    """
    Return what each contender costs, in each layout of *plans*.
    """
    with tempfile.TemporaryDirectory(prefix="rung-overhead-") as folder, cluster.start_passing() as server:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RUNG", "OTEL", "SENTRY"))},
            "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(peers.folder())]),
            "DATABASE_URL": server.dsn(),
        }
        costs = {}
        for layout, plan in plans.items():
            with side_by_side(names, environment, Path(folder)) as processes:
                if plan.rate_per_s is None:
                    costs[layout] = measure(processes, STATEMENTS, plan)
                    continue
                for process in processes.values():
                    process.port = process.ask({"serve": True})["port"]
                with loading(environment) as load:
                    costs[layout] = measure(processes, STATEMENTS, plan, load)
        return costs


def described(begun_s: float, lasted_s: float) -> dict[str, Any]:
    """
    Return when, where and with what the figures were made.
    """
    versions = {name: metadata.version(name) for name in SHOWN}
    versions |= dict(row.split("==") for row in peers.PINNED.read_text("utf-8").splitlines() if row.startswith(PEERS))
    return {
        "date": clock.stamp(begun_s),
        "took": show_seconds(lasted_s),
        "rung": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": versions,
    }


def against_otel(costs: Sequence[Cost]) -> dict[int, float]:
    """
    Return how many times rung's added CPU OpenTelemetry adds, for each number of statements.
    """
    added_s = {(cost.contender, cost.statements): cost.added_s for cost in costs}
    return {
        count: added_s["otel", count] / added_s["rung", count]
        for count in STATEMENTS
        if added_s.get(("rung", count), 0.0) > 0 and ("otel", count) in added_s
    }


def table(layout: str, plan: Plan, costs: Sequence[Cost]) -> str:
    """
    Return the costs of one layout as a table.
    """
    rate = f" at {plan.rate_per_s:g} requests/s" if plan.rate_per_s else ""
    rows = [
        f"CPU per request, {layout}{rate}, {plan.rounds} rounds of {plan.bursts} × {plan.requests} requests",
        "",
        "| contender | statements | CPU | added to bare (quartiles) | ratio to bare | kept per request |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    bare_s = {cost.statements: cost.cpu_s for cost in costs if cost.contender == "bare"}
    for cost in costs:
        added = "–"
        if cost.contender != "bare":
            added = f"{shown(cost.added_s)} ({shown(cost.added_s_low)} to {shown(cost.added_s_high)})"
        kept = f"{cost.kept / (plan.rounds * plan.bursts * plan.requests):.1f}" if cost.kept else "–"
        ratio = (bare_s[cost.statements] + cost.added_s) / bare_s[cost.statements]
        rows.append(
            f"| {cost.contender} | {cost.statements} | {show_seconds(cost.cpu_s)} | {added} | {ratio:.2f} | {kept} |"
        )
    for count, times in against_otel(costs).items():
        rows.append(f"\nOpenTelemetry adds {times:.1f} times what rung adds, with {count} statements.")
    return "\n".join(rows)


def shown(value_s: float) -> str:
    """
    Return seconds, also less than none.
    """
    return f"{'−' if value_s < 0 else ''}{show_seconds(abs(value_s))}"


if __name__ == "__main__":
    main()
