"""
Offer the variants of a move to be priced.

In        a move that says what it makes of the recorded traffic
Out       a Move as price/ knows it
Not here  the moves themselves, one file each

Moves know a workload and a topology and nothing of prices, so that each can be tried by itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from rung.moves.cache import CacheMove
from rung.moves.nplusone import NPlusOneMove
from rung.ports import Step
from rung.steps.find.finding import Finding
from rung.steps.find.foreign import unseen_words
from rung.steps.measure import Profile
from rung.steps.price.quote import Offer
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Twin
from rung.steps.twin.variant import Variant
from rung.steps.twin.workload import Workload


class Simulated(Protocol):
    """
    A move that is priced by simulation alone.
    """

    kind: str
    rung: int

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        """
        Return the ways of taking it, each also where it is not worth taking yet.
        """


class Offering:
    """
    A Move out of the variants of one.

    Args:
        at_bottleneck: Whether it changes what the bottleneck's route does; else what the goal's route waits for.  They
            differ where one route computes, or holds connections, while others wait.
    """

    def __init__(self, move: Simulated, *, at_bottleneck: bool = False) -> None:
        self.kind, self.rung = move.kind, move.rung
        self._move, self._at_bottleneck = move, at_bottleneck

    def offers(self, profile: Profile, twin: Twin, finding: Finding) -> Step[tuple[Offer, ...]]:
        """
        Return each variant as an offer; the recording is asked for what the profile does not have.
        """
        suspect = finding.bottleneck
        route = suspect.route if suspect is not None and self._at_bottleneck else finding.route
        move = self._move
        if isinstance(move, CacheMove):
            move = yield from move.asked()
        elif isinstance(move, NPlusOneMove):
            move = yield from move.asked(route)
        offers = tuple(_offer(each) for each in move.variants(profile, twin.workload, twin.topology, route))
        unseen = unseen_words(self.kind) if profile.facts.foreign is not None else ""
        # What they give as a reason not to take it would be that nobody was seen to wait.
        return tuple(replace(each, unpriced=unseen, not_yet="") for each in offers[:1]) if unseen else offers


def _offer(variant: Variant) -> Offer:
    return Offer(
        name=variant.name,
        rung=variant.rung,
        what=variant.what,
        cost=variant.cost,
        assumptions=variant.assumptions,
        model=variant.model,
        bounds=variant.bounds,
        setting=variant.setting,
        patch=variant.patch,
        taken_as=variant.taken_as,
        not_yet=variant.why_not_yet,
    )
