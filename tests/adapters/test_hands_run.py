"""
Statements that are no index, run on a real server: one by one, harmless twice, and honest about what stood in the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rung.adapters.hands import RepositoryHands
from rung.adapters.planner import DatabasePlanner
from rung.errors import BuildFailed, DatabaseDenied
from rung.moves.statistics import analyze, more
from rung.ports import Statement, Work
from rung.steps.explain.questions import Known, Statistics, TableStatistics
from rung.steps.explain.stale import stale
from rung.steps.price.quote import Script

VISITS = """
create table "vis""it" (kind text, day int) with (autovacuum_enabled = false);
insert into "vis""it" select 'k' || n % 50, n % 50 from generate_series(1, 5000) n
"""


@pytest.fixture
def visits(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in VISITS.split(";\n"):
            connection.execute(sql.SQL(statement))
    return database


def hands(dsn: str, folder: Path) -> RepositoryHands:
    return RepositoryHands(folder, dsn, lock_timeout_s=0.5, old_transaction_s=60.0)


def work(script: Script) -> Work:
    return Work(tuple(map(Statement, script.statements)), tuple(map(Statement, script.undo)))


def known(dsn: str) -> tuple[TableStatistics, int]:
    planner = DatabasePlanner(dsn)
    try:
        answer = planner.statistics(Statistics((("public", 'vis"it'),)))
    finally:
        planner.close()
    assert isinstance(answer, Known)
    return answer.tables[0], answer.target


def test_statistics_come_go_and_bear_being_taken_twice(visits: str, tmp_path: Path) -> None:
    table, _ = known(visits)
    assert stale(table) == 'vis"it was never analysed'
    applied = hands(visits, tmp_path).apply(work(analyze(table)), say=lambda _: None, wait=True)
    assert not applied.already
    table, target = known(visits)
    assert stale(table) == ""
    assert table.rows_known == 5000

    run = more(table, "((kind = $1) AND (day = $2))", target)
    assert run is not None
    said: list[str] = []
    for _ in range(2):
        hands(visits, tmp_path).apply(work(run), say=said.append, wait=True)
    assert said[:2] == list(run.statements)
    table, _ = known(visits)
    assert [(each.columns, each.filled) for each in table.extended] == [(("kind", "day"), True)]
    assert more(table, "((kind = $1) AND (day = $2))", target) is None
    for _ in range(2):
        hands(visits, tmp_path).undo(work(run), say=said.append)
    table, _ = known(visits)
    assert table.extended == ()


def test_rows_are_expected_rightly_afterwards(visits: str, tmp_path: Path) -> None:
    """
    Extended statistics do what they are offered for: 100 rows, where two are expected without.
    """
    table, target = known(visits)
    hands(visits, tmp_path).apply(work(analyze(table)), say=lambda _: None, wait=True)
    statement = """explain (format json) select * from "vis""it" where kind = 'k7' and day = 7"""
    table, target = known(visits)

    def expected() -> float:
        with psycopg.connect(visits) as connection:
            row = connection.execute(sql.SQL(statement)).fetchone()
            assert row is not None
            rows: float = row[0][0]["Plan"]["Plan Rows"]
            return rows

    before = expected()
    run = more(table, "((kind = $1) AND (day = $2))", target)
    assert run is not None
    hands(visits, tmp_path).apply(work(run), say=lambda _: None, wait=True)
    assert before <= 5
    assert expected() == pytest.approx(100, rel=0.2)


def test_a_target_comes_and_goes_back(visits: str, tmp_path: Path) -> None:
    table, _ = known(visits)
    hands(visits, tmp_path).apply(work(analyze(table)), say=lambda _: None, wait=True)
    table, target = known(visits)
    run = more(table, "(day = $1)", target)
    assert run is not None
    hands(visits, tmp_path).apply(work(run), say=lambda _: None, wait=True)
    assert [column.target for column in known(visits)[0].columns] == [-1, 1000]
    hands(visits, tmp_path).undo(work(run), say=lambda _: None)
    assert [column.target for column in known(visits)[0].columns] == [-1, -1]


def test_one_that_fails_says_what_stands(visits: str, tmp_path: Path) -> None:
    first, second = Statement('ANALYZE "vis""it"'), Statement('ANALYZE "no such"')
    with pytest.raises(BuildFailed, match="does not exist") as caught:
        hands(visits, tmp_path).apply(Work((first, second), ()), say=lambda _: None, wait=True)
    assert caught.value.left == f"Done before it, and still so: {first.sql}."
    with pytest.raises(BuildFailed) as caught:
        hands(visits, tmp_path).apply(Work((second,), ()), say=lambda _: None, wait=True)
    assert caught.value.left == "Nothing was changed."


@pytest.fixture
def stranger(visits: str) -> Iterator[str]:
    """
    A role that may read the table, and owns nothing.
    """
    name = f"stranger_{visits.rsplit('_', 1)[-1][:12]}"
    role = sql.Identifier(name)
    with psycopg.connect(visits, autocommit=True) as owner:
        owner.execute(sql.SQL("create role {} login password 'stranger'").format(role))
        owner.execute(sql.SQL('grant select on "vis""it" to {}').format(role))
    try:
        yield psycopg.conninfo.make_conninfo(visits, user=name, password="stranger")
    finally:
        with psycopg.connect(visits, autocommit=True) as owner:
            owner.execute(sql.SQL("drop owned by {}").format(role))
            owner.execute(sql.SQL("drop role {}").format(role))


def test_what_the_role_may_not_do_is_no_success(stranger: str, tmp_path: Path) -> None:
    """
    PostgreSQL skips a table that the role may not analyse, with a warning and no error.
    """
    with pytest.raises(BuildFailed, match="permission denied to analyze"):
        hands(stranger, tmp_path).apply(Work((Statement('ANALYZE "vis""it"'),), ()), say=lambda _: None, wait=True)
    alter = Statement('ALTER TABLE "vis""it" ALTER COLUMN day SET STATISTICS 7')
    with pytest.raises(DatabaseDenied):
        hands(stranger, tmp_path).apply(Work((alter,), ()), say=lambda _: None, wait=True)


def test_a_lock_that_somebody_holds_is_waited_for_within_bounds(visits: str, tmp_path: Path) -> None:
    with psycopg.connect(visits) as holder:
        holder.execute(sql.SQL('lock table "vis""it" in access exclusive mode'))
        with pytest.raises(BuildFailed, match="lock timeout"):
            hands(visits, tmp_path).apply(Work((Statement('ANALYZE "vis""it"'),), ()), say=lambda _: None, wait=True)
