"""
Off the request path the call elsewhere is waited for by nobody, and what then does it has a price of its own.
"""

from __future__ import annotations

import pytest

from rung.moves.background import ENQUEUE_S, WORK_S, BackgroundMove
from rung.steps.measure import CPU, Part
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import Host, Topology, Worker
from rung.steps.twin.variant import Variant
from rung.steps.twin.workload import Op, Workload, workload
from tests.strategies import HOME, ORDERS, Row, Segment, profile

MAIL, HTTP = Part("external", "mail"), Part("external", "http")
SEND, FETCH = (Op.DELAY, 1, 0.4, 0), (Op.DELAY, 2, 0.2, 0)
COMPUTE, ANSWER = (Op.COMPUTE, 0, 0.1, 0), (Op.ANSWER, 0, 0.0, 0)
PROFILE = profile(
    [
        Row(0.0, 0.9, (Segment("external", 0.0, 0.8, "mail"),), ORDERS),
        Row(1.0, 0.5, (Segment("external", 0.0, 0.001, "mail"),), HOME),
    ]
)
HOSTS = (Host("h", 1.0), Host("db", 1.0))
LOOPS, SYNC = Topology(HOSTS, (Worker(0),), (1,)), Topology(HOSTS, (Worker(0, slots=1),), (1,))


def sending(*steps: list[tuple[Op, int, float, int]], gap_s: float = 10.0) -> Workload:
    return workload(
        routes=[ORDERS, HOME],
        parts=[CPU, MAIL, HTTP],
        route=[0] * len(steps),
        worker=[0] * len(steps),
        due_s=[gap_s * number for number in range(len(steps))],
        steps=steps,
    )


def offered(traffic: Workload, topology: Topology = LOOPS) -> dict[str, Variant]:
    return {each.name: each for each in BackgroundMove().variants(PROFILE, traffic, topology, ORDERS)}


def test_mail_after_the_answer_is_waited_for_by_nobody() -> None:
    """
    Connecting and sending are two calls; both go, also where the recording does not tell the answer.
    """
    traffic = sending([COMPUTE, SEND, SEND, COMPUTE, ANSWER], [SEND, COMPUTE], [COMPUTE])
    variant = offered(traffic)["background:mail"]

    outcome = simulate(*variant.model(traffic, LOOPS))

    assert [0.2, 0.1, 0.1] == pytest.approx(outcome.latency_s.tolist())
    assert outcome.lasted_s == pytest.approx(20.1)
    assert not variant.why_not_yet
    assert variant.taken_as == "hand"


def test_a_sync_worker_stays_taken_until_the_mail_is_sent() -> None:
    """
    By hand: each takes 0.1 + 0.4 of the worker, the second comes after 0.2 and begins at 0.5.
    """
    traffic = sending([COMPUTE, SEND], [COMPUTE, SEND], gap_s=0.2)

    outcome = simulate(*offered(traffic)["background:mail"].model(traffic, SYNC))

    assert [0.1, 0.4] == pytest.approx(outcome.latency_s.tolist())


def test_a_job_frees_the_worker_and_costs_the_database() -> None:
    traffic = sending([COMPUTE, SEND, SEND], [COMPUTE, SEND, ANSWER], gap_s=0.2)

    outcome = simulate(*offered(traffic)["background:mail(job)"].model(traffic, SYNC))

    assert [0.1 + ENQUEUE_S] * 2 == pytest.approx(outcome.latency_s.tolist())
    edited, _ = offered(traffic)["background:mail(job)"].model(traffic, SYNC)
    assert 2 * (ENQUEUE_S + WORK_S) == pytest.approx(edited.service_s[edited.op == Op.EXECUTE].sum())
    assert 4 == outcome.use("cores", "db").visits


def test_without_a_database_a_job_is_only_gone() -> None:
    bare = Topology(HOSTS[:1], (Worker(0),))
    traffic = sending([COMPUTE, SEND])

    assert [0.1] == pytest.approx(
        simulate(*offered(traffic, bare)["background:mail(job)"].model(traffic, bare)).latency_s
    )


def test_what_the_response_may_use_is_priced_and_not_advised() -> None:
    variants = offered(sending([SEND, FETCH, COMPUTE]))

    assert ["background:mail", "background:mail(job)", "background:http", "background:http(job)"] == list(variants)
    assert "the response most likely uses" in variants["background:http"].why_not_yet


def test_calls_after_the_answer_are_no_longer_in_the_way() -> None:
    assert {} == offered(sending([COMPUTE, ANSWER, SEND]))


def test_a_call_that_takes_next_to_nothing_is_not_worth_it() -> None:
    (variant, _) = BackgroundMove().variants(
        PROFILE, workload(
            routes=[HOME], parts=[CPU, MAIL], route=[0], worker=[0], due_s=[0.0], steps=[[SEND]]
        ), LOOPS, HOME,
    )  # fmt: skip

    assert "calling elsewhere is 0.2 % of the time of GET /home" == variant.why_not_yet
