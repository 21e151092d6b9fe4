"""
The gauntlet: its scenarios hang together, its verdicts are those of the truth beside them, and one runs as all do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gauntlet import report
from benchmarks.gauntlet.judge import ROOT, function_at, is_right
from benchmarks.gauntlet.run import path_of, run, slug
from benchmarks.gauntlet.scenario import SERVERS, Culprit, Fix, Scenario, takes
from benchmarks.gauntlet.scenarios import FEW, SCENARIOS
from rung.steps.find.finding import Interval, Suspect
from rung.steps.measure import Part

FAULTY = [each for each in SCENARIOS.values() if each.truth]
HEALTHY = [each for each in SCENARIOS.values() if not each.truth]


def suspect(seam: str, *, statement: str = "", code: str = "") -> Suspect:
    return Suspect(Part(seam, "some"), "GET /", statement, code, Interval(1.0, 1.0, 1.0), 0.5, 1.0)


def prediction(error: float, *, take: str = "after", speed: float = 1.0, inside: bool = True) -> dict[str, Any]:
    return {
        "take": take, "speed": speed, "by": "move", "move": "index:a", "route": "GET /", "goals": True,
        "value_s": 0.02, "low_s": 0.01, "high_s": 0.03, "measured_s": 0.02 / (1 + error), "error": error,
        "inside": inside,
    }  # fmt: skip


def result(name: str, *told: dict[str, Any], faulty: bool = True, right: bool = True) -> dict[str, Any]:
    first = {"seam": "query", "name": "f00", "statement": "SELECT a | b", "code": "", "stability": 0.9}
    found = {"right": right, "first": first if faulty else None, "now_s": 0.1}
    return {"scenario": name, "faulty": faulty, "find": found, "predictions": list(told)}


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
    for fix in (scenario.fix, scenario.rival):
        if fix is not None:
            assert_changes(scenario, fix)


def assert_changes(scenario: Scenario, fix: Fix) -> None:
    """
    Hold that *fix* changes something, and that its app can be served.
    """
    before = (scenario.faults, dict(scenario.settings), scenario.server)
    after = (fix.faults, {**scenario.settings, **fix.settings}, fix.server or scenario.server)
    assert fix.sql or before != after
    assert fix.server == "" or fix.server in SERVERS


def test_the_truth_is_told_by_seam_and_by_what_it_has() -> None:
    orders = Culprit("query", "FROM orders")
    assert orders.is_met_by("query", "3f", "select id from orders where id = $1")
    assert not orders.is_met_by("query", "3f", "select id from product")
    assert not orders.is_met_by("lock", "3f", "select id from orders")


def test_a_line_tells_the_function_that_it_is_in() -> None:
    lines = (ROOT / "benchmarks/gauntlet/fastapi_app.py").read_text().splitlines()
    (sleeping,) = [number for number, line in enumerate(lines, 1) if "time.sleep(" in line]
    code = f"benchmarks/gauntlet/fastapi_app.py:{sleeping}"

    assert "blocked" == function_at(code)
    assert is_right(suspect("cpu", code=code), SCENARIOS["async blocking sleep"])
    assert not is_right(suspect("cpu", code="benchmarks/gauntlet/fastapi_app.py:1"), SCENARIOS["async blocking sleep"])


def test_the_right_answer_for_a_healthy_app_is_nothing() -> None:
    healthy, faulty = SCENARIOS["async healthy at 10/s"], SCENARIOS["async missing index"]
    assert is_right(None, healthy)
    assert not is_right(suspect("cpu"), healthy)
    assert not is_right(None, faulty)
    assert not is_right(suspect("pool"), faulty)
    assert is_right(suspect("query", statement="SELECT id FROM orders WHERE customer_id = $1"), faulty)


def test_what_failed_stays_in_the_table_and_counts_as_wrong() -> None:
    results = [
        result("one", prediction(0.05)),
        result("two", prediction(-0.5, inside=False)),
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
    assert (1, 2) == (figures["inside"]["inside"], figures["inside"]["predictions"])


def test_the_better_of_two_moves_is_told_by_price_and_by_measurement() -> None:
    # Both promise 20 ms; the rival's promise is 30 % too low, so it is measured worse.
    cheaper = {**prediction(-0.3, take="rival"), "value_s": 0.019}
    dearer = {**prediction(0.0, take="rival"), "value_s": 0.05, "measured_s": 0.05}
    results = [result("one", prediction(0.0), cheaper), result("two", prediction(0.0), dearer), result("three")]
    assert [1, 2] == report.summary(results)["better"]


def test_other_loads_count_for_the_intervals_and_not_for_the_goal() -> None:
    results = [result("one", prediction(0.1), prediction(0.5, take="after, slower", speed=0.6, inside=False))]
    figures = report.summary(results)
    assert 1 == figures["errors_all"]["promises"]
    assert 2 == figures["inside"]["predictions"] == figures["errors_everywhere"]["promises"]


def test_each_scenario_gets_two_loads_at_least_and_its_rival_before_the_fix() -> None:
    for scenario in SCENARIOS.values():
        names = [take.name for take in takes(scenario)]
        assert "before" == names[0]
        assert len(names) >= 2
        # The fix may change the database, which the rival must find as it was.
        assert "rival" not in names or names.index("rival") < names.index("after")
    assert sum(scenario.rival is not None for scenario in SCENARIOS.values()) >= 12


def test_results_that_are_there_are_not_run_again(tmp_path: Path) -> None:
    scenario = SCENARIOS[FEW[0]]
    path_of(tmp_path, scenario).write_text(json.dumps(result(scenario.name)))
    assert [result(scenario.name)] == run(
        [scenario], tmp_path, phase_s=0.0, resume=True, again=False, told=lambda *_: pytest.fail("it was run")
    )


@pytest.mark.long
@pytest.mark.alone
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
    assert {"before", "rival", "after", "after, slower"} == set(made["phases"]) == set(made["accounts"])
    assert all(phase["load"]["overall"]["requests"] > 0 for phase in made["phases"].values())
    assert "GET /orders/{customer}" in made["accounts"]["before"]
    # In so short a load only the faulty route has requests enough to be held against its promise.
    (promise,) = [each for each in made["predictions"] if each["take"] == "after" and each["goals"]]
    assert promise["measured_s"] > 0
    assert promise["move"].startswith("index:orders")
