"""
Send a plan's requests, each when it is due, whatever became of those before it (open loop).

In        the address of an app, and a Plan
Out       a Report; while it runs, its Progress
Not here  what is sent when (schedule.py), what the numbers mean (report.py)
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import resource
import select
import selectors
import threading
from collections.abc import Callable, Iterator, Sequence

import aiohttp
from yarl import URL

from rung import __version__, clock
from rung.adapters.traffic.plan import Plan, address_of, origin_of, path_of
from rung.adapters.traffic.report import (
    STATUS_SERVER_ERROR,
    UNFINISHED,
    Answers,
    Ending,
    Progress,
    Report,
    Served,
    percentile,
    report_of,
)
from rung.adapters.traffic.schedule import Due, schedule
from rung.errors import BadValue, TargetUnreachable

TIMEOUT_S = 30.0
# Requests in flight: past this the app has long stopped answering, and more would only exhaust the sender.
IN_FLIGHT_MAX = 5_000
_FILES_SPARE = 128

_CONNECT_TIMEOUT_S = 5.0
# uvicorn closes an idle connection after 5 s; a request sent on one at that very moment would look like an error.
_KEEPALIVE_S = 4.0
_LEAD_S = 0.05
_STOP_CHECK_S = 0.05
_PROGRESS_EVERY_S = 1.0
_RECENT_REQUESTS = 500
_MICROSECONDS = 1_000_000
_ROUNDS = selectors.DefaultSelector.__name__ == "EpollSelector"
# FD_SETSIZE: select() takes no descriptor from here on.
_SELECTABLE = 1024
# Errors of this machine, not of the app: no file descriptors, ports or buffers left.
_OUR_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})


def send(
    base_url: str,
    plan: Plan,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    timeout_s: float = TIMEOUT_S,
    in_flight_max: int = IN_FLIGHT_MAX,
) -> Report:
    """
    Send *plan* to the app at *base_url*, and return what came of it.

    Redirects are not followed: the plan alone says what is sent. Ctrl-C or *stop* ends the run early; the report then
    covers what was sent and says so. *progress* is called about once a second, from another thread.

    Raises:
        BadValue: no URL, or one with a path beside a plan that has paths of its own.
        TargetUnreachable: nothing accepts connections there; nothing was sent.
    """
    if path_of(base_url) not in {"/", plan.routes[0].path}:
        raise BadValue(
            "URL", base_url, expected="scheme, host and port only; the paths of its requests stand in the load file"
        )
    with files_for(in_flight_max) as files, asyncio.Runner(loop_factory=new_loop) as runner:
        sender = Sender(
            origin_of(base_url), schedule(plan), plan.duration_s, stop or threading.Event(), timeout_s, files
        )
        ending = runner.run(sender.run(progress))
    return report_of(sender.answers, [route.name for route in plan.routes], ending)


class Sender:
    """
    One run: a dispatcher that starts each request as a task of its own at its time, and the tasks in flight.
    """

    def __init__(
        self,
        origin: str,
        requests: Sequence[Due],
        duration_s: float,
        stop: threading.Event,
        timeout_s: float,
        in_flight_max: int,
        cookies: dict[int, aiohttp.CookieJar] | None = None,
    ) -> None:
        self.origin, self.requests, self.duration_s, self.stop = origin, requests, duration_s, stop
        self.timeout_s, self.in_flight_max = timeout_s, in_flight_max
        self.answers = Answers()
        self.in_flight: set[asyncio.Task[None]] = set()
        # In memory only, and only of sessions that were given a cookie.
        self.cookies = cookies if cookies is not None else {}
        self.sent = self.errors = self.not_sent = 0
        self.not_sent_reason = ""
        self.ended_early = False
        self.start_s = self.start_epoch_s = 0.0

    async def run(self, progress: Callable[[Progress], None] | None) -> Ending:
        """
        Send everything, wait for the answers, and return how it ended.
        """
        await reach(self.origin)
        async with self._session() as session:
            with _quiet_garbage():
                self.start_s, self.start_epoch_s = clock.monotonic_s() + _LEAD_S, clock.now_s() + _LEAD_S
                ticker = asyncio.create_task(self._tick(progress))
                try:
                    await self._dispatch(session, ticker)
                    await self._drain(ticker)
                except asyncio.CancelledError:  # Ctrl-C: asyncio.Runner cancels the main task, once
                    self.ended_early = True
                    _uncancel()
                await self._give_up()
        lasted_s = max(self._elapsed_s(), 0.0) if self.ended_early else self.duration_s
        ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticker  # what *progress* raised is the caller's to see
        if progress is not None:
            progress(self._progress())
        return Ending(
            planned=len(self.requests),
            lasted_s=max(lasted_s, self.answers.finished_s_max()),
            ended_early=self.ended_early,
            not_sent=self.not_sent,
            not_sent_reason=self.not_sent_reason,
        )

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=None, keepalive_timeout=_KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            headers={"User-Agent": f"rung/{__version__}"},
            auto_decompress=False,
        )

    async def _dispatch(self, session: aiohttp.ClientSession, ticker: asyncio.Task[None]) -> None:
        for due in self.requests:
            if not await self._wait(due.at_s, ticker):
                return
            if len(self.in_flight) >= self.in_flight_max:
                self._note_not_sent(f"{self.in_flight_max} were in flight already")
                continue
            task = asyncio.create_task(self._one(session, due))
            self.in_flight.add(task)
            task.add_done_callback(self.in_flight.discard)
            self.sent += 1
        # The plan lasts its whole duration, also when nothing is due at its end.
        await self._wait(self.duration_s, ticker)

    async def _wait(self, until_s: float, ticker: asyncio.Task[None]) -> bool:
        """
        Wait until *until_s* of the run; return False when the run is to end before.
        """
        while not self._must_end(ticker):
            wait_s = until_s - self._elapsed_s()
            # Also when it is behind, the dispatcher lets the tasks it has made begin.
            await asyncio.sleep(min(max(wait_s, 0.0), _STOP_CHECK_S))
            if wait_s <= _STOP_CHECK_S:
                return True
        return False

    async def _drain(self, ticker: asyncio.Task[None]) -> None:
        while self.in_flight and not self._must_end(ticker):
            await asyncio.wait(self.in_flight, timeout=_STOP_CHECK_S)

    async def _give_up(self) -> None:
        tasks = list(self.in_flight)
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            # A task that is cancelled before its first step has no row; it was never sent.
            if isinstance(outcome, asyncio.CancelledError):
                self.sent -= 1
            elif isinstance(outcome, BaseException):
                raise outcome

    def _must_end(self, ticker: asyncio.Task[None]) -> bool:
        if self.stop.is_set() or ticker.done():
            self.ended_early = True
        return self.ended_early

    async def _one(self, session: aiohttp.ClientSession, due: Due) -> None:
        started_s = self._elapsed_s()
        status, problem = 0, None
        headers = dict(due.headers)
        if due.content_type is not None:
            headers.setdefault("Content-Type", due.content_type)
        headers["X-Request-Start"] = f"t={round((self.start_epoch_s + due.at_s) * _MICROSECONDS)}"
        url = URL(self.origin + due.path, encoded=True)
        self._add_cookies(headers, due, url)
        try:
            async with session.request(
                due.method, url, data=due.body, headers=headers, allow_redirects=False
            ) as response:
                async for _ in response.content.iter_any():
                    pass
                status = response.status
                self._keep_cookies(due, url, response)
        except asyncio.CancelledError:
            problem = UNFINISHED
        except TimeoutError:
            problem = f"no answer within {self.timeout_s:g} s"
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _OUR_ERRORS:
                self.sent -= 1
                self._note_not_sent(f"this machine has no room for more connections ({_words(error)})")
                return
            problem = _words(error)
        self.answers.append(Served(due.route, due.at_s, started_s, self._elapsed_s(), status, problem))
        self.errors += status >= STATUS_SERVER_ERROR or problem not in {None, UNFINISHED}

    def _add_cookies(self, headers: dict[str, str], due: Due, url: URL) -> None:
        jar = self.cookies.get(due.session)
        if jar is None:
            return
        pairs = [f"{morsel.key}={morsel.coded_value}" for morsel in jar.filter_cookies(url).values()]
        given = [headers["Cookie"]] if "Cookie" in headers else []
        if pairs or given:
            headers["Cookie"] = "; ".join([*given, *pairs])

    def _keep_cookies(self, due: Due, url: URL, response: aiohttp.ClientResponse) -> None:
        if due.session >= 0 and response.cookies:
            if due.session not in self.cookies:
                # The host is often an address, whose cookies a jar refuses otherwise.
                self.cookies[due.session] = aiohttp.CookieJar(unsafe=True)
            self.cookies[due.session].update_cookies(response.cookies, url)

    async def _tick(self, progress: Callable[[Progress], None] | None) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_EVERY_S)
            if progress is not None:
                # In a thread: a terminal that does not take its output must not hold up the load.
                await asyncio.get_running_loop().run_in_executor(None, progress, self._progress())

    def _progress(self) -> Progress:
        return Progress(
            elapsed_s=max(self._elapsed_s(), 0.0),
            planned=len(self.requests),
            sent=self.sent,
            finished=len(self.answers),
            in_flight=len(self.in_flight),
            errors=self.errors,
            recent_p95_s=percentile(self.answers.latencies_s(last=_RECENT_REQUESTS), 95),
        )

    def _note_not_sent(self, reason: str) -> None:
        self.not_sent += 1
        self.not_sent_reason = reason

    def _elapsed_s(self) -> float:
        return clock.monotonic_s() - self.start_s


class _ExactSelector(selectors.DefaultSelector):
    """
    A selector that waits as long as it was asked to; epoll alone rounds up to whole thousandths of a second.

    Measured beside two busy processes on 2 cores: the median start is 130 µs after it was due, instead of 730.
    uvloop's timers are rounded as well.  select() can watch epoll's descriptor like any other.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if _ROUNDS and timeout is not None and timeout > 0:
            descriptor = self.fileno()
            if descriptor < _SELECTABLE:
                select.select([descriptor], [], [], timeout)
                timeout = 0
        return super().select(timeout)


async def reach(origin: str) -> None:
    """
    Return when something accepts connections at *origin*.

    Raises:
        TargetUnreachable: nothing does.
    """
    host, port = address_of(origin)
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        url = f"{URL(origin).scheme}://{host}:{port}"
        words = "no answer within 5 s" if isinstance(error, TimeoutError) else _words(error)
        raise TargetUnreachable(url, words) from error
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def new_loop() -> asyncio.AbstractEventLoop:
    """
    Return an event loop whose timers are exact.
    """
    return asyncio.SelectorEventLoop(_ExactSelector())


@contextlib.contextmanager
def files_for(in_flight_max: int) -> Iterator[int]:
    """
    Allow this process the descriptors that *in_flight_max* connections need; yield how many there is room for.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = in_flight_max + _FILES_SPARE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        yield in_flight_max
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    try:
        yield max(min(in_flight_max, allowed - _FILES_SPARE), 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def _quiet_garbage() -> Iterator[None]:
    """
    Take what is in memory already out of the garbage collector's rounds: each full one would delay starts.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection without an answer"
    if isinstance(error, OSError):
        # asyncio puts "Connect call failed" where the reason belongs; name resolution has numbers of its own, below 0.
        return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
