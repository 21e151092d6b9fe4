"""
Run one long statement so that a Ctrl-C reaches us, and tell how far it is.

In        a connection and a statement
Out       its end, or what ended it; lines for people meanwhile
Not here  what is run, and what is done about a failure (hands.py)
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import psycopg

from rung.ports import Statement
from rung.units import show_bytes, show_count, show_share

CANCEL_EVERY_S = 1.0
CANCEL_TIMEOUT_S = 10.0
PROGRESS = """
select phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total, current_locker_pid
from pg_stat_progress_create_index where pid = %s
"""


class Running:
    """
    The statement, run in a thread of its own, so that a Ctrl-C reaches us and not the middle of libpq.
    """

    def __init__(self, connection: psycopg.Connection[Any], statement: Statement) -> None:
        self.pid = connection.info.backend_pid
        self.problem: BaseException | None = None
        self._connection, self._statement = connection, statement
        # Not Thread.is_alive: a Ctrl-C during a join has Python 3.11 take a running thread for an ended one.
        self._idle = threading.Event()
        self._idle.set()

    def start(self) -> None:
        """
        Begin.
        """
        self._idle.clear()
        threading.Thread(target=self._execute, daemon=True).start()

    def _execute(self) -> None:
        try:
            self._connection.execute(self._statement.sql.encode())
        except BaseException as problem:  # handed over to the caller's thread by _watch
            self.problem = problem
        finally:
            self._idle.set()

    def ended(self, within_s: float) -> bool:
        """
        Return whether it has ended, or does within *within_s*.
        """
        return self._idle.wait(within_s)

    def stop(self) -> None:
        """
        Have the server end the build, and wait until it has.
        """
        while not self._idle.is_set():
            # Again and again: a cancellation that comes before the statement does nothing.
            try:
                self._connection.cancel_safe(timeout=CANCEL_TIMEOUT_S)
            except psycopg.Error:
                # The server cannot be reached: it ends the build, or completes it, without us.
                self._connection.close()
                return
            self._idle.wait(CANCEL_EVERY_S)


class Interrupts:
    """
    Lets the first Ctrl-C through, and none while what is half done would otherwise stay half done.
    """

    def __init__(self) -> None:
        self._before = signal.getsignal(signal.SIGINT)
        self._came: list[tuple[int, FrameType | None]] = []
        self._let_through = False
        self._held = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """
        Take one Ctrl-C.
        """
        self._came.append((number, frame))
        if not self._held:
            self.let_through()

    @contextmanager
    def held(self) -> Iterator[None]:
        """
        Let none through during the block.
        """
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self.let_through()

    def let_through(self) -> None:
        """
        Pass on the first that came, once.
        """
        if self._came and not self._let_through and callable(self._before):
            self._let_through = True
            self._before(*self._came[0])


@contextmanager
def one_interrupt() -> Iterator[Interrupts]:
    """
    Yield the keeper of Ctrl-C while something must not stay half done.
    """
    interrupts = Interrupts()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield interrupts  # signals reach the main thread only; who ignores them is not to be interrupted
        return
    signal.signal(signal.SIGINT, interrupts.on_signal)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)


def progress(connection: psycopg.Connection[Any], pid: int) -> str:
    """
    Return where the build is, in the words of pg_stat_progress_create_index, "" when it is not there.
    """
    row = connection.execute(PROGRESS, (pid,)).fetchone()
    if row is None:
        return ""
    phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total, locker = row
    if locker:
        return f"{phase}: {lockers_done} of {lockers_total}, now pid {locker}"
    if blocks_total:
        return f"{phase}: {show_share(blocks_done / blocks_total)} of {show_bytes(blocks_total * 8192)}"
    if tuples_total:
        return f"{phase}: {show_count(tuples_done)} of {show_count(tuples_total)} rows"
    return str(phase)
