"""
Collect by itself, for apps that find its socket: `rung collect --socket PATH`.

In        where to listen, where to write, when to cut
Out       sealed recordings, until SIGTERM or SIGINT
Not here  cutting (pieces.py), how the apps find the socket (docs/production.md)

The socket is made for its user and group (0660): whoever can write to it can add rows to a recording, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from rung.adapters import launcher
from rung.adapters.collector import listener
from rung.adapters.collector.log_file import LogFile
from rung.adapters.collector.pieces import Pieces, Place
from rung.adapters.collector.views.asked import Asked
from rung.adapters.fleet.pusher import Pusher
from rung.adapters.retention import Retention, prune
from rung.errors import SocketRefused

DRAIN_S_MAX = 5.0  # for apps that end at the same moment; a container runtime waits 10 s by default
SOCKET_MODE = 0o660


def collect(
    path: Path,
    *,
    folder: Path,
    name: str,
    rotate_s: float,
    retention: Retention,
    say: Callable[[str], None],
    database: str | None = None,
    pusher: Pusher | None = None,
    views: Asked | None = None,
    log_file: Path | None = None,
) -> list[Path]:
    """
    Record what is sent to *path* until told to end; return the folders of the recordings that were made.

    The host, and *database* where one is named, are sampled meanwhile; *pusher* sends what is recorded, *views* tell of
    all of it, and what the apps log goes to *log_file* as well.

    Raises:
        SocketRefused: nothing can listen there.
        CommandNotStarted: *folder* cannot hold a recording.
    """
    server = _listening(path)

    def following() -> Place:
        return Place(*launcher.new_recording(folder, name))

    def sealed(recording: Path) -> None:
        say(f"rung: sealed {recording}\n")
        say(prune(folder, retention, newest=recording.name).words())

    try:
        log = LogFile(log_file, say=say) if log_file is not None else None
        pieces = Pieces(
            following(), say=say, on_sealed=sealed, every_s=rotate_s, following=following, log_file=log
        )  # fmt: skip
        collector = listener.Listener(server, socket_path=path, pieces=pieces, drain_s_max=DRAIN_S_MAX)
        collector.heed_signals(alone=True)
    except BaseException:
        server.close()
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    say(f"rung: listening at {path}, recording to {folder}\n")
    collector.run(database, pusher, views)
    return pieces.sealed


def _listening(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > launcher.SOCKET_PATH_BYTES_MAX:
        raise SocketRefused(str(path), f"a socket's path has at most {launcher.SOCKET_PATH_BYTES_MAX} bytes")
    _clear(path)
    previous = os.umask(0o777 & ~SOCKET_MODE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        return listener.listening(str(path))
    except OSError as problem:
        raise SocketRefused(str(path), problem.strerror or str(problem)) from None
    finally:
        os.umask(previous)


def _clear(path: Path) -> None:
    """
    Remove the socket of a collector that was killed; one that is answered at, or that is no socket, stays.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketRefused(str(path), "there is a file of that name that is no socket")
    except FileNotFoundError:
        return
    except OSError as problem:
        raise SocketRefused(str(path), problem.strerror or str(problem)) from None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            with contextlib.suppress(OSError):
                path.unlink()
            return
        except OSError as problem:
            raise SocketRefused(str(path), problem.strerror or str(problem)) from None
    raise SocketRefused(str(path), "another collector listens there")
