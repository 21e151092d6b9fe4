"""
Ways from a plan to seconds, each held against what was measured.

In        the document of measured.py
Out       for each way its errors over all cases, and by group; how often a range of 80 % held
Not here  measuring (measured.py), the page (page.py)

A way is given the recorded statements and the statement's own plan, time and rows of today; of the time after the index
it is told nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.timing.measured import Raw, kept_tables, plan_from
from rung.moves.timing import SECONDS, Seconds, Timed, Timing
from rung.moves.work import KINDS, PLACE, Work, page_cost_of, work_of
from rung.ports import Plan
from rung.steps.measure import Floats

REFERENCES = 8  # as many plans as rung asks for
WITHIN = 0.35
TWICE = 2.0
EXECUTION, BOTH = "execution", "planning and execution"
# Pages that each kind of work visits.
PAGES = np.array([{"page": 1.0, "descent": 2.0, "swept": 1.0}.get(kind, 0.0) for kind in KINDS])
WARM, COLD = "after", "cold"


@dataclass(frozen=True, slots=True)
class Reference:
    """
    A statement whose time is known.
    """

    plan: Plan
    work: Work
    time_s: float
    rows: float
    buffers: float


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What is to be predicted, and from what.

    Attributes:
        recorded: Statements that run well.
        today: This statement as it runs today.
        plan: With the index, as promised.
        work: Of an execution of it, its rows set right.
        planned: The same with the planner's own rows.
    """

    recorded: tuple[Reference, ...]
    today: Reference
    plan: Plan
    work: Work
    planned: Work


Way = Callable[[Asked], Seconds]


def nearest_cost(asked: Asked) -> Seconds:
    """
    What rung did: the time of the recorded statement of nearest cost, and the rest of the cost at the usual rate.
    """
    known = (*asked.recorded, asked.today)
    floor_s = min(each.time_s for each in asked.recorded)
    rates = sorted(max(each.time_s - floor_s, 0.0) / each.plan.cost for each in known)
    like = min(asked.recorded, key=lambda each: abs(math.log(each.plan.cost / asked.plan.cost)))
    beyond = max(asked.plan.cost - like.plan.cost, 0.0)
    return Seconds(*(like.time_s + rate * beyond for rate in (rates[0], float(np.median(rates)), rates[-1])))


def cost_by_rate(asked: Asked) -> Seconds:
    """
    Cost times the median of seconds per cost.
    """
    rates = [each.time_s / each.plan.cost for each in (*asked.recorded, asked.today)]
    return _point(asked.plan.cost * float(np.median(rates)))


def by_buffers(asked: Asked) -> Seconds:
    """
    Pages and rows instead of cost: a constant, so much a page, so much a row, fitted to what was recorded.
    """
    known = (*asked.recorded, asked.today)
    found = not_negative(
        np.array([[1.0, each.buffers, each.rows] for each in known]), np.array([each.time_s for each in known])
    )
    pages = asked.work.amounts @ PAGES
    return _point(float(found @ [1.0, pages, asked.work.amounts[PLACE["returned"]]]))


def by_constants(asked: Asked) -> Seconds:
    """
    Work times what each kind took elsewhere; nothing is learnt.
    """
    return Timing(()).predict(asked.work)


def by_one_factor(asked: Asked) -> Seconds:
    """
    The same, with one factor for this server.
    """
    constants = np.array([SECONDS[kind] for kind in KINDS])
    ratios = [math.log(each.time_s / float(each.work.amounts @ constants)) for each in (*asked.recorded, asked.today)]
    return _point(float(asked.work.amounts @ constants) * math.exp(float(np.median(ratios))))


def by_least_squares(asked: Asked) -> Seconds:
    """
    All kinds of work fitted to what was recorded, nothing known beforehand.
    """
    known = (*asked.recorded, asked.today)
    found = not_negative(np.array([each.work.amounts for each in known]), np.array([each.time_s for each in known]))
    return _point(float(found @ asked.work.amounts))


def learnt(asked: Asked) -> Seconds:
    """
    Constants, moved by each recorded statement as far as it tells.
    """
    return _timing(asked).predict(asked.work)


def learnt_as_planned(asked: Asked) -> Seconds:
    """
    The same without what the recording says of rows.
    """
    return _timing(asked).predict(asked.planned)


def learnt_from_three(asked: Asked) -> Seconds:
    """
    The same from three recorded statements.
    """
    known = (*asked.recorded[:3], asked.today)
    return Timing([Timed(each.work, each.time_s) for each in known]).predict(asked.work)


WAYS: dict[str, Way] = {
    "nearest cost (as it was)": nearest_cost,
    "cost × rate": cost_by_rate,
    "buffers and rows": by_buffers,
    "work, least squares": by_least_squares,
    "work, constants": by_constants,
    "work, one factor": by_one_factor,
    "work, learnt": learnt,
    "work, learnt, rows as planned": learnt_as_planned,
    "work, learnt from three": learnt_from_three,
}
WINNER = "work, learnt"


def _timing(asked: Asked) -> Timing:
    return Timing([Timed(each.work, each.time_s) for each in (*asked.recorded, asked.today)])


def _point(middle_s: float) -> Seconds:
    return Seconds(middle_s, middle_s, middle_s)


def not_negative(given: Floats, told: Floats) -> Floats:
    """
    Return the not negative weights with which *given* comes nearest to *told*, as a share of it.

    Source: Lawson & Hanson 1974, chapter 23: columns are taken in one by one, and out again where their weight falls
    below zero.
    """
    sizes = np.maximum(np.linalg.norm(given / told[:, None], axis=0), 1e-30)
    scaled = given / told[:, None] / sizes
    found, taken = np.zeros(given.shape[1]), np.zeros(given.shape[1], dtype=bool)
    for _ in range(3 * given.shape[1]):
        gain = np.where(taken, -np.inf, scaled.T @ (1.0 - scaled @ found))
        if gain.max() < 1e-9:
            break
        taken[gain.argmax()] = True
        while True:
            trial = np.zeros(len(found))
            trial[taken] = np.linalg.lstsq(scaled[:, taken], np.ones(len(told)), rcond=None)[0]
            below = taken & (trial <= 0)
            if not below.any():
                found = trial
                break
            step = float((found[below] / np.maximum(found[below] - trial[below], 1e-30)).min())
            found = found + step * (trial - found)
            taken &= found > 1e-15
            found[~taken] = 0.0
    return found / sizes


def asked_of(raw: Raw, *, what: str, phase: str, built: bool = False) -> list[tuple[Raw, Asked, float]]:
    """
    Return each case with what is to be predicted and the seconds that were measured.

    Args:
        what: EXECUTION, or BOTH with planning.
        phase: WARM, or COLD, in which what was recorded was cold, too.
        built: From the real server's plan with the index really there, in place of the twin's.
    """
    known = {
        "tables": kept_tables(raw),
        "page_cost": page_cost_of(plan_from(each["plan"]) for each in raw["recorded"][:REFERENCES]),
    }
    recorded = tuple(_recorded(each, known, what, phase) for each in raw["recorded"][:REFERENCES])
    found = []
    for case in raw["cases"]:
        plan = plan_from(case["built" if built else "promised"])
        today = _reference(plan_from(case["today"]), case["before"], known, what)
        asked = Asked(recorded, today, plan, work_of(plan, rows=today.rows, **known), work_of(plan, **known))
        found.append((case, asked, seconds_of(case[phase], what)))
    return found


def seconds_of(figures: Raw, what: str) -> float:
    """
    Return the measured seconds of an execution.
    """
    return float(figures["exec_s"] + (figures["plan_s"] if what == BOTH else 0.0))


def _recorded(each: Raw, known: Raw, what: str, phase: str) -> Reference:
    rounds = [each["cold"]] if phase == COLD else each["rounds"]
    figures = dict(rounds[0])
    for name in ("exec_s", "plan_s"):
        figures[name] = float(np.median([one[name] for one in rounds]))
    return _reference(plan_from(each["plan"]), figures, known, what)


def _reference(plan: Plan, figures: Raw, known: Raw, what: str) -> Reference:
    rows = float(figures["rows"])
    return Reference(
        plan, work_of(plan, rows=rows, **known), seconds_of(figures, what), rows, figures["hit"] + figures["read"]
    )


def judged(raw: Raw, **how: Any) -> dict[str, Raw]:
    """
    Return for each way what it missed, over all cases and by group.
    """
    asked = asked_of(raw, **how)
    found = {}
    for name, way in WAYS.items():
        rows = []
        for case, each, measured_s in asked:
            seconds = way(each)
            rows.append(
                {
                    "group": case["group"], "text": case["text"], "measured_s": measured_s,
                    "predicted_s": seconds.middle, "ratio": max(seconds.middle, 1e-12) / measured_s,
                    "held": seconds.low <= measured_s <= seconds.high,
                    "sign": (seconds.middle < each.today.time_s) == (measured_s < each.today.time_s),
                }
            )  # fmt: skip
        groups = {group: summed([row for row in rows if row["group"] == group]) for group in _groups(rows)}
        found[name] = {**summed(rows), "groups": groups, "rows": rows}
    return found


def _groups(rows: Sequence[Raw]) -> list[str]:
    return list(dict.fromkeys(row["group"] for row in rows))


def summed(rows: Sequence[Raw]) -> Raw:
    """
    Return the figures that the question is judged by.
    """
    ratios = np.array([row["ratio"] for row in rows])
    errors = np.abs(ratios - 1)
    return {
        "cases": len(rows), "median_error": float(np.median(errors)),
        "off_by_two": float((np.maximum(ratios, 1 / ratios) > TWICE).mean()),
        "within": float((errors <= WITHIN).mean()), "sign": float(np.mean([row["sign"] for row in rows])),
        "bias": float(np.exp(np.median(np.log(ratios)))), "held": float(np.mean([row["held"] for row in rows])),
    }  # fmt: skip
