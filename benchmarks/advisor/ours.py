"""
Our advisor, as the judges call it.

In        statements with their executions, a database, a budget
Out       indexes
Not here  advising (rung.steps.advise), the planner twin (rung.adapters.planner)
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from benchmarks.advisor.advising import Weighted
from rung.adapters.planner import DatabasePlanner
from rung.ports import Index
from rung.steps import advise


class Ours:
    """
    An Advisor; it has a planner twin for each database that it was asked about, until it is closed.
    """

    def __init__(self) -> None:
        self._planners: dict[str, DatabasePlanner] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for planner in self._planners.values():
            planner.close()
        self._planners.clear()

    def __call__(self, statements: Sequence[Weighted], dsn: str, budget_bytes: int | None) -> tuple[Index, ...]:
        """
        Return what is advised.
        """
        planner = self._planners.setdefault(dsn, DatabasePlanner(dsn))
        step = advise.advise([advise.Weighted(each.text, each.executions) for each in statements], budget_bytes)
        answer = None
        while True:
            try:
                question = step.send(answer)
            except StopIteration as end:
                assert not end.value.unavailable, end.value.unavailable
                return tuple(advised.index for advised in end.value.indexes)
            answer = getattr(planner, question.verb)(question)
