"""
The hands on a real database: an index without blocking anybody, and nothing left of one that failed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rung.adapters import hands as hands_module
from rung.adapters.cluster import Cluster
from rung.adapters.hands import RepositoryHands
from rung.clock import monotonic_s, sleep
from rung.errors import BuildBlocked, BuildFailed, DatabaseDenied, DatabaseNotGiven
from rung.ports import Applied, Index, IndexColumn, NamedIndex, Work
from rung.steps.take import create_index, drop_index
from tests.asking import execute as _execute
from tests.asking import rows as _rows

NAME = "orders_customer_id_created_at_desc_rung"
INDEX = Index("public", "orders", (IndexColumn("customer_id"), IndexColumn("created_at", descending=True)))
ROWS = 20_000
MANY_ROWS = 400_000
PATIENCE_S_MAX = 60.0
RUNNING = "select query from pg_stat_activity where application_name = 'rung' and datname = current_database()"
ORDERS = """
create table orders (id bigint generated always as identity primary key, customer_id int, created_at timestamptz);
insert into orders (customer_id, created_at)
select n %% 500, '2026-01-01'::timestamptz + n * interval '1 minute' from generate_series(1, {rows}) n;
""".replace("%%", "%")


@pytest.fixture
def orders(database: str) -> str:
    _execute(database, ORDERS.format(rows=ROWS))
    return database


def test_an_index_is_built_while_a_writer_goes_on(orders: str, tmp_path: Path) -> None:
    said: list[str] = []
    written = 0

    with psycopg.connect(orders, autocommit=True) as writer:

        def say(line: str) -> None:
            nonlocal written
            said.append(line)
            # The build waits for our older transaction, and does not hold this write up meanwhile.
            writer.execute("set lock_timeout = '1ms'")
            writer.execute("insert into orders (customer_id, created_at) values (1, now())")
            written += 1
            if holder.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
                holder.rollback()

        with psycopg.connect(orders) as holder:
            holder.execute("insert into orders (customer_id, created_at) values (1, now())")
            applied = _build(_hands(orders, tmp_path, old_transaction_s=3600), say=say)

    assert not applied.already
    assert applied.took_s > 0
    assert [(True, applied.size_bytes)] == _rows(
        orders, f"select indisvalid, pg_relation_size(indexrelid) from pg_index where indexrelid = '{NAME}'::regclass"
    )
    assert written >= 1
    assert any("waiting for" in line and "pid" in line for line in said)
    assert written == _rows(orders, f"select count(*) - {ROWS} from orders")[0][0]


def test_taking_it_twice_says_already(orders: str, tmp_path: Path) -> None:
    hands = _hands(orders, tmp_path)
    first = _build(hands)
    again = _build(hands)

    assert Applied(already=True, took_s=0.0, size_bytes=first.size_bytes) == again


@pytest.mark.parametrize(
    "index",
    [
        Index("Shop – EU", 'we"ird; table', (IndexColumn('a "b"', descending=True), IndexColumn("Größe"))),
        Index("Shop – EU", 'we"ird; table', (IndexColumn("select"),)),
    ],
)
def test_names_that_need_quotes(database: str, tmp_path: Path, index: Index) -> None:
    _execute(
        database,
        'create schema "Shop – EU";'
        'create table "Shop – EU"."we""ird; table" ("a ""b""" int, "Größe" int, "select" int)',
    )
    hands = _hands(database, tmp_path)
    name = "x'y\"z_rung"

    assert not _build(hands, index, name).already
    assert _build(hands, index, name).already
    _undo(hands, index, name)
    assert [(0,)] == _rows(database, "select count(*) from pg_class where relname like 'x''y%'")


def test_an_invalid_leftover_of_ours_is_dropped_and_built_anew(orders: str, tmp_path: Path) -> None:
    _leave_invalid(orders, create_index(INDEX, NAME).sql)
    said: list[str] = []

    applied = _build(_hands(orders, tmp_path), say=said.append)

    assert not applied.already
    assert [(True,)] == _validity(orders)
    assert f"dropping an invalid leftover of an earlier build: {NAME}" in said


@pytest.mark.parametrize(
    "definition",
    [
        "on orders (created_at, customer_id)",
        "on orders (customer_id, created_at)",
        "on orders (customer_id, created_at desc nulls last)",
        "on orders (customer_id, created_at desc) where customer_id > 7",
        "on orders (customer_id, created_at desc) include (id)",
        "on orders (abs(customer_id), created_at desc)",
        "on orders using hash (customer_id)",
        "on other (customer_id, created_at desc)",
    ],
)
@pytest.mark.parametrize("valid", [True, False])
def test_somebodys_index_of_that_name_is_left_alone(
    orders: str, tmp_path: Path, definition: str, *, valid: bool
) -> None:
    _execute(orders, "create table other (customer_id int, created_at timestamptz)")
    _execute(orders, f"create index {NAME} {definition}")
    _execute(orders, f"update pg_index set indisvalid = {valid} where indexrelid = '{NAME}'::regclass")
    before = _rows(orders, f"select '{NAME}'::regclass::oid")

    with pytest.raises(BuildFailed, match="another index has the name") as refused:
        _build(_hands(orders, tmp_path))

    assert "left alone" in refused.value.why
    assert before == _rows(orders, f"select '{NAME}'::regclass::oid")
    assert [(valid,)] == _validity(orders)


@pytest.mark.parametrize(
    ("begin", "do"),
    [
        ("begin", "select 1"),
        ("begin", "insert into orders (customer_id, created_at) values (1, now())"),
        ("begin isolation level repeatable read", "select count(*) from orders"),
    ],
    ids=["idle", "writer", "snapshot"],
)
def test_an_old_transaction_is_named_and_nothing_built(orders: str, tmp_path: Path, begin: str, do: str) -> None:
    with psycopg.connect(orders, autocommit=True, application_name="night_report") as old:
        old.execute(begin)
        old.execute(do)
        pid = old.info.backend_pid
        with pytest.raises(BuildBlocked) as refused:
            _build(_hands(orders, tmp_path, old_transaction_s=0))

    assert f"pid {pid} (postgres, night_report, idle in transaction)" in refused.value.message
    assert [] == _validity(orders)


def test_waiting_says_so_and_goes_on_when_the_transaction_ends(orders: str, tmp_path: Path) -> None:
    said: list[str] = []
    with psycopg.connect(orders) as old:
        pid = old.info.backend_pid
        old.execute("select 1")

        def say(line: str) -> None:
            said.append(line)
            if line.startswith("waiting for open transactions"):
                old.rollback()

        applied = _build(_hands(orders, tmp_path, old_transaction_s=0), say=say, wait=True)

    assert not applied.already
    assert f"pid {pid}" in said[0]
    assert [(True,)] == _validity(orders)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("pg_cancel_backend", "canceling statement due to user request"),
        ("pg_terminate_backend", "terminating connection due to administrator command"),
        ("", "canceling statement due to lock timeout"),
    ],
)
def test_a_build_that_fails_leaves_nothing(orders: str, tmp_path: Path, function: str, problem: str) -> None:
    """
    Whatever holds the build up holds the drop of its leftover up too, and ends here while that waits.
    """
    said: list[str] = []
    with psycopg.connect(orders) as holder:
        holder.execute("insert into orders (customer_id, created_at) values (1, now())")

        def say(line: str) -> None:
            said.append(line)
            if function and line.startswith("waiting for"):
                _execute(orders, f"select {function}(pid) from pg_stat_progress_create_index")
            if line.startswith("dropping what is left"):
                holder.rollback()

        hands = _hands(orders, tmp_path, old_transaction_s=3600, lock_timeout_s=PATIENCE_S_MAX if function else 0.2)
        with pytest.raises(BuildFailed, match=problem) as failed:
            _build(hands, say=say)

    assert "Its invalid leftover was dropped." == failed.value.left
    assert [] == _validity(orders)


def test_a_leftover_that_cannot_be_dropped_is_told(
    orders: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands_module, "CLEAN_UP_S_MAX", 1)
    with psycopg.connect(orders) as holder:
        holder.execute("insert into orders (customer_id, created_at) values (1, now())")
        with pytest.raises(BuildFailed, match="lock timeout") as failed:
            _build(_hands(orders, tmp_path, old_transaction_s=3600, lock_timeout_s=0.2))
    told, _, again = failed.value.left.partition("; drop it: ")

    assert f"An invalid index {NAME} may be left on 127.0.0.1:" in told
    assert told.endswith("(an open transaction keeps it there)")
    assert [(False,)] == _validity(orders)
    _execute(orders, again)
    assert [] == _validity(orders)


def test_a_role_that_does_not_own_the_table(orders: str, tmp_path: Path, cluster: Cluster) -> None:
    with _role(cluster, orders, "") as dsn:
        with pytest.raises(DatabaseDenied, match="must be owner of table orders"):
            _build(_hands(dsn, tmp_path))
        _build(_hands(orders, tmp_path))
        with pytest.raises(DatabaseDenied, match="must be owner of index"):
            _undo(_hands(dsn, tmp_path))

    assert [(True,)] == _validity(orders)


def test_a_role_with_room_for_one_connection_builds_unwatched(orders: str, tmp_path: Path, cluster: Cluster) -> None:
    said: list[str] = []
    with _role(cluster, orders, "connection limit 1") as dsn:
        role = dsn.partition("//")[2].partition(":")[0]
        _execute(orders, f"alter table orders owner to {role}; grant create on schema public to {role}")
        assert not _build(_hands(dsn, tmp_path), say=said.append).already
        _execute(orders, "alter table orders owner to postgres")

    assert [(True,)] == _validity(orders)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("create view orders as select 1 as customer_id, now() as created_at", "public.orders is no table"),
        ("select 1", "there is no table public.orders"),
    ],
)
def test_what_cannot_be_indexed_is_told_before_anything_is_written(
    database: str, tmp_path: Path, table: str, problem: str
) -> None:
    _execute(database, table)
    before = _rows(database, "select pg_current_xact_id_if_assigned(), count(*), max(oid::int8) from pg_class")

    with pytest.raises(BuildFailed, match=problem) as refused:
        _build(_hands(database, tmp_path))

    assert refused.value.why.startswith("Nothing was changed.")
    assert before == _rows(database, "select pg_current_xact_id_if_assigned(), count(*), max(oid::int8) from pg_class")


def test_a_build_by_somebody_else_is_left_alone(orders: str, tmp_path: Path) -> None:
    with psycopg.connect(orders) as holder, psycopg.connect(orders, autocommit=True) as other:
        holder.execute("insert into orders (customer_id, created_at) values (1, now())")
        building = threading.Thread(target=other.execute, args=(create_index(INDEX, NAME).sql.encode(),))
        building.start()
        try:
            _until(lambda: [] != _rows(orders, "select from pg_stat_progress_create_index where lockers_total > 0"))
            with pytest.raises(BuildFailed, match="somebody is building it right now"):
                _build(_hands(orders, tmp_path, old_transaction_s=3600))
        finally:
            holder.rollback()
            building.join()

    assert [(True,)] == _validity(orders)


def test_the_undo_takes_it_away_and_may_be_repeated(orders: str, tmp_path: Path) -> None:
    hands = _hands(orders, tmp_path)
    _build(hands)
    _undo(hands)
    assert [] == _validity(orders)
    _undo(hands)


def test_an_undo_that_meets_a_lock_is_told_and_can_be_repeated(orders: str, tmp_path: Path) -> None:
    _build(_hands(orders, tmp_path))
    with psycopg.connect(orders) as reader:
        reader.execute("select count(*) from orders where customer_id = 1")
        with pytest.raises(BuildFailed, match="lock timeout") as failed:
            _undo(_hands(orders, tmp_path, lock_timeout_s=0.2))
    assert "run the same again" in failed.value.left

    _undo(_hands(orders, tmp_path))
    assert [] == _validity(orders)


def test_no_database_was_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseNotGiven):
        _build(RepositoryHands(tmp_path, None, lock_timeout_s=5, old_transaction_s=60))


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from rung.adapters.hands import RepositoryHands
from rung.ports import Index, IndexColumn, NamedIndex, Work
from rung.steps.take import create_index

index = Index("public", "orders", (IndexColumn("customer_id"), IndexColumn("created_at", True)))
create = create_index(index, sys.argv[1])
work = Work((create,), (), (NamedIndex("public", "orders", sys.argv[1], create, index),))
hands = RepositoryHands(Path.cwd(), os.environ["DSN"], lock_timeout_s=60, old_transaction_s=3600)
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print("ready", flush=True)
    hands.apply(work, say=lambda line: print(line, flush=True), wait=False)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture(scope="module")
def many_orders(cluster: Cluster) -> Iterator[str]:
    """
    A table whose index takes a while to build.
    """
    name = f"many_orders_{os.getpid()}"
    _execute(cluster.dsn(), f"create database {name}")
    _execute(cluster.dsn(name), ORDERS.format(rows=MANY_ROWS))
    yield cluster.dsn(name)
    _execute(cluster.dsn(), f"drop database {name} with (force)")


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("moment_s", [0.0, 0.05, 0.1])
def test_ctrl_c_leaves_no_invalid_index_and_no_running_build(
    many_orders: str, tmp_path: Path, moment_s: float, times: int
) -> None:
    with _interruptible(many_orders, tmp_path) as (process, lines):
        assert "ready\n" == next(lines)
        sleep(moment_s)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            sleep(0.01)
        said = process.communicate(timeout=PATIENCE_S_MAX)

    # The last of several may come when Python is already on its way out.
    assert process.returncode in {0, 130, *([-signal.SIGINT] if times > 1 else [])}, said
    left = _validity(many_orders)
    assert left in ([], [(True,)]), said  # none, or it was complete before the signal came
    _execute(many_orders, f"drop index if exists {NAME}")
    _until(lambda: [] == _rows(many_orders, RUNNING))


def test_ctrl_c_while_the_build_waits_for_somebody(orders: str, tmp_path: Path) -> None:
    with psycopg.connect(orders) as holder:
        holder.execute("insert into orders (customer_id, created_at) values (1, now())")
        with _interruptible(orders, tmp_path) as (process, lines):
            assert any(line.startswith("waiting for") for line in lines)
            process.send_signal(signal.SIGINT)
            assert any(line.startswith("dropping what is left") for line in lines)
            # Impatience must not leave it half done.
            process.send_signal(signal.SIGINT)
            holder.rollback()
            rest, said = process.communicate(timeout=PATIENCE_S_MAX)

    assert 130 == process.returncode, said
    assert [] == _validity(orders)
    assert [] == _rows(orders, RUNNING)
    assert rest in {"", "Its invalid leftover was dropped.\n"}


@contextmanager
def _interruptible(dsn: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, NAME],
        env={**os.environ, "DSN": dsn},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, iter(process.stdout)
        finally:
            process.kill()


def _hands(
    dsn: str, folder: Path, *, lock_timeout_s: float = PATIENCE_S_MAX, old_transaction_s: float = 60.0
) -> RepositoryHands:
    return RepositoryHands(folder, dsn, lock_timeout_s=lock_timeout_s, old_transaction_s=old_transaction_s)


def _build(
    hands: RepositoryHands,
    index: Index = INDEX,
    name: str = NAME,
    *,
    say: Callable[[str], None] = lambda _: None,
    wait: bool = False,
) -> Applied:
    return hands.apply(_work(index, name), say=say, wait=wait)


def _undo(hands: RepositoryHands, index: Index = INDEX, name: str = NAME) -> None:
    hands.undo(_work(index, name), say=lambda _: None)


def _work(index: Index, name: str) -> Work:
    create, drop = create_index(index, name), drop_index(index, name)
    return Work((create,), (drop,), (NamedIndex(index.schema, index.table, name, create, index),))


def _leave_invalid(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as holder, psycopg.connect(dsn, autocommit=True) as builder:
        holder.execute("insert into orders (customer_id, created_at) values (1, now())")
        builder.execute("set lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            builder.execute(statement.encode())
    assert [(False,)] == _validity(dsn)


def _validity(dsn: str) -> list[tuple[Any, ...]]:
    return _rows(dsn, f"select indisvalid from pg_index join pg_class on oid = indexrelid where relname = '{NAME}'")


@contextmanager
def _role(cluster: Cluster, dsn: str, options: str) -> Iterator[str]:
    role = f"app_{os.getpid()}"
    database = dsn.rpartition("/")[2]
    _execute(dsn, f"create role {role} login password '{cluster.password}' {options}")
    try:
        yield cluster.dsn(database, role=role)
    finally:
        _execute(dsn, f"drop owned by {role}; drop role {role}")


def _until(happened: Callable[[], bool]) -> None:
    deadline_s = monotonic_s() + PATIENCE_S_MAX
    while not happened():
        assert monotonic_s() < deadline_s
        sleep(0.02)
