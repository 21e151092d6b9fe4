"""
Indexes of every kind: what the planner twin says they cost and take is what they do when they are really built.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from rung.adapters.cluster import Cluster
from rung.adapters.planner import DatabasePlanner
from rung.adapters.postgres import explain
from rung.ports import Configuration, Costed, Costs, Index, IndexColumn, Plan, Promise, Unavailable, WhatIf
from rung.steps.take.sql import create_at_once
from tests.adapters.test_planner import _execute, _planner
from tests.asking import keep_still
from tests.short import every

MARKET = """
create table people (id bigint primary key, email varchar(80) not null, city text, born date);
insert into people select n, 'Person' || n || '@example.org', (array['Oslo', 'Bern', 'Rome', 'Lima'])[1 + n % 4],
    '1950-01-01'::date + (hashint4(n) % 18000) from generate_series(1, 30000) n;
create table sales (
    id bigint primary key, person_id int not null, sold_at timestamptz, state text not null, total int not null,
    detail jsonb not null, doubled int generated always as (total * 2) stored
);
insert into sales
select n, 1 + floor(30000 * power(hashint4(n)::float8 / 4294967296 + 0.5, 3)),
       case when n % 20 > 0 then '2026-01-01'::timestamptz + n * interval '1 minute' end,
       case when n % 100 = 0 then 'open' when n % 1000 = 1 then 'lost' else 'done' end,
       abs(hashint4(n * 7)) % 5000, jsonb_build_object('kind', 'k' || n % 300, 'note', repeat('x', n % 40))
from generate_series(1, 150000) n;
create index sales_total on sales (total);
create table tokens (token text not null);
insert into tokens select 't' || n from generate_series(1, 20000) n;
create index tokens_hash on tokens using hash (token);
create table visits (id bigint, seen_on date not null, person_id int, page text) partition by range (seen_on);
create table visits_1 partition of visits for values from ('2026-01-01') to ('2026-02-01');
create table visits_2 partition of visits for values from ('2026-02-01') to ('2026-03-01');
create table visits_3 partition of visits default;
create index visits_page on visits (page);
insert into visits select n, '2026-01-01'::date + n % 65, abs(hashint4(n)) % 20000, 'p' || n % 50
from generate_series(1, 90000) n;
vacuum analyze;
"""


@pytest.fixture(scope="module")
def market(cluster: Cluster) -> Iterator[str]:
    """
    Tables with what indexes differ in: skew, nulls, json, a generated column, partitions.
    """
    name = f"market_{os.getpid()}"
    _execute(cluster.dsn(), f"create database {name}")
    with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
        for statement in MARKET.split(";\n"):
            connection.execute(sql.SQL(statement))
    # Two looks at them would see different statistics.
    keep_still(cluster.dsn(name))
    yield cluster.dsn(name)
    _execute(cluster.dsn(), f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def planner(market: str) -> Iterator[DatabasePlanner]:
    with _planner(market) as planner:
        yield planner


@dataclass(frozen=True)
class Shape:
    """
    A statement, and an index that is right for it.
    """

    name: str
    statement: str
    index: Index


def on(table: str, *columns: IndexColumn | str, include: tuple[str, ...] = (), where: str = "") -> Index:
    keys = tuple(IndexColumn(column) if isinstance(column, str) else column for column in columns)
    return Index("public", table, keys, include, where)


SHAPES = (
    Shape("one column", "select * from sales where person_id > $1 and person_id < $2", on("sales", "person_id")),
    Shape(
        "equality, then order",
        "select * from sales where person_id = $1 order by sold_at desc nulls last limit 20",
        on("sales", "person_id", IndexColumn("sold_at", descending=True, nulls_first=False)),
    ),
    Shape(
        "nulls first, ascending",
        "select * from sales order by sold_at nulls first limit 10",
        on("sales", IndexColumn("sold_at", nulls_first=True)),
    ),
    Shape(
        "mixed directions",
        "select id from sales order by state desc, person_id, id limit 30",
        on("sales", IndexColumn("state", descending=True), "person_id", "id"),
    ),
    Shape(
        "covering",
        "select person_id, total from sales where person_id = $1",
        on("sales", "person_id", include=("total",)),
    ),
    Shape(
        "a part of the table",
        "select * from sales where state = 'open' and person_id = $1",
        on("sales", "person_id", where="state = 'open'::text"),
    ),
    Shape(
        "a part, told by nulls",
        "select id from sales where sold_at is null order by person_id limit 50",
        on("sales", "person_id", where="sold_at IS NULL"),
    ),
    Shape(
        "an expression",
        "select * from people where lower(email) = $1",
        on("people", IndexColumn("lower((email)::text)", expression=True)),
    ),
    Shape(
        "a path into json",
        "select * from sales where detail ->> 'kind' = $1 and total = $2",
        on("sales", IndexColumn("(detail ->> 'kind'::text)", expression=True), "total"),
    ),
    Shape(
        "a pattern",
        "select * from people where email like 'Person12%'",
        on("people", IndexColumn("email", opclass="varchar_pattern_ops")),
    ),
    Shape(
        "both sides of a join",
        "select s.* from people p join sales s on s.person_id = p.id where p.born = $1 and p.city = $2",
        on("people", "born", "city"),
    ),
    Shape("a list", "select * from sales where person_id = any($1)", on("sales", "person_id", "state")),
    Shape("counted only", "select count(*) from sales where doubled = $1", on("sales", "doubled")),
    Shape("a date", "select * from people where born between $1 and $2", on("people", "born")),
    Shape("partitions", "select * from visits where person_id = $1", on("visits", "person_id")),
    Shape(
        "partitions, covering",
        "select seen_on from visits where person_id = $1 and seen_on = $2",
        on("visits", "person_id", "seen_on", include=("page",)),
    ),
    Shape(
        "changed by a write",
        "update sales set total = $1 where person_id = $2 and state = 'open'",
        on("sales", "person_id", "state"),
    ),
    Shape("text", "select id from people where email = $1", on("people", "email")),
    Shape(
        "a page after a row",
        "select id from sales where (sold_at, id) < ($1, $2) order by sold_at desc, id desc limit 20",
        on("sales", "sold_at", "id"),
    ),
    Shape(
        "a day",
        "select * from sales where date_trunc('day', sold_at at time zone 'UTC') = $1",
        on("sales", IndexColumn("date_trunc('day', sold_at at time zone 'UTC')", expression=True)),
    ),
)


@pytest.mark.parametrize("shape", every(3, SHAPES), ids=lambda shape: shape.name)
def test_the_promise_is_what_the_built_index_does(market: str, planner: DatabasePlanner, shape: Shape) -> None:
    promise = planner.what_if(WhatIf(shape.statement, shape.index))
    assert isinstance(promise, Promise), promise
    real, size_bytes = built(market, shape)

    assert "" == promise.differs
    assert promise.used
    assert kinds(real) == kinds(promise.after)
    assert promise.after.cost == pytest.approx(real.cost, rel=0.15)
    assert promise.size_bytes == near(size_bytes)


def test_costs_are_those_of_the_built_indexes(market: str, planner: DatabasePlanner) -> None:
    """
    All candidates stand beside each other in the twin, and each is on alone in its turn.
    """
    costed = planner.costs(
        Costs(
            tuple(shape.statement for shape in SHAPES),
            tuple(shape.index for shape in SHAPES),
            (Configuration(), *(Configuration((place,)) for place in range(len(SHAPES)))),
        )
    )
    assert isinstance(costed, Costed)
    assert {""} == set(costed.refused) | set(costed.unplanned) | set(costed.differs)

    errors = []
    for place, shape in enumerate(SHAPES):
        cost = costed.costs[place + 1][place]
        assert cost is not None
        assert cost.generic is not None
        assert place in cost.used
        real, size_bytes = built(market, shape)
        errors.append(abs(cost.generic / real.cost - 1))
        assert costed.sizes_bytes[place] == near(size_bytes)
    assert statistics.median(errors) <= 0.01
    assert max(errors) <= 0.15


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        (on("sales", "nowhere"), 'column "nowhere" does not exist'),
        (on("sales", "id", where="nowhere > 1"), 'column "nowhere" does not exist'),
        (
            on("sales", IndexColumn("random()", expression=True)),
            "functions in index expression must be marked IMMUTABLE",
        ),
        (on("sales", IndexColumn("id", opclass="no_such_ops")), 'operator class "no_such_ops" does not exist'),
        (on("sales", "id", where="true); drop table sales; --"), "cannot insert multiple commands"),
        (on("sales", "id", where="true) ; select (1"), "cannot insert multiple commands"),
        (on("sales", "id", where="id = (select 1)"), "cannot use subquery in index predicate"),
        (on("gone", "id"), "no statement that can be planned reads public.gone"),
    ],
)
def test_what_is_no_index_is_refused_and_the_rest_stands(planner: DatabasePlanner, index: Index, reason: str) -> None:
    shape = SHAPES[0]
    costed = planner.costs(Costs((shape.statement,), (index, shape.index), (Configuration((0, 1)),)))
    assert isinstance(costed, Costed)
    assert reason in costed.refused[0]
    assert 0 == costed.sizes_bytes[0]
    assert "" == costed.refused[1]
    assert (cost := costed.costs[0][0]) is not None
    assert (1,) == cost.used
    again = planner.what_if(WhatIf(shape.statement, index))
    assert isinstance(again, Unavailable)
    assert reason in again.reason or "the statement does not read" in again.reason


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("sales_total", "select * from sales where total = $1"),
        ("sales_pkey", "select * from sales where id = $1"),
        ("visits_page", "select * from visits where page = $1 order by id"),
        ("tokens_hash", "select * from tokens where token = $1"),
    ],
)
def test_a_dropped_index_costs_what_it_costs_to_do_without(
    market: str, planner: DatabasePlanner, name: str, statement: str
) -> None:
    costed = planner.costs(
        Costs((statement,), (), (Configuration(), Configuration(dropped=(f"public.{name}",)), Configuration()))
    )
    assert isinstance(costed, Costed)
    with psycopg.connect(market) as connection:
        today = explain(connection, statement)
        dropping = "alter table sales drop constraint {}" if name.endswith("pkey") else "drop index {}"
        connection.execute(sql.SQL(dropping).format(sql.Identifier(name)))
        without = explain(connection, statement)
        connection.rollback()

    costs = [row[0].generic for row in costed.costs if row[0] is not None]
    assert costs == pytest.approx([today.cost, without.cost, today.cost], rel=0.01)
    assert without.cost > 1.5 * today.cost


def test_statistics_that_are_foreseen_are_said_to_be(planner: DatabasePlanner) -> None:
    expression, plain = next(shape for shape in SHAPES if shape.name == "an expression"), SHAPES[0]
    promises = [planner.what_if(WhatIf(shape.statement, shape.index)) for shape in (expression, plain)]
    assert [1, 0] == [len(promise.notes) for promise in promises if isinstance(promise, Promise)]


def built(dsn: str, shape: Shape) -> tuple[Plan, int]:
    """
    The plan with the index, and its size, in a transaction that is rolled back.
    """
    with psycopg.connect(dsn) as connection:
        connection.execute(create_at_once(shape.index, "really_built").sql.encode())
        # An expression has statistics only once its index is there.
        if any(column.expression for column in shape.index.columns):
            connection.execute(sql.SQL("analyze {}").format(sql.Identifier(shape.index.table)))
        (size_bytes,) = connection.execute(
            "select coalesce(sum(pg_relation_size(relid)), 0)::int8 from pg_partition_tree('really_built') where isleaf"
        ).fetchone() or (0,)
        if not size_bytes:
            (size_bytes,) = connection.execute("select pg_relation_size('really_built')").fetchone() or (0,)
        plan = explain(connection, shape.statement)
        connection.rollback()
    return plan, size_bytes


def near(size_bytes: int) -> Any:
    # Of a few pages, one is more than a tenth.
    return pytest.approx(size_bytes, rel=0.15, abs=8192)


def kinds(plan: Plan) -> list[str]:
    return [node.kind for node in plan.nodes]
