"""
Choose a set of indexes: the most time saved, writes included, within a budget of bytes.

What the planner was asked is kept as costs of a statement under a few indexes; with more of them it is taken to cost
what the cheapest known subset of them costs, for the planner takes the cheapest plan.  Over these known costs sets are
built greedily (by gain, and by gain for each byte), each step adding an index, adding two that only help together,
or putting a wider one in a narrower one's place; then each index of a set is tried for each other.  This is done for a
fixed ladder of budgets, and of all sets that were met the best that fits is taken: so more room never makes it worse.

In        known costs, sizes, what upkeep costs
Out       the positions of the chosen indexes
Not here  which indexes there are (candidates.py), asking the planner (__init__.py)

Sources: Schlosser, Kossmann, Boissier 2019 (Extend: gain for each byte, widening step by step); Chaudhuri & Narasayya
2020 (DTA: greedy over what single statements like, then merging and swapping under a budget).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rung.ports import Index

Floats = NDArray[np.float64]
Chosen = frozenset[int]

GAIN_SHARE_MIN = 0.003  # of what is left; a step that saves less is not taken (as Extend's default)
ALIKE = 1.01  # times what the best step leaves; of steps that leave so little alike the smallest is taken
TOGETHER = 0.97  # of the cost with fewer; several indexes that make a statement so much cheaper belong together
LADDER_STEP = 1.15
LADDER_MAX = 48
STEPS_MAX = 40
SWAPS_MAX = 3  # for each index of a set
LIKELY = 12  # steps that are worked out exactly, of those that look best
SWAPS_LIKELY = 4
# What an execution takes beside its plan, in units of the planner's cost: 25 µs for the statement and its planning, in
# which it would visit 17 pages that are in memory (docs/design/0009-from-cost-to-time.md), each of which the planner
# weighs as 4.  No index takes that away; without it a lookup of one page would be worth twice one of two.
EXECUTION_COST = 67.0
# What of several indexes each one has to leave at most of some statement's cost: below it the twin's error is larger.
COST_SHARE_BESIDE_MAX = 0.85
# An index of twice the size has to bring what it serves to two thirds of what the smaller one does.
ROOM_WORTH = math.log2(3 / 2)


class Costs:
    """
    What statements are known to cost under sets of indexes.

    Args:
        base: Of each statement as things are; None where it cannot be planned.
        weights: What each statement takes as things are, seconds a second.
        near: The indexes, as bits, that can matter to each statement: those of tables that it reads.
    """

    def __init__(self, base: Sequence[float | None], weights: Sequence[float], near: Sequence[int]) -> None:
        self.base, self.weights, self.near = list(base), list(weights), list(near)
        self._exact: list[dict[int, float]] = [{} for _ in base]
        self._sorted: list[list[tuple[float, int]] | None] = [None for _ in base]
        self._used: list[set[int]] = [set() for _ in base]

    def of(self, statements: Collection[int]) -> Costs:
        """
        Return the same with the other statements weighing nothing.
        """
        weights = [weight if place in statements else 0.0 for place, weight in enumerate(self.weights)]
        made = Costs(self.base, weights, self.near)
        made._exact = self._exact  # of the same class
        return made

    def learn(self, statement: int, indexes: Chosen, cost: float) -> None:
        """
        Keep what *statement* costs with *indexes* and no others.
        """
        self._exact[statement][bits(indexes) & self.near[statement]] = cost
        self._sorted[statement] = None

    def note_used(self, statement: int, indexes: Chosen) -> None:
        """
        Keep that some plan of *statement* used these.
        """
        self._used[statement] |= indexes

    def used(self, statement: int) -> frozenset[int]:
        """
        Return the indexes that some plan of *statement* used.
        """
        return frozenset(self._used[statement])

    def knows(self, statement: int, indexes: Chosen) -> bool:
        """
        Return whether just that was asked.
        """
        return bits(indexes) & self.near[statement] in self._exact[statement]

    def cost(self, statement: int, indexes: int) -> float:
        """
        Return what *statement* costs with *indexes* (as bits), as far as is known.
        """
        base = self.base[statement]
        assert base is not None
        near = indexes & self.near[statement]
        if not near:
            return base
        exact = self._exact[statement].get(near)
        if exact is not None:
            return exact
        known = self._sorted[statement]
        if known is None:
            known = sorted((cost, mask) for mask, cost in self._exact[statement].items() if cost < base)
            self._sorted[statement] = known
        return next((cost for cost, mask in known if mask & near == mask), base)

    def second_per_s(self, statement: int, indexes: int) -> float:
        """
        Return what *statement* takes with *indexes*.
        """
        base = self.base[statement]
        return self.weights[statement] if not base else self._taken_s(statement, base, self.cost(statement, indexes))

    def least_s(self, statement: int) -> float:
        """
        Return what *statement* takes with the best that is known for it, seconds a second.
        """
        base = self.base[statement]
        if not base:
            return self.weights[statement]
        return self._taken_s(statement, base, min(self._exact[statement].values(), default=base))

    def _taken_s(self, statement: int, base: float, cost: float) -> float:
        """
        Return what *statement* takes at a cost: its time goes with it, but for what an execution takes anyway.
        """
        return self.weights[statement] * (cost + EXECUTION_COST) / (base + EXECUTION_COST)

    def together(self) -> set[Chosen]:
        """
        Return the sets of several indexes that make some statement cheaper than each part of them.
        """
        found = set()
        for statement, exact in enumerate(self._exact):
            for mask, cost in exact.items():
                if mask & (mask - 1):
                    less = [each for each in exact if each != mask and each & mask == each]
                    if cost < min((exact[each] for each in less), default=self.base[statement] or 0.0) * TOGETHER:
                        found.add(members(mask))
        return found


class Choice:
    """
    The search over sets of indexes.

    Args:
        costs: What is known of reads.
        sizes_bytes: Of each index.
        upkeep: Seconds a second that writing takes more with a set.
        usable: Positions of the indexes that may be chosen.
        excludes: Of each index those that make no sense beside it: what it begins with.
        indexes: All that were thought of.
        indexes_max: How many may be chosen.
    """

    def __init__(
        self,
        costs: Costs,
        sizes_bytes: Sequence[int],
        upkeep: Callable[[Chosen], float],
        usable: Sequence[int],
        excludes: Mapping[int, Chosen],
        indexes: Sequence[Index],
        *,
        indexes_max: int | None = None,
    ) -> None:
        self.costs, self.sizes_bytes, self.upkeep = costs, sizes_bytes, upkeep
        self.several = sorted(costs.together(), key=sorted)
        self.excludes, self.indexes = excludes, indexes
        self.indexes_max = len(usable) if indexes_max is None else indexes_max
        self._reads: dict[tuple[int, int], float] = {}
        self._base_s = np.array([costs.second_per_s(place, 0) for place in range(len(costs.base))])
        reach = max((near.bit_length() for near in costs.near), default=0)
        self._near = [[place for place, near in enumerate(costs.near) if near >> index & 1] for index in range(reach)]
        self._values: dict[Chosen, float] = {}
        # An index that another one beats is not built upon, but may stand in a wider one's place.
        self.all_usable = tuple(usable)
        self.usable = self._undominated(self.all_usable)
        # What reads take with each usable index alone, a row an index, and what writing then takes more.
        self._alone_s = np.array([self._reads_s(frozenset({index})) for index in self.usable]).reshape(
            len(self.usable), len(costs.base)
        )
        self._upkeep_s = np.array([upkeep(frozenset({index})) for index in self.usable])
        self._sizes = np.array([sizes_bytes[index] for index in self.usable], dtype=np.float64)
        self.nothing_s = self.value_s(frozenset())

    def value_s(self, chosen: Chosen) -> float:
        """
        Return what all statements take with *chosen*, upkeep included, seconds a second.
        """
        if chosen not in self._values:
            self._values[chosen] = float(self._reads_s(chosen).sum()) + self.upkeep(chosen)
        return self._values[chosen]

    def size_bytes(self, chosen: Chosen) -> int:
        """
        Return what *chosen* take on disk.
        """
        return sum(self.sizes_bytes[index] for index in chosen)

    def best(self, budget_bytes: int | None) -> Chosen:
        """
        Return the set that saves most within the budget; with none, that to which no index adds enough.
        """
        if budget_bytes is None:
            grown = self._swapped(self._grown(None, by_size=False).chosen, None, set())
            return self._sized(self._sure(self._pruned(grown)))
        fitting = [chosen for chosen in self._pool() if self.size_bytes(chosen) <= budget_bytes]
        return min(fitting, key=lambda chosen: (self.value_s(chosen), self.size_bytes(chosen), sorted(chosen)))

    def _undominated(self, usable: tuple[int, ...]) -> tuple[int, ...]:
        """
        Return the indexes that are in some way better than each other one: smaller, or cheaper for some statement.
        """
        needed = frozenset().union(*self.several) if self.several else frozenset()
        order = sorted(usable, key=lambda index: (self.sizes_bytes[index], index))
        rows = [self._reads_s(frozenset({index})) for index in order]
        upkeep = [self.upkeep(frozenset({index})) for index in order]
        kept: list[int] = []
        for place, index in enumerate(order):
            beaten = any(upkeep[other] <= upkeep[place] and bool((rows[other] <= rows[place]).all()) for other in kept)
            if index in needed or not beaten:
                kept.append(place)
        return tuple(sorted(order[place] for place in kept))

    def _pool(self) -> set[Chosen]:
        """
        Return the sets that are met on the way up the ladder of budgets; it does not depend on the budget asked for.
        """
        pool: set[Chosen] = {frozenset()}
        sizes = [self.sizes_bytes[index] for index in self.usable]
        rungs: list[int | None] = []
        if sizes:
            rung, top = float(min(sizes)), float(sum(sizes))
            step = max(LADDER_STEP, (top / rung) ** (1 / LADDER_MAX))
            while rung < top * step:
                rungs.append(int(rung))
                rung *= step
        for by_size in (True, False):
            for room in [*rungs, None]:
                climb = self._grown(room, by_size=by_size)
                pool.update(climb.met)
                swapped = self._swapped(climb.chosen, room, pool)
                pool |= {swapped, self._pruned(swapped)}
                if not climb.hindered:
                    break  # more room changes nothing
        return pool

    def _grown(self, room: int | None, *, by_size: bool) -> _Climb:
        """
        Return the set that grows step by step, each the best of those that fit into *room*.
        """
        climb = _Climb(frozenset(), [], hindered=False)
        for _ in range(STEPS_MAX):
            now = climb.chosen
            steps = [then for then in self._steps(now) if self._saves(now, then)]
            fitting = [then for then in steps if room is None or self.size_bytes(then) <= room]
            climb.hindered |= len(fitting) < len(steps)
            if not fitting:
                break
            climb.chosen = self._best_for_size(now, fitting) if by_size else self._best(fitting)
            climb.met.append(climb.chosen)
        return climb

    def _best(self, steps: Sequence[Chosen]) -> Chosen:
        """
        Return the smallest of the sets that leave least, or nearly so.
        """
        least_s = ALIKE * min(map(self.value_s, steps))
        nearly = [then for then in steps if self.value_s(then) <= least_s]
        return min(nearly, key=lambda then: (self.size_bytes(then), self.value_s(then), sorted(then)))

    def _best_for_size(self, now: Chosen, steps: Sequence[Chosen]) -> Chosen:
        """
        Return the set that saves most for each byte that it takes more; what takes no more is as good as free.
        """

        def saved(then: Chosen) -> float:
            more_bytes = max(self.size_bytes(then) - self.size_bytes(now), 1)
            return (self.value_s(now) - self.value_s(then)) / more_bytes

        return min(steps, key=lambda then: (-saved(then), sorted(then)))

    def _saves(self, now: Chosen, then: Chosen) -> bool:
        return self.value_s(now) - self.value_s(then) > GAIN_SHARE_MIN * self.value_s(now)

    def _steps(self, chosen: Chosen) -> list[Chosen]:
        """
        Return the likeliest sets one step on: an index more (in the place of what it begins with), or some that help
        together.
        """
        likely = self._likely(chosen, None)
        steps = {(chosen | {index}) - self.excludes.get(index, frozenset()) for index in likely}
        usable = set(self.usable)
        for several in self.several:
            if several <= usable and not several <= chosen:
                out = frozenset().union(*(self.excludes.get(index, frozenset()) for index in several))
                steps.add((chosen | several) - (out - several))
        return sorted((step for step in steps if len(step) <= self.indexes_max), key=sorted)

    def _likely(self, chosen: Chosen, room: float | None) -> list[int]:
        """
        Return the indexes that would add most to *chosen*, and most for each byte, were no other added.
        """
        if not self.usable:
            return []
        gains_s = np.maximum(self._reads_s(chosen) - self._alone_s, 0.0).sum(axis=1) - self._upkeep_s
        open_to = np.array([index not in chosen for index in self.usable]) & (gains_s > 0)
        if room is not None:
            open_to &= self._sizes <= room
        found: dict[int, None] = {}
        for score in (gains_s, gains_s / np.maximum(self._sizes, 1.0)):
            order = np.argsort(np.where(open_to, -score, np.inf), kind="stable")[:LIKELY]
            found |= {self.usable[place]: None for place in order if open_to[place]}
        return list(found)

    def _swapped(self, chosen: Chosen, room: int | None, pool: set[Chosen]) -> Chosen:
        """
        Return *chosen* with one index after the other in another's place, while that saves more.
        """
        for _ in range(SWAPS_MAX * len(chosen)):
            steps = []
            for gone in sorted(chosen):
                left = chosen - {gone}
                space = None if room is None else room - self.size_bytes(left)
                for index in self._likely(left, space)[:SWAPS_LIKELY]:
                    then = left | {index}
                    if index != gone and self._saves(chosen, then):
                        steps.append((self.value_s(then), self.size_bytes(then), sorted(then)))
            if not steps:
                break
            chosen = frozenset(min(steps)[2])
            pool.add(chosen)
        return chosen

    def _pruned(self, chosen: Chosen) -> Chosen:
        """
        Return *chosen* without those that save next to nothing beside the others.
        """
        for index in sorted(chosen, key=lambda index: (-self.sizes_bytes[index], index)):
            if not self._saves(chosen - {index}, chosen):
                chosen -= {index}
        return chosen

    def _sized(self, chosen: Chosen) -> Chosen:
        """
        Return *chosen*, each in the size that is worth its room: with more or less carried along, or over fewer rows.

        With a budget room has its price already; without one the widest would be taken for any gain, or the narrowest
        because both save nearly all.
        """
        for index in sorted(chosen):
            rest = chosen - {index}
            family = [each for each in self.all_usable if each not in rest and self._akin(index, each)]
            without_s, taken_s = self._reads_s(rest), {each: self._reads_s(rest | {each}) for each in family}
            served = np.logical_or.reduce([each_s < without_s for each_s in taken_s.values()])
            worth = {each: taken_s[each][served].sum() * self.sizes_bytes[each] ** ROOM_WORTH for each in family}
            chosen = rest | {min(family, key=lambda each: (worth[each], each))}
        return chosen

    def _akin(self, index: int, other: int) -> bool:
        """
        Return whether *other* may stand in an index's place: the same keys, whatever is carried along, or fewer rows.

        Its keys stay: that one with fewer of them serves as well is often a guess of how values are spread.
        """
        ours, theirs = self.indexes[index], self.indexes[other]
        if (ours.schema, ours.table) != (theirs.schema, theirs.table):
            return False
        return bool(theirs.where) or (ours.columns, ours.where) == (theirs.columns, theirs.where)

    def _sure(self, chosen: Chosen) -> Chosen:
        """
        Return *chosen* without those that make no statement so much cheaper that the planner can be believed, the least
        gaining first.
        """
        for index in sorted(chosen, key=lambda index: (self.value_s(chosen - {index}), index)):
            rest = chosen - {index}
            if not (self._reads_s(chosen) < COST_SHARE_BESIDE_MAX * self._reads_s(rest)).any():
                chosen = rest
        return chosen

    def _reads_s(self, chosen: Chosen) -> Floats:
        """
        Return what each statement takes with *chosen*, seconds a second.
        """
        mask = bits(chosen)
        taken_s = self._base_s.copy()
        for statement in {place for index in chosen for place in self._near[index]}:
            key = (statement, mask & self.costs.near[statement])
            if key not in self._reads:
                self._reads[key] = self.costs.second_per_s(*key)
            taken_s[statement] = self._reads[key]
        return taken_s


class _Climb:
    """
    A set that grows.

    Attributes:
        met: The sets on the way.
        hindered: Whether some step did not fit.
    """

    def __init__(self, chosen: Chosen, met: list[Chosen], *, hindered: bool) -> None:
        self.chosen, self.met, self.hindered = chosen, met, hindered


def bits(indexes: Chosen) -> int:
    """
    Return a set of positions as bits.

    >>> bits(frozenset({0, 2}))
    5
    """
    return sum(1 << index for index in indexes)


def members(mask: int) -> Chosen:
    """
    Return the positions that are set in *mask*.

    >>> sorted(members(5))
    [0, 2]
    """
    return frozenset(place for place in range(mask.bit_length()) if mask >> place & 1)
