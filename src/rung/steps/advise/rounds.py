"""
Ask the planner what indexes would bring, in a few rounds, each with many configurations.

First each statement's own indexes, keys alone, one by one and all together; then those that helped, with columns
carried along or rows left out, and what helped other statements; then the best of several tables together.  A plan
that uses only some of the indexes that there are costs the same with those alone: each answer tells of both.

In        what was gathered of a workload
Out       Known: the indexes thought of, their sizes, costs of statements with them
Not here  which of them to choose (select.py)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations, zip_longest

from rung.ports import Configuration, Costed, Index, IndexColumn, Step, Unavailable
from rung.ports import Costs as CostsAsked
from rung.steps.advise.candidates import Lookups, extended, first_asked, merged, relevant
from rung.steps.advise.gather import Gathered
from rung.steps.advise.select import Chosen, Costs, bits
from rung.steps.advise.writes import Name

OWN_MAX = 40  # of a statement's own indexes, those of its tables in turns
BEST = 4  # of those that helped, for each table
HELPS = 0.98  # of the cost; what makes a statement less cheap than this does not help it
FOREIGN_MAX = 10  # of indexes that helped others
MERGED_MAX = 24
WEIGHT_SHARE_MIN = 0.0005  # of what indexes leave; a statement that weighs less gets none for its own sake
# What a unit of the planner's cost takes where no time was measured: 3.7 to 4.8 µs for scans of pages in memory, on the
# bench on which writes were measured (writes.py); it only weighs reads against writes.
SECOND_PER_COST = 5e-6


class Known:
    """
    What the planner has said so far.

    Attributes:
        indexes: All that were thought of; they are known by their positions.
        sizes_bytes: Of each; 0 until it was asked about.
        refused: Why it cannot be made, "" where it can.
        asked: How many costs were asked for.
        unavailable: Why the planner stopped answering, "" while it does.
    """

    def __init__(self, gathered: Gathered) -> None:
        self.gathered = gathered
        self.indexes: list[Index] = []
        self.sizes_bytes: list[int] = []
        self.refused: list[str] = []
        self.asked = 0
        self.unavailable = ""
        self.unplanned = list(gathered.unplanned)
        self._place: dict[Index, int] = {}
        self._on: dict[Name, int] = {}
        count = len(gathered.statements)
        self.costs = Costs([None] * count, [0.0] * count, [0] * count)
        self._tables = [
            frozenset((access.schema, access.table) for access in found) for found in gathered.accesses
        ]  # fmt: skip

    def place(self, index: Index) -> int:
        """
        Return the position of *index*, a new one where it was not thought of before.
        """
        if index not in self._place:
            place = self._place[index] = len(self.indexes)
            self.indexes.append(index)
            self.sizes_bytes.append(0)
            self.refused.append("")
            name = (index.schema, index.table)
            self._on[name] = self._on.get(name, 0) | 1 << place
            for statement, tables in enumerate(self._tables):
                if name in tables:
                    self.costs.near[statement] |= 1 << place
        return self._place[index]

    def size_bytes(self, index: Index) -> int:
        """
        Return what *index* would take; 0 where it was not asked about.
        """
        return self.sizes_bytes[self._place[index]] if index in self._place else 0

    def cost(self, statement: int, *indexes: int) -> float:
        """
        Return what *statement* costs with *indexes*, as far as is known.
        """
        return self.costs.cost(statement, bits(frozenset(indexes)))

    def usable(self) -> list[int]:
        """
        Return the indexes that could be made and that some statement is known to be cheaper with.
        """
        return [
            place
            for place in range(len(self.indexes))
            if self.sizes_bytes[place] > 0 and not self.refused[place] and self.useful(place)
        ]

    def useful(self, place: int) -> bool:
        """
        Return whether any statement is known to be cheaper with an index, alone or with others.
        """
        return any(
            base is not None and (self.cost(statement, place) < base or place in self.costs.used(statement))
            for statement, base in enumerate(self.costs.base)
            if self.costs.near[statement] >> place & 1
        )

    def begun_with(self, places: Sequence[int]) -> dict[int, Chosen]:
        """
        Return of each index those others of *places* whose keys it begins with and that carry nothing else.
        """
        groups: dict[tuple[str, str, str, IndexColumn], list[int]] = {}
        for place in places:
            index = self.indexes[place]
            groups.setdefault((index.schema, index.table, index.where, index.columns[0]), []).append(place)
        begun: dict[int, Chosen] = {}
        for group in groups.values():
            for long in group:
                other = self.indexes[long]
                names = {column.name for column in other.columns} | set(other.include)
                begun[long] = frozenset(
                    short
                    for short in group
                    if short != long
                    and other.columns[: len(self.indexes[short].columns)] == self.indexes[short].columns
                    and names.issuperset(self.indexes[short].include)
                )
        return begun

    def helped(self, statement: int) -> dict[Name, list[int]]:
        """
        Return the indexes that by themselves, or among others, make *statement* cheaper, the best first, by table.
        """
        base = self.costs.base[statement]
        found: dict[Name, list[int]] = {}
        if not base:
            return found
        used = self.costs.used(statement)
        for place, index in enumerate(self.indexes):
            if self.costs.near[statement] >> place & 1 and not self.refused[place]:
                alone = self.cost(statement, place)
                if alone < HELPS * base or place in used:
                    found.setdefault((index.schema, index.table), []).append(place)
        for places in found.values():
            places.sort(key=lambda place: (self.cost(statement, place), self.sizes_bytes[place], place))
        return found

    def gain(self, statement: int, place: int) -> float:
        """
        Return how many weighted seconds a second an index alone is known to save a statement.
        """
        return self.costs.weights[statement] - self.costs.second_per_s(statement, 1 << place)

    def ask(self, needs: Mapping[int, Iterable[Chosen]]) -> Step[None]:
        """
        Ask what each statement costs with each of its sets of indexes, as far as that is not known.
        """
        wanted: dict[tuple[Chosen, ...], list[int]] = {}
        for statement, sets in needs.items():
            missing = tuple(
                each
                for each in dict.fromkeys(sets)
                if self.costs.base[statement] is not None
                and not self.costs.knows(statement, each)
                and not any(self.refused[place] for place in each)
            )
            if missing:
                wanted.setdefault(missing, []).append(statement)
        for sets_asked, statements in wanted.items():
            if not self.unavailable:
                yield from self._question(sets_asked, statements)

    def _question(self, sets: Sequence[Chosen], statements: Sequence[int]) -> Step[None]:
        places = sorted(frozenset().union(*sets))
        at = {place: position for position, place in enumerate(places)}
        answer = yield CostsAsked(
            tuple(self.gathered.statements[statement].statement for statement in statements),
            tuple(self.indexes[place] for place in places),
            tuple(Configuration(tuple(sorted(at[place] for place in each))) for each in sets),
        )
        if isinstance(answer, Unavailable):
            self.unavailable = answer.reason
            return
        self._learn(answer, sets, statements, places)

    def _learn(self, answer: Costed, sets: Sequence[Chosen], statements: Sequence[int], places: Sequence[int]) -> None:
        self.asked += len(sets) * len(statements)
        for place, size_bytes, refused in zip(places, answer.sizes_bytes, answer.refused, strict=True):
            self.sizes_bytes[place], self.refused[place] = size_bytes, refused
        for each, row in zip(sets, answer.costs, strict=True):
            made = frozenset(place for place in each if not self.refused[place])
            for statement, cost in zip(statements, row, strict=True):
                if cost is not None and made:
                    # The plan does without the others.
                    used = frozenset(places[position] for position in cost.used) & made
                    base = self.costs.base[statement]
                    # What is known of an expression by its index alters what a plan is taken to cost that leaves the
                    # index alone, and not what it takes.
                    expected = cost.expected if used or base is None else base
                    self.costs.learn(statement, made, expected)
                    if used and used != made:
                        self.costs.learn(statement, used, expected)
                    self.costs.note_used(statement, used)


def today(known: Known) -> Step[None]:
    """
    Ask what every statement costs as things are: all at once, so that the twin knows all tables from the beginning.
    """
    gathered = known.gathered
    texts = tuple(statement.statement for statement in gathered.statements)
    answer = yield CostsAsked(texts, (), (Configuration(),))
    if isinstance(answer, Unavailable):
        known.unavailable = answer.reason
        return
    known.asked += len(texts)
    for place, (cost, statement) in enumerate(zip(answer.costs[0], gathered.statements, strict=True)):
        known.unplanned[place] = known.unplanned[place] or answer.unplanned[place]
        if cost is None or gathered.plans[place] is None:
            continue
        time_s = cost.expected * SECOND_PER_COST if statement.time_s is None else statement.time_s
        known.costs.base[place] = cost.expected
        known.costs.weights[place] = statement.executions_per_s * time_s * statement.weight


def rounds(known: Known) -> Step[None]:
    """
    Ask for all that the search needs to know.
    """
    yield from today(known)
    own: dict[int, list[int]] = {}
    # What seems to weigh nothing beside one statement that lacks its index may be what is left once it has it.
    while more := _own(known, own):
        own |= more
        yield from known.ask(
            {place: [*(frozenset({index}) for index in mine), frozenset(mine)] for place, mine in more.items()}
        )
    yield from known.ask(_wider(known, own))
    yield from known.ask(_merged(known))
    yield from known.ask(_together(known))


def _own(known: Known, but: Collection[int]) -> dict[int, list[int]]:
    """
    Return the indexes, keys alone, that each statement could use, of those that weigh enough and are not in *but*.
    """
    gathered = known.gathered
    lookups: dict[Name, Lookups] = {}
    for name, table in gathered.tables.items():
        found = [
            (access, known.costs.weights[statement])
            for statement, mine in enumerate(gathered.accesses)
            for access in mine
            if (access.schema, access.table) == name
        ]
        lookups[name] = Lookups(table, found)
    own: dict[int, list[int]] = {}
    least = WEIGHT_SHARE_MIN * sum(map(known.costs.least_s, range(len(gathered.statements))))
    for statement, mine in enumerate(gathered.accesses):
        if statement in but or not known.costs.base[statement] or known.costs.weights[statement] < least:
            continue
        lists = []
        for access in mine:
            name = (access.schema, access.table)
            lists.append(first_asked(access, gathered.tables[name], lookups[name]))
        turns = (index for turn in zip_longest(*lists) for index in turn if index is not None)
        places = list(dict.fromkeys(known.place(index) for index in turns))[:OWN_MAX]
        if places:
            own[statement] = places
    return own


def _wider(known: Known, own: Mapping[int, Sequence[int]]) -> dict[int, list[Chosen]]:
    """
    Return what else each statement should be asked with: wider and narrower kinds of what helped, and others' indexes.
    """
    gathered = known.gathered
    needs: dict[int, list[Chosen]] = {}
    gains: dict[Name, dict[int, float]] = {}
    for statement in own:
        for name, places in known.helped(statement).items():
            gained = gains.setdefault(name, {})
            for place in places[:BEST]:
                gain = known.gain(statement, place)
                gained[place] = gained.get(place, 0.0) + gain
                for wider in _kinds(known, statement, place):
                    needs.setdefault(statement, []).append(frozenset({wider}))
                    # How much a wider kind helps others is not known yet: about as much.
                    gained[wider] = gained.get(wider, 0.0) + gain
    for statement in own:
        for access in gathered.accesses[statement]:
            gained = gains.get((access.schema, access.table), {})
            others = [place for place in gained if place not in own[statement]]
            others.sort(key=lambda place: (-gained[place], place))
            usable = [place for place in others if relevant(known.indexes[place], access)]
            needs.setdefault(statement, []).extend(frozenset({place}) for place in usable[:FOREIGN_MAX])
    return needs


def _kinds(known: Known, statement: int, place: int) -> list[int]:
    """
    Return the wider and narrower kinds of an index for what *statement* reads of its table.
    """
    index, gathered = known.indexes[place], known.gathered
    name = (index.schema, index.table)
    return [
        known.place(kind)
        for access in gathered.accesses[statement]
        if (access.schema, access.table) == name
        for kind in extended(index, access, gathered.tables[name])
    ]


def _merged(known: Known) -> dict[int, list[Chosen]]:
    """
    Return what statements should be asked with: indexes that carry along what another one has.
    """
    gained: dict[int, dict[int, float]] = {}
    for statement in range(len(known.gathered.statements)):
        for places in known.helped(statement).values():
            for place in places[:2]:
                gained.setdefault(place, {})[statement] = known.gain(statement, place)
    sums = {place: sum(gains.values()) for place, gains in gained.items()}
    pairs = sorted(
        ((sums[one] + sums[other], one, other) for one in sums for other in sums if one != other),
        key=lambda each: (-each[0], each[1:]),
    )
    needs: dict[int, list[Chosen]] = {}
    made = 0
    for _, one, other in pairs:
        index = merged(known.indexes[one], known.indexes[other])
        if index is not None and made < MERGED_MAX:
            made += 1
            place = known.place(index)
            for statement in sorted(gained[one].keys() | gained[other].keys()):
                needs.setdefault(statement, []).append(frozenset({place}))
    return needs


def _together(known: Known) -> dict[int, list[Chosen]]:
    """
    Return the sets over several tables of a statement that could be worth more than their parts.
    """
    needs: dict[int, list[Chosen]] = {}
    for statement in range(len(known.gathered.statements)):
        by_table = known.helped(statement)
        if len(by_table) < 2:
            continue
        sets = [frozenset(places[0] for places in by_table.values())]
        for one, other in combinations(sorted(by_table), 2):
            sets += [frozenset({a, b}) for a in by_table[one][:2] for b in by_table[other][:2]]
        needs[statement] = sets
    return needs
