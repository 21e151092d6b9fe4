"""
Many statements under many configurations: values drawn, what cannot be planned, what is planned once, and dumps.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from rung.adapters import postgres
from rung.adapters.cluster import Cluster
from rung.adapters.cluster_home import wheel_binaries
from rung.adapters.planner import DatabasePlanner, costing, facts
from rung.adapters.planner.dumped import DUMP_FILES, FACTS_FILE, script
from rung.adapters.planner.facts import FACTS
from rung.adapters.postgres import CannotPlan, explain, looking
from rung.ports import (
    NO_WRITES,
    Configuration,
    Cost,
    Costed,
    Costs,
    Describe,
    Explain,
    Index,
    IndexColumn,
    Plan,
    Promise,
    Server,
    Table,
    Unavailable,
    WhatIf,
)
from rung.steps.take.sql import create_at_once
from tests.adapters.test_planner import _execute, _planner, _role, _rows
from tests.asking import keep_still

TICKETS = """
create table tickets (
    id bigint primary key, owner_id int not null, state text not null, grade int not null,
    opened_at timestamptz not null, tags text[] not null, done boolean not null
);
insert into tickets
select n, 1 + n % 40000, case when n % 50 = 0 then 'open' when n % 2000 = 1 then 'lost' else 'shut' end, n % 2,
       '2026-01-01'::timestamptz + n * interval '1 minute', array['a', 'b'], n % 100 > 0
from generate_series(1, 120000) n;
create table owners (id bigint primary key, name text not null);
insert into owners select n, 'owner ' || n from generate_series(1, 40000) n;
vacuum analyze;
"""
BY_STATE = Index("public", "tickets", (IndexColumn("state"), IndexColumn("opened_at")))
OPEN_ONLY = Index("public", "tickets", (IndexColumn("opened_at"),), (), "state = 'lost'::text")
BY_OWNER = Index("public", "tickets", (IndexColumn("owner_id"),))
BY_NAME = Index("public", "owners", (IndexColumn("name"),))


@pytest.fixture(scope="module")
def tickets(cluster: Cluster) -> Iterator[str]:
    """
    Tickets of which most are shut, some open and few lost.
    """
    name = f"tickets_{os.getpid()}"
    _execute(cluster.dsn(), f"create database {name}")
    with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
        for statement in TICKETS.split(";\n"):
            connection.execute(sql.SQL(statement))
    # What a dump and the server say is compared, so both have to have the same statistics.
    keep_still(cluster.dsn(name))
    yield cluster.dsn(name)
    _execute(cluster.dsn(), f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def planner(tickets: str) -> Iterator[DatabasePlanner]:
    with _planner(tickets) as planner:
        yield planner


def costed_of(planner: DatabasePlanner, question: Costs) -> Costed:
    costed = planner.costs(question)
    assert isinstance(costed, Costed), costed
    return costed


def only_cost(planner: DatabasePlanner, statement: str, *added: Index) -> Cost:
    costed = costed_of(planner, Costs((statement,), added, (Configuration(tuple(range(len(added)))),)))
    assert ("",) == costed.unplanned
    cost = costed.costs[0][0]
    assert cost is not None
    return cost


def test_a_skewed_column_is_planned_with_a_common_a_middle_and_a_rare_value(
    tickets: str, planner: DatabasePlanner
) -> None:
    """
    Each as the server plans it with that value, without the index and with it.
    """
    statement = "select * from tickets where state = $1"
    now, then = only_cost(planner, statement), only_cost(planner, statement, BY_STATE)

    assert (0.979, 0.02, 0.0005) == pytest.approx(then.shares, abs=0.005)
    with psycopg.connect(tickets) as connection:
        assert now.drawn == pytest.approx(costs_with_values(connection), rel=0.01)
        connection.execute(create_at_once(BY_STATE, "by_state").sql.encode())
        assert then.drawn == pytest.approx(costs_with_values(connection), rel=0.01)
        connection.rollback()
    assert then.drawn[0] > then.drawn[1] > 3 * then.drawn[2]
    assert now.drawn[2] > 10 * then.drawn[2]
    assert (0,) == then.used
    assert then.drawn[1] < then.expected < then.drawn[0]


def costs_with_values(connection: psycopg.Connection[Any]) -> tuple[float, ...]:
    costs = []
    for value in ("shut", "open", "lost"):
        question = sql.SQL("explain (format json) select * from tickets where state = {}").format(sql.Literal(value))
        row = connection.execute(question).fetchone()
        assert row is not None
        costs.append(row[0][0]["Plan"]["Total Cost"])
    return tuple(costs)


def test_a_partial_index_counts_for_the_values_that_it_holds(planner: DatabasePlanner) -> None:
    cost = only_cost(planner, "select * from tickets where state = $1 order by opened_at limit 5", OPEN_ONLY)
    assert (0,) == cost.used
    assert cost.drawn[2] < cost.drawn[1] / 10


@pytest.mark.parametrize(
    ("statement", "vectors"),
    [
        ("select * from tickets where owner_id = $1", 1),
        ("select * from tickets where id = $1 limit $2", 1),
        ("select * from tickets where state = $1 and opened_at > $2 limit $3 offset $4", 3),
        ("select * from tickets where opened_at >= $1 and opened_at < $2", 3),
        ("select * from tickets t join owners o on o.id = t.owner_id where o.name = $1 and not t.done = $2", 2),
        ("select * from tickets where state = any($1)", 3),
        ("update tickets set grade = $1 where state = $2", 3),
        ("insert into owners values ($1, $2)", 0),
        ("select * from tickets", 0),
        ("select * from owners where lower(name) = $1", 0),
        ("select * from tickets where tags @> $1", 0),
        ("select * from owners where name like $1", 0),
        ("select * from tickets where grade + 1 = $1", 0),
    ],
)
def test_values_are_drawn_where_a_parameters_column_is_found(
    planner: DatabasePlanner, statement: str, vectors: int
) -> None:
    cost = only_cost(planner, statement)
    assert vectors == len(cost.drawn) == len(cost.shares)
    assert cost.generic is not None
    if vectors:
        assert 1 == pytest.approx(sum(cost.shares))
        assert min(cost.drawn) - 0.01 <= cost.expected <= max(cost.drawn) + 0.01
    else:
        assert cost.generic == cost.expected


def test_a_limit_is_a_page_and_not_a_tenth_of_the_table(planner: DatabasePlanner) -> None:
    cost = only_cost(planner, "select * from tickets where owner_id < $1 order by id limit $2")
    assert cost.generic is not None
    assert max(cost.drawn) < cost.generic / 5


GOOD = "select * from tickets where owner_id = $1"


def test_what_cannot_be_planned_says_why_and_leaves_the_rest_standing(tickets: str) -> None:
    reasons = {
        "selekt 1": "syntax error",
        "select * from gone where id = $1": 'relation "gone" does not exist',
        "select 1; drop table tickets": "cannot insert multiple commands",
        "select nothing from tickets": 'column "nothing" does not exist',
        "select * from tickets where id in (" + ", ".join(f"${n}" for n in range(1, 150_000)) + ")": "characters",
        "select " + "x" * 1_000_000: "1000007 characters",
        "vacuum tickets": "syntax error",
        "select $1 + $2": "operator is not unique",
        "": "syntax error",
        "select '\ud800'": "",
    }
    with _planner(tickets) as planner:
        costed = costed_of(planner, Costs((*reasons, GOOD), (BY_OWNER,), (Configuration(), Configuration((0,)))))
    for said, reason in zip(reasons.values(), costed.unplanned, strict=False):
        assert said in reason
        assert len(reason) < 300
    assert [None] * 8 == [costed.costs[0][place] for place in range(8)]
    now, then = costed.costs[0][-1], costed.costs[1][-1]
    assert now is not None
    assert then is not None
    assert then.expected < now.expected / 10
    assert [(120_000,)] == _rows(tickets, "select count(*) from tickets")


def test_a_table_that_the_role_may_not_read_costs_only_its_own_statements(cluster: Cluster, tickets: str) -> None:
    grants = (
        "grant select on owners to {role}; grant insert on tickets to {role}; grant select (id) on tickets to {role}"
    )
    with _role(cluster, tickets, grants) as dsn, _planner(dsn) as planner:
        costed = costed_of(
            planner,
            Costs(
                (GOOD, "select id from tickets where id = $1", "select * from owners where name = $1"),
                (BY_OWNER, BY_NAME),
                (Configuration((0, 1)),),
            ),
        )
    assert "permission denied for table tickets" in costed.unplanned[0]
    assert "permission denied for public.tickets" in costed.unplanned[1]
    assert "permission denied for public.tickets" in costed.refused[0]
    assert "" == costed.unplanned[2]
    assert (cost := costed.costs[0][2]) is not None
    assert (1,) == cost.used


def test_no_statement_can_be_planned(planner: DatabasePlanner) -> None:
    costed = costed_of(planner, Costs(("selekt",), (BY_OWNER,), (Configuration(),)))
    assert ((None,),) == costed.costs
    assert all((*costed.unplanned, *costed.refused))


@pytest.mark.timeout(400)
def test_one_of_10_000_tables_is_taken_without_the_others(cluster: Cluster, database: str) -> None:
    many = """
        do $$ begin
            for n in 1..10000 loop
                execute format('create table noise_%s (id int)', n);
                if n % 500 = 0 then commit; end if;
            end loop;
        end $$
    """
    _execute(database, many)
    _execute(database, "create table wanted (id int, a int)")
    _execute(database, "insert into wanted select n, n from generate_series(1, 20000) n")
    _execute(database, "analyze wanted")
    index = Index("public", "wanted", (IndexColumn("a"),))
    with _planner(database) as planner:
        promise = planner.what_if(WhatIf("select * from wanted where a = $1", index))
        assert isinstance(promise, Promise), promise
        assert promise.used
        assert planner._cluster is not None
        twin = planner._costings[0].stage.connection
        assert [(1,)] == twin.execute("select count(*) from pg_class where relkind = 'r' and oid > 16384").fetchall()


def test_only_what_can_come_out_differently_is_planned_again(
    planner: DatabasePlanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    explained = costing.explained

    def counted(connection: Any, question: bytes) -> Any:
        asked.append(question)
        return explained(connection, question)

    statements = (
        "select * from tickets where grade = $1 and owner_id = $2",
        "select id from owners where name = $1 and id > 0",
    )
    indexes = (BY_OWNER, BY_NAME)
    planner.costs(Costs(statements, indexes, (Configuration(),)))
    monkeypatch.setattr(costing, "explained", counted)

    first = costed_of(planner, Costs(statements, indexes, (Configuration((0,)),)))
    assert all(statements[0].encode() in question or b"EXECUTE" in question for question in asked)
    seen = len(asked)
    both = costed_of(planner, Costs(statements, indexes, (Configuration((0, 1)), Configuration((1,)))))
    assert not [question for question in asked[seen:] if statements[0].encode() in question]
    assert first.costs[0][0] == both.costs[0][0]
    seen = len(asked)
    assert both == costed_of(planner, Costs(statements, indexes, (Configuration((0, 1)), Configuration((1,)))))
    assert seen == len(asked)
    # The order in which indexes are named is theirs who ask.
    turned = costed_of(planner, Costs(statements[:1], indexes[::-1], (Configuration((1,)),)))
    assert (cost := turned.costs[0][0]) is not None
    assert (1,) == cost.used
    assert seen == len(asked)


def test_candidates_that_were_made_stay(planner: DatabasePlanner) -> None:
    planner.costs(Costs((GOOD,), (BY_OWNER, BY_STATE), (Configuration(),)))
    costing_of_tickets = next(one for one in planner._costings if ("public", "tickets") in one.stage.names)
    made = dict(costing_of_tickets.stage.candidates)
    more = Index("public", "tickets", (IndexColumn("grade"), IndexColumn("id", descending=True)))
    before = only_cost(planner, GOOD, BY_OWNER)
    planner.costs(Costs((GOOD,), (BY_OWNER, more), (Configuration((0, 1)),)))
    assert made.items() <= costing_of_tickets.stage.candidates.items()
    costing_of_tickets._known.clear()
    assert before == only_cost(planner, GOOD, BY_OWNER)


def test_types_of_common_extensions_are_made_in_the_twin(database: str) -> None:
    for name in ("citext", "hstore", "ltree", "pg_trgm", "btree_gin"):
        _execute(database, f"create extension {name}")
    _execute(database, "create table things (id int, mail citext, more hstore, path ltree, words text)")
    _execute(
        database, "insert into things select n, 'A' || n, 'a=>1', 'a.b', 'w' || n from generate_series(1, 20000) n"
    )
    _execute(database, "create index on things using gin (words gin_trgm_ops)")
    _execute(database, "analyze things")
    statement = "select path from things where mail = $1"
    index = Index("public", "things", (IndexColumn("mail"),), ("path",))
    with _planner(database) as planner:
        promise = planner.what_if(WhatIf(statement, index))
        assert isinstance(promise, Promise), promise
        assert promise.used
        assert ("", ()) == (promise.differs, promise.notes)


def test_what_is_not_carried_over_is_said(database: str) -> None:
    _execute(database, "create table pairs (a int, b int)")
    _execute(database, "insert into pairs select n % 100, n % 100 from generate_series(1, 20000) n")
    _execute(database, "create statistics pairs_ab (dependencies) on a, b from pairs")
    _execute(database, "analyze pairs")
    with _planner(database) as planner:
        answer = planner.what_if(
            WhatIf("select * from pairs where a = 1 and b = 1", Index("public", "pairs", (IndexColumn("a"),)))
        )
    assert isinstance(answer, Promise)
    assert ("extended statistics are not carried over: pairs_ab",) == answer.notes


def test_another_plan_of_the_server_is_said(database: str) -> None:
    """
    A table that grew after the twin was made has other plans than there.
    """
    _execute(database, "create table growing (a int, b int)")
    _execute(database, "insert into growing select n, n from generate_series(1, 5000) n")
    _execute(database, "analyze growing")
    index = Index("public", "growing", (IndexColumn("a"),))
    with _planner(database) as planner:
        first = planner.what_if(WhatIf("select * from growing where a = $1", index))
        assert isinstance(first, Promise)
        assert "" == first.differs
        _execute(database, "insert into growing select n, n from generate_series(1, 50000) n")
        second = planner.what_if(WhatIf("select b from growing where a = $1", index))
    assert isinstance(second, Promise)
    assert "the planner twin prices today's plan at" in second.differs


@pytest.fixture(scope="module")
def dump(tickets: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    What the script that people get makes of the tickets.
    """
    folder = tmp_path_factory.mktemp("dump")
    (folder / "planner-dump.sh").write_text(script())
    # psql and pg_dump as somebody with access has them on the PATH: new ones, whatever the server is.
    done = subprocess.run(
        ["/bin/sh", folder / "planner-dump.sh", tickets, folder / "made"],
        env={**os.environ, "PATH": f"{wheel_binaries()}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    assert f"rung find --planner-dump {folder / 'made'}" in done.stdout
    assert {FACTS_FILE, *DUMP_FILES} == {path.name for path in (folder / "made").iterdir()}
    assert {0o600} == {path.stat().st_mode & 0o777 for path in (folder / "made").iterdir()}
    return folder / "made"


def uncounted(table: Table) -> Table:
    """
    A table without what its server counts, which is no part of a dump.
    """
    return replace(table, writes=NO_WRITES, existing=tuple(replace(each, scans=0) for each in table.existing))


def test_a_dump_answers_as_the_server_does(tickets: str, planner: DatabasePlanner, dump: Path) -> None:
    statement = "select * from tickets where state = $1 and owner_id = $2"
    question = Costs((statement, "selekt"), (BY_OWNER, BY_STATE), (Configuration(), Configuration((0, 1))))
    from_dump = DatabasePlanner(None, dump=dump)
    try:
        assert planner.server(Server()) == from_dump.server(Server())
        ours, theirs = (
            planner.describe(Describe("public", "tickets")),
            from_dump.describe(Describe("public", "tickets")),
        )
        assert isinstance(ours, Table)
        assert isinstance(theirs, Table)
        assert uncounted(ours) == uncounted(theirs)
        plan, planned = planner.explain(Explain(statement)), from_dump.explain(Explain(statement))
        assert isinstance(plan, Plan)
        assert plan == planned
        live, dumped = costed_of(planner, question), costed_of(from_dump, question)
        assert live.costs == dumped.costs
        assert live.sizes_bytes == dumped.sizes_bytes
        assert any("from a dump" in note for note in dumped.notes)
        promise = from_dump.what_if(WhatIf(statement, BY_OWNER))
        assert isinstance(promise, Promise)
        assert promise.used
        # What was made for an answer is not there in the next.
        again = from_dump.describe(Describe("public", "tickets"))
        assert isinstance(again, Table)
        assert uncounted(again) == uncounted(theirs)
        missing = from_dump.explain(Explain("select * from gone"))
        assert Unavailable('relation "gone" does not exist') == missing
    finally:
        from_dump.close()


def test_a_folder_that_is_no_dump_is_named(tmp_path: Path, dump: Path) -> None:
    for content in (None, "{", "[]", '{"version": "18"}'):
        if content is not None:
            (tmp_path / FACTS_FILE).write_text(content)
        planner = DatabasePlanner(None, dump=tmp_path)
        try:
            answer = planner.server(Server())
            assert isinstance(answer, Unavailable)
            assert str(tmp_path / FACTS_FILE) in answer.reason
        finally:
            planner.close()
    (tmp_path / FACTS_FILE).write_text((dump / FACTS_FILE).read_text())
    planner = DatabasePlanner(None, dump=tmp_path)
    answer = planner.explain(Explain("select 1"))
    assert isinstance(answer, Unavailable)
    assert DUMP_FILES[0] in answer.reason


def test_another_version_is_said_to_be_untested(dump: Path, tmp_path: Path) -> None:
    for name in DUMP_FILES:
        (tmp_path / name).write_bytes((dump / name).read_bytes())
    told = (dump / FACTS_FILE).read_text()
    (tmp_path / FACTS_FILE).write_text(told.replace('"version" : "18.', '"version" : "16.'))
    planner = DatabasePlanner(None, dump=tmp_path)
    try:
        answer = planner.what_if(WhatIf(GOOD, BY_OWNER))
    finally:
        planner.close()
    assert isinstance(answer, Promise), answer
    assert "the planner twin is PostgreSQL 18; that it plans as PostgreSQL 16 does is not tested" == answer.notes[0]


def test_a_server_that_ends_the_connection_leaves_what_was_planned(
    tickets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = facts.explain_with_relations

    def cut(connection: Any, statement: str) -> Any:
        if "$3" in statement:
            _rows(tickets, f"select pg_terminate_backend({connection.info.backend_pid}, 5000)")
        return planned(connection, statement)

    monkeypatch.setattr(facts, "explain_with_relations", cut)
    statements = (GOOD, "select $3::int from owners", "select * from owners where id = $1")
    with _planner(tickets) as planner:
        costed = costed_of(planner, Costs(statements, (BY_OWNER,), (Configuration((0,)),)))
        gone = "the server ended the connection before it was planned"
        assert ("", gone, gone) == costed.unplanned
        assert (cost := costed.costs[0][0]) is not None
        assert (0,) == cost.used
        again = costed_of(planner, Costs(statements[2:], (), (Configuration(),)))
    assert ("",) == again.unplanned


def test_a_server_without_generic_plan_is_asked_another_way(tickets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = (
        "select * from tickets where state = $1 and owner_id = any($2) limit $3",
        "update tickets set grade = $1 where id = $2",
        "select count(*) from owners",
    )
    with looking(tickets) as connection:
        plans = [explain(connection, statement) for statement in statements]
        monkeypatch.setattr(postgres, "GENERIC_PLAN_SINCE", 990000)
        assert plans == [explain(connection, statement) for statement in statements]
        with pytest.raises(CannotPlan, match="cannot insert multiple commands"):
            explain(connection, "select 1; drop table tickets")
        assert plans[0] == explain(connection, statements[0])


def test_the_question_of_facts_is_the_same_for_some_tables_and_for_all(tickets: str) -> None:
    with psycopg.connect(tickets) as connection:
        every, some = (
            connection.execute(sql.SQL(FACTS).format(names=names)).fetchone()
            for names in (sql.SQL("null"), sql.Literal('[["public", "tickets"]]'))
        )
    assert every is not None
    assert some is not None
    assert {"tickets", "owners"} == {row[1] for row in every[0]["relations"]}
    assert [row for row in every[0]["relations"] if row[1] == "tickets"] == some[0]["relations"]
