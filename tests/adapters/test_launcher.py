"""
Commands run recorded: their status, signals and pid are their own, and the recording is sealed whatever happens.
"""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rung import clock
from rung.adapters import launcher
from rung.errors import CommandNotExecutable, CommandNotFound, CommandNotStarted
from rung.steps.record import TABLES
from tests.ports import free_port
from tests.probe.serving import HERE, PATIENCE_S, ask, serving, table, uvicorn, wait_listening

RECORD = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from rung.adapters import launcher
    status = launcher.record(sys.argv[3:], folder=Path(sys.argv[1]), name=None, terminal=sys.argv[2] == "terminal")
    launcher.end_as(status)
""")


def sealed_in_time(recording: Path) -> bool:
    until_s = clock.monotonic_s() + PATIENCE_S
    while not launcher.sealed(recording):
        if clock.monotonic_s() >= until_s:
            return False
        clock.sleep(0.02)
    return True


def record(folder: Path, *command: str, terminal: bool = False) -> list[str]:
    return [sys.executable, "-c", RECORD, str(folder), "terminal" if terminal else "elsewhere", *command]


def run(folder: Path, *command: str, terminal: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        record(folder, *command, terminal=terminal),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def the_recording(folder: Path) -> Path:
    (found,) = (folder / "recordings").iterdir()
    return found


def wait_written(recording: Path, requests: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while len(table(recording, "requests")) < requests and time.monotonic() < until:
        time.sleep(0.05)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bare_environment_stays_bare(tmp_path: Path, terminal: bool) -> None:
    """
    In the locale of C our interpreter sets LC_CTYPE for itself, and would hand it on.
    """
    done = subprocess.run(
        record(tmp_path / ".rung", "/usr/bin/env", terminal=terminal),
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert {"PATH", "PYTHONPATH", "RUNG_INSTANCE", "RUNG_KEY", "RUNG_RECORDING", "RUNG_SOCKET"} == names
    assert sealed_in_time(the_recording(tmp_path / ".rung"))


def test_a_full_disk_leaves_no_folder_that_git_would_see(tmp_path: Path) -> None:
    folder = tmp_path / "new" / ".rung"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            launcher.make_private(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not folder.exists()

    launcher.make_private(folder)
    assert "*\n" == (folder / ".gitignore").read_text("utf-8")


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("status", [0, 3])
def test_the_status_is_the_commands_own(tmp_path: Path, terminal: bool, status: int) -> None:
    folder = tmp_path / ".rung"
    done = run(folder, sys.executable, "-c", f"raise SystemExit({status})", terminal=terminal)
    assert status == done.returncode
    assert sealed_in_time(the_recording(folder))
    assert "rung: recording to" in done.stderr
    assert "no process" in done.stderr
    assert "*\n" == (folder / ".gitignore").read_text("utf-8")
    assert 0o700 == the_recording(folder).stat().st_mode & 0o777
    assert [] == table(the_recording(folder), "requests")
    assert set(TABLES) == {path.stem for path in the_recording(folder).glob("*.parquet")}


@pytest.mark.parametrize("terminal", [True, False])
def test_a_command_killed_by_a_signal_is_seen_as_killed(tmp_path: Path, terminal: bool) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    done = run(tmp_path / ".rung", sys.executable, "-c", code, terminal=terminal)
    assert -signal.SIGKILL == done.returncode
    assert sealed_in_time(the_recording(tmp_path / ".rung"))


def test_elsewhere_the_command_takes_the_launchers_place(tmp_path: Path) -> None:
    code = "import os; print(os.getpid()); os.waitpid(-1, os.WNOHANG)"
    command = record(tmp_path / ".rung", sys.executable, "-c", code)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said, complained = process.communicate(timeout=PATIENCE_S)
    assert process.pid == int(said)
    # It finds no child that it did not start itself.
    assert "ChildProcessError" in complained


@pytest.mark.parametrize("terminal", [True, False])
def test_signals_are_as_they_would_be_without_the_recorder(tmp_path: Path, terminal: bool) -> None:
    names = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGPIPE")
    done = run(tmp_path / ".rung", "grep", "SigIgn", "/proc/self/status", terminal=terminal)
    ignored = int(done.stdout.split()[1], 16)
    assert [] == [name for name in names if ignored & 1 << (getattr(signal, name) - 1)]


def test_errors_come_before_anything_is_started(tmp_path: Path) -> None:
    folder = tmp_path / ".rung"
    with pytest.raises(CommandNotFound):
        launcher.record(["no-such-program"], folder=folder, name=None, terminal=True)
    (tmp_path / "data").write_text("x")
    with pytest.raises(CommandNotExecutable):
        launcher.record([str(tmp_path / "data")], folder=folder, name=None, terminal=True)
    assert not folder.exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(CommandNotStarted):
        launcher.record([sys.executable], folder=tmp_path / "file" / ".rung", name=None, terminal=True)


def test_off_means_off(tmp_path: Path) -> None:
    code = "import os, sys; print(sorted(k for k in os.environ if 'RUNG_' in k), 'rung.probe' in sys.modules)"
    done = run(tmp_path / ".rung", sys.executable, "-c", code, RUNG="off")
    assert "[] False\n" == done.stdout
    assert not (tmp_path / ".rung").exists()


def test_a_python_without_rung_is_told_once(tmp_path: Path) -> None:
    # -S leaves the environment's packages out; the bootstrap is then run by hand, as that Python's site would.
    bootstrap = launcher.BOOTSTRAP / "sitecustomize.py"
    code = f"import runpy, sys; runpy.run_path({str(bootstrap)!r}); runpy.run_path({str(bootstrap)!r}); print('runs')"
    done = run(tmp_path / ".rung", sys.executable, "-S", "-c", code)
    assert "runs\n" == done.stdout
    assert 1 == done.stderr.count("not recording")
    assert "-m pip install rung" in done.stderr


def test_the_environments_own_sitecustomize_runs_and_ours_is_out_of_sight(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.was_here = True")
    code = (
        "import sys, os, sitecustomize; print(was_here, sitecustomize.__file__); "
        "print([p for p in sys.path if p.endswith('bootstrap')], 'bootstrap' in os.environ['PYTHONPATH'])"
    )
    done = run(tmp_path / ".rung", sys.executable, "-c", code, PYTHONPATH=str(tmp_path))
    assert [f"True {tmp_path / 'sitecustomize.py'}", "[] True"] == done.stdout.splitlines()


def test_two_workers_are_two_processes_of_one_recording(tmp_path: Path) -> None:
    with serving("small:app", tmp_path / ".rung", "--workers", "2") as (port, _, started):
        answered: set[int] = set()
        until = time.monotonic() + PATIENCE_S
        asked = 0
        while len(answered) < 2 and time.monotonic() < until:
            answered.add(json.loads(ask(port, "/me/you")[2])["pid"])
            asked += 1
    processes = {row["worker"]: row["requests"] for row in table(started.recording, "processes")}
    assert answered == set(processes)
    assert asked == sum(processes.values()) == len(table(started.recording, "requests"))


def test_the_app_goes_on_when_the_collector_is_killed(tmp_path: Path) -> None:
    with serving("small:app", tmp_path / ".rung") as (port, _, started):
        ask(port, "/me/before")
        wait_written(started.recording, 1)
        started.collector.kill()
        started.collector.wait()
        assert [200] * 20 == [ask(port, "/me/after")[0] for _ in range(20)]
        time.sleep(0.6)  # the sender meets the closed socket
        assert 200 == ask(port, "/me/after")[0]
    assert not launcher.sealed(started.recording)
    assert ["/me/{name}"] == [row["route"] for row in table(started.recording, "requests")]


def test_a_killed_app_leaves_a_sealed_recording(tmp_path: Path) -> None:
    port = free_port()
    command = record(tmp_path / ".rung", *uvicorn("small:app", port))
    with subprocess.Popen(command, cwd=HERE, stderr=subprocess.DEVNULL) as process:
        wait_listening(port, process)
        for _ in range(5):
            ask(port, "/me/you")
        recording = the_recording(tmp_path / ".rung")
        wait_written(recording, 5)
        process.kill()
    assert sealed_in_time(recording)
    assert 5 == len(table(recording, "requests"))
    (row,) = table(recording, "processes")
    assert process.pid == row["worker"]


def test_another_interpreter_is_warned_about(tmp_path: Path) -> None:
    done = run(tmp_path / ".rung", sys.executable, "-I", "-c", "import starlette.applications")
    assert 0 == done.returncode
    assert "another interpreter" in done.stderr


def test_interrupting_on_a_terminal_ends_the_server_gracefully(tmp_path: Path) -> None:
    port = free_port()
    command = record(tmp_path / ".rung", *uvicorn("small:app", port)[:-1], "info", terminal=True)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(HERE)
        os.execv(command[0], command)
    said = b""
    try:
        while b"running on" not in said:
            said += os.read(terminal, 4096)
        ask(port, "/me/you")
        os.write(terminal, b"\x03")
        while True:
            try:
                data = os.read(terminal, 4096)
            except OSError:  # the other end of a terminal that nobody has open any more
                break
            if not data:
                break
            said += data
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert b"Finished server process" in said
    assert b"Force" not in said
    assert b"Traceback" not in said
    # uvicorn ends by the signal it was sent, once it has shut down; so does the launcher.
    assert signal.SIGINT == os.WTERMSIG(status) or 0 == os.WEXITSTATUS(status)
    recording = the_recording(tmp_path / ".rung")
    assert launcher.sealed(recording)
    assert 1 == len(table(recording, "requests"))
