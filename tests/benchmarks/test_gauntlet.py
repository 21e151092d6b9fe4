"""
The gauntlet: its scenarios hang together, its verdicts are those of the truth beside them, and one runs as all do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gauntlet import report
from benchmarks.gauntlet.judge import is_right
from benchmarks.gauntlet.run import path_of, run, slug
from benchmarks.gauntlet.scenario import SERVERS, Culprit, Scenario
from benchmarks.gauntlet.scenarios import FEW, SCENARIOS
from rung.steps.find.finding import Interval, Suspect
from rung.steps.measure import Part

FAULTY = [each for each in SCENARIOS.values() if each.truth]
HEALTHY = [each for each in SCENARIOS.values() if not each.truth]


def suspect(seam: str, *, statement: str = "", code: str = "") -> Suspect:
    return Suspect(Part(seam, "some"), "GET /", statement, code, Interval(1.0, 1.0, 1.0), 0.5, 1.0)


def result(name: str, *, faulty: bool = True, right: bool = True, error: float | None = None) -> dict[str, Any]:
    first = {"seam": "query", "name": "f00", "statement": "SELECT a | b", "code": ""}
    found = {"right": right, "first": first if faulty else None, "now_s": 0.1}
    told: dict[str, Any] = {"scenario": name, "faulty": faulty, "find": found}
    if error is not None:
        promise = {"by": "move", "name": "index:a", "value_s": 0.02, "low_s": 0.01, "high_s": 0.03}
        told["after"] = {"measured_s": 0.02 / (1 + error), "promise": promise, "error": error, "inside": True}
    return told


def test_there_are_enough_of_each_kind() -> None:
    assert len(FAULTY) >= 24
    assert len(HEALTHY) >= 6
    assert sum(each.sync for each in FAULTY) * 3 >= len(FAULTY)
    assert len({slug(name) for name in SCENARIOS}) == len(SCENARIOS)
    assert set(FEW) <= set(SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: slug(scenario.name))
def test_a_fault_has_its_fix_and_a_healthy_app_has_neither(scenario: Scenario) -> None:
    assert scenario.server in SERVERS
    assert bool(scenario.truth) == (scenario.fix is not None)
    if scenario.fix is None:
        assert not scenario.faults and not scenario.sql
        return
    fix = scenario.fix
    before = (scenario.faults, dict(scenario.settings), scenario.server)
    after = (fix.faults, {**scenario.settings, **fix.settings}, fix.server or scenario.server)
    assert fix.sql or before != after
    assert fix.server == "" or fix.server in SERVERS


def test_the_truth_is_told_by_seam_and_by_what_it_has() -> None:
    orders = Culprit("query", "FROM orders")
    assert orders.is_met_by("query", "3f", "select id from orders where id = $1")
    assert not orders.is_met_by("query", "3f", "select id from product")
    assert not orders.is_met_by("lock", "3f", "select id from orders")


def test_the_right_answer_for_a_healthy_app_is_nothing() -> None:
    healthy, faulty = SCENARIOS["async healthy at 10/s"], SCENARIOS["async missing index"]
    assert is_right(None, healthy)
    assert not is_right(suspect("cpu"), healthy)
    assert not is_right(None, faulty)
    assert not is_right(suspect("pool"), faulty)
    assert is_right(suspect("query", statement="SELECT id FROM orders WHERE customer_id = $1"), faulty)


def test_what_failed_stays_in_the_table_and_counts_as_wrong() -> None:
    results = [
        result("one", error=0.05),
        result("two", error=-0.5),
        {"scenario": "three", "faulty": True, "failed": "OSError: a | b"},
        result("four", faulty=False),
    ]
    figures = report.summary(results)
    assert (2, 3, 1, 1, 1) == tuple(figures[name] for name in ("right", "faulty", "left_alone", "healthy", "failed"))
    assert {"promises": 2, "median": 0.275, "within_20_percent": 1} == figures["errors_move"]
    rows = report.table(results).splitlines()
    assert 2 + len(results) == len(rows)
    assert {rows[0].count("|")} == {row.replace("\\|", "").count("|") for row in rows}
    assert "failed: OSError" in rows[4]
    assert "2 of 3 faulty" in report.summary_text(figures)


def test_results_that_are_there_are_not_run_again(tmp_path: Path) -> None:
    scenario = SCENARIOS[FEW[0]]
    path_of(tmp_path, scenario).write_text(json.dumps(result(scenario.name)))
    assert [result(scenario.name)] == run(
        [scenario], tmp_path, phase_s=0.0, resume=True, again=False, told=lambda *_: pytest.fail("it was run")
    )


@pytest.mark.timeout(180)
def test_a_scenario_is_loaded_judged_fixed_and_loaded_again(tmp_path: Path) -> None:
    scenario = SCENARIOS["async missing index"]
    told: list[str] = []
    (made,) = run(
        [scenario], tmp_path, phase_s=4.0, resume=False, again=False, told=lambda each, _: told.append(each.name)
    )
    assert "failed" not in made, made["failed"]
    assert [scenario.name] == told
    assert made == json.loads(path_of(tmp_path, scenario).read_text())
    assert made["find"]["right"], made["find"]
    assert made["after"]["measured_s"] > 0
    assert {"before", "after"} == set(made["phases"])
    assert "GET /orders/{customer}" in made["account"]
