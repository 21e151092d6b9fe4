"""
What recorded statements say of how long a plan takes, and what that makes of the recorded traffic.

An execution's new time is not guessed from the planner's cost: what the plan does is counted (work.py) and timed by
what recorded statements took (timing.py); how much it varies is drawn from recorded executions of the statement that
takes nearest to it, their waiting taken out.

In        the recording, plans of its statements
Out       a Rate; models in which a statement takes what another plan would
Not here  which plan that is (index.py), what an index adds to writes (steps/advise)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rung.moves.timing import Seconds, Timed, Timing
from rung.moves.work import Tables, page_cost_of, work_of
from rung.ports import Explain, Plan, Step, Unavailable
from rung.steps.measure import Floats, Part, Profile
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Model
from rung.steps.twin.workload import Op, Workload
from rung.units import show_seconds

REFERENCES_MAX = 8
EXECUTIONS_MIN = 20


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """
    What recorded statements say of how long a plan takes.

    Attributes:
        profile: The recording, which tells the rows that an execution of a statement returned.
        parts: The statement of each reference.
        times_s: What its executions take of the database, waiting taken out.
        timing: Learnt from all of them, and from the bottleneck as it runs today.
        tables: What is known of the tables.
        page_cost: The server's random_page_cost.
    """

    profile: Profile
    parts: tuple[Part, ...]
    times_s: tuple[Floats, ...]
    timing: Timing
    tables: Tables
    page_cost: float

    def predict(self, part: Part, plan: Plan) -> Seconds:
        """
        Return what an execution of *part* would take with *plan*.
        """
        rows = _rows(self.profile, part)
        return self.timing.predict(work_of(plan, rows=rows, tables=self.tables, page_cost=self.page_cost))

    def nearest(self, typical_s: float) -> int:
        """
        Return the reference whose median is nearest to *typical_s*, as a ratio.
        """
        medians_s = [max(float(np.median(times_s)), 1e-9) for times_s in self.times_s]
        return min(range(len(medians_s)), key=lambda place: abs(math.log(medians_s[place] / max(typical_s, 1e-9))))


def rate_of(profile: Profile, workload: Workload, part: Part, plan: Plan, tables: Tables) -> Step[Rate | None]:
    """
    Ask for the plans of the recording's other statements, and hold what they do against their times.

    None where no other statement was recorded often enough.
    """
    executed = workload.op == Op.EXECUTE
    counts = np.bincount(workload.part[executed], minlength=len(workload.parts))
    others = [
        place
        for place in np.argsort(-counts, kind="stable")
        if workload.parts[place].name in profile.texts
        and workload.parts[place] != part
        and profile.texts[workload.parts[place].name].kind == "read"
        and counts[place] >= EXECUTIONS_MIN
    ]
    plans: list[tuple[int, Plan]] = []
    for place in others[:REFERENCES_MAX]:
        answer = yield Explain(profile.texts[workload.parts[place].name].text)
        if not isinstance(answer, Unavailable) and answer.cost > 0:
            plans.append((int(place), answer))
    if not plans:
        return None
    page_cost = page_cost_of(answer for _, answer in plans)
    times, timed = [], []
    for place, known in [*plans, (workload.part_of(part), plan)]:
        times_s = workload.service_s[executed & (workload.part == place)]
        work = work_of(known, rows=_rows(profile, workload.parts[place]), tables=tables, page_cost=page_cost)
        times.append(times_s)
        timed.append(Timed(work, float(np.median(times_s))))
    parts = tuple(workload.parts[place] for place, _ in plans)
    return Rate(profile, parts, tuple(times[:-1]), Timing(timed), tables, page_cost)


def _rows(profile: Profile, part: Part) -> float | None:
    """
    Return the rows that an execution of *part* returned on average, None where no driver told.
    """
    segments = profile.segments
    if part not in profile.parts:
        return None  # it ran after the response only
    told = (segments.part == profile.parts.index(part)) & (segments.rows >= 0) & (segments.calls == 1)
    return float(segments.rows[told].mean()) if told.any() else None


def executing(part: Part, like: Part, typical_s: float) -> Model:
    """
    Return the model in which executions of *part* take what those of *like* take, drawn, and *typical_s* at the median.

    Of the database's processor, and of what nobody shares: a shorter execution waits less for its disk, too.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        generator = np.random.Generator(np.random.PCG64(1))  # the same recording gives the same price
        for op in (Op.EXECUTE, Op.DELAY):
            chosen, like_s = edit.spent_on(workload, part, ops=(op,)), _times_s(workload, like, op)
            if len(like_s):
                factor = typical_s / max(float(np.median(like_s)), 1e-9) if op == Op.EXECUTE else 1.0
                drawn_s = generator.choice(like_s, size=int(chosen.sum())) * factor
                workload = edit.replaced(workload, chosen, drawn_s)
        # A plan that reads little has no parallel workers.
        return edit.dropped(workload, edit.spent_on(workload, part, ops=(Op.HELP,))), topology

    return model


def _times_s(workload: Workload, part: Part, op: Op) -> Floats:
    times_s: Floats = workload.service_s[edit.spent_on(workload, part, ops=(op,))]
    return times_s


@dataclass(frozen=True, slots=True, eq=False)
class Faster:
    """
    What a promised plan makes of the executions of a statement: expected, at the good end and at the bad end.

    Attributes:
        how: By what, as an assumption.
    """

    middle: Model
    low: Model
    high: Model
    how: str


def faster(part: Part, plan: Plan, rate: Rate) -> Faster:
    """
    Return what executions of *part* take with the promised *plan*.
    """
    seconds = rate.predict(part, plan)
    like = rate.parts[rate.nearest(seconds.middle)]
    takes = f"{show_seconds(seconds.middle)} ({show_seconds(seconds.low)} to {show_seconds(seconds.high)})"
    how = f"an execution then takes {takes}, by what {len(rate.parts) + 1} recorded statements do and took"
    middle, low, high = (executing(part, like, each_s) for each_s in (seconds.middle, seconds.low, seconds.high))
    return Faster(middle, low, high, how)
