"""
Production is only read: nothing of rung's writes there, nobody waits for it, and what it could not see is named.

Each level of privilege that docs/permissions.md names, a standby, a server that goes away, tables that are gone, and a
schema of ten thousand.
"""

from __future__ import annotations

import os
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from rung.adapters.cluster import Cluster, start
from rung.adapters.hands import RepositoryHands
from rung.adapters.planner import DatabasePlanner
from rung.clock import monotonic_s, sleep
from rung.config import Settings
from rung.errors import BuildFailed, DatabaseRefused
from rung.ports import (
    Describe,
    Explain,
    Index,
    IndexColumn,
    IndexUse,
    Promise,
    Server,
    ServerFacts,
    Unavailable,
    WhatIf,
)
from rung.steps.price.quote import BuildIndex
from rung.steps.take import take
from rung.surfaces.cli import main
from tests.asking import execute, rows
from tests.strategies import SLOW, TEXTS, keep_recording, quote_of, shop

WAIT_S_MAX = 0.1
PATIENCE_S_MAX = 60.0
STATEMENT = TEXTS[SLOW][0]
INDEX = Index("public", "orders", (IndexColumn("customer_id"), IndexColumn("created_at", descending=True)))
TABLES = """
create table customers (id bigint primary key, name text);
insert into customers select n, 'N' || n from generate_series(1, 5000) n;
create table orders (id bigint primary key, customer_id int, created_at timestamptz, note text{partitioned});
{partitions}
insert into orders
select n, n % 5000, '2026-01-01'::timestamptz + n * interval '1 minute', repeat('x', 100)
from generate_series(1, {rows}) n;
analyze;
"""
WHOLE = {"partitioned": "", "partitions": ""}
ROWS = 100_000
LEVELS = {
    "the app's own role": "alter table orders owner to {role}; alter table customers owner to {role}",
    "pg_monitor": "grant pg_monitor to {role}",
    "pg_read_all_data": "grant pg_monitor, pg_read_all_data to {role}",
}


@pytest.fixture
def orders(database: str) -> str:
    execute(database, TABLES.format(rows=ROWS, **WHOLE))
    return database


@pytest.fixture
def quiet(cluster: Cluster) -> Iterator[None]:
    """
    A server whose own workers take no transaction either, so that one more is one of ours.
    """
    execute(cluster.dsn(), "alter system set autovacuum = off")
    execute(cluster.dsn(), "select pg_reload_conf()")
    try:
        yield
    finally:
        execute(cluster.dsn(), "alter system reset autovacuum")
        execute(cluster.dsn(), "select pg_reload_conf()")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A repository with a recording in which the statement is the bottleneck.
    """
    for name in list(os.environ):
        if name.startswith(("RUNG_", "PG")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    keep_recording(tmp_path / ".rung/recordings/2026-11-23T20-33-05Z-shop", shop(count=600, connections=4))
    (tmp_path / "rung.toml").write_text('[goal]\nlatency = "50ms"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("level", LEVELS)
def test_find_and_price_write_nothing(
    level: str, orders: str, quiet: None, recorded: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    No transaction of ours is given a number, which every write needs, and no counter of rows written moves.
    """
    with role(cluster, orders, LEVELS[level]) as dsn:
        before = written(orders)
        for command in ("find", "price"):
            assert main([command, "--fresh", "--database", dsn]) == 0
        after = written(orders)
        told = capsys.readouterr().out
    execute(orders, "update customers set name = 'x' where id = 1")

    assert before == after
    assert after != written(orders), "a write would have been seen"
    # pg_monitor sees every session and no table.
    assert (level == "pg_monitor") == ("permission denied for table orders" in told), told
    assert (level != "pg_monitor") == ("index:orders(customer_id,created_at)" in told or "index orders" in told), told


def test_row_level_security_is_no_obstacle_to_the_owner_and_told_to_others(
    orders: str, recorded: Path, cluster: Cluster
) -> None:
    """
    The answers are a plan or a reason, never an error.
    """
    execute(orders, "alter table orders enable row level security; create policy own on orders using (customer_id < 9)")
    with role(cluster, orders, LEVELS["pg_read_all_data"]) as dsn:
        planner = DatabasePlanner(dsn)
        try:
            answers = [planner.explain(Explain(STATEMENT)), planner.what_if(WhatIf(STATEMENT, INDEX))]
        finally:
            planner.close()

    assert all(not isinstance(answer, Unavailable) or answer.reason for answer in answers)


def test_nobody_waits_for_find(orders: str, recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with traffic(orders) as seen:
        for command in ("find", "price"):
            assert main([command, "--fresh", "--database", orders]) == 0

    assert seen.sent > 0 and seen.looked > 0
    assert seen.waited_s <= WAIT_S_MAX, f"the app waited {seen.waited_s} s for a lock of rung's"


@pytest.mark.parametrize("partitioned", [False, True])
def test_nobody_waits_for_take(database: str, tmp_path: Path, partitioned: bool) -> None:
    """
    Built and taken back under traffic whose transactions last longer than the moment that a lock of ours may.
    """
    parts = {
        "partitioned": ", primary key (id, created_at)) partition by range (created_at",
        "partitions": "".join(
            f"create table orders_{n} partition of orders for values from ('2026-0{n}-01') to ('2026-0{n + 1}-01');"
            for n in range(1, 6)
        ),
    }
    text = TABLES.replace("orders (id bigint primary key", "orders (id bigint") if partitioned else TABLES
    execute(database, text.format(rows=ROWS, **(parts if partitioned else WHOLE)))
    work = take(quote_of(plan=BuildIndex(INDEX, "by_customer_rung", 1, partitioned=partitioned)), Settings()).work
    assert work is not None
    hands = RepositoryHands(tmp_path, database, lock_timeout_s=PATIENCE_S_MAX, old_transaction_s=PATIENCE_S_MAX)
    with traffic(database) as seen:
        assert not hands.apply(work, say=lambda _: None, wait=True).already
        hands.undo(work, say=lambda _: None)

    assert seen.sent > 0 and seen.looked > 0
    assert seen.waited_s <= WAIT_S_MAX, f"the app waited {seen.waited_s} s for a lock of rung's"


def test_a_wait_for_us_would_be_seen(orders: str) -> None:
    """
    The same watch, and a lock of ours that is held for longer.
    """
    with traffic(orders) as seen, psycopg.connect(orders, application_name="rung") as rude:
        rude.execute("lock table orders in exclusive mode")
        until(lambda: seen.waited_s > 2 * WAIT_S_MAX)
        rude.rollback()

    assert seen.waited_s > WAIT_S_MAX


def test_a_standby_is_read_and_not_built_on(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Everything that find and price ask, a standby answers; what builds says where to go instead.
    """
    with standby(tmp_path / "standby", TABLES.format(rows=ROWS, **WHOLE)) as dsn:
        for command in ("find", "price"):
            assert main([command, "--fresh", "--database", dsn]) == 0
        told = capsys.readouterr().out
        assert "index orders (customer_id" in told, told
        assert main(["take", "index", "--apply", "--database", dsn]) == 2
        refused = capsys.readouterr().err

    assert "this server is a standby, which can only be read" in refused
    assert "Name its primary with --database" in refused


def test_a_server_that_goes_away_in_the_middle(tmp_path: Path) -> None:
    """
    What was answered stays, and so does what the twin knows; what the server has to say says why there is nothing.
    """
    with passing(tmp_path / "own") as server:
        execute(server.dsn(), TABLES.format(rows=ROWS, **WHOLE))
        planner = DatabasePlanner(server.dsn())
        try:
            assert isinstance(planner.server(Server()), ServerFacts)
            assert isinstance(planner.what_if(WhatIf(STATEMENT, INDEX)), Promise)
            server.stop()
            for answer in (planner.explain(Explain(STATEMENT)), planner.index_use(IndexUse("public", "orders_pkey"))):
                assert isinstance(answer, Unavailable) and "onnection" in answer.reason
        finally:
            planner.close()


def test_find_stands_without_its_server(orders: str, recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The bottleneck is the recording's; that its plan could not be asked is said with the reason.
    """
    gone = conninfo.make_conninfo(orders, dbname="gone")
    for command in ("find", "price"):
        assert main([command, "--database", gone]) == 0
        told = capsys.readouterr().out
        assert "orders" in told and 'database "gone" does not exist' in told, told


def test_a_restart_in_the_middle_of_a_build(tmp_path: Path) -> None:
    """
    What is left is named with the statement that takes it away, and that statement does.
    """
    folder = tmp_path / "own"
    work = take(quote_of(plan=BuildIndex(INDEX, "by_customer_rung", 1)), Settings()).work
    assert work is not None
    with start(folder) as server:
        execute(server.dsn(), TABLES.format(rows=ROWS, **WHOLE))
        hands = RepositoryHands(tmp_path, server.dsn(), lock_timeout_s=PATIENCE_S_MAX, old_transaction_s=PATIENCE_S_MAX)
        holder = psycopg.connect(server.dsn())
        holder.execute("insert into orders values (0, 1, now(), '')")

        def say(line: str) -> None:
            if line.startswith("waiting for"):
                server.stop()

        with pytest.raises((BuildFailed, DatabaseRefused)) as failed:
            hands.apply(work, say=say, wait=True)
        holder.close()
    assert "An invalid index by_customer_rung may be left" in failed.value.why
    with passing(folder) as again:
        (left,) = rows(
            again.dsn(), "select indisvalid from pg_index join pg_class on oid = indexrelid where relname ~ 'rung'"
        )
        assert (False,) == left
        hands = RepositoryHands(tmp_path, again.dsn(), lock_timeout_s=PATIENCE_S_MAX, old_transaction_s=PATIENCE_S_MAX)
        assert not hands.apply(work, say=lambda _: None, wait=True).already


def test_a_dropped_table_is_named_and_the_rest_stands(
    orders: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(orders, "drop table orders")
    for command in ("find", "price"):
        assert main([command, "--fresh", "--database", orders]) == 0
        told = capsys.readouterr().out
        assert 'relation "orders" does not exist' in told, told


@pytest.mark.parametrize(
    "statement",
    [
        "selec * from orders",
        "select * from orders where customer_id = $1 /* " + "x" * 1_000_000 + " */",
        "select * from orders where customer_id in (" + ", ".join(f"${n}" for n in range(1, 60_000)) + ")",
        "select * from orders where " + "(" * 3_000 + "customer_id = $1" + ")" * 3_000,
        "",
    ],
    ids=["no SQL", "1 MB of comment", "60,000 values", "nested", "empty"],
)
def test_odd_statements_get_a_plan_or_a_reason(orders: str, statement: str) -> None:
    planner = DatabasePlanner(orders)
    try:
        for answer in (planner.explain(Explain(statement)), planner.what_if(WhatIf(statement, INDEX))):
            assert not isinstance(answer, Unavailable) or answer.reason
        assert isinstance(planner.server(Server()), ServerFacts)
    finally:
        planner.close()


@pytest.mark.timeout(240)
def test_ten_thousand_tables(orders: str) -> None:
    """
    What is asked about one table takes no lock on the others, nor a copy of them.
    """
    for hundred in range(100):
        execute(
            orders,
            f"do $$ begin for n in {hundred * 100} .. {hundred * 100 + 99} loop"
            " execute format('create table filler_%s (id int)', n); end loop; end $$",
        )
    planner = DatabasePlanner(orders)
    try:
        promise = planner.what_if(WhatIf(STATEMENT, INDEX))
        assert isinstance(promise, Promise) and promise.used, promise
        assert not isinstance(planner.describe(Describe("public", "orders")), Unavailable)
    finally:
        planner.close()


class Seen:
    """
    What the traffic did, and the longest that any of it waited for a lock of rung's.
    """

    def __init__(self) -> None:
        self.sent, self.looked, self.waited_s = 0, 0, 0.0


WAITS = """
select coalesce(max(extract(epoch from clock_timestamp() - l.waitstart)), 0)::float8
from pg_locks l
join pg_stat_activity a on a.pid = l.pid
where not l.granted and a.application_name = 'app' and a.datname = current_database() and exists (
    select from unnest(pg_blocking_pids(l.pid)) b join pg_stat_activity h on h.pid = b
    where h.application_name = 'rung'
)
"""


@contextmanager
def traffic(dsn: str) -> Iterator[Seen]:
    """
    Readers and writers of the orders, and a watch over whom they wait for.
    """
    seen, ended = Seen(), threading.Event()

    def send(number: int) -> None:
        with psycopg.connect(dsn, application_name="app") as connection:
            while not ended.is_set():
                connection.execute("select count(*) from orders where id between %s and %s", (number, number + 9))
                connection.execute("update orders set note = note where id = %s", (number,))
                sleep(0.02)  # a transaction lasts, as those of apps do
                connection.commit()
                seen.sent += 1

    def look() -> None:
        with psycopg.connect(dsn, application_name="watch", autocommit=True) as connection:
            while not ended.is_set():
                row = connection.execute(WAITS).fetchone()
                assert row is not None
                seen.waited_s, seen.looked = max(seen.waited_s, row[0]), seen.looked + 1
                sleep(0.01)

    threads = [threading.Thread(target=send, args=(number,)) for number in (1, 2, 3)] + [threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: seen.sent > 3 and seen.looked > 0)
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@contextmanager
def role(cluster: Cluster, dsn: str, grants: str) -> Iterator[str]:
    name = f"level_{uuid.uuid4().hex}"
    execute(dsn, f"create role {name} login password '{cluster.password}'")
    execute(dsn, grants.format(role=name))
    try:
        yield cluster.dsn(dsn.rpartition("/")[2], role=name)
    finally:
        execute(dsn, f"reassign owned by {name} to postgres; drop owned by {name}; drop role {name}")


@contextmanager
def standby(folder: Path, statements: str) -> Iterator[str]:
    """
    Yield the address of a server that replays what one that is gone has written, as a standby whose primary is away.
    """
    primary = start(folder, settings={"wal_level": "replica"})
    execute(primary.dsn(), statements)
    dsn, binaries, data, port = primary.dsn(), primary.binaries, primary.data.resolve(), primary.port
    primary.stop()
    owner = (data / "PG_VERSION").stat()
    (data / "standby.signal").touch()
    os.chown(data / "standby.signal", owner.st_uid, owner.st_gid)
    server = subprocess.Popen(
        [binaries / "postgres", "-D", data, "-c", f"port={port}", "-c", "listen_addresses=127.0.0.1",
         "-c", "unix_socket_directories=", "-c", "wal_level=replica",
         # With room for fewer than its primary had, a standby does not let anybody in.
         "-c", "max_connections=200"],
        user=owner.st_uid if os.geteuid() == 0 else None, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: answers(dsn))
        yield dsn
    finally:
        server.terminate()
        server.wait(PATIENCE_S_MAX)
        primary.remove()


@contextmanager
def passing(folder: Path) -> Iterator[Cluster]:
    """
    Yield the server of *folder*, of which nothing is left.
    """
    server = start(folder)
    try:
        yield server
    finally:
        server.remove()


def answers(dsn: str) -> bool:
    try:
        return [(True,)] == rows(dsn, "select pg_is_in_recovery()")
    except psycopg.OperationalError:
        return False


def written(dsn: str) -> tuple[Any, ...]:
    """
    Return what moves with each write: the server's next transaction, the database's rows, the catalog.
    """
    (row,) = rows(
        dsn,
        "select pg_snapshot_xmax(pg_current_snapshot())::text,"
        " (select tup_inserted + tup_updated + tup_deleted from pg_stat_database where datname = current_database()),"
        " (select count(*) from pg_class), (select max(oid::bigint) from pg_class)",
    )
    return row


def until(happened: Callable[[], bool]) -> None:
    deadline_s = monotonic_s() + PATIENCE_S_MAX
    while not happened():
        assert monotonic_s() < deadline_s
        sleep(0.02)
