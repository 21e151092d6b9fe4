"""
Run the sample shop as its README says: its database, its mail server, the app itself recorded, load.

In        a folder, a PostgreSQL server
Out       recordings of the same arrivals, one a phase
Not here  what is slow in it (the loop finds that out), the shop's own code (examples/shop)

Everything runs under a guardian, so that it ends with this process, also when that is killed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from psycopg import conninfo, sql

from rung.adapters import shelf
from rung.adapters.launcher import sealed
from rung.adapters.postgres import address, connected, first_line, mapped_errors
from rung.adapters.traffic import Plan, Progress, Report, read_plan, send
from rung.clock import monotonic_s, sleep
from rung.errors import CommandNotStarted, DatabaseRefused, PortInUse
from rung.ports import Say

GUARDIAN = Path(__file__).with_name("guardian.py")
DATABASE = "rung_shop"
MAIL_DELAY_S = 0.07
START_S_MAX = 30.0
SEED = 11
SEAL_S_MAX = 30.0
POLL_S = 0.05
SCRIPTS = ("schema.sql", "seed.sql", "keys.sql")


def shop_folder() -> Path:
    """
    Return where the sample shop lies: beside the sources in a checkout, inside the package when installed.
    """
    package = Path(__file__).resolve().parent.parent
    for place in (package / "examples" / "shop", package.parent.parent / "examples" / "shop"):
        if (place / "main.py").is_file():
            return place
    raise CommandNotStarted("the sample shop is missing from this installation")


class Guarded:
    """
    A process that ends when this one does.

    Attributes:
        output: The read end of its standard output.
    """

    def __init__(self, command: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        read, self._lease = os.pipe()
        # The guardian works in `/`; the command has a folder of its own.
        line = f"cd {shlex.quote(str(folder))} && exec {shlex.join(command)}"
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARDIAN), str(read), "", "", "", "/bin/sh", "-c", line],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                pass_fds=(read,),
                start_new_session=True,
                env=dict(environment),
            )
        os.close(read)
        assert self._process.stdout is not None
        self.output: IO[bytes] = self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def ended(self) -> bool:
        """
        Return whether the process has ended by itself.
        """
        return self._process.poll() is not None

    def wait(self) -> int:
        """
        Wait for the end that the process comes to by itself, and return its exit status.
        """
        return self._process.wait()

    def stop(self) -> None:
        """
        End the process and wait for it; harmless when it has ended.
        """
        if self._lease >= 0:
            os.close(self._lease)
            self._lease = -1
        self.output.close()
        self._process.wait()


class SampleShop:
    """
    The shop on one database, to be recorded under the same load as often as asked.  Fulfils the port Traffic.

    It runs from a copy of its code in *folder*, which may be changed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        data: Path,
        server_dsn: str,
        port: int,
        duration_s: float,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.folder, self.data, self.server_dsn = folder, data, server_dsn
        self.port = checked_port(port)
        self.plan: Plan = read_plan(shop_folder() / "load.toml", duration_s=duration_s, seed=SEED)
        self.progress = progress
        self.reports: list[Report] = []
        self.log = folder / "shop.log"

    @property
    def url(self) -> str:
        """
        Return where the shop answers while it is up.
        """
        return f"http://127.0.0.1:{self.port}"

    @property
    def dsn(self) -> str:
        """
        Return the shop's own database.
        """
        return _with_database(self.server_dsn, DATABASE)

    def lay(self, say: Say) -> None:
        """
        Give the shop its code afresh and a fresh database, copied from a template that is made once per server.

        The template is named by its scripts' digest and renamed when it is whole, so that neither an
        interrupted nor an outdated one is ever copied.
        """
        shutil.rmtree(self.folder / "shop", ignore_errors=True)
        shutil.copytree(shop_folder(), self.folder / "shop", ignore=shutil.ignore_patterns("__pycache__"))
        digest = blake2b(digest_size=4)
        for script in SCRIPTS:
            digest.update((shop_folder() / script).read_bytes())
        template = f"{DATABASE}_template_{digest.hexdigest()}"
        making = f"{DATABASE}_making"
        with mapped_errors(self.server_dsn), connected(self.server_dsn, options="", autocommit=True) as connection:
            known = {row[0] for row in connection.execute("select datname from pg_database").fetchall()}
            if template not in known:
                say("laying a million orders, once (about 15 s)")
                connection.execute(_database("drop database if exists {} with (force)", making))
                connection.execute(_database("create database {}", making))
                self._run_data(_with_database(self.server_dsn, making))
                connection.execute(_database("alter database {} rename to {}", making, template))
            connection.execute(_database("drop database if exists {} with (force)", DATABASE))
            connection.execute(_database("create database {} template {} strategy file_copy", DATABASE, template))
            # As on a small server, which has no cores to spare: with parallel scans on two cores everything is about as
            # slow as what scans, and which route is the slowest is chance.
            connection.execute(_database("alter database {} set max_parallel_workers_per_gather to 0", DATABASE))
            # The copy's pages are on disk before load begins, or the first phase would pay for writing them.
            connection.execute("checkpoint")

    def _run_data(self, dsn: str) -> None:
        command = [sys.executable, "-m", "shop.data", "--database", dsn]
        with Guarded(command, folder=self.folder, environment=self._environment({}), log=self.log) as laying:
            laying.output.read()
            if laying.wait():
                raise DatabaseRefused(address(dsn), f"the shop's tables could not be made: {_last_line(self.log)}")

    def again(self, before: str) -> str:
        """
        Return a new recording of the same arrivals as *before*.
        """
        return self.record(f"{before.rsplit('Z-', maxsplit=1)[-1]}-again")

    def record(self, name: str) -> str:
        """
        Start the shop recorded, send the load, stop it, and return the sealed recording's name.
        """
        with self.up(record_as=name):
            self.reports.append(send(self.url, self.plan, progress=self.progress))
        found = [known for known in shelf.names(self.data) if known.endswith(f"Z-{name}")]
        if not found:
            raise CommandNotStarted(f"the shop was not recorded: {_last_line(self.log)}")
        patient_until_s = monotonic_s() + SEAL_S_MAX
        while not sealed(self.data / "recordings" / found[-1]) and monotonic_s() < patient_until_s:
            sleep(POLL_S)
        return found[-1]

    @contextmanager
    def up(self, *, record_as: str | None) -> Iterator[None]:
        """
        Keep the shop and its mail server up for the length of the block.
        """
        mail = [sys.executable, "-m", "shop.mailserver", "--port", "0", "--delay", str(MAIL_DELAY_S)]
        app = [sys.executable, "-m", "uvicorn", "shop.main:app", "--host", "127.0.0.1", "--port", str(self.port)]
        app += ["--log-level", "warning", "--no-access-log"]
        if record_as is not None:
            app = [sys.executable, "-m", "rung", "record", "--name", record_as, "--", *app]
        checked_port(self.port)
        with ExitStack() as stack:
            post = stack.enter_context(
                Guarded(mail, folder=self.folder, environment=self._environment({}), log=self.log)
            )
            smtp_port = post.output.readline().decode().strip()
            environment = self._environment(
                {
                    "DATABASE_URL": self.dsn,
                    "SMTP_HOST": "127.0.0.1",
                    "SMTP_PORT": smtp_port,
                    "RUNG_FOLDER": str(self.data),
                }
            )
            shop = stack.enter_context(Guarded(app, folder=self.folder, environment=environment, log=self.log))
            self._wait_until_up(shop)
            yield

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        path = os.pathsep.join(part for part in (str(self.folder), os.environ.get("PYTHONPATH", "")) if part)
        return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}

    def _wait_until_up(self, shop: Guarded) -> None:
        patient_until_s = monotonic_s() + START_S_MAX
        while monotonic_s() < patient_until_s and not shop.ended:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):  # noqa: S310  # our own address
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                sleep(POLL_S)
        raise CommandNotStarted(f"the shop did not come up: {_last_line(self.log)}")


def checked_port(port: int) -> int:
    """
    Return *port* if nothing listens there, a free one for 0.

    Raises:
        PortInUse: something does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise PortInUse(port) from None
        return int(probe.getsockname()[1])


def _database(statement: str, *names: str) -> sql.Composed:
    return sql.SQL(statement).format(*map(sql.Identifier, names))


def _with_database(dsn: str, name: str) -> str:
    from urllib.parse import urlsplit, urlunsplit

    if "://" in dsn:
        return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
    return conninfo.make_conninfo(dsn, dbname=name)


def _last_line(log: Path) -> str:
    try:
        lines = [line for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    except OSError as problem:
        return first_line(problem)
    return lines[-1] if lines else "it said nothing"
