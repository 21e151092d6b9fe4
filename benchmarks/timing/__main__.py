"""
How well the time of a statement with an index that is not there yet can be told, and what the index adds to writes.

Fifty statements over millions of rows: each is timed as it runs today, predicted, its index is really built, and it is
timed again, warm and after a restart.  Several ways of predicting are held against the same figures.

In        --quick for five statements on small tables, --json for a document, --keep and --kept FILE to judge later
Out       for each way its median error, how many are off by two, how many within 35 %, whether the sign is right; what
          the index adds to an insert, update and delete, and what building it takes, measured and foreseen
Not here  whether a price comes true (benchmarks/gauntlet), which index is chosen

Times are the server's own, the shortest of several; a machine that is busy with other work lengthens all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import cases, page
from benchmarks.timing.building import QUICK_TABLES, builds, builds_judged
from benchmarks.timing.calibrated import calibrated
from benchmarks.timing.judged import BOTH, COLD, EXECUTION, WARM, judged
from benchmarks.timing.measured import measured
from benchmarks.timing.stage import Stage
from benchmarks.timing.writing import foreseen, written
from rung import __version__, clock
from rung.units import show_seconds

# Rows and bytes of filling of the tables that are written to: the constants of entries.py are fitted to the first.
WRITTEN = ((100_000, 20), (300_000, 60))
QUICK_SCALE, QUICK_ROWS, QUICK_BATCH = 0.02, 5_000, 40
QUESTIONS = {
    "Warm, an execution": {"what": EXECUTION, "phase": WARM},
    "Warm, planning and execution": {"what": BOTH, "phase": WARM},
    "Warm, an execution, from the plan of the real server with the index": {
        "what": EXECUTION, "phase": WARM, "built": True,
    },
    "After a restart, an execution; recorded statements likewise": {"what": EXECUTION, "phase": COLD},
}  # fmt: skip


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timing", description="From cost to seconds.")
    parser.add_argument("--quick", action="store_true", help="five statements on small tables")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write what was measured there before it is judged")
    parser.add_argument("--kept", type=Path, nargs="+", metavar="FILE", help="judge what runs kept, put together")
    parser.add_argument("--only", choices=("reads", "writes", "builds", "calibrate"), help="one part of it")
    parser.add_argument("--folder", type=Path, help="where the server's data are kept; a passing place without")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the tables")
    asked = parser.parse_args()
    if asked.kept:
        raw: dict[str, Any] = {}
        for path in asked.kept:
            raw = {**json.loads(path.read_text()), **raw}
    else:
        raw = run(asked)
    if asked.keep:
        asked.keep.write_text(json.dumps(raw, indent=1))
    told = judge(raw)
    print(json.dumps(told, indent=1) if asked.json else page.shown(told))


def run(asked: argparse.Namespace) -> dict[str, Any]:
    """
    Measure what was asked for.
    """
    begun_s = clock.now_s()
    raw: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rung-timing-")))
        stage = stack.enter_context(Stage(folder, QUICK_SCALE if asked.quick else asked.scale))
        if not asked.folder:
            stack.callback(stage.remove)
        if asked.only in {None, "calibrate"}:
            raw["calibrated"] = calibrated(stage, rounds=1 if asked.quick else 3)
        if asked.only in {None, "reads"}:
            chosen = cases.QUICK if asked.quick else cases.CASES
            raw["reads"] = measured(stage, chosen, cases.HEALTHY)
        if asked.only in {None, "writes"}:
            how = {"rounds": 1, "batch": QUICK_BATCH} if asked.quick else {}
            sizes = ((QUICK_ROWS, 20),) if asked.quick else WRITTEN
            raw["writes"] = [row for rows, width in sizes for row in written(stage, rows, width, **how)]
        if asked.only in {None, "builds"}:
            raw["builds"] = builds(stage, QUICK_TABLES, times=1) if asked.quick else builds(stage)
        version, scale = stage.server.version, stage.scale
    return {
        "benchmark": "timing", "date": clock.stamp(begun_s), "took": show_seconds(clock.now_s() - begun_s),
        "rung": __version__, "python": platform.python_version(), "version": version, "scale": scale,
        "system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count(), **raw,
    }  # fmt: skip


def judge(raw: dict[str, Any]) -> dict[str, Any]:
    """
    Return the document with what each way of predicting makes of it.
    """
    told = dict(raw)
    if "reads" in raw:
        told["judged"] = {title: judged(raw["reads"], **how) for title, how in QUESTIONS.items()}
        told["plans"] = _plans(raw["reads"]["cases"])
    if raw.get("writes"):
        told["writes"] = [foreseen(row) for row in raw["writes"]]
        told["writes_summed"] = page.writes_summed(
            [row for row in told["writes"] if row["rows"] == raw["writes"][-1]["rows"]]
        )
    if raw.get("builds"):
        told["builds_judged"] = builds_judged(raw["builds"])
    return told


def _plans(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def shape(plan: dict[str, Any]) -> list[tuple[int, str]]:
        return [(node["depth"], node["kind"]) for node in plan["nodes"]]

    errors = [abs(row["promised"]["nodes"][0]["cost"] / row["built"]["nodes"][0]["cost"] - 1) for row in rows]
    return {
        "cases": len(rows), "same_shape": sum(shape(row["promised"]) == shape(row["built"]) for row in rows),
        "cost_error": float(np.median(errors)),
    }  # fmt: skip


if __name__ == "__main__":
    main()
