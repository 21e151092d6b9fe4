"""
The hands on a partitioned table: partition by partition, going on where they were ended, and all of it undone.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rung.adapters.cluster import Cluster
from rung.adapters.hands import RepositoryHands
from rung.config import Settings
from rung.errors import BuildFailed
from rung.ports import Applied, Index, IndexColumn, Work
from rung.steps.price.quote import BuildIndex, DropIndex
from rung.steps.take import take
from tests.asking import execute as _execute
from tests.asking import rows as _rows
from tests.strategies import quote_of

NAME = "orders_customer_id_rung"
INDEX = Index("public", "orders", (IndexColumn("customer_id"), IndexColumn("lower(note)", expression=True)))
# Two levels, and names that need quotes or are as long as a name may be.
LONG = "o" * 63
ORDERS = f"""
create table orders (id bigint, customer_id int, note text, created_at date) partition by range (created_at);
create table orders_2025 partition of orders for values from ('2025-01-01') to ('2026-01-01');
create table "Orders ""26" partition of orders for values from ('2026-01-01') to ('2027-01-01')
    partition by hash (id);
create table {LONG} partition of "Orders ""26" for values with (modulus 2, remainder 0);
create table "größer_1" partition of "Orders ""26" for values with (modulus 2, remainder 1);
create table orders_rest partition of orders default;
insert into orders select n, n % 50, 'N' || n, '2025-06-01'::date + n % 900 from generate_series(1, 3000) n;
analyze orders;
"""
TABLES = 6
PATIENCE_S_MAX = 60.0


@pytest.fixture
def orders(database: str) -> str:
    _execute(database, ORDERS)
    return database


def test_every_partition_gets_one_and_the_parents_is_valid(orders: str, tmp_path: Path) -> None:
    said: list[str] = []
    applied = _apply(orders, tmp_path, say=said.append)

    assert not applied.already and applied.size_bytes > 0
    assert [(True, TABLES)] == _tree(orders)
    assert "5 of 5 partitions" in " ".join(said)
    plan = _rows(orders, "explain select from orders where customer_id = 1 and lower(note) = 'n51'")
    assert "Index" in str(plan) or "Bitmap" in str(plan)
    assert _apply(orders, tmp_path) == Applied(already=True, took_s=0.0, size_bytes=applied.size_bytes)


def test_a_writer_is_never_held_up(orders: str, tmp_path: Path) -> None:
    """
    While it is built, partition by partition, a writer waits for none of our locks.
    """
    written = 0
    with psycopg.connect(orders, autocommit=True) as writer:
        writer.execute("set lock_timeout = '100ms'")

        def say(line: str) -> None:
            nonlocal written
            writer.execute("insert into orders values (1, 1, 'x', '2026-02-02'), (2, 2, 'y', '2025-02-02')")
            written += 2

        _apply(orders, tmp_path, say=say)

    assert written == _rows(orders, "select count(*) - 3000 from orders")[0][0] >= 10
    assert [(True, TABLES)] == _tree(orders)


@pytest.mark.parametrize("at", [1, 2, 4, 5])
def test_what_was_interrupted_goes_on(orders: str, tmp_path: Path, at: int) -> None:
    """
    A second run leaves what is there alone, and builds the rest.
    """

    def interrupt(line: str) -> None:
        if line.startswith(f"{at} of 5 partitions"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _apply(orders, tmp_path, say=interrupt)
    valid, before = _tree(orders)[0]
    assert not valid and before == at
    built = _files(orders)
    assert not _apply(orders, tmp_path).already

    assert [(True, TABLES)] == _tree(orders)
    assert built <= _files(orders)


def test_what_was_interrupted_can_be_undone(orders: str, tmp_path: Path) -> None:
    said: list[str] = []

    def interrupt(line: str) -> None:
        said.append(line)
        if line.startswith("3 of 5 partitions"):
            raise KeyboardInterrupt

    before = _files(orders)
    with pytest.raises(KeyboardInterrupt):
        _apply(orders, tmp_path, say=interrupt)
    assert before != _files(orders)
    _hands(orders, tmp_path).undo(_work(), say=lambda _: None)

    assert before == _files(orders)
    _hands(orders, tmp_path).undo(_work(), say=lambda _: None)


def test_one_that_has_not_joined_is_undone_too(orders: str, tmp_path: Path) -> None:
    before = _files(orders)
    _apply(orders, tmp_path)
    # As if it had been ended between the build and the attaching.
    ((child,),) = _rows(
        orders, "select indexrelid::regclass::text from pg_index where indrelid = 'orders_rest'::regclass"
    )
    ((definition,),) = _rows(orders, f"select pg_get_indexdef('{child}'::regclass)")
    _hands(orders, tmp_path).undo(_work(), say=lambda _: None)
    _execute(orders, definition)
    assert before != _files(orders)
    _hands(orders, tmp_path).undo(_work(), say=lambda _: None)

    assert before == _files(orders)


def test_a_partition_made_meanwhile_has_one_already(orders: str, tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("2 of 5 partitions"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _apply(orders, tmp_path, say=interrupt)
    # A table whose rows may be elsewhere already is what PostgreSQL itself refuses; an empty year is not.
    _execute(orders, "create table orders_2030 partition of orders for values from ('2030-01-01') to ('2031-01-01')")
    _apply(orders, tmp_path)

    assert [(True, TABLES + 1)] == _tree(orders)
    assert [(1,)] == _rows(orders, "select count(*) from pg_index where indrelid = 'orders_2030'::regclass")


def test_a_foreign_partition_is_refused_before_anything(orders: str, tmp_path: Path) -> None:
    _execute(
        orders,
        "create extension postgres_fdw; create server far foreign data wrapper postgres_fdw;"
        "create foreign table orders_far partition of orders"
        " for values from ('2040-01-01') to ('2041-01-01') server far",
    )
    before = _files(orders)
    with pytest.raises(BuildFailed, match="orders_far is a foreign table"):
        _apply(orders, tmp_path)

    assert before == _files(orders)


def test_what_takes_a_lock_gives_up_at_once_and_tries_again(orders: str, tmp_path: Path) -> None:
    """
    A writer that came while we wait is not held up by us, however long the open transaction stays.
    """
    said: list[str] = []
    with psycopg.connect(orders) as holder, psycopg.connect(orders, autocommit=True) as writer:
        holder.execute("insert into orders values (1, 1, 'x', '2026-02-02')")
        writer.execute("set lock_timeout = '100ms'")

        def say(line: str) -> None:
            said.append(line)
            if line.startswith("waiting for a moment"):
                for _ in range(3):
                    writer.execute("insert into orders values (1, 1, 'x', '2026-02-02')")
                holder.rollback()

        _apply(orders, tmp_path, say=say)

    assert any(line.startswith("waiting for a moment") for line in said)
    assert [(True, TABLES)] == _tree(orders)


def test_a_drop_is_brought_back_partition_by_partition(orders: str, tmp_path: Path) -> None:
    _execute(orders, "create index by_note on orders (note desc nulls last) where note is not null")
    ((definition,),) = _rows(orders, "select pg_get_indexdef('by_note'::regclass)")
    gone = DropIndex("public", "orders", "by_note", definition, 1, partitioned=True)
    work = take(quote_of(name="index-drop:by_note", plan=None, drop=gone), Settings()).work
    assert work is not None
    assert not _hands(orders, tmp_path).apply(work, say=lambda _: None, wait=False).already
    assert [] == _tree(orders, "by_note")
    _hands(orders, tmp_path).undo(work, say=lambda _: None)

    assert [(True, TABLES)] == _tree(orders, "by_note")
    assert [(definition,)] == _rows(orders, "select pg_get_indexdef('by_note'::regclass)")


@pytest.mark.parametrize("begun", [False, True])
def test_the_files_do_the_same(orders: str, tmp_path: Path, cluster: Cluster, begun: bool) -> None:
    """
    What is written for psql builds what the hands would build, goes on with what they began, and undoes it.
    """
    before = _files(orders)
    if begun:

        def interrupt(line: str) -> None:
            if line.startswith("3 of 5 partitions"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            _apply(orders, tmp_path, say=interrupt)
    change = take(quote_of(plan=BuildIndex(INDEX, NAME, 1, partitioned=True)), Settings())
    _hands(orders, tmp_path).write(change.files)
    told = _psql(cluster, orders, tmp_path / change.files[0].path)

    assert told.splitlines()[-1].strip() == "t", told
    assert [(True, TABLES)] == _tree(orders)
    assert _apply(orders, tmp_path).already
    _psql(cluster, orders, tmp_path / change.files[0].path)
    _psql(cluster, orders, tmp_path / change.files[1].path)
    assert before == _files(orders)


def _psql(cluster: Cluster, dsn: str, path: Path) -> str:
    program = cluster.binaries / "psql"
    if not program.exists():
        pytest.skip("this build of PostgreSQL has no psql")
    done = subprocess.run(
        [program, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", path, dsn],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def _work() -> Work:
    work = take(quote_of(plan=BuildIndex(INDEX, NAME, 1, partitioned=True)), Settings()).work
    assert work is not None
    return work


def _hands(dsn: str, folder: Path) -> RepositoryHands:
    return RepositoryHands(folder, dsn, lock_timeout_s=PATIENCE_S_MAX, old_transaction_s=PATIENCE_S_MAX)


def _apply(dsn: str, folder: Path, *, say: Callable[[str], None] = lambda _: None) -> Applied:
    return _hands(dsn, folder).apply(_work(), say=say, wait=False)


def _tree(dsn: str, name: str = NAME) -> list[tuple[Any, ...]]:
    """
    Return whether the parent's index is valid, and how many have joined it, itself counted.
    """
    return _rows(
        dsn,
        "select i.indisvalid, (select count(*)::int from pg_partition_tree(i.indexrelid))"
        f" from pg_index i join pg_class c on c.oid = i.indexrelid where c.relname = '{name}'",
    )


def _files(dsn: str) -> set[tuple[Any, ...]]:
    return set(_rows(dsn, "select oid, relname from pg_class where relkind in ('i', 'I') and relnamespace = 2200"))
