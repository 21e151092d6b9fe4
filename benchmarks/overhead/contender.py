"""
One contender: an app of the benchmark with one recorder around it, or none.

Run as a process of its own: `python -m benchmarks.overhead.contender NAME APP SERVER`.  Without a server it reads one
JSON document a line, {"path", "requests", "flush"}, asks its app that often in this process, and answers each with one.
Behind uvicorn or gunicorn it says its port; /kept then tells what the recorder kept.

In        the contender's name, "fastapi", "django" or "stub", "none", "uvicorn" or "gunicorn"; DATABASE_URL
Out       CPU seconds of the app's thread so far, and what the recorder kept so far
Not here  when which contender is asked (rounds.py), the CPU of the process, which is read from outside (processes.py)
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from typing import Any

from benchmarks.overhead.recorders import Flush, recorder

KEEP_ALIVE_S = 3_600
BACKLOG = 128
DIGESTS_S_MAX = 10.0


def _told(thread_s: float, line: dict[str, Any], flush: Flush) -> None:
    _answer({"thread_s": thread_s, "kept": flush() if line.get("flush") else 0})


async def _ask_fastapi(app: Any, flush: Flush, tight: Any = None) -> None:
    from benchmarks.overhead import fastapi_app, stub_app

    thread_s = 0.0
    async with app.router.lifespan_context(app):
        while line := _asked():
            begun_s = time.thread_time()
            if tight is not None and line["path"].startswith("/tight/"):
                stub_app.drive(tight, line["path"], line["requests"])
            else:
                await fastapi_app.drive(app, line["path"], line["requests"])
            thread_s += time.thread_time() - begun_s
            _told(thread_s, line, flush)


def _ask_django(app: Any, flush: Flush) -> None:
    from benchmarks.overhead import django_app

    thread_s = 0.0
    while line := _asked():
        begun_s = time.thread_time()
        django_app.drive(app, line["path"], line["requests"])
        thread_s += time.thread_time() - begun_s
        _told(thread_s, line, flush)


def _behind_uvicorn(app: Any, flush: Flush) -> None:
    import uvicorn

    async def with_kept(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/kept":
            await app(scope, receive, send)
            return
        kept = await asyncio.get_running_loop().run_in_executor(None, flush)
        body = str(kept).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    config = uvicorn.Config(
        with_kept, http="httptools", loop="uvloop", log_level="warning", access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )  # fmt: skip
    _answer({"port": listening.getsockname()[1]})
    uvicorn.Server(config).run(sockets=[listening])


def _behind_gunicorn(name: str) -> None:
    from gunicorn.app.base import BaseApplication

    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)

    class Site(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            given = {
                "bind": f"fd://{listening.fileno()}", "workers": 1, "worker_class": "sync", "loglevel": "warning",
                "backlog": BACKLOG, "control_socket_disable": True,
            }  # fmt: skip
            for key, value in given.items():
                if key in self.cfg.settings:
                    self.cfg.set(key, value)

        def load(self) -> Any:
            # In the worker: threads of a recorder's do not come along into a forked process.
            from benchmarks.overhead import django_app

            flush = recorder(name, "django")
            app = django_app.application()

            def with_kept(environ: Any, start_response: Any) -> Any:
                if environ["PATH_INFO"] != "/kept":
                    return app(environ, start_response)
                body = str(flush()).encode()
                start_response("200 OK", [("Content-Length", str(len(body)))])
                return [body]

            return with_kept

    _answer({"port": listening.getsockname()[1]})
    sys.argv = sys.argv[:1]
    Site().run()


def _stubbed(name: str) -> None:
    from benchmarks.overhead import stub_app

    stubs = stub_app.AsyncpgStub(), stub_app.PsycopgStub()
    flush = recorder(name, "fastapi")
    asyncio.run(stub_app.read_results(*stubs))
    app = stub_app.framework(*stubs)
    if name.startswith("rung"):
        _instrument_stubs(digests=name == "rung-digests")
    _answer({"ready": True})
    asyncio.run(_ask_fastapi(app, flush, stub_app.Tight(*stubs)))


def _instrument_stubs(*, digests: bool) -> None:
    from benchmarks.overhead import stub_app
    from rung.probe import asgi, reads

    stub_app.instrument()
    stub_app.Tight.__call__ = asgi.around(stub_app.Tight.__call__)  # type: ignore[method-assign]
    until_s = time.monotonic() + DIGESTS_S_MAX
    while digests and reads.encode is None:  # the sender's thread makes it
        assert time.monotonic() < until_s, "no digests are made"
        time.sleep(0.05)


def _asked() -> dict[str, Any]:
    line = sys.stdin.readline()
    return json.loads(line) if line else {}


def _answer(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def main() -> None:
    """
    Set up, then do as asked until standard input ends or a signal comes.
    """
    name, kind, server = sys.argv[1:]
    if kind == "stub":
        _stubbed(name)
        return
    if server == "gunicorn":
        _behind_gunicorn(name)
        return
    if kind == "django":
        from benchmarks.overhead import django_app

        flush = recorder(name, kind)
        site = django_app.application()
        _answer({"ready": True})
        _ask_django(site, flush)
        return
    from benchmarks.overhead import fastapi_app

    flush = recorder(name, kind)
    app = fastapi_app.application()
    if server == "uvicorn":
        _behind_uvicorn(app, flush)
        return
    import uvloop

    _answer({"ready": True})
    uvloop.run(_ask_fastapi(app, flush))


if __name__ == "__main__":
    main()
