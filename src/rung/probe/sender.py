"""
Carry finished requests to the collector, from a thread of its own.

In        what `core.state` holds; once a second the requests in flight
Out       frames
Not here  deciding what is kept (keeping.py), the way out (outlet.py); one that is gone is missed silently, what it
          does not take is dropped and counted
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time

from rung.probe import core, inflight, outlet, reads, sampler
from rung.probe.core import failed, state
from rung.probe.keeping import SECOND_S, Keeper

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:  # what only the thread needs is imported by the thread
    from collections import deque
    from typing import Any

EVERY_S = 0.5  # each turn costs about 0.1 ms whatever it carries
RETRY_S = 5.0
TOTALS_EVERY_S = 5.0
FLUSH_S_MAX = 0.25
FORK_S_MAX = 0.5
GONE_S_MAX = 0.02
EXIT_S_MAX = 1.0
FRAME_REQUESTS_MAX = 500
FRAME_SEGMENTS_MAX = 20_000
_LIBRARIES = (
    "fastapi", "starlette", "django", "uvicorn", "gunicorn", "uvloop", "sqlalchemy", "asyncpg", "psycopg",
    "psycopg_pool", "celery", "psycopg2", "httpx", "requests", "urllib3", "aiohttp", "redis", "jinja2", "litestar",
    "granian", "botocore", "obstore", "rq", "dramatiq", "procrastinate", "pgqueuer",
)  # fmt: skip


class Sender(threading.Thread):
    """
    Sends what is finished twice a second; never held up by the app, never holds it up.
    """

    _before: Sender | None = None

    def __init__(self, before: Sender | None = None) -> None:
        super().__init__(name="rung", daemon=True)
        if before is not None:  # it rested for a fork: its connection, and what it told, go on
            threads = set(vars(self))
            vars(self).update({name: held for name, held in vars(before).items() if name not in threads})
            self.resting, self._before = False, before
            return
        self.wake = threading.Event()
        self.flushed = threading.Event()
        self.flushes_asked = self.flushes_done = 0
        self.stopping = self.resting = False
        self._outlet = outlet.chosen(os.environ)
        self._open = False
        self._retry_at = 0.0
        self._libraries: dict[str, str] | None = None
        self._told: dict[str, int] = {}
        self._noted: dict[str, int] = {}
        self._started_s = time.time()
        self._keeper = Keeper()
        self._second_at = self._totals_at = 0.0

    def run(self) -> None:
        """
        Send until told to stop.
        """
        try:
            self._work()
        except BaseException:
            state.recording = False  # nobody carries any more; what comes is counted, and not kept
            raise

    def _work(self) -> None:
        if self._before is not None:
            self._before.join()
            self._before = None
        while not self.resting:
            # What is asked for during a turn is done by the next one.
            flushes, stopping = self.flushes_asked, self.stopping
            try:
                with _turning:
                    self._turn()
            except Exception:
                failed()
            self.flushes_done = flushes
            self.flushed.set()
            if stopping:
                return
            self.wake.wait(EVERY_S if state.recording else RETRY_S)
            self.wake.clear()

    def _turn(self) -> None:
        self._greet()
        state.recording = self._open and state.shed < core.SHED_ALL
        in_flight: list[tuple[Any, ...]] = []
        totals: list[tuple[Any, ...]] = []
        now_s = time.monotonic()
        if now_s >= self._second_at or self.stopping:
            self._second_at = now_s + SECOND_S
            in_flight = inflight.rows()
            self._household()
        if now_s >= self._totals_at or self.stopping:
            self._totals_at = now_s + TOTALS_EVERY_S
            totals = self._keeper.totals()
        while True:
            requests = _taken()
            statements = _drained(state.statements)
            places, samples = _drained(state.places_unsent), _drained(state.sampled)
            # A line is put there before its request is: no request is sent before its lines.
            lines = _drained(state.lines)
            counts = _counts()
            something = requests or statements or places or samples or in_flight or totals or lines
            if not something and (counts == self._told or not self._open):
                self._note(counts)
                return
            self._keeper.requests += len(requests)
            self._keeper.segments += sum(len(row[core.SEGMENTS]) for row in requests) // core.SEGMENT_BYTES
            self._keeper.reads += sum(len(row[core.READS]) for row in requests)
            self._send(
                requests, statements, counts,
                places=places, in_flight=in_flight, samples=samples, totals=totals, lines=lines,
            )  # fmt: skip
            in_flight, totals = [], []

    def _household(self) -> None:
        said = self._keeper.second()
        if said is not None:
            state.failed_at[said] = 1
        if state.shed >= core.SHED_DIGESTS:
            reads.encode = None
        elif reads.encode is None and digests_wanted():
            import msgspec

            reads.encode = msgspec.msgpack.Encoder().encode

    def _greet(self) -> None:
        import platform
        import socket

        from rung import __version__, frames

        libraries = _libraries()
        if not self._open:
            if time.monotonic() < self._retry_at:
                return
            self._open = self._outlet.open()
            if not self._open:
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
            key=state.key,
        )
        self._carry(frames.encode_hello(hello))

    def _send(
        self, requests: list[Any], statements: list[Any], counts: dict[str, int], **more: list[tuple[Any, ...]]
    ) -> None:
        from rung import frames

        frame = b""
        if self._open:
            frame = frames.encode_batch(requests, statements, counts=counts, failed_at=dict(state.failed_at), **more)
        if self._carry(frame):
            self._told = counts
        else:
            state.dropped += len(requests)
            state.lines_dropped += len(more["lines"])
            self._told = _counts()

    def _note(self, counts: dict[str, int]) -> None:
        # A folder that is full is not read before the process has ended: what was dropped must stand there.
        if self._open or not self._outlet.notes or counts == self._noted:
            return
        from rung import frames

        self._outlet.note(frames.encode_batch(counts=counts, failed_at=dict(state.failed_at)))
        self._noted = counts

    def _carry(self, frame: bytes) -> bool:
        if not self._open:
            return False
        if self._outlet.write(frame):
            return True
        self._open = state.recording = False
        self._retry_at = time.monotonic() + RETRY_S
        return False

    def let_go(self) -> None:
        """
        Close what a forked child has of its parent's way out; the parent keeps it.
        """
        self._outlet.close()


def _taken() -> list[tuple[Any, ...]]:
    requests: list[tuple[Any, ...]] = []
    segments = 0
    while len(requests) < FRAME_REQUESTS_MAX and segments < FRAME_SEGMENTS_MAX:
        try:
            row = state.finished.popleft()
        except IndexError:
            # Threads of the app add to it without a lock; what they miscounted is mended here.
            state.held_bytes = 0
            break
        requests.append(row)
        segments += len(row[core.SEGMENTS]) // core.SEGMENT_BYTES
    return requests


def _drained(waiting: deque[Any]) -> list[Any]:
    return [waiting.popleft() for _ in range(len(waiting))]


def _counts() -> dict[str, int]:
    """
    Return what is counted since the process started.
    """
    return {
        "dropped": state.dropped, "failures": state.failures, "websockets": state.websockets, "shed": state.shed,
        "level": state.level, "depth": state.depth, "lines_dropped": state.lines_dropped,
        "spans_outside": state.spans_outside, "names_folded": state.names_folded,
    }  # fmt: skip


def digests_wanted() -> bool:
    """
    Return whether reads are digested: unless RUNG_DIGESTS says off.
    """
    return os.environ.get("RUNG_DIGESTS", "") != "off"


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        version: Any = getattr(sys.modules.get(name), "__version__", None)
        if hasattr(version, "formatted"):  # Litestar's is an object
            version = version.formatted()
        if isinstance(version, str):
            found[name] = version
    return found


_sender: Sender | None = None
_turning = threading.Lock()
_forking = threading.local()
_sampler: sampler.Sampler | None = None


def _start() -> None:
    global _sampler, _sender
    if _sender is None:
        _sender, _sampler = Sender(), sampler.Sampler()
        _sender.start()
        _sampler.start()
        state.on_finished = None


def _rest() -> None:
    """
    End our threads before a fork: from 3.12 on Python warns of one beside other threads, and the app has none of ours.
    """
    if _sender is None or _sampler is None or threading.current_thread() in {_sender, _sampler}:
        return
    _sender.resting = _sampler.stopping = True
    threads: tuple[Sender | sampler.Sampler, ...] = (_sender, _sampler)
    for thread in threads:
        thread.wake.set()
        if thread.is_alive():
            thread.join(FORK_S_MAX)
    # A thread that was joined may still be there for the system, which Python asks how many there are.
    until = time.monotonic() + GONE_S_MAX
    while any(_is_there(thread) for thread in threads) and time.monotonic() < until:
        time.sleep(GONE_S_MAX / 100)
    # Not right after the fork, since Python looks only then; a master that forks servers never needs them again.
    state.on_finished = _go_on


def _is_there(thread: threading.Thread) -> bool:
    return os.path.exists(f"/proc/self/task/{thread.native_id}")


def _go_on() -> None:
    """
    Begin again what rested for a fork.
    """
    global _sampler, _sender
    if _sender is None or not _sender.resting:
        return
    state.on_finished = None
    _sender, _sampler = Sender(_sender), sampler.Sampler()
    _sender.start()
    _sampler.start()


def _before_fork() -> None:
    try:
        _rest()
    except Exception:
        failed()
    # A module that the sender imports at this moment would stay locked in the child for ever.
    _forking.holds = _turning.acquire(timeout=FORK_S_MAX)


def _after_fork_in_parent() -> None:
    if _forking.holds:
        _turning.release()


def _after_fork() -> None:
    # The parent's thread does not run here and its socket is the parent's; a child that serves begins its own.
    global _sender, _turning
    parents, _sender = _sender, None
    _turning = threading.Lock()
    state.reset()
    state.on_finished = _start
    try:
        if parents is not None:
            parents.let_go()
    except Exception:
        failed()


def flush() -> None:
    """
    Have everything finished so far sent, and wait for that a little.
    """
    _go_on()
    sender = _sender
    if sender is None or not sender.is_alive():
        return
    sender.flushes_asked += 1
    asked, until = sender.flushes_asked, time.monotonic() + FLUSH_S_MAX
    while time.monotonic() < until:
        sender.flushed.clear()
        if sender.flushes_done >= asked:
            return
        sender.wake.set()
        sender.flushed.wait(FLUSH_S_MAX)


def _at_exit() -> None:
    if state.finished:
        _go_on()
    sender = _sender
    if _sampler is not None:
        _sampler.stopping = True
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
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
    atexit.register(_at_exit)
