"""
What a move makes of the recorded app: one of its variants, ready to be priced.

In        nothing
Out       the value Variant
Not here  the moves themselves (moves/), what a variant is worth (price/)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rung.steps.twin.topology import Topology
from rung.steps.twin.workload import Workload

Model = Callable[[Workload, Topology], tuple[Workload, Topology]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Variant:
    """
    One way of taking a move.

    Attributes:
        name: Stable; it begins with the move's kind: "pool:20", "cache:GET /report(60s)".
        what: The same for people.
        cost: What it takes, in words; "–" for nothing.
        assumptions: Sentences that have to be true for the price to be.
        model: What it makes of the recorded traffic and of what that runs on.
        bounds: The same at the good and at the bad end of what is not known of it; empty where nothing is open.
        taken_as: "setting" where rung takes it as one, "" where its hands are not built yet.
        why_not_yet: Why it is not worth taking now, with the number that says so; "" where it may be.
    """

    name: str
    rung: int
    what: str
    cost: str
    assumptions: tuple[str, ...]
    taken_as: str
    model: Model
    bounds: tuple[Model, ...] = ()
    why_not_yet: str = ""


def unchanged(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
    """
    Return both as they are: the model of a variant that has nothing to change.
    """
    return workload, topology
