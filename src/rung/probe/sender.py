"""
Carry finished requests to the collector, from a thread of its own.

In        `core.state.finished`; the socket's path in RUNG_SOCKET
Out       frames
Not here  deciding what is kept (core.py); a collector that is gone is missed silently, its share dropped and counted
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time

from rung.probe.core import failed, state

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:  # what only the thread needs is imported by the thread
    import socket
    from typing import Any

EVERY_S = 0.5  # each turn costs about 0.1 ms whatever it carries
RETRY_S = 5.0
SEND_S_MAX = 2.0
FLUSH_S_MAX = 0.25
EXIT_S_MAX = 1.0
FRAME_REQUESTS_MAX = 500
FRAME_SEGMENTS_MAX = 20_000
_LIBRARIES = (
    "fastapi", "starlette", "uvicorn", "gunicorn", "uvloop", "sqlalchemy", "asyncpg", "psycopg", "psycopg_pool",
)  # fmt: skip


class Sender(threading.Thread):
    """
    Sends what is finished twice a second; never held up by the app, never holds it up.
    """

    def __init__(self) -> None:
        super().__init__(name="rung", daemon=True)
        self.wake = threading.Event()
        self.flushed = threading.Event()
        self.stopping = False
        self._connection: socket.socket | None = None
        self._retry_at = 0.0
        self._libraries: dict[str, str] | None = None
        self._told: tuple[int, int] = (0, 0)
        self._started_s = time.time()

    def run(self) -> None:
        """
        Send until told to stop.
        """
        while True:
            try:
                self._turn()
            except Exception:
                failed()
            self.flushed.set()
            if self.stopping:
                return
            self.wake.wait(EVERY_S if state.recording else RETRY_S)
            self.wake.clear()

    def _turn(self) -> None:
        self._greet()
        state.recording = self._connection is not None
        while True:
            requests = _taken()
            statements = [state.statements.popleft() for _ in range(len(state.statements))]
            counts = (state.dropped, state.failures)
            if not requests and not statements and (counts == self._told or self._connection is None):
                return
            self._send(requests, statements, counts)

    def _greet(self) -> None:
        import platform
        import socket

        from rung import __version__, frames

        libraries = _libraries()
        if self._connection is None:
            if time.monotonic() < self._retry_at:
                return
            self._connection = _connected()
            if self._connection is None:
                self._retry_at = time.monotonic() + RETRY_S
                return
            # A new reader knows no statement yet.
            state.forget_statements()
        elif libraries == self._libraries:
            return
        self._libraries = libraries
        hello = frames.Hello(
            format=frames.FORMAT,
            rung=__version__,
            host=socket.gethostname(),
            instance=os.environ.get("RUNG_INSTANCE", ""),
            worker=os.getpid(),
            python=platform.python_version(),
            libraries=libraries,
            started_s=self._started_s,
        )
        self._carry(frames.encode_hello(hello))

    def _send(self, requests: list[Any], statements: list[Any], counts: tuple[int, int]) -> None:
        from rung import frames

        dropped, failures = counts
        frame = b""
        if self._connection is not None:
            frame = frames.encode_batch(requests, statements, dropped=dropped, failures=failures)
        if self._carry(frame):
            self._told = counts
        else:
            state.dropped += len(requests)
            self._told = (state.dropped, failures)

    def _carry(self, frame: bytes) -> bool:
        if self._connection is None:
            return False
        try:
            self._connection.sendall(frame)
        except OSError:
            self._connection.close()
            self._connection = None
            state.recording = False
            self._retry_at = time.monotonic() + RETRY_S
            return False
        return True


def _taken() -> list[tuple[Any, ...]]:
    requests: list[tuple[Any, ...]] = []
    segments = 0
    while len(requests) < FRAME_REQUESTS_MAX and segments < FRAME_SEGMENTS_MAX:
        try:
            row = state.finished.popleft()
        except IndexError:
            # Threads of the app add to it without a lock; what they miscounted is mended here.
            state.held = 0
            break
        requests.append(row)
        segments += len(row[10])
    return requests


def _connected() -> socket.socket | None:
    import socket

    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(SEND_S_MAX)
    try:
        connection.connect(os.environ.get("RUNG_SOCKET", ""))
    except OSError:
        connection.close()
        return None
    return connection


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(version, str):
            found[name] = version
    return found


_sender: Sender | None = None


def _start() -> None:
    global _sender
    if _sender is None:
        _sender = Sender()
        _sender.start()
        state.on_finished = None


def _after_fork() -> None:
    # The parent's thread does not run here and its socket is the parent's; a child that serves begins its own.
    global _sender
    state.reset()
    state.on_finished = _start
    _sender = None


def flush() -> None:
    """
    Have everything finished so far sent, and wait for that a little.
    """
    sender = _sender
    if sender is None or not sender.is_alive():
        return
    sender.flushed.clear()
    sender.wake.set()
    sender.flushed.wait(FLUSH_S_MAX)


def _at_exit() -> None:
    sender = _sender
    if sender is not None and sender.is_alive():
        sender.stopping = True
        sender.wake.set()
        sender.join(EXIT_S_MAX)


def install() -> None:
    """
    Start sending once a web framework is imported, in this process and in its forks.
    """
    state.on_framework = _start
    state.on_finished = _start
    os.register_at_fork(after_in_child=_after_fork)
    atexit.register(_at_exit)
