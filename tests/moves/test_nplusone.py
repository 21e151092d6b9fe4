"""
What was asked one by one takes one round trip and one execution, that costs something for each further row.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.moves.nplusone import NPlusOneMove, joined
from rung.steps.measure import CPU, Part
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import Host, Topology, Worker
from rung.steps.twin.workload import Op, Workload, workload
from tests.strategies import FAST, HOME, ORDERS, Row, Segment, profile

QUERY, OTHER_QUERY, UNKNOWN = Part("query", FAST), Part("query", "0ther"), Part("query", "unknown")
PROFILE = profile([Row(0.0, 1.0, route=ORDERS), Row(1.0, 1.0, route=HOME)])
TOPOLOGY = Topology((Host("h", 1.0), Host("db", 1.0)), (Worker(0),), (1,))
TRIP = (Op.DELAY, 1, 0.05, 0)


def asking(*services_s: list[float], part: int = 1) -> Workload:
    return workload(
        routes=[ORDERS, HOME],
        parts=[CPU, QUERY, UNKNOWN],
        route=[number % 2 for number in range(len(services_s))],
        worker=[0] * len(services_s),
        due_s=[10.0 * number for number in range(len(services_s))],
        steps=[
            [step for each_s in each for step in (TRIP, (Op.EXECUTE, part, each_s, 0), (Op.COMPUTE, 0, 0.01, 0))]
            for each in services_s
        ],
    )


def test_many_executions_become_one() -> None:
    """
    By hand: one trip, 0.3 of the first, 3 × a fifth of 0.1 (the cheapest tenth) for the rest, the app's 0.01 after the
    last, and of the three before it a fifth.
    """
    traffic = asking([0.3, 0.2, 0.2, 0.1], [0.1, 0.1, 0.1, 0.1])

    (variant,) = NPlusOneMove().variants(PROFILE, traffic, TOPOLOGY, ORDERS)
    outcome = simulate(*variant.model(traffic, TOPOLOGY))

    assert f"nplusone:{FAST}" == variant.name
    assert f"ask once instead of 4 times for [{FAST[:8]}]" == variant.what
    assert "hand" == variant.taken_as
    assert [0.05 + 0.3 + 0.06 + 0.016, 4 * (0.05 + 0.1 + 0.01)] == pytest.approx(outcome.latency_s.tolist())


def test_what_a_further_row_costs_is_open_from_nothing_to_a_half() -> None:
    """
    By hand: at the good end only the first execution and the computing after the last are left, at the bad end a half.
    """
    traffic = asking([0.3, 0.2, 0.2, 0.1])
    (variant,) = NPlusOneMove().variants(PROFILE, traffic, TOPOLOGY, ORDERS)
    good_s, bad_s = (simulate(*model(traffic, TOPOLOGY)).latency_s[0] for model in variant.bounds)

    assert (0.05 + 0.3 + 0.01, 0.05 + 0.3 + 0.15 + 0.025) == pytest.approx((good_s, bad_s))


def test_the_line_that_asks_is_named() -> None:
    """
    The one that asks most often, of the route's own.
    """
    asks = [Segment("query", number * 0.1, 0.1, FAST, code="a.py:1" if number else "a.py:9") for number in range(4)]
    elsewhere = [Segment("query", 0.0, 0.1, FAST, calls=50, code="b.py:2")]
    recorded = profile([Row(0.0, 1.0, tuple(asks), ORDERS), Row(1.0, 1.0, tuple(elsewhere), HOME)])
    (variant,) = NPlusOneMove().variants(recorded, asking([0.3, 0.2, 0.2, 0.1]), TOPOLOGY, ORDERS)

    assert variant.what.endswith(", at a.py:1")


@pytest.mark.parametrize(
    ("traffic", "why"),
    [
        (asking([0.1] * 3), "three are rather different questions"),
        (asking([0.1], [0.1] * 9), "another route repeats it"),
        (asking([0.1] * 9, part=2), "what is not known to read may write"),
    ],
)
def test_what_is_not_repeated_is_not_offered(traffic: Workload, why: str) -> None:
    assert () == NPlusOneMove().variants(PROFILE, traffic, TOPOLOGY, ORDERS), why


@given(st.lists(st.lists(st.floats(0.001, 1.0), max_size=8), min_size=1, max_size=6))
def test_asking_once_never_takes_longer(services_s: list[list[float]]) -> None:
    traffic = asking(*services_s)
    edited, _ = joined(QUERY, ORDERS)(traffic, TOPOLOGY)

    def spent_s(each: Workload) -> np.ndarray:
        return np.bincount(each.request, weights=each.service_s, minlength=len(each))

    assert (spent_s(edited) <= spent_s(traffic) + 1e-9).all()
    executions = np.bincount(edited.request[edited.op == Op.EXECUTE], minlength=len(edited))
    of_route = edited.route == 0
    assert (executions[of_route] == [min(len(each), 1) for each in services_s[::2]]).all()
