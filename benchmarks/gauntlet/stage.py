"""
Put a scenario on: its database, what is outside, the app recorded, and the load beside it.

In        a Scenario, a folder
Out       sealed recordings, by name, and what the load saw
Not here  what find and price make of them (judge.py)

With two processors and more the app has the first, the database the second, and nobody else is told where to run; the
load, a process of its own, is niced.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from benchmarks.gauntlet.scenario import SERVERS, Scenario
from rung import clock
from rung.adapters import cluster, launcher
from rung.adapters.cluster import Cluster
from rung.adapters.sample import checked_port

ROOT = Path(__file__).resolve().parents[2]
TABLES = Path(__file__).with_name("tables.sql")
SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    # On one core a parallel scan only makes more processes wait for it.
    "max_parallel_workers_per_gather": "0",
}
TEMPLATE, DATABASE = "gauntlet_template", "gauntlet"
LOAD_NICE = 5
START_S_MAX, END_S_MAX, POLL_S = 30.0, 20.0, 0.05
PINNED = hasattr(os, "sched_setaffinity") and shutil.which("taskset") is not None and (os.cpu_count() or 1) > 1
APP_CORE, DATABASE_CORE = 0, 1
LAYOUT = (
    f"app on core {APP_CORE}, database on core {DATABASE_CORE}, load niced by {LOAD_NICE} and on no core of its own"
    if PINNED
    else f"nothing pinned, load niced by {LOAD_NICE}"
)


class StageFailed(RuntimeError):
    """
    A scenario could not be put on.
    """


@dataclass(frozen=True, slots=True)
class Phase:
    """
    One load: the recording of it, and what the load saw.
    """

    recording: str
    load: dict[str, Any]


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Stage]:
    """
    Yield a stage with a database server and what is outside; all of it ends with the block.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with cluster.start_passing(settings=SETTINGS) as server:
        _pin(server.pid, DATABASE_CORE)
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        with psycopg.connect(server.dsn(TEMPLATE), autocommit=True) as connection:
            connection.execute(TABLES.read_text("utf-8").encode())
        with _outside() as (web_port, mail_port):
            yield Stage(folder, server, {"OUTSIDE_URL": f"http://127.0.0.1:{web_port}", "SMTP_PORT": str(mail_port)})


class Stage:
    """
    Where scenarios are put on, one at a time.
    """

    def __init__(self, folder: Path, server: Cluster, outside: Mapping[str, str]) -> None:
        self.folder, self.server, self.outside = folder, server, outside
        self.dsn = server.dsn(DATABASE)
        self.version = server.version

    def lay(self, statements: Sequence[str]) -> None:
        """
        Give the next scenario a database of its own, with its faults.
        """
        with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
            name, template = sql.Identifier(DATABASE), sql.Identifier(TEMPLATE)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))
        self.change(statements)

    def change(self, statements: Sequence[str]) -> None:
        """
        Run statements in the scenario's database, and have what they wrote on disk before anything is measured.
        """
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())
            connection.execute("CHECKPOINT")

    def record(
        self,
        scenario: Scenario,
        name: str,
        *,
        server: str,
        faults: Sequence[str],
        settings: Mapping[str, str],
        last_s: float,
        speed: float,
    ) -> Phase:
        """
        Start the app recorded, send the load for *last_s* seconds *speed* times as fast as the scenario says, stop it,
        and return the sealed recording.
        """
        port = checked_port(0)
        # What pg_stat_statements counted before belongs to nobody in this recording.
        self.change(["SELECT pg_stat_statements_reset()"])
        command = [sys.executable, *SERVERS[server].format(port=port).split()]
        if PINNED:
            command = ["taskset", "--cpu-list", str(APP_CORE), *command]
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RUNG")},
            **self.outside,
            **settings,
            "GAUNTLET_FAULTS": ",".join(faults),
            "DATABASE_URL": self.dsn,
            "PYTHONPATH": str(ROOT),
        }
        with (self.folder / "apps.log").open("ab") as log:
            recorded = launcher.start(
                command, folder=self.folder, name=name, environment=environment, quiet=True, database=self.dsn,
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            try:
                url = f"http://127.0.0.1:{port}"
                _wait_until_up(url, recorded.process, self.folder / "apps.log")
                load = _sent(scenario.name, url, last_s, speed)
            finally:
                _end(recorded.process)
                whole = recorded.seal()
        if not whole:
            raise StageFailed(f"{recorded.recording} was not sealed")
        return Phase(recorded.recording.name, load)


def _pin(pid: int, core: int) -> None:
    if not PINNED:
        return
    server = psutil.Process(pid)
    for process in (server, *server.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            os.sched_setaffinity(process.pid, {core})


@contextlib.contextmanager
def _outside() -> Iterator[tuple[int, int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.gauntlet.outside"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        ports = process.stdout.readline().split()
        if len(ports) != 2:
            raise StageFailed("what is outside of the apps did not come up")
        yield int(ports[0]), int(ports[1])
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S_MAX)
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until_s = clock.monotonic_s() + START_S_MAX
    while clock.monotonic_s() < until_s and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            clock.sleep(POLL_S)
    said = log.read_text("utf-8", errors="replace").splitlines()
    raise StageFailed(f"the app did not come up: {said[-1] if said else 'it said nothing'}")


def _sent(scenario: str, url: str, last_s: float, speed: float) -> dict[str, Any]:
    words = [sys.executable, "-m", "benchmarks.gauntlet.sending", scenario, url, str(last_s), str(speed)]
    done = subprocess.run(
        ["nice", "-n", str(LOAD_NICE), *words],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        timeout=last_s * 2 + 120,
        check=True,
        cwd=ROOT,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _end(process: subprocess.Popen[bytes]) -> None:
    """
    Have the app end as its supervisor would, and whatever it started with it.
    """
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_S_MAX)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # its own session: nobody else is in it
    process.wait()
