"""
`rung doctor` says what is so here, with a way out for whatever is not as it should be.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from rung.adapters.collector.listener import listening
from rung.adapters.environment import Script, has_instrument, look_into, same_interpreter, scripts
from rung.adapters.shelf import MANIFEST
from rung.errors import CommandNotExecutable
from tests import warm
from tests.scenarios.shapes import misfits


def run(place: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNG", "PG", "DATABASE"))}
    return warm.rung(place, "doctor", *words, environment=kept | more)


def told(place: Path, *words: str, status: int = 0, **more: str) -> dict[str, Any]:
    done = run(place, "--json", *words, **more)
    assert status == done.returncode, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert [] == misfits(document, "doctor")
    assert document["works"] is not any(check["state"] == "broken" for check in document["checks"])
    assert not [check for check in document["checks"] if check["state"] in {"broken", "lacking"} and not check["step"]]
    return document


def check(document: dict[str, Any], about: str) -> dict[str, Any]:
    return next(one for one in document["checks"] if one["about"] == about)


def test_here_a_recording_works_and_nothing_is_left_behind(tmp_path: Path) -> None:
    document = told(tmp_path, "--check")
    assert document["works"]
    assert "ok" == check(document, "recorder")["state"]
    by_name = {one["name"]: one for one in document["libraries"]}
    assert ("starlette", "tested") == tuple(by_name["fastapi"][key] for key in ("instrument", "state"))
    assert [] == list(tmp_path.iterdir())
    plain = run(tmp_path)
    assert 0 == plain.returncode
    assert "a recording would work here" in plain.stdout
    assert "Next  rung record" in plain.stdout


def test_settings_say_where_they_come_from_and_keep_passwords(tmp_path: Path) -> None:
    (tmp_path / "rung.toml").write_text('[database]\nurl = "postgresql://me:canary@127.0.0.1:1/shop"\n')
    document = told(tmp_path, RUNG_RETAIN_BYTES="34 MB")
    settings = {one["name"]: (one["value"], one["source"]) for one in document["settings"]}
    assert ("given", "rung.toml") == settings["database.url"]
    assert ("34 MB", "RUNG_RETAIN_BYTES") == settings["retain.bytes"]
    assert ("300 ms", "default") == settings["goal.latency"]
    assert "127.0.0.1:1/shop" in check(document, "database")["text"]
    assert "canary" not in json.dumps(document)


def test_another_interpreter_without_rung_is_told_its_pip_line(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = str(tmp_path / "venv" / "bin" / "python")
    document = told(tmp_path, "--check", "--python", python, status=1)
    recorder = check(document, "recorder")
    assert "broken" == recorder["state"]
    assert recorder["step"].endswith("-m pip install rung")
    assert "lacking" == check(document, "library")["state"]
    assert "would NOT work" in run(tmp_path, "--python", python).stdout


def test_what_is_no_python_is_refused(tmp_path: Path) -> None:
    for python in ("/bin/false", str(tmp_path / "none")):
        with pytest.raises(CommandNotExecutable):
            look_into(python)


def test_a_sitecustomize_of_ones_own_is_told_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('something of its own')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = look_into(sys.executable)
    assert found.recorded
    assert str(tmp_path / "sitecustomize.py") == found.sitecustomize


def test_what_keeps_a_recording_from_working_is_told(tmp_path: Path) -> None:
    document = told(tmp_path, RUNG="off", RUNG_FOLDER="/proc/none", RUNG_SOCKET=str(tmp_path / "s"))
    assert not document["works"]
    assert "unset RUNG" == check(document, "switch")["step"]
    assert "/proc/none cannot be written" in check(document, "folder")["text"]
    assert f"rung collect --socket {tmp_path / 's'}" == check(document, "socket")["step"]
    long = told(tmp_path, RUNG_SOCKET="/" + "x" * 120)
    assert "at most 100" in check(long, "socket")["text"]
    with listening(str(tmp_path / "s")):
        assert "ok" == check(told(tmp_path, RUNG_SOCKET=str(tmp_path / "s")), "socket")["state"]


def test_recordings_that_nobody_sealed_are_told(tmp_path: Path) -> None:
    recording = tmp_path / ".rung" / "recordings" / "2026-11-23T10-00-00Z-shop"
    recording.mkdir(parents=True)
    (recording / MANIFEST).write_text('{"format": 2, "sealed": false}')
    assert recording.name in check(told(tmp_path), "unsealed")["text"]


def test_a_server_of_another_environment_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "uvicorn"
    script.write_text("#!/opt/other/bin/python -I\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [Script("uvicorn", str(script), "/opt/other/bin/python", "-I")] == scripts()
    assert not same_interpreter(scripts()[0], sys.executable)
    assert same_interpreter(scripts()[0], "/opt/other/bin/python3")
    document = told(tmp_path, PATH=str(tmp_path))
    assert "rung doctor --python /opt/other/bin/python" in check(document, "uvicorn")["step"]


def test_permissions_are_asked_of_the_database(tmp_path: Path, database: str) -> None:
    document = told(tmp_path, "--database", database)
    assert "PostgreSQL" in check(document, "database")["text"]
    lacking = [one for one in document["checks"] if one["about"] == "permission" and one["state"] == "lacking"]
    assert ["pg_stat_statements is not there"] == [one["text"].partition(";")[0] for one in lacking]
    assert has_instrument("starlette")


def test_a_fleet_s_prefix_is_asked_and_what_waits_is_told(tmp_path: Path) -> None:
    assert not [one for one in told(tmp_path)["checks"] if one["about"] == "fleet"]
    here = check(told(tmp_path, RUNG_FLEET_PREFIX=f"file://{tmp_path}/store"), "fleet")
    assert ("ok", True) == (here["state"], "answers" in here["text"])
    recording = tmp_path / ".rung" / "recordings" / "2026-11-28T00-00-00Z-shop"
    recording.mkdir(parents=True)
    (recording / MANIFEST).write_text('{"format": 2, "sealed": true}')
    begun = {f"file://{tmp_path}/store": {"number": 0, "through": {}}}
    (recording / ".sent.json").write_text(json.dumps(begun))
    document = told(tmp_path, RUNG_FLEET_PREFIX=f"file://{tmp_path}/store")
    (waits,) = (one for one in document["checks"] if one["about"] == "fleet" and one["state"] == "note")
    assert recording.name in waits["text"]
    assert "rung push" == waits["step"]
    # Nothing answers there.
    gone = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "canary", "AWS_SECRET_ACCESS_KEY": "canary"}
    document = told(tmp_path, RUNG_FLEET_PREFIX="s3://recordings/shop", **gone)
    assert "lacking" == check(document, "fleet")["state"]
    assert "canary" not in json.dumps(document)


def test_it_says_where_metrics_are_and_whether_a_receiver_answers(tmp_path: Path) -> None:
    off = told(tmp_path)
    assert ("note", "RUNG_METRICS_LISTEN=on") == tuple(check(off, "metrics")[key] for key in ("state", "step"))
    assert "otlp" not in {one["about"] for one in off["checks"]}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        there = {"RUNG_METRICS_LISTEN": str(port), "RUNG_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        away = told(tmp_path, **there)
        taken.listen()
        answered = told(tmp_path, **there)
    assert ("ok", "lacking") == (check(away, "metrics")["state"], check(away, "otlp")["state"])
    assert ("lacking", "ok") == (check(answered, "metrics")["state"], check(answered, "otlp")["state"])
    assert "something else listens" in check(answered, "metrics")["text"]
    wrong = told(tmp_path, RUNG_OTLP_ENDPOINT="http://127.0.0.1:1", RUNG_OTLP_HEADERS="env:NOT_SET")
    assert "NOT_SET is not set" in check(wrong, "views")["text"]
