"""
The command line of the benchmark: `python -m benchmarks.overhead [--json] [--quick]`.

In        --quick for short rounds and fewer contenders, --json for a document, --only and --layout for less
Out       tables: CPU, capacity and requests/s for each layout; parts of a request; memory and bytes sent
Not here  what is measured (layouts.py), the tables themselves (report.py)
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
from importlib import metadata
from typing import Any

from benchmarks.overhead import layouts, peers, report
from benchmarks.overhead.layouts import BESIDE, LAYOUTS, Asked, Measured
from benchmarks.overhead.processes import CONTENDERS
from benchmarks.overhead.rounds import CONNECTIONS, Plan
from rung import __version__, clock
from rung.units import show_seconds

FULL = Plan(rounds=15, round_s=0.75, warm_s=2.0, burst_s=0.01, saturations=9, saturation_s=0.5, standing_s=4.0)
QUICK = Plan(rounds=3, round_s=0.5, warm_s=0.2, burst_s=0.01, saturations=2, saturation_s=0.2, standing_s=0.5)
FULL_PARTS = Plan(rounds=15, round_s=0.3, warm_s=0.3, burst_s=0.02, saturations=0, saturation_s=0.0, standing_s=0.0)
QUICK_PARTS = Plan(rounds=9, round_s=0.0, warm_s=0.0, burst_s=0.004, saturations=0, saturation_s=0.0, standing_s=0.0)
SETTLED_S, QUICK_SETTLED_S = 6.0, 0.5  # the sample of digests finds its size a step a second

PEERS = (
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-asyncpg",
    "opentelemetry-instrumentation-django",
    "opentelemetry-instrumentation-fastapi",
    "opentelemetry-instrumentation-psycopg",
    "sentry-sdk",
)
SHOWN = (
    "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "asyncpg", "django", "gunicorn", "psycopg", "msgspec",
)  # fmt: skip


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description="What a recorder costs the app.")
    parser.add_argument("--quick", action="store_true", help="short rounds, fewer contenders and requests")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="these contenders, and bare")
    parser.add_argument("--layout", nargs="+", choices=[*LAYOUTS, *BESIDE], help="these layouts")
    given = parser.parse_args()
    asked = Asked(
        contenders=tuple(name for name in CONTENDERS if not given.only or name in {"bare", *given.only}),
        layouts=tuple(given.layout or [*LAYOUTS, *BESIDE]),
        fewer=given.quick and not given.only,
        quick=given.quick,
        plan=QUICK if given.quick else FULL,
        parts_plan=QUICK_PARTS if given.quick else FULL_PARTS,
        settled_s=QUICK_SETTLED_S if given.quick else SETTLED_S,
        memory_statements=0 if given.quick else 5,
    )
    begun_s = clock.now_s()
    measured = layouts.run(asked)
    facts = described(begun_s, clock.now_s() - begun_s)
    if given.json:
        print(json.dumps(document(facts, asked, measured), indent=2))
    else:
        print(", ".join(f"{name} {value}" for name, value in facts.items() if name != "versions"))
        print(", ".join(f"{name} {value}" for name, value in facts["versions"].items()))
        for text in tables(measured):
            print("\n" + text)
    if any(row.requests < row.asked for row in measured.kept):
        sys.exit("These figures are void: not every request was recorded, and one that is not costs less.")


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


def document(facts: dict[str, Any], asked: Asked, measured: Measured) -> dict[str, Any]:
    """
    Return everything, for `--json`.
    """
    costs = measured.costs
    return {
        "benchmark": "overhead",
        **facts,
        "asked": dataclasses.asdict(asked),
        **dataclasses.asdict(measured),
        "against_otel": {layout: report.against_otel(rows) for layout, rows in costs.items()},
        "memory_added_bytes": measured.memory.added_bytes if measured.memory else None,
    }


def tables(measured: Measured) -> list[str]:
    """
    Return everything, for people.
    """
    texts = []
    for layout, rows in measured.costs.items():
        texts += [report.costs(layout, rows), report.standing(measured.standing[layout])]
        if measured.throughputs[layout]:
            texts.append(report.throughputs(layout, CONNECTIONS, measured.throughputs[layout]))
    if measured.parts:
        texts.append(report.parts(measured.parts))
    if measured.memory or measured.sent or measured.kept:
        texts.append(report.weight(measured.memory, measured.sent, measured.kept))
    return texts


if __name__ == "__main__":
    main()
