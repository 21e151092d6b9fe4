"""
Plan statements on a stage under many choices of indexes, each no oftener than it can come out differently.

In        a Stage, statements with what the server itself said of them
Out       plans of today and with an index; costs under each configuration
Not here  how indexes are switched (stage.py), which values a statement is planned with (drawn.py)
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from rung.adapters.planner.compared import difference
from rung.adapters.planner.drawn import Vector, vectors_of
from rung.adapters.planner.facts import Sight
from rung.adapters.planner.lacking import Column, Lacking, counted
from rung.adapters.planner.stage import CANDIDATE, Stage
from rung.adapters.postgres import Named, explained, first_line, generic_tree, nodes_of, plan_of
from rung.ports import Configuration, Cost, Costed, Costs, Index, Plan, Promise, Unavailable, WhatIf

Tree = Mapping[str, Any]

NUMBERED = re.compile(rf"^{CANDIDATE}_\d+")
EACH_ROW_ITS_OWN = -1.0  # stadistinct of a column that has no value twice
# An expression has no statistics before its index is built and analysed.
FORESEEN = "what an index's expression finds is foreseen from the statistics of its columns"
GUESSED = "nothing is known of what an index's expression finds: planned with what PostgreSQL then takes"


@dataclass(frozen=True, slots=True)
class _Able:
    """
    A plan as near to what the user's server can do as the twin comes, and sentences that say where it was not.
    """

    tree: Tree
    said: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """
    A statement that can be planned, with the EXPLAINs that are asked of it again and again.
    """

    statement: str
    relations: frozenset[Named]
    today: Plan
    said: frozenset[str]
    vectors: tuple[Vector, ...]
    name: bytes
    generic: bytes
    drawn: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Priced:
    generic: float
    drawn: tuple[float, ...]
    used: frozenset[Index]
    said: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Choice:
    """
    What of a configuration concerns a statement.
    """

    added: frozenset[Index]
    dropped: frozenset[str]


class Costing:
    """
    Answers about the statements on one stage; remembers what was planned.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._lacking = Lacking(stage.facts.major)
        # Its many columns take time to read, and only what an older server lacks is looked for with their tables.
        self._verbose = sql.Literal(self._lacking.anything)
        self._asked: dict[str, _Asked] = {}
        self._known: defaultdict[str, dict[_Choice, _Priced]] = defaultdict(dict)

    def promise(self, question: WhatIf, sight: Sight) -> Promise | Unavailable:
        """
        Return today's plan in the twin and the plan with the index.

        Raises:
            psycopg.Error: the twin cannot plan the statement.
        """
        stage, index = self.stage, question.index
        stage.add((index,))
        if index in stage.refused:
            return Unavailable(stage.refused[index])
        asked = self._ask(question.statement, sight.relations)
        stage.configure((index,), ())
        able = self._able(lambda: generic_tree(stage.connection, question.statement))
        after = plan_of(able.tree, question.statement)
        return Promise(
            before=asked.today,
            after=_anonymous(after),
            used=any(stage.indexes.get(node.index) == index for node in after.nodes),
            size_bytes=stage.candidates[index].size_bytes,
            differs=difference(sight.plan, asked.today),
            notes=(*stage.notes, *self._notes_of((index,)), *sorted(asked.said | able.said)),
        )

    def costs(self, question: Costs, sights: Sequence[Sight]) -> Costed:
        """
        Return what each statement would cost under each configuration.
        """
        stage, statements = self.stage, question.statements
        stage.add(question.indexes)
        reasons = [sight.reason or self._not_copied(sight.relations) for sight in sights]
        differs = [""] * len(statements)
        for place, (statement, sight) in enumerate(zip(statements, sights, strict=True)):
            try:
                if not reasons[place]:
                    differs[place] = difference(sight.plan, self._ask(statement, sight.relations).today)
            except psycopg.Error as problem:
                reasons[place] = f"the planner twin cannot plan it: {first_line(problem)}"
        touching = {
            statement: frozenset(self._touching(self._asked[statement], question.indexes))
            for statement, reason in zip(statements, reasons, strict=True)
            if not reason
        }
        said = {sentence for statement in touching for sentence in self._asked[statement].said}
        rows: list[tuple[Cost | None, ...]] = [()] * len(question.configurations)
        # The larger ones first: what a plan leaves unused under many indexes need not be planned under fewer.
        for place in sorted(range(len(rows)), key=lambda place: -len(question.configurations[place].added)):
            rows[place] = self._row(question, question.configurations[place], touching, reasons, said)
        return Costed(
            costs=tuple(
                tuple(None if reason else cost for cost, reason in zip(row, reasons, strict=True)) for row in rows
            ),
            unplanned=tuple(reasons),
            sizes_bytes=tuple(
                stage.candidates[index].size_bytes if index in stage.candidates else 0 for index in question.indexes
            ),
            refused=tuple(stage.refused.get(index, "") for index in question.indexes),
            differs=tuple(differs),
            notes=(*stage.notes, *self._notes_of(question.indexes), *sorted(said)),
        )

    def _row(
        self,
        question: Costs,
        configuration: Configuration,
        touching: Mapping[str, frozenset[Index]],
        reasons: list[str],
        said: set[str],
    ) -> tuple[Cost | None, ...]:
        """
        Return a configuration's costs; a statement that fails now has its reason put into *reasons*, and what is to be
        known of its plans is put into *said*.
        """
        # Of two that are the same, the first of those that there would be.
        positions = {question.indexes[place]: place for place in reversed(configuration.added)}
        added = positions.keys() & self.stage.candidates.keys()
        configured = False
        row: list[Cost | None] = []
        for place, statement in enumerate(question.statements):
            if reasons[place]:
                row.append(None)
                continue
            asked = self._asked[statement]
            choice = _Choice(touching[statement] & added, self._dropped(asked, configuration.dropped))
            priced = self._remembered(statement, choice)
            if priced is None:
                if not configured:
                    self.stage.configure(added, configuration.dropped)
                    configured = True
                try:
                    priced = self._price(asked)
                except psycopg.Error as problem:
                    reasons[place] = f"the planner twin cannot plan it: {first_line(problem)}"
                    row.append(None)
                    continue
            self._known[statement][choice] = priced
            said |= priced.said
            used = tuple(sorted(positions[index] for index in priced.used))
            shares = tuple(vector.share for vector in asked.vectors)
            row.append(Cost(priced.generic, priced.drawn, shares, used))
        return tuple(row)

    def _touching(self, asked: _Asked, indexes: Iterable[Index]) -> Iterable[Index]:
        made = self.stage.candidates
        return (index for index in indexes if index in made and not asked.relations.isdisjoint(made[index].tables))

    def _dropped(self, asked: _Asked, names: Iterable[str]) -> frozenset[str]:
        standing = self.stage.standing
        return frozenset(name for name in names if any(part.table in asked.relations for part in standing(name)))

    def _remembered(self, statement: str, choice: _Choice) -> _Priced | None:
        """
        Return what is known to come out: the same choice was planned, or one with more indexes of which the best plan
        needs none but these.  The best of many plans is the best of any fewer that it is among.
        """
        known = self._known[statement]
        if choice in known:
            return known[choice]
        return next(
            (
                priced
                for larger, priced in known.items()
                if larger.dropped == choice.dropped and priced.used <= choice.added <= larger.added
            ),
            None,
        )

    def _price(self, asked: _Asked) -> _Priced:
        connection = self.stage.connection
        if asked.drawn:
            self.stage.prepare(asked.name, asked.statement)
        ables = [self._able(partial(explained, connection, question)) for question in (asked.generic, *asked.drawn)]
        generic, *drawn = (float(able.tree["Total Cost"]) for able in ables)
        indexes = self.stage.indexes
        names = {node.get("Index Name") for able in ables for node in nodes_of(able.tree)}
        used = frozenset(indexes[name] for name in names if name in indexes)
        return _Priced(generic, tuple(drawn), used, frozenset().union(*(able.said for able in ables)))

    def _able(self, ask: Callable[[], Tree]) -> _Able:
        """
        Return the plan that *ask* gives once the twin is kept from what the user's server cannot do.
        """
        stage, lacking = self.stage, self._lacking
        seen: set[Column] = set()
        tree = ask()
        try:
            while skipped := lacking.skipped(stage.connection, tree) - seen:
                seen |= skipped
                self._keep_from_skipping(skipped, tree)
                tree = ask()
        finally:
            stage.show()
            for column in seen:
                stage.tell_distinct(column.table, column.number, column.distinct)
        return _Able(tree, lacking.said(tree, skipped=bool(seen)))

    def _keep_from_skipping(self, skipped: Iterable[Column], tree: Tree) -> None:
        for column in skipped:
            if not counted(tree, column.name):
                # Over as many values as there are rows no planner skips; it prices the scan as the older one does.
                self.stage.tell_distinct(column.table, column.number, EACH_ROW_ITS_OWN)
            elif column.place == 1:
                self.stage.hide((column.index,))

    def _ask(self, statement: str, relations: frozenset[Named]) -> _Asked:
        """
        Return what is asked of *statement*, made when it comes for the first time.
        """
        if statement in self._asked:
            return self._asked[statement]
        stage = self.stage
        stage.configure((), ())
        able = self._able(lambda: generic_tree(stage.connection, statement))
        name = f"rung_{len(self._asked)}".encode()
        vectors, questions = self._vectors(name, able.tree, statement)
        self._asked[statement] = _Asked(
            statement=statement,
            relations=relations,
            today=plan_of(able.tree, statement),
            said=able.said,
            vectors=vectors,
            name=name,
            # That it is a single statement, generic_tree() has seen to.
            generic=b"EXPLAIN (GENERIC_PLAN, VERBOSE %s, FORMAT JSON) " % self._verbose.as_bytes()
            + statement.encode(errors="replace"),
            drawn=questions,
        )
        return self._asked[statement]

    def _vectors(
        self, name: bytes, tree: Mapping[str, Any], statement: str
    ) -> tuple[tuple[Vector, ...], tuple[bytes, ...]]:
        stage = self.stage
        try:
            stage.prepare(name, statement)
            parameters = stage.connection.pgconn.describe_prepared(name).nparams
            vectors = vectors_of(stage.connection, tree, statement, parameters)
            questions = tuple(
                sql.SQL("EXPLAIN (VERBOSE {}, FORMAT JSON) EXECUTE {} ({})")
                .format(self._verbose, sql.Identifier(name.decode()), sql.SQL(", ").join(vector.literals))
                .as_bytes(stage.connection)
                for vector in vectors
            )
            for question in questions:
                explained(stage.connection, question)
        except psycopg.Error:
            # Its words would quote the values.  The generic plan stands for itself.
            return (), ()
        return vectors, questions

    def _not_copied(self, relations: frozenset[Named]) -> str:
        return next((self.stage.missing[name] for name in sorted(relations) if name in self.stage.missing), "")

    def _notes_of(self, indexes: Iterable[Index]) -> tuple[str, ...]:
        made = self.stage.candidates
        with_expression = [
            made[index] for index in indexes if index in made and any(column.expression for column in index.columns)
        ]
        return tuple(
            note
            for note, guessed in ((FORESEEN, False), (GUESSED, True))
            if any(candidate.guessed == guessed for candidate in with_expression)
        )


def _anonymous(plan: Plan) -> Plan:
    """
    Return *plan* with the candidate's name as it is whichever number it has.
    """
    return Plan(tuple(replace(node, index=NUMBERED.sub(CANDIDATE, node.index)) for node in plan.nodes))
