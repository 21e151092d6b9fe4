"""
Statements leave the process without values, and stay ones that PostgreSQL can plan.
"""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.probe.statement import TEXT_MAX, normalised


def plain(sql: str, *, percent: bool = False) -> str:
    return normalised(sql, percent=percent).text


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("SELECT  1,\n\t2", "SELECT $1, $2"),
        ("select 'it''s'", "select $1"),
        (r"select E'it\'s', 2", "select $1, $2"),
        ("select U&'d\\0061t', b'01', x'ff', N'n'", "select $1, $2, $3, $4"),
        ("select $$it's$$, $tag$ $$ $tag$", "select $1, $2"),
        ("select 'one'\n  'two'", "select $1"),
        ("select t1.a2, \"Mixed 'Case'\" from t1", "select t1.a2, \"Mixed 'Case'\" from t1"),
        ("select 1.5, .5, 1e-5, 0x1F, 1_000, -7", "select $1, $2, $3, $4, $5, -$6"),
        ("select a -- secret\nfrom t", "select a from t"),
        ("select /* a /* nested */ secret */ a", "select a"),
        ("select a /* never ends", "select a"),
        ("select $2, $1, 'x'", "select $2, $1, $3"),
        ("select date '2026-01-01', interval '1 day'", "select $1::date, $2::interval"),
        ("select a from t order by 1, 2 desc limit 20", "select a from t order by 1, 2 desc limit $1"),
        ("select a from t where b in (1, 2,3)", "select a from t where b in ($1 /*, ... */)"),
        ("select a from t where b IN(1)", "select a from t where b IN ($1)"),
        (
            "select 1 where a in ($1::INTEGER, $2::INTEGER) and b = $3",
            "select $3 where a in ($1::INTEGER /*, ... */) and b = $2",
        ),
        ("insert into t values (1, 'a'), (2, DEFAULT)", "insert into t values ($1, $2) /*, ... */"),
        ("COMMIT ;", "COMMIT"),
        ("select 5 % 2", "select $1 % $2"),
        ("select a::text, b->>'key' from t", "select a::text, b->>$1 from t"),
        ("", ""),
    ],
)  # fmt: skip
def test_values_become_parameters(given_text: str, expected: str) -> None:
    assert expected == plain(given_text)


def test_parameters_of_psycopg_become_postgresqls() -> None:
    assert "select $1, $2, $3" == plain("select %s, %s, 'x'", percent=True)
    assert "select $1, $2, $1" == plain("select %(one)s, %(two)s, %(one)s", percent=True)
    assert "select a % b" == plain("select a %% b", percent=True)


def test_the_name_is_the_same_however_parameters_are_numbered() -> None:
    """
    As the app asks it, as a server has it that binds the values, and as one has it whose driver put them in.
    """
    asked = normalised("update t set n = n + 1 where id = %s", percent=True)
    bound = normalised("update t set n = n + $2 where id = $1")
    put_in = normalised("update t set n = n + 1 where id = 7")
    assert asked.fingerprint == bound.fingerprint == put_in.fingerprint
    assert asked.fingerprint != normalised("update t set n = n - 1 where id = %s", percent=True).fingerprint


@pytest.mark.parametrize(
    "sql",
    [
        "select 'SECRET",
        'select "SECRET',
        "select E'a\\' SECRET",
        "select $tag$ SECRET",
        r"select 'it\' SECRET', 1",
        r"select 'it\'' , SECRET, 'x'",
        "select 12SECRET",
        "select * from t where a = 'x'' SECRET",
        "select 'ok' /* SECRET",
        "select U&'SECRET",
    ],
)
def test_what_cannot_be_read_for_certain_is_cut(sql: str) -> None:
    assert "SECRET" not in plain(sql)


@given(st.text(max_size=30), st.sampled_from(["'{}'", "$a${}$a$", "/* {} */", "'{}", "E'{}", "$a${}"]))
def test_no_literal_gets_through(value: str, frame: str) -> None:
    marked = "SECRET" + value.replace("'", "").replace("$", "").replace("\\", "").replace("*/", "")
    written = " ".join(["select a,", frame.format(marked), "from t"])
    assert "SECRET" not in plain(written)


@given(st.text(max_size=200))
def test_any_text_has_an_answer_that_stays_the_same(sql: str) -> None:
    first = normalised(sql)
    assert first == normalised(sql)
    assert 16 == len(first.fingerprint)
    assert len(first.text) <= 4 * len(sql) + 40


def test_the_length_of_a_list_makes_no_other_statement() -> None:
    two = normalised("select a from t where b in ($1, $2) and c = $3")
    many = normalised("select a from t where b in (" + ", ".join(f"${n}" for n in range(1, 100)) + ") and c = $100")
    assert two == many


def test_a_long_statement_is_cut() -> None:
    assert len(plain("select " + "a, " * TEXT_MAX)) <= TEXT_MAX + 10


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("select 1", "read"),
        ("  (select 1) union (select 2)", "read"),
        ("with x as (select 1) select * from x", "read"),
        ("with x as (delete from t returning *) select * from x", "write"),
        ("select * from t for update", "write"),
        ("select * into u from t", "write"),
        ("insert into t values (1)", "write"),
        ("UPDATE t SET a = 1", "write"),
        ("merge into t using u on true when matched then delete", "write"),
        ("begin", "other"),
        ("set search_path to a", "other"),
        ("", "other"),
    ],
)
def test_kinds(sql: str, kind: str) -> None:
    assert kind == normalised(sql).kind


@pytest.mark.parametrize(
    "sql",
    [
        "select * from shop where id in (1, 2, 3) and name like 'a%' order by 1 limit 20",
        "select * from shop where made > date '2026-01-01' - interval '1 day'",
        "insert into shop (id, name) values (1, 'a'), (2, 'b')",
        "update shop set name = 'x' where id = 7",
        "select count(*) from shop where id = any(array[1, 2, 3]::int[])",
    ],
)
def test_postgresql_can_still_plan_it(database: str, sql: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table shop (id int, name text, made timestamptz)")
        connection.execute(("explain (generic_plan) " + plain(sql)).encode())
