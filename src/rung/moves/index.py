"""
Move: an index for the statement that holds the app back, and indexes for all that was recorded.

In        a Finding whose bottleneck is a statement
Out       offers: the index, or several, what the planner would do with them, what an execution would then take, and
          by how much writing is slowed
Not here  which indexes there could be and which are best (steps/advise), building them (steps/take, adapters/hands.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rung.moves.rate import Rate, faster, rate_of
from rung.moves.weighing import weighed
from rung.ports import Index, IndexColumn, Plan, Promise, Step, WhatIf
from rung.steps.advise import Advice, Advised, Advisor, Slowed, advisor
from rung.steps.advise.entries import Added
from rung.steps.advise.writes import CHECKPOINT_S
from rung.steps.find.finding import Finding
from rung.steps.measure import Part, Profile
from rung.steps.price.quote import MIGRATION, BuildIndex, Offer
from rung.steps.take import index_name
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Model, Twin
from rung.steps.twin.workload import Op, Workload
from rung.units import show_bytes, show_count, show_roughly, show_seconds

# A plan must get this much cheaper to be worth an index: below it the planner's own error is larger.
COST_SHARE_MAX = 0.7
SERVED_MAX = 8  # statements that several indexes together are priced for, the weightiest


class IndexMove:
    """
    Offer the index that makes the bottleneck cheapest, and the set that is best for all that was recorded.
    """

    kind = "index"
    rung = 1

    def offers(self, profile: Profile, twin: Twin, finding: Finding) -> Step[tuple[Offer, ...]]:
        """
        Return one index against the bottleneck, several for the workload, or nothing when none helps.
        """
        suspect, plan = finding.bottleneck, finding.plan
        if suspect is None or plan is None or not suspect.statement:
            return ()
        statements, parts = weighed(profile, twin.workload, suspect.part, suspect.route, twin.rate_per_s)
        if not parts or parts[0] != suspect.part:
            return ()
        asked: Advisor = yield from advisor(statements)
        one: Advice = yield from asked.advice(indexes_max=1, only=(0,))
        several: Advice = yield from asked.advice()
        promised = yield from _promises(asked, one)
        promised_all = yield from _promises(asked, several)
        if not promised and not promised_all:
            return ()
        rate = yield from rate_of(profile, twin.workload, suspect.part, plan, asked.gathered.tables)
        if rate is None:
            return ()
        one, several = (advice.slower(rate.timing.speed) for advice in (one, several))
        offers = []
        if 0 in promised:
            offers.append(_offer(suspect.part, plan, _Several(one, promised, parts), rate))
        if promised_all and {each.index for each in several.indexes} != {each.index for each in one.indexes}:
            offers.append(_offer(suspect.part, plan, _Several(several, promised_all, parts), rate))
        return tuple(offers)


@dataclass(frozen=True, slots=True)
class _Several:
    """
    Indexes that are offered together.

    Attributes:
        promises: What the planner says of each statement that they serve, by its position.
        parts: What each statement is in the recording.
    """

    advice: Advice
    promises: dict[int, Promise]
    parts: tuple[Part, ...]


def _promises(asked: Advisor, advice: Advice) -> Step[dict[int, Promise]]:
    """
    Ask for the plan of each statement with the index that serves it best; those that hardly gain are left out.
    """
    best: dict[int, Promise] = {}
    for advised in advice.indexes:
        for served in advised.serves[:SERVED_MAX]:
            # A DELETE takes what it does to look for rows that refer to its own.
            place = asked.gathered.homes[served]
            promise = yield WhatIf(asked.gathered.statements[served].statement, advised.index)
            if (
                isinstance(promise, Promise)
                and promise.used
                and promise.after.cost <= COST_SHARE_MAX * promise.before.cost
                and (place not in best or promise.after.cost < best[place].after.cost)
            ):
                best[place] = promise
    return best


def slower(part: Part, added_s: float) -> Model:
    """
    Return the model in which each execution of *part* takes so much more of the database's processor.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        chosen = edit.spent_on(workload, part, ops=(Op.EXECUTE,))
        return edit.replaced(workload, chosen, np.maximum(workload.service_s[chosen] + added_s, 0.0)), topology

    return model


def in_turn(models: Sequence[Model]) -> Model:
    """
    Return the model that makes of the recording what each of *models* does, one after the other.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        for each in models:
            workload, topology = each(workload, topology)
        return workload, topology

    return model


def slowed_words(slowed: Sequence[Slowed], upkeep: Added) -> str:
    """
    Return what indexes do to the statements that write, as an assumption.

    Args:
        upkeep: What writing takes more a second, of which the bytes are told.
    """
    log = f"{show_bytes(upkeep.wal_bytes)}/s to the write-ahead log, checkpoints {show_seconds(CHECKPOINT_S)} apart"
    if not slowed:
        counted = f"; what the server counted adds {log}" if upkeep.wal_bytes >= 1 else ""
        return f"no recorded statement writes what the index would have to follow{counted}"
    worst_s = max(each.execution.seconds for each in slowed)
    return (
        f"{show_count(len(slowed))} recorded statements that write take up to {show_seconds(worst_s)} longer, by what "
        f"an index entry takes, and writing adds {log}"
    )


def cost_words(advice: Advice) -> str:
    """
    Return what indexes cost: room, the write that takes longer by the most, and being built.
    """
    words = [show_bytes(advice.size_bytes)]
    if advice.slowed:
        worst = max(advice.slowed, key=lambda each: each.execution.seconds)
        kind = worst.operation.lower()
        words.append(f"+{show_seconds(worst.execution.seconds)} {'a' if kind == 'merge' else 'an'} {kind}")
    words.append(f"builds in about {show_roughly(advice.build.seconds)}, writes not blocked")
    return " · ".join(words)


def _offer(part: Part, plan: Plan, several: _Several, rate: Rate) -> Offer:
    advice, promises, parts = several.advice, several.promises, several.parts
    made = {place: faster(parts[place], promise.after, rate) for place, promise in sorted(promises.items())}
    slowing = [slower(parts[each.statement], each.execution.seconds) for each in advice.slowed]
    middle, low, high = (
        in_turn([*models, *slowing])
        for models in (
            [each.middle for each in made.values()],
            [each.low for each in made.values()],
            [each.high for each in made.values()],
        )
    )
    at = parts.index(part)
    shown = at if at in promises else min(promises)
    promise = promises[shown]
    assumptions = [
        f"the planner would use it: cost {show_count(promise.before.cost)} → {promise.after.cost:.1f}",
        made[shown].how,
        slowed_words(advice.slowed, advice.upkeep),
        f"the build reads the table twice and writes {show_bytes(advice.build.wal_bytes)} to the write-ahead log",
    ]
    if len(promises) > 1:
        assumptions.insert(1, f"{show_count(len(promises))} recorded statements would use them")
    if at in promises and abs(promise.before.cost - plan.cost) > 0.01 * plan.cost:
        assumptions.insert(
            1,
            f"the planner twin prices today's plan at {show_count(promise.before.cost)}, "
            f"the server at {show_count(plan.cost)}",
        )
    indexes = [each.index for each in advice.indexes]
    builds = [_build(each, rate) for each in advice.indexes]
    single = len(builds) == 1
    return Offer(
        name=("index:" if single else "indexes:") + "+".join(map(short, indexes)),
        rung=IndexMove.rung,
        what=("index " if single else f"{len(indexes)} indexes: ") + ", ".join(map(told, indexes)),
        cost=cost_words(advice),
        assumptions=tuple(assumptions),
        model=middle,
        bounds=(low, high),
        plan=builds[0],
        beside=tuple(builds[1:]),
        taken_as=MIGRATION,
    )


def _build(advised: Advised, rate: Rate) -> BuildIndex:
    index = advised.index
    table = rate.tables.get((index.schema, index.table))
    partitioned = table is not None and table.partitioned
    build = advised.build
    return BuildIndex(index, index_name(index), advised.size_bytes, partitioned, build.seconds, round(build.wal_bytes))


def short(index: Index) -> str:
    """
    Return an index in the few letters that an offer's name has.

    >>> short(Index("public", "orders", (IndexColumn("a"), IndexColumn("b", True)), ("c",)))
    'orders(a,b+c)'
    """
    keys = ",".join(column.name for column in index.columns)
    carried = f"+{','.join(index.include)}" if index.include else ""
    return f"{index.table}({keys}{carried})" + (f"[{index.where}]" if index.where else "")


def told(index: Index) -> str:
    """
    Return an index in words for people.

    >>> told(Index("public", "orders", (IndexColumn("a"), IndexColumn("b", True)), ("c",), "d IS NULL"))
    'orders (a, b DESC) INCLUDE (c) WHERE d IS NULL'
    """
    keys = ", ".join(_key(column) for column in index.columns)
    carried = f" INCLUDE ({', '.join(index.include)})" if index.include else ""
    return f"{index.table} ({keys}){carried}" + (f" WHERE {index.where}" if index.where else "")


def _key(column: IndexColumn) -> str:
    nulls = "" if column.nulls_first is None else " NULLS FIRST" if column.nulls_first else " NULLS LAST"
    name = f"({column.name})" if column.expression else column.name
    opclass = f" {column.opclass}" if column.opclass else ""
    return name + opclass + (" DESC" if column.descending else "") + nulls
