"""
Every simulated move can be offered on a real profile's twin, under a name of its kind.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rung.moves.background import BackgroundMove
from rung.moves.cache import CacheMove
from rung.moves.hotfunction import HotFunctionMove
from rung.moves.instance import InstanceMove
from rung.moves.keepopen import KeepOpenMove
from rung.moves.nplusone import NPlusOneMove
from rung.moves.offering import Offering, Simulated
from rung.moves.pool import PoolMove
from rung.moves.workers import ThreadsMove, WorkersMove
from rung.ports import Question, Rows
from rung.steps.find.finding import Finding
from rung.steps.measure import Profile
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Twin
from rung.steps.twin.variant import Variant
from rung.steps.twin.workload import Workload
from tests.strategies import HOME, ORDERS, answered, found, profile, shop

MOVES: tuple[Simulated, ...] = (
    NPlusOneMove(), CacheMove(), BackgroundMove(), PoolMove(), KeepOpenMove(), WorkersMove(), ThreadsMove(),
    HotFunctionMove(), InstanceMove(),
)  # fmt: skip
ROWS = shop(count=200, mail_s=0.05)


def no_reads(question: Question) -> dict[str, np.ndarray]:
    assert isinstance(question, Rows)
    names = ("request", "seam", "name", "key", "known", "result", "at_s", "depth", "route")
    return {name: np.array([]) for name in names}


@pytest.fixture(scope="module")
def twin() -> Twin:
    return Twin(profile(ROWS))


@pytest.fixture(scope="module")
def finding() -> Finding:
    return found(ROWS)


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.kind)
def test_each_variant_can_be_run(move: Simulated, twin: Twin, finding: Finding) -> None:
    assert finding.route == ORDERS
    offers = answered(Offering(move).offers(twin.profile, twin, finding), no_reads)

    for offer in offers:
        assert offer.name.partition(":")[0] == move.kind
        assert offer.rung == move.rung
        assert offer.what
        assert offer.assumptions
        assert np.isfinite(twin.run(offer.model).latency_s).all()
    names = [offer.name for offer in offers]
    assert len(set(names)) == len(names)


def test_the_mail_in_the_transaction_is_worth_most(twin: Twin, finding: Finding) -> None:
    """
    It holds the only connection: after the answer, and given back, nobody waits for it.
    """
    offers = answered(Offering(BackgroundMove()).offers(twin.profile, twin, finding), no_reads)

    now_s = twin.number(twin.base, ORDERS, 95)
    for offer in offers:
        assert not offer.not_yet
        assert twin.number(twin.run(offer.model), ORDERS, 95) < now_s - 0.05


class Noting:
    """
    A move that only notes of which route its variants are to be.
    """

    kind, rung = "noting", 4

    def __init__(self) -> None:
        self.routes: list[str] = []

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        self.routes.append(goal_route)
        return ()


def test_what_changes_work_is_offered_where_the_bottleneck_is(twin: Twin, finding: Finding) -> None:
    """
    One route computes while another one, which the goal's number is of, waits: the function is the first one's, the
    workers that are waited for are the second one's.
    """
    assert finding.bottleneck is not None
    elsewhere = replace(finding, bottleneck=replace(finding.bottleneck, route=HOME))
    move = Noting()
    for at_bottleneck in (True, False):
        answered(Offering(move, at_bottleneck=at_bottleneck).offers(twin.profile, twin, elsewhere), no_reads)

    assert move.routes == [HOME, ORDERS]
