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

from collections.abc import Collection, Sequence

from rung.ports import Index, Step
from rung.steps.advise.advice import Advice, Advised, Considered, Dropped, Slowed, Weighted
from rung.steps.advise.builds import built
from rung.steps.advise.drops import drops, slowed
from rung.steps.advise.gather import Gathered, gather
from rung.steps.advise.rounds import Known, rounds
from rung.steps.advise.select import Choice, Chosen, bits
from rung.steps.advise.writes import Upkeep

__all__ = ["Advice", "Advised", "Advisor", "Considered", "Dropped", "Slowed", "Weighted", "advise", "advisor"]

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
    asked = yield from advisor(workload)
    advice: Advice = yield from asked.advice(budget_bytes, indexes_max=indexes_max)
    return advice


def advisor(workload: Sequence[Weighted]) -> Step[Advisor]:
    """
    Ask for all that advice on a workload rests on.
    """
    gathered = yield from gather(workload)
    made = Advisor(gathered, len(workload))
    yield from rounds(made.known)
    return made


class Advisor:
    """
    What was answered about a workload; gives advice on all or some of it.

    Attributes:
        count: How many statements the workload has itself; what PostgreSQL adds to it comes behind them.
    """

    def __init__(self, gathered: Gathered, count: int) -> None:
        self.gathered, self.count = gathered, count
        self.known = Known(gathered)
        self.upkeep = Upkeep(gathered.writings, gathered.tables, self.known.size_bytes)

    def advice(
        self,
        budget_bytes: int | None = None,
        *,
        indexes_max: int | None = None,
        only: Collection[int] | None = None,
    ) -> Step[Advice]:
        """
        Return the indexes that save most.

        Args:
            budget_bytes: What they may take on disk together; None for as much as is worth it.
            indexes_max: How many there may be; None for any number.
            only: Positions of the statements that they are for, with what PostgreSQL executes for their sake; writing
                counts in full all the same.
        """
        known = self.known
        chosen: Chosen = frozenset()
        for _ in range(VERIFIED_MAX):
            chosen = self._choice(indexes_max, only).best(budget_bytes)
            needs = {
                statement: [near]
                for statement in range(len(self.gathered.statements))
                if (near := frozenset(place for place in chosen if known.costs.near[statement] >> place & 1))
                and known.costs.base[statement] is not None
                and not known.costs.knows(statement, near)
            }
            if not needs or known.unavailable:
                break
            yield from known.ask(needs)
        return self._advice(self._choice(indexes_max, only), chosen)

    def drops(self, added: Sequence[Index] = ()) -> Step[tuple[Dropped, ...]]:
        """
        Return the indexes that could go, also for those that are to be *added*.
        """
        found: tuple[Dropped, ...] = ()
        if not self.known.unavailable:
            found = yield from drops(self.gathered, self.upkeep, added)
        return found

    def _choice(self, indexes_max: int | None, only: Collection[int] | None) -> Choice:
        known = self.known
        usable, homes = known.usable(), self.gathered.homes
        cache: dict[Chosen, float] = {}

        def second_per_s(chosen: Chosen) -> float:
            if chosen not in cache:
                cache[chosen] = self.upkeep.per_s([known.indexes[place] for place in sorted(chosen)]).seconds
            return cache[chosen]

        return Choice(
            known.costs if only is None else known.costs.of([at for at, home in enumerate(homes) if home in only]),
            known.sizes_bytes,
            second_per_s,
            usable,
            known.begun_with(usable),
            known.indexes,
            indexes_max=indexes_max,
        )

    def _advice(self, choice: Choice, chosen: Chosen) -> Advice:
        known, costs = self.known, self.known.costs
        made = [self._advised(choice, chosen, place) for place in chosen]
        made.sort(key=lambda each: (-each.gain_s, each.size_bytes, known.place(each.index)))
        changes = slowed(self.upkeep, [each.index for each in made])
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
            before=tuple(costs.base[: self.count]),
            after=tuple(
                None if costs.base[statement] is None else costs.cost(statement, bits(chosen))
                for statement in range(self.count)
            ),
            slowed=tuple(each for each in changes if each.statement < self.count),
            now_s=choice.nothing_s,
            then_s=choice.value_s(chosen),
            considered=considered,
            unplanned=tuple(known.unplanned[: self.count]),
            asked=known.asked,
            unavailable=known.unavailable,
            upkeep=self.upkeep.per_s([each.index for each in made]),
        )

    def _advised(self, choice: Choice, chosen: Chosen, place: int) -> Advised:
        known, costs = self.known, self.known.costs
        others = chosen - {place}
        serves = tuple(
            statement
            for statement in range(len(self.gathered.statements))
            if costs.base[statement] is not None
            and costs.cost(statement, bits(chosen)) < costs.cost(statement, bits(others))
        )
        gain_s = choice.value_s(others) - choice.value_s(chosen)
        index, size_bytes = known.indexes[place], known.sizes_bytes[place]
        build = built(index, self.gathered.tables[index.schema, index.table], size_bytes)
        return Advised(index, size_bytes, gain_s, self.upkeep.per_s([index]), build, serves)
