"""
The command line: `python -m benchmarks.confirm [--quick] [--json] [--times N] [--real N] [--kept]`.

In        flags
Out       tables, or with --json a document
Not here  what is counted (simulated.py, real.py)
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

from benchmarks.confirm import real
from benchmarks.confirm.simulated import RECORDED_TWICE, TURNS, VERDICTS, WINDOWS, cases, row
from benchmarks.gauntlet.stage import LAYOUT
from rung import __version__, clock

FOLDER = Path(".rung") / "benchmarks" / "confirm"
RATE_PER_S = 100.0


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.confirm", description="How often confirm is wrong.")
    parser.add_argument("--quick", action="store_true", help="few comparisons of few kinds, simulated only")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--times", type=int, default=400, help="simulated comparisons of each kind (400)")
    parser.add_argument("--way", choices=(TURNS, RECORDED_TWICE, WINDOWS), help="simulate only what is compared so")
    parser.add_argument("--real", type=int, metavar="N", help="instead: N runs of two copies of a real app")
    parser.add_argument("--seconds", type=float, default=60.0, help="with --real: arrivals for each side (60)")
    parser.add_argument("--rate", type=float, default=RATE_PER_S, help=f"with --real: a second ({RATE_PER_S:g})")
    parser.add_argument("--kept", action="store_true", help="instead: the runs that --real has left, judged again")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where --real leaves what it measured ({FOLDER})")
    asked = parser.parse_args()
    facts = {
        "benchmark": "confirm", "date": clock.stamp(clock.now_s()), "rung": __version__,
        "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}",
    }  # fmt: skip
    if asked.real or asked.kept:
        runs = (
            real.kept(asked.folder)
            if asked.kept
            else real.measured(asked.real, asked.seconds, asked.rate, asked.folder, _say)
        )
        if len(runs) < 2:
            sys.exit(f"{len(runs)} runs cannot be compared with one another")
        told = {**facts, "layout": LAYOUT, "real": real.figures(runs, resamples=600)}
        _print(told, asked.json, real_text)
        return
    rows = []
    for case in cases(quick=asked.quick):
        if asked.way not in {None, case.way}:
            continue
        rows.append(row(case, times=20 if asked.quick else asked.times))
        if not asked.json:
            print(simulated_line(rows[-1]), flush=True)
    if asked.json:
        print(json.dumps({**facts, "rows": rows}, indent=2))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(told: dict[str, Any], as_json: bool, text: Any) -> None:  # noqa: FBT001
    print(json.dumps(told, indent=2) if as_json else text(told))


def simulated_line(one: dict[str, Any]) -> str:
    """
    Return a row of the table.
    """
    shares = " | ".join(f"{one[verdict]:.1%}" for verdict in VERDICTS)
    width = f"{one['half_width']:.0%}" if one["half_width"] is not None else "–"
    return (
        f"| {one['way']} | {one['utilisation']:.0%} | {one['mood']:g} | {one['of_request']:g} | {one['effect']:.0%} "
        f"| {one['side_s']:g} s | ±{width} | {shares} |"
    )


def real_text(told: dict[str, Any]) -> str:
    """
    Return the figures of real runs as a table.
    """
    figures = told["real"]
    lines = [
        f"{figures['runs']} runs of {figures['pairs']} pairs of blocks, {figures['side_s']:g} s each side",
        told["layout"],
        f"p95 of the first instance, by run: {', '.join(f'{value:.4f}' for value in figures['p95_s'])} s",
        f"after as a share of before: {', '.join(f'{value:.3f}' for value in figures['ratios'] if value)}",
        f"p95 of one run and another differ by {figures['runs_differ']:.1%}, as a standard deviation",
        f"the logarithms of the same requests' latencies on both sides correlate with {figures['alike']:.3f}",
        "",
        f"| compared | times | {' | '.join(VERDICTS)} |",
        "|---|--:|" + "--:|" * len(VERDICTS),
    ]
    lines += [
        f"| {one['what']} | {one['times']} | {' | '.join(str(one[verdict]) for verdict in VERDICTS)} |"
        for one in figures["rows"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
