"""
The probe's promises: it loads nothing, breaks nothing, keeps bounded memory, and calls the user's function once.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from rung.probe import core
from rung.probe.asgi import driven
from rung.probe.wrapping import around_call, around_coroutine, named


@pytest.fixture
def scope():
    before = core.state.failures, core.state.dropped
    request = core.Request("GET")
    outer = core.Scope(request, request)
    token = core.current.set(outer)
    yield outer
    core.current.reset(token)
    core.state.finished.clear()
    core.state.held_bytes = 0
    core.state.failures, core.state.dropped = before


def _frozen(request: core.Request) -> tuple[Any, ...]:
    core.freeze(request)
    assert request.row is not None
    return request.row


def _segments(request: core.Request) -> list[dict[str, Any]]:
    from tests.probe import rows  # this file also runs by itself, where nobody finds the others

    return rows.unpacked(_frozen(request))


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_importing_it_loads_the_standard_library_only() -> None:
    said = python("""
        import sys
        before = set(sys.modules)
        import rung.probe
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(sorted(new - set(sys.stdlib_module_names)))
        """)
    assert "['rung']" == said


def test_nothing_is_installed_when_off_or_without_a_collector() -> None:
    code = "import sys, rung.probe as p; n = len(sys.meta_path); print(p.start(), len(sys.meta_path) - n)"
    assert "False 0" == python(code, RUNG="off", RUNG_SOCKET="/nowhere")
    assert "False 0" == python(code, RUNG_SOCKET="")


def test_modules_keep_their_loader_and_functions_their_look() -> None:
    said = python(
        """
        import inspect, sys, smtplib as early
        import rung.probe; rung.probe.start()
        import asyncpg, asyncpg.pool, importlib, threading
        loader = asyncpg.connection.__spec__.loader
        print(loader.__class__.__name__, "exec_module" in vars(loader))
        print(inspect.signature(asyncpg.Connection.fetchval), inspect.iscoroutinefunction(asyncpg.Connection.fetch))
        print(inspect.getsource(asyncpg.Connection.fetchval).strip()[:18], hasattr(early.SMTP.sendmail, "__wrapped__"))
        importlib.reload(asyncpg.prepared_stmt)
        print(hasattr(asyncpg.prepared_stmt.PreparedStatement.fetch, "__wrapped__"))
        print([t.name for t in threading.enumerate()])
        """,
        RUNG_SOCKET="/nowhere",
    )
    assert [
        "SourceFileLoader False",
        "(self, query, *args, column=0, timeout=None) True",
        "async def fetchval True",
        "True",
        "['MainThread']",
    ] == said.splitlines()


def test_the_users_call_goes_through_once_when_the_bookkeeping_fails(scope: core.Scope) -> None:
    calls = []

    class Driver:
        def run(self, value: int) -> int:
            calls.append(value)
            if value < 0:
                raise KeyError(value)
            return value

        async def arun(self, value: int) -> int:
            return self.run(value)

    def broken(args: Any, kwargs: Any, result: Any) -> Any:
        raise RuntimeError("a mistake of ours")

    around_call(Driver, "run", "external", broken)
    around_coroutine(Driver, "arun", "query", broken)
    assert 1 == Driver().run(1)
    assert 2 == asyncio.run(_in_context(Driver().arun(2), scope))
    with pytest.raises(KeyError):
        Driver().run(-1)
    assert [1, 2, -1] == calls
    assert core.state.failures >= 3


async def _in_context(coroutine: Any, scope: core.Scope) -> Any:
    core.current.set(scope)
    return await coroutine


def test_a_call_inside_a_recorded_call_adds_nothing(scope: core.Scope) -> None:
    class Driver:
        def outer(self) -> None:
            self.inner()

        def inner(self) -> None:
            pass

    around_call(Driver, "outer", "external", named("outer"))
    around_call(Driver, "inner", "query", named("inner"))
    Driver().outer()
    assert ["outer"] == [part["name"] for part in _segments(scope.request)]


def test_many_segments_are_summed(scope: core.Scope) -> None:
    for number in range(core.SEGMENTS_MAX + 500):
        opened = core.enter("query")
        assert opened is not None
        core.leave(opened, f"{number % 2}", code="a.py:1", rows=2)
    segments = _segments(scope.request)
    assert core.SEGMENTS_MAX + 2 == len(segments)
    assert core.SEGMENTS_MAX + 500 == sum(segment["calls"] for segment in segments)
    assert [(250, 500), (250, 500)] == [(segment["calls"], segment["rows"]) for segment in segments[-2:]]


def test_too_many_places_are_told_by_their_seam_alone() -> None:
    numbers = {core.place_of("external", f"{number}", None, None) for number in range(core.PLACES_MAX + 100)}
    try:
        assert len(numbers) <= core.PLACES_MAX + 1
        assert core.place_of("external", "one more", None, None) == core.place_of("external", "", None, None)
    finally:
        core.state.places.clear()
        core.state.places_unsent.clear()


def test_a_full_buffer_drops_whole_requests_and_counts_them(scope: core.Scope) -> None:
    core.state.held_bytes = core.HELD_BYTES_MAX
    core.freeze(scope.request)
    core.emit(scope.request)
    assert 1 == core.state.dropped
    assert not core.state.finished


def test_a_segment_that_outlives_its_request_is_left_out(scope: core.Scope) -> None:
    opened = core.enter("query")
    assert opened is not None
    row = _frozen(scope.request)
    core.leave(opened, "late")
    assert core.enter("query") is None
    assert b"" == row[core.SEGMENTS]


def test_driving_a_coroutine_changes_nothing_about_it() -> None:
    async def app(value: str) -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return value
        raise AssertionError

    async def run() -> str:
        async def outer() -> str:
            result: str = await driven(app("result"), core.Clock(), core.Request("GET"))
            return result

        task = asyncio.create_task(outer())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert "result" == asyncio.run(run())


def test_a_fork_begins_anew() -> None:
    said = python(
        """
        import os, sys
        import rung.probe; rung.probe.start()
        import starlette.applications, threading
        from rung.probe import core, sender
        core.state.failures = 5
        pid = os.fork()
        if pid == 0:
            print(core.state.failures, sender._sender, [t.name for t in threading.enumerate()], flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        print([t.name for t in threading.enumerate()])
        """,
        RUNG_SOCKET="/nowhere",
    )
    # Ours end before a fork and begin again with the next request (test_successor.py).
    assert ["0 None ['MainThread']", "['MainThread']"] == said.splitlines()


async def _answered(how: str) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    async def slowly(request: Any) -> Any:
        if how == "disconnected":
            return StreamingResponse(_parts())
        await asyncio.sleep(3600)
        return None

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    app = Starlette(routes=[Route("/slowly/{name}", slowly)])
    asgi = {"type": "http", "method": "GET", "path": "/slowly/you", "headers": [], "query_string": b"", "root_path": ""}
    task = asyncio.create_task(app(asgi, receive, send))
    await asyncio.sleep(0.01)
    if how == "cancelled":
        task.cancel()
    await asyncio.wait([task])


async def _parts() -> Any:
    while True:
        yield b"more"
        await asyncio.sleep(0.001)


def test_without_a_collector_nothing_is_kept_and_every_request_is_counted() -> None:
    said = python(
        """
        import asyncio
        import rung.probe; rung.probe.start()
        from rung.probe import core
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Mount, Route

        async def hello(request):
            return PlainTextResponse(str(core.current.get()))

        app = Starlette(routes=[Mount("/inner", app=Starlette(routes=[Route("/hello", hello)]))])
        core.state.on_finished = None
        core.state.recording = False
        async def ask():
            async def receive(): return {"type": "http.request", "body": b"", "more_body": False}
            async def send(message): said.append(message.get("body"))
            said = []
            asgi = {"type": "http", "method": "GET", "path": "/inner/hello", "headers": [], "query_string": b"",
                    "root_path": ""}
            await app(asgi, receive, send)
            return said[-1]
        print(asyncio.run(ask()), len(core.state.finished), core.state.dropped, core.state.failures)
        """,
        RUNG_SOCKET="/nowhere",
    )
    assert "b'None' 0 1 0" == said


@pytest.mark.parametrize("how", ["cancelled", "disconnected"])
def test_a_request_that_nobody_waits_for_is_cancelled(how: str) -> None:
    done = subprocess.run([sys.executable, __file__, how], capture_output=True, text=True, timeout=60, check=True)
    assert "[('/slowly/{name}', True)] 0" == done.stdout.strip()


if __name__ == "__main__":
    from rung import probe

    os.environ["RUNG_SOCKET"] = "/nowhere"
    probe.start()
    core.state.on_framework = core.state.on_finished = None
    asyncio.run(_answered(sys.argv[1]))
    print([(row[core.ROUTE], row[core.CANCELLED]) for row in core.state.finished], core.state.failures)
