"""
How long `rung find` and `rung price` take, and in how much memory, from a demo's recording to an hour of traffic.

Recordings are made (traffic.py), which is not in the figures; then both commands are run as a user runs them, each a
process of its own, against a real PostgreSQL that has the recording's tables.  Each asks the database anew, so both
pay for the planner twin; every move that there is gets its price.

In        minutes of traffic, requests a second, app processes; --quick for a short round, --json for a document
Out       wall time, processor time and peak memory of each command; events a second of the simulator; how processor
          time grows with traffic
Not here  whether the prices are right (benchmarks/gauntlet), how long an excerpt has to be (bound.py)

Processor time and memory are those of the command's own process; the database server and the planner twin, small ones
beside it, are not counted in them, and are in the wall time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from benchmarks.twin import traffic
from rung import __version__, clock, wire
from rung.adapters import cluster
from rung.steps.twin.recover import recover
from rung.steps.twin.simulate import simulate
from rung.units import show_bytes, show_seconds

COMMANDS = ("find", "price")
RATE_PER_S = 200.0
SEED = 20261127
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024  # of getrusage's ru_maxrss
HOUR_S_MAX, DEMO_S_MAX, BYTES_MAX = 60.0, 10.0, 2_000_000_000
GROWTH_MAX = 1.0
DEMO_LASTS_S = 30.0
MINUTE_S, HOUR_LASTS_S = 60.0, 3600.0
PEERS = ("duckdb", "numpy", "psycopg", "sqlglot")


@dataclass(frozen=True, slots=True)
class Round:
    """
    One recording that both commands are run on.
    """

    lasts_s: float
    rate_per_s: float
    workers: int

    @property
    def is_demo(self) -> bool:
        """
        Whether it is as short as what `rung demo` records.
        """
        return self.lasts_s <= DEMO_LASTS_S


DEMOS = (Round(DEMO_LASTS_S, 10.0, 1), Round(DEMO_LASTS_S, 100.0, 1))
LENGTHS_S = (120.0, 600.0, 3600.0)
WORKERS = (1, 4)
QUICK = (Round(15.0, 60.0, 1),)
SIMULATED_S = 120.0


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.twin.hour", description="What an hour of traffic takes."
    )
    parser.add_argument("--quick", action="store_true", help="one short recording")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--minutes", type=float, nargs="+", metavar="N", help="of traffic; 2, 10, 60 and demos without")
    parser.add_argument(
        "--rate", type=float, metavar="N", default=RATE_PER_S, help=f"requests/s; {RATE_PER_S:g} without"
    )
    parser.add_argument(
        "--workers", type=int, nargs="+", metavar="N", default=WORKERS, help=f"app processes; {WORKERS}"
    )
    asked = parser.parse_args()
    rounds = (
        QUICK if asked.quick else planned([MINUTE_S * each for each in asked.minutes or ()], asked.rate, asked.workers)
    )
    begun_s = clock.now_s()
    rows = list(measured(rounds))
    told = {
        "benchmark": "twin.hour", **facts(begun_s), "rows": rows,
        "events_per_s": events_per_s(rounds[0].lasts_s if asked.quick else SIMULATED_S), "growth": growth(rows),
        "held": held(rows),
    }  # fmt: skip
    print(json.dumps(told, indent=2) if asked.json else shown(told))


def planned(lengths_s: Sequence[float], rate_per_s: float, workers: Sequence[int]) -> tuple[Round, ...]:
    """
    Return the rounds that are asked for: without any length all, those of a demo first.
    """
    demos = () if lengths_s else DEMOS
    return (*demos, *(Round(each_s, rate_per_s, count) for count in workers for each_s in lengths_s or LENGTHS_S))


def facts(begun_s: float) -> dict[str, Any]:
    """
    Return what these figures were made with.
    """
    return {
        "date": clock.stamp(begun_s),
        "took": show_seconds(clock.now_s() - begun_s),
        "rung": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": {name: metadata.version(name) for name in PEERS},
    }


def measured(rounds: Sequence[Round]) -> Iterator[dict[str, Any]]:
    """
    Yield a row for each command on each recording.
    """
    with cluster.start_passing() as server:
        dsn = server.dsn()
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(traffic.SCHEMA.encode())
        for each in rounds:
            with tempfile.TemporaryDirectory(prefix="rung-hour-") as home:
                made = written(Path(home), each)
                for command in COMMANDS:
                    yield {
                        **asdict(each), "demo": each.is_demo, "requests": made.requests, "segments": made.segments,
                        "size_bytes": made.size_bytes, "command": command, **run(Path(home), command, dsn),
                    }  # fmt: skip


def written(home: Path, plan: Round) -> traffic.Made:
    """
    Write the recording of *plan* where a user's would be, in a process of its own.

    The kernel counts to a new process the peak of the one that it was started from; so this one has to stay small.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as writer:
        return writer.submit(
            traffic.write,
            home / ".rung",
            lasts_s=plan.lasts_s,
            rate_per_s=plan.rate_per_s,
            workers=plan.workers,
            seed=SEED,
        ).result()


def run(home: Path, command: str, dsn: str) -> dict[str, Any]:
    """
    Run a command of rung's in *home* and return what it took, and how many moves it priced.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RUNG", "PG"))}
    environment["DATABASE_URL"] = dsn
    with tempfile.TemporaryFile() as output:
        begun_s = clock.monotonic_s()
        process = subprocess.Popen(
            [sys.executable, "-m", "rung", command, "--json", "--fresh"],
            cwd=home,
            env=environment | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdout=output,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall_s = clock.monotonic_s() - begun_s
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"rung {command} ended with status {process.returncode}")
        output.seek(0)
        answer = json.load(output)
    quotes = answer.get("quotes", [])
    return {
        "wall_s": wall_s, "cpu_s": used.ru_utime + used.ru_stime, "peak_bytes": used.ru_maxrss * RSS_UNIT_BYTES,
        "priced": sum(quote["predicted"] is not None for quote in quotes), "quotes": len(quotes),
    }  # fmt: skip


def events_per_s(lasts_s: float, rounds: int = 3) -> dict[str, float]:
    """
    Return how many events the simulator goes through in a second of processor time, by app processes.
    """
    found = {}
    for workers in WORKERS:
        with tempfile.TemporaryDirectory(prefix="rung-hour-") as home:
            made = written(Path(home), Round(lasts_s, RATE_PER_S, workers))
            with wire.workplace({"folder": ".rung"}, database=None, folder=Path(home)).loop() as loop:
                recovered = recover(loop.measure(made.name))
        speeds = []
        for _ in range(rounds):
            begun_s = _cpu_s()
            outcome = simulate(recovered.workload, recovered.topology)
            speeds.append(outcome.events / (_cpu_s() - begun_s))
        found[str(workers)] = statistics.median(speeds)
    return found


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def growth(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """
    Return for each command the exponent e of "time grows as traffic to the power of e", likewise of memory; of the
    recordings of each number of app processes that differ in length only, the steepest.
    """
    found: dict[str, dict[str, float]] = {}
    for command in COMMANDS:
        slopes: dict[str, list[float]] = {"cpu_s": [], "peak_bytes": []}
        for workers in {row["workers"] for row in rows}:
            ours = [row for row in rows if (row["command"], row["workers"], row["demo"]) == (command, workers, False)]
            if len({row["requests"] for row in ours}) > 1:
                for name, each in slopes.items():
                    each.append(slope([(row["requests"], row[name]) for row in ours]))
        found[command] = {name: max(each) for name, each in slopes.items() if each}
    return found


def slope(points: Sequence[tuple[float, float]]) -> float:
    """
    Return the slope of the line through the logarithms of *points*.

    >>> round(slope([(1, 5), (10, 50), (100, 500)]), 6)
    1.0
    """
    traffic_, value = np.log(np.array(points, dtype=np.float64)).T
    return float(np.polyfit(traffic_, value, 1)[0])


def held(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """
    Return the figures that must hold, each with its limit; only of what was run.
    """
    limits: dict[str, tuple[list[float], float]] = {
        "hour_wall_s": ([row["wall_s"] for row in rows if row["lasts_s"] >= HOUR_LASTS_S], HOUR_S_MAX),
        "hour_peak_bytes": ([row["peak_bytes"] for row in rows if row["lasts_s"] >= HOUR_LASTS_S], BYTES_MAX),
        "demo_wall_s": ([row["wall_s"] for row in rows if row["demo"]], DEMO_S_MAX),
        "growth": ([each["cpu_s"] for each in growth(rows).values() if each], GROWTH_MAX),
    }
    return {
        name: {"worst": max(values), "most": most, "holds": max(values) <= most}
        for name, (values, most) in limits.items()
        if values
    }


def shown(told: dict[str, Any]) -> str:
    """
    Return the figures as a page has them.
    """
    versions = ", ".join(f"{name} {value}" for name, value in told["versions"].items())
    made_with = (
        told["date"],
        f"took {told['took']}",
        f"rung {told['rung']}",
        f"python {told['python']}",
        told["system"],
    )
    lines = [
        f"date {', '.join(made_with)}, {told['cores']} cores, {versions}.",
        "",
        "| traffic | app processes | requests | command | wall | processor | memory | moves priced |",
        "|---|--:|--:|---|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {show_seconds(row['lasts_s'])} at {row['rate_per_s']:g}/s | {row['workers']} | {row['requests']:,} "
        f"| {row['command']} | {row['wall_s']:.1f} s | {row['cpu_s']:.1f} s | {show_bytes(row['peak_bytes'])} "
        f"| {row['priced']} |"
        for row in told["rows"]
    ]
    speeds = ", ".join(f"{speed:,.0f} with {workers}" for workers, speed in told["events_per_s"].items())
    lines += ["", f"Events a second of processor time, by app processes: {speeds}."]
    lines += [
        f"{command}: processor time grows as traffic to the power of {each['cpu_s']:.2f}, memory of "
        f"{each['peak_bytes']:.2f}."
        for command, each in told["growth"].items()
        if each
    ]
    lines += [
        f"{name}: {each['worst']:.3g}, at most {each['most']:g}: {'holds' if each['holds'] else 'NO'}"
        for name, each in told["held"].items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
