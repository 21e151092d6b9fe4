"""
What a real server says of how well it knows its tables.
"""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from rung.adapters.cluster import Cluster
from rung.adapters.planner import DatabasePlanner
from rung.steps.explain.questions import Known, Statistics, TableStatistics
from rung.steps.explain.stale import columns_in, reasons, stale

TABLES = """
create table fresh (id int, kind text, day int) with (autovacuum_enabled = false);
insert into fresh select n, 'a', n % 9 from generate_series(1, 2000) n;
alter table fresh alter column kind set statistics 500;
create statistics fresh_both (dependencies) on kind, day from fresh;
analyze fresh;
create table never (id int) with (autovacuum_enabled = false);
insert into never select n from generate_series(1, 2000) n;
create table grown (id int) with (autovacuum_enabled = false);
insert into grown select n from generate_series(1, 1000) n;
select pg_stat_force_next_flush();
analyze grown;
insert into grown select n from generate_series(1, 9000) n;
create table whole (id int, month int) partition by list (month);
create table whole_1 partition of whole for values in (1);
insert into whole select n, 1 from generate_series(1, 1000) n;
analyze whole_1
"""
NAMES = ("fresh", "grown", "never", "whole", "whole_1", "there is none")


@pytest.fixture
def known(database: str) -> Known:
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in TABLES.split(";\n"):
            connection.execute(sql.SQL(statement))
        # What a session did reaches the counters when it is done with it.
        connection.execute("select pg_stat_force_next_flush()")
    return _asked(database)


def _asked(dsn: str) -> Known:
    planner = DatabasePlanner(dsn)
    try:
        answer = planner.statistics(Statistics(tuple(("public", name) for name in NAMES)))
    finally:
        planner.close()
    assert isinstance(answer, Known), answer
    return answer


def _named(known: Known, name: str) -> TableStatistics:
    return next(table for table in known.tables if table.name == name)


def test_each_table_is_told_as_it_is(known: Known) -> None:
    assert [table.name for table in known.tables] == sorted(NAMES[:-1])
    fresh = _named(known, "fresh")
    # What was inserted before it was analysed, in one session, the server counts behind that.
    assert (fresh.rows_known, fresh.rows_live, fresh.changed) == (2000, 4000, 2000)
    assert fresh.analyzed_s is not None
    assert fresh.analyzed_s >= 0
    assert [(column.name, column.known, column.target) for column in fresh.columns] == [
        ("id", True, -1), ("kind", True, 500), ("day", True, -1),
    ]  # fmt: skip
    assert [(each.columns, each.kinds, each.filled) for each in fresh.extended] == [(("kind", "day"), "f", True)]
    assert (known.target, known.standby, fresh.automatic, fresh.readable) == (100, False, False, True)


def test_what_is_stale_is_named_with_its_figures(known: Known) -> None:
    told = {table.name: reason for table, reason in reasons(known)}
    assert set(told) == {"grown", "never", "whole"}
    assert told["grown"].startswith("the statistics of grown are of 1,000 rows, and 9,000 (900 %) were changed since")
    assert told["never"] == "never was never analysed"
    assert "partitioned" in told["whole"]


def test_a_standby_counts_no_changes(known: Known) -> None:
    grown = _named(known, "grown")
    assert stale(replace(grown, pages=grown.pages_known), standby=True) == ""
    assert "10.0 times as large" in stale(replace(grown, pages=10 * 100, pages_known=100), standby=True)
    assert stale(_named(known, "never"), standby=True)


def test_who_may_not_look_is_not_told_that_there_are_none(known: Known, database: str) -> None:
    """
    To a role without SELECT every column looks as if it had no statistics.
    """
    name = f"blind_{database.rsplit('_', 1)[-1][:12]}"
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(sql.SQL("create role {} login password 'blind'").format(sql.Identifier(name)))
        try:
            blind = _asked(psycopg.conninfo.make_conninfo(database, user=name, password="blind"))
        finally:
            owner.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
    fresh = _named(blind, "fresh")
    assert (fresh.readable, stale(fresh)) == (False, "")


@pytest.mark.parametrize(
    ("condition", "columns"),
    [
        ("((fresh.kind = $1) AND (day = $2))", ["kind", "day"]),
        ('("kind" = $1)', ["kind"]),
        ("(lower(kind) = $1)", ["kind"]),
        ("(day(id) = 1)", ["id"]),
        ("(kind_of = 1)", []),
    ],
)
def test_columns_are_found_in_a_condition(known: Known, condition: str, columns: list[str]) -> None:
    assert [column.name for column in columns_in(condition, _named(known, "fresh"))] == columns


def test_a_copy_without_counters_is_known_by_its_size(database: str, cluster: Cluster) -> None:
    """
    After a restore, a crash or a failover nothing is counted, and the table is what it is.
    """
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table grown (id int, note text) with (autovacuum_enabled = false)")
        connection.execute("insert into grown select n, repeat('x', 100) from generate_series(1, 4000) n")
        connection.execute("analyze grown")
        connection.execute("insert into grown select n, repeat('x', 100) from generate_series(1, 12000) n")
    source = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    names = sql.SQL("create database {} template {}").format(sql.Identifier(f"{source}_copy"), sql.Identifier(source))
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(names)
    try:
        table = _named(_asked(cluster.dsn(f"{source}_copy")), "grown")
        assert (table.changed, table.rows_live, table.analyzed_s) == (0, 0, None)
        assert "4.0 times as large as when its statistics were made, of 4,000 rows" in stale(table)
    finally:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(f"{source}_copy")))
