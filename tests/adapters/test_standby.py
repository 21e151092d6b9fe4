"""
A standby as the target: plans are asked for and statements are run as on a primary; what it cannot know is not made up.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from rung.adapters.cluster import SETTINGS, start
from rung.adapters.explaining import read_plan
from rung.adapters.hands import RepositoryHands
from rung.adapters.planner import DatabasePlanner
from rung.errors import BuildFailed
from rung.ports import Describe, Explain, Index, IndexColumn, Plan, Promise, Statement, Table, WhatIf, Work
from rung.steps.explain.questions import Known, Statistics
from rung.steps.explain.stale import stale
from rung.steps.explain.tree import read
from tests.ports import free_port

PATIENCE_S = 30
STATEMENT = "select * from orders where customer_id = $1"


@pytest.fixture(scope="module")
def standby() -> Iterator[str]:
    """
    A server that was shut down and is started again as the standby of nobody: it reads what it has, and writes nothing.
    """
    # Where whoever the server runs as can reach it: pytest's folders are for their owner only.
    folder = Path(tempfile.mkdtemp(prefix="rung-standby-"))
    folder.chmod(0o711)
    primary = start(folder / "server", settings={"fsync": "off"})
    try:
        with psycopg.connect(primary.dsn(), autocommit=True) as connection:
            connection.execute("create table orders (id int primary key, customer_id int)")
            connection.execute("insert into orders select n, n % 1000 from generate_series(1, 50000) n")
            connection.execute("vacuum analyze orders")
        primary.stop()
        owner = primary.data.stat()
        signal = primary.data / "standby.signal"
        signal.touch()
        os.chown(signal, owner.st_uid, owner.st_gid)
        port = free_port()
        command = [
            str(primary.binaries / "postgres"), "-D", str(primary.data), "-c", f"port={port}",
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
            # A standby takes no fewer than its primary did.
            "-c", f"max_connections={SETTINGS['max_connections']}",
        ]  # fmt: skip
        account = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
        server = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=primary.data, **account
        )
        try:
            dsn = psycopg.conninfo.make_conninfo(primary.dsn(), port=str(port))
            _wait_for(dsn, server)
            yield dsn
        finally:
            server.terminate()
            server.wait(PATIENCE_S)
    finally:
        primary.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(dsn: str, server: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while True:
        assert server.poll() is None, "the standby ended"
        assert time.monotonic() < give_up
        try:
            with psycopg.connect(dsn) as connection:
                assert connection.execute("select pg_is_in_recovery()").fetchone() == (True,)
                return
        except psycopg.OperationalError:
            time.sleep(0.05)


def test_a_statement_is_explained_and_run(standby: str) -> None:
    planned = read_plan(standby, STATEMENT)
    assert (planned.standby, planned.generic) == (True, True)
    tree = read(read_plan(standby, STATEMENT, values=["7"], analyze=True).document)
    assert tree.root.rows == 50


def test_what_it_does_not_count_is_not_made_up(standby: str) -> None:
    planner = DatabasePlanner(standby)
    try:
        known = planner.statistics(Statistics((("public", "orders"),)))
    finally:
        planner.close()
    assert isinstance(known, Known)
    assert known.standby
    (orders,) = known.tables
    # What it has counted was counted when it was a primary.
    assert orders.rows_known == 50_000
    assert stale(orders, standby=known.standby) == ""
    assert all(column.known for column in orders.columns)


def test_an_index_is_tried_against_it(standby: str) -> None:
    planner = DatabasePlanner(standby)
    try:
        plan = planner.explain(Explain(STATEMENT))
        table = planner.describe(Describe("public", "orders"))
        promise = planner.what_if(WhatIf(STATEMENT, Index("public", "orders", (IndexColumn("customer_id"),))))
    finally:
        planner.close()
    assert isinstance(plan, Plan)
    assert isinstance(table, Table)
    assert isinstance(promise, Promise), promise
    assert promise.used


def test_nothing_can_be_taken_there(standby: str, tmp_path: Path) -> None:
    hands = RepositoryHands(tmp_path, standby, lock_timeout_s=0.5, old_transaction_s=60.0)
    with pytest.raises(BuildFailed, match="standby"):
        hands.apply(Work((Statement("ANALYZE orders"),), ()), say=lambda _: None, wait=True)
