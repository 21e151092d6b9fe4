"""
What is asked of the index advisor, and what it answers.

In        nothing
Out       the values Weighted, Advice and what they are made of
Not here  how any of it is worked out
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

from rung.ports import Index
from rung.steps.advise.entries import NOTHING_ADDED, Added


@dataclass(frozen=True, slots=True)
class Weighted:
    """
    A statement of the workload and how much it weighs.

    Attributes:
        statement: Normalised, with $n for every value; or with values of its own, which plans then hold.
        executions_per_s: How often it is executed.
        time_s: What an execution takes the database today; None where that is not known: its planner's cost stands
            for it.
        weight: How much a second of it counts; what writing takes longer always counts in full.
    """

    statement: str
    executions_per_s: float
    time_s: float | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Advised:
    """
    One index of the advice.

    Attributes:
        gain_s: Weighted seconds a second that it saves beside the others, what it costs writes taken off.
        upkeep: What writing takes more a second for it, if it were the only one.
        build: What building it takes.
        serves: Positions of the statements that are cheaper with it beside the others; behind the workload's own those
            that PostgreSQL executes for their sake.
    """

    index: Index
    size_bytes: int
    gain_s: float
    upkeep: Added
    build: Added
    serves: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slowed:
    """
    What indexes cost a statement that writes, or one that they would make quicker to write.

    Attributes:
        operation: "Insert", "Update" or "Merge".
        execution: What one execution takes more; negative where indexes are dropped.
    """

    statement: int
    operation: str
    execution: Added


@dataclass(frozen=True, slots=True)
class Considered:
    """
    An index that the planner was asked about.

    Attributes:
        refused: Why it could not be made, "" where it could.
        share: What is left of the weighted time of the whole workload with it alone, 1.0 where it changes nothing.
    """

    index: Index
    size_bytes: int
    refused: str
    share: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """
    An existing index that could go.

    Attributes:
        why: "unused", or "redundant" beside the index *beside*.
        upkeep: What it costs writing now, a second.
        definition: What builds it again, "" where that is not known.
        scans: How often it was scanned while the server counted.
        watched_s: For how long that was, at least.
    """

    schema: str
    table: str
    name: str
    index: Index
    size_bytes: int
    why: str
    beside: str
    upkeep: Added
    slowed: tuple[Slowed, ...]
    scans: int
    watched_s: float
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """
    The indexes to build, and what would come of them.  Tuples by statement are in the order of the workload.

    Attributes:
        indexes: The most gaining first.
        before: The planner's cost of each statement as things are, None where it has no plan.
        after: The same with all of *indexes*.
        slowed: Statements that write, with all of *indexes*.
        upkeep: What writing takes more a second with all of *indexes*.
        now_s: Weighted seconds a second of the whole workload as things are.
        then_s: The same with all of *indexes*, what writing takes longer included.
        considered: What the planner was asked about, in that order.
        unplanned: Why a statement has no plan, "" where it has one.
        asked: How many costs of a statement under a configuration were asked for.
        unavailable: Why the planner did not answer at all, "" where it did.
    """

    indexes: tuple[Advised, ...]
    before: tuple[float | None, ...]
    after: tuple[float | None, ...]
    slowed: tuple[Slowed, ...]
    now_s: float
    then_s: float
    considered: tuple[Considered, ...]
    unplanned: tuple[str, ...]
    asked: int = 0
    unavailable: str = ""
    upkeep: Added = NOTHING_ADDED

    @property
    def size_bytes(self) -> int:
        """
        What the indexes take on disk together.
        """
        return sum(advised.size_bytes for advised in self.indexes)

    @property
    def build(self) -> Added:
        """
        What building them takes, one after the other.
        """
        return reduce(Added.plus, (advised.build for advised in self.indexes), NOTHING_ADDED)

    def slower(self, speed: float) -> Advice:
        """
        Return the same for a server on which writing and building take *speed* times as long as is taken here.
        """
        return replace(
            self,
            indexes=tuple(
                replace(each, upkeep=each.upkeep.slower(speed), build=each.build.slower(speed)) for each in self.indexes
            ),
            slowed=tuple(replace(each, execution=each.execution.slower(speed)) for each in self.slowed),
            upkeep=self.upkeep.slower(speed),
        )
