"""
Move: an index for a statement that reads a whole table to keep a few of its rows.

In        a Finding whose bottleneck is a statement with a sequential scan
Out       offers: the index, what the planner would do with it, and what an execution would then take
Not here  building it (take.py, adapters/hands.py), joins and expressions

An execution's new time is not guessed from the planner's cost: what the plan does is counted (work.py)
and timed by what recorded statements took (timing.py); how much it varies is drawn from recorded
executions of the statement that takes nearest to it, their waiting taken out.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from rung.moves.lookup import Lookup, lookup
from rung.moves.timing import Timed, Timing
from rung.moves.work import Tables, page_cost_of, work_of
from rung.ports import Explain, Index, IndexColumn, Plan, Promise, Step, Table, Unavailable, WhatIf
from rung.steps.find.finding import Finding, costliest_scan
from rung.steps.measure import Floats, Part, Profile
from rung.steps.price.quote import MIGRATION, BuildIndex, Offer
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Model, Twin
from rung.steps.twin.workload import Op, Workload
from rung.units import show_bytes, show_count, show_seconds

NAME_BYTES_MAX = 63  # PostgreSQL cuts a longer identifier (NAMEDATALEN - 1)
NAME_SUFFIX = "_rung"  # by which a leftover of ours is told from somebody's index
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
        rate = yield from _rate(profile, twin.workload, suspect.part, plan, table)
        if rate is None:
            return ()
        return (_offer(suspect.part, plan, index, promise, rate),)


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


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """
    What recorded statements say of how long a plan takes.

    Attributes:
        parts: The statement of each reference.
        times_s: What its executions take of the database, waiting taken out.
        timing: Learnt from all of them, and from the bottleneck as it runs today.
        rows: That an execution of the bottleneck returns; None where unknown.
        tables: What is known of the tables.
        page_cost: The server's random_page_cost.
    """

    parts: tuple[Part, ...]
    times_s: tuple[Floats, ...]
    timing: Timing
    rows: float | None
    tables: Tables
    page_cost: float

    def nearest(self, typical_s: float) -> int:
        """
        Return the reference whose median is nearest to *typical_s*, as a ratio.
        """
        medians_s = [max(float(np.median(times_s)), 1e-9) for times_s in self.times_s]
        return min(range(len(medians_s)), key=lambda place: abs(math.log(medians_s[place] / typical_s)))


def _rate(profile: Profile, workload: Workload, part: Part, plan: Plan, table: Table) -> Step[Rate | None]:
    """
    Ask for the plans of the recording's other statements, and hold what they do against their times.
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
    tables, page_cost = {(table.schema, table.name): table}, page_cost_of(answer for _, answer in plans)
    times, timed = [], []
    for place, known in [*plans, (workload.part_of(part), plan)]:
        times_s = workload.service_s[executed & (workload.part == place)]
        work = work_of(known, rows=_rows(profile, workload.parts[place]), tables=tables, page_cost=page_cost)
        times.append(times_s)
        timed.append(Timed(work, float(np.median(times_s))))
    parts = tuple(workload.parts[place] for place, _ in plans)
    return Rate(parts, tuple(times[:-1]), Timing(timed), _rows(profile, part), tables, page_cost)


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


def _offer(part: Part, plan: Plan, index: Index, promise: Promise, rate: Rate) -> Offer:
    columns = ", ".join(column.name + (" DESC" if column.descending else "") for column in index.columns)
    short = ",".join(column.name for column in index.columns)
    work = work_of(promise.after, rows=rate.rows, tables=rate.tables, page_cost=rate.page_cost)
    seconds = rate.timing.predict(work)
    like = rate.parts[rate.nearest(seconds.middle)]
    takes = f"{show_seconds(seconds.middle)} ({show_seconds(seconds.low)} to {show_seconds(seconds.high)})"
    assumptions = [
        f"the planner would use it: cost {show_count(promise.before.cost)} → {promise.after.cost:.1f}",
        f"an execution then takes {takes}, by what {len(rate.parts) + 1} recorded statements do and took",
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
        model=executing(part, like, seconds.middle),
        bounds=(executing(part, like, seconds.low), executing(part, like, seconds.high)),
        plan=BuildIndex(index, index_name(index), promise.size_bytes),
        taken_as=MIGRATION,
    )


def index_name(index: Index) -> str:
    """
    Return a name that says what is indexed, ends in `_rung`, and fits PostgreSQL's 63 bytes.

    >>> index_name(Index("public", "orders", (IndexColumn("customer_id"), IndexColumn("created_at", True))))
    'orders_customer_id_created_at_desc_rung'
    """
    words = [index.table]
    for column in index.columns:
        words += [column.name, "desc"] if column.descending else [column.name]
    stem = "_".join(words)
    if len((stem + NAME_SUFFIX).encode()) > NAME_BYTES_MAX:
        digest = hashlib.blake2b(stem.encode(), digest_size=4).hexdigest()
        room = NAME_BYTES_MAX - len(NAME_SUFFIX) - len(digest) - 1
        stem = stem.encode()[:room].decode(errors="ignore") + "_" + digest
    return stem + NAME_SUFFIX
