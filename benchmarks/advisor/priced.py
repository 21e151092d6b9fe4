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
from benchmarks.advisor.columns import Used, used
from rung.adapters.postgres import CannotPlan
from rung.ports import Configuration, Cost, Costed, Costs, Index, Unavailable

Layer = Callable[[Costs], Costed | Unavailable]
Indexes = frozenset[Index]
NONE: Indexes = frozenset()
Answer = tuple[float, Indexes]  # cost, and what plans use
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
        asked: How many costs of a statement under a configuration were asked for.
    """

    def __init__(self, statements: Sequence[Weighted], facts: Facts, layer: Layer) -> None:
        self.statements, self.facts, self._layer = statements, facts, layer
        names = {table: list(columns) for table, columns in facts.columns.items()}
        self.used: list[tuple[Used, ...]] = [used(statement.text, names) for statement in statements]
        # By the first column of an index it is of use to a statement, or not.
        self._columns = [
            {(each.table, each.column) for each in used if each.condition or each.group} for used in self.used
        ]
        self._costs: list[dict[Indexes, Answer]] = [{} for _ in statements]
        self._sizes: dict[Index, int] = {}
        self.asked = 0

    def cost(self, place: int, indexes: Indexes) -> float:
        """
        Return what an execution of a statement costs, 0 where it cannot be planned.
        """
        self._ask(place, [indexes])
        return self._costs[place][self._of_use(place, indexes)][0]

    def totals(self, configurations: Sequence[Indexes]) -> list[float]:
        """
        Return what all executions cost under each configuration.
        """
        for place in range(len(self.statements)):
            self._ask(place, configurations)
        return [
            sum(one.executions * self.cost(place, indexes) for place, one in enumerate(self.statements))
            for indexes in configurations
        ]

    def in_plan(self, place: int, indexes: Indexes) -> Indexes:
        """
        Return those of *indexes* that the plans of a statement use.
        """
        self._ask(place, [indexes])
        return self._costs[place][self._of_use(place, indexes)][1]

    def size_bytes(self, indexes: Iterable[Index]) -> int:
        """
        Return what *indexes* would take together.
        """
        wanted = set(indexes)
        if missing := wanted - set(self._sizes):
            self._answer(self.statements, missing, [])
        return sum(self._sizes[index] for index in wanted)

    def begin(self) -> float:
        """
        Return what all executions cost today; asked first, so that the what-if layer sees all statements at once.
        """
        if any(NONE not in costs for costs in self._costs):
            (answers,) = self._answer(self.statements, [], [NONE])
            for costs, answer in zip(self._costs, answers, strict=True):
                costs[NONE] = answer
        return self.totals([NONE])[0]

    def _of_use(self, place: int, indexes: Indexes) -> Indexes:
        columns = self._columns[place]
        return frozenset(index for index in indexes if (index.table, index.columns[0].name) in columns)

    def _ask(self, place: int, configurations: Iterable[Indexes]) -> None:
        of_use = dict.fromkeys(self._of_use(place, indexes) for indexes in configurations)
        new = [indexes for indexes in of_use if indexes not in self._costs[place]]
        if new:
            indexes = {index for each in new for index in each}
            for each, (answer,) in zip(new, self._answer([self.statements[place]], indexes, new), strict=True):
                self._costs[place][each] = answer

    def _answer(
        self, statements: Sequence[Weighted], indexes: Iterable[Index], configurations: Sequence[Indexes]
    ) -> list[tuple[Answer, ...]]:
        order = tuple(sorted(indexes, key=repr))
        position = {index: place for place, index in enumerate(order)}
        question = Costs(
            tuple(statement.text for statement in statements),
            order,
            tuple(Configuration(tuple(sorted(position[index] for index in each))) for each in configurations),
        )
        answer = self._layer(question)
        assert isinstance(answer, Costed), answer
        self._sizes.update(zip(order, answer.sizes_bytes, strict=True))
        self.asked += len(statements) * len(configurations)
        return [
            tuple(
                (cost.expected, frozenset(order[place] for place in cost.used)) if cost is not None else (0.0, NONE)
                for cost in costs
            )
            for costs in answer.costs
        ]


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
