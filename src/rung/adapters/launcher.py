"""
Run a command of the user's, recorded: `rung record -- CMD`.

On a terminal the launcher stays the parent of the command; elsewhere the command takes its place, so that pid,
signals and exit status are the command's own, and the collector aside notices the end by a pipe.

Where only the recorder is installed its processes write raw frames into a folder, and no collector is started; where
a collector runs already (`rung collect`), they are sent there.

In        the command, the folder for recordings
Out       the command running with the probe in its Python processes; its exit status
Not here  what is recorded (probe/), writing it (adapters/collector), raw frames made a recording (adapters/packing.py)
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rung import clock
from rung.adapters.collector.views import asked as views
from rung.adapters.retention import Retention, prune_raw
from rung.adapters.shelf import MANIFEST, RAW, RECORDINGS, raw_names, size_bytes
from rung.errors import CommandNotExecutable, CommandNotFound, CommandNotStarted, ExtraMissing
from rung.units import show_bytes, show_seconds

SEAL_S_MAX = 60.0
LISTEN_S_MAX = 30.0
SOCKET_PATH_BYTES_MAX = 100  # sun_path is 104 bytes on macOS, 108 on Linux

BOOTSTRAP = Path(__file__).resolve().parent.parent / "probe" / "bootstrap"


@dataclass(frozen=True, slots=True)
class Fleet:
    """
    Where in an object store recordings are sent as well, and how often.
    """

    prefix: str
    every_s: float


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What is to be recorded how.
    """

    folder: Path
    name: str
    environment: Mapping[str, str]
    detached: bool = False
    quiet: bool = False
    retention: Retention | None = None
    fleet: Fleet | None = None
    database: str | None = field(default=None, repr=False)
    viewed: views.Asked | None = None
    log_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """
    What stands ready beside the command before it starts.
    """

    recording: Path
    environment: Mapping[str, str]
    lifeline: int
    collector: subprocess.Popen[bytes] | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """
    A command that runs as a child and is recorded.
    """

    process: subprocess.Popen[bytes]
    recording: Path
    collector: subprocess.Popen[bytes]
    private: Path

    def seal(self, timeout_s: float = SEAL_S_MAX) -> bool:
        """
        Have the recording sealed now, wait for that, and return whether it was.
        """
        with contextlib.suppress(ProcessLookupError):
            self.collector.terminate()
        try:
            self.collector.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.collector.kill()
            self.collector.wait()
        # It removes its socket itself, unless it was killed.
        shutil.rmtree(self.private, ignore_errors=True)
        return sealed(self.recording)


def record(
    command: Sequence[str],
    *,
    folder: Path,
    name: str | None,
    terminal: bool,
    retention: Retention | None = None,
    raw_bytes_max: int | None = None,
    fleet: Fleet | None = None,
    database: str | None = None,
    viewed: views.Asked | None = None,
    log_file: Path | None = None,
) -> int:
    """
    Run *command* recorded and return its exit status, or minus the number of the signal that killed it.

    Without a terminal it does not return: the command takes the place of this process.

    Args:
        retention: What of older recordings stays once this one is sealed; None: all.
        fleet: Where the recording is sent as well.
        raw_bytes_max: Write raw frames, of so many bytes at most, instead of starting a collector.
        database: The DSN that the collector samples; the command is not told.
        viewed: What the collector tells while it records, and to whom.
        log_file: What gets each line that the app logs, beside the recording.

    Raises:
        CommandNotFound, CommandNotExecutable, CommandNotStarted: nothing was started and nothing left behind.
        ExtraMissing: what writes recordings is not installed.
    """
    program = resolved(command[0])
    environment = _own_environment()
    if os.environ.get("RUNG") == "off":
        return _become(program, command, environment)
    called = name or Path(command[0]).name
    asked = Asked(
        folder, called, environment, detached=not terminal, retention=retention, fleet=fleet, database=database,
        viewed=viewed, log_file=log_file,
    )  # fmt: skip
    if raw_bytes_max is not None:
        return _write_raw(program, command, asked, raw_bytes_max)
    if _has_collector(environment):
        return _become(program, command, _joined(environment))
    if terminal:
        return _stay(_start(program, command, asked))
    beside = _prepare(asked)
    os.set_inheritable(beside.lifeline, True)
    return _become(program, command, beside.environment)


def start(
    command: Sequence[str],
    *,
    folder: Path,
    name: str | None = None,
    environment: Mapping[str, str] | None = None,
    quiet: bool = False,
    retention: Retention | None = None,
    database: str | None = None,
    viewed: views.Asked | None = None,
    log_file: Path | None = None,
    **options: Any,
) -> Recorded:
    """
    Start *command* recorded as a child process; *options* go to subprocess.Popen.
    """
    given = os.environ if environment is None else environment
    called = name or Path(command[0]).name
    asked = Asked(
        folder, called, given, quiet=quiet, retention=retention, database=database, viewed=viewed, log_file=log_file
    )
    return _start(resolved(command[0]), command, asked, **options)


def _start(program: str, command: Sequence[str], asked: Asked, **options: Any) -> Recorded:
    beside = _prepare(asked)
    assert beside.collector is not None
    try:
        process = subprocess.Popen(
            list(command), executable=program, env=dict(beside.environment), pass_fds=(beside.lifeline,), **options
        )
    except OSError as error:
        beside.collector.kill()
        beside.collector.wait()
        _remove(beside)
        raise CommandNotExecutable(command[0], error.strerror or str(error)) from error
    finally:
        os.close(beside.lifeline)
    return Recorded(process, beside.recording, beside.collector, Path(beside.environment["RUNG_SOCKET"]).parent)


def end_as(status: int) -> NoReturn:
    """
    End this process as the command ended: with its status, or by the signal that killed it.
    """
    if status < 0:
        number = -status
        with contextlib.suppress(OSError):  # SIGKILL has no other handler to begin with
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        status = 128 + number
    sys.stdout.flush()
    os._exit(status)


def _own_environment() -> Mapping[str, str]:
    """
    Return our environment without what our own interpreter put there: LC_CTYPE, in a locale of C (PEP 538).
    """
    environment = dict(os.environ)
    with contextlib.suppress(OSError):  # there is no /proc on macOS, nor often a locale of C
        given = Path("/proc/self/environ").read_bytes().split(b"\0")
        if not any(entry.startswith(b"LC_CTYPE=") for entry in given):
            environment.pop("LC_CTYPE", None)
    return environment


def sealed(recording: Path) -> bool:
    """
    Return whether *recording* is whole.
    """
    try:
        return json.loads((recording / MANIFEST).read_text("utf-8")).get("sealed") is True
    except (OSError, ValueError):
        return False


def resolved(program: str) -> str:
    """
    Return the path of *program*, looked up as a shell would.
    """
    found = shutil.which(program)
    if found is not None:
        return found
    try:
        there = os.sep in program and Path(program).exists()
    except OSError as error:  # a link, or a folder above it, that this user may not follow
        raise CommandNotExecutable(program, error.strerror or str(error)) from error
    if there:
        raise CommandNotExecutable(program, "it is a folder" if Path(program).is_dir() else "no permission to execute")
    raise CommandNotFound(program)


def _write_raw(program: str, command: Sequence[str], asked: Asked, bytes_max: int) -> int:
    """
    Run the command with its processes writing raw frames by themselves.
    """
    recording, _ = new_recording(asked.folder, asked.name, shelf=RAW)
    if asked.retention is not None:
        sys.stderr.write(prune_raw(asked.folder, asked.retention, newest=recording.name).words())
    sys.stderr.write(f"rung: recording raw frames to {recording}, {show_bytes(bytes_max)} at most\n")
    environment = _with_bootstrap(asked.environment) | {
        "RUNG_RAW": str(recording.resolve()),
        "RUNG_RAW_BYTES_MAX": str(bytes_max),
        "RUNG_RECORDING": str(recording.resolve()),
    }
    environment.pop("RUNG_SOCKET", None)
    if asked.detached:
        return _become(program, command, environment)
    try:
        process = subprocess.Popen(list(command), executable=program, env=environment)
    except OSError as error:
        shutil.rmtree(recording, ignore_errors=True)
        raise CommandNotExecutable(command[0], error.strerror or str(error)) from error
    status = _waited(process, lambda: None)
    written = f"{show_bytes(size_bytes(recording))} of raw frames are in {recording}"
    if recording.name not in raw_names(asked.folder):
        written = f"nothing was recorded to {recording}: no process with a supported web app reported"
    sys.stderr.write(f"\nrung: {written}\n\n  Next  rung pack {recording}\n")
    return status


def _has_collector(environment: Mapping[str, str]) -> bool:
    # A command recorded inside a recorded one has the outer one's socket, and both variables.
    return bool(environment.get("RUNG_SOCKET")) and not environment.get("RUNG_RECORDING")


def _joined(environment: Mapping[str, str]) -> Mapping[str, str]:
    """
    Return the environment of a command whose processes send to a collector that is already there.
    """
    path = environment["RUNG_SOCKET"]
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise CommandNotStarted(f"RUNG_SOCKET has {len(os.fsencode(path))} bytes, {SOCKET_PATH_BYTES_MAX} are possible")
    listens = "" if os.path.exists(path) else "; nobody listens there yet: recording begins once somebody does"
    sys.stderr.write(f"rung: recording through {path}{listens}\n")
    return _with_bootstrap(environment)


def _with_bootstrap(environment: Mapping[str, str]) -> dict[str, str]:
    inherited = environment.get("PYTHONPATH")
    return {
        **environment,
        "PYTHONPATH": f"{BOOTSTRAP}{os.pathsep}{inherited}" if inherited else str(BOOTSTRAP),
        "RUNG_INSTANCE": environment.get("RUNG_INSTANCE") or secrets.token_hex(4),
        # Digests are told apart by it and written without it; the same for all processes of a recording.
        "RUNG_KEY": environment.get("RUNG_KEY") or secrets.token_hex(16),
    }


def _prepare(asked: Asked) -> Beside:
    for module in ("duckdb", "numpy"):
        if importlib.util.find_spec(module) is None:
            raise ExtraMissing(module, instead=("Or record without it", "rung record --raw -- uvicorn yourapp:app"))
    recording, called = new_recording(asked.folder, asked.name)
    read_end, write_end = os.pipe()
    socket_path: Path | None = None
    try:
        socket_path = _socket_path()
        collector = _start_collector(asked, recording, called, socket_path, read_end)
    except (OSError, subprocess.SubprocessError) as error:
        os.close(write_end)
        shutil.rmtree(recording, ignore_errors=True)
        if socket_path is not None:
            shutil.rmtree(socket_path.parent, ignore_errors=True)
        raise CommandNotStarted(str(error)) from error
    finally:
        os.close(read_end)
    if not asked.quiet:
        sys.stderr.write(f"rung: recording to {recording}\n")
        sys.stderr.flush()
    environment = _with_bootstrap({**asked.environment, "RUNG_INSTANCE": ""}) | {
        "RUNG_SOCKET": str(socket_path),
        "RUNG_RECORDING": str(recording.resolve()),
    }
    environment.pop("RUNG_RAW", None)
    return Beside(recording, environment, write_end, collector)


def new_recording(folder: Path, name: str, *, shelf: str = RECORDINGS) -> tuple[Path, str]:
    """
    Make the folder of a recording that begins now; return it and what it is called.

    Raises:
        CommandNotStarted: *folder* cannot hold one.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:60] or "app"
    try:
        make_private(folder)
        (folder / shelf).mkdir(exist_ok=True, mode=0o700)
        stamp = clock.stamp(clock.now_s())
        for turn in range(1, 1000):
            called = safe if turn == 1 else f"{safe}-{turn}"
            recording = folder / shelf / f"{stamp}-{called}"
            with contextlib.suppress(FileExistsError):
                recording.mkdir(mode=0o700)
                return recording, called
    except OSError as error:
        raise CommandNotStarted(f"{folder} cannot hold a recording: {error.strerror}") from error
    raise CommandNotStarted(f"{folder} holds a thousand recordings of this second")


def make_private(folder: Path) -> None:
    """
    Make *folder* for us alone and out of git's sight, or not at all; one that is there stays as it is.
    """
    if folder.exists():
        return
    folder.mkdir(parents=True, mode=0o700)
    try:
        (folder / ".gitignore").write_text("*\n", "utf-8")
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)  # the next one would take it for made
        raise


def _socket_path() -> Path:
    base = tempfile.gettempdir()
    if len(os.fsencode(base)) > SOCKET_PATH_BYTES_MAX - 20:
        base = "/tmp"  # noqa: S108 - mkdtemp makes a private folder in it, and the socket's path must be short
    return Path(tempfile.mkdtemp(prefix="rung-", dir=base)) / "s"


def _start_collector(
    asked: Asked, recording: Path, called: str, socket_path: Path, lifeline: int
) -> subprocess.Popen[bytes] | None:
    arguments = [
        sys.executable, "-P", "-m", "rung.adapters.collector", "--folder", str(recording.resolve()),
        "--socket", str(socket_path), "--lifeline", str(lifeline), "--name", called,
    ]  # fmt: skip
    if asked.retention is not None:
        arguments += [
            "--retain-age", str(asked.retention.age_s), "--retain-bytes", str(asked.retention.total_bytes),
            "--ledger", str(asked.retention.ledger.resolve()),
        ]  # fmt: skip
    if asked.fleet is not None:
        arguments += ["--prefix", asked.fleet.prefix, "--push-every", str(asked.fleet.every_s)]
    if asked.log_file is not None:
        arguments += ["--log-file", str(asked.log_file)]
    collector = subprocess.Popen(
        [*arguments, "--detach"] if asked.detached else arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=_collectors_environment(asked),
        pass_fds=(lifeline,),
        start_new_session=True,
    )
    assert collector.stdout is not None
    with collector.stdout as said:
        listens = said.readline() == b"listening\n"
    if not listens or asked.detached:
        collector.wait(LISTEN_S_MAX)
    if not listens:
        raise subprocess.SubprocessError(f"the collector ended with status {collector.returncode}")
    return None if asked.detached else collector


def _collectors_environment(asked: Asked) -> dict[str, str]:
    environment = {key: value for key, value in asked.environment.items() if not key.startswith("RUNG_")}
    # In no argument, which everybody on the host can read.
    return environment | ({"RUNG_DATABASE": asked.database} if asked.database else {}) | views.given(asked.viewed)


def _remove(beside: Beside) -> None:
    shutil.rmtree(Path(beside.environment["RUNG_SOCKET"]).parent, ignore_errors=True)
    shutil.rmtree(beside.recording, ignore_errors=True)


def _become(program: str, command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    # Python ignores these two for itself; the command must find them as they were.
    for name in ("SIGPIPE", "SIGXFSZ"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(program, list(command), dict(environment))
    except OSError as error:
        raise CommandNotExecutable(command[0], error.strerror or str(error)) from error


def _stay(recorded: Recorded) -> int:
    status = _waited(recorded.process, recorded.seal)
    sys.stderr.write(f"\nrung: {summary(recorded.recording)}\n")
    return status


def _waited(process: subprocess.Popen[bytes], afterwards: Callable[[], object]) -> int:
    """
    Return the command's status once it has ended and *afterwards* was done; signals reach it meanwhile.
    """

    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)

    # The terminal sends these two to the command itself; forwarded, a server would see two and force its end.
    # A function instead of SIG_IGN, which a child started from now on would inherit.
    previous = {number: signal.signal(number, _nothing) for number in (signal.SIGINT, signal.SIGQUIT)}
    previous |= {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        status = process.wait()
        afterwards()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return status


def summary(recording: Path) -> str:
    """
    Return what became of a recording, and what to type next.
    """
    try:
        manifest = json.loads((recording / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return f"nothing could be recorded to {recording}"
    requests = int(manifest.get("requests", 0))
    if not requests:
        processes = manifest.get("processes", 0)
        reported = f"{processes} app process{'es' if processes != 1 else ''} reported"
        return f"no request was recorded ({reported}); {recording} is empty"
    lasted_s = (manifest.get("ended_s") or manifest["started_s"]) - manifest["started_s"]
    state = "" if manifest.get("sealed") else "; it is not whole, see above"
    return f"recorded {requests:,} requests in {show_seconds(lasted_s)} to {recording}{state}\n\n  Next  rung find"


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass
