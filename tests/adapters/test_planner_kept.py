"""
The planner's connection is kept from question to question, idle, in no transaction; one that was ended is made again.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from rung.adapters.planner import DatabasePlanner
from rung.adapters.planner.kept import KeptLook
from rung.errors import DatabaseDenied
from rung.ports import Describe, Explain, Plan, Server, ServerFacts, Table, Unavailable
from tests.adapters.test_planner import _planner
from tests.asking import execute, rows

OURS = """
select pid, state, xact_start is null from pg_stat_activity
where application_name = 'rung' and datname = current_database()
"""
END = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where application_name = 'rung' and datname = current_database()
"""


def questions(planner: DatabasePlanner) -> None:
    assert isinstance(planner.server(Server()), ServerFacts)
    assert isinstance(planner.explain(Explain("select * from things where id = $1")), Plan)
    assert isinstance(planner.explain(Explain("select nonsense from things")), Unavailable)
    assert isinstance(planner.describe(Describe("public", "things")), Table)


def test_one_session_answers_and_holds_nothing_between(database: str) -> None:
    execute(database, "create table things (id int)")
    with _planner(database) as planner:
        assert [] == rows(database, OURS)
        questions(planner)
        first = rows(database, OURS)
        questions(planner)
        again = rows(database, OURS)
        # It would wait for whoever is in a transaction that looked at the table.
        execute(database, "set lock_timeout = '1s'; alter table things add column more int")
        found = planner.describe(Describe("public", "things"))
    assert [("idle", True)] == [row[1:] for row in first]
    assert first == again
    assert isinstance(found, Table)
    assert ["id", "more"] == [column.name for column in found.columns]
    assert [] == [row for row in rows(database, OURS) if row[1] == "idle in transaction"]


def test_a_session_that_was_ended_is_made_again(database: str) -> None:
    execute(database, "create table things (id int)")
    with _planner(database) as planner:
        questions(planner)
        (before,) = rows(database, OURS)
        assert [(True,)] == rows(database, END)
        questions(planner)
        (after,) = rows(database, OURS)
    assert before[0] != after[0]


def test_questions_of_several_threads_take_turns(database: str) -> None:
    execute(database, "create table things (id int)")
    with _planner(database) as planner, ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(questions, planner) for _ in range(12)]:
            done.result()
        assert 1 == len(rows(database, OURS))


def test_it_only_looks_and_bears_its_errors(database: str) -> None:
    execute(database, "create table things (id int)")
    look = KeptLook(database)
    try:
        with pytest.raises(Exception, match="read-only transaction"):
            look.ask(lambda connection: connection.execute("insert into things values (1)"))
        assert ("10s",) == look.ask(lambda connection: connection.execute("show statement_timeout").fetchone())
        assert ("500ms",) == look.ask(lambda connection: connection.execute("show lock_timeout").fetchone())
        with pytest.raises(DatabaseDenied):
            look.ask(lambda connection: connection.execute("set role pg_monitor; select * from things"))
        # What a question set is gone with it.
        assert ("public",) == look.ask(lambda connection: connection.execute("select current_schema()").fetchone())
        assert [(0,)] == look.ask(lambda connection: connection.execute("select count(*) from things").fetchall())
    finally:
        look.close()
