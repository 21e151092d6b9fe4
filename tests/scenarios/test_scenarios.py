"""
What a person reads of a small recording, word by word, and what a program reads of the same.

The recordings are made by make.py and kept; what is printed is kept beside them.  After a change of words that is
meant: RUNG_REWRITE=1 python -m pytest tests/scenarios, and read the difference.

In        NAME/recordings, NAME/answers, through the command line
Out       a failure shows the difference to NAME/expect_*.txt
Not here  bad input (test_refusals.py)
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from rung.clock import now_s, stamp
from rung.steps.measure import percentile
from rung.surfaces.cli import main
from tests.scenarios.make import SCENARIOS, recording_name
from tests.scenarios.shapes import misfits
from tests.short import every

HERE = Path(__file__).parent
REWRITE = bool(os.environ.get("RUNG_REWRITE"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    An empty repository to work in, with no setting from outside.
    """
    for name in list(os.environ):
        if name.startswith(("RUNG_", "PG")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def brought(place: Path, scenario: str) -> Path:
    """
    The scenario's recording as it lies in a user's repository.
    """
    shutil.copytree(HERE / scenario, place / ".rung", ignore=shutil.ignore_patterns("expect_*"))
    return place


@pytest.mark.parametrize("command", ["find", "price"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_printed(scenario: str, command: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brought(place, scenario)
    assert main([command]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    expected = HERE / scenario / f"expect_{command}.txt"
    if REWRITE:
        expected.write_text(printed.out, "utf-8")
    assert printed.out == expected.read_text("utf-8")


@pytest.mark.parametrize("command", ["find", "price"])
@pytest.mark.parametrize("scenario", every(3, SCENARIOS))
def test_json_has_the_declared_shape(
    scenario: str, command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    brought(place, scenario)
    assert main([command, "--json"]) == 0
    assert misfits(json.loads(capsys.readouterr().out), command) == []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_line_is_wider_than_a_page(scenario: str) -> None:
    """
    A table is as wide as it must be; everything else fits the width that text.py wraps at.
    """
    lines = (HERE / scenario / "expect_find.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if len(line) > 110] == []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_it_ends_with_what_to_do_next(scenario: str) -> None:
    for command in ("find", "price"):
        last = (HERE / scenario / f"expect_{command}.txt").read_text("utf-8").strip().rsplit("\n\n", 1)[-1]
        assert last.startswith("Next")


@pytest.mark.parametrize("scenario", [name for name, (_, answered, _) in SCENARIOS.items() if answered])
def test_kept_answers_make_a_database_needless(scenario: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A finding can be made again from files alone: the database that is named here cannot be reached.
    """
    brought(place, scenario)
    before = kept_answers(place)
    assert main(["find", "--database", "postgresql://nobody@127.0.0.1:1/shop"]) == 0
    assert capsys.readouterr().out == (HERE / scenario / "expect_find.txt").read_text("utf-8")
    assert kept_answers(place) == before


def kept_answers(place: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in (place / ".rung" / "answers").iterdir()}


def test_all_traffic_is_told_within_one_percent(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Windows were open for a quarter of the time; counts are exact all the same, and so, nearly, are percentiles.
    """
    model = SCENARIOS["windows"][0]()
    brought(place, "windows")
    assert main(["find", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)

    assert (said["recording"]["requests_all"], said["recording"]["doubts"]) == (len(model.happened), [])
    assert 0.2 < said["recording"]["kept_share"] < 0.3
    assert {route["route"] for route in said["routes"]} == {route for route, _, _ in model.happened}
    for route in said["routes"]:
        durations_s = np.array([taken_s for name, _, taken_s in model.happened if name == route["route"]])
        assert route["n"] < len(durations_s) == route["all"]["n"]
        for percent in (50, 95, 99):
            assert route["all"][f"p{percent}_s"] == pytest.approx(percentile(durations_s, percent), rel=0.01001)


def test_what_it_would_bear_does_not_depend_on_how_much_was_kept(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    The same app with all of its requests kept, and with a quarter: as many requests a second fill it.
    """
    bears_per_s = {}
    for scenario in ("unindexed_lookup", "windows"):
        shutil.rmtree(place / ".rung", ignore_errors=True)
        brought(place, scenario)
        assert main(["price", "--json"]) == 0
        bears_per_s[scenario] = json.loads(capsys.readouterr().out)["quotes"][0]["bears_per_s"]

    assert bears_per_s["windows"] == pytest.approx(bears_per_s["unindexed_lookup"], rel=0.05)


def test_price_has_percentiles_by_route_an_interval_and_what_it_would_bear(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    brought(place, "unindexed_lookup")
    assert main(["price", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    quotes = {quote["name"].partition(":")[0]: quote for quote in said["quotes"]}

    assert {"nothing", "index", "cache", "pool", "keepopen", "workers", "threads", "instance"} == set(quotes)
    index = quotes["index"]
    assert index["predicted"]["low_s"] <= index["predicted"]["p95_s"] <= index["predicted"]["high_s"]
    assert {"GET /customers/{id}/orders", "GET /products/{id}"} == {each["route"] for each in index["routes"]}
    for each in index["routes"]:
        for side in (each["now"], each["then"]):
            assert side["p50_s"] <= side["p95_s"] <= side["p99_s"]
    assert index["bears_per_s"] == pytest.approx(quotes["nothing"]["bears_per_s"]), "both end at the event loop"
    assert ("migration", "setting", "hand") == tuple(quotes[kind]["taken_as"] for kind in ("index", "pool", "cache"))
    assert {"not yet"} == {quotes[kind]["verdict"] for kind in set(quotes) - {"nothing", "index"}}
    assert all(quote["reason"] for quote in said["quotes"] if quote["verdict"] == "not yet")
    assert {"p50", "p95", "p99", "route"} == set(said["simulated"]["misses"][0])


def test_a_setting_is_written_down_and_changed_by_people(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Its text holds what to set and the undo, the ledger knows of it, and --apply says that there is nothing to run.
    """
    brought(place, "pool_held")
    before = listing(place)
    assert main(["take", "pool:10", "--apply"]) == 2
    refused = capsys.readouterr().err
    assert "pool:10 is a setting: there is nothing that rung could run" in refused
    assert "rung take pool:10" in refused
    assert {name for name in listing(place) if name not in before} == set(), "refused before anything was written"

    assert main(["take", "pool:10", "--json"]) == 0
    taken = json.loads(capsys.readouterr().out)
    assert misfits(taken, "take") == []
    (written,) = taken["files"]
    assert (taken["statement"], taken["applied"]) == (None, None)
    text = (place / written).read_text("utf-8")
    assert f"Set     {taken['setting']}" in text and f"Undo    {taken['undo']}" in text
    assert (taken["setting"], taken["undo"]) == (
        "create_engine(…, pool_size=10, max_overflow=0)",
        "create_engine(…, pool_size=5, max_overflow=0)",
    )

    assert main(["ledger"]) == 0
    assert "pool:10" in capsys.readouterr().out
    assert main(["take", "--undo"]) == 0
    undone = capsys.readouterr().out
    assert "Set back    create_engine(…, pool_size=5, max_overflow=0)" in undone
    assert main(["ledger", "--json"]) == 0
    assert [entry["state"] for entry in json.loads(capsys.readouterr().out)["entries"]] == ["undone"]


@pytest.mark.parametrize(
    ("scenario", "words", "said"),
    [
        ("mail_in_request", ["take"], "is done by hand"),
        ("mail_in_request", ["take", "background"], "background:mail is done by hand"),
        ("pool_held", ["take", "pool"], "'pool' could be pool:10 or pool:20"),
    ],
)
def test_what_cannot_be_taken_says_why(
    scenario: str, words: list[str], said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    brought(place, scenario)
    assert main(words) == 2
    assert said in capsys.readouterr().err
    assert not (place / "rung").exists()


def test_take_writes_a_migration_and_its_undo(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brought(place, "unindexed_lookup")
    assert main(["take", "index", "--json"]) == 0
    taken = json.loads(capsys.readouterr().out)
    assert misfits(taken, "take") == []
    assert [Path(name).suffixes for name in taken["files"]] == [[".sql"], [".undo", ".sql"]]
    assert taken["statement"] in (place / taken["files"][0]).read_text("utf-8")
    assert taken["undo"] in (place / taken["files"][1]).read_text("utf-8")
    assert taken["applied"] is None


def test_take_twice_is_take_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brought(place, "unindexed_lookup")
    assert main(["take"]) == 0
    once = (capsys.readouterr().out, listing(place))
    assert main(["take", "index"]) == 0
    assert (capsys.readouterr().out, listing(place)) == once


def listing(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def test_confirm_compares_with_the_newest_after_the_change(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brought(place, "unindexed_lookup")
    assert main(["take"]) == 0
    later = place / ".rung" / "recordings" / f"{stamp(now_s() + 60)}-after"
    shutil.copytree(HERE / "healthy" / "recordings" / recording_name("healthy"), later)
    capsys.readouterr()
    assert main(["confirm", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert misfits(said, "confirm") == []
    assert (said["before"]["recording"], said["after"]["recording"]) == (
        recording_name("unindexed_lookup"),
        later.name,
    )
    assert main(["ledger", "--json"]) == 0
    assert misfits(json.loads(capsys.readouterr().out), "ledger") == []
    capsys.readouterr()
    # These two carry different traffic, so there is nothing to judge by yet, and the ledger says what to do.
    assert said["verdict"] == "too_little_data"
    assert main(["ledger"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("then: rung confirm")


def test_a_recording_is_not_taken_before_it_ended(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Confirm would otherwise judge a change by the half of a recording that is there by now.
    """
    brought(place, "unindexed_lookup")
    assert main(["take"]) == 0
    running = place / ".rung" / "recordings" / f"{stamp(now_s() + 60)}-running"
    shutil.copytree(HERE / "unsealed" / "recordings" / recording_name("unsealed"), running)
    capsys.readouterr()
    assert main(["confirm"]) == 2
    assert "no recording after" in capsys.readouterr().err
    assert main(["find", "--check"]) == 1
    assert recording_name("unindexed_lookup") in capsys.readouterr().out


def test_check_is_about_the_goal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brought(place, "healthy")
    assert main(["find", "--check"]) == 0
    assert main(["find", "--check", "--latency", "1ms"]) == 1
