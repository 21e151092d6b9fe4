"""
Requests that come over ASGI, the computing of their tasks, and how long the event loop let them wait.

A task's computing is the time from each resumption to the next suspension.  A step that holds the loop for long
begins or prolongs a run; a task that is resumed at the end of one has waited for it, at most since its own last
step.  The run ends where the loop was free: what is short is no part of it, so that a loop with much to do and
nothing that takes long keeps nobody waiting.

In        an app to be called with scope, receive and send
Out       requests; segments of the seam loop, named after the route that held it longest, at the line that was seen
Not here  routes (instruments/), lifespan; websockets, which are counted and passed on
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Token
from time import perf_counter

from rung.probe import arrival, core, digest, lines, reads, sender
from rung.probe.threaded import nested

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from typing import Any

_HEADERS = frozenset({b"cookie", b"traceparent", b"tracestate", b"x-request-start"})  # that are read
LONG_STEP_S = 0.5e-3
PAUSE_S = 0.5e-3  # between the steps of one run: what the loop and the server do in between
LAG_S_MIN = 1e-3
RUN_STEPS_MAX = 50

state = core.state


@types.coroutine
def driven(coroutine: Any, clock: core.Clock, request: core.Request) -> Generator[Any, Any, Any]:
    """
    Drive a coroutine and add each step, from resumption to suspension, to a clock.
    """
    resume, value = coroutine.send, None
    left = begun = perf_counter()
    while True:
        clock.stepping = True
        clock.mark = begun
        if begun - state.stepped < PAUSE_S and left < state.stepped:
            _waited(request, left, begun)
        try:
            waiting = resume(value)
        except StopIteration as stop:
            return stop.value
        finally:
            left = perf_counter()
            if clock.depth == 0:
                clock.busy_s += left - clock.mark
            clock.stepping = False
            if left - begun > LONG_STEP_S:
                _held(request, begun, left)
        try:
            value = yield waiting
            resume = coroutine.send
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            resume, value = coroutine.throw, error
        begun = perf_counter()


class Task(Coroutine["Any", "Any", "Any"]):
    """
    A coroutine that a request started as a task of its own, with a clock of its own.

    Not a coroutine around it: one that is cancelled before its first step would leave the app's never awaited.
    """

    __slots__ = ("_clock", "_coroutine", "_left", "_scope", "_token")

    def __init__(self, coroutine: Any, outer: core.Scope) -> None:
        self._coroutine = coroutine
        self._clock = core.Clock()
        self._scope = core.Scope(outer.request, self._clock, outer.serial)
        self._token: Any = None
        self._left = perf_counter()
        outer.request.clocks.append(self._clock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._coroutine.__await__())

    def send(self, value: Any) -> Any:
        """
        Take a step.
        """
        return self._step(self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        """
        Take a step that begins with an exception.
        """
        return self._step(self._coroutine.throw, *error)

    def close(self) -> None:
        """
        End it.
        """
        self._coroutine.close()

    def _step(self, resume: Callable[..., Any], *value: Any) -> Any:
        request, clock = self._scope.request, self._clock
        if request.ended and not clock.depth:
            return resume(*value)
        begun, creator = perf_counter(), None
        if self._token is None:
            # An eager task, which there is from 3.12 on, takes its first step within one of its creator's.
            outer = core.current.get()
            if outer is not None and outer.clock.pause():
                creator = outer.clock
            self._token = core.current.set(self._scope)
        elif begun - state.stepped < PAUSE_S and self._left < state.stepped:
            _waited(request, self._left, begun)
        clock.stepping = True
        clock.mark = begun
        try:
            return resume(*value)
        finally:
            self._left = left = perf_counter()
            if clock.depth == 0:
                clock.busy_s += left - clock.mark
            clock.stepping = False
            if creator is not None:
                creator.resume()
            if left - begun > LONG_STEP_S:
                _held(request, begun, left)


def _held(request: core.Request, begun: float, left: float) -> None:
    """
    Note a step that held the loop.
    """
    if begun - state.stepped > PAUSE_S or len(state.run) >= RUN_STEPS_MAX:
        state.run.clear()
    state.stepped = left
    state.run.append((request, begun, left))


def _waited(request: core.Request, left: float, begun: float) -> None:
    """
    Keep what a task waited for the steps of other requests, if it is worth a segment.
    """
    try:
        others = [step for step in state.run if step[0] is not request and step[2] > left]
        if not others or request.ended:
            return
        since = max(left, others[0][1])
        if begun - since < LAG_S_MIN:
            return
        longest = max(others, key=lambda step: step[2] - max(step[1], left))
        looked, line = state.looked
        where = ("loop", longest[0].route or core.UNMATCHED, None, line if looked >= since else None, None)
        core.keep(request, next(request.serials), core.NONE, where, start=since, duration_s=begun - since)
    except Exception:
        core.failed()


def around(original: Callable[..., Any]) -> Callable[..., Any]:
    """
    Return what calls the app's *original* `__call__(self, scope, receive, send)`, recorded.
    """
    current = core.current

    async def recorded(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not state.recording:
            await _aside(original, self, scope, receive, send)
            return
        outer = current.get()
        # A mounted application is part of the request it is mounted in.  A server may begin a pipelined request in
        # the context of the one that it just ended.
        if outer is not None and nested(outer):
            await original(self, scope, receive, send)
            return
        try:
            request = Exchange(scope, receive, send)
            within = core.Scope(request, request)
            if state.shed >= core.SHED_SEGMENTS:
                within.leaf = True
            token = current.set(within)
            state.live.add(request)
        except Exception:
            core.failed()
            await original(self, scope, receive, send)
            return
        try:
            request.coroutine = coroutine = original(self, scope, request.receive, request.send)
            await driven(coroutine, request, request)
        except BaseException as error:
            _end(request, token, error)
            raise
        _end(request, token, None)

    return recorded


async def _aside(original: Callable[..., Any], self: Any, scope: Any, receive: Any, send: Any) -> None:
    """
    Call what is no request, or one that nobody collects.
    """
    kind = scope["type"]
    if kind == "websocket":
        state.websockets += 1
    elif kind == "http" and "app" not in scope:  # a mounted application has its outer one there
        state.dropped += 1
    try:
        await original(self, scope, receive, send)
    finally:
        # The server may end the process by a signal next, which runs no exit handlers.
        if kind == "lifespan":
            sender.flush()


class Exchange(core.Request):
    """
    A request over ASGI, and what its app is given in place of the server's receive and send.
    """

    __slots__ = ("_asgi", "_only", "_receive", "_send")

    def __init__(self, asgi: Any, receive: Any, send: Any) -> None:
        method = asgi["method"]
        super().__init__(method if method in core.METHODS else core.OTHER_METHOD)
        for name, value in asgi["headers"]:
            if name in _HEADERS:
                if name == b"cookie":
                    self.session = digest.of_session(value)
                elif name == b"traceparent":
                    arrival.called_by(self, value)
                elif name == b"tracestate":
                    arrival.also_traced(self, value)
                else:
                    self.queue_s = arrival.queue_s(value, self.arrived_s)
        self._asgi = asgi
        self._only: bytes | None = b""  # the body, as long as it came in one piece
        self._receive = receive
        self._send = send

    async def receive(self) -> Any:
        """
        Receive, and note a client that left.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.ending:
            self.cancelled = True
        return message

    def send(self, message: Any) -> Any:
        """
        Send, and note the status and the last byte, and of a streamed response the first.
        """
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
        elif kind == "http.response.pathsend" or (kind == "http.response.body" and not message.get("more_body", False)):
            self.ending = True
            return self._last(message)
        elif kind == "http.response.body" and message.get("body"):
            self._only = None if self._only or self._only is None else message["body"]
            if self.first_byte is None:
                self.first_byte = perf_counter()
        return self._send(message)

    async def _last(self, message: Any) -> None:
        await self._send(message)
        try:
            if self.ended:
                return
            if self.status < 500:
                if reads.encode is not None and self.status == 200 and self.method == "GET":
                    self._digest(message)
                core.respond(self)
            else:  # what went wrong is known only when the exception leaves the app
                core.freeze(self)
        except Exception:
            core.failed()

    def _digest(self, last: Any) -> None:
        # A middleware hands on a whole response as one piece and an empty one after it.
        only, body = self._only, last.get("body", b"")
        if only is not None and (not only or not body) and "body" in last:
            path = self._asgi.get("raw_path") or self._asgi["path"].encode("utf-8", "surrogatepass")
            reads.of_response(self, path + b"?" + self._asgi.get("query_string", b""), only or body)


def _end(request: Exchange, token: Token[core.Scope | None], error: BaseException | None) -> None:
    try:
        core.current.reset(token)
        request.coroutine = None
        if request.follows is not None and not core.worth_keeping(request):
            core.drop(request)
            return
        if not request.ended:
            if request.kind == "request":
                _note_unfinished(request, error)
            core.freeze(request)
        if request.status >= 500 and isinstance(error, Exception):
            request.error = core.describe_error(error, lines.line_of_error(error.__traceback__))
        core.emit(request)
    except Exception:
        core.failed()


def _note_unfinished(request: core.Request, error: BaseException | None) -> None:
    if isinstance(error, Exception):
        request.status = request.status or 500
        request.error = core.describe_error(error, lines.line_of_error(error.__traceback__))
        if isinstance(error, OSError) or type(error).__name__ == "ClientDisconnect":
            request.cancelled = True
    else:
        request.cancelled = True
