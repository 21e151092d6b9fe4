"""
Read out of a plan how each table in it is looked up: what an index there could do for the statement.

PostgreSQL itself has resolved views, CTEs, names and implied equalities by then; what its plan compares, sorts and
groups by is what an index would serve, whichever node does it today.

In        a Plan with its conditions and outputs
Out       an Access for each table read, a Change for each table written
Not here  reading one condition (condition.py), which indexes come of it (candidates.py)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rung.ports import Plan, PlanNode
from rung.steps.advise.condition import (
    Clause,
    Comparison,
    Either,
    Opaque,
    Term,
    Test,
    clauses,
    qualified,
    sort_key,
    term,
)

RANGES = frozenset({"<", "<=", ">", ">="})
LOOKING = ("Filter", "Index Cond", "Recheck Cond", "Join Filter", "Hash Cond", "Merge Cond")
# What may be handed more columns than it needs: the scan below it gives its rows as they are on disk (PostgreSQL
# source, createplan.c, use_physical_tlist).
UNPICKY = ("Nested Loop", "Hash Join", "Merge Join", "Aggregate", "Group", "WindowAgg", "ProjectSet", "Result")
SYSTEM_COLUMNS = frozenset({"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax", "*"})
_EXTREME = re.compile(r"(?:min|max)\((?P<of>.*)\)", re.DOTALL)
_PREFIX = re.compile(r"'(?P<prefix>[^%_\\']+)[^']*'::(?:text|character varying|bpchar)")


@dataclass(frozen=True, slots=True)
class Key:
    """
    What could be a key of an index.

    Attributes:
        name: The column's, or an expression as PostgreSQL writes it.
        cast_of: Of an expression that is a column with a cast, the column; else "".
        descending: Of a key that is sorted by.
    """

    name: str
    expression: bool = False
    cast_of: str = ""
    opclass: str = ""
    descending: bool = False
    nulls_first: bool | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """
    A condition whose values are part of the statement: what the predicate of a partial index could be.

    Attributes:
        text: As PostgreSQL writes it, without an alias.
        columns: The columns in it.
        pins: Whether it leaves its one column a single value.
    """

    text: str
    columns: frozenset[str]
    pins: bool


@dataclass(frozen=True, slots=True)
class Access:
    """
    How a plan looks rows up in one table.

    Attributes:
        equal: Compared with one value, or tested for being null or true.
        among: Compared with several values.
        ranged: Compared with a range; of a row compared as a whole all its columns.
        joined: Compared with columns of other tables, each group with those of the same tables.
        arms: Alternatives: of each what it compares, equalities first.
        fixed: Conditions without a value that could change: predicates of partial indexes.
        implied: Likewise, that a column compared with something is not null, for no operator looked at here is true of
            null.
        sorted: What rows are sorted by.
        grouped: What they are grouped by.
        extremes: Of what the least or the greatest is asked for.
        needed: Columns that are read at all; None where the rows themselves are needed.
    """

    schema: str
    table: str
    alias: str
    equal: tuple[Key, ...] = ()
    among: tuple[Key, ...] = ()
    ranged: tuple[tuple[Key, ...], ...] = ()
    joined: tuple[tuple[Key, ...], ...] = ()
    arms: tuple[tuple[Key, ...], ...] = ()
    fixed: tuple[Fixed, ...] = ()
    implied: tuple[Fixed, ...] = ()
    sorted: tuple[tuple[Key, ...], ...] = ()
    grouped: tuple[tuple[Key, ...], ...] = ()
    extremes: tuple[Key, ...] = ()
    needed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """
    Rows that a plan writes: "Insert", "Update", "Delete" or "Merge", and how many an execution is expected to.
    """

    schema: str
    table: str
    operation: str
    rows: float


def accesses(plan: Plan) -> tuple[Access, ...]:
    """
    Return how each table of *plan* is looked up, in the order in which the plan names them.
    """
    read = {node.alias: node for node in reversed(plan.nodes) if node.alias and node.relation and not node.operation}
    aliases = {node.alias for node in plan.nodes if node.alias}
    said = list(_said(plan, aliases))
    partners = _partners(said)
    needed = _needed(plan, aliases)
    return tuple(
        _access(plan, node, said, partners, needed.get(alias, frozenset()))
        for alias, node in sorted(read.items(), key=lambda each: plan.nodes.index(each[1]))
    )


def changes(plan: Plan) -> tuple[Change, ...]:
    """
    Return what *plan* writes.
    """
    made = []
    for place, node in enumerate(plan.nodes):
        if node.operation and node.relation:
            # The node itself is expected to hand on nothing; what it writes is what the one below it gives.
            rows = plan.nodes[place + 1].rows if place + 1 < len(plan.nodes) else 1.0
            made.append(Change(node.schema, node.relation, node.operation, rows))
    return tuple(made)


def _said(plan: Plan, aliases: set[str]) -> Iterator[Clause]:
    """
    Give each different condition of the plan once.
    """
    seen = set()
    for node in plan.nodes:
        for condition in node.conditions:
            if condition.kind in LOOKING and condition.text not in seen:
                seen.add(condition.text)
                yield from clauses(condition.text, aliases)


def _partners(said: Sequence[Clause]) -> dict[tuple[str, str], frozenset[tuple[str, str]]]:
    """
    Return which columns are equal to which by joins, also through a third.
    """
    groups: dict[tuple[str, str], frozenset[tuple[str, str]]] = {}
    for clause in said:
        if isinstance(clause, Comparison) and clause.operator == "=" and clause.left.column and clause.right.column:
            both = clause.left.columns | clause.right.columns
            whole = both.union(*(groups.get(column, frozenset()) for column in both))
            groups |= dict.fromkeys(whole, whole)
    return groups


def _access(
    plan: Plan,
    node: PlanNode,
    said: Sequence[Clause],
    partners: dict[tuple[str, str], frozenset[tuple[str, str]]],
    needed: frozenset[str],
) -> Access:
    alias = node.alias
    found = _Found(alias, partners)
    for clause in said:
        found.take(clause)
    sorts: list[tuple[Key, ...]] = []
    groups: list[tuple[Key, ...]] = []
    aliases = {each.alias for each in plan.nodes if each.alias}
    extremes: dict[Key, None] = {}
    for each in plan.nodes:
        for kind, into in (("Sort Key", sorts), ("Group Key", groups)):
            texts = [condition.text for condition in each.conditions if condition.kind == kind]
            keys = tuple(_leading(texts, alias, aliases))
            if keys and keys not in into:
                into.append(keys)
        if each.kind.endswith("Aggregate") and not any(c.kind == "Group Key" for c in each.conditions):
            extremes |= dict.fromkeys(_extremes(each, alias, aliases))
    return Access(
        schema=node.schema,
        table=node.relation,
        alias=alias,
        equal=tuple(found.equal),
        among=tuple(key for key in found.among if key not in found.equal),
        ranged=tuple(found.ranged),
        joined=tuple(tuple(keys) for keys in found.joined.values()),
        arms=tuple(found.arms),
        fixed=tuple(found.fixed.values()),
        implied=tuple(each for text, each in found.implied.items() if text not in found.fixed),
        sorted=tuple(sorts),
        grouped=tuple(groups),
        extremes=tuple(extremes),
        needed=None if needed & SYSTEM_COLUMNS else needed,
    )


class _Found:
    """
    What conditions say of one alias, each thing once and in order.
    """

    def __init__(self, alias: str, partners: dict[tuple[str, str], frozenset[tuple[str, str]]]) -> None:
        self.alias, self.partners = alias, partners
        self.equal: dict[Key, None] = {}
        self.among: dict[Key, None] = {}
        self.ranged: dict[tuple[Key, ...], None] = {}
        self.joined: dict[str, dict[Key, None]] = {}
        self.arms: dict[tuple[Key, ...], None] = {}
        self.fixed: dict[str, Fixed] = {}
        self.implied: dict[str, Fixed] = {}

    def take(self, clause: Clause) -> None:
        """
        Add what *clause* says.
        """
        self._fix(clause)
        if isinstance(clause, Test):
            if clause.term.aliases == {self.alias} and clause.test in {"IS NULL", "IS TRUE", "NOT"}:
                self._add(self.equal, clause.term)
        elif isinstance(clause, Either):
            self._alternatives(clause)
        elif isinstance(clause, Comparison):
            for ours, theirs in ((clause.left, clause.right), (clause.right, clause.left)):
                if ours.aliases == {self.alias} and self.alias not in theirs.aliases:
                    self._compared(clause, ours, theirs)

    def _compared(self, clause: Comparison, ours: Term, theirs: Term) -> None:
        if ours.column or ours.cast:
            name = ours.text if ours.column else ours.text.removeprefix("(").partition(")::")[0]
            text = f"{name} IS NOT NULL"
            self.implied[text] = Fixed(text, frozenset(name for _, name in ours.columns), pins=False)
        if clause.operator == "=" and theirs.columns:
            self._join(ours, theirs)
        elif clause.operator == "=":
            self._add(self.among if clause.any_of else self.equal, ours)
        elif clause.operator in RANGES and not clause.any_of:
            if ours.names:
                self.ranged[tuple(Key(name) for name in ours.names)] = None
            elif (key := _key(ours)) is not None:
                self.ranged[(key,)] = None
        elif clause.operator == "~~" and _PREFIX.fullmatch(theirs.text) and (key := _key(ours)) is not None:
            self.ranged[(Key(key.name, key.expression, key.cast_of, opclass="text_pattern_ops"),)] = None

    def _join(self, ours: Term, theirs: Term) -> None:
        key = _key(ours)
        if key is None:
            return
        others = set(theirs.aliases)
        if ours.column:
            (column,) = ours.columns
            others |= {alias for alias, _ in self.partners.get(column, ())}
        for other in sorted(others - {self.alias}):
            self.joined.setdefault(other, {})[key] = None

    def _alternatives(self, clause: Either) -> None:
        arms = []
        for arm in clause.arms:
            inner = _Found(self.alias, self.partners)
            for each in arm:
                inner.take(each)
            keys = (*inner.equal, *inner.among, *(key for keys in [*inner.ranged][:1] for key in keys))
            keys += tuple(key for group in inner.joined.values() for key in group if key not in keys)
            if not keys:
                return
            arms.append(keys)
        self.arms |= dict.fromkeys(arms)

    def _fix(self, clause: Clause) -> None:
        whole = _whole(clause)
        if whole is not None and whole.steady and whole.aliases == {self.alias} and "SubPlan" not in whole.text:
            pins = (
                clause.test in {"IS NULL", "IS TRUE", "NOT"}
                if isinstance(clause, Test)
                else (isinstance(clause, Comparison) and clause.operator == "=" and not clause.any_of)
            )
            names = frozenset(name for _, name in whole.columns)
            self.fixed[whole.text] = Fixed(whole.text, names, pins and len(names) == 1)

    def _add(self, into: dict[Key, None], ours: Term) -> None:
        key = _key(ours)
        if key is not None:
            into[key] = None


def _whole(clause: Clause) -> Term | None:
    """
    Return all of a condition as one term, None where it compares with a value.
    """
    if isinstance(clause, Test | Either | Opaque):
        return clause.whole
    if clause.left.steady and clause.right.steady:
        right = f"ANY ({clause.right.text})" if clause.any_of else clause.right.text
        left = clause.left.text if clause.left.column or clause.left.text.endswith(")") else f"({clause.left.text})"
        return Term(f"{left} {clause.operator} {right}", clause.left.columns | clause.right.columns)
    return None


def _key(of: Term) -> Key | None:
    """
    Return a term as a key; None where it holds a value that another execution may not have.
    """
    if of.column:
        ((_, name),) = of.columns
        return Key(name)
    if not of.steady or not of.columns or of.names:
        return None
    cast_of = next(iter(of.columns))[1] if of.cast else ""
    return Key(of.text, expression=True, cast_of=cast_of)


def _leading(texts: Iterable[str], alias: str, aliases: set[str]) -> Iterator[Key]:
    """
    Give the keys of a sort or group while they are of *alias*.
    """
    for text in texts:
        by, descending, nulls_first = sort_key(text, aliases)
        key = _key(by) if by.aliases == {alias} else None
        if key is None:
            return
        # Where nulls come by default: last, or first when descending.
        usual = nulls_first is None or nulls_first == descending
        yield Key(key.name, key.expression, key.cast_of, "", descending, None if usual else nulls_first)


def _extremes(node: PlanNode, alias: str, aliases: set[str]) -> Iterator[Key]:
    for text in _outputs(node, aliases):
        extreme = _EXTREME.fullmatch(text)
        of = term(extreme["of"], aliases) if extreme else None
        if of is not None and of.aliases == {alias} and (key := _key(of)) is not None:
            yield key


def _outputs(node: PlanNode, aliases: set[str]) -> list[str]:
    """
    Return what a node hands upwards, columns with their alias: of a plan over one table they stand without.
    """
    if len(aliases) != 1:
        return list(node.output)
    (alias,) = aliases
    return [
        qualified(text, alias if alias.isidentifier() and alias.islower() else f'"{alias}"') for text in node.output
    ]


def _needed(plan: Plan, aliases: set[str]) -> dict[str, frozenset[str]]:
    """
    Return the columns of each alias that the plan really uses.
    """
    found: dict[str, set[str]] = {}
    above: list[PlanNode] = []
    for node in plan.nodes:
        above = above[: node.depth]
        over = above[-1].kind if above else ""
        texts = [condition.text for condition in node.conditions]
        nested = node.relationship in {"InitPlan", "SubPlan"}
        if nested or not (node.relation and over.endswith(UNPICKY)):
            texts += _outputs(node, aliases)
        for text in texts:
            for alias, name in term(text, aliases).columns:
                found.setdefault(alias, set()).add(name)
        above.append(node)
    return {alias: frozenset(names) for alias, names in found.items()}
