"""
What a price is: a prediction in the goal's own unit, its cost, its assumptions, and the plan behind it.

In        nothing
Out       the values Offer and Quote, and the Protocol that every move fulfils
Not here  the moves themselves (moves/), how a price is worked out (edit.py)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rung.ports import Index, Step
from rung.steps.find.finding import Finding, Interval
from rung.steps.measure import Floats, Part, Profile

REACHES, NOT_ENOUGH, NOT_YET, MISSED = "reaches the goal", "not enough", "not yet", "goal missed"


@dataclass(frozen=True, slots=True, eq=False)
class Replacement:
    """
    The edit that a move makes to recorded requests: one part's time becomes another.

    Attributes:
        part: Whose executions are replaced.
        likeness_s: Recorded times of executions that cost the planner about as much as the new one will.
        surplus_s: Low, middle and high of what the new one costs beyond them, seconds.
    """

    part: Part
    likeness_s: Floats
    surplus_s: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class BuildIndex:
    """
    The plan of an index move: what would be built, under which name, and how large it would be.
    """

    index: Index
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """
    What a move proposes before it has a price.
    """

    name: str
    rung: int
    what: str
    cost: str
    assumptions: tuple[str, ...]
    replacement: Replacement
    plan: BuildIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """
    A move's price.

    Attributes:
        name: Stable; any unambiguous beginning of it will do on the command line.
        rung: Its place on the ladder, 0 for doing nothing.
        route: The route that the prediction is of.
        percentile: Of which latency.
        now: The recorded number.
        predicted: None where no number can be given; `verdict` and `reason` then say why.
        plan: Exactly what would be run; None for doing nothing.
    """

    name: str
    rung: int
    what: str
    route: str
    percentile: int
    now: Interval
    predicted: Interval | None = None
    cost: str
    verdict: str
    reason: str
    assumptions: tuple[str, ...]
    plan: BuildIndex | None = None

    @property
    def ratio(self) -> Interval | None:
        """
        Return the prediction as a share of the recorded number.
        """
        if self.predicted is None or not self.now.value:
            return None
        now_s = self.now.value
        return Interval(self.predicted.value / now_s, self.predicted.low / now_s, self.predicted.high / now_s)


class Move(Protocol):
    """
    One way up.  A move is a file in moves/ and a page in docs/moves/.

    Attributes:
        kind: The first word of its quotes' names, e.g. "index".
        rung: Its place on the ladder.
    """

    kind: str
    rung: int

    def offers(self, profile: Profile, finding: Finding) -> Step[tuple[Offer, ...]]:
        """
        Return what this move proposes against the finding, best first; nothing when it does not fit.
        """
