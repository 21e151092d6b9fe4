"""
The command line of the benchmark: `python -m benchmarks.gauntlet [--only NAME] [--quick] [--resume] [--json]`.

In        which scenarios, how long a phase lasts, where results are kept
Out       a table and the figures over all scenarios; with --json a document, with --markdown a page's part
Not here  running them (run.py), the scenarios (scenarios.py)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.gauntlet import report, stage
from benchmarks.gauntlet.run import Result, run
from benchmarks.gauntlet.scenario import Scenario
from benchmarks.gauntlet.scenarios import FEW, SCENARIOS
from rung import __version__, clock
from rung.units import show_seconds

FOLDER = Path(".rung") / "gauntlet"
PHASE_S, QUICK_S = 30.0, 5.0
QUICK = FEW[:3]
SHOWN = ("fastapi", "uvicorn", "asyncpg", "flask", "django", "gunicorn", "psycopg", "psycopg-pool", "httpx")


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gauntlet", description="Seeded faults: is the true answer named first?"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="scenarios whose name has one of these in it")
    parser.add_argument("--quick", action="store_true", help=f"{len(QUICK)} scenarios, phases of {QUICK_S:g} s")
    parser.add_argument("--phase", type=float, metavar="SECONDS", help=f"length of a load; {PHASE_S:g} without")
    parser.add_argument("--resume", action="store_true", help="leave out scenarios that have a result")
    parser.add_argument("--again", action="store_true", help="find and price anew; load only what is not recorded yet")
    parser.add_argument("--one-load", action="store_true", help="leave the second load out (--again adds it)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"for results and recordings; {FOLDER} without")
    parser.add_argument("--list", action="store_true", help="the scenarios and their true answers")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="as docs/benchmarks/gauntlet.md has it")
    asked = parser.parse_args()
    chosen = _chosen(asked.only, quick=asked.quick)
    if not chosen:
        parser.error(f"no scenario is called like that; there are: {', '.join(SCENARIOS)}")
    if asked.list:
        for each in chosen:
            truth = " or ".join(f"{one.seam} {one.has}".strip() for one in each.truth) or "nothing"
            print(f"{each.name:40} {each.rate_per_s:5g}/s  {truth}")
        return
    # A supervisor's SIGTERM ends it as Ctrl-C does: everything that it started ends too.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    begun_s = clock.now_s()
    results = run(
        chosen,
        asked.folder,
        phase_s=asked.phase or (QUICK_S if asked.quick else PHASE_S),
        resume=asked.resume,
        again=asked.again,
        second_load=not asked.one_load,
        told=_tell,
    )
    _show(asked, described(begun_s, results), results)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _chosen(only: list[str] | None, *, quick: bool) -> list[Scenario]:
    if only:
        return [each for name, each in SCENARIOS.items() if any(word.lower() in name.lower() for word in only)]
    return [SCENARIOS[name] for name in QUICK] if quick else list(SCENARIOS.values())


def _tell(scenario: Scenario, result: Result) -> None:
    print(f"{report.progress(scenario, result)}  [{show_seconds(result['took_s'])}]", file=sys.stderr, flush=True)


def described(begun_s: float, results: list[Result]) -> dict[str, Any]:
    """
    Return what these figures were made with.
    """
    return {
        "date": clock.stamp(begun_s),
        "rung": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "postgresql": ", ".join(sorted({one["postgresql"] for one in results})),
        "phases_s": sorted({one["phase_s"] for one in results}),
        "layout": stage.LAYOUT,
        "versions": {name: metadata.version(name) for name in SHOWN},
    }


def _show(asked: argparse.Namespace, facts: dict[str, Any], results: list[Result]) -> None:
    figures = report.summary(results)
    if asked.json:
        print(json.dumps({"benchmark": "gauntlet", **facts, "summary": figures, "scenarios": results}, indent=2))
        return
    head = ", ".join(f"{name} {value}" for name, value in facts.items() if name != "versions")
    versions = ", ".join(f"{name} {value}" for name, value in facts["versions"].items())
    print(f"{head}.\n{versions}.\n\n{report.table(results)}\n")
    words = report.summary_text(figures)
    print("\n".join(f"- {line}" for line in words.splitlines()) if asked.markdown else words)


if __name__ == "__main__":
    main()
