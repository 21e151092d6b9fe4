"""
The real collector with a prefix: sent while it goes on, resumed after a kill, found by `rung find URL`.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rung.adapters.shelf import names
from rung.frames import encode_hello
from tests.adapters.test_pieces import collecting
from tests.fleets.conftest import Bucket
from tests.fleets.simulated import Fleet, batch, hello
from tests.probe.serving import PATIENCE_S
from tests.scenarios.shapes import misfits

FLEET = Fleet(hosts=1, instances=1, hours=1, requests=600)


def rung(place: Path, *typed: str) -> tuple[int, Any, str]:
    done = subprocess.run(
        [sys.executable, "-m", "rung", *typed, "--json"], cwd=place, capture_output=True, text=True, check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


def keys(bucket: Bucket, ending: str, *, least: int = 1) -> list[str]:
    until = time.monotonic() + PATIENCE_S
    while True:
        found = [key for key in bucket.listed() if key.endswith(ending)]
        if len(found) >= least or time.monotonic() > until:
            return found
        time.sleep(0.1)


def test_a_killed_host_loses_seconds_and_the_next_collector_sends_the_rest(tmp_path: Path, bucket: Bucket) -> None:
    (tmp_path / "rung.toml").write_text(f"[fleet]\nprefix = '{bucket.prefix}'\nevery = '1s'\n", "utf-8")
    sending = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with collecting(tmp_path, "--name", "shop") as (process, path), sending as stream:
        stream.connect(str(path))
        stream.sendall(encode_hello(hello(0, 0)) + batch(FLEET, 0, 0, 0))
        # Under way: its first part, and that part's manifest.
        assert [key for key in keys(bucket, "/recording-000001.json") if "/parts/" in key]
        process.kill()
        process.wait()
    reader = tmp_path / "reader"
    reader.mkdir()
    status, found, said = rung(reader, "find", bucket.prefix, "--since", "1h")
    assert 0 == status, said
    assert [] == misfits(found, "find")
    assert 400 < found["recording"]["requests"] <= FLEET.requests

    with collecting(tmp_path, "--name", "shop") as (process, path):
        whole = keys(bucket, "/recording.json")
        assert 1 == len(whole)
        assert "/parts/" not in whole[0]
    assert 2 == len(keys(bucket, "/recording.json", least=2))
    status, again, said = rung(tmp_path, "find", bucket.prefix, "--since", "1h")
    assert 0 == status, said
    assert found["recording"]["requests"] == again["recording"]["requests"]
    for text in (said, json.dumps(again), *(file.read_text("utf-8") for file in tmp_path.rglob("*.json"))):
        assert "canary" not in text


def test_push_sends_what_waits_and_says_what_it_sent(tmp_path: Path, bucket: Bucket) -> None:
    with collecting(tmp_path) as (_, path), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.connect(str(path))
        stream.sendall(encode_hello(hello(0, 0)) + batch(FLEET, 0, 0, 0))
    (name,) = names(tmp_path / ".rung")
    status, _, said = rung(tmp_path, "push")
    assert 2 == status
    assert bucket.listed() == []
    status, sent, said = rung(tmp_path, "push", "--to", bucket.prefix)
    assert 0 == status, said
    assert [] == misfits(sent, "push")
    assert (name, True) == (sent["sent"][0]["name"], sent["sent"][0]["ended"])
    assert len(bucket.listed()) == sent["sent"][0]["objects"]
    status, again, said = rung(tmp_path, "push", "--to", bucket.prefix)
    assert (0, 0) == (status, again["sent"][0]["objects"]), said

    # By the beginning of its name, as well as by time; a fleet's recording is neither sent nor packed.
    status, found, said = rung(tmp_path, "find", f"{bucket.prefix}/{name[:13]}")
    assert 0 == status, said
    status, _, said = rung(tmp_path, "find", f"{bucket.prefix}/2001-01-01T00")
    assert 2 == status
    fleet = found["recording"]["name"]
    assert 2 == rung(tmp_path, "push", "--to", bucket.prefix, fleet)[0]
    assert 2 == rung(tmp_path, "pack", fleet)[0]
