"""
Read frames of many processes and have them written each second, until the recorded command has ended.

In        a listening socket, the lifeline
Out       frames given to the recording under way, which is cut when its time has come
Not here  recordings one after the other (pieces.py), Parquet (writer.py), which frames are plausible (steps/record.py)
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

from rung import clock
from rung.adapters.collector.pieces import Pieces, Sender
from rung.adapters.collector.samplers import Samplers
from rung.adapters.collector.views.asked import Asked
from rung.adapters.fleet.pusher import Pusher
from rung.frames import FrameRefused, Hello, Reader

WRITE_EVERY_S = 1.0
DRAIN_S_MAX = 2.0
READ_BYTES = 262_144

NOBODY_REPORTED = (
    "rung: nothing is being recorded: no process with a supported web app has reported{after}.\n"
    "rung: it may be another interpreter or virtual environment without rung (pip install rung there), python run\n"
    "rung: with -I, -E or -S, a cleared environment, an app on none of FastAPI, Starlette, Litestar, Django and\n"
    "rung: Flask, or a command that ended before it loaded one.\n"
    "rung: rung record -- python -m uvicorn yourapp:app  uses the python that has rung.\n"
)


class Connection:
    """
    One process that is connected.
    """

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.reader = Reader()
        self.sender: Sender | None = None


def listening(path: str) -> socket.socket:
    """
    Return a socket that listens at *path*.
    """
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen(128)
    server.settimeout(0)
    return server


class Listener:
    """
    The collector's loop.
    """

    def __init__(
        self,
        server: socket.socket,
        *,
        socket_path: Path,
        pieces: Pieces,
        lifeline: int | None = None,
        hello_within_s: float = math.inf,
        drain_s_max: float = DRAIN_S_MAX,
    ) -> None:
        """
        Listen on *server* until the other end of *lifeline* is closed; without one, until told by a signal.
        """
        self._server = server
        self._socket_path = socket_path
        self._lifeline = lifeline
        self._ends_alone = lifeline is not None
        self._pieces = pieces
        self._warn_at: float | None = clock.monotonic_s() + hello_within_s
        self._hello_within_s = hello_within_s
        self._drain_s_max = drain_s_max
        self._told_to_end = False
        self._open = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(server, selectors.EVENT_READ)
        if lifeline is not None:
            self._selector.register(lifeline, selectors.EVENT_READ)

    def heed_signals(self, *, alone: bool = False) -> None:
        """
        Take SIGTERM for "seal now", and SIGINT too where the collector runs *alone*.  To be called before anybody
        learns that the collector is there: one that is told to end in between would end without sealing.
        """
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(ignored, signal.SIG_IGN)
        wakened, waker = socket.socketpair()
        waker.settimeout(0)
        wakened.settimeout(0)
        self._selector.register(wakened, selectors.EVENT_READ)
        signal.set_wakeup_fd(waker.detach())
        for heeded in (signal.SIGTERM, signal.SIGINT) if alone else (signal.SIGTERM,):
            signal.signal(heeded, self._asked_to_end)

    def run(self, database: str | None = None, pusher: Pusher | None = None, views: Asked | None = None) -> int:
        """
        Record until the command has ended, then seal; *database* is sampled meanwhile, as this host is, *pusher* sends
        what is recorded, and *views* tell of it.
        """
        tell = None
        if views is not None and views.any:
            # They bring threads of their own, and packages that a collector without them need not have.
            from rung.adapters.collector.views.watching import Views

            watching = Views(views, say=say)
            self._pieces.viewed_by(watching)
            tell = watching.sample
        self._pieces.sampled_by(Samplers(database, say=say, tell=tell))
        if pusher is not None:
            self._pieces.sent_by(pusher)
        try:
            self._record()
        finally:
            self._server.close()
            with contextlib.suppress(OSError):
                self._socket_path.unlink()
                if self._ends_alone:
                    self._socket_path.parent.rmdir()
        if not self._pieces.processes and self._warn_at is not None and self._ends_alone:
            say(NOBODY_REPORTED.format(after=""))
        self._pieces.end()
        return 0

    def _asked_to_end(self, _number: int, _frame: FrameType | None) -> None:
        self._told_to_end = True

    def _record(self) -> None:
        write_at = clock.monotonic_s() + WRITE_EVERY_S
        end_at: float | None = None
        while True:
            busy = self._turn(max(0.0, min(WRITE_EVERY_S, write_at - clock.monotonic_s())) if end_at is None else 0.05)
            now_s = clock.monotonic_s()
            if now_s >= write_at:
                self._pieces.write(self._senders())
                write_at = clock.monotonic_s() + WRITE_EVERY_S
            self._warn(now_s)
            if self._told_to_end and end_at is None:
                end_at = now_s + self._drain_s_max
            # A child that outlives the command and still serves is still recorded; only the launcher says stop.
            ended = self._ends_alone and self._lifeline is None
            if (ended or end_at is not None) and self._open == 0 and not busy:
                return
            if end_at is not None and now_s >= end_at:
                return

    def _warn(self, now_s: float) -> None:
        if self._pieces.processes:
            self._warn_at = None
        elif self._warn_at is not None and now_s >= self._warn_at:
            self._warn_at = None
            say(NOBODY_REPORTED.format(after=f" within {self._hello_within_s:g} s"))

    def _turn(self, wait_s: float) -> bool:
        events = self._selector.select(wait_s)
        busy = False
        for key, _ in events:
            if key.fileobj is self._server:
                self._accept()
                busy = True
            elif key.fileobj == self._lifeline:
                if not os.read(key.fd, 4096):
                    self._selector.unregister(key.fd)
                    self._lifeline = None
            elif isinstance(key.data, Connection):
                self._read(key.data)
                busy = True
            elif isinstance(key.fileobj, socket.socket):
                key.fileobj.recv(4096)
        return busy

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            stream, _ = self._server.accept()
            stream.settimeout(0)
            self._selector.register(stream, selectors.EVENT_READ, Connection(stream))
            self._open += 1

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.stream.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        try:
            for frame in connection.reader.feed(data):
                if isinstance(frame, Hello):
                    connection.sender = self._pieces.hello(frame, connection.sender)
                elif connection.sender is not None:
                    self._pieces.batch(connection.sender, frame)
        except FrameRefused as refused:
            self._pieces.refuse()
            say(f"rung: refused what a process sent: {refused}\n")
            self._close(connection)

    def _senders(self) -> list[Sender]:
        connections = [key.data for key in self._selector.get_map().values() if isinstance(key.data, Connection)]
        return [connection.sender for connection in connections if connection.sender is not None]

    def _close(self, connection: Connection) -> None:
        self._selector.unregister(connection.stream)
        connection.stream.close()
        self._open -= 1


def say(text: str) -> None:
    """
    Say something on standard error, if it is still there.
    """
    if not text:
        return
    # Standard error is the app's as well, and may be gone before the collector is.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()
