"""
Where a process forks or is replaced by another program: no thread of ours in the way, and the recorder starts again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rung.adapters.launcher import BOOTSTRAP
from rung.probe import successor

FORKING = """
import os, threading, time
import starlette.applications
from rung.probe import core, sender

def names():
    return sorted(thread.name for thread in threading.enumerate())

print(names())
for _ in range(2):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    print(names())
core.freeze(core.Request("GET"), final=True)
print(names())
sender.flush()
print(core.state.failures, len(core.state.finished))
"""


def _run(code: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "RUNG_RAW": str(folder / "raw"), "PYTHONPATH": str(BOOTSTRAP), **more}
    command = [sys.executable, "-W", "always", "-c", code]
    return subprocess.run(command, env=given, cwd=folder, capture_output=True, text=True, timeout=60, check=True)


def test_a_fork_finds_no_thread_of_ours_and_they_begin_again_with_the_next_request(tmp_path: Path) -> None:
    done = _run(FORKING, tmp_path)
    all_three, alone = "['MainThread', 'rung', 'rung-sampler']", "['MainThread']"
    assert [all_three, alone, alone, all_three, "0 0"] == done.stdout.splitlines()
    # From 3.12 on Python warns of a fork beside other threads.
    assert "fork" not in done.stderr
    assert 1 == len(list((tmp_path / "raw").iterdir()))


@pytest.mark.parametrize("call", ["os.execl(python, *asked)", "os.execve(python, asked, dict(os.environ))"])
def test_a_command_that_puts_a_sitecustomize_of_its_own_first_is_recorded(call: str, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("print('own')\n", "utf-8")
    code = (
        "import os, sys\n"
        f"os.environ['PYTHONPATH'] = {str(own)!r} + os.pathsep + os.environ['PYTHONPATH']\n"
        "python, then = sys.executable, 'from rung.probe import core; print(core.state.started)'\n"
        "asked = [python, '-c', then]\n"
        f"{call}\n"
    )
    assert ["own", "True"] == _run(code, tmp_path).stdout.split()


def test_a_path_that_needs_no_change_has_none(tmp_path: Path) -> None:
    plain = str(tmp_path)
    assert successor.reordered("") is None
    assert successor.reordered(plain) is None
    assert successor.reordered(os.pathsep.join([plain, str(BOOTSTRAP)])) is None
