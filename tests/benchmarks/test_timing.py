"""
The timing benchmark measures what it says, and its ways of predicting are judged by what was measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.timing import __main__ as timing
from benchmarks.timing import building, cases, judged, page
from rung.moves.work import KINDS
from rung.steps.advise.builds import SECONDS


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The document of a short run: two statements on small tables, with calibration, writes and builds.
    """
    path = tmp_path_factory.mktemp("timing") / "kept.json"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cases, "QUICK", (cases.LOOKUPS[0], cases.SORTS[4]))
        patched.setattr(cases, "HEALTHY", cases.HEALTHY[:4])
        patched.setattr(sys, "argv", ["benchmark", "--quick", "--json"])
        with path.open("w") as file:
            patched.setattr(sys, "stdout", file)
            timing.main()
    return path


@pytest.fixture(scope="module")
def told(kept: Path) -> Any:
    return json.loads(kept.read_text())


def test_fifty_statements_of_three_kinds_each_once() -> None:
    groups = [case.group for case in cases.CASES]

    assert (20, 15, 15) == tuple(groups.count(each) for each in (cases.LOOKUP, cases.JOIN, cases.SORTED))
    assert 50 == len({case.text for case in cases.CASES})


def test_each_statement_is_timed_before_with_and_after_a_restart(told: Any) -> None:
    assert 2 == len(told["reads"]["cases"])
    for case in told["reads"]["cases"]:
        assert case["used"]
        assert "timing_candidate" in {node["index"] for node in case["built"]["nodes"]}
        for phase in ("before", "after", "cold"):
            assert case[phase]["exec_s"] > 0
        assert case["before"]["rows"] == case["after"]["rows"] == case["cold"]["rows"] > 0
        assert case["after"]["read"] == 0 < case["cold"]["read"], "warm means in shared buffers, cold not"


def test_every_way_is_judged_by_every_question(told: Any) -> None:
    assert set(timing.QUESTIONS) == set(told["judged"])
    for ways in told["judged"].values():
        assert list(judged.WAYS) == list(ways)
        assert {2} == {way["cases"] for way in ways.values()}


def test_kept_figures_are_judged_again_alike(
    kept: Path, told: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", "--kept", str(kept), "--json"])
    timing.main()
    assert told == json.loads(capsys.readouterr().out)


def test_every_kind_of_work_is_given_seconds(told: Any) -> None:
    assert set(KINDS) == set(told["calibrated"]["seconds"])
    assert min(told["calibrated"]["seconds"].values()) > 0


def test_an_index_logs_more_of_an_insert_and_nothing_of_a_delete(told: Any) -> None:
    rows = {(row["shape"], row["kind"], row["images"]): row for row in told["writes"]}

    assert 9 * 3 * 2 == len(rows)
    for (shape, kind, images), row in rows.items():
        assert 0 < row["plain_s"]
        if kind == "insert" and "partial" not in shape:
            assert row["wal_bytes"] > 40
        if kind == "delete" and not images:
            assert 0 == row["foreseen_s"] == pytest.approx(row["wal_bytes"], abs=8)
    assert rows["updated column", "update", False]["wal_bytes"] > 100 > rows["one column", "update", False]["wal_bytes"]


def test_builds_are_timed_and_foreseen(told: Any) -> None:
    rows = told["builds"]

    assert len(building.QUICK_TABLES) * len(building.SHAPES) == len(rows) == len(told["builds_judged"]["foreseen_s"])
    assert set(SECONDS) == set(told["builds_judged"]["seconds"])
    for row in rows:
        assert 0 < row["seconds"] and row["wal_bytes"] >= row["size_bytes"] * 0.5
        assert 0.5 < row["foreseen_wal_bytes"] / row["wal_bytes"] < 2


def test_the_page_has_a_row_for_each_way_and_statement(told: Any) -> None:
    text = page.shown(told)

    assert len(timing.QUESTIONS) + 1 == text.count(f"\n| {judged.WINNER} |")
    for case in told["reads"]["cases"]:
        assert f"`{case['text']}`" in text


def test_what_is_missed_is_summed_as_the_question_asks() -> None:
    rows = [{"ratio": ratio, "sign": sign, "held": True} for ratio, sign in ((1.1, True), (0.45, True), (3.0, False))]
    summed = judged.summed(rows)

    assert (0.55, 2 / 3, 1 / 3, 2 / 3) == pytest.approx(
        (summed["median_error"], summed["off_by_two"], summed["within"], summed["sign"])
    )


def test_weights_are_found_and_never_negative() -> None:
    given = np.array([[1.0, 0.0, 1.0], [1.0, 5.0, 2.0], [1.0, 1.0, 0.0], [1.0, 9.0, 9.0]])

    assert judged.not_negative(given, given @ [2.0, 3.0, 0.5]) == pytest.approx([2.0, 3.0, 0.5], rel=1e-3)
    assert min(judged.not_negative(given, given @ [2.0, 3.0, -0.1])) >= 0.0
