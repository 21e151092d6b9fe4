"""
Move: drop an index that nobody uses, or that another one makes needless.

In        a Finding whose bottleneck is a statement, the catalog of the tables that were recorded
Out       an offer for each index that could go, the largest first: the space, and what writing gains
Not here  which could go and why (steps/advise), dropping it (adapters/hands.py)
"""

from __future__ import annotations

from rung.moves.index import in_turn, slower
from rung.moves.weighing import weighed
from rung.ports import Step
from rung.steps.advise import Dropped
from rung.steps.advise.drops import REDUNDANT, drops
from rung.steps.advise.gather import gather
from rung.steps.advise.writes import Upkeep
from rung.steps.find.finding import Finding
from rung.steps.measure import Part, Profile
from rung.steps.price.quote import HAND, MIGRATION, DropIndex, Offer
from rung.steps.twin.twin import Twin
from rung.units import show_bytes, show_count, show_seconds

DROPS_MAX = 3


class IndexDropMove:
    """
    Offer to drop the largest indexes that could go.
    """

    kind = "index-drop"
    rung = 1

    def offers(self, profile: Profile, twin: Twin, finding: Finding) -> Step[tuple[Offer, ...]]:
        """
        Return the drops, nothing where the database does not hold the app back.
        """
        suspect = finding.bottleneck
        if suspect is None or finding.plan is None or not suspect.statement:
            return ()
        statements, parts = weighed(profile, twin.workload, suspect.part, suspect.route, twin.rate_per_s)
        gathered = yield from gather(statements)
        found = yield from drops(gathered, Upkeep(gathered.writings, gathered.tables))
        return tuple(_offer(each, parts) for each in found[:DROPS_MAX])


def _offer(dropped: Dropped, parts: tuple[Part, ...]) -> Offer:
    quicker = [each for each in dropped.slowed if each.statement < len(parts)]
    saved_s = max((-each.execution.seconds for each in quicker), default=0.0)
    if dropped.why == REDUNDANT:
        why = f"{dropped.beside} begins with the same columns and serves the same lookups"
    else:
        why = (
            f"the server has not scanned it in {show_seconds(dropped.watched_s)}; a standby counts its own scans, "
            "and what runs more rarely is not seen"
        )
    return Offer(
        name=f"index-drop:{dropped.name}",
        rung=IndexDropMove.rung,
        what=f"drop index {dropped.name} of {dropped.table}, which is {dropped.why}",
        cost=f"frees {show_bytes(dropped.size_bytes)}",
        assumptions=(
            why,
            "no recorded statement's plan gets dearer without it",
            f"{show_count(len(quicker))} recorded statements that write take up to {show_seconds(saved_s)} less, by "
            "what an index entry takes"
            if quicker
            else "no recorded statement writes to it",
        ),
        model=in_turn([slower(parts[each.statement], each.execution.seconds) for each in quicker]),
        drop=DropIndex(dropped.schema, dropped.table, dropped.name, dropped.definition, dropped.size_bytes)
        if dropped.definition
        else None,
        taken_as=MIGRATION if dropped.definition else HAND,
    )
