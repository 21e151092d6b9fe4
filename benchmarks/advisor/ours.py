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
from rung.ports import Index, Step
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
        advice = _driven(step, planner)
        assert not advice.unavailable, advice.unavailable
        return tuple(advised.index for advised in advice.indexes)


def _driven(step: Step[advise.Advice], planner: DatabasePlanner) -> advise.Advice:
    answer = None
    try:
        while True:
            question = step.send(answer)
            answer = getattr(planner, question.verb)(question)
    except StopIteration as end:
        advice: advise.Advice = end.value
        return advice
