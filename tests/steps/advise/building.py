"""
A planner that really builds what it is asked about, in a transaction that is rolled back.

In        the DSN of a small database that may be written to
Out       answers to Explain, Describe and Costs
Not here  the planner twin, which builds nothing there (adapters/planner)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from rung.adapters.catalog import describe
from rung.adapters.postgres import explain, first_line
from rung.ports import Cost, Costed, Costs, Describe, Explain, Index, Question, Unavailable
from rung.steps.take.sql import create_at_once


class Building:
    """
    Answers questions over a connection that is never committed.
    """

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self.connection = connection

    def __call__(self, question: Question) -> Any:
        """
        Return the answer to *question*.
        """
        if isinstance(question, Explain):
            try:
                return explain(self.connection, question.statement)
            except psycopg.Error as problem:
                return Unavailable(first_line(problem))
        if isinstance(question, Describe):
            return describe(self.connection, question.schema, question.name) or Unavailable("there is no such table")
        assert isinstance(question, Costs)
        return self._costed(question)

    def _costed(self, question: Costs) -> Costed:
        sizes_bytes, refused = zip(*map(self._tried, question.indexes), strict=True) if question.indexes else ((), ())
        rows = []
        for configuration in question.configurations:
            wanted = [place for place in configuration.added if not refused[place]]
            with self._built([question.indexes[place] for place in wanted], configuration.dropped):
                rows.append(tuple(self._cost(text, wanted) for text in question.statements))
        return Costed(tuple(rows), ("",) * len(question.statements), tuple(sizes_bytes), tuple(refused))

    def _tried(self, index: Index) -> tuple[int, str]:
        try:
            with self._built([index], ()):
                row = self.connection.execute("select pg_relation_size('candidate_0'::regclass)").fetchone()
                assert row is not None
                return int(row[0]), ""
        except psycopg.Error as problem:
            return 0, first_line(problem)

    def _cost(self, text: str, wanted: list[int]) -> Cost:
        plan = explain(self.connection, text)
        names = {f"candidate_{number}": place for number, place in enumerate(wanted)}
        used = tuple(sorted({names[node.index] for node in plan.nodes if node.index in names}))
        return Cost(plan.cost, (), (), used)

    @contextmanager
    def _built(self, indexes: Iterable[Index], dropped: Iterable[str]) -> Iterator[None]:
        with self.connection.transaction(force_rollback=True):
            for number, index in enumerate(indexes):
                self.connection.execute(create_at_once(index, f"candidate_{number}").sql.encode())
            for name in dropped:
                self.connection.execute(sql.SQL("drop index {}").format(sql.Identifier(*name.split("."))))
            yield
