"""
The app never suffers: whatever happens to the recorder, an app answers as it does unrecorded, and does each thing once.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rung.adapters import launcher
from tests.ports import free_port
from tests.probe.outside import mail_server, redis_server, web_server
from tests.probe.player import ROOT
from tests.probe.running import gunicorn
from tests.probe.serving import HERE, PATIENCE_S, ask, end, line_of, table, uvicorn, wait_listening

REQUESTS = (
    "/hello/you", "/psycopg", "/asyncpg", "/wrong", "/sqlalchemy", "/threads", "/tasks", "/page", "/file", "/collect",
    "/large", "/boom", "/refused", "/stream", "/background", "/mounted/acme/deep/it", "/nowhere",
)  # fmt: skip
WSGI_REQUESTS = ("/psycopg", "/stream", "/page/it", "/large", "/async", "/boom", "/refused", "/nowhere")
HEADERS = {"Cookie": "sessionid=abc", "X_Request_Start": "t=1700000000"}
QUIET = ("--log-level", "critical")

# What an instrument calls to note what it saw: function by function, and where in the answers it is called at all.
POINTS = (
    "core:keep", "core:freeze", "core:emit", "core:respond", "core:worth_keeping", "core:describe_error",
    "asgi:Exchange", "core:Scope", "core:Segment", "instruments.threads:Steady", "core:_hand_over",
    "lines:line_of_call", "lines:line_here", "lines:line_of_error", "digest:of_session", "arrival:queue_s",
    "statements:noted", "statement:normalised", "asgi:Task", "instruments.threads:InThread",
    "instruments.starlette:_mounted", "sampler:look", "inflight:rows", "keeping:Keeper.second",
)  # fmt: skip
WSGI_POINTS = (
    "core:keep", "core:freeze", "core:describe_error", "core:_hand_over", "core:Scope", "core:Segment",
    "lines:line_of_call", "lines:line_here", "lines:line_of_error", "digest:of_session", "arrival:queue_s",
    "statements:noted", "statement:normalised", "wsgi:Threaded", "wsgi:_streams", "wsgi:Streamed",
    "threaded:Threaded.rest", "instruments.asgiref:InThread",
    "instruments.asgiref:Handed", "core:Clock", "keeping:Keeper.second",
)  # fmt: skip


@contextlib.contextmanager
def served(
    command: list[str],
    port: int,
    folder: Path | None,
    *,
    raw: Path | None = None,
    limit: int | None = None,
    **given: str,
) -> Iterator[Any]:
    """
    Yield (process, what records it or None) of a server; recorded where a *folder* is given, or raw frames.
    """
    environment = {**os.environ, "PYTHONHASHSEED": "0", **given}
    options: dict[str, Any] = {"cwd": HERE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = None
    if folder is not None:
        started = launcher.start(command, folder=folder, environment=environment, quiet=True, **options)
        process = started.process
    else:
        if raw is not None:
            environment |= {"PYTHONPATH": str(launcher.BOOTSTRAP), "RUNG_RAW": str(raw)}
        if limit is not None:
            options["preexec_fn"] = lambda: _limit(limit)
        process = subprocess.Popen(command, env=environment, **options)
    try:
        wait_listening(port, process)
        yield process, started
    finally:
        end(process)
        if started is not None:
            started.seal(PATIENCE_S)


def _limit(file_bytes: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))


def answers(port: int, paths: tuple[str, ...] = REQUESTS) -> dict[str, Any]:
    """
    Return what the app says to each request.
    """
    return {path: ask(port, path, **HEADERS) for path in paths}


def _round(port: int) -> dict[str, Any]:
    """
    Return what the app says to each request, once each answer of /background was followed by its work.

    When that happens is the machine's affair, and the order of what the app did is compared.
    """
    said = answers(port)
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        did = json.loads(ask(port, "/did")[2])
        if did.count("at once") == did.count("later"):
            return said
        assert time.monotonic() < deadline_s, f"the work in the background was not done within {PATIENCE_S} s: {did}"
        time.sleep(0.005)


def _fast(port: int) -> list[str]:
    return uvicorn("suffering_app:app", port, *QUIET)


@pytest.fixture(scope="module")
def around(cluster) -> dict[str, str]:
    return {"DATABASE_URL": cluster.dsn()}


@pytest.fixture(scope="module")
def plain(around: dict[str, str]) -> dict[str, Any]:
    """What the app answers where nothing is recorded, asked as often as the longest of the tests asks."""
    port = free_port()
    with served(_fast(port), port, None, **around):
        rounds = [_round(port) for _ in range(3)]
        forked = ask(port, "/fork")
        return {"rounds": rounds, "fork": forked, "did": ask(port, "/did")}


def _same(port: int, plain: dict[str, Any], *, hurt_first: Any = None, hurt_second: Any = None) -> None:
    """
    Ask three times; *hurt_first* comes after the first round and *hurt_second* after the second.
    """
    assert plain["rounds"][0] == _round(port)
    if hurt_first is not None:
        hurt_first()
    assert plain["rounds"][1] == _round(port)
    if hurt_second is not None:
        hurt_second()
    assert plain["rounds"][2] == _round(port)
    assert plain["fork"] == ask(port, "/fork")
    assert plain["did"] == ask(port, "/did")


def test_a_collector_that_is_killed_is_not_missed(plain, around, tmp_path: Path) -> None:
    port = free_port()
    with served(_fast(port), port, tmp_path / ".rung", **around) as (_, started):

        def kill() -> None:
            started.collector.kill()
            started.collector.wait()

        _same(port, plain, hurt_first=kill)
        assert {"failures": 0, "failed_at": {}} == json.loads(ask(port, "/failures")[2])


@contextlib.contextmanager
def _deaf(path: Path) -> Iterator[socket.socket]:
    """Listen, accept, and never read."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server.bind(str(path))
    server.listen(8)
    try:
        yield server
    finally:
        server.close()


def test_a_reader_that_never_reads_holds_nobody_up(plain, around, tmp_path: Path) -> None:
    port, path = free_port(), Path("/tmp") / f"rung-deaf-{os.getpid()}-{free_port()}"  # noqa: S108 - must be short
    kept: list[socket.socket] = []
    bootstrap = {"PYTHONPATH": str(launcher.BOOTSTRAP), "RUNG_SOCKET": str(path)}
    try:
        with _deaf(path) as server, served(_fast(port), port, None, **around, **bootstrap):
            kept.append(server.accept()[0])

            def fill() -> None:
                for _ in range(1500):
                    ask(port, "/hello/you")

            _same(port, plain, hurt_first=fill)
    finally:
        path.unlink(missing_ok=True)
        for stream in kept:
            stream.close()


def test_a_full_disk_costs_frames_and_nothing_else(plain, around, tmp_path: Path) -> None:
    port, raw = free_port(), tmp_path / "raw"
    with served(_fast(port), port, None, raw=raw, limit=6_000, **around) as (process, _):
        _same(port, plain, hurt_first=lambda: time.sleep(1.2), hurt_second=lambda: time.sleep(1.2))
        assert process.poll() is None
        assert {} == json.loads(ask(port, "/failures")[2])["failed_at"]
    (file,) = raw.glob("*.frames")
    assert 0 < file.stat().st_size <= 6_000


def test_a_clock_that_is_set_back_changes_no_answer(plain, around, tmp_path: Path) -> None:
    port = free_port()
    with served(_fast(port), port, tmp_path / ".rung", **around) as (_, started):
        _same(port, plain, hurt_first=lambda: ask(port, "/set-back"))
        assert {"failures": 0, "failed_at": {}} == json.loads(ask(port, "/failures")[2])
    assert launcher.sealed(started.recording)
    hellos = sorted(row["arrived_s"] for row in table(started.recording, "requests") if row["route"] == "/hello/{name}")
    assert 3 == len(hellos)
    assert hellos[2] - hellos[0] > 3_500
    assert all(row["duration_s"] < PATIENCE_S for row in table(started.recording, "requests"))


def test_a_sender_that_dies_is_not_missed(plain, around, tmp_path: Path) -> None:
    port = free_port()
    with served(_fast(port), port, tmp_path / ".rung", **around) as (_, started):
        _same(port, plain, hurt_first=lambda: ask(port, "/kill-sender"))
    assert launcher.sealed(started.recording)


def test_what_is_in_flight_for_long_is_told_and_later_recorded_once(around, tmp_path: Path) -> None:
    port = free_port()
    with served(_fast(port), port, tmp_path / ".rung", **around) as (_, started):
        assert 200 == ask(port, "/slow?seconds=7")[0]
    recording = started.recording
    assert launcher.sealed(recording)
    seen = table(recording, "in_flight")
    assert len(seen) >= 1
    assert {("/slow", "GET", line_of("slow", "suffering_app.py"))} == {
        (row["route"], row["method"], row["code"]) for row in seen
    }
    assert all(row["seen_s"] - row["arrived_s"] > 5 for row in seen)
    (recorded,) = [row for row in table(recording, "requests") if row["route"] == "/slow"]
    assert {recorded["request"]} == {row["request"] for row in seen}
    assert recorded["duration_s"] >= 7


def _poisoned(port: int, points: tuple[str, ...], paths: tuple[str, ...], steer: str) -> dict[str, Any]:
    """
    Return answers, what the app did and how often the recorder failed, for each point that is poisoned.
    """
    found: dict[str, Any] = {}
    for point in points:
        before = _steered(port, steer, "failures")
        _steered(port, steer, point)
        said = answers(port, paths)
        # Looks at stacks, and what is done once a second.
        time.sleep(1.2 if point.startswith(("sampler", "inflight", "keeping")) else 0.02)
        did = _steered(port, steer, "did")
        _steered(port, steer, "heal")
        found[point] = (said, did, _steered(port, steer, "failures").get("failures", 0) - before.get("failures", 0))
    return found


def _steered(port: int, steer: str, name: str) -> Any:
    path = f"/poison/{name}" if steer == "/" and ":" in name else f"{steer}{name}"
    status, _, body = ask(port, path)
    return json.loads(body) if status == 200 else {"broken": (name, status)}


def _exists(point: str) -> bool:
    module, _, path = point.partition(":")
    found: Any = importlib.import_module(f"rung.probe.{module}")
    for part in path.split("."):
        found = getattr(found, part)
    return callable(found)


def _check_poisoned(plain: dict[str, Any], recorded: dict[str, Any]) -> None:
    changed = {
        (point, path): f"{said[path]} instead of {plain[point][0][path]}"
        for point, (said, _, _) in recorded.items()
        for path in said
        if said[path] != plain[point][0][path]
    }
    assert {} == changed
    assert {} == {point: did for point, (_, did, _) in recorded.items() if did != plain[point][1]}
    assert "" == " ".join(point for point, (_, _, failed) in recorded.items() if not failed)


def test_instruments_that_fail_are_counted_and_the_call_goes_through_once(around, tmp_path: Path) -> None:
    assert all(map(_exists, POINTS))
    port = free_port()
    with served(_fast(port), port, None, **around):
        plain = _poisoned(port, ("none:at_all",), REQUESTS, "/")
    plain = dict.fromkeys(POINTS, plain["none:at_all"])
    with served(_fast(port), port, tmp_path / ".rung", **around) as (_, started):
        recorded = _poisoned(port, POINTS, REQUESTS, "/")
    _check_poisoned(plain, recorded)
    assert launcher.sealed(started.recording)
    (process,) = table(started.recording, "processes")
    assert process["failures"] >= len(POINTS), process
    # A machine that is busy may have the recorder shed something, which is told at the same place.
    places = [place for place in json.loads(process["failed_at"]) if not place.startswith("rung sheds")]
    assert {"PoisonedError"} == {place.partition(" ")[0] for place in places}, places
    said = subprocess.run(
        [sys.executable, "-m", "rung", "find", str(started.recording), "--percentile", "50"], cwd=tmp_path,
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    head = said.stdout.partition("Goal")[0]
    assert "errors inside the recorder" in head, said
    assert "PoisonedError" in head


WSGI_SERVERS = {
    "flask": lambda port: gunicorn("suffering_wsgi:shop", port),
    "django": lambda port: gunicorn("suffering_wsgi:wsgi", port),
    "django-asgi": lambda port: uvicorn("suffering_wsgi:asgi", port, "--lifespan", "off", *QUIET),
}


@pytest.mark.parametrize("server", WSGI_SERVERS)
def test_instruments_of_flask_and_django_that_fail(server: str, around, tmp_path: Path) -> None:
    port = free_port()
    command = [{"error": "critical"}.get(word, word) for word in WSGI_SERVERS[server](port)]
    points = tuple(point for point in WSGI_POINTS if _reached(server, point))
    assert all(map(_exists, points))
    with served(command, port, None, **around):
        plain = _poisoned(port, ("none:at_all",), WSGI_REQUESTS, "/steer/")
    with served(command, port, tmp_path / ".rung", **around) as (_, started):
        recorded = _poisoned(port, points, WSGI_REQUESTS, "/steer/")
    _check_poisoned(dict.fromkeys(points, plain["none:at_all"]), recorded)
    assert launcher.sealed(started.recording)


def _reached(server: str, point: str) -> bool:
    if server == "django-asgi":
        return not point.startswith(("wsgi", "threaded"))
    # Only over ASGI is the view's task another one than the server's.
    return point != "core:Clock"


@pytest.mark.parametrize("scenes", ["scenes_database", "scenes_outside", "scenes_computing"])
def test_instruments_that_cannot_say_what_they_saw(scenes: str, around, tmp_path: Path) -> None:
    with web_server() as web, redis_server(tmp_path) as cache, mail_server() as mail:
        given = {
            **os.environ,
            **around,
            "FOLDER": str(tmp_path),
            "WEB_URL": web,
            "REDIS_URL": cache,
            "SMTP_PORT": str(mail),
        }
        plain, recorded = (_played(scenes, how, given) for how in ("plain", "recorded"))
    assert plain["saw"] == recorded["saw"]
    assert {"SpeechlessError"} == {place.partition(" ")[0] for place in recorded["failures"]}, recorded["failures"]
    assert SPEECHLESS[scenes] <= {place.rpartition("(")[2].rstrip(")") for place in recorded["failures"]}


SPEECHLESS = {
    "scenes_database": {"asyncpg", "psycopg", "psycopg2", "sqlalchemy"},
    "scenes_outside": {"httpx", "urllib3", "aiohttp", "redis", "smtplib", "files"},
    "scenes_computing": {"templates"},
}


def _played(scenes: str, how: str, environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.probe.poisoned", f"tests.probe.{scenes}", how], cwd=ROOT,
        env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


MEMORY = """
import asyncio, json, os, sys
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def hello(request):
    return PlainTextResponse("hello " + request.path_params["name"])

app = Starlette(routes=[Route("/{name}", hello)])
asked = [{"type": "http", "method": "GET", "path": f"/{n}", "headers": [(b"cookie", b"sessionid=abc")],
          "query_string": b"", "root_path": ""} for n in range(10)]

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

async def main(count):
    said = []
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        said.append(message)
    most = 0
    for number in range(count):
        await app(dict(asked[number % 10]), receive, send)
        assert said[0]["status"] == 200 and said[1]["body"] == b"hello %d" % (number % 10)
        said.clear()
        if number % 500 == 0:
            most = max(most, resident())
            await asyncio.sleep(0)
    return max(most, resident())

most = asyncio.run(main(int(sys.argv[1])))
core = sys.modules.get("rung.probe.core")
state = core.state if core else None
print(json.dumps({"most": most, "dropped": state and state.dropped, "held": state and state.held_bytes,
                  "failed_at": state and state.failed_at, "recorded": core is not None}))
"""
MEMORY_REQUESTS = 100_000
MEMORY_BYTES_MAX = 20 * 1024 * 1024


@pytest.mark.parametrize("collector", ["absent", "deaf"])
def test_memory_stays_bounded_where_nobody_collects(collector: str, tmp_path: Path) -> None:
    path = Path("/tmp") / f"rung-memory-{os.getpid()}-{free_port()}"  # noqa: S108 - must be short
    plain = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    recorded = {**plain, "PYTHONPATH": f"{launcher.BOOTSTRAP}", "RUNG_SOCKET": str(path)}
    with contextlib.ExitStack() as stack:
        if collector == "deaf":
            stack.enter_context(_deaf(path))
            stack.callback(path.unlink)
        command = [sys.executable, "-c", MEMORY, str(MEMORY_REQUESTS)]
        both = [subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) for given in (plain, recorded)]
        try:
            one, other = (json.loads(process.communicate(timeout=2 * PATIENCE_S)[0]) for process in both)
        finally:
            for process in both:
                process.kill()
    assert (False, True) == (one["recorded"], other["recorded"])
    assert {} == other["failed_at"]
    more = other["most"] - one["most"]
    print(f"{collector}: {more / 2**20:.1f} MiB more, {other['dropped']} dropped")  # shown with -s
    assert more <= MEMORY_BYTES_MAX, (one, other)
    assert other["dropped"] > 0


def test_websockets_are_counted_and_left_alone() -> None:
    code = """
        import asyncio, json
        from rung.probe import core, imports
        imports.install()
        from starlette.applications import Starlette
        from starlette.routing import WebSocketRoute

        async def talk(websocket):
            await websocket.accept()
            while True:
                text = await websocket.receive_text()
                if text == "bye":
                    break
                await websocket.send_text(text + "!" + str(core.current.get()))
            await websocket.close()

        app = Starlette(routes=[WebSocketRoute("/talk", talk)])
        async def main():
            told = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hi"},
                         {"type": "websocket.receive", "text": "bye"}])
            said = []
            async def receive():
                return next(told)
            async def send(message):
                said.append((message["type"], message.get("text")))
            await app({"type": "websocket", "path": "/talk", "headers": [], "query_string": b""}, receive, send)
            return said
        said = asyncio.run(main())
        state = core.state
        print(json.dumps([said, state.websockets, len(state.finished), len(state.live), state.failed_at]))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    said, websockets, finished, live, failed_at = json.loads(done.stdout)
    assert [["websocket.accept", None], ["websocket.send", "hi!None"], ["websocket.close", None]] == said
    assert (1, 0, 0, {}) == (websockets, finished, live, failed_at)
