"""
Move: an index for a statement that reads a whole table to keep a few of its rows.

In        a Finding whose bottleneck is a statement with a sequential scan
Out       offers: the index, what the planner would do with it, and what an execution would then take
Not here  building it (take.py, adapters/hands.py), joins and expressions

An execution's new time is not guessed from the planner's cost alone: it is drawn from recorded
executions of the statement whose cost is nearest, their waiting taken out, plus what the rest of the
cost takes at the rate at which the recorded statements turned cost into seconds.
"""

from __future__ import annotations

import math

import numpy as np

from rung.moves.lookup import Lookup, lookup
from rung.ports import Explain, Index, IndexColumn, Plan, Promise, Step, Table, Unavailable, WhatIf
from rung.steps.find.finding import Finding, costliest_scan
from rung.steps.measure import Floats, Part, Profile
from rung.steps.price.quote import MIGRATION, BuildIndex, Offer
from rung.steps.take import index_name
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Model, Twin
from rung.steps.twin.workload import Op, Workload
from rung.units import show_bytes, show_count, show_seconds

REFERENCES_MAX = 8
EXECUTIONS_MIN = 20
# A plan must get this much cheaper to be worth an index: below it the planner's own error is larger.
COST_SHARE_MAX = 0.5


class IndexMove:
    """
    Offer at most one index: the candidate that the planner uses and that makes the statement cheapest.
    """

    kind = "index"
    rung = 1

    def offers(self, profile: Profile, twin: Twin, finding: Finding) -> Step[tuple[Offer, ...]]:
        """
        Return the best index against the bottleneck, or nothing when it is no unindexed lookup.
        """
        suspect, plan, table = finding.bottleneck, finding.plan, finding.table
        if suspect is None or plan is None or table is None or not reads_whole_table(plan):
            return ()
        found = lookup(suspect.statement, table)
        if found is None:
            return ()
        promises: list[tuple[Index, Promise]] = []
        for candidate in candidates(found, table):
            promise = yield WhatIf(suspect.statement, candidate)
            if (
                isinstance(promise, Promise)
                and promise.used
                and promise.after.cost <= COST_SHARE_MAX * promise.before.cost
            ):
                promises.append((candidate, promise))
        if not promises:
            return ()
        index, promise = min(promises, key=lambda pair: (pair[1].after.cost, len(pair[0].columns)))
        rate = yield from _rate(profile, twin.workload, suspect.part, plan)
        if rate is None:
            return ()
        return (_offer(suspect.part, plan, index, promise, rate, partitioned=table.partitioned),)


def reads_whole_table(plan: Plan) -> bool:
    """
    Return whether the costliest scan of *plan* is a sequential one with a condition.
    """
    place = costliest_scan(plan)
    return place is not None and "Seq Scan" in plan.nodes[place].kind and bool(plan.nodes[place].condition)


def candidates(found: Lookup, table: Table) -> tuple[Index, ...]:
    """
    Return the indexes worth asking the planner about, leaving out what an existing one begins with.

    Columns compared for equality come first, then those sorted by (they then come out in order), else
    one compared for range: a btree is read as one run of neighbours, and the run ends at the first range.
    """
    equal = tuple(IndexColumn(name) for name in found.equal)
    fixed = {column.name for column in equal}
    # What is fixed, or sorted by before, decides no order any more.
    by = tuple({column.name: column for column in reversed(found.sorted) if column.name not in fixed}.values())[::-1]
    shapes = [equal + by, equal]
    shapes += [(*equal, IndexColumn(name)) for name in found.ranged[:2] if name not in fixed]
    kept: dict[tuple[IndexColumn, ...], None] = {}
    for shape in shapes:
        if shape and not any(index.columns[: len(shape)] == shape for index in table.indexes):
            kept[shape] = None
    return tuple(Index(table.schema, table.name, shape) for shape in kept)


class Rate:
    """
    How recorded statements turned the planner's cost into seconds.

    Attributes:
        costs: Cost of each reference, ascending.
        parts: The statement of each.
        times_s: What its executions take of the database, waiting taken out.
        second_per_cost: Low, middle and high of the seconds that a unit of cost took.
    """

    def __init__(
        self, references: list[tuple[float, Part, Floats]], second_per_cost: tuple[float, float, float]
    ) -> None:
        self.costs, self.parts, self.times_s = (list(column) for column in zip(*references, strict=True))
        self.second_per_cost = second_per_cost

    def nearest(self, cost: float) -> int:
        """
        Return the reference whose cost is nearest to *cost*, as a ratio.
        """
        return min(range(len(self.costs)), key=lambda place: abs(math.log(self.costs[place] / cost)))


def _rate(profile: Profile, workload: Workload, part: Part, plan: Plan) -> Step[Rate | None]:
    """
    Ask for the plans of the recording's other statements, and hold their costs against their times.
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
    references: list[tuple[float, Part, Floats]] = []
    for place in others[:REFERENCES_MAX]:
        answer = yield Explain(profile.texts[workload.parts[place].name].text)
        if not isinstance(answer, Unavailable) and answer.cost > 0:
            times_s = workload.service_s[executed & (workload.part == place)]
            references.append((answer.cost, workload.parts[place], times_s))
    if not references:
        return None
    references.sort(key=lambda reference: reference[0])
    now_s = float(np.median(workload.service_s[executed & (workload.part == workload.part_of(part))]))
    floor_s = min(float(np.quantile(times_s, 0.1)) for _, _, times_s in references)
    points = [(cost, float(np.median(times_s))) for cost, _, times_s in references] + [(plan.cost, now_s)]
    rates = sorted(max(time_s - floor_s, 0.0) / cost for cost, time_s in points)
    return Rate(references, (rates[0], float(np.median(rates)), rates[-1]))


def executing(part: Part, like: Part, surplus_s: float) -> Model:
    """
    Return the model in which executions of *part* take what those of *like* take, drawn, and so much more.

    Of the database's processor, and of what nobody shares: a shorter execution waits less for its disk, too.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        generator = np.random.Generator(np.random.PCG64(1))  # the same recording gives the same price
        for op, more_s in ((Op.EXECUTE, surplus_s), (Op.DELAY, 0.0)):
            chosen, like_s = edit.spent_on(workload, part, ops=(op,)), _times_s(workload, like, op)
            if len(like_s):
                drawn_s = generator.choice(like_s, size=int(chosen.sum())) + more_s
                workload = edit.replaced(workload, chosen, drawn_s)
        # A plan that reads little has no parallel workers.
        return edit.dropped(workload, edit.spent_on(workload, part, ops=(Op.HELP,))), topology

    return model


def _times_s(workload: Workload, part: Part, op: Op) -> Floats:
    times_s: Floats = workload.service_s[edit.spent_on(workload, part, ops=(op,))]
    return times_s


def _offer(part: Part, plan: Plan, index: Index, promise: Promise, rate: Rate, *, partitioned: bool) -> Offer:
    columns = ", ".join(column.name + (" DESC" if column.descending else "") for column in index.columns)
    short = ",".join(column.name for column in index.columns)
    cost = max(promise.after.cost, 1e-6)
    place = rate.nearest(cost)
    beyond = max(cost - rate.costs[place], 0.0)
    low_s, middle_s, high_s = (second * beyond for second in rate.second_per_cost)
    like, like_s = rate.parts[place], rate.times_s[place]
    assumptions = [
        f"the planner would use it: cost {show_count(promise.before.cost)} → {promise.after.cost:.1f}",
        "an execution then takes what recorded ones of like cost took "
        f"({show_seconds(float(np.median(like_s)))} median, "
        f"n = {show_count(len(like_s))})" + (f", plus {show_seconds(middle_s)}" if middle_s > 1e-6 else ""),
        "what the index adds to writes is not priced yet",
    ]
    if abs(promise.before.cost - plan.cost) > 0.01 * plan.cost:
        assumptions.insert(
            1,
            f"the planner twin prices today's plan at {show_count(promise.before.cost)}, "
            f"the server at {show_count(plan.cost)}",
        )
    return Offer(
        name=f"index:{index.table}({short})",
        rung=IndexMove.rung,
        what=f"index {index.table} ({columns})",
        cost=show_bytes(promise.size_bytes),
        assumptions=tuple(assumptions),
        model=executing(part, like, middle_s),
        bounds=(executing(part, like, low_s), executing(part, like, high_s)) if high_s > low_s else (),
        plan=BuildIndex(index, index_name(index), promise.size_bytes, partitioned),
        taken_as=MIGRATION,
    )
