"""
What the planner twin can do and an older server cannot: it is kept from that, and what still differs is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from rung.adapters.cluster import Cluster
from rung.adapters.planner import DatabasePlanner, lacking
from rung.adapters.postgres import explain, looking
from rung.ports import Configuration, Cost, Costed, Costs, Index, IndexColumn, Plan, Promise, WhatIf
from rung.steps.advise import Weighted, advise
from rung.steps.take.sql import create_at_once
from tests.asking import execute
from tests.shapes import joins, shop
from tests.shapes.judging import prepare
from tests.strategies import answered

# Few kinds, many accounts: what has to be known for a lookup is the second column of an index.  Calls have one.
TABLES = """
create table visits (id bigint primary key, kind int not null, hour int not null, account_id int not null, note text);
insert into visits
select n, n % 4, hashint4(-n) & 15, hashint4(n) & 16383, repeat('x', 60) from generate_series(1, 60000) n;
create table calls (like visits including all);
insert into calls select * from visits;
create index calls_by_kind on calls (kind, account_id);
create table accounts (id int primary key, state int not null);
insert into accounts select n, n % 7 from generate_series(0, 16383) n;
"""
BY_KIND = Index("public", "visits", (IndexColumn("kind"), IndexColumn("account_id")))
BY_KIND_AND_HOUR = Index("public", "visits", (*BY_KIND.columns[:1], IndexColumn("hour"), *BY_KIND.columns[1:]))
BY_ACCOUNT = Index("public", "visits", (IndexColumn("account_id"),))
OF_ACCOUNT = "select note from visits where account_id = $1"
COUNTED = "select kind, hour, count(*) from visits group by kind, hour"
CALLS = "select note from calls where account_id = $1"
KEPT_FROM_SKIPPING = "planned without skipping over a column of an index, which PostgreSQL 15 cannot"
# Statements whose plans 16 to 18 have changed, and whether the twin is kept from that.
NEWER = (
    ("select count(*) from accounts a where exists (select from visits where account_id = a.id and kind = $1)", False),
    (
        "select count(*) from accounts a where state = $1 and not exists (select from visits where account_id = a.id)",
        False,
    ),
    ("select count(distinct account_id), array_agg(id order by note) from visits where kind = $1", True),
    ("select kind, account_id, count(*) from calls group by account_id, kind order by kind limit 5", True),
    ("select a.state, b.state from accounts a join accounts b on a.id = b.id where a.state = $1", True),
    ("select * from calls where kind = $1 and (account_id = $2 or account_id = $3)", False),
    ("select * from calls where kind = $1 and account_id = any($2)", True),
    ("select id from calls where kind = $1 union select id from visits where kind = $1", False),
    (CALLS, True),
)
EQUAL_SHARE_MIN = 0.9


@pytest.fixture(scope="module")
def visits(cluster: Cluster) -> Iterator[str]:
    """
    A database that no test changes for good, with the tables of the shape suite beside these.
    """
    execute(cluster.dsn(), "create database visits")
    execute(cluster.dsn("visits"), TABLES)
    prepare(cluster.dsn("visits"), shop.GROUP.schema)
    yield cluster.dsn("visits")
    execute(cluster.dsn(), "drop database visits with (force)")


@pytest.fixture(scope="module")
def planner(visits: str) -> Iterator[DatabasePlanner]:
    with closing(DatabasePlanner(visits)) as planner:
        yield planner


def promise_of(planner: DatabasePlanner, statement: str, index: Index) -> Promise:
    promise = planner.what_if(WhatIf(statement, index))
    assert isinstance(promise, Promise), promise
    return promise


def costed_of(planner: DatabasePlanner, statements: tuple[str, ...], *indexes: Index) -> Costed:
    costed = planner.costs(Costs(statements, indexes, (Configuration(tuple(range(len(indexes)))),)))
    assert isinstance(costed, Costed), costed
    assert set(costed.unplanned) == {""}
    return costed


def built(dsn: str, index: Index, statement: str) -> Plan:
    """
    Return the server's own plan with the index, which is gone again.
    """
    with psycopg.connect(dsn) as connection:
        connection.execute(create_at_once(index, "built").sql.encode())
        plan = explain(connection, statement)
        connection.rollback()
    return plan


def test_an_index_that_is_only_skipped_through_is_read_whole(visits: str, planner: DatabasePlanner) -> None:
    """
    As the server would, at its price.
    """
    promise, own = promise_of(planner, OF_ACCOUNT, BY_KIND), built(visits, BY_KIND, OF_ACCOUNT)
    assert promise.notes[-1] == KEPT_FROM_SKIPPING
    assert promise.after.cost == pytest.approx(own.cost, rel=0.02)
    assert [node.kind for node in own.nodes] == [node.kind for node in promise.after.nodes]
    assert promise.after.cost > promise.before.cost / 2

    costed = costed_of(planner, (OF_ACCOUNT,), BY_KIND)
    assert costed.notes[-1] == KEPT_FROM_SKIPPING
    cost = costed.costs[0][0]
    assert isinstance(cost, Cost)
    assert promise.after.cost == cost.generic
    assert all(drawn == pytest.approx(own.cost, rel=0.02) for drawn in cost.drawn)

    # Both together are planned as the one that the server can use.
    both = costed_of(planner, (OF_ACCOUNT,), BY_KIND, BY_ACCOUNT).costs[0][0]
    assert isinstance(both, Cost)
    assert (1,) == both.used
    assert built(visits, BY_ACCOUNT, OF_ACCOUNT).cost == pytest.approx(both.generic, rel=0.02)


def test_a_column_in_the_middle_is_not_skipped_over_either(visits: str, planner: DatabasePlanner) -> None:
    statement = "select note from visits where kind = $1 and account_id = $2"
    promise, own = promise_of(planner, statement, BY_KIND_AND_HOUR), built(visits, BY_KIND_AND_HOUR, statement)
    assert promise.used
    assert promise.notes[-1] == KEPT_FROM_SKIPPING
    assert promise.after.cost == pytest.approx(own.cost, rel=0.02)


def test_where_more_hangs_on_the_skipped_column_the_index_is_not_used(planner: DatabasePlanner) -> None:
    before = promise_of(planner, COUNTED, BY_ACCOUNT)
    promise = promise_of(planner, "select kind, count(*) from visits where account_id = $1 group by kind", BY_KIND)
    assert not promise.used
    assert promise.before == promise.after
    assert promise.notes[-1] == KEPT_FROM_SKIPPING
    # What the twin was told to that end, it has forgotten.
    assert planner.what_if(WhatIf(COUNTED, BY_ACCOUNT)) == before


def test_what_the_server_does_with_that_index_is_far_from_what_the_twin_would(
    visits: str, planner: DatabasePlanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    So there is something to keep it from.
    """
    monkeypatch.setattr(lacking, "SKIP_SINCE", 15)
    promise = promise_of(planner, OF_ACCOUNT, BY_KIND)
    assert promise.used
    assert () == promise.notes
    assert promise.after.cost < built(visits, BY_KIND, OF_ACCOUNT).cost / 5


def test_an_index_whose_first_column_is_known_is_used(visits: str, planner: DatabasePlanner) -> None:
    for statement in (
        "select note from visits where kind = $1 and account_id = $2",
        "select v.note from calls c join visits v on v.kind = c.kind and v.account_id = c.account_id where c.id = $1",
    ):
        promise = promise_of(planner, statement, BY_KIND)
        assert promise.used
        assert () == promise.notes
        assert promise.after.cost == pytest.approx(built(visits, BY_KIND, statement).cost, rel=0.02)


def test_advice_is_for_the_planner_that_the_server_has(
    visits: str, planner: DatabasePlanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where an index by kind exists the newest planner skips through it; an older one is worth an index of its own.
    """
    advised = answered(advise([Weighted(CALLS, 1000.0)]), lambda question: getattr(planner, question.verb)(question))
    index = advised.indexes[0].index
    assert ("account_id",) == tuple(column.name for column in index.columns)
    promise, plan = promise_of(planner, CALLS, index), built(visits, index, CALLS)
    assert promise.used
    assert promise.after.cost == pytest.approx(plan.cost, rel=0.02)
    assert "built" in {node.index for node in plan.nodes}

    monkeypatch.setattr(lacking, "SKIP_SINCE", 15)
    with closing(DatabasePlanner(visits)) as newest:
        now = promise_of(newest, CALLS, index).before
    assert "calls_by_kind" in {node.index for node in now.nodes}
    assert now.cost < promise.before.cost / 5


def test_a_join_that_the_server_lacks_is_said_and_no_reason_against_an_index(
    visits: str, planner: DatabasePlanner
) -> None:
    statement = (
        "select count(*) from accounts a where state = $1 and exists (select from visits where account_id = a.id"
        " and kind = $2 and hour = $3)"
    )
    index = Index("public", "visits", (IndexColumn("kind"), IndexColumn("hour"), IndexColumn("account_id")))
    promise, own = promise_of(planner, statement, index), built(visits, index, statement)
    assert promise.used
    assert "planned with a Right Semi join, which PostgreSQL 15 does not have" in promise.notes
    assert promise.after.cost == pytest.approx(own.cost, rel=0.1)


@pytest.mark.parametrize(("statement", "same"), NEWER)
def test_todays_plan_is_the_servers_own_or_the_difference_is_said(
    visits: str, planner: DatabasePlanner, statement: str, same: bool
) -> None:
    costed = costed_of(planner, (statement,))
    ((cost,), (differs,)) = costed.costs[0], costed.differs
    assert isinstance(cost, Cost)
    with looking(visits) as connection:
        own = explain(connection, statement)
    assert same is (differs == "")
    assert differs or cost.generic == pytest.approx(own.cost, rel=0.01)


def test_most_of_the_shape_suites_plans_are_the_servers_own(visits: str, planner: DatabasePlanner) -> None:
    """
    In shape and cost, to a hundredth; the others are said to differ.
    """
    cases = [shape for group in (shop.GROUP, joins.GROUP) for shape in group.shapes]
    statements = tuple(dict.fromkeys(execution.text for shape in cases for execution in shape.executions))
    costed = costed_of(planner, statements)
    with looking(visits) as connection:
        own = [explain(connection, statement).cost for statement in statements]
    for statement, cost, theirs, differs in zip(statements, costed.costs[0], own, costed.differs, strict=True):
        assert isinstance(cost, Cost)
        assert differs or cost.generic == pytest.approx(theirs, rel=0.01), statement
    assert len(statements) > 50
    assert costed.differs.count("") >= EQUAL_SHARE_MIN * len(statements)
