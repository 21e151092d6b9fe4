"""
Requests of a WSGI app: from the server's call to the last part of the response.

In        the call of an app's WSGI function, and what it returned
Out       requests
Not here  route templates and which functions are wrapped (instruments/), the clock of a thread (threaded.py)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from rung.probe import arrival, core, digest, reads
from rung.probe.threaded import Threaded, nested
from rung.probe.wrapping import taken


def around_app(owner: Any, attribute: str, *, counts: bool) -> None:
    """
    Record a method that is a WSGI app; it *counts* a request that nobody collects as dropped.
    """
    original, put = taken(owner, attribute)
    if original is None:
        return
    state, current = core.state, core.current.get

    @functools.wraps(original)
    def recorded(self: Any, environ: Any, start_response: Any) -> Any:
        outer = current()
        if outer is not None and nested(outer):
            return original(self, environ, start_response)
        request = _begun(environ) if state.recording else None
        if request is None:
            if counts and not state.recording:
                state.dropped += 1
            return original(self, environ, start_response)
        try:
            result = original(self, environ, _noting(request, start_response))
        except BaseException as error:
            request.status = request.status or 500
            request.broken(error)
            raise
        return _answered(request, environ, result)

    put(recorded)


def _begun(environ: Any) -> Threaded | None:
    request = None
    try:
        method = environ["REQUEST_METHOD"]
        request = Threaded(method if method in core.METHODS else core.OTHER_METHOD)
        sent = environ.get("HTTP_X_REQUEST_START")
        if sent is not None:
            request.queue_s = arrival.queue_s(sent.encode("latin-1"), request.arrived_s)
        came_with = environ.get("HTTP_TRACEPARENT")
        if came_with is not None:
            arrival.called_by(request, came_with.encode("latin-1"))
            state_of_it = environ.get("HTTP_TRACESTATE")
            if state_of_it is not None:
                arrival.also_traced(request, state_of_it.encode("latin-1"))
        cookies = environ.get("HTTP_COOKIE")
        if cookies is not None:
            request.session = digest.of_session(cookies.encode("latin-1"))
    except Exception:
        core.failed()
        if request is not None:
            request.abandon()
        return None
    return request


def _noting(request: Threaded, start_response: Any) -> Callable[..., Any]:
    def started(status: Any, headers: Any, *more: Any, **named: Any) -> Any:
        try:
            request.status = int(status[:3])
        except Exception:
            core.failed()
        return start_response(status, headers, *more, **named)

    return started


def _answered(request: Threaded, environ: Any, result: Any) -> Any:
    """
    Return what the server gets: *result* itself, unless it is iterated to make the response.
    """
    try:
        if not _streams(request, result):
            if reads.encode is not None and request.status == 200 and request.method == "GET":
                _digest(request, environ, result)
            settle(request)
            return result
        request.rest()
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(result, wrapper):
            # The server sends such a file in its own way, and knows it by its class.
            request.first_byte = perf_counter()
            _end_at_close(request, result)
            return result
        return Streamed(request, result)
    except Exception:
        core.failed()
        request.end()
        return result


def _digest(request: Threaded, environ: Any, result: Any) -> None:
    body = request.body if request.body is not None else getattr(result, "content", None)
    if isinstance(body, bytes):
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "") + "?" + environ.get("QUERY_STRING", "")
        reads.of_response(request, path.encode("latin-1", "replace"), body)


def _streams(request: Threaded, result: Any) -> bool:
    if isinstance(result, list | tuple):
        return False
    # An app that has not said its status yet will do so while it is iterated.
    return request.status == 0 or bool(getattr(result, "streaming", request.streaming is not False))


def settle(request: Threaded) -> None:
    """
    End *request* with the status that it has; an error that the app turned into another answer is none.
    """
    if request.status < 500:
        request.error = None
    request.end()


def _end_at_close(request: Threaded, result: Any) -> None:
    close = getattr(result, "close", None)

    def closed() -> Any:
        settle(request)
        return close() if close is not None else None

    try:
        result.close = closed
    except Exception:  # a wrapper without a place for it
        settle(request)


class Streamed:
    """
    A response made while it is sent: its request ends with it.
    """

    def __init__(self, request: Threaded, result: Any) -> None:
        self._request = request
        self._result = result
        self._parts: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        request = self._request
        if request.ended:
            return next(self._iterated())
        request.run()
        try:
            part = next(self._iterated())
        except StopIteration:
            settle(request)
            raise
        except BaseException as error:
            request.broken(error)
            raise
        try:
            request.rest()
            if request.first_byte is None and part:
                request.first_byte = perf_counter()
        except Exception:
            core.failed()
        return part

    def _iterated(self) -> Iterator[Any]:
        if self._parts is None:
            self._parts = iter(self._result)
        return self._parts

    def close(self) -> None:
        """
        Close the app's response; one that was not sent to its end is cancelled.
        """
        request = self._request
        if not request.ended:
            # A server may leave out the body where there is none.
            request.cancelled = request.method != "HEAD" and request.status not in (204, 304)
            settle(request)
        close = getattr(self._result, "close", None)
        if close is not None:
            close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)
