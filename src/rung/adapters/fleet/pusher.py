"""
Send recordings while they are made, in a thread that never holds the recording up.

In        the folder under way, those that have ended
Out       objects in the store; a line on standard error when sending begins to fail, and when it goes on
Not here  sending one (push.py), making recordings (collector/)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rung import clock
from rung.adapters.fleet import sent
from rung.errors import RecordingBroken, RungError, StoreRefused

if TYPE_CHECKING:
    from rung.adapters.fleet.store import Store

END_S_MAX = 10.0  # for the last of it; a container runtime waits 10 to 30 s
AGAIN_S_MAX = 300.0


class Pusher:
    """
    What is sent from one collector.
    """

    def __init__(self, prefix: str, *, every_s: float, say: Callable[[str], None]) -> None:
        self._prefix, self._every_s, self._say = prefix, every_s, say
        self._wake = threading.Event()
        self._ending = False
        self._failed = False
        self._place: Path | None = None
        self._store: Store | None = None
        self._thread = threading.Thread(target=self._run, name="rung-push", daemon=True)

    def begin(self, folder: Path) -> None:
        """
        Send the recording in *folder* from now on, and what is left of those beside it.
        """
        self._place = folder.parent
        try:
            sent.begin(folder, self._prefix)
        except OSError as problem:
            self._tell(f"{folder.name} cannot be sent ({type(problem).__name__})")
        if not self._thread.is_alive() and not self._ending:
            self._thread.start()

    def sealed(self) -> None:
        """
        Send soon what has just ended.
        """
        self._wake.set()

    def end(self, timeout_s: float = END_S_MAX) -> None:
        """
        Send what is left, within *timeout_s*; the rest is for `rung push`, or the next collector here.
        """
        self._ending = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if self._left():
            self._say(f"rung: not all was sent to {self._prefix}; `rung push` sends the rest\n")

    def _left(self) -> bool:
        return self._place is not None and bool(sent.waiting(self._place, self._prefix))

    def _run(self) -> None:
        pause_s = self._every_s
        while True:
            # What was sealed during a turn takes one more.
            last = self._ending
            worked = self._turn()
            if last:
                return
            if self._ending:
                continue
            pause_s = self._every_s if worked else min(2 * pause_s, AGAIN_S_MAX)
            self._wake.wait(pause_s)
            self._wake.clear()

    def _turn(self) -> bool:
        """
        Send what can be sent now; return whether all of it was.
        """
        try:
            all_sent = self._send()
        except RungError as problem:
            self._tell(problem.message)
            return False
        except Exception as problem:
            # Anything else would end the thread in silence; its words may quote anything.
            self._tell(type(problem).__name__)
            return False
        if all_sent and self._failed:
            self._failed = False
            self._say(f"rung: recordings are sent to {self._prefix} again\n")
        return all_sent

    def _send(self) -> bool:
        from rung.adapters.fleet.push import push
        from rung.adapters.fleet.store import Store

        began = clock.monotonic_s()
        if self._store is None:
            self._store = Store(self._prefix)
        assert self._place is not None
        all_sent = True
        for folder in sent.waiting(self._place, self._prefix):
            try:
                push(folder, self._store)
            except RecordingBroken:
                # One that is sealed at this moment is whole the next time; one that stays so holds up no other.
                all_sent = False
            except StoreRefused as problem:
                all_sent = False
                self._tell(problem.message)
            if self._ending and clock.monotonic_s() - began > END_S_MAX:
                return False
        return all_sent

    def _tell(self, why: str) -> None:
        if not self._failed:
            self._failed = True
            self._say(
                f"rung: nothing is sent for now: {why}\nrung: recording goes on here; what waits is sent later.\n"
            )
