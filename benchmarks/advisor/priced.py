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
        asked: How many configurations were asked for.
    """

    def __init__(self, statements: Sequence[Weighted], facts: Facts, layer: Layer) -> None:
        self.statements, self.facts, self._layer = statements, facts, layer
        names = {table: list(columns) for table, columns in facts.columns.items()}
        self.used: list[tuple[Used, ...]] = [used(statement.text, names) for statement in statements]
        self._costs: dict[Indexes, tuple[Answer, ...]] = {}
        self._alone: dict[tuple[int, Indexes], Answer] = {}
        self._sizes: dict[Index, int] = {}
        self.asked = 0

    def cost(self, place: int, indexes: Indexes) -> float:
        """
        Return what an execution of a statement costs, 0 where it cannot be planned.
        """
        return self._of_one(place, indexes)[0]

    def totals(self, configurations: Sequence[Indexes]) -> list[float]:
        """
        Return what all executions cost under each configuration.
        """
        self._ask(configurations)
        executions = [statement.executions for statement in self.statements]
        return [
            sum(count * cost for count, (cost, _) in zip(executions, self._costs[indexes], strict=True))
            for indexes in configurations
        ]

    def in_plan(self, place: int, indexes: Indexes) -> Indexes:
        """
        Return those of *indexes* that the plans of a statement use.
        """
        return self._of_one(place, indexes)[1]

    def size_bytes(self, indexes: Iterable[Index]) -> int:
        """
        Return what *indexes* would take together.
        """
        wanted = set(indexes)
        if missing := wanted - set(self._sizes):
            self._answer(self.statements, missing, [])
        return sum(self._sizes[index] for index in wanted)

    def _of_one(self, place: int, indexes: Indexes) -> Answer:
        if indexes in self._costs:
            return self._costs[indexes][place]
        if (place, indexes) not in self._alone:
            ((self._alone[place, indexes],),) = self._answer([self.statements[place]], indexes, [indexes])
        return self._alone[place, indexes]

    def _ask(self, configurations: Iterable[Indexes]) -> None:
        new = [indexes for indexes in dict.fromkeys(configurations) if indexes not in self._costs]
        if new:
            answers = self._answer(self.statements, {index for indexes in new for index in indexes}, new)
            self._costs.update(zip(new, answers, strict=True))

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
        self.asked += len(configurations)
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
