"""
The shape suite: schemas, statements and the indexes that are right, by work that is measured.

`make test` judges our advice on every fourth of the cases, and of the cases themselves every eighth; `make test-all`
does both on all, and `make shapes` judges them by time too, which takes a machine with nothing else to do.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from benchmarks.advisor.advising import Weighted
from benchmarks.advisor.ours import Ours
from rung.adapters.cluster import Cluster
from tests.shapes import peers
from tests.shapes.amiss import AMISS
from tests.shapes.cases import GROUPS
from tests.shapes.judging import GAIN_MIN, WORK_PAGES, bar, fault, prepare
from tests.shapes.shape import Group, Shape
from tests.short import every

CASES = [pytest.param(group, shape, id=f"{group.name}-{shape.name}") for group in GROUPS for shape in group.shapes]
ADVISED = [
    pytest.param(
        *case.values,
        id=case.id,
        marks=pytest.mark.xfail(
            case.values[1].name in AMISS,
            reason=AMISS.get(case.values[1].name, ""),
            strict=True,
        ),
    )
    for case in CASES
]
Databases = Callable[[Group], str]
TIMED = os.environ.get("SHAPES") == "timed"


@pytest.fixture(scope="module")
def databases(cluster: Cluster) -> Iterator[Databases]:
    """
    The database of a group, filled when it is first asked for; groups with one schema share it.
    """
    made: dict[str, str] = {}

    def database(group: Group) -> str:
        if group.schema not in made:
            name = f"shapes_{uuid.uuid4().hex}"
            _administer(cluster, sql.SQL("create database {}").format(sql.Identifier(name)))
            made[group.schema] = name
            prepare(cluster.dsn(name), group.schema)
        return cluster.dsn(made[group.schema])

    yield database
    for name in made.values():
        _administer(cluster, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def ours() -> Iterator[Ours]:
    """
    Our advisor, with a planner twin for each group.
    """
    with Ours() as ours:
        yield ours


def _administer(cluster: Cluster, statement: sql.Composed) -> None:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(statement)


def test_there_are_enough_cases() -> None:
    names = [shape.name for group in GROUPS for shape in group.shapes]
    assert len(names) >= 60
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("group", "shape"), every(8, CASES, first=1))
def test_a_case_tells_right_from_wrong(databases: Databases, group: Group, shape: Shape) -> None:
    """
    What is right is much less work than no index, and what looks right is turned down.
    """
    dsn = databases(group)
    held = bar(dsn, shape)
    if not shape.right:
        return
    assert held.without.pages > GAIN_MIN * held.best.pages + WORK_PAGES, held
    for indexes in shape.right:
        assert fault(dsn, shape, held, indexes) == ""
    for indexes in ((), *shape.wrong):
        assert fault(dsn, shape, held, indexes), indexes


@pytest.mark.parametrize(("group", "shape"), every(4, ADVISED))
def test_our_advice_is_right(databases: Databases, ours: Ours, group: Group, shape: Shape) -> None:
    dsn = databases(group)
    statements = [Weighted(execution.text, execution.executions) for execution in shape.executions]
    advised = ours(statements, dsn, None)
    assert fault(dsn, shape, bar(dsn, shape, timed=TIMED), advised, timed=TIMED) == ""


@pytest.mark.parametrize("statement", peers.UNPLANNABLE)
def test_what_cannot_be_planned_does_not_spoil_the_rest(databases: Databases, ours: Ours, statement: str) -> None:
    one = next(shape for shape in peers.GROUP.shapes if shape.name == "pghero_order")
    statements = [Weighted(statement), Weighted(one.executions[0].text)]
    dsn = databases(peers.GROUP)
    assert fault(dsn, one, bar(dsn, one), ours(statements, dsn, None)) == ""
