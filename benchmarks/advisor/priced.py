"""
A workload whose costs can be asked for under any set of indexes: the one what-if layer of all contenders.

In        statements, what the catalog says of their tables, who answers Costs
Out       costs, sizes, which indexes plans use; each asked once
Not here  who answers (the planner twin, or indexes really built), searching (contenders.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from benchmarks.advisor.advising import Weighted
from benchmarks.advisor.built import Built, name_of
from benchmarks.advisor.columns import Used, tables_of, used
from rung.adapters.postgres import CannotPlan
from rung.ports import Configuration, Cost, Costed, Costs, Index, Unavailable

Layer = Callable[[Costs], Costed | Unavailable]
Indexes = frozenset[Index]
TABLES = """
select t.relname, a.attname, format_type(a.atttypid, a.atttypmod), coalesce(s.avg_width, 8), pg_relation_size(t.oid)
from pg_class t
join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
left join pg_stats s on s.schemaname = 'public' and s.tablename = t.relname and s.attname = a.attname
where t.relkind in ('r', 'p') and not t.relispartition and t.relnamespace = 'public'::regnamespace
order by t.oid, a.attnum
"""
EXISTING = """
select t.relname, array_agg(a.attname::text order by a.attnum)
from pg_index i
join pg_class t on t.oid = i.indrelid and t.relnamespace = 'public'::regnamespace
join pg_attribute a on a.attrelid = i.indexrelid
group by i.indexrelid, t.relname
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What the catalog says: columns with type and width by table, bytes of tables, columns of the existing indexes.
    """

    columns: Mapping[str, Mapping[str, tuple[str, int]]]
    size_bytes: Mapping[str, int]
    existing: frozenset[tuple[str, tuple[str, ...]]]


def facts_of(dsn: str) -> Facts:
    """
    Return what the catalog says of the tables in the schema public.
    """
    columns: dict[str, dict[str, tuple[str, int]]] = {}
    sizes: dict[str, int] = {}
    with psycopg.connect(dsn) as connection:
        for table, column, kind, width, size_bytes in connection.execute(TABLES):
            columns.setdefault(table, {})[column] = (kind, width)
            sizes[table] = size_bytes
        existing = frozenset((table, tuple(names)) for table, names in connection.execute(EXISTING))
    return Facts(columns, sizes, existing)


class Priced:
    """
    A workload, its costs by configuration.

    Attributes:
        used: Columns of each statement.
        asked: How many plans were asked for.
    """

    def __init__(self, statements: Sequence[Weighted], facts: Facts, layer: Layer) -> None:
        self.statements, self.facts, self._layer = statements, facts, layer
        names = {table: list(columns) for table, columns in facts.columns.items()}
        self.used: list[tuple[Used, ...]] = [used(statement.text, names) for statement in statements]
        self._tables = [tables_of(statement.text, names) for statement in statements]
        self._costs: dict[tuple[int, Indexes], Cost | None] = {}
        self._sizes: dict[Index, int] = {}
        self.asked = 0

    def cost(self, place: int, indexes: Indexes) -> float:
        """
        Return what an execution of a statement costs, 0 where it cannot be planned.
        """
        self._ask([indexes])
        found = self._costs[place, self._relevant(place, indexes)]
        return found.expected if found is not None else 0.0

    def totals(self, configurations: Sequence[Indexes]) -> list[float]:
        """
        Return what all executions cost under each configuration.
        """
        self._ask(configurations)
        return [
            sum(one.executions * self.cost(place, indexes) for place, one in enumerate(self.statements))
            for indexes in configurations
        ]

    def in_plan(self, place: int, indexes: Indexes) -> Indexes:
        """
        Return those of *indexes* that the plans of a statement use.
        """
        self._ask([indexes])
        relevant = self._relevant(place, indexes)
        found, order = self._costs[place, relevant], _ordered(relevant)
        return frozenset(order[number] for number in found.used) if found is not None else frozenset()

    def size_bytes(self, indexes: Iterable[Index]) -> int:
        """
        Return what *indexes* would take together.
        """
        wanted = set(indexes)
        missing = _ordered(wanted - set(self._sizes))
        if missing:
            answer = self._layer(Costs((), missing, ()))
            assert isinstance(answer, Costed), answer
            self._sizes.update(zip(missing, answer.sizes_bytes, strict=True))
        return sum(self._sizes[index] for index in wanted)

    def _relevant(self, place: int, indexes: Indexes) -> Indexes:
        return frozenset(index for index in indexes if index.table in self._tables[place])

    def _ask(self, configurations: Sequence[Indexes]) -> None:
        """
        Have what is not known yet answered, together where the same statements need it.
        """
        needed: dict[tuple[int, ...], list[Indexes]] = {}
        for indexes in dict.fromkeys(configurations):
            places = tuple(
                place
                for place in range(len(self.statements))
                if (place, self._relevant(place, indexes)) not in self._costs
            )
            if places:
                needed.setdefault(places, []).append(indexes)
        for places, asked in needed.items():
            self._answer(places, asked)

    def _answer(self, places: Sequence[int], asked: Sequence[Indexes]) -> None:
        tables = frozenset[str]().union(*(self._tables[place] for place in places))
        # Positions, and with them Cost.used, are those of what concerns the statement, in one order everywhere.
        indexes = _ordered({index for each in asked for index in each if index.table in tables})
        position = {index: number for number, index in enumerate(indexes)}
        answer = self._layer(
            Costs(
                tuple(self.statements[place].text for place in places),
                indexes,
                tuple(
                    Configuration(tuple(sorted(position[index] for index in each if index in position)))
                    for each in asked
                ),
            )
        )
        assert isinstance(answer, Costed), answer
        self._sizes.update(zip(indexes, answer.sizes_bytes, strict=True))
        for each, costs in zip(asked, answer.costs, strict=True):
            for place, cost in zip(places, costs, strict=True):
                relevant = self._relevant(place, each)
                self._costs[place, relevant] = _positioned(cost, indexes, relevant)
        self.asked += len(places) * len(asked)


def _positioned(cost: Cost | None, indexes: Sequence[Index], relevant: Indexes) -> Cost | None:
    if cost is None:
        return None
    order = _ordered(relevant)
    places = tuple(sorted(order.index(indexes[number]) for number in cost.used if indexes[number] in relevant))
    return Cost(cost.generic, cost.drawn, cost.shares, places)


def _ordered(indexes: Iterable[Index]) -> tuple[Index, ...]:
    return tuple(sorted(indexes, key=repr))


def built_layer(built: Built) -> Layer:
    """
    Return a layer that really builds every index that it is asked about: exact, and slow the first time.

    Plans are those with values unknown.
    """

    def layer(question: Costs) -> Costed:
        built.put_in_force(question.indexes)
        sizes = tuple(built.sizes_bytes[index] for index in question.indexes)
        reasons = [""] * len(question.statements)
        rows = []
        for configuration in question.configurations:
            built.put_in_force(question.indexes[place] for place in configuration.added)
            rows.append(tuple(_planned(built, question, place, reasons) for place in range(len(reasons))))
        return Costed(tuple(rows), tuple(reasons), sizes, ("",) * len(question.indexes))

    return layer


def _planned(built: Built, question: Costs, place: int, reasons: list[str]) -> Cost | None:
    try:
        plan = built.explain(question.statements[place])
    except (psycopg.Error, CannotPlan) as problem:
        reasons[place] = str(problem)
        return None
    names = {name_of(index): number for number, index in enumerate(question.indexes)}
    return Cost(plan.cost, (), (), tuple(sorted({names[node.index] for node in plan.nodes if node.index in names})))
