"""
What was asked one by one takes one round trip and one execution, that costs something for each further row.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.moves.eager import Remedy
from rung.moves.nplusone import NPlusOneMove, joined
from rung.ports import Question, Rows, Source, Unavailable
from rung.steps.find.repeats import WRITES, Repeat
from rung.steps.measure import CPU, Part
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import Host, Topology, Worker
from rung.steps.twin.variant import Patch
from rung.steps.twin.workload import Op, Workload, workload
from tests.strategies import FAST, HOME, ORDERS, Row, answered, profile

QUERY, OTHER_QUERY = Part("query", FAST), Part("query", "0ther")
PROFILE = profile([Row(0.0, 1.0, route=ORDERS), Row(1.0, 1.0, route=HOME)])
TOPOLOGY = Topology((Host("h", 1.0), Host("db", 1.0)), (Worker(0),), (1,))
TRIP = (Op.DELAY, 1, 0.05, 0)


def repeat(**changed: object) -> Repeat:
    """
    Return a statement that requests of ORDERS ask one by one.
    """
    told: dict[str, object] = {
        "route": ORDERS, "statement": FAST, "text": "SELECT 1 FROM line WHERE id = $1", "kind": "read", "database": "d",
        "code": "", "calls": 4, "requests": 9, "spent_s": 1.0, "source": "", "source_code": "", "source_rows": 0,
        "one_for_each": False, "why_not": "",
    }  # fmt: skip
    return Repeat(**{**told, **changed})  # type: ignore[arg-type]


MOVE = NPlusOneMove((repeat(),))


def asking(*services_s: list[float], part: int = 1) -> Workload:
    return workload(
        routes=[ORDERS, HOME],
        parts=[CPU, QUERY, OTHER_QUERY],
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

    (variant,) = MOVE.variants(PROFILE, traffic, TOPOLOGY, ORDERS)
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
    (variant,) = MOVE.variants(PROFILE, traffic, TOPOLOGY, ORDERS)
    good_s, bad_s = (simulate(*model(traffic, TOPOLOGY)).latency_s[0] for model in variant.bounds)

    assert (0.05 + 0.3 + 0.01, 0.05 + 0.3 + 0.15 + 0.025) == pytest.approx((good_s, bad_s))


def test_the_line_that_asks_is_named() -> None:
    move = NPlusOneMove((repeat(code="a.py:1"),), {FAST: Remedy("in words")})
    (variant,) = move.variants(PROFILE, asking([0.3, 0.2, 0.2, 0.1]), TOPOLOGY, ORDERS)

    assert variant.what.endswith(", at a.py:1")
    assert (None, "hand") == (variant.patch, variant.taken_as)


def test_a_remedy_that_is_a_patch_is_taken_as_one() -> None:
    patch = Patch("a.py", "--- a/a.py")
    move = NPlusOneMove((repeat(code="a.py:1"),), {FAST: Remedy(".only() at a.py:0", patch)})
    (variant,) = move.variants(PROFILE, asking([0.3, 0.2, 0.2, 0.1]), TOPOLOGY, ORDERS)

    assert variant.what.endswith(", at a.py:1: .only() at a.py:0")
    assert (patch, "patch") == (variant.patch, variant.taken_as)


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (repeat(why_not=WRITES, kind="write"), "it writes"),
        (repeat(route=HOME), "another route repeats it"),
        (repeat(statement="else"), "the simulated traffic has none of it"),
    ],
)
def test_what_is_not_asked_one_by_one_is_not_offered(known: Repeat, why: str) -> None:
    assert () == NPlusOneMove((known,)).variants(PROFILE, asking([0.1] * 9), TOPOLOGY, ORDERS), why


def test_the_recording_is_asked_for_what_repeats_and_the_repository_for_the_lines() -> None:
    """
    Only of the route in question, and only where both lines are known.
    """
    both = {"code": "a.py:1", "source_code": "a.py:2"}
    told = [repeat(**both), repeat(statement="else"), repeat(route=HOME, code="b.py:1", source_code="b.py:2")]
    names = [name for name in Repeat.__slots__ if name not in {"one_for_each", "why_not"}]
    rows = {name: np.array([getattr(each, name) for each in told], dtype=object) for name in names}
    rows |= {name: np.array([0] * len(told)) for name in ("one_for_each", "digested", "same", "asking")}
    asked: list[Question] = []

    def answer(question: Question) -> object:
        asked.append(question)
        return rows if isinstance(question, Rows) else Unavailable("it is not there")

    move: NPlusOneMove = answered(NPlusOneMove().asked(ORDERS), answer)

    assert [Source("a.py")] == asked[1:]
    assert {FAST, "else"} == set(move.remedies)
    assert [ORDERS, ORDERS, HOME] == [each.route for each in move.repeats]


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
