"""
A materialized view is planned in the twin like a table, without the tables that it was made from.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from rung.adapters.cluster import Cluster
from rung.adapters.planner import DatabasePlanner
from rung.adapters.planner.dumped import script
from rung.adapters.postgres import explain
from rung.ports import Index, IndexColumn, Promise, WhatIf
from rung.steps.take.sql import create_at_once
from tests.adapters.test_planner import _planner
from tests.asking import execute

MADE = """
create schema "Own";
create type "Own".mood as enum ('sad', 'happy');
create table "Own".visits (id int, page text, mood "Own".mood, visitor int);
insert into "Own".visits
select n, 'p' || n % 700, case when n % 9 = 0 then 'sad' else 'happy' end::"Own".mood, n % 4000
from generate_series(1, 40000) n;
create materialized view "Own"."by page" as
    select page collate "C" as "Page", mood, visitor, count(*) as visits, repeat('x', 50) as note
    from "Own".visits group by page, mood, visitor;
create index by_visitor on "Own"."by page" (visitor);
create view "Own".sad as select * from "Own"."by page" where mood = 'sad';
"""
INDEX = Index("Own", "by page", (IndexColumn("Page"),))
STATEMENTS = (
    'select * from "Own"."by page" where "Page" = $1',
    'select visitor from "Own".sad where "Page" = $1',
    'select * from "Own"."by page" b join "Own".visits v on v.visitor = b.visitor where b."Page" = $1',
)


@pytest.fixture
def visits(database: str) -> str:
    execute(database, MADE)
    execute(database, "vacuum analyze")
    return database


def held(dsn: str, planner: DatabasePlanner) -> None:
    for statement in STATEMENTS:
        promise = planner.what_if(WhatIf(statement, INDEX))
        assert isinstance(promise, Promise), promise
        with psycopg.connect(dsn) as connection:
            before = explain(connection, statement)
            connection.execute(create_at_once(INDEX, "really").sql.encode())
            size = connection.execute("""select pg_relation_size('"Own".really')""").fetchone()
            after = explain(connection, statement)
            connection.rollback()
        assert promise.used
        assert "" == promise.differs
        assert [node.kind for node in before.nodes] == [node.kind for node in promise.before.nodes]
        assert [node.kind for node in after.nodes] == [node.kind for node in promise.after.nodes]
        assert promise.before.cost == pytest.approx(before.cost, rel=0.01)
        assert promise.after.cost == pytest.approx(after.cost, rel=0.05)
        assert size is not None and promise.size_bytes == pytest.approx(size[0], rel=0.15)


def test_its_plans_are_the_servers(visits: str) -> None:
    with _planner(visits) as planner:
        held(visits, planner)


def test_a_role_that_may_read_nothing_else_is_told_what_it_does(visits: str) -> None:
    """
    The tables behind it are not asked for.
    """
    role = f"reader_{os.getpid()}"
    execute(visits, f"create role {role} login password 'x'")
    try:
        execute(visits, f'grant usage on schema "Own" to {role}; grant select on "Own"."by page" to {role}')
        parts = psycopg.conninfo.conninfo_to_dict(visits)
        dsn = psycopg.conninfo.make_conninfo("", **{**parts, "user": role, "password": "x"})
        with _planner(dsn) as planner:
            promise = planner.what_if(WhatIf(STATEMENTS[0], INDEX))
        assert isinstance(promise, Promise), promise
        assert promise.used
    finally:
        execute(visits, f"drop owned by {role}")
        execute(visits, f"drop role {role}")


def test_a_dump_of_it_alone_is_enough(visits: str, cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "planner-dump.sh").write_text(script())
    done = subprocess.run(
        ["/bin/sh", tmp_path / "planner-dump.sh", visits, tmp_path / "made", '--table="Own"."by page"'],
        env={**os.environ, "PATH": f"{cluster.binaries}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    planner = DatabasePlanner(None, dump=tmp_path / "made")
    try:
        promise = planner.what_if(WhatIf(STATEMENTS[0], INDEX))
    finally:
        planner.close()
    assert isinstance(promise, Promise), promise
    assert promise.used
