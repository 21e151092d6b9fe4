"""
Look at where an app would be recorded: its interpreter, the folder, the socket, the disk.

In        the interpreter, the folder for recordings, the environment
Out       facts; nothing is left behind
Not here  what they mean for a recording (surfaces/doctor.py), the database's permissions (permissions.py)
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rung.adapters.launcher import BOOTSTRAP
from rung.errors import CommandNotExecutable

START_S_MAX = 30.0
NOWHERE = f"{os.devnull}/nowhere"  # a folder that cannot be made: nothing is to be recorded of a look
SERVERS = (
    "uvicorn", "granian", "gunicorn", "hypercorn", "daphne", "celery", "rq", "dramatiq", "procrastinate", "pgq",
    "flask", "litestar", "django-admin",
)  # fmt: skip

# What a Python process of the app would find; printed behind a mark, for a sitecustomize may print as well.
LOOK = """
import importlib.metadata, importlib.util, json, os, sys
from importlib.machinery import PathFinder
found = {}
for distribution in importlib.metadata.distributions():
    name = distribution.metadata["Name"]
    if name:
        found.setdefault(name.lower().replace("_", "-").replace(".", "-"), distribution.version)
spec = PathFinder.find_spec("sitecustomize", sys.path)
sys.stdout.write("\\nrung:" + json.dumps({
    "executable": sys.executable,
    "version": list(sys.version_info[:3]),
    "implementation": sys.implementation.name,
    "recorded": "rung.probe" in sys.modules and sys.modules["rung.probe"].core.state.started,
    "rung": importlib.util.find_spec("rung") is not None,
    "msgspec": importlib.util.find_spec("msgspec") is not None,
    "sitecustomize": spec.origin if spec is not None else None,
    "libraries": found,
}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """
    What an interpreter of the app has, found by starting it as `rung record` does.

    Attributes:
        recorded: Whether the recorder ran in it.
        sitecustomize: The environment's own, which runs as well.
        said: What it wrote to standard error: the reason, where the recorder did not run.
    """

    executable: str
    version: tuple[int, ...]
    implementation: str
    recorded: bool
    has_rung: bool
    has_msgspec: bool
    sitecustomize: str | None
    libraries: Mapping[str, str] = field(repr=False)
    said: str = ""


def look_into(python: str) -> Interpreter:
    """
    Start *python* once with the recorder in it and return what is there.

    Raises:
        CommandNotExecutable: it does not start, or is no Python.
    """
    inherited = os.environ.get("PYTHONPATH")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in {"RUNG", "RUNG_SAID", "RUNG_SOCKET"}},
        "PYTHONPATH": os.pathsep.join(part for part in (str(BOOTSTRAP), inherited) if part),
        "RUNG_RAW": NOWHERE,
    }
    try:
        done = subprocess.run(
            [python, "-c", LOOK], env=environment, capture_output=True, text=True, timeout=START_S_MAX, check=False,
            stdin=subprocess.DEVNULL, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise CommandNotExecutable(python, getattr(problem, "strerror", None) or str(problem)) from None
    try:
        told = json.loads(done.stdout.rpartition("\nrung:")[2])
    except ValueError:
        said = done.stderr.strip().splitlines()
        raise CommandNotExecutable(python, said[-1] if said else "it is not a Python that can be looked into") from None
    return Interpreter(
        executable=told["executable"],
        version=tuple(told["version"]),
        implementation=told["implementation"],
        recorded=told["recorded"],
        has_rung=told["rung"],
        has_msgspec=told["msgspec"],
        sitecustomize=told["sitecustomize"],
        libraries=told["libraries"],
        said=done.stderr.strip(),
    )


def has_instrument(name: str) -> bool:
    """
    Return whether this rung has the instrument of that name.
    """
    return (BOOTSTRAP.parent / "instruments" / f"{name}.py").is_file()


@dataclass(frozen=True, slots=True)
class Script:
    """
    A server's command on PATH and the interpreter line that it begins with.
    """

    name: str
    path: str
    interpreter: str
    flags: str


def scripts() -> list[Script]:
    """
    Return the servers' commands on PATH that are run by an interpreter of their own.
    """
    found = []
    for name in SERVERS:
        path = shutil.which(name)
        if path is None:
            continue
        try:
            with Path(path).open("rb") as file:
                first = file.readline(512)
        except OSError:
            continue
        interpreter, _, flags = first[2:].decode("utf-8", "replace").strip().partition(" ")
        if interpreter.endswith("/env"):
            interpreter, _, flags = flags.removeprefix("-S ").partition(" ")
            interpreter = shutil.which(interpreter) or interpreter
        if first.startswith(b"#!") and "python" in Path(interpreter).name:
            found.append(Script(name, path, interpreter, flags))
    return found


def leaves_recorder_out(flags: str) -> bool:
    """
    Return whether an interpreter with these flags runs without PYTHONPATH or site.

    >>> leaves_recorder_out("-sP"), leaves_recorder_out("-I"), leaves_recorder_out("-uE")
    (False, True, True)
    """
    return any(
        flag.startswith("-") and not flag.startswith("--") and not {"I", "E", "S"}.isdisjoint(flag)
        for flag in flags.split()
    )


def same_interpreter(script: Script, executable: str) -> bool:
    """
    Return whether *script* is run by *executable*, or by one that the same environment names otherwise.
    """
    return Path(script.interpreter).parent == Path(executable).parent


@dataclass(frozen=True, slots=True)
class Place:
    """
    The folder for recordings, or the one that it would be made in.
    """

    folder: Path
    exists: bool
    writable: bool
    free_bytes: int
    held_bytes: int
    unsealed: tuple[str, ...]


def look_at_folder(folder: Path) -> Place:
    """
    Return whether recordings can be written to *folder*, how much is there and how much is free.
    """
    from rung.adapters.shelf import RECORDINGS, is_written, names, raw_names, size_bytes, told_by
    from rung.errors import RecordingError

    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    held_bytes, unsealed = 0, []
    for name in names(folder):
        held_bytes += size_bytes(folder / RECORDINGS / name)
        try:
            if told_by(folder / RECORDINGS / name).get("sealed") is not True:
                unsealed.append(name)
        except RecordingError:
            unsealed.append(name)
    for name in raw_names(folder):
        held_bytes += size_bytes(folder / "raw" / name)
        if is_written(folder / "raw" / name):
            unsealed.append(name)
    return Place(
        folder=folder,
        exists=folder.is_dir(),
        writable=_takes_folders(there),
        free_bytes=shutil.disk_usage(there).free,
        held_bytes=held_bytes,
        unsealed=tuple(unsealed),
    )


def _takes_folders(folder: Path) -> bool:
    # Tried, not asked: some file systems say yes and mean no.
    try:
        Path(tempfile.mkdtemp(prefix=".rung-doctor-", dir=folder)).rmdir()
    except OSError:
        return False
    return True


def problem_of_socket(path: str) -> str | None:
    """
    Return why an app would not reach a collector at *path*, None where it would.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(path)
        except OSError as problem:
            return problem.strerror or str(problem)
    return None


NOBODY, RUNG, SOMEBODY = "nobody", "rung", "somebody"


def who_listens(host: str, port: int) -> str:
    """
    Return whether metrics are served at an address (RUNG), something else is there (SOMEBODY), or NOBODY.
    """
    connection = http.client.HTTPConnection(host, port, timeout=1.0)
    try:
        connection.connect()
    except OSError:
        return NOBODY
    try:
        connection.request("GET", "/-/healthy")
        return RUNG if connection.getresponse().read(100).startswith(b"rung ") else SOMEBODY
    except (OSError, http.client.HTTPException):
        return SOMEBODY
    finally:
        connection.close()


def problem_of_receiver(url: str) -> str | None:
    """
    Return why a receiver at *url* would not be reached, None where somebody listens there.
    """
    parts = urllib.parse.urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=2.0).close()
    except (OSError, ValueError) as problem:
        return getattr(problem, "strerror", None) or str(problem)
    return None


def temporary_folder() -> str | None:
    """
    Return where a collector's socket would be made, None where nothing can be.
    """
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return None
