"""
Count verdicts over simulated apps: in turns, two recordings of the same arrivals, two windows.

In        a way to compare, an app (queues.py), how long, how often
Out       shares of verdicts
Not here  real apps (real.py), the statistics themselves (steps/confirm)
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.confirm.queues import App, arriving, cheaper_by, latencies, moods
from benchmarks.confirm.recordings import in_turns, recorded, sent
from rung.steps.confirm import MOVED, NOT_MOVED, TOO_LITTLE, WORSE, Verdict, confirm
from rung.steps.confirm.compared import Compared, of_pairs, of_recordings, order_of, turns_of
from rung.steps.find.finding import Goal

GOAL = Goal(percentile=95, target_s=0.3, headroom=2.0, errors_share=0.01)
VERDICTS = (MOVED, NOT_MOVED, WORSE, TOO_LITTLE)
TURNS, RECORDED_TWICE, WINDOWS = "in turns", "same arrivals twice", "windows"
UTILISATIONS = (0.5, 0.7, 0.85)
MOODS = (0.0, 0.02, 0.05, 0.1)
PAUSE_S = 60.0  # between two recordings


@dataclass(frozen=True, slots=True)
class Case:
    """
    A comparison to be repeated.

    Attributes:
        side_s: Seconds of arrivals on each side.
        part: Of the asked repetitions: what takes longer is repeated less.
    """

    way: str
    app: App
    effect: float
    side_s: float
    part: float = 1.0


def cases(*, quick: bool) -> Iterator[Case]:
    """
    Yield what is simulated.
    """
    if quick:
        app = App(0.7, 0.05)
        yield from (Case(TURNS, app, effect, 60.0) for effect in (0.0, 0.1, 0.3))
        yield from (Case(TURNS, app, effect, 300.0) for effect in (0.0, 0.1))
        yield from (Case(RECORDED_TWICE, app, effect, 30.0) for effect in (0.0, 0.5))
        yield from (Case(WINDOWS, app, effect, 300.0) for effect in (0.0, 0.3))
        return
    apps = [App(utilisation, mood) for mood in MOODS for utilisation in UTILISATIONS]
    yield from (Case(TURNS, app, 0.0, side_s) for app in apps for side_s in (60.0, 300.0))
    yield from (Case(TURNS, app, 0.1, 300.0, 0.5) for app in apps)
    yield from (Case(TURNS, replace(app, of_request=0.5), 0.1, 300.0, 0.5) for app in apps if app.mood == MOODS[1])
    yield from (Case(TURNS, app, effect, 300.0, 0.5) for app in apps if app.mood == MOODS[1] for effect in (0.05, 0.2))
    yield from (Case(RECORDED_TWICE, app, effect, 60.0) for app in apps for effect in (0.0, 0.5))
    yield from (
        Case(WINDOWS, app, effect, side_s, 1.0 if effect == 0 else 0.25)
        for app in apps
        if app.mood == MOODS[1]
        for side_s in (60.0, 300.0, 1200.0)
        for effect in (0.0, 0.1, 0.2, 0.3, 0.5)
    )


def row(case: Case, *, times: int, seed: int = 7) -> dict[str, Any]:
    """
    Return the shares of verdicts over so many comparisons, and the median half-width of the interval.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    cheaper = cheaper_by(case.app.utilisation, case.effect, GOAL.percentile) if case.effect else 1.0
    app = replace(case.app, cheaper=cheaper)
    compare: Callable[[np.random.Generator, App, float], Verdict] = _in_turns if case.way == TURNS else _recordings
    if case.way == WINDOWS:
        compare = _windows
    counted: Counter[str] = Counter()
    widths = []
    times = max(round(times * case.part), 1)
    for _ in range(times):
        verdict = compare(generator, app, case.side_s)
        counted[verdict.verdict] += 1
        if verdict.ratio is not None:
            widths.append((verdict.ratio.high / verdict.ratio.low) ** 0.5 - 1)
    return {
        "way": case.way,
        "utilisation": app.utilisation,
        "mood": app.mood,
        "of_request": app.of_request,
        "effect": case.effect,
        "side_s": case.side_s,
        "times": times,
        "half_width": statistics.median(widths) if widths else None,
        **{each: counted[each] / times for each in VERDICTS},
    }


def _in_turns(generator: np.random.Generator, app: App, side_s: float) -> Verdict:
    return confirm(drawn_in_turns(generator, app, side_s), GOAL, None)


def drawn_in_turns(generator: np.random.Generator, app: App, side_s: float) -> Compared:
    """
    Return what an app and its changed self make of the same arrivals in turns.
    """
    turns = turns_of(side_s)
    assert turns is not None
    mood = moods(generator, app.mood, 2 * side_s)
    blocks: tuple[list[Any], list[Any]] = ([], [])
    measured, at_s = [], 0.0
    for block, side in order_of(turns.pairs, generator):
        if len(measured) == block:
            requests = arriving(generator, app, turns.block_s)
            kept = requests.due_s >= turns.lead_s
            measured.append(np.full(np.count_nonzero(kept), block))
        taken_s = latencies(generator, app, requests, mood, at_s, changed=bool(side))
        blocks[side].append(taken_s[kept])
        at_s += turns.block_s
    block_of = np.concatenate(measured)
    sides = [sent(name, block_of, np.concatenate(rows)) for name, rows in zip(("a", "b"), blocks, strict=True)]
    return of_pairs(in_turns(sides[0], sides[1], turns.pairs, side_s), None)


def _recordings(generator: np.random.Generator, app: App, side_s: float) -> Verdict:
    return _one_after_the_other(generator, app, side_s, same=True)


def _windows(generator: np.random.Generator, app: App, side_s: float) -> Verdict:
    return _one_after_the_other(generator, app, side_s, same=False)


def _one_after_the_other(generator: np.random.Generator, app: App, side_s: float, *, same: bool) -> Verdict:
    mood = moods(generator, app.mood, 2 * side_s + PAUSE_S)
    requests = arriving(generator, app, side_s)
    profiles = []
    for name, changed, begun_s in (("before", False, 0.0), ("after", True, side_s + PAUSE_S)):
        if changed and not same:
            requests = arriving(generator, app, side_s)
        taken_s = latencies(generator, app, requests, mood, begun_s, changed=changed)
        profiles.append(recorded(name, requests.due_s, taken_s, side_s))
    return confirm(of_recordings(profiles[0], profiles[1]), GOAL, None)
