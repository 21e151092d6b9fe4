"""
Apps and recorders of others to be run together: how each is started, and what it saw.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rung.adapters import launcher
from tests.company.agent import Agent
from tests.probe.running import gunicorn
from tests.probe.serving import HERE, PATIENCE_S, uvicorn, wait_listening

FIRST = Path(__file__).resolve().parent / "first"
PEERS = ("sentry", "opentelemetry", "newrelic", "ddtrace")
# Their own way to be started, without a change to the app.
PROGRAMS = {
    "opentelemetry": ["opentelemetry-instrument"],
    "newrelic": ["newrelic-admin", "run-program"],
    "ddtrace": ["ddtrace-run"],
}


@dataclass(frozen=True, slots=True)
class App:
    """
    An app of tests/probe, and what is asked of it.
    """

    name: str
    paths: tuple[str, ...]

    def command(self, port: int) -> list[str]:
        if self.name == "fastapi":
            return uvicorn("app:app", port)
        if self.name == "django-asgi":
            return uvicorn("django_site.asgi:application", port)
        return gunicorn({"flask": "flask_app:app", "django": "django_site.wsgi"}[self.name], port, "--threads", "2")


_DJANGO = ("/orders/1/", "/write", "/boom", "/denied", "/nowhere", "/stream", "/compute", "/async/1")
APPS = (
    App(
        "fastapi",
        (
            "/orders/3", "/psycopg/sync", "/psycopg/async", "/asyncpg/gather", "/asyncpg/write", "/boom", "/handled",
            "/stream", "/compute", "/compute/thread", "/background", "/nowhere",
            "/api/shops/north/items/7/parts", "/mounted/acme/deep/2/hello/you",
        ),
    ),
    App(
        "flask",
        ("/orders/3", "/boom", "/handled", "/unavailable", "/stream", "/compute", "/async/5", "/nowhere"),
    ),
    App("django", _DJANGO),
    App("django-asgi", _DJANGO),
)  # fmt: skip


@dataclass
class Ran:
    """
    Where an app listens, and afterwards what it printed and where its recording is.
    """

    port: int
    recording: Path | None
    printed: Path
    complained: Path

    def warnings(self) -> set[str]:
        """Return the warnings among what went to stderr, without their places in files."""
        lines = self.complained.read_text("utf-8", "replace").splitlines()
        return {re.sub(r"^\S*?:\d+: |\b\d+\b", "", line) for line in lines if "Warning" in line or "Recursion" in line}


def environment(peer: str | None, peers: Path, agent: Agent, folder: Path) -> dict[str, str]:
    """
    Return what an app's environment says for *peer* to send all that it sees to *agent*, or into *folder*.
    """
    given = dict(os.environ) | {
        "PYTHONHASHSEED": "0", "DJANGO_SETTINGS_MODULE": "django_site.settings",
        "PYTHONPATH": os.pathsep.join([str(peers), str(HERE)]),
    }  # fmt: skip
    if peer == "sentry":
        given |= {"PEER": peer, "SENTRY_DSN": f"http://public@127.0.0.1:{agent.port}/1"}
    elif peer == "opentelemetry":
        given |= {
            "PEER": peer, "OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none", "OTEL_SERVICE_NAME": "company",
        }  # fmt: skip
    elif peer == "newrelic":
        # What it writes into pages says how long they took.
        (folder / "newrelic.ini").write_text(
            "[newrelic]\nbrowser_monitoring.enabled = false\nbrowser_monitoring.auto_instrument = false\n", "utf-8"
        )
        given |= {
            "PEER": peer, "NEW_RELIC_DEVELOPER_MODE": "true", "NEW_RELIC_APP_NAME": "company",
            "NEW_RELIC_LICENSE_KEY": "0" * 40, "NEW_RELIC_AUDIT_LOG": str(folder / "newrelic.txt"),
            "NEW_RELIC_LOG": str(folder / "newrelic.log"), "NEW_RELIC_STARTUP_TIMEOUT": "10",
            "NEW_RELIC_CONFIG_FILE": str(folder / "newrelic.ini"),
        }  # fmt: skip
    elif peer == "ddtrace":
        given |= {
            "PEER": peer, "DD_TRACE_AGENT_URL": f"http://127.0.0.1:{agent.port}", "DD_TRACE_API_VERSION": "v0.4",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_CRASHTRACKING_ENABLED": "false",
        }  # fmt: skip
    return given


def company(peer: str | None, order: str, command: Sequence[str], peers: Path, given: dict[str, str]) -> list[str]:
    """
    Return the command that starts *peer* before the app: by its own program, or ahead of rung in the same process.
    """
    if peer is None:
        return list(command)
    if order == "program" and peer in PROGRAMS:
        program, *more = PROGRAMS[peer]
        return [sys.executable, str(peers / "bin" / program), *more, *command]
    if order == "program":
        given["PYTHONPATH"] = os.pathsep.join([str(FIRST), given["PYTHONPATH"]])
        return list(command)
    # What is put ahead of PYTHONPATH after `rung record` did so comes first.
    return ["/bin/sh", "-c", f'PYTHONPATH={FIRST}:"$PYTHONPATH"; export PYTHONPATH; exec "$@"', "sh", *command]


@contextmanager
def running(command: Sequence[str], port: int, given: dict[str, str], folder: Path, *, recorded: bool) -> Iterator[Ran]:
    """Yield what runs; afterwards it has ended in the way that lets exit handlers run, and is sealed."""
    ran = Ran(port, None, folder / "printed.txt", folder / "complained.txt")
    started = None
    with ran.printed.open("wb") as printed, ran.complained.open("wb") as complained:
        options: dict[str, Any] = {"cwd": HERE, "stdout": printed, "stderr": complained, "start_new_session": True}
        if recorded:
            started = launcher.start(list(command), folder=folder / ".rung", environment=given, quiet=True, **options)
            process, ran.recording = started.process, started.recording
        else:
            process = subprocess.Popen(list(command), env=given, **options)
        try:
            wait_listening(port, process)
            yield ran
        finally:
            # uvicorn dies of SIGTERM without running exit handlers, by which peers send what they hold.
            _end(process, signal.SIGINT if "uvicorn" in command else signal.SIGTERM)
            if started is not None:
                started.seal(PATIENCE_S)


def _end(process: subprocess.Popen[Any], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def transactions(peer: str, ran: Ran, agent: Agent) -> list[tuple[str, list[str]]]:
    """
    Return what *peer* saw: the name of each transaction and the statements inside of it.
    """
    if peer == "opentelemetry":
        return _of_opentelemetry(ran.printed.read_text("utf-8"))
    if peer == "newrelic":
        return _of_newrelic((ran.printed.parent / "newrelic.txt").read_text("utf-8"))
    return agent.transactions


def _of_opentelemetry(printed: str) -> list[tuple[str, list[str]]]:
    decoder, spans, position = json.JSONDecoder(), [], printed.find("{")
    while position >= 0:
        span, end = decoder.raw_decode(printed, position)
        spans.append(span)
        position = printed.find("{", end)
    asked: dict[str, list[str]] = {}
    for span in spans:
        text = span["attributes"].get("db.statement") or span["attributes"].get("db.query.text")
        asked.setdefault(span["context"]["trace_id"], []).extend([text] if text else [])
    return [
        (span["name"], asked[span["context"]["trace_id"]])
        for span in spans
        if span["kind"] == "SpanKind.SERVER" and span["parent_id"] is None
    ]


def _of_newrelic(written: str) -> list[tuple[str, list[str]]]:
    """
    It sends a sample of its spans, but an event for each transaction, with the number of its statements.
    """
    seen = []
    for part in re.split(r"^=+$", written, flags=re.MULTILINE):
        if "'method': 'analytic_event_data'" in part:
            document = ast.literal_eval(part.split("DATA:", 1)[1].strip())
            for event, *_ in document[2]:
                seen.append((event["name"], ["a statement"] * int(event.get("databaseCallCount", 0))))
    return seen
