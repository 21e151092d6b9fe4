"""
A/A: two copies of one real app, which nobody changed, are sent the same load in turns, again and again.

The app is the gauntlet's (FastAPI on asyncpg behind uvicorn, one worker each), on one PostgreSQL.  What it answered is
kept, so that any statistic can be tried on the very same answers; the resampled comparisons are made of its blocks,
within runs and between them, so that the machine's own drift is in them.

In        how many runs, how long
Out       what was measured, and the verdicts on it: as it was, resampled, and with a known change put in
Not here  simulated apps (simulated.py), the app (benchmarks/gauntlet)

Layout: both apps on one core, the database on the other, the sender on none of its own.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.confirm.recordings import in_turns, recorded, sent
from benchmarks.confirm.simulated import GOAL, VERDICTS
from benchmarks.gauntlet.scenario import SERVERS
from benchmarks.gauntlet.scenarios import SCENARIOS
from benchmarks.gauntlet.stage import APP_CORE, END_S_MAX, PINNED, POLL_S, ROOT, START_S_MAX, StageFailed, opened
from rung import clock
from rung.adapters.sample import checked_port
from rung.adapters.traffic import Plan
from rung.adapters.traffic.pairs import send_pairs
from rung.errors import LoadVoid
from rung.ports import Pairs, Sent
from rung.steps.confirm import Verdict, confirm
from rung.steps.confirm.compared import of_pairs, of_recordings

SCENARIO = "async healthy at 100/s"
SEED = 11
FASTER = 0.9  # the change that is put in: a tenth off everything
COLUMNS = ("route", "block", "latency_s", "failed")


def measured(runs: int, side_s: float, rate_per_s: float, folder: Path, say: Callable[[str], None]) -> list[Pairs]:
    """
    Return *runs* of pairs, each kept in *folder* as soon as it is there; those that are void are told and left out.
    """
    scenario = SCENARIOS[SCENARIO]
    found = []
    folder.mkdir(parents=True, exist_ok=True)
    with opened(folder / "stage") as stage:
        stage.lay(scenario.sql)
        with contextlib.ExitStack() as stack:
            apps = [stack.enter_context(_app(stage.dsn, stage.outside, folder / "apps.log")) for _ in range(2)]
            urls, processes = [url for url, _ in apps], [psutil.Process(pid) for _, pid in apps]
            plan = Plan(scenario.routes, rate_per_s, side_s, SEED)
            # Until every path was taken once and the database has read what it needs.
            with contextlib.suppress(LoadVoid):
                send_pairs((urls[0], urls[1]), replace(plan, duration_s=12.0))
            for run in range(runs):
                used_s = _computed_s(processes)
                try:
                    pairs = send_pairs((urls[0], urls[1]), plan)
                except LoadVoid as void:
                    say(f"run {run + 1} of {runs}: {void.message}")
                    continue
                keep(pairs, folder / f"run-{run:03}.npz")
                found.append(pairs)
                verdict = judged(pairs)
                busy = (_computed_s(processes) - used_s) / (2 * side_s)
                say(f"run {run + 1} of {runs}, app busy for {busy:.0%}: {verdict.words}")
    return found


def _computed_s(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


@contextlib.contextmanager
def _app(dsn: str, outside: Any, log: Path) -> Iterator[tuple[str, int]]:
    port = checked_port(0)
    command = [sys.executable, *SERVERS["uvicorn"].format(port=port).split()]
    if PINNED:
        command = ["taskset", "--cpu-list", str(APP_CORE), *command]
    environment = {**os.environ, **outside, "GAUNTLET_FAULTS": "", "DATABASE_URL": dsn, "PYTHONPATH": str(ROOT)}
    with log.open("ab") as told:
        process = subprocess.Popen(command, env=environment, stdout=told, stderr=told, stdin=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_up(url, process)
            yield url, process.pid
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S_MAX)
            process.kill()
            process.wait()


def _wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    until_s = clock.monotonic_s() + START_S_MAX
    while clock.monotonic_s() < until_s and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            clock.sleep(POLL_S)
    raise StageFailed("the app did not come up")


def keep(pairs: Pairs, path: Path) -> None:
    """
    Write what was measured into a file of columns.
    """
    columns = {
        f"{name}_{column}": getattr(side, column)
        for name, side in (("before", pairs.before), ("after", pairs.after))
        for column in COLUMNS
    }
    np.savez_compressed(
        path, **columns, pairs=np.array(pairs.pairs), lasted_s=np.array(pairs.lasted_s), routes=np.array(pairs.routes)
    )


def kept(folder: Path) -> list[Pairs]:
    """
    Return what earlier runs left in *folder*.
    """
    found = []
    for path in sorted(folder.glob("run-*.npz")):
        with np.load(path) as file:
            sides = [Sent(name, *(file[f"{name}_{column}"] for column in COLUMNS)) for name in ("before", "after")]
            found.append(
                Pairs(tuple(file["routes"].tolist()), sides[0], sides[1], int(file["pairs"]), float(file["lasted_s"]))
            )
    return found


def judged(pairs: Pairs) -> Verdict:
    """
    Return the verdict on a run.
    """
    return confirm(of_pairs(pairs, None), GOAL, None)


def figures(runs: Sequence[Pairs], *, resamples: int) -> dict[str, Any]:
    """
    Return verdicts on the runs as they were, and on comparisons made of their blocks.
    """
    generator = np.random.Generator(np.random.PCG64(3))
    verdicts = [judged(run) for run in runs]
    return {
        "runs": len(runs),
        "side_s": runs[0].lasted_s,
        "pairs": runs[0].pairs,
        "p95_s": [verdict.before.at_percentile_s for verdict in verdicts],
        "ratios": [verdict.ratio.value if verdict.ratio else None for verdict in verdicts],
        "runs_differ": float(
            np.std([math.log(verdict.before.at_percentile_s) for verdict in verdicts], ddof=1) * 2**0.5
        ),
        "alike": float(np.median([_alike(run) for run in runs])),
        "rows": [
            _row("in turns, as measured", verdicts),
            *(
                _row(
                    f"in turns, {count} pairs of blocks drawn from all runs{told}",
                    [judged(_drawn(generator, runs, count, faster)) for _ in range(resamples)],
                )
                for count in (runs[0].pairs, 5 * runs[0].pairs)
                for faster, told in ((1.0, ""), (FASTER, ", a tenth off"))
            ),
            _row("same arrivals, one run and another", list(_between(runs))),
            _row("windows: half of one run, the other half of another", list(_windows(runs))),
        ],
    }


def _row(what: str, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    counted = Counter(verdict.verdict for verdict in verdicts)
    return {"what": what, "times": len(verdicts), **{each: counted[each] for each in VERDICTS}}


def _alike(run: Pairs) -> float:
    """
    Return the correlation of the same requests' latencies on both sides, as logarithms.
    """
    return float(np.corrcoef(np.log(run.before.latency_s), np.log(run.after.latency_s))[0, 1])


def _drawn(generator: np.random.Generator, runs: Sequence[Pairs], count: int, faster: float) -> Pairs:
    """
    Return *count* pairs of blocks drawn from all runs, sides exchanged at random: both are the same app.
    """
    rows: tuple[list[Any], list[Any]] = ([], [])
    for number in range(count):
        run = runs[int(generator.integers(len(runs)))]
        block, swapped = int(generator.integers(run.pairs)), bool(generator.integers(2))
        for place, side in enumerate((run.after, run.before) if swapped else (run.before, run.after)):
            chosen = side.block == block
            taken_s = side.latency_s[chosen] * (faster if place else 1.0)
            rows[place].append((np.full(len(taken_s), number), taken_s, side.route[chosen]))
    sides = [
        sent(name, *(np.concatenate(column) for column in zip(*each, strict=True)))
        for name, each in zip(("before", "after"), rows, strict=True)
    ]
    return in_turns(sides[0], sides[1], count, runs[0].lasted_s * count / runs[0].pairs, len(runs[0].routes))


def _between(runs: Sequence[Pairs]) -> Iterator[Verdict]:
    """
    Yield the verdicts on each run's first instance beside each other run's second: the same arrivals, at other times.
    """
    for one in runs:
        for other in runs:
            if one is not other:
                crossed = Pairs(one.routes, one.before, other.after, one.pairs, one.lasted_s)
                yield confirm(replace(of_pairs(crossed, None), interleaved=False), GOAL, None)


def _windows(runs: Sequence[Pairs]) -> Iterator[Verdict]:
    """
    Yield the verdicts on the first half of each run beside the second half of each other one: other arrivals.
    """
    for one in runs:
        half, block_s = one.pairs // 2, one.lasted_s / one.pairs
        for other in runs:
            if one is not other:
                profiles = [
                    _window(one.before, 0, half, block_s, len(one.routes)),
                    _window(other.after, half, one.pairs, block_s, len(one.routes)),
                ]
                yield confirm(of_recordings(profiles[0], profiles[1]), GOAL, None)


def _window(side: Sent, first: int, behind: int, block_s: float, routes: int) -> Any:
    chosen = (side.block >= first) & (side.block < behind)
    # When within its block a request was due is not kept, and no part of what is compared.
    due_s = (side.block[chosen] - first + 0.5) * block_s
    return recorded(side.name, due_s, side.latency_s[chosen], (behind - first) * block_s, side.route[chosen], routes)
