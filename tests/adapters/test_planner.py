"""
The planner and its twin on a real database: what it promises, that it leaves no trace, and when it declines.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import sql

from rung.adapters.cluster import Cluster
from rung.adapters.planner import DatabasePlanner, copying
from rung.adapters.postgres import explain, looking
from rung.ports import (
    Configuration,
    Costs,
    Describe,
    Explain,
    Index,
    IndexColumn,
    Plan,
    Promise,
    Server,
    ServerFacts,
    Unavailable,
    WhatIf,
)
from rung.steps.take import create_index
from tests.asking import execute as _execute
from tests.asking import rows as _rows

# Skewed on purpose: few customers have most orders, and dates come in order of id.
SHOP = """
create table customers (id bigint primary key, email text not null, city text);
insert into customers select n, 'c' || n || '@example.org', (array['Oslo', 'Bern', 'Rome', 'Lima'])[1 + n % 4]
from generate_series(1, 20000) n;
create table orders (
    id bigint primary key, customer_id int not null, created_at timestamptz not null,
    reference text not null, total numeric(10, 2) not null
);
insert into orders
select n, 1 + floor(20000 * power(hashint4(n)::float8 / 4294967296 + 0.5, 3)),
       '2026-01-01'::timestamptz + n * interval '1 minute', 'R-' || lpad((n * 7919 % 200000)::text, 8, '0'), n % 500
from generate_series(1, 200000) n;
create index orders_reference on orders (reference);
create index orders_recent on orders (created_at) where total > 400;
create index orders_day on orders (abs(customer_id));
alter table orders add foreign key (customer_id) references customers (id) not valid;
vacuum analyze;
"""


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Iterator[str]:
    """
    A database of 200,000 orders that no test changes for good.
    """
    name = f"shop_{os.getpid()}"
    _execute(cluster.dsn(), f"create database {name}")
    with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
        for statement in SHOP.split(";\n"):
            connection.execute(sql.SQL(statement))
    yield cluster.dsn(name)
    _execute(cluster.dsn(), f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def planner(shop: str) -> Iterator[DatabasePlanner]:
    """
    One twin for the tests that only ask.
    """
    with _planner(shop) as planner:
        yield planner


ORDERS_BY_CUSTOMER = Index("public", "orders", (IndexColumn("customer_id"),))


@pytest.mark.parametrize(
    "statement",
    [
        "select * from orders where customer_id = $1",
        "select * from orders where total > $1 order by created_at desc limit 20",
        "select * from orders where id = $1",
        "select count(*) from orders where id between $1 and $2",
        "select id from orders where reference = $1",
        "select * from orders where reference > $1 and reference < $2",
        "select customer_id, count(*) from orders group by customer_id",
        "select * from orders o join customers c on c.id = o.customer_id where o.id = $1",
        "select c.city, sum(o.total) from orders o join customers c on c.id = o.customer_id group by c.city",
        "select o.* from orders o left join customers c on c.id = o.customer_id where o.reference = $1",
        "update orders set total = $2 where id = $1",
    ],
)
def test_the_twin_prices_todays_plan_as_the_server_does(planner: DatabasePlanner, statement: str) -> None:
    plan = planner.explain(Explain(statement))
    promise = planner.what_if(WhatIf(statement, Index("public", "orders", (IndexColumn("total"),))))

    assert isinstance(plan, Plan)
    assert isinstance(promise, Promise), promise
    assert _shape(plan) == _shape(promise.before)
    assert promise.before.cost == pytest.approx(plan.cost, rel=0.01)
    assert "" == promise.differs
    assert () == promise.notes


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        ("select * from orders where customer_id = $1", "customer_id"),
        ("select * from orders where customer_id = $1 order by created_at desc limit 20", "customer_id created_at-"),
        ("select * from orders where customer_id = $1 and created_at > $2", "customer_id created_at reference"),
        ("select * from orders where created_at > $1 and created_at < $2", "created_at"),
        ("select * from customers where email = $1", "email"),
        ("select * from customers where city = $1 and email = $2", "city email id"),
        ("select count(*) from orders where total = $1", "total"),
    ],
)
def test_the_promise_is_what_the_built_index_does(
    shop: str, planner: DatabasePlanner, statement: str, columns: str
) -> None:
    table = statement.split(" from ")[1].split(" ", maxsplit=1)[0]
    keys = tuple(IndexColumn(name.rstrip("-"), name.endswith("-")) for name in columns.split())
    promise = planner.what_if(WhatIf(statement, Index("public", table, keys)))
    assert isinstance(promise, Promise), promise

    with psycopg.connect(shop) as connection:
        connection.execute(
            create_index(Index("public", table, keys), "really").sql.replace("CONCURRENTLY ", "").encode()
        )
        size = connection.execute("select pg_relation_size('really')").fetchone()
        real = explain(connection, statement)
        connection.rollback()

    assert size is not None
    assert promise.size_bytes == pytest.approx(size[0], rel=0.15)
    assert promise.used
    assert [node.kind for node in real.nodes] == [node.kind for node in promise.after.nodes]
    assert promise.after.cost == pytest.approx(real.cost, rel=0.03)


def test_every_kind_of_table_that_people_have(cluster: Cluster, database: str) -> None:
    """
    Another schema, strange names, an enum, a domain, a generated column, a view, and types that are missing.
    """
    _execute(
        database,
        """
        create schema "Shop – EU";
        create type "Shop – EU".mood as enum ('sad', 'happy');
        create domain "Shop – EU".positive as int check (value > 0);
        create function "Shop – EU".twice(int) returns int language sql immutable as 'select 2 * $1';
        create table "Shop – EU"."we""ird.*; table" (
            id bigint generated always as identity, "Größe" int, mood "Shop – EU".mood, amount "Shop – EU".positive,
            doubled int generated always as ("Shop – EU".twice("Größe")) stored, parent bigint,
            unique (id)
        );
        insert into "Shop – EU"."we""ird.*; table" ("Größe", mood, amount, parent)
        select n, case when n % 9 = 0 then 'sad' else 'happy' end::"Shop – EU".mood, n, null
        from generate_series(1, 30000) n;
        create view "Shop – EU".sad as select * from "Shop – EU"."we""ird.*; table" where mood = 'sad';
        analyze
        """.replace("analyze\n", ""),
    )
    _execute(database, "analyze")
    index = Index("Shop – EU", 'we"ird.*; table', (IndexColumn("Größe"), IndexColumn("mood", descending=True)))

    with _planner(database) as planner:
        for statement in (
            'select * from "Shop – EU"."we""ird.*; table" where "Größe" = $1 and mood = $2',
            'select doubled from "Shop – EU".sad where "Größe" = $1',
        ):
            promise = planner.what_if(WhatIf(statement, index))
            assert isinstance(promise, Promise), promise
            plan = planner.explain(Explain(statement))
            assert isinstance(plan, Plan)
            assert promise.used
            assert promise.before.cost == pytest.approx(plan.cost, rel=0.01)


def test_a_type_that_the_twin_does_not_have_is_named(database: str) -> None:
    # pg_dump leaves out what belongs to an extension; the twin is left to make the extension, which may fail there.
    _execute(
        database,
        """
        create table places (id int, spot point, name text);
        create extension pg_stat_statements;
        create type geometry;
        create function geometry_in(cstring) returns geometry language internal immutable strict as 'textin';
        create function geometry_out(geometry) returns cstring language internal immutable strict as 'textout';
        create type geometry (input = geometry_in, output = geometry_out);
        alter extension pg_stat_statements add type geometry;
        alter extension pg_stat_statements add function geometry_in(cstring);
        alter extension pg_stat_statements add function geometry_out(geometry);
        alter table places add shape geometry
        """,
    )
    with _planner(database) as planner:
        answer = planner.what_if(
            WhatIf("select * from places where id = $1", Index("public", "places", (IndexColumn("id"),)))
        )

    assert isinstance(answer, Unavailable)
    assert 'public.places cannot be copied to the planner twin: type "public.geometry" does not exist' in answer.reason


def test_the_search_path_of_the_role_holds(database: str) -> None:
    _execute(database, "create schema tenant; create table tenant.things (a int, b text)")
    _execute(database, "insert into tenant.things select n, n::text from generate_series(1, 20000) n")
    _execute(database, "analyze tenant.things")
    index = Index("tenant", "things", (IndexColumn("a"),))

    for dsn in (_with_role_setting(database), f"{database}?options=-csearch_path%3Dtenant"):
        with _planner(dsn) as planner:
            promise = planner.what_if(WhatIf("select b from things where a = $1", index))
            assert isinstance(promise, Promise), promise
            assert promise.used
        _execute(database, f"alter database {database.rpartition('/')[2]} reset search_path")


def test_only_plain_indexes_are_taken_for_plain_ones(planner: DatabasePlanner, database: str) -> None:
    orders = planner.describe(Describe("public", "orders"))
    assert not isinstance(orders, Unavailable)
    assert {("id",), ("reference",)} == {tuple(column.name for column in index.columns) for index in orders.indexes}
    assert 200_000 == orders.rows

    _execute(database, "create table t (a int, b text)")
    for definition in ("(a desc nulls last)", "(b text_pattern_ops)", '(b collate "C")', "using hash (a)"):
        _execute(database, f"create index on t {definition}")
    _execute(database, "create index on t (a desc, b)")
    with _planner(database) as other:
        table = other.describe(Describe("public", "t"))
    assert not isinstance(table, Unavailable)
    assert (Index("public", "t", (IndexColumn("a", descending=True), IndexColumn("b"))),) == table.indexes


def test_the_users_database_is_unchanged_and_no_twin_is_left(cluster: Cluster, shop: str) -> None:
    processes = {process.pid for process in psutil.process_iter()}
    before = _fingerprint(shop)
    planner = DatabasePlanner(shop)
    try:
        for statement in ("select * from orders where customer_id = $1", "select nonsense from orders"):
            planner.what_if(WhatIf(statement, ORDERS_BY_CUSTOMER))
        twin = planner._cluster
        assert twin is not None
        data = twin.data
    finally:
        planner.close()
    planner.close()

    assert before == _fingerprint(shop)
    assert not twin.running()
    assert [] == [
        process
        for process in psutil.process_iter(["cmdline"])
        if process.pid not in processes and str(data) in " ".join(process.info["cmdline"] or [])
    ]
    assert not data.parent.exists()


def test_the_twin_is_usable_after_a_candidate_that_fails(shop: str) -> None:
    with _planner(shop) as planner:
        statement = "select * from orders where customer_id = $1"
        failed = planner.what_if(WhatIf(statement, Index("public", "orders", (IndexColumn("nowhere"),))))
        assert Unavailable('column "nowhere" does not exist') == failed
        assert isinstance(planner.what_if(WhatIf(statement, ORDERS_BY_CUSTOMER)), Promise)


@pytest.mark.parametrize("awaited", [False, True])
def test_a_locked_table_is_not_queued_for(shop: str, *, awaited: bool) -> None:
    question = WhatIf("select * from orders where customer_id = $1", ORDERS_BY_CUSTOMER)
    locking = "lock table orders in access exclusive mode"
    with (
        _planner(shop) as planner,
        psycopg.connect(shop) as reader,
        psycopg.connect(shop) as locker,
        ThreadPoolExecutor(1) as pool,
    ):
        try:
            if awaited:
                reader.execute("select count(*) from orders where id = 1")
            done = pool.submit(locker.execute, locking)
            while not _rows(
                shop, f"select from pg_locks where mode = 'AccessExclusiveLock' and granted = {not awaited}"
            ):
                pass
            answer = planner.what_if(question)
        finally:
            reader.rollback()
            done.result()

    assert isinstance(answer, Unavailable)
    assert "ACCESS EXCLUSIVE lock on public.orders" in answer.reason


def test_a_lock_on_a_table_that_the_statement_does_not_name_is_given_up_on(shop: str) -> None:
    _execute(shop, "create view buyers as select o.*, c.city from orders o join customers c on c.id = o.customer_id")
    try:
        with _planner(shop) as planner, psycopg.connect(shop) as locker:
            locker.execute("lock table customers in access exclusive mode")
            answer = planner.what_if(WhatIf("select * from buyers where customer_id = $1", ORDERS_BY_CUSTOMER))
    finally:
        _execute(shop, "drop view buyers")
    assert isinstance(answer, Unavailable)
    assert "lock timeout" in answer.reason


def test_the_apps_own_role_is_enough(cluster: Cluster, shop: str) -> None:
    with _role(cluster, shop, "grant select on orders to {role}") as dsn, _planner(dsn) as planner:
        promise = planner.what_if(WhatIf("select * from orders where customer_id = $1", ORDERS_BY_CUSTOMER))
        facts = planner.server(Server())
    assert isinstance(promise, Promise), promise
    assert promise.used
    assert isinstance(facts, ServerFacts)
    assert "app_" in facts.role


def test_a_role_that_may_not_read_is_told_so(cluster: Cluster, shop: str) -> None:
    with _role(cluster, shop, "select 1") as dsn, _planner(dsn) as planner:
        statement = "select * from orders where customer_id = $1"
        refused = Unavailable("permission denied for table orders")
        assert refused == planner.explain(Explain(statement))
        assert refused == planner.what_if(WhatIf(statement, ORDERS_BY_CUSTOMER))


def test_addresses_that_do_not_answer_say_why_and_hide_the_password(cluster: Cluster, shop: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = f"postgresql://me:hunter2secret@127.0.0.1:{taken.getsockname()[1]}/shop"
        wrong = shop.replace(cluster.password, "hunter2secret")
        for dsn, said in (
            (refused, "Connection refused"),
            (wrong, "password authentication failed"),
            (wrong.replace("postgresql://", "postgresql+asyncpg://"), "password authentication failed"),
            (shop.replace(cluster.password, "hunter2secret@more"), "cannot be read"),
            (shop.replace(cluster.password, "12/hunter2secret"), "cannot be read"),
            (shop.replace(cluster.password, "hunter2secret/more"), "cannot be read"),
            (f"{wrong}?hunter2secret=1", "cannot be read"),
            ("host=localhost password=x hunter2secret", "cannot be read"),
            ("hunter2secret", "cannot be read"),
        ):
            for answer in _all_answers(DatabasePlanner(dsn)):
                assert isinstance(answer, Unavailable)
                assert said in answer.reason
                assert "hunter2secret" not in answer.reason
                assert "secret" not in answer.reason
                assert "\n" not in answer.reason


def test_no_database_was_named() -> None:
    assert {Unavailable("no database was named (--database)")} == _all_answers(DatabasePlanner(None))


def test_the_drivers_prefix_and_the_password_of_the_environment(
    cluster: Cluster, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", cluster.password)
    bare = shop.replace(f":{cluster.password}", "").replace("postgresql://", "postgresql+asyncpg://")
    assert cluster.password not in bare
    with _planner(bare) as planner:
        answer = planner.what_if(WhatIf("select * from orders where customer_id = $1", ORDERS_BY_CUSTOMER))
    assert isinstance(answer, Promise), answer


def test_no_password_is_in_a_processes_arguments(cluster: Cluster, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    run = copying.subprocess.run

    def looked_at(command: list[str], **rest: Any) -> Any:
        seen.append([str(part) for part in command])
        return run(command, **rest)

    monkeypatch.setattr(copying.subprocess, "run", looked_at)
    with _planner(shop) as planner:
        planner.what_if(WhatIf("select * from orders where customer_id = $1", ORDERS_BY_CUSTOMER))
        assert planner._cluster is not None
        passwords = (cluster.password, planner._cluster.password)

    programs = [Path(command[0]).name for command in seen]
    assert {"pg_dump", "pg_restore"} <= set(programs)
    for password in passwords:
        assert not any(password in argument for command in seen for argument in command)


@pytest.mark.parametrize(
    "statement",
    [
        "select 1; drop table orders",
        "select 1; commit; drop table orders",
        "drop table orders",
        "analyze delete from orders",
        "(analyze) delete from orders",
        "select 1) delete from orders; --",
        "",
    ],
)
def test_what_is_no_single_statement_is_never_run(shop: str, planner: DatabasePlanner, statement: str) -> None:
    assert isinstance(planner.explain(Explain(statement)), Unavailable)
    assert isinstance(planner.what_if(WhatIf(statement, ORDERS_BY_CUSTOMER)), Unavailable)
    assert [(200_000,)] == _rows(shop, "select count(*) from orders")


def test_explaining_runs_nothing(shop: str, planner: DatabasePlanner) -> None:
    plan = planner.explain(Explain("delete from orders where id = $1"))
    assert isinstance(plan, Plan)
    assert [(200_000,)] == _rows(shop, "select count(*) from orders")
    with looking(shop) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("delete from orders")


def test_two_at_once_have_a_twin_each(shop: str) -> None:
    question = WhatIf("select * from orders where customer_id = $1", ORDERS_BY_CUSTOMER)
    with _planner(shop) as first, _planner(shop) as second:
        assert isinstance(first.what_if(question), Promise)
        assert first.what_if(question) == second.what_if(question)


@contextmanager
def _planner(dsn: str) -> Iterator[DatabasePlanner]:
    planner = DatabasePlanner(dsn)
    try:
        yield planner
    finally:
        planner.close()


def _all_answers(planner: DatabasePlanner) -> set[Any]:
    statement = "select * from orders where customer_id = $1"
    return {
        planner.server(Server()),
        planner.explain(Explain(statement)),
        planner.describe(Describe("public", "orders")),
        planner.what_if(WhatIf(statement, ORDERS_BY_CUSTOMER)),
        planner.costs(Costs((statement,), (ORDERS_BY_CUSTOMER,), (Configuration((0,)),))),
    }


def _shape(plan: Plan) -> list[tuple[int, str, str, str]]:
    return [(node.depth, node.kind, node.relation, node.index) for node in plan.nodes]


def _fingerprint(dsn: str) -> str:
    _rows(dsn, "select pg_stat_force_next_flush()")
    return json.dumps(
        [
            _rows(
                dsn, "select c.oid::int8, relname, relpages, reltuples, relfilenode::int8 from pg_class c order by 1"
            ),
            _rows(
                dsn, "select relname, n_tup_ins, n_tup_upd, n_tup_del, n_live_tup from pg_stat_user_tables order by 1"
            ),
            _rows(dsn, "select indexrelid::int8, indisvalid from pg_index order by 1"),
            _rows(dsn, "select datname from pg_database where datname not like 'test%' order by 1"),
            _rows(dsn, "select count(*) from pg_stat_activity where application_name in ('rung', 'pg_dump')"),
        ],
        default=str,
    )


@contextmanager
def _role(cluster: Cluster, dsn: str, grants: str) -> Iterator[str]:
    role = f"app_{os.getpid()}"
    _execute(dsn, f"create role {role} login password '{cluster.password}'")
    try:
        _execute(dsn, grants.format(role=role))
        yield cluster.dsn(dsn.rpartition("/")[2], role=role)
    finally:
        _execute(dsn, f"drop owned by {role}; drop role {role}")


def _with_role_setting(dsn: str) -> str:
    _execute(dsn, f"alter database {dsn.rpartition('/')[2]} set search_path = '$user', tenant")
    return dsn
