"""
What is sampled beside the app, on this host and on a real server: figures that add up, and no values of users.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import psycopg
import pytest
from psycopg import conninfo, sql

from rung import frames
from rung.adapters import launcher
from rung.adapters.collector import databases, hosts, looks, samplers
from rung.adapters.collector.databases import DatabaseSampler, Totals
from rung.adapters.collector.hosts import HostSampler, role_of
from rung.probe.statement import normalised
from rung.steps.record import SAMPLED, Intake
from tests.adapters.test_collector import collecting, manifest, said
from tests.probe.serving import PATIENCE_S, table

CANARY = "kanarienvogel"


def named(name: str, rows: list[tuple[object, ...]]) -> list[dict[str, object]]:
    return [dict(zip((column for column, _ in SAMPLED[name]), row, strict=True)) for row in rows]


def inline(statement: str, *values: object) -> sql.Composed:
    """A statement with its values in its text, as careless apps write them."""
    return sql.SQL(statement).format(*values)


def burn(cpu_s: float) -> None:
    until = time.process_time() + cpu_s
    while time.process_time() < until:
        pass


# The host


def test_a_host_s_figures_are_of_the_time_between_two_samples() -> None:
    sampler = HostSampler()
    own = psutil.Process()
    before_s = sum(own.cpu_times()[:2])
    burn(0.3)
    sampled = sampler.sample([(os.getpid(), time.time())])
    used_s = sum(own.cpu_times()[:2]) - before_s
    (host,) = named("hosts", sampled["hosts"])
    assert host["host"] == socket.gethostname()
    assert 0.3 <= host["lasted_s"]
    assert host["cores"] >= host["cores_allowed"] > 0
    # This process alone kept a core busy; the kernel counts in hundredths.
    assert 0.2 <= host["busy_s"] <= host["cores"] * host["lasted_s"] + 0.5
    assert 0 < host["memory_used_bytes"] <= host["memory_bytes"]
    mine = [row for row in named("programs", sampled["programs"]) if row["pid"] == os.getpid()]
    # The first is the collector, which this process stands for; the app needs a second look.
    assert ["collector"] == [row["role"] for row in mine]
    assert 0.2 <= mine[0]["cpu_s"] <= used_s + 0.1
    again = named("programs", sampler.sample([(os.getpid(), time.time())])["programs"])
    assert {"app", "collector"} == {row["role"] for row in again if row["pid"] == os.getpid()}


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


BURNING = "import time\nprint(flush=True)\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"


def test_an_app_is_counted_from_the_second_look_and_gone_when_it_ends() -> None:
    programs = hosts.Programs()
    with child("-c", BURNING) as process:
        process.stdout.readline()
        reported = [(process.pid, time.time())]
        assert not [row for row in programs.look(reported) if row[0] == "app"]
        process.stdout.readline()
        (app,) = [row for row in programs.look(reported) if row[0] == "app"]
        assert process.pid == app[1]
        assert 0.1 < app[3] < 1.0
        assert app[4] > 1_000_000
    assert not [row for row in programs.look(reported) if row[0] == "app"]


def test_a_number_that_another_process_has_by_now_is_not_the_app() -> None:
    programs = hosts.Programs()
    long_ago = [(os.getpid(), psutil.Process().create_time() - 100)]
    assert not [row for row in [*programs.look(long_ago), *programs.look(long_ago)] if row[0] == "app"]


def test_a_server_is_one_program_that_keeps_the_cpu_of_closed_connections(cluster, database) -> None:
    programs = hosts.Programs()
    list(programs.look(()))
    with psycopg.connect(database) as connection:
        connection.execute("select sum(n) from generate_series(1, 3000000) n")
        backend = psutil.Process(connection.info.backend_pid)
        used_s = backend.cpu_times().user + backend.cpu_times().system
    backend.wait(PATIENCE_S) if backend.is_running() else None
    (server,) = [row for row in programs.look(()) if row[:2] == ("database", cluster.pid)]
    _, _, processes, cpu_s, rss_bytes, nice, processors = server
    assert processes > 3
    assert cpu_s >= used_s - 0.05 > 0.05
    assert rss_bytes > 10_000_000
    assert nice == psutil.Process(cluster.pid).nice()
    if hasattr(os, "sched_getaffinity"):
        assert processors == ",".join(str(each) for each in sorted(os.sched_getaffinity(cluster.pid)))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not confine processes")
def test_an_app_that_is_confined_and_niced_is_told_as_such() -> None:
    programs = hosts.Programs()
    with child("-c", BURNING) as process:
        processor = min(os.sched_getaffinity(0))
        os.sched_setaffinity(process.pid, {processor})
        os.setpriority(os.PRIO_PROCESS, process.pid, 7)
        process.stdout.readline()
        reported = [(process.pid, time.time())]
        list(programs.look(reported))
        (app,) = [row for row in programs.look(reported) if row[0] == "app"]
        assert (7, str(processor)) == app[5:]


@pytest.mark.parametrize(
    ("name", "command", "role"),
    [
        ("postgres", ["/usr/lib/postgresql/18/bin/postgres", "-D", "data"], "database"),
        ("rung", ["/venv/bin/python", "/venv/bin/rung", "load", "http://127.0.0.1"], "load"),
        ("python3", ["python3", "-m", "rung", "load", "http://127.0.0.1"], "load"),
        ("python3", ["python3", "-m", "rung", "demo"], "load"),
        ("rung", ["rung", "record", "--", "rung", "load"], None),
        ("rung", ["rung", "find", "load"], None),
        ("python3", ["python3", "load.py", "rung"], None),
        ("kthreadd", [], None),
    ],
)
def test_a_program_is_known_by_its_name_and_command(name, command, role) -> None:
    assert role_of(name, command) == role


# The database


def sampled(dsn: str, *, until, timeout_s: float = PATIENCE_S) -> tuple[dict[str, list[dict[str, object]]], dict]:
    """Sample until `until(rows)` holds, then end; return all rows by table, and the facts."""
    told: list[str] = []
    sampler = DatabaseSampler(dsn, say=told.append)
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in SAMPLED}

    def gather() -> None:
        for name, found in sampler.taken():
            rows[name] += named(name, found)

    sampler.start()
    give_up = time.monotonic() + timeout_s
    try:
        while not until(rows):
            assert time.monotonic() < give_up, (told, sampler.facts())
            time.sleep(0.02)
            gather()
    finally:
        sampler.end(PATIENCE_S)
    gather()
    assert told == []
    return rows, sampler.facts()


@pytest.fixture
def shop(database) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements")
        connection.execute("create table orders (id int primary key, name text)")
        connection.execute("insert into orders select n, %s from generate_series(1, 50) n", [CANARY])
        connection.execute("select name from orders where id = 7")
    return database


def test_a_server_s_clock_counts_and_totals(cluster, shop) -> None:
    asked = threading.Event()

    def until(rows) -> bool:
        if rows["databases"] and not asked.is_set():
            asked.set()
            with psycopg.connect(shop, autocommit=True) as connection:
                for number in range(20):
                    connection.execute(inline("select name from orders where id = {} -- {}", number, CANARY))
                connection.execute(inline("set application_name = {}", CANARY))
                connection.execute("select count(*) from orders where id in (1, 2, 3)")
                # A server's counters are shown to others when the connection ends, at the latest.
        return len(rows["databases"]) >= 2

    rows, facts = sampled(shop, until=until)
    assert abs(facts["clock_offset_s"]) <= facts["clock_uncertainty_s"] + 0.01
    assert facts["server_pid"] == cluster.pid
    for row in rows["databases"]:
        assert row["database"] == facts["database"]
        assert row["connections_max"] > row["connections"] >= 1
        assert row["clock_uncertainty_s"] > 0
    found = [row for row in rows["statement_totals"] if row["text"] == "select name from orders where id = $1"]
    begun = next(row for row in rows["statement_totals"] if row["query_id"] == found[-1]["query_id"])
    assert begun["text"] is None
    assert found[-1]["calls"] - begun["calls"] == 20
    assert found[-1]["total_s"] > begun["total_s"] > 0
    # They are counted since 18.
    assert found[-1]["helpers"] == begun["helpers"] == (0 if int(cluster.version.partition(".")[0]) >= 18 else None)
    # What the probe calls the app's own statement is what the server's account of it is called.
    assert found[-1]["statement"] == normalised("select name from orders where id = %s", percent=True).fingerprint
    listed = normalised("select count(*) from orders where id in (1, 2)").fingerprint
    assert listed in {row["statement"] for row in rows["statement_totals"]}
    assert not [row for row in rows["statement_totals"] if "pg_stat" in (row["text"] or "")]
    (orders,) = {row["relation"] for row in rows["table_totals"]}
    assert orders == "orders"
    totals = [row for row in rows["index_totals"] if row["name"] == "orders_pkey"]
    assert totals[-1]["scans"] + rows["table_totals"][-1]["sequential_scans"] >= 20
    everything = json.dumps([rows, facts])
    assert CANARY not in everything
    password = conninfo.conninfo_to_dict(shop)["password"]
    assert password not in everything


def test_who_waits_for_a_lock_and_for_whom(shop) -> None:
    with (
        psycopg.connect(shop) as holder,
        psycopg.connect(shop, autocommit=True) as waiter,
        psycopg.connect(shop) as idler,
    ):
        idler.execute("select 1")
        holder.execute("update orders set name = 'x' where id = 1")
        blocked = inline("update orders set name = {} where id = 1", CANARY)
        waiting = threading.Thread(target=waiter.execute, args=(blocked,), daemon=True)
        waiting.start()

        def waits(rows) -> bool:
            return any(row["blocked_by"] for row in rows["activity"])

        rows, _ = sampled(shop, until=waits)
        holder.rollback()
        waiting.join(PATIENCE_S)
        seen = next(row for row in rows["activity"] if row["blocked_by"])
        assert str(holder.info.backend_pid) == seen["blocked_by"]
        assert waiter.info.backend_pid == seen["pid"]
        assert (seen["wait_type"], seen["state"]) == ("Lock", "active")
        assert seen["query_s"] >= 0
        assert seen["query_id"] is not None
        held = [row for row in rows["activity"] if row["pid"] == holder.info.backend_pid]
        assert {"idle in transaction"} == {row["state"] for row in held}
        assert CANARY not in json.dumps(rows)


def test_without_the_extension_the_rest_is_sampled(database) -> None:
    rows, facts = sampled(database, until=lambda rows: len(rows["databases"]) >= 1)
    assert not rows["statement_totals"]
    assert "not installed" in facts["refused"]["statement_totals"]


def test_our_connection_may_write_nothing(database) -> None:
    with databases.connected(database, options=databases.SETTINGS, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("create table t (n int)")
        (name,) = connection.execute("select application_name from pg_stat_activity where pid = pg_backend_pid()")
        assert name == ("rung",)


def test_a_recording_after_a_cut_begins_with_all_totals_again(shop) -> None:
    sampler = DatabaseSampler(shop, say=print)
    sampler.start()
    pieces: list[dict[str, int]] = []

    def gathered(wanted: int = 0) -> dict[str, int]:
        rows: dict[str, int] = dict.fromkeys(SAMPLED, 0)
        give_up = time.monotonic() + PATIENCE_S
        while True:
            for name, found in sampler.taken():
                rows[name] += len(found)
            if rows["databases"] >= wanted:
                return rows
            assert time.monotonic() < give_up
            time.sleep(0.02)

    try:
        pieces.append(gathered(1))
        sampler.cut(PATIENCE_S)
        pieces.append(gathered())
        pieces.append(gathered(1))
    finally:
        sampler.end(PATIENCE_S)
    begun, _, again = pieces
    assert begun["table_totals"] == again["table_totals"] == 1
    # By then it is known which of them are rung's own.
    assert 0 < again["statement_totals"] < begun["statement_totals"]


def test_a_server_that_refuses_is_named_once_without_its_password() -> None:
    told: list[str] = []
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = nobody.getsockname()[1]
        sampler = DatabaseSampler(f"postgresql://me:{CANARY}@127.0.0.1:{port}/shop", say=told.append)
        sampler.start()
        give_up = time.monotonic() + PATIENCE_S
        while not told:
            assert time.monotonic() < give_up
            time.sleep(0.02)
        sampler.end(PATIENCE_S)
    assert len(told) == 1
    assert f"127.0.0.1:{port}/shop" in told[0]
    assert "everything else is recorded" in told[0]
    facts = sampler.facts()
    assert facts["lost"] >= 1
    assert facts["lost_by"] == "database-refused"
    assert CANARY not in json.dumps(facts) + told[0]


def test_a_server_that_vanishes_is_sampled_again_when_it_is_back(shop, monkeypatch) -> None:
    monkeypatch.setattr(databases, "RETRY_S", 0.1)
    monkeypatch.setattr(databases, "RETRY_S_MAX", 0.2)
    told: list[str] = []
    sampler = DatabaseSampler(shop, say=told.append)
    sampler.start()

    def counted() -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not [rows for name, rows in sampler.taken() if name == "databases"]:
            assert time.monotonic() < give_up
            time.sleep(0.02)

    try:
        counted()
        with psycopg.connect(shop, autocommit=True) as connection:
            ours = """
                select pg_terminate_backend(pid) from pg_stat_activity
                where application_name = 'rung' and datname = current_database()
            """
            assert connection.execute(ours).fetchall()
        give_up = time.monotonic() + PATIENCE_S
        while not told:
            assert time.monotonic() < give_up
            time.sleep(0.02)
        list(sampler.taken())
        counted()
    finally:
        sampler.end(PATIENCE_S)
    assert len(told) == 1
    assert sampler.facts()["lost"] >= 1


def test_a_look_that_is_refused_is_named_and_the_others_go_on(shop, monkeypatch) -> None:
    monkeypatch.setattr(looks, "TABLES", "select /* rung */ secret from nowhere")
    rows, facts = sampled(shop, until=lambda rows: len(rows["databases"]) >= 1)
    assert facts["refused"]["table_totals"] == "UndefinedTable 42P01"
    assert rows["index_totals"]


# Totals


def test_only_what_changed_is_kept_and_only_what_ran_has_a_text() -> None:
    totals = Totals()
    first = [(1, 10, 1.0, 0, 0, 0, 0, 0), (2, 5, 1.0, 0, 0, 0, 0, 0)]
    assert totals.changed("statement_totals", first) == first
    assert totals.without_text(first) == []
    later = [(1, 10, 1.0, 0, 0, 0, 0, 0), (2, 6, 1.5, 0, 0, 0, 0, 0), (3, 1, 0.1, 0, 0, 0, 0, 0)]
    changed = totals.changed("statement_totals", later)
    assert [row[0] for row in changed] == [2, 3]
    assert totals.without_text(changed) == [2, 3]
    totals.texts |= {2: ("f", "select $1", "read"), 3: None}
    assert list(totals.with_texts(changed)) == [(2, "f", "select $1", "read", 6, 1.5, 0, 0, 0, 0, 0)]
    totals.begin()
    assert totals.changed("statement_totals", later) == later


# The collector


def test_a_dsn_is_taken_out_of_the_environment() -> None:
    environment = {"RUNG_DATABASE": "postgresql://me@localhost/shop", "HOME": "there"}
    assert samplers.database_given(environment) == "postgresql://me@localhost/shop"
    assert environment == {"HOME": "there"}
    assert samplers.database_given(environment) is None


def test_a_recording_has_the_samples_and_says_what_is_missing(tmp_path) -> None:
    with collecting(tmp_path) as (path, recording):
        _report(path)
        _wait_for(lambda: table(recording, "programs"))
    told = manifest(recording)
    assert told["sealed"] is True
    assert told["sampled"] == {"missing": {"databases": "no database was named"}, "database": None}
    assert {"collector", "app"} <= {row["role"] for row in table(recording, "programs")}
    (host,) = {row["host"] for row in table(recording, "hosts")}
    assert host == socket.gethostname()
    assert [] == table(recording, "activity")


def test_the_collector_samples_the_database_and_writes_no_password(tmp_path, shop, monkeypatch) -> None:
    monkeypatch.setenv("RUNG_DATABASE", shop)
    with collecting(tmp_path) as (path, recording):
        _report(path)
        _wait_for(lambda: table(recording, "databases"))
    assert manifest(recording)["sampled"]["database"]["clock_uncertainty_s"] > 0
    assert {row["relation"] for row in table(recording, "table_totals")} == {"orders"}
    password = conninfo.conninfo_to_dict(shop)["password"]
    for file in recording.iterdir():
        assert password.encode() not in file.read_bytes()
    assert said(tmp_path) == ""


def test_only_the_collector_learns_of_the_database(tmp_path, shop, monkeypatch) -> None:
    monkeypatch.delenv("RUNG_DATABASE", raising=False)
    command = [sys.executable, "-c", "import os, sys; print(dict(os.environ), flush=True); sys.stdin.read()"]
    started = launcher.start(
        command, folder=tmp_path / ".rung", database=shop, quiet=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    password = conninfo.conninfo_to_dict(shop)["password"]
    try:
        told = started.process.stdout.readline().decode()
        arguments = psutil.Process(started.collector.pid).cmdline()
    finally:
        started.process.communicate()
        started.collector.wait(PATIENCE_S)
    assert "RUNG_SOCKET" in told
    assert "RUNG_DATABASE" not in told
    assert password not in told + " ".join(arguments)
    sampled_there = manifest(started.recording)["sampled"]["database"]
    assert sampled_there["database"].endswith(conninfo.conninfo_to_dict(shop)["dbname"])
    assert {row["relation"] for row in table(started.recording, "table_totals")} == {"orders"}


def test_what_is_not_sampled_stops_nothing() -> None:
    told: list[str] = []
    watching = samplers.Samplers(f"nonsense {CANARY}", say=told.append)
    intake = Intake()
    give_up = time.monotonic() + PATIENCE_S
    while not told:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    watching.end(intake)
    assert intake.sampled["database"]["lost"] >= 1
    assert [made.table for made in intake.take()][:1] == ["hosts"]
    assert CANARY not in json.dumps(intake.sampled) + told[0]


def _report(path: str) -> None:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.connect(path)
    with stream:
        stream.sendall(
            frames.encode_hello(
                frames.Hello(
                    format=frames.FORMAT, rung="0.1.0", host=socket.gethostname(), instance="i", worker=os.getpid(),
                    python="3.11", libraries={}, started_s=time.time(),
                )
            )
        )  # fmt: skip


def _wait_for(what) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.1)
