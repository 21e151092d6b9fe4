"""
A unit of work that has a thread to itself: a request of a sync server, a job.

In        where it begins, where its thread goes on with it, where it ends
Out       a finished request with that thread's CPU time
Not here  what a request is called (wsgi.py, instruments/jobs.py), a request on an event loop (asgi.py)
"""

from __future__ import annotations

from contextvars import Token
from threading import get_ident
from time import thread_time

from rung.probe import core, lines


class Steady(core.Clock):
    """
    Sums the computing of one thread from `begin` to `stop`, what drivers compute inside their calls included.

    It is never `stepping`, so that neither a sync nor an async driver pauses it.
    """

    thread: int | None = None
    read = staticmethod(thread_time)

    def begin(self) -> None:
        """
        Count what the calling thread computes from now on.
        """
        self.thread = get_ident()
        self.mark = thread_time()

    def stop(self) -> None:
        """
        Count no further until `begin`; in the same thread.
        """
        self.busy_s = self.so_far_s()
        self.thread = None

    def so_far_s(self) -> float:
        """
        Return the computing up to now; as another thread asks, up to the last time that it was summed up.
        """
        counting = self.depth == 0 and self.thread == get_ident()
        return self.busy_s + thread_time() - self.mark if counting else self.busy_s

    def halt(self) -> bool:
        """
        Stop counting until `resume`, for computing that is told apart.
        """
        if self.thread != get_ident():
            return False
        self.busy_s = self.so_far_s()
        self.depth += 1
        return True

    def resume(self) -> None:
        """
        Count again, once for each `halt` that returned True.
        """
        self.depth -= 1
        if self.depth == 0:
            self.mark = thread_time()


class Threaded(Steady, core.Request):
    """
    One unit of work, which is the clock of the thread that it runs in.

    Attributes:
        contains: Whether other units of work that begin inside of this one are their own, as those of a command that
            serves or works a queue.
        body: The whole response, where the framework has it at hand and reads are digested.
        streaming: Whether the framework said that the response is made while it is sent, None where it said nothing.
    """

    contains = False
    token: Token[core.Scope | None] | None = None
    streaming: bool | None = None
    body: bytes | None = None

    def __init__(self, method: str, kind: str = "request") -> None:
        super().__init__(method, kind)
        core.state.live.add(self)
        self.scope = core.Scope(self, self)
        if core.state.shed >= core.SHED_SEGMENTS:
            self.scope.leaf = True
        self.run()

    def run(self) -> None:
        """
        Have the calling thread run this unit from here on.
        """
        self.token = core.current.set(self.scope)
        self.begin()

    def rest(self) -> None:
        """
        Have the calling thread leave this unit until `run`.
        """
        if self.thread is not None:
            self.stop()
        token, self.token = self.token, None
        if token is not None:
            core.current.reset(token)

    def end(self) -> None:
        """
        End this unit now and hand it over; once only.
        """
        if self.ended:
            return
        try:
            self.rest()
            core.state.live.discard(self)
            core.freeze(self, final=True)
        except Exception:
            core.failed()

    def abandon(self) -> None:
        """
        Forget this unit, which could not be begun.
        """
        self.ended = True
        try:
            core.state.live.discard(self)
            self.rest()
        except Exception:
            core.failed()

    def broken(self, error: BaseException) -> None:
        """
        End this unit by an exception that leaves it.
        """
        if self.ended:
            return
        try:
            if isinstance(error, Exception):
                self.note(error)
            else:
                self.cancelled = True
        except Exception:
            core.failed()
        self.end()

    def note(self, error: BaseException) -> None:
        """
        Keep type and line of *error*.
        """
        self.error = core.describe_error(error, lines.line_of_error(error.__traceback__))


def nested(outer: core.Scope | None) -> bool:
    """
    Tell whether code that runs in *outer* is part of a unit of work, so that it begins none of its own.
    """
    if outer is None:
        return False
    request = outer.request
    return not (request.ended or request.ending or (isinstance(request, Threaded) and request.contains))
