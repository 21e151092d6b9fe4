"""
Run rung's command line in a process of its own that need not import it anew.

A server, one for each test process, has everything imported and forks for each command.  The child has the folder, the
environment and the streams that it is given, and is otherwise what `python -m rung` would be; it ends as an interpreter
ends.  What an interpreter reads of its environment when it starts (PYTHON*) is the server's, so a test of that starts
one itself.

In        words as they are typed, a folder, an environment
Out       what subprocess.run returns
Not here  terminals and pipes that close (scenarios/test_streams.py)
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 60
STREAMS = ("stdout", "stderr")
_server: list[tuple[subprocess.Popen[bytes], socket.socket]] = []


def rung(place: Path, *words: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """
    Run rung in *place*, with nothing to read on standard input.

    Raises:
        TimeoutError: it took longer than TIMEOUT_S.
    """
    if not _server:
        _server.append(_started())
    server, channel = _server[0]
    with tempfile.TemporaryDirectory(prefix="rung-warm-") as folder:
        asked = {"words": words, "place": str(place), "environment": dict(environment), "streams": folder}
        channel.sendall(json.dumps(asked).encode() + b"\n")
        try:
            with channel.makefile("rb") as told:
                status = json.loads(told.readline())
        except TimeoutError:
            _server.clear()
            server.kill()
            server.wait()
            raise
        stdout, stderr = ((Path(folder) / name).read_text("utf-8") for name in STREAMS)
    return subprocess.CompletedProcess(["rung", *words], status, stdout, stderr)


def _started() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT_S)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", str(theirs.fileno())], pass_fds=[theirs.fileno()],
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
    sys.argv = ["rung", *asked["words"]]  # type: ignore[misc]


if __name__ == "__main__":
    from rung.__main__ import main
    from rung.wire import TOOL_MODULES

    for module in (*TOOL_MODULES, "rung.surfaces.cli", "rung.loop", "rung.adapters.recordings"):
        __import__(module)
    serve(socket.socket(fileno=int(sys.argv[1])))
    sys.exit(main())
