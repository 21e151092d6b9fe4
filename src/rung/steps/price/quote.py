"""
What a price is: a prediction in the goal's own unit, its cost, its assumptions, and the plan behind it.

In        nothing
Out       the values Offer, Quote and Record, and the Protocol that every move fulfils
Not here  the moves themselves (moves/), how a price is worked out (predict.py)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rung.ports import Index, Step
from rung.steps.find.finding import Finding, Interval
from rung.steps.measure import Profile
from rung.steps.twin.twin import Model, Twin
from rung.steps.twin.variant import Patch, Setting

REACHES, NOT_ENOUGH, NOT_YET, MISSED = "reaches the goal", "not enough", "not yet", "goal missed"
NO_PRICE = "no price"
MIGRATION, SETTING, PATCH, HAND = "migration", "setting", "patch", "hand"


@dataclass(frozen=True, slots=True)
class BuildIndex:
    """
    The plan of an index move: what would be built, under which name, and how large it would be.

    Attributes:
        partitioned: Whether the table is, so that each partition is given one of its own.
        build_s: How long building it takes, roughly; 0 where that was not worked out.
        build_wal_bytes: What that writes to the log, likewise.
    """

    index: Index
    name: str
    size_bytes: int
    partitioned: bool = False
    build_s: float = 0.0
    build_wal_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DropIndex:
    """
    The plan of dropping an index: which, and the definition (pg_get_indexdef) that brings it back.

    Attributes:
        partitioned: Whether it is the index of a partitioned table, which goes with those of its partitions.
    """

    schema: str
    table: str
    name: str
    definition: str
    size_bytes: int
    partitioned: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """
    A plan that is statements, each run by itself and outside a transaction, and those that take them back.
    """

    statements: tuple[str, ...]
    undo: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Offer:
    """
    What a move proposes before it has a price.

    Attributes:
        model: What it makes of the recorded traffic.
        bounds: The same at the good and at the bad end of what is not known of it; empty where nothing is open.
        plan: The index that would be built; None where none is.
        beside: Further indexes that would be built with it.
        drop: The index that would be dropped; None where none is.
        script: Other statements that would be run, likewise.
        setting: What would be set, None where it is no setting or its value is not known.
        patch: What would be changed in the user's code, None where that is nothing or not known.
        taken_as: How it is taken: "migration", "setting", "patch", or "hand" where rung has no hands for it yet.
        not_yet: Why it is not worth a price, with the number that says so; "" where it is.
        unpriced: Why what it makes of the traffic cannot be told; "" where it can.
    """

    name: str
    rung: int
    what: str
    cost: str
    assumptions: tuple[str, ...]
    model: Model
    bounds: tuple[Model, ...] = ()
    plan: BuildIndex | None = None
    beside: tuple[BuildIndex, ...] = ()
    drop: DropIndex | None = None
    script: Script | None = None
    setting: Setting | None = None
    patch: Patch | None = None
    taken_as: str = HAND
    not_yet: str = ""
    unpriced: str = ""


@dataclass(frozen=True, slots=True)
class RoutePrice:
    """
    What a move would make of one route: percentiles of its latency, seconds, now and then.
    """

    route: str
    now_s: tuple[float, float, float]
    then_s: tuple[float, float, float]


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
        plan: The index that would be built; None where none is.
        beside: Further indexes that would be built with it.
        drop: The index that would be dropped; None where none is.
        script: Other statements that would be run, likewise.
        setting: What would be set, None where it is no setting or its value is not known.
        patch: What would be changed in the user's code, None where that is nothing or not known.
        taken_as: "migration", "setting", "patch", or "hand" where rung has no hands for it yet; "" for doing nothing.
        gains: Whether the goal's number falls, with whatever traffic the bottleneck was found at.
        sure: Whether the whole range of the prediction is below the recorded number; taken for granted where the
            bottleneck was found with more traffic than was recorded, for which there is no range.
        relieves: Of a move without a price, what share of the route's recorded work goes away with it.
        routes: p50, p95 and p99 of each route that the goal judges.
        bears_per_s: Requests a second at which something is full then, and what that is.
        fullest: See above.
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
    beside: tuple[BuildIndex, ...] = ()
    drop: DropIndex | None = None
    script: Script | None = None
    setting: Setting | None = None
    patch: Patch | None = None
    taken_as: str = ""
    gains: bool = True
    sure: bool = True
    relieves: float = 0.0
    routes: tuple[RoutePrice, ...] = ()
    bears_per_s: float | None = None
    fullest: str = ""

    @property
    def kind(self) -> str:
        """
        The kind of move: the first word of its name.
        """
        return self.name.partition(":")[0]

    @property
    def takeable(self) -> bool:
        """
        Whether rung can write it down as a change.
        """
        return self.runnable or self.setting is not None or self.patch is not None

    @property
    def runnable(self) -> bool:
        """
        Whether rung can carry it out itself.
        """
        return self.plan is not None or self.drop is not None or self.script is not None

    @property
    def builds(self) -> tuple[BuildIndex, ...]:
        """
        The indexes that would be built.
        """
        return () if self.plan is None else (self.plan, *self.beside)

    @property
    def lasting(self) -> bool:
        """
        Whether it leaves something behind that can be taken back; fresh statistics do not.
        """
        return self.script is None or bool(self.script.undo)

    @property
    def table(self) -> str:
        """
        The table whose index is built or dropped, "" where there is none.
        """
        if self.plan is not None:
            return self.plan.index.table
        return self.drop.table if self.drop is not None else ""

    @property
    def ratio(self) -> Interval | None:
        """
        Return the prediction as a share of the recorded number.
        """
        if self.predicted is None or not self.now.value:
            return None
        now_s = self.now.value
        return Interval(self.predicted.value / now_s, self.predicted.low / now_s, self.predicted.high / now_s)


@dataclass(frozen=True, slots=True)
class Record:
    """
    How good the prices of one kind of move have been, over those that were confirmed.

    Attributes:
        kind: The first word of their names.
        confirmed: How many there are.
        error: Predicted over measured: the median, and the quartiles.
        missed: Root mean square of its logarithm.
        held: How many were measured within the interval of their price.
        coverage: What share that is, with its binomial interval of 95 %.
    """

    kind: str
    confirmed: int
    error: Interval
    missed: float
    held: int
    coverage: Interval


def kind_of(name: str) -> str:
    """
    Return the kind of move that a quote's name is of.

    >>> kind_of("index:orders(customer_id)")
    'index'
    """
    return name.split(":", maxsplit=1)[0]


class Move(Protocol):
    """
    One way up.  A move is a file in moves/ and a page in docs/moves/.

    Attributes:
        kind: The first word of its quotes' names, e.g. "index".
        rung: Its place on the ladder.
    """

    kind: str
    rung: int

    def offers(self, profile: Profile, twin: Twin, finding: Finding) -> Step[tuple[Offer, ...]]:
        """
        Return what this move proposes against the finding, best first; nothing when it does not fit.
        """
