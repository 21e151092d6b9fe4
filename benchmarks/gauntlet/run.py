"""
Run scenarios one after the other, and keep one file for each: load, find, price, the true fix, load again.

In        scenarios, a folder, the length of a phase
Out       results, and their files
Not here  putting a scenario on (stage.py), judging (judge.py), the command line (__main__.py)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gauntlet import judge, stage
from benchmarks.gauntlet.scenario import BEFORE, Fix, Scenario, takes
from benchmarks.gauntlet.stage import Phase, Stage
from rung import __version__, clock
from rung.adapters.shelf import RECORDINGS

Result = dict[str, Any]


def path_of(folder: Path, scenario: Scenario) -> Path:
    """
    Return where a scenario's result is kept.

    >>> path_of(Path("results"), Scenario(name="async N+1", server="", routes=(), rate_per_s=1, goal_s=1)).as_posix()
    'results/async-n-1.json'
    """
    return folder / f"{slug(scenario.name)}.json"


def slug(name: str) -> str:
    """
    Return a scenario's name as a file's.
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def run(
    scenarios: Sequence[Scenario],
    folder: Path,
    *,
    phase_s: float,
    resume: bool,
    again: bool,
    told: Callable[[Scenario, Result], None],
    second_load: bool = True,
) -> list[Result]:
    """
    Return the results of all scenarios, in order; each is on disk as soon as it is there.

    Args:
        resume: Take those that are on disk as they are.
        again: Find and price anew from the recordings that are on disk; only what is not there is loaded.
        second_load: Whether the fixed app of a faulty scenario gets less traffic once, too.
    """
    results = {each.name: _kept(path_of(folder, each)) for each in scenarios}
    todo = [each for each in scenarios if not resume or results[each.name] is None]
    if todo:
        with stage.opened(folder) as put:
            for scenario in todo:
                result = one(
                    put,
                    scenario,
                    phase_s=phase_s,
                    kept=results[scenario.name] if again else None,
                    second_load=second_load,
                )
                path_of(folder, scenario).write_text(json.dumps(result, indent=2) + "\n", "utf-8")
                results[scenario.name] = result
                told(scenario, result)
    return [result for result in results.values() if result is not None]


def _kept(path: Path) -> Result | None:
    try:
        kept: Result = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return kept


def one(put: Stage, scenario: Scenario, *, phase_s: float, kept: Result | None, second_load: bool = True) -> Result:
    """
    Return the result of one scenario; what went wrong is a result too.
    """
    begun_s = clock.now_s()
    result: Result = {
        "scenario": scenario.name, "faulty": bool(scenario.truth), "sync": scenario.sync, "server": scenario.server,
        "rate_per_s": scenario.rate_per_s, "goal_s": scenario.goal_s, "phase_s": phase_s,
        "truth": [[culprit.seam, culprit.has] for culprit in scenario.truth],
        "date": clock.stamp(begun_s), "rung": __version__, "postgresql": put.version, "layout": stage.LAYOUT,
    }  # fmt: skip
    try:
        put.lay(scenario.sql)
        _taken(put, scenario, phase_s, kept, result, second_load=second_load)
    except Exception as problem:  # one that fails stays in the table, and the next one is run
        result["failed"] = f"{type(problem).__name__}: {problem}"
    result["took_s"] = clock.now_s() - begun_s
    return result


def _taken(
    put: Stage, scenario: Scenario, phase_s: float, kept: Result | None, result: Result, *, second_load: bool
) -> None:
    result["predictions"] = []
    seen: judge.Seen
    for take in takes(scenario, second_load=second_load):
        fix = take.fix or Fix(faults=scenario.faults)
        phase = _found(put, kept, take.name)
        put.change(fix.sql)
        if phase is None:
            phase = put.record(
                scenario, slug(f"{scenario.name} {take.name}"), server=fix.server or scenario.server, faults=fix.faults,
                settings={**scenario.settings, **fix.settings}, last_s=phase_s, speed=take.speed,
            )  # fmt: skip
        _note(result, take.name, phase)
        if take.name == BEFORE:
            seen = _seen(put, scenario, phase, result)
        else:
            profile = judge.profiled(put.folder, phase.recording)
            result["accounts"][take.name] = judge.account(profile)
            result["predictions"] += judge.predictions(seen, take, profile)


def _seen(put: Stage, scenario: Scenario, phase: Phase, result: Result) -> judge.Seen:
    begun_s = clock.monotonic_s()
    seen = judge.seen_in(put.folder, put.dsn, scenario, phase.recording)
    result["looked_s"] = clock.monotonic_s() - begun_s
    result["accounts"] = {BEFORE: judge.account(seen.look.profile)}
    result["find"] = judge.named(seen.look, scenario)
    result["quotes"] = judge.quotes_of(seen.look)
    return seen


def _note(result: Result, which: str, phase: Phase) -> None:
    result.setdefault("phases", {})[which] = {"recording": phase.recording, "load": phase.load}
    if phase.load["void"]:
        result["void"] = phase.load["void"]


def _found(put: Stage, kept: Result | None, which: str) -> Phase | None:
    told = (kept or {}).get("phases", {}).get(which)
    if told is None or not (put.folder / RECORDINGS / told["recording"]).is_dir():
        return None
    return Phase(told["recording"], told["load"])
