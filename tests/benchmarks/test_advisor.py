"""
The advisors' benchmark: its statements plan, its indexes are switched, its contenders find what their rules find.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import sql

from benchmarks.advisor import report, tpch
from benchmarks.advisor.advising import Weighted, index, shown
from benchmarks.advisor.built import Built
from benchmarks.advisor.columns import used
from benchmarks.advisor.contenders import SEARCHES
from benchmarks.advisor.enlarged import enlarge
from benchmarks.advisor.judged import advisors, judge, many, measured
from benchmarks.advisor.priced import Priced, built_layer, facts_of
from benchmarks.advisor.tpch import Timed
from benchmarks.advisor.twin import compared, figures, tpch_pairs
from rung.adapters.cluster import Cluster
from rung.adapters.planner import DatabasePlanner
from tests.shapes.cases import GROUPS

BOOKS = """
create table books (id int primary key, author int not null, year int not null, price int not null, note text not null);
insert into books
select n, n * 7919 % 1000, 1900 + n * 31 % 120, n * 17 % 5000, repeat('b', 60) from generate_series(1, 30000) n;
vacuum analyze books
"""
BY_AUTHOR = index("books (author)")
LOOKUP = Timed("lookup", "select * from books where author = $1", ("7",))


@pytest.fixture
def built(database: str) -> Iterator[Built]:
    """
    A table of books in which indexes are built and switched.
    """
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in BOOKS.split(";\n"):
            connection.execute(sql.SQL(statement))
    with Built(database) as built:
        yield built


def test_every_statement_of_tpch_plans(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for table, columns in tpch.TABLES.items():
            connection.execute(sql.SQL("create table {} ({})").format(sql.Identifier(table), sql.SQL(columns)))
        for timed in tpch.statements(0.1):
            psycopg.RawCursor(connection).execute(b"explain " + timed.text.encode(), timed.values)
    facts = facts_of(database)
    columns = {table: list(names) for table, names in facts.columns.items()}
    assert 61 == sum(len(names) for names in columns.values())
    assert all(used(timed.text, columns) for timed in tpch.statements(0.1))
    assert 100 == len(set(many(columns, tpch.statements(0.1), 100)))
    assert {name for name, _, _ in tpch_pairs(tpch.statements(0.1))} >= {"Q1", "Q22"}


def test_indexes_are_texts_and_back() -> None:
    for group in GROUPS:
        for shape in group.shapes:
            for one in (one for indexes in (*shape.right, *shape.wrong) for one in indexes):
                assert one == index(shown(one))


def test_a_column_is_known_by_where_it_stands() -> None:
    found = used(
        "select a.x, sum(b.y) from one a join two b on b.a_id = a.id where a.z > $1 group by a.x order by a.x",
        {"one": ["id", "x", "z"], "two": ["a_id", "y", "id"]},
    )
    told = {(each.table, each.column): (each.condition, each.group) for each in found}
    assert {
        ("one", "x"): (True, True),
        ("two", "y"): (False, False),
        ("two", "a_id"): (True, False),
        ("one", "id"): (True, False),
        ("one", "z"): (True, False),
    } == told


def test_only_what_is_in_force_is_planned_with(built: Built) -> None:
    by_year = index("books (year, author desc) include (price) where price > 100")
    for indexes, kinds in (((), "Seq Scan"), ((BY_AUTHOR, by_year), "Bitmap"), ((by_year,), "Seq Scan")):
        built.put_in_force(indexes)
        assert any(kinds in node.kind for node in built.explain(LOOKUP.text).nodes)
    assert built.size_bytes([BY_AUTHOR]) < built.size_bytes([BY_AUTHOR, by_year])
    built.drop()
    assert "Seq Scan" in built.explain(LOOKUP.text).nodes[0].kind


def test_a_statement_beyond_its_time_is_ended(built: Built) -> None:
    slow = Timed("slow", "select pg_sleep($1::int)", ("60",))
    told = measured(built, [LOOKUP, slow], (), rounds=1, timeout_s=1.0)
    assert told["times_s"]["slow"] is None
    assert told["times_s"]["lookup"] >= 0
    assert (1, 1.0 + told["times_s"]["lookup"]) == (told["timed_out"], told["total_s"])


@pytest.mark.parametrize("name", SEARCHES)
def test_a_contender_finds_an_index_within_its_budget(built: Built, database: str, name: str) -> None:
    statements = [Weighted(LOOKUP.text), Weighted("select note from books where year = $1 and price = $2")]
    workload = Priced(statements, facts_of(database), built_layer(built))
    found = SEARCHES[name](workload, None)
    assert ("books", "author") in {(each.table, each.columns[0].name) for each in found}
    assert workload.totals([frozenset(found)])[0] < 0.5 * workload.totals([frozenset()])[0]
    room = workload.size_bytes([BY_AUTHOR])
    assert built.size_bytes(SEARCHES[name](workload, room)) <= room
    assert () == SEARCHES[name](workload, 8192)


def test_one_order_of_each_set_is_not_enough(built: Built, database: str) -> None:
    """
    A range that is named first comes first in postgres-mcp's index, and last where orders are searched.
    """
    statements = [Weighted("select note from books where price > $1 and price < $2 and year = $3 and author = $4")]
    workload = Priced(statements, facts_of(database), built_layer(built))
    costs = {name: workload.totals([frozenset(SEARCHES[name](workload, None))])[0] for name in SEARCHES}
    assert costs["DTA"] <= costs["Extend"] <= costs["postgres-mcp"]


def test_contenders_are_timed_and_shown(built: Built, database: str) -> None:
    rows = judge(
        built,
        database,
        [LOOKUP],
        advisors(lambda _: built_layer(built)),
        data_bytes=4_000_000,
        shares=(0.5,),
        rounds=1,
        timeout_s=10.0,
        say=lambda _: None,
    )
    assert ["no index", *SEARCHES] == [row["contender"] for row in rows]
    assert all(row["size_bytes"] <= 2_000_000 for row in rows)
    # One plan is timed once: contenders that advise the same are equal.
    assert 1 == len({row["total_s"] for row in rows if row["indexes"] == ["books (author)"]})
    text = report.text({"rows": rows})
    assert "books (author)" in text
    assert "**" in text


def test_the_twin_is_held_against_the_server(built: Built, database: str) -> None:
    with closing(DatabasePlanner(database)) as planner:
        rows = compared(built, planner.what_if, [("lookup", LOOKUP.text, BY_AUTHOR)], lambda _: None, of="books")
    told = figures(rows)
    assert (1, 2, 0, 1.0) == tuple(told[key] for key in ("statements", "plans", "declined", "same_shape"))
    assert told["cost_error_worst"] < 0.15
    assert told["size_error_worst"] < 0.15
    assert "books" in report.twin({"figures": {"books": told}, "rows": rows})


def test_a_larger_scale_is_planned_without_its_rows(cluster: Cluster, database: str) -> None:
    """
    A hundred times as large: scans cost a hundred times as much, keys differ a hundred times as often, others do not.
    """
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in BOOKS.replace("author", "b_authorkey").split(";\n"):
            connection.execute(sql.SQL(statement))
        cost, rows = _planned(connection)
        size_bytes = enlarge(cluster, database, 100)
        large_cost, large_rows = _planned(connection)
        row = connection.execute("select pg_relation_size('books')").fetchone()

    assert row is not None
    assert size_bytes == row[0]
    assert large_cost == pytest.approx(100 * cost, rel=0.01)
    assert large_rows == pytest.approx(rows, rel=0.05)


def _planned(connection: psycopg.Connection[Any]) -> tuple[float, float]:
    connection.execute("set max_parallel_workers_per_gather = 0")
    row = connection.execute("explain (format json) select * from books where b_authorkey = 7 and year > 0").fetchone()
    assert row is not None
    return row[0][0]["Plan"]["Total Cost"], row[0][0]["Plan"]["Plan Rows"]
