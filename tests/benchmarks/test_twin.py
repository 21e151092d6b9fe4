"""
The twin's benchmarks: their recordings are read as any other, and their documents say what they measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.twin import bound, hour, replayed, traffic
from rung import wire
from rung.adapters.shelf import RECORDINGS
from rung.steps.measure import Profile
from rung.steps.twin.recover import recover
from rung.steps.twin.twin import Twin


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A folder with one recording of a few seconds.
    """
    home = tmp_path_factory.mktemp("twin")
    traffic.write(home, lasts_s=20.0, rate_per_s=40.0, workers=2, seed=3)
    return home


@pytest.fixture(scope="module")
def profile(folder: Path) -> Profile:
    with wire.workplace({"folder": "."}, database=None, folder=folder).loop() as loop:
        return loop.measure(traffic.NAME)


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, main: Any, *typed: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["benchmark", *typed])
    main()
    return capsys.readouterr().out


def test_the_recording_has_what_its_makers_say(folder: Path, profile: Profile, tmp_path: Path) -> None:
    made = traffic.write(tmp_path, lasts_s=20.0, rate_per_s=40.0, workers=2, seed=3)
    assert (800, 2) == (len(profile.requests), profile.processes)
    assert (made.requests, made.segments) == (len(profile.requests), len(profile.segments))
    assert {f"{route.method} {route.template}" for route in traffic.ROUTES} == set(profile.routes)
    assert 5 <= len(profile.segments) / len(profile.requests) <= 8
    assert 20 >= profile.lasted_s >= 19
    assert {usage.host for usage in profile.beside.usages} == {traffic.HOST}
    assert sum(each.calls for each in profile.beside.executions) > 0.9 * sum(
        part.seam == "query" for part in (profile.parts[place] for place in profile.segments.part)
    )
    for table in ("requests", "segments", "reads"):
        same = [place / RECORDINGS / traffic.NAME / f"{table}.parquet" for place in (folder, tmp_path)]
        assert same[0].read_bytes() == same[1].read_bytes()


def test_the_twin_of_it_can_be_asked(profile: Profile) -> None:
    route = next(f"{each.method} {each.template}" for each in traffic.ROUTES if "orders" in each.template)
    assert abs(Twin(profile).residual(route, 95)) < 0.15


def test_the_hour_tells_what_each_command_took(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hour, "QUICK", (hour.Round(12.0, 30.0, 1),))
    monkeypatch.setattr(hour, "events_per_s", lambda lasts_s: {"1": lasts_s})
    told = json.loads(printed(capsys, monkeypatch, hour.main, "--quick", "--json"))
    assert ["find", "price"] == [row["command"] for row in told["rows"]]
    for row in told["rows"]:
        assert row["requests"] == 360
        assert 0 < row["cpu_s"]
        assert 10_000_000 < row["peak_bytes"]
    assert told["rows"][1]["quotes"] >= 1
    assert {"demo_wall_s"} == set(told["held"])
    assert hour.shown(told).count("\n| 12 s at 30/s") == 2


def test_growth_is_that_of_the_longer_recordings() -> None:
    rows = [
        {
            "command": command, "workers": 1, "demo": demo, "requests": requests, "cpu_s": requests**power,
            "peak_bytes": 7, "lasts_s": 1, "wall_s": 1,
        }
        for command, power in (("find", 1.0), ("price", 0.5))
        for demo, requests in ((True, 1), (False, 100), (False, 1000), (False, 5000))
    ]  # fmt: skip
    told = hour.growth(rows)
    assert pytest.approx(1.0) == told["find"]["cpu_s"]
    assert pytest.approx(0.5) == told["price"]["cpu_s"]
    assert pytest.approx(0.0, abs=1e-9) == told["price"]["peak_bytes"]
    assert {"find": {}, "price": {}} == hour.growth(rows[:1] + rows[4:5])


def test_a_recording_is_held_against_its_twin(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {"scenario": "async one", "phases": {"before": {"recording": traffic.NAME}}}
    gone = {"scenario": "async two", "phases": {"before": {"recording": "2026-gone"}}}
    for name, told in (("one", result), ("two", gone), ("three", {"scenario": "failed before"})):
        (folder / f"{name}.json").write_text(json.dumps(told))
    told = json.loads(printed(capsys, monkeypatch, replayed.main, str(folder), "--json"))
    (row,) = told["scenarios"]
    assert "failed" not in row, row["failed"]
    kinds = {each["what"] for each in row["figures"]}
    assert {"p50", "p90", "use"} <= kinds
    uses = {each["of"] for each in row["figures"] if each["what"] == "use"}
    assert {f"cores of {traffic.HOST}", "loop of process 0", "loop of process 1"} <= uses
    assert told["summary"]["p50"]["median"] < 0.15
    assert told["summary"]["use"]["median"] < 0.05
    assert "async one" in replayed.shown(told)


def test_what_the_twin_misses_is_told() -> None:
    figures = [replayed.Compared("p50", "GET /", 0.1, 0.12), replayed.Compared("use", "loop", 0.5, 0.4)]
    assert [0.2, -0.1] == pytest.approx([each.error for each in figures])
    rows = [{"figures": [{"what": each.what, "error": each.error} for each in figures]}]
    told = replayed.summary(rows)
    assert {"p50", "use"} == set(told)
    assert not told["p50"]["holds"]
    assert 0 == told["use"]["within"]


def test_a_longer_excerpt_misses_less(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bound, "recorded", lambda _seed, _lasts_s: profile)
    all_of_it = len(recover(profile).workload.op)
    errors = list(bound.errors(1, 1.0, (all_of_it // 8, 2 * all_of_it)))
    rows = bound.summed(errors)
    assert [len(bound.QUESTIONS) * len(traffic.ROUTES)] * 2 == [row["predictions"] for row in rows]
    missed = [max(each["error"] for each in errors if each["steps"] == row["steps"]) for row in rows]
    assert missed[0] > missed[1] == 0.0
