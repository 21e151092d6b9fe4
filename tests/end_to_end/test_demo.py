"""
The demo as a person runs it, and what is left when it is killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

PATIENCE_S = 60.0


def demo(folder: Path, *flags: str) -> subprocess.Popen[str]:
    """
    Start the demo in *folder*.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "RUNG", "DATABASE"))}
    command = [sys.executable, "-m", "rung", "demo", *flags]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def offspring(folder: Path) -> list[str]:
    """
    Return the processes that work for the demo of *folder*, whoever their parent is by now.
    """
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            works_here = any(str(folder) in word for word in [*words, *process.environ().values()])
        except psutil.Error:
            continue
        if works_here and process.pid != os.getpid() and "pytest" not in " ".join(words):
            found.append(" ".join(words))
    return found


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """
    Return when *condition* holds; fail when it does not within reason.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, what
        time.sleep(0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """
    Yield a folder for several demos, so that the database is laid once, and take away what lies outside of it.
    """
    place = tmp_path_factory.mktemp("demo")
    yield place
    from rung.adapters.cluster import start

    data = place / ".rung" / "demo" / "postgres"
    if data.exists():
        start(data).remove()


def gone_round(folder: Path, *flags: str) -> list[str]:
    """
    Run a demo to its end, hold that it tells what is so, and return its verdicts.
    """
    whole = demo(folder, "--json", *flags)
    told, story = whole.communicate(timeout=400)
    assert 0 == whole.returncode, story
    tree = json.loads(told)
    turns = tree["turns"]
    taken = [turn["move"]["name"].partition(":")[0] for turn in turns]
    assert set(taken) <= {"index", "indexes", "nplusone"}, story
    assert taken or "nothing that rung could do by itself" in story
    verdicts = [turn["verdict"] for turn in turns]
    assert {"moved"} >= set(verdicts[:-1]), "it goes on for as long as it helps"
    for turn in turns:
        assert {"bottleneck", "move", "before", "after", "change", "verdict"} == set(turn)
        assert turn["bottleneck"]["gain_s"] > 0
        assert "moved" != turn["verdict"] or turn["change"]["high"] < 1
    assert tree["next"]["recording"]["name"].endswith(f"after-{taken[-1]}" if taken else "before")
    assert_kept(folder / ".rung" / "demo", taken, undone=["worse" == verdict for verdict in verdicts])
    wait_for(lambda: not offspring(folder), f"left running: {offspring(folder)}")
    return verdicts


def assert_kept(place: Path, taken: list[str], *, undone: list[bool]) -> None:
    """
    Hold that there are an entry, files and the patched code of each move that was *taken*, and of no other.
    """
    assert len(taken) == len(list(place.glob("rung/ledger/000[12]-*.toml")))
    written = [suffix for kind in taken for suffix in ([".patch"] if kind == "nplusone" else [".sql", ".sql"])]
    assert sorted(written) == sorted(path.suffix for path in place.glob("rung/migrations/*"))
    patched = "select(Product).options(selectinload(Product.reviews)).order_by(" in (
        place / "shop" / "catalogue.py"
    ).read_text("utf-8")
    assert patched == (("nplusone", False) in zip(taken, undone, strict=True))


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(500)
def test_the_first_turn_of_the_demo_helps(folder: Path) -> None:
    """
    With half a minute of traffic, as people get it.

    How many turns follow, and which move is first, is the machine's: on a busy one many small statements wait longer
    than one large one, and there may be nothing left that rung could do by itself.
    """
    verdicts = gone_round(folder)
    assert "moved" == verdicts[0]


@pytest.mark.timeout(500)
def test_a_demo_leaves_what_it_tells_of_and_a_killed_one_leaves_nothing_running(folder: Path) -> None:
    """
    A short one tells what is so, whatever that is here; killed and interrupted ones end in order.
    """
    gone_round(folder, "--duration", "20s")

    recordings = folder / ".rung" / "demo" / "recordings"
    killed = demo(folder, "--duration", "20s")
    wait_for(lambda: any("shop.main:app" in line for line in offspring(folder)), "the shop did not come up")
    wait_for(lambda: any(recordings.glob("*/recording.json")), "nothing was recorded")
    killed.kill()
    killed.communicate()
    wait_for(lambda: not offspring(folder), f"left running: {offspring(folder)}")
    (recording,) = recordings.iterdir()
    wait_for(lambda: json.loads((recording / "recording.json").read_text())["sealed"], "the recording was not sealed")

    interrupted = demo(folder, "--duration", "20s")
    wait_for(lambda: any("shop.main:app" in line for line in offspring(folder)), "the shop did not come up")
    interrupted.send_signal(signal.SIGINT)
    _, said = interrupted.communicate(timeout=PATIENCE_S)
    assert 130 == interrupted.returncode
    assert "Traceback" not in said
    wait_for(lambda: not offspring(folder), f"left running: {offspring(folder)}")


def test_a_port_in_use_is_named_before_anything_is_started(tmp_path: Path) -> None:
    """
    The demo does not load somebody else's program.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = demo(tmp_path, "--port", str(port))
        said = refused.communicate(timeout=PATIENCE_S)

    assert 2 == refused.returncode
    assert f"port {port}" in said[1]
    assert "rung demo --port 0" in said[1]
    assert not (tmp_path / ".rung" / "demo" / "postgres").exists()


def test_a_server_that_refuses_is_named(tmp_path: Path) -> None:
    """
    With --database, a server that cannot be reached is the answer, not a traceback.
    """
    refused = demo(tmp_path, "--database", "postgresql://me:secret@127.0.0.1:1/postgres")
    said = refused.communicate(timeout=PATIENCE_S)

    assert 2 == refused.returncode
    assert "127.0.0.1:1" in said[1]
    assert "secret" not in said[0] + said[1]
