"""
A hot function's share of a route's computing goes, in full or by half, and no other route's.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from rung.moves.hotfunction import HotFunctionMove
from rung.steps.measure import CPU, Part
from rung.steps.measure.beside import Beside, Computing
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import Host, Topology, Worker
from rung.steps.twin.workload import Op, workload
from tests.strategies import HOME, ORDERS, Row, profile

LOOKS = (
    Computing(ORDERS, "shop.py:1", "shop.totals", 40),
    Computing(ORDERS, "shop.py:2", "shop.totals", 20),
    Computing(ORDERS, "shop.py:9", "json.dumps", 15),
    Computing(ORDERS, "", "shop.rest", 25),
    Computing(HOME, "", "shop.page", 1000),
)
PROFILE = replace(profile([Row(0.0, 1.0, route=ORDERS), Row(1.0, 1.0, route=HOME)]), beside=Beside(computing=LOOKS))
TOPOLOGY = Topology((Host("h", 1.0),), (Worker(0),))
STEPS = [(Op.COMPUTE, 0, 0.5, 0), (Op.DELAY, 1, 0.3, 0), (Op.COMPUTE, 2, 0.2, 0)]
PARTS = [CPU, Part("external", "http"), Part("cpu", "serialise")]
TRAFFIC = workload(
    routes=[ORDERS, HOME], parts=PARTS, route=[0, 1], worker=[0, 0], due_s=[0.0, 5.0], steps=[STEPS, STEPS]
)


def test_its_share_of_the_looks_is_its_share_of_the_computing() -> None:
    """
    60 of 100 looks: of 0.7 s, 0.42 go, or half of that.
    """
    variants = {each.name: each for each in HotFunctionMove().variants(PROFILE, TRAFFIC, TOPOLOGY, ORDERS)}

    half, gone = variants["hotfunction:shop.totals(half)"], variants["hotfunction:shop.totals(gone)"]
    assert ["shop.totals", "shop.rest"] == list(dict.fromkeys(name.split(":")[1].split("(")[0] for name in variants))
    assert [0.79, 1.0] == pytest.approx(simulate(*half.model(TRAFFIC, TOPOLOGY)).latency_s.tolist())
    assert [0.58, 1.0] == pytest.approx(simulate(*gone.model(TRAFFIC, TOPOLOGY)).latency_s.tolist())
    ends_s = [simulate(*end(TRAFFIC, TOPOLOGY)).latency_s[0] for end in gone.bounds]
    assert ends_s[0] < 0.58 < ends_s[1]
    assert ends_s[1] - ends_s[0] == pytest.approx(0.7 * 2 * 1.2816 * 0.049, rel=0.01), "√(0.6 · 0.4 / 100) = 0.049"
    assert not half.why_not_yet


def test_what_no_change_can_beat_is_told_as_a_limit_and_never_offered() -> None:
    """
    It would reach any goal, and nobody can call a function that is needed no more.
    """
    gone = [each for each in HotFunctionMove().variants(PROFILE, TRAFFIC, TOPOLOGY, ORDERS) if "(gone)" in each.name]

    assert len(gone) == 2
    assert {"a limit and no move: no change of it can bring more"} == {each.why_not_yet for each in gone}


def test_few_looks_tell_nothing() -> None:
    few = replace(PROFILE, beside=Beside(computing=(Computing(ORDERS, "", "shop.totals", 19),)))

    assert () == HotFunctionMove().variants(few, TRAFFIC, TOPOLOGY, ORDERS)


def test_where_little_is_computed_no_function_is_hot() -> None:
    waiting = [(Op.COMPUTE, 0, 0.01, 0), (Op.DELAY, 1, 0.99, 0)]
    traffic = workload(routes=[ORDERS], parts=PARTS, route=[0], worker=[0], due_s=[0.0], steps=[waiting])

    for variant in HotFunctionMove().variants(PROFILE, traffic, TOPOLOGY, ORDERS):
        assert f"computing is 1 % of what {ORDERS} takes" == variant.why_not_yet
