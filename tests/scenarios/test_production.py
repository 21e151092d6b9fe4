"""
From production to laptop, as a container would have it: another user, nothing to write to but one folder, process 1.

Nothing here needs docker: what examples/production relies on is run without it.  Users and namespaces take root; where
there is none, these tests are left out and the others run as whoever runs them.

In        real servers under a system interpreter, with no more installed than the recorder brings
Out       recordings, read where the whole tool is
Not here  the parts by themselves (tests/adapters, tests/probe/test_outlet.py)
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rung.adapters.launcher import BOOTSTRAP
from rung.adapters.shelf import names, raw_names, told_by
from tests.adapters.test_pieces import collecting
from tests.ports import free_port
from tests.probe.serving import PATIENCE_S, ask, serving, table, wait_listening
from tests.scenarios.make import recording_name
from tests.scenarios.shapes import misfits

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PROBE_TESTS = ROOT / "tests" / "probe"
NOBODY, OTHER = 65534, 65533
# What `pip install rung` and a small app bring, and nothing of the tool.
PACKAGES = ("msgspec", "starlette", "uvicorn", "click", "h11", "anyio", "idna", "typing_extensions")
REQUESTS = 70


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """
    A folder that everybody may read, with the recorder, an app, and nothing else.
    """
    folder = Path(tempfile.mkdtemp(prefix="rung-image-"))
    try:
        for name in PACKAGES:
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.origin is not None
            origin = Path(spec.origin)
            if origin.name == "__init__.py":
                shutil.copytree(origin.parent, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(origin, folder)
        shutil.copytree(ROOT / "src" / "rung", folder / "rung", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PROBE_TESTS / "small.py", folder)
        (folder / "volume").mkdir()
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.chown(folder / "volume", NOBODY if os.geteuid() == 0 else -1, -1)
        yield folder
    finally:
        shutil.rmtree(folder)


def a_user(uid: int = NOBODY, *, first_process: bool = False) -> list[str]:
    """
    What to begin a command with, so that it runs as that user, and as process 1 of a namespace of its own.
    """
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("takes root and setpriv to become somebody else")
    namespace = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"] if first_process else []
    if namespace and subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no process may have a namespace of its own here")
    return [*namespace, "setpriv", f"--reuid={uid}", f"--regid={NOBODY}", "--clear-groups"]


def an_interpreter(user: Sequence[str], *paths: Path) -> str:
    """
    An interpreter of this version that *user* may run, and that imports rung from *paths*.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (f"/usr/bin/python{version}", f"/usr/local/bin/python{version}", sys.executable):
        look = [*user, python, "-c", "import rung.frames"]
        with_paths = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths))}
        if (
            Path(python).exists()
            and not subprocess.run(look, env=with_paths, capture_output=True, check=False).returncode
        ):
            return python
    pytest.skip("that user may run no interpreter of this version")


def bare(*paths: Path, **more: str) -> dict[str, str]:
    """
    The environment of a container: nothing but what it was given.
    """
    return {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(map(str, paths)), **more,
    }  # fmt: skip


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], cwd: str = "/"
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        env=dict(environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE_S)


def child_of(process: subprocess.Popen[bytes]) -> int:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.01)
    raise AssertionError("it has started nobody")


def served(port: int, process: subprocess.Popen[bytes]) -> set[int]:
    """Ask REQUESTS times and return the process ids that answered."""
    wait_listening(port, process)
    return {json.loads(ask(port, "/me/you")[2])["pid"] for _ in range(REQUESTS)}


def rung(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNG", "PG", "DATABASE"))}
    return subprocess.run(
        [sys.executable, "-m", "rung", *words], cwd=cwd, env=kept, capture_output=True, text=True, timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip


def app(python: str, port: int) -> list[str]:
    return [python, "-m", "uvicorn", "small:app", "--port", str(port), "--log-level", "warning"]


def test_process_1_of_a_container_ends_on_sigterm_and_its_recording_is_read_elsewhere(
    image: Path, tmp_path: Path
) -> None:
    user = a_user(first_process=True)
    python = an_interpreter(a_user(), image)
    volume = image / "volume"
    port = free_port()
    environment = bare(image, RUNG_FOLDER=str(volume))
    with running(
        [*user, python, "-m", "rung", "record", "--raw", "--name", "shop", "--", *app(python, port)], environment
    ) as outer:
        assert {1} == served(port, outer)
        first = child_of(outer)
        status = Path(f"/proc/{first}/status").read_text()
        assert f"Uid:\t{NOBODY}" in status
        os.kill(first, signal.SIGTERM)
        outer.wait(PATIENCE_S)
        # uvicorn ends itself by the signal that it got, which process 1 does not die of: either way it has ended well.
        assert outer.returncode in {0, -signal.SIGTERM, 128 + signal.SIGTERM}
    (name,) = raw_names(volume)
    assert {0o600} == {path.stat().st_mode & 0o777 for path in (volume / "raw" / name).iterdir()}
    assert {NOBODY} == {path.stat().st_uid for path in (volume / "raw" / name).iterdir()}

    # Packed where it was made, with the recorder alone, through a pipe; looked at here.
    with running([*a_user(), python, "-m", "rung", "pack", "-o", "-"], environment) as packing:
        packed, complained = packing.communicate(timeout=PATIENCE_S)
    assert (0, b"") == (packing.returncode, complained)
    (tmp_path / "shop.rung").write_bytes(packed)
    found = rung("find", "shop.rung", "--json", cwd=tmp_path)
    assert 0 == found.returncode, found.stderr
    assert (name, REQUESTS, 1) == tuple(
        json.loads(found.stdout)["recording"][key] for key in ("name", "requests", "processes")
    )


def test_a_sidecar_of_another_user_of_the_group_records_what_two_apps_send(image: Path) -> None:
    libraries = [ROOT / "src", *(Path(sysconfig.get_path(name)) for name in ("purelib",))]
    collector_python = an_interpreter(a_user(), *libraries)
    python = an_interpreter(a_user(OTHER), image)
    volume = image / "volume" / "sidecar"
    volume.mkdir(mode=0o750)
    os.chown(volume, NOBODY, NOBODY)
    path = volume / "socket"
    collect = [
        *a_user(),
        collector_python,
        "-m",
        "rung",
        "collect",
        "--socket",
        str(path),
        "--folder",
        str(volume / "recordings"),
    ]
    with running(collect, bare(*libraries)) as collector:
        assert collector.stderr is not None
        assert b"listening at" in collector.stderr.readline()
        environment = bare(image, RUNG_SOCKET=str(path))
        command = [*a_user(OTHER), python, "-m", "rung", "record", "--"]
        ports = [free_port(), free_port()]
        with (
            running([*command, *app(python, ports[0])], environment) as one,
            running([*command, *app(python, ports[1])], environment) as two,
        ):
            # Neither started a collector, or anything else: the command took its place.
            assert [{one.pid}, {two.pid}] == [served(ports[0], one), served(ports[1], two)]
            for process in (one, two):
                process.terminate()
                process.wait(PATIENCE_S)
        collector.terminate()
        _, complained = collector.communicate(timeout=PATIENCE_S)
    assert 0 == collector.returncode, complained
    (name,) = names(volume / "recordings")
    told = told_by(volume / "recordings" / "recordings" / name)
    assert (True, 2, 2 * REQUESTS) == (told["sealed"], told["processes"], told["requests"])
    assert 2 == len({row["instance"] for row in table(volume / "recordings" / "recordings" / name, "processes")})


def test_a_program_that_this_user_may_not_reach_is_no_traceback(image: Path) -> None:
    user = a_user()
    python = an_interpreter(user, image)
    closed = image / "closed"
    closed.mkdir(mode=0o700)
    with running([*user, python, "-m", "rung", "record", "--", str(closed / "app")], bare(image)) as process:
        _, complained = process.communicate(timeout=PATIENCE_S)
    assert 126 == process.returncode
    assert b"Permission denied" in complained
    assert b"Traceback" not in complained


def test_the_environment_alone_is_enough(tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, path):
        around = {"RUNG_SOCKET": str(path), "PYTHONPATH": str(BOOTSTRAP), "RUNG_INSTANCE": "pod-1"}
        with serving("small:app", tmp_path, recorded=False, **around) as (port, _, _):
            assert 200 == ask(port, "/me/you")[0]
            (name,) = names(tmp_path / ".rung")
            until = time.monotonic() + PATIENCE_S
            while not table(tmp_path / ".rung" / "recordings" / name, "requests") and time.monotonic() < until:
                time.sleep(0.05)
        collector.terminate()
        collector.wait(PATIENCE_S)
    rows = table(tmp_path / ".rung" / "recordings" / name, "requests")
    assert [("pod-1", "/me/{name}")] == [(row["instance"], row["route"]) for row in rows]


RECORD_RAW = """
import sys
from pathlib import Path
from rung.adapters import launcher
status = launcher.record(
    sys.argv[3:], folder=Path(sys.argv[1]), name=None, terminal=True, raw_bytes_max=int(sys.argv[2])
)
launcher.end_as(status)
"""


def test_a_full_folder_counts_what_it_does_not_take(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", RECORD_RAW, str(tmp_path / ".rung"), "2000", *app(sys.executable, port)]
    with running(command, os.environ, cwd=str(PROBE_TESTS)) as process:
        served(port, process)
        process.terminate()
        _, complained = process.communicate(timeout=PATIENCE_S)
    assert -signal.SIGTERM == process.returncode
    assert b"of raw frames are in" in complained
    (name,) = raw_names(tmp_path / ".rung")
    assert f"Next  rung pack {tmp_path / '.rung' / 'raw' / name}".encode() in complained
    assert sum(file.stat().st_size for file in (tmp_path / ".rung" / "raw" / name).iterdir()) < 4000

    done = rung("pack", "--json", "-o", "shop.rung", cwd=tmp_path)
    assert 0 == done.returncode, done.stderr
    document = json.loads(done.stdout)
    assert [] == misfits(document, "pack")
    assert ("shop.rung", name, False) == (document["file"], document["name"], document["raw"])
    told = told_by(tmp_path / ".rung" / "recordings" / name)
    assert told["dropped"]["requests"] > 0
    assert REQUESTS == told["requests"] + told["dropped"]["requests"]


def test_forked_workers_have_a_file_each(tmp_path: Path) -> None:
    """
    The parent, which loaded the app before it forked, has one as well, and nobody writes into another's.
    """
    port = free_port()
    server = [
        sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-k", "uvicorn_worker.UvicornWorker",
        "-b", f"127.0.0.1:{port}", "--log-level", "error", "small:app",
    ]  # fmt: skip
    command = [sys.executable, "-c", RECORD_RAW, str(tmp_path / ".rung"), "1000000", *server]
    with running(command, os.environ, cwd=str(PROBE_TESTS)) as process:
        answered = served(port, process)
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    done = rung("pack", cwd=tmp_path)
    assert 0 == done.returncode, done.stderr
    (name,) = raw_names(tmp_path / ".rung")
    recording = tmp_path / ".rung" / "recordings" / name
    assert (True, REQUESTS) == tuple(told_by(recording)[key] for key in ("sealed", "requests"))
    by_worker = {row["worker"]: row["requests"] for row in table(recording, "processes")}
    assert answered == {worker for worker, requests in by_worker.items() if requests}
    assert len(by_worker) == len(list((tmp_path / ".rung" / "raw" / name).iterdir()))


def test_older_recordings_go_when_a_new_one_is_sealed(tmp_path: Path) -> None:
    old = tmp_path / ".rung" / "recordings" / recording_name("healthy")
    shutil.copytree(HERE / "healthy" / "recordings" / old.name, old)
    then_s = time.time() - 100
    os.utime(old / "recording.json", (then_s, then_s))
    for age, gone in (("1h", False), ("10s", True)):
        (tmp_path / "rung.toml").write_text(f'[retain]\nage = "{age}"\n')
        before = set(names(tmp_path / ".rung"))
        done: Any = rung("record", "--", sys.executable, "-c", "", cwd=tmp_path)
        (new,) = set(names(tmp_path / ".rung")) - before
        until = time.monotonic() + PATIENCE_S
        while not told_by(tmp_path / ".rung" / "recordings" / new)["sealed"] and time.monotonic() < until:
            time.sleep(0.02)
        while gone and old.exists() and time.monotonic() < until:
            time.sleep(0.02)
        assert gone is not old.exists()
        assert gone is (f"removed {old.name}" in done.stderr)


def test_packing_and_collecting_say_what_is_wrong(tmp_path: Path) -> None:
    for words, status, says in (
        (("pack",), 2, "found no sealed recording"),
        (("pack", "-o", "-", "--json"), 2, "takes one thing"),
        (("collect",), 2, "--socket"),
        (("collect", "--socket", "s", "--rotate", "soon"), 2, "'soon'"),
        (("find", "no.rung"), 2, "'no.rung'"),
    ):
        done = rung(*words, cwd=tmp_path)
        assert status == done.returncode
        assert says in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
    assert [] == list(tmp_path.iterdir())
