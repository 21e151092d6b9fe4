"""
Run the commands as a user does: each in a process of its own, in a folder of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import warm
from tests.ports import free_port

HERE = Path(__file__).parent
PATIENCE_S = 30.0

LOAD = """\
rate = {rate}

[[routes]]
weight = 2
path = "/customers/{{customer}}/orders"
values.customer = {{ from = 1, to = 5000 }}

[[routes]]
weight = 1
path = "/orders/{{order}}"
values.order = {{ from = 1, to = 300000 }}
"""


class Shop:
    """
    A folder with the corner shop in it, and rung.
    """

    def __init__(self, folder: Path, database: str | None) -> None:
        self.folder, self.database = folder, database
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "RUNG"))}
        # A copy: lines of code are told relative to the folder that the app is started in.
        shutil.copy(HERE / "corner.py", folder)
        if database is not None:
            self.environment["DATABASE_URL"] = database

    def rung(self, *arguments: str, status: int = 0) -> str:
        """
        Run one command and return what it printed; it must exit with *status*.
        """
        done = warm.rung(self.folder, *arguments, environment=self.environment)
        assert status == done.returncode, f"rung {' '.join(arguments)}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> dict[str, Any]:
        """
        Run one command with --json and return its document.
        """
        tree: dict[str, Any] = json.loads(self.rung(*arguments, "--json"))
        return tree

    def record(self, name: str, *load: str) -> None:
        """
        Run the app recorded, load it, stop it as Ctrl-C does, and wait for the seal.
        """
        with self.running("record", "--name", name, "--") as url:
            self.rung("load", url + load[0], *load[1:])
        (recording,) = (self.folder / ".rung" / "recordings").glob(f"*Z-{name}")
        give_up_at = time.monotonic() + PATIENCE_S
        while not json.loads((recording / "recording.json").read_text())["sealed"]:
            assert time.monotonic() < give_up_at, "the recording was not sealed"
            time.sleep(0.05)

    @contextlib.contextmanager
    def running(self, *before: str) -> Iterator[str]:
        """
        Keep the app up, its command preceded by `rung` and *before*, and yield its URL.
        """
        port = free_port()
        app = [
            sys.executable,
            "-m",
            "uvicorn",
            "corner:app",
            "--app-dir",
            ".",
            "--port",
            str(port),
            "--log-level",
            "error",
        ]
        process = subprocess.Popen([sys.executable, "-m", "rung", *before, *app], cwd=self.folder, env=self.environment)
        try:
            wait_until_up(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_up(port: int, process: subprocess.Popen[bytes]) -> None:
    """
    Return when the app answers; fail when it ends first.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        assert process.poll() is None, f"the app ended with {process.returncode}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise AssertionError("the app did not come up")
