"""
Taking a move is text: the migration, its undo, and names quoted as PostgreSQL wants them.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from rung.config import Settings
from rung.ports import Index, IndexColumn
from rung.steps.price.quote import BuildIndex
from rung.steps.take import create_index, drop_index, file_stem, identifier, literal, take
from rung.steps.twin.variant import Patch, Setting
from tests.strategies import quote_of, words

SETTINGS = Settings()
plain_columns = st.builds(IndexColumn, words, st.booleans())
plain_indexes = st.builds(Index, words, words, st.lists(plain_columns, min_size=1, max_size=4).map(tuple))
HERE = Settings(migrations_folder="m", index_lock_timeout_s=5.0)

MIGRATION = """\
-- index orders (customer_id, created_at DESC)
-- Run it outside a transaction, on a direct connection (not through PgBouncer): psql -f THIS_FILE
-- Writers are not blocked; transactions older than the build delay it.
SET statement_timeout = 0;
SET lock_timeout = '300s';
CREATE INDEX CONCURRENTLY "orders_customer_id_created_at_desc_rung" ON "public"."orders" \
("customer_id", "created_at" DESC);
RESET lock_timeout;
RESET statement_timeout;
-- Must give t; if it gives f, the build failed half-way: run the undo, then this again.
SELECT indisvalid FROM pg_index WHERE indexrelid = '"public"."orders_customer_id_created_at_desc_rung"'::regclass;
"""

UNDO = """\
-- Undo of: index orders (customer_id, created_at DESC)
SET lock_timeout = '300s';
DROP INDEX CONCURRENTLY IF EXISTS "public"."orders_customer_id_created_at_desc_rung";
RESET lock_timeout;
"""


def test_the_migration_and_its_undo_are_these_texts() -> None:
    """
    The files are written as they are reviewed, to the letter.
    """
    change = take(quote_of(), SETTINGS)
    written = {file.path: file.text for file in change.files}

    assert {
        "rung/migrations/index-orders-customer_id-created_at.sql": MIGRATION,
        "rung/migrations/index-orders-customer_id-created_at.undo.sql": UNDO,
    } == written
    assert change.work is not None and change.setting is None
    assert change.work.statements[0].sql in MIGRATION and change.work.undo[0].sql in UNDO


SET_POOL = """\
pool:20: a pool of 20 connections instead of 10, in each app process
A setting of your app's, so it is changed by you: in its code or configuration, or in the command that starts it.

Set     ConnectionPool(…, max_size=20)
Undo    ConnectionPool(…, max_size=10)

Predicted for p95 of GET /orders: 200 ms now, then 20 ms (10 ms to 30 ms).
Assumed:
- the database accepts so many
"""


def test_a_setting_is_one_text_with_its_undo() -> None:
    """
    There is nothing to run, so there is nothing to build: what to set, what it was, and what was promised.
    """
    quote = quote_of(
        name="pool:20", what="a pool of 20 connections instead of 10, in each app process", plan=None,
        setting=Setting("ConnectionPool(…, max_size=20)", "ConnectionPool(…, max_size=10)"),
        assumptions=("the database accepts so many",),
    )  # fmt: skip
    change = take(quote, SETTINGS)

    assert {"rung/migrations/pool-20.txt": SET_POOL} == {file.path: file.text for file in change.files}
    assert (None, quote.setting) == (change.work, change.setting)


def test_a_setting_without_a_price_promises_nothing() -> None:
    quote = quote_of(name="pool:20", plan=None, setting=Setting("20", "10"), predicted=None)

    assert "Predicted" not in take(quote, HERE).files[0].text


def test_a_patch_is_a_file_that_git_applies(tmp_path: Path) -> None:
    """
    What is said above the difference is passed over, and the undo is the same file.
    """
    (tmp_path / "shop.py").write_text("one\ntwo\n")
    diff = "--- a/shop.py\n+++ b/shop.py\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n"
    quote = quote_of(name="nplusone:5", what="ask\n--- once", plan=None, patch=Patch("shop.py", diff))
    change = take(quote, HERE)
    (file,) = change.files

    assert ("m/nplusone-5.patch", quote.patch) == (file.path, change.patch)
    assert "Predicted for p95 of GET /orders: 200 ms now, then 20 ms (10 ms to 30 ms).\n" in file.text
    for arguments, text in ([], "one\nthree\n"), (["-R"], "one\ntwo\n"):
        subprocess.run(["git", "apply", *arguments, "-"], cwd=tmp_path, input=file.text.encode(), check=True)
        assert text == (tmp_path / "shop.py").read_text()


def test_the_same_quote_gives_the_same_change() -> None:
    """
    A change is made of its quote alone.
    """
    assert take(quote_of(), HERE) == take(quote_of(), HERE)


def test_a_short_lock_timeout_never_becomes_none_at_all() -> None:
    """
    A lock_timeout of 0 means for ever, so less than a second is written as one.
    """
    assert "lock_timeout = '1s'" in take(quote_of(), Settings(index_lock_timeout_s=0.2)).files[0].text


def test_a_name_with_a_line_break_stays_inside_its_comment() -> None:
    """
    What a table is called cannot end the comment and become a statement.
    """
    index = Index("public", "orders\nDROP TABLE customers; --", (IndexColumn("id"),))
    quote = replace(quote_of(), what=f"index {index.table} (id)", plan=BuildIndex(index, "by_id", 1))
    change = take(quote, HERE)

    for file in change.files:
        assert "DROP TABLE customers" in file.text.splitlines()[0]


@given(name=words)
def test_identifiers_are_quoted_as_psycopg_does(name: str) -> None:
    """
    Any name comes out as psycopg.sql.Identifier writes it.
    """
    assert sql.Identifier(name).as_string(None) == identifier(name)


@given(text=words)
def test_strings_are_quoted_as_psycopg_does(text: str) -> None:
    """
    Any text comes out as psycopg.sql.Literal writes it.
    """
    assert sql.Literal(text).as_string(None).strip() == literal(text).strip()


@given(index=plain_indexes, name=words)
def test_statements_are_composed_as_psycopg_would(index: Index, name: str) -> None:
    """
    The whole statement equals one composed by psycopg.sql, for any names.
    """
    columns = sql.SQL(", ").join(
        sql.SQL("{} DESC" if column.descending else "{}").format(sql.Identifier(column.name))
        for column in index.columns
    )
    build = sql.SQL("CREATE INDEX CONCURRENTLY {} ON {} ({})").format(
        sql.Identifier(name), sql.Identifier(index.schema, index.table), columns
    )
    drop = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(index.schema, name))

    assert build.as_string(None) == create_index(index, name).sql
    assert drop.as_string(None) == drop_index(index, name).sql


@given(name=words)
def test_a_file_name_never_leaves_its_folder(name: str) -> None:
    """
    Whatever a move is called, its file is one plain name.
    """
    stem = file_stem(f"index:{name}(id)")

    assert stem and not set(stem) & set("/\\\0:\n") and not stem.startswith(".")


def test_names_in_other_alphabets_keep_apart() -> None:
    """
    Tables whose names have no Latin letter do not share one file.
    """
    assert file_stem("index:заказы(ид)") != file_stem("index:клиенты(ид)")
