"""
What of a suite `make test` runs: one of each kind; `make test-all` (RUNG_TESTS=all) runs everything.

A case is left to `make test-all` by the mark `long`, and a table of cases is thinned by `every`: by its place in the
table, so that nobody picks the easy ones.

In        RUNG_TESTS
Out       marks
Not here  leaving out what is marked (conftest.py)
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

# The files that take longest, the longest first.
LONGEST = (
    "end_to_end/test_demo.py", "shapes/test_shapes.py", "end_to_end/test_loop.py", "probe/test_never_suffers.py",
    "scenarios/test_scenarios.py", "nplusone/test_nplusone.py", "end_to_end/test_only_read.py",
    "adapters/test_planner_costs.py", "scenarios/test_refusals.py", "adapters/test_planner.py",
    "adapters/test_migrations.py", "benchmarks/test_gauntlet.py", "benchmarks/test_timing.py",
)  # fmt: skip

ALL = os.environ.get("RUNG_TESTS") == "all"


def every(step: int, cases: Iterable[Any], *, first: int = 0) -> list[Any]:
    """
    Return all *cases* for pytest.mark.parametrize; but for each *step*-th, from the *first* on, they are long.
    """
    given: list[Any] = []
    for place, case in enumerate(cases):
        if place % step == first:
            given.append(case)
        elif hasattr(case, "values") and hasattr(case, "marks"):  # what pytest.param returns
            given.append(pytest.param(*case.values, id=case.id, marks=(*case.marks, pytest.mark.long)))
        else:
            given.append(pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.long))
    return given
