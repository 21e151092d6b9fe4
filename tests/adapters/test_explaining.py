"""
Asking a real server for plans: what is run, what is refused and why, and that nothing of it is left behind.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from rung.adapters.cluster import Cluster
from rung.adapters.explaining import first_word, read_plan
from rung.errors import DatabaseRefused, RungError, StatementRefused
from rung.steps.explain.memory import Spill
from rung.steps.explain.questions import Planned
from rung.steps.explain.tree import read

SHOP = """
create table orders (id int primary key, customer_id int not null, note text);
insert into orders select n, n % 100, 'note ' || n from generate_series(1, 5000) n;
create index orders_customer on orders (customer_id);
create view lately as select * from orders order by id desc limit 10;
create function touched() returns int language plpgsql as 'begin insert into orders values (0, 0); return 1; end';
create view touching as select touched() as touched, id from orders;
create view listing as values (touched());
create function "Odd Name"() returns int language sql volatile as 'select 1';
create function calm() returns int language sql stable as 'select 1';
create function loud(int, int) returns bool language plpgsql volatile as 'begin return true; end';
create operator <%> (leftarg = int, rightarg = int, function = loud);
create sequence numbers;
create table locked (id int);
vacuum analyze
"""


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Iterator[str]:
    """
    A small database that no test changes.
    """
    name = f"explained_{os.getpid()}"
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
        for statement in SHOP.split(";\n"):
            connection.execute(sql.SQL(statement))
    yield cluster.dsn(name)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def refusal(dsn: str, statement: str, *values: str, analyze: bool = False, timeout_s: float = 10.0) -> RungError:
    with pytest.raises(RungError) as caught:
        read_plan(dsn, statement, values=values, analyze=analyze, timeout_s=timeout_s)
    return caught.value


def test_unknown_values_give_the_generic_plan(shop: str, cluster: Cluster) -> None:
    planned = read_plan(shop, "select * from orders where customer_id = $1 and id > $2")
    tree = read(planned.document)
    assert planned.generic
    assert not tree.executed
    assert "$1" in " ".join(text for node in tree.nodes for _, text in node.conditions)
    assert cluster.version == planned.version
    assert (planned.work_memory_bytes, planned.hash_factor, planned.standby) == (4 * 1024 * 1024, 2.0, False)


def test_values_give_their_own_plan(shop: str) -> None:
    planned = read_plan(shop, "select * from orders where customer_id = $1", values=["7"])
    tree = read(planned.document)
    assert not planned.generic
    assert tree.root.rows_expected == pytest.approx(50, rel=0.5)


def test_a_select_is_run_and_measured(shop: str) -> None:
    planned = read_plan(shop, "select * from orders where customer_id = $1;", values=["7"], analyze=True)
    tree = read(planned.document)
    assert tree.executed
    assert tree.timed
    assert tree.took_s > 0
    assert tree.root.rows == 50
    assert tree.root.buffers.hit_bytes + tree.root.buffers.read_bytes > 0


@pytest.mark.parametrize(
    "statement",
    [
        "with a as (select 1 as n) select * from a",
        "values (1), (2)",
        "table orders",
        "(select 1)",
        "-- note\n /* and */ select count(*) from lately",
        "select calm(), upper(note), coalesce(note, 'into') from orders where id in (1, 2) /* into */",
        "select 'random', \"note\" from orders where note = 'nextval'",
    ],
)
def test_what_only_reads_is_run(shop: str, statement: str) -> None:
    assert read(read_plan(shop, statement, analyze=True).document).executed


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("insert into orders values (0, 0)", "no plain SELECT"),
        ("update orders set note = ''", "no plain SELECT"),
        ("delete from orders", "no plain SELECT"),
        ("merge into orders o using orders p on o.id = p.id when matched then delete", "no plain SELECT"),
        ("with gone as (delete from orders returning id) select * from gone", "it writes"),
        ("select * into kept from orders", "no plain SELECT"),
        ("select * from orders for update", "locks the rows"),
        ("select * from orders for key share", "locks the rows"),
        ("select touched()", "touched"),
        ("select touched/* a comment between */()", "touched"),
        ('select "Odd Name"()', "Odd Name"),
        ("select * from touching", "touched"),
        ("select * from listing", "touched"),
        ("select * from orders where loud(id, 1)", "loud"),
        ("select * from orders where id <%> 1", "<%>"),
        ("select nextval('numbers')", "nextval"),
        ("select pg_terminate_backend(0)", "pg_terminate_backend"),
        ("select pg_sleep(60)", "pg_sleep"),
        ("select set_config('work_mem', '1GB', false)", "set_config"),
        ("select * from orders order by random() limit 1", "random"),
        ("select id from orders limit touched()", "touched"),
        ("select * from pg_locks", "pg_lock_status"),
    ],
)
def test_what_could_do_harm_is_not_run(shop: str, statement: str, said: str) -> None:
    problem = refusal(shop, statement, analyze=True)
    assert isinstance(problem, StatementRefused)
    assert problem.message.startswith("this statement is not run: ")
    assert said in problem.message
    with psycopg.connect(shop) as connection:
        found = connection.execute(
            "select count(*), to_regclass('kept'), (select is_called from numbers) from orders"
        ).fetchone()
        assert found == (5000, None, False)


def test_what_writes_can_be_explained_without_being_run(shop: str) -> None:
    tree = read(read_plan(shop, "update orders set note = $1 where id = $2").document)
    assert tree.root.kind == "Update"
    with psycopg.connect(shop) as connection:
        assert connection.execute("select count(*) from orders where note like 'note %'").fetchone() == (5000,)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("", "there is none"),
        ("  -- only a comment", "there is none"),
        (";", "there is none"),
        ("select * form orders", "syntax error"),
        ("select * from orders where (", "syntax error"),
        ("select 1; select 2", "several statements"),
        ("select 1; drop table orders", "several statements"),
        ("explain select 1", "begins with EXPLAIN"),
        ("drop table orders", "DROP has no plan"),
        ("vacuum", "VACUUM has no plan"),
        ("select * from nothing_of_that_name", "does not exist (character 15)"),
        ("select * from nowhere.orders", "does not exist"),
        ("select wrong from orders", "does not exist"),
        ("select odd(1)", "does not exist"),
        ("select 'a\0b'", "NUL"),
        ("select '\udcff'", "UTF-8"),
        ("select " + "(" * 20_000 + "1" + ")" * 20_000, "memory exhausted"),
        ("select " + " + ".join(["1"] * 260_000), "stack depth limit"),
    ],
)
def test_what_has_no_plan_is_told_why(shop: str, statement: str, said: str) -> None:
    for analyze in (False, True):
        problem = refusal(shop, statement, analyze=analyze)
        assert isinstance(problem, StatementRefused)
        assert said in problem.message
        assert "\n" not in problem.message
        assert len(problem.message) < 300


def test_a_long_statement_is_explained_and_one_that_is_too_long_is_refused(shop: str) -> None:
    """
    A megabyte of values is a list that somebody built; nine are a mistake.
    """
    million = "select count(*) from orders where id in (" + ", ".join(str(n) for n in range(100_000, 240_000)) + ")"
    assert len(million) > 1_000_000
    tree = read(read_plan(shop, million).document)
    assert "Scan" in tree.nodes[-1].kind
    assert "9 MB" in refusal(shop, "select '" + "x" * 9_437_184 + "'").message


@pytest.mark.parametrize(
    ("values", "said"), [((), "2 parameters, and no values"), (("1",), "2 parameters, and 1 value was")]
)
def test_values_that_are_missing_are_counted(shop: str, values: tuple[str, ...], said: str) -> None:
    problem = refusal(shop, "select * from orders where id = $1 and note = $2", *values, analyze=True)
    assert said in problem.message


def test_values_for_nothing_are_refused(shop: str) -> None:
    assert "no parameters, and 1 value was given" in refusal(shop, "select 1", "7").message


def test_a_value_of_another_type_is_refused(shop: str) -> None:
    problem = refusal(shop, "select * from orders where id = $1", "seven")
    assert isinstance(problem, StatementRefused)
    assert "invalid input syntax for type integer" in problem.message


def test_a_parameter_of_no_type_is_told_how_to_get_one(shop: str) -> None:
    problem = refusal(shop, "select $1 is null")
    assert isinstance(problem, StatementRefused)
    assert "could not determine data type" in problem.message
    assert "$1::integer" in problem.why


def test_a_value_is_data_and_nothing_else(shop: str) -> None:
    tree = read(read_plan(shop, "select * from orders where note = $1", values=["'; drop table orders --"]).document)
    assert tree.root.kind == "Seq Scan"
    assert "drop" not in str(tree.nodes)


def test_what_takes_too_long_is_cancelled(shop: str) -> None:
    statement = "select count(*) from orders a, orders b, orders c where a.id + b.id > c.id"
    problem = refusal(shop, statement, analyze=True, timeout_s=0.2)
    assert isinstance(problem, StatementRefused)
    assert "had not ended after 200 ms, and was cancelled" in problem.message
    with psycopg.connect(shop) as connection:
        running = "select count(*) from pg_stat_activity where application_name = 'rung' and query like '%orders c%'"
        assert connection.execute(sql.SQL(running)).fetchone() in {(0,), (1,)}


def test_a_table_that_somebody_has_locked_holds_nobody_up(shop: str) -> None:
    with psycopg.connect(shop) as holder:
        holder.execute("lock table locked in access exclusive mode")
        problem = refusal(shop, "select * from locked")
    assert isinstance(problem, StatementRefused)
    assert "lock timeout" in problem.message
    assert "lock" in problem.why


def test_what_the_role_may_not_read_names_the_way_to_a_grant(shop: str, cluster: Cluster) -> None:
    role = f"poor_{os.getpid()}"
    with psycopg.connect(shop, autocommit=True) as owner:
        owner.execute(sql.SQL("create role {} login password 'poor'").format(sql.Identifier(role)))
    try:
        poor = psycopg.conninfo.make_conninfo(shop, user=role, password="poor")
        problem = refusal(poor, "select * from orders")
        assert isinstance(problem, StatementRefused)
        assert "permission denied for table orders" in problem.message
        assert any("rung doctor" in command for _, command in problem.steps)
    finally:
        with psycopg.connect(shop, autocommit=True) as owner:
            owner.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_a_server_that_goes_away_in_the_middle_is_told_as_such(shop: str) -> None:
    """
    As in a restart: the connection ends while the statement runs.
    """
    statement = "select count(*) from orders a, orders b, orders c where a.id + b.id + 1 > c.id"
    told: list[RungError] = []
    asking = threading.Thread(
        target=lambda: told.append(refusal(shop, statement, analyze=True, timeout_s=60)), daemon=True
    )
    asking.start()
    with psycopg.connect(shop, autocommit=True) as other:
        ended = (0,)
        while asking.is_alive() and not ended[0]:
            ended = other.execute(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where application_name = 'rung' and query like '%%b.id + 1%%' and query like '%%ANALYZE%%'"
                " and datname = current_database() and pid <> pg_backend_pid()"
            ).fetchone() or (0,)
    asking.join(60)
    assert isinstance(told[0], DatabaseRefused)
    assert "terminating connection" in told[0].message


def test_nobody_there_is_told_as_such() -> None:
    with pytest.raises(DatabaseRefused):
        read_plan("postgresql://nobody@127.0.0.1:1/shop", "select 1")


def test_an_older_servers_generic_plan_is_the_same(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Before PostgreSQL 16 a prepared statement is made to forget its values; both ways are there on this one.
    """
    statement = "select * from orders where customer_id = $1 and id > $2 order by id limit 5"
    new = read_plan(shop, statement)
    monkeypatch.setattr("rung.adapters.explaining.GENERIC_PLAN_SINCE", 999_999)
    old = read_plan(shop, statement)
    assert _without_settings(new) == _without_settings(old)
    assert "plan_cache_mode" not in old.document.get("Settings", {})


def _without_settings(planned: Planned) -> object:
    return planned.document["Plan"]


@pytest.mark.parametrize(
    ("text", "word"),
    [("Select 1", "select"), (" ( (\nvalues (1)))", "values"), ("/* a */--b\nwith", "with"), ("$1", ""), ("", "")],
)
def test_the_first_word(text: str, word: str) -> None:
    assert first_word(text) == word


@pytest.fixture(scope="module")
def notes(cluster: Cluster) -> Iterator[str]:
    """
    A table of rows of unequal width, analysed.
    """
    name = f"notes_{os.getpid()}"
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
        connection.execute("create table note (id int, text text)")
        connection.execute("insert into note select n, repeat('x', n % 90) || n from generate_series(1, 40000) n")
        connection.execute("vacuum analyze note")
    yield cluster.dsn(name)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def spilled(dsn: str, statement: str, work_memory: str) -> list[Spill]:
    settings = f"-c work_mem={work_memory} -c max_parallel_workers_per_gather=0 -c enable_mergejoin=off"
    settings += " -c enable_sort=off"  # what can be hashed is, and what must be sorted is sorted all the same
    planned = read_plan(psycopg.conninfo.make_conninfo(dsn, options=settings), statement, analyze=True)
    nodes = read(planned.document, hash_factor=planned.hash_factor).nodes
    return [node.spill for node in nodes if node.spill is not None]


@pytest.mark.parametrize(
    ("what", "statement"),
    [
        ("sort", "select * from note order by text"),
        ("sort", "select * from (select * from note order by text limit 30000) n"),
        ("hash", "select count(*) from note a join note b on a.text = b.text"),
        ("groups", "select text, count(*) from note group by text"),
    ],
)
def test_the_memory_that_is_named_is_enough_and_not_much_too_much(notes: str, what: str, statement: str) -> None:
    """
    With it nothing goes to disk; with a third of it something does.
    """
    spill = next(each for each in spilled(notes, statement, "256kB") if each.what == what)
    kilobytes = spill.needed_bytes // 1024
    assert [each for each in spilled(notes, statement, f"{kilobytes}kB") if each.what == what] == []
    assert spilled(notes, statement, f"{max(kilobytes // 3, 64)}kB")
