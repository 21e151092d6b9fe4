"""
psycopg2 and COPY: each statement once, below whatever class the app uses, and nothing about it changed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rung.adapters.cluster import Cluster
from tests.probe.player import Played, play
from tests.probe.serving import line_of

HERE = Path("tests", "probe")


@pytest.fixture(scope="module")
def seen(cluster: Cluster) -> Played:
    return play("scenes_database", DATABASE_URL=cluster.dsn())


def test_everything_is_as_it_is_unrecorded(seen: Played) -> None:
    assert seen.plain == seen.recorded
    assert {} == seen.failures


def test_psycopg2_with_its_transactions_and_errors(seen: Played) -> None:
    assert [
        "connect psycopg2",
        "query SELECT n, $1 FROM generate_series($2, $3) n",
        "commit commit",
        "query SELECT $1 FROM nowhere",
        "query ROLLBACK",
        "connect psycopg2",
    ] == seen.names("psycopg2_plain")
    query = seen.of("psycopg2_plain", "query")[0]
    assert 3 == query["rows"]
    assert str(HERE / line_of("psycopg2", "scenes_database.py")) == query["code"]
    assert query["database"].endswith("/postgres")


def test_classes_of_the_apps_own(seen: Played) -> None:
    assert [
        'query SELECT $1 AS "one"',
        "query SELECT $1 AS two",
        "query SELECT $1 AS three",
    ] == seen.names("psycopg2_own_classes", "query")


def test_what_psycopg2_builds_on_execute(seen: Played) -> None:
    assert [
        "query CREATE TEMPORARY TABLE basket (item int, word text)",
        "query INSERT INTO basket VALUES ($1, $2) /*, ... */",
        "query INSERT INTO basket VALUES ($1, $2)",
        "query COPY basket FROM STDIN",
        "query COPY basket TO STDOUT",
        "query COPY basket TO STDOUT",
        "query SELECT * FROM upper()",
        "query SELECT item FROM basket WHERE item = ANY($1)",
        "query ROLLBACK",
    ] == seen.names("psycopg2_extras", "query", "commit")


def test_sqlalchemy_on_psycopg2_is_recorded_once(seen: Played) -> None:
    names = seen.names("sqlalchemy_on_psycopg2", "query", "commit")
    assert 1 == names.count("query SELECT pen.id FROM pen")
    assert 1 == len([name for name in names if "INSERT" in name])
    assert 1 == names.count("commit commit")
    assert ["connect psycopg2"] == seen.names("sqlalchemy_on_psycopg2", "connect")


def test_django_on_psycopg2_is_recorded_once(seen: Played) -> None:
    names = seen.names("django_on_psycopg2", "query", "commit")
    assert 1 == names.count("query SELECT $1 + $2")
    assert 1 == names.count("commit commit")
    code = {one["code"] for one in seen.of("django_on_psycopg2", "query")}
    assert str(HERE / line_of("django", "scenes_database.py")) in code


def test_copy_is_a_statement_from_begin_to_end(seen: Played) -> None:
    copies = [name for name in seen.names("psycopg_copy", "query") if "COPY" in name]
    assert [
        "query COPY basket FROM STDIN",
        "query COPY (SELECT item FROM basket WHERE item < $1) TO STDOUT",
        "query COPY nowhere TO STDOUT",
        "query COPY (SELECT $1) TO STDOUT",
    ] == copies
    rows = [one["rows"] for one in seen.of("psycopg_copy", "query") if "COPY" in seen.texts[one["name"]]]
    assert [2, 2, None, None] == rows
    assert ["query COPY (VALUES ($1)) TO STDOUT"] == seen.names("psycopg_copy_async", "query")
    copied = [one for one in seen.of("asyncpg_copy", "query") if "COPY" in seen.texts[one["name"]]]
    assert [2, 1, 2] == [one["rows"] for one in copied]


def test_no_value_is_kept(seen: Played) -> None:
    assert not [text for text in seen.texts.values() if "secret" in text]
