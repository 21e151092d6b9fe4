"""
Run rung's command line, and other programs in Python, in a process of their own that need not import them anew.

A server, one of each kind for each test process, has everything imported and forks for each command.  The child has
the folder, the environment and the streams that it is given, and is otherwise what `python …` would be; it ends as an
interpreter ends, but does not take its modules apart, which would copy them all.  What an interpreter reads of its
environment when it starts (PYTHON*) is the server's, so a test of that starts one itself.

In        words as they are typed, a folder, an environment
Out       what subprocess.run returns
Not here  terminals and pipes that close (scenarios/test_streams.py)
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 90
STREAMS = ("stdout", "stderr")
RUNG, MIGRATIONS = "rung", "migrations"
# What most commands import once they run.
COMMANDS = (
    "rung.adapters.answers", "rung.adapters.hands", "rung.adapters.ledger", "rung.adapters.packing",
    "rung.adapters.planner", "rung.adapters.recordings", "rung.adapters.repository", "rung.adapters.traffic.sender",
    "rung.loop", "rung.moves.ladder", "rung.surfaces.cli", "rung.surfaces.ladder", "rung.surfaces.load",
)  # fmt: skip
# What the commands of projects import, Alembic's and Django's.
MIGRATING = (
    "alembic.command", "alembic.config", "sqlalchemy.dialects.postgresql.psycopg", "django.contrib.postgres.indexes",
    "django.contrib.postgres.operations", "django.core.management.commands.check",
    "django.core.management.commands.makemigrations", "django.core.management.commands.migrate",
    "django.db.backends.postgresql.base", "django.db.models",
)  # fmt: skip
_servers: dict[str, tuple[subprocess.Popen[bytes], socket.socket]] = {}


def rung(place: Path, *words: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """
    Run rung in *place*, with nothing to read on standard input.

    Raises:
        TimeoutError: it took longer than TIMEOUT_S.
    """
    return _run(RUNG, place, ["-m", "rung", *words], environment)


def migrating(place: Path, *words: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """
    Run `python -B` with *words*, `-m` and a module or a script, in *place*: a command of Alembic's or Django's.

    Raises:
        TimeoutError: it took longer than TIMEOUT_S.
    """
    return _run(MIGRATIONS, place, words, environment)


def _run(
    kind: str, place: Path, words: list[str] | tuple[str, ...], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    if kind not in _servers:
        _servers[kind] = _started(kind)
    server, channel = _servers[kind]
    with tempfile.TemporaryDirectory(prefix="rung-warm-") as folder:
        asked = {"words": words, "place": str(place), "environment": dict(environment), "streams": folder}
        channel.sendall(json.dumps(asked).encode() + b"\n")
        try:
            with channel.makefile("rb") as told:
                status = json.loads(told.readline())
        except TimeoutError:
            del _servers[kind]
            server.kill()
            server.wait()
            raise
        stdout, stderr = ((Path(folder) / name).read_text("utf-8") for name in STREAMS)
    return subprocess.CompletedProcess([sys.executable, *words], status, stdout, stderr)


def _started(kind: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT_S)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", kind, str(theirs.fileno())], pass_fds=[theirs.fileno()],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    return server, ours


def serve(channel: socket.socket) -> None:
    """
    Fork for each command that is asked for, until nobody can ask any more; in a child return when it is set up.
    """
    for line in channel.makefile("rb"):
        asked = json.loads(line)
        child = os.fork()
        if not child:
            channel.close()
            _become(asked)
            return
        _, status = os.waitpid(child, 0)
        channel.sendall(json.dumps(os.waitstatus_to_exitcode(status)).encode() + b"\n")
    sys.exit()


def _become(asked: dict[str, object]) -> None:
    """
    Turn this process into the one that was asked for, all but its program.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(str(asked["place"]))
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    for number, name in enumerate(STREAMS, start=1):
        stream = os.open(f"{asked['streams']}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.dup2(stream, number)
        os.close(stream)
    sys.argv = list(asked["words"])  # type: ignore[call-overload]


def imported(kind: str) -> None:
    """
    Import what commands of that *kind* import.
    """
    modules = MIGRATING
    if kind == RUNG:
        from rung.wire import TOOL_MODULES

        modules = ("rung.__main__", *TOOL_MODULES, *COMMANDS)
    for module in modules:
        __import__(module)


def run(kind: str) -> None:
    """
    Run the program that this process was asked for.
    """
    if kind == RUNG:
        from rung.__main__ import main

        sys.argv = ["rung", *sys.argv[2:]]
        sys.exit(main())
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(Path.cwd()))
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


def end(kind: str) -> NoReturn:
    """
    Run the program, and end with its status.
    """
    status = 0
    try:
        run(kind)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status & 0xFF)


if __name__ == "__main__":
    kind = sys.argv[1]
    imported(kind)
    gc.freeze()  # a child that collects would copy all of it
    serve(socket.socket(fileno=int(sys.argv[2])))
    end(kind)
