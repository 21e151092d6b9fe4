"""
What the twin foresees of an expression is what ANALYZE finds once an index of it is built; user functions are not run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from rung.adapters.cluster import Cluster
from rung.adapters.planner import DatabasePlanner
from rung.adapters.planner.costing import FORESEEN, GUESSED
from rung.adapters.planner.derived import Result, foreseen, rest_of
from rung.adapters.postgres import explain
from rung.ports import Index, IndexColumn, Promise, WhatIf
from rung.steps.take.sql import create_at_once
from tests.adapters.test_planner import _execute, _planner
from tests.asking import keep_still

# Values come in no order, but for `at`, which goes with the order on disk.
LOG = """
create function spread(n int, seed int, below int) returns int language sql immutable
    as 'select (hashint4(n * 31 + seed) & 2147483647) % below';
create function shouted(text) returns text language plpgsql immutable
    as 'begin raise exception ''it was run''; end';
create domain short as text;
create table log (
    id bigint primary key, at timestamptz not null, seen timestamp, code text not null, first text not null,
    last text not null, a int not null, b int not null, price numeric(10, 2) not null, born date not null,
    document json not null, detail jsonb not null, name text collate "C", note short
);
insert into log
select n, '2025-01-01'::timestamptz + n * interval '7 minutes',
       case when n % 10 > 0 then '2025-01-01'::timestamp + spread(n, 1, 400000) * interval '1 minute' end,
       lpad(spread(n, 2, 5000)::text, 5, '0'), 'F' || spread(n, 3, 300), 'L' || spread(n, 4, 2000),
       spread(n, 5, 100), spread(n, 6, 40), spread(n, 7, 100000) / 100.0, '2024-01-01'::date + spread(n, 8, 900),
       json_build_object('kind', spread(n, 9, 5)), jsonb_build_object('kind', 'k' || spread(n, 10, 300), 'n', n),
       'N' || n, 'x'
from generate_series(1, 30000) n;  -- as many as ANALYZE reads, or each one would find something else
analyze log;
"""
FOUND = """
select null_frac::float8, avg_width::int, n_distinct::float8, correlation::float8,
       coalesce(most_common_freqs[1], 0)::float8
from pg_stats where tablename = %s
"""


@pytest.fixture(scope="module")
def log(cluster: Cluster) -> Iterator[str]:
    name = f"log_{os.getpid()}"
    _execute(cluster.dsn(), f"create database {name}")
    _execute(cluster.dsn(name), LOG)
    keep_still(cluster.dsn(name))
    yield cluster.dsn(name)
    _execute(cluster.dsn(), f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def planner(log: str) -> Iterator[DatabasePlanner]:
    with _planner(log) as planner:
        yield planner


def of(expression: str) -> Index:
    return Index("public", "log", (IndexColumn(f"({expression})", expression=True),))


@pytest.mark.parametrize(
    "expression",
    [
        "lower(code)",
        "left(code, 3)",
        "upper(name)",
        "code || '%'",
        "date_trunc('day', seen)",
        "seen::date",
        "extract(hour from seen)",
        "coalesce(seen, '2020-01-01')",
        "(at at time zone 'UTC')::date",
        "date_trunc('month', at at time zone 'UTC')",
        "extract(year from born)",
        "floor(price)",
        "abs(a)",
        "a > 30",
        "a * b",
        "coalesce(seen, at at time zone 'UTC')",
        "first || ' ' || last",
        "detail ->> 'kind'",
    ],
)
def test_what_is_foreseen_is_what_analyze_finds(log: str, planner: DatabasePlanner, expression: str) -> None:
    statement = f"select * from log where ({expression}) = $1"  # written above
    index = of(expression)
    promise = planner.what_if(WhatIf(statement, index))
    assert isinstance(promise, Promise), promise
    assert (FORESEEN,) == promise.notes
    stage = planner._costings[0].stage
    (part,) = stage.candidates[index].parts
    with psycopg.connect(log) as connection:
        connection.execute(create_at_once(index, "really").sql.encode())
        connection.execute("analyze log")
        real = connection.execute(FOUND, ("really",)).fetchone()
        size = connection.execute("select pg_relation_size('really')").fetchone()
        rows = connection.execute("select reltuples from pg_class where relname = 'log'").fetchone()
        plan = explain(connection, statement)
        connection.rollback()
    found = stage.connection.execute(FOUND, (part.name,)).fetchone()

    assert found is not None and real is not None and size is not None and rows is not None
    nulls, width_bytes, distinct, correlation, most_common = found
    assert nulls == pytest.approx(real[0], abs=0.02)
    assert width_bytes == pytest.approx(real[1], abs=1)
    assert count(distinct, rows[0]) == pytest.approx(count(real[2], rows[0]), rel=0.25)
    assert correlation == pytest.approx(real[3], abs=0.1)
    assert most_common == pytest.approx(real[4], rel=0.25, abs=0.02)
    # How many kinds there are is estimated from the hundred documents that statistics hold.
    estimated = 0.25 if "detail" in expression else 0.15
    assert promise.after.cost == pytest.approx(plan.cost, rel=estimated)
    assert [node.kind for node in promise.after.nodes] == [node.kind for node in plan.nodes]
    assert promise.size_bytes == pytest.approx(size[0], rel=0.15)


def count(distinct: float, rows: float) -> float:
    return distinct if distinct > 0 else -distinct * rows


@pytest.mark.parametrize("expression", ["shouted(code)", "(document ->> 'kind')"])
def test_of_what_nothing_is_known_it_is_said(planner: DatabasePlanner, expression: str) -> None:
    """
    A function of the user's is not run, not even in the twin; json has no values in the statistics.
    """
    statement = f"select id from log where {expression} = $1"  # written above
    promise = planner.what_if(WhatIf(statement, of(expression)))
    assert isinstance(promise, Promise), promise
    assert promise.used
    assert (GUESSED,) == promise.notes


def test_a_part_of_a_table_has_the_order_of_the_whole(log: str, planner: DatabasePlanner) -> None:
    index = Index("public", "log", of("(at at time zone 'UTC')::date").columns, where="a > 50")
    statement = "select * from log where (at at time zone 'UTC')::date = $1 and a > 50"
    promise = planner.what_if(WhatIf(statement, index))
    assert isinstance(promise, Promise), promise
    with psycopg.connect(log) as connection:
        connection.execute(create_at_once(index, "really").sql.encode())
        connection.execute(sql.SQL("analyze log"))
        plan = explain(connection, statement)
        connection.rollback()
    assert promise.after.cost == pytest.approx(plan.cost, rel=0.15)


def results(values: list[str | None]) -> list[Result]:
    places = {value: place for place, value in enumerate(sorted({value for value in values if value is not None}))}
    share = 1 / len(values)
    return [
        Result(value, 2, places.get(value or "", -1), (at,), share, common=False) for at, value in enumerate(values)
    ]


def test_equal_results_add_up_and_nulls_stand_aside() -> None:
    given = results(["a", "b", "a", None])
    found = foreseen(given, rows=1000, distinct_rest=2, correlations=[0.0])
    assert found is not None
    assert 0.25 == found.null_share
    assert {"a", "b"} == set(found.common)
    assert 2 == found.distinct
    assert sum(found.frequencies) == pytest.approx(0.75)
    assert () == found.bounds


def test_nothing_known_is_nothing_foreseen() -> None:
    assert foreseen([], rows=1000, distinct_rest=0, correlations=[0.0]) is None
    nothing = foreseen(results([None, None]), rows=1000, distinct_rest=0, correlations=[0.0])
    assert nothing is not None and 1.0 == nothing.null_share


def test_as_many_results_as_values_where_none_came_again() -> None:
    given = results([f"{n:03}" for n in range(100)])
    assert 5000 == rest_of(given, rows=9000, source_distinct=5000)
    # No more than can be spelt with the letters that were seen.
    sources = [f"{n:03}-{n * 7919 % 10000:04}" for n in range(100)]
    assert 100 == rest_of(given, rows=9000, source_distinct=5000, sources=sources)
