"""
Advise on indexes for a whole workload: which to build, what each statement would cost, what writing would.

In        statements with how often they run and how much they weigh; a budget of bytes, or none
Out       Advice, and Dropped for indexes that could go
Not here  which statements matter for the goal (moves/index.py), turning costs into seconds of a recording

Candidates come from today's plans, costs from the planner twin in a few rounds of questions, the choice from a search
over what was answered; what is chosen is asked once more as it stands, until nothing new comes of it.  The same
answers give the same advice.
"""

from __future__ import annotations

from collections.abc import Sequence

from rung.ports import Step
from rung.steps.advise.advice import Advice, Advised, Considered, Dropped, Slowed, Weighted
from rung.steps.advise.drops import drops, slowed
from rung.steps.advise.gather import Gathered, gather
from rung.steps.advise.rounds import Known, rounds
from rung.steps.advise.select import Choice, Chosen, bits
from rung.steps.advise.writes import Upkeep

__all__ = [
    "Advice", "Advised", "Considered", "Dropped", "Gathered", "Slowed", "Upkeep", "Weighted", "advise", "advised",
    "drops", "gather",
]  # fmt: skip

VERIFIED_MAX = 4  # times that a choice is asked about as it stands


def advise(
    workload: Sequence[Weighted], budget_bytes: int | None = None, *, indexes_max: int | None = None
) -> Step[Advice]:
    """
    Return the indexes that save most of the workload's weighted time.

    Args:
        budget_bytes: What they may take on disk together; None for as much as is worth it.
        indexes_max: How many there may be; None for any number.
    """
    gathered = yield from gather(workload)
    advice = yield from advised(gathered, len(workload), budget_bytes, indexes_max=indexes_max)
    return advice


def advised(
    gathered: Gathered, count: int, budget_bytes: int | None = None, *, indexes_max: int | None = None
) -> Step[Advice]:
    """
    Return the advice for what was gathered of a workload.

    Args:
        count: How many statements the workload has itself; what PostgreSQL adds to it comes behind them.
    """
    known = Known(gathered)
    upkeep = Upkeep(gathered.writings, gathered.tables)
    yield from rounds(known)
    chosen: Chosen = frozenset()
    for _ in range(VERIFIED_MAX):
        choice = _choice(known, upkeep, indexes_max)
        best = choice.best(budget_bytes)
        needs = {
            statement: [near]
            for statement in range(len(gathered.statements))
            if (near := frozenset(place for place in best if known.costs.near[statement] >> place & 1))
            and known.costs.base[statement] is not None
            and not known.costs.knows(statement, near)
        }
        chosen = best
        if not needs or known.unavailable:
            break
        yield from known.ask(needs)
    return _advice(known, upkeep, _choice(known, upkeep, indexes_max), chosen, count)


def _choice(known: Known, upkeep: Upkeep, indexes_max: int | None) -> Choice:
    usable = [
        place
        for place in range(len(known.indexes))
        if known.sizes_bytes[place] > 0 and not known.refused[place] and known.useful(place)
    ]
    cache: dict[Chosen, float] = {}

    def second_per_s(chosen: Chosen) -> float:
        if chosen not in cache:
            cache[chosen] = upkeep.second_per_s([known.indexes[place] for place in sorted(chosen)])
        return cache[chosen]

    excludes = {place: frozenset(other for other in usable if known.begins(other, place)) for place in usable}
    return Choice(known.costs, known.sizes_bytes, second_per_s, usable, excludes, indexes_max=indexes_max)


def _advice(known: Known, upkeep: Upkeep, choice: Choice, chosen: Chosen, count: int) -> Advice:
    gathered, costs = known.gathered, known.costs
    mask = bits(chosen)
    made = []
    for place in chosen:
        others = chosen - {place}
        serves = tuple(
            statement
            for statement in range(count)
            if costs.base[statement] is not None
            and costs.cost(statement, mask) < costs.cost(statement, bits(others))
        )
        gain_s = choice.value_s(others) - choice.value_s(chosen)
        index = known.indexes[place]
        made.append(Advised(index, known.sizes_bytes[place], gain_s, upkeep.second_per_s([index]), serves))
    made.sort(key=lambda each: (-each.gain_s, each.size_bytes, known.place(each.index)))
    changes = slowed(gathered, upkeep, [each.index for each in made])
    considered = tuple(
        Considered(
            index,
            known.sizes_bytes[place],
            known.refused[place],
            choice.value_s(frozenset({place})) / choice.nothing_s if choice.nothing_s > 0 else 1.0,
        )
        for place, index in enumerate(known.indexes)
        if known.sizes_bytes[place] or known.refused[place]
    )
    return Advice(
        indexes=tuple(made),
        before=tuple(costs.base[:count]),
        after=tuple(
            None if costs.base[statement] is None else costs.cost(statement, mask) for statement in range(count)
        ),
        slowed=tuple(each for each in changes if each.statement < count),
        now_s=choice.nothing_s,
        then_s=choice.value_s(chosen),
        considered=considered,
        unplanned=tuple(known.unplanned[:count]),
        asked=known.asked,
        unavailable=known.unavailable,
    )
