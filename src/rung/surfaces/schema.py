"""
The JSON of the commands of the loop: one schema, the same value in the same shape wherever it appears.

In        nothing
Out       classes, from which docs/reference/json.md is generated, with those of shapes.py
Not here  putting values into them (document.py)

Times end in `_s` and are seconds, shares are fractions of one, absent things are null.
"""

from __future__ import annotations

from typing import Any, TypedDict

from rung.surfaces import plan_shapes, recorded, shapes, trace_shapes
from rung.surfaces.recorded import RecordingShape, RouteShape
from rung.surfaces.shapes import Document


class GoalShape(TypedDict):
    """
    The goal, and its number: the percentile of the route furthest above it. `headroom` is what the goal asks.
    """

    percentile: int
    target_s: float
    route: str
    now_s: float
    headroom: float


class PercentilesShape(TypedDict):
    """Percentiles of one route's latency."""

    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


class MissShape(TypedDict):
    """By what share the simulated percentiles of a route miss the recorded ones; 0.02 is 2 % too high."""

    route: str
    p50: float | None
    p95: float | None
    p99: float | None


class SimulatedShape(TypedDict):
    """
    What the twin says: `residual` is by what share it misses the goal's number of its own recording (above 0.15 not
    `trusted`: then no move has a price; above 0.5 it does not name the bottleneck either), `misses` the same for each
    route that the goal judges. The bottleneck was looked for with `speed` times the traffic, where the goal's number
    is `at_speed_s`. The goal holds up to `headroom` times the traffic (null where it was not asked), then
    `breaks_first` breaks; at `bears_per_s` requests a second `fullest` is full. `notes` are what it took for granted.
    """

    residual: float | None
    trusted: bool
    speed: float
    at_speed_s: float
    headroom: float | None
    breaks_first: str
    bears_per_s: float | None
    fullest: str
    misses: list[MissShape]
    notes: list[str]


class SuspectShape(TypedDict):
    """
    What requests spend time on. `name` is the statement's fingerprint for a query; `gain_s` is what the goal's
    number would lose without it; `stability` the share of resamples in which it gains most;
    `bears_per_s`, under overload, by which it is chosen then, the requests a second that would be borne without it.
    """

    seam: str
    name: str
    route: str
    statement: str | None
    code: str | None
    gain_s: float
    stability: float
    bears_per_s: float | None


class RunnerUpShape(SuspectShape):
    """The second, and why it is not the bottleneck."""

    why_not: str


class PredictedShape(TypedDict):
    """
    The predicted percentile of the goal's route, with the range that it keeps to in 80 % of cases: which requests
    happened to come, what the twin misses, and what is not known of the move are all in it.
    """

    p95_s: float
    low_s: float
    high_s: float


class MoveShape(TypedDict):
    """A way past the bottleneck."""

    name: str
    what: str
    predicted: PredictedShape | None


class EvidenceShape(TypedDict):
    """One reason: which, a sentence, and its figures by name in base units."""

    what: str
    text: str
    figures: dict[str, float]


class FindDocument(Document):
    """`rung find --json`; `verdict` is "bottleneck" or "nothing"."""

    verdict: str
    recording: RecordingShape
    goal: GoalShape
    simulated: SimulatedShape
    overall: dict[str, float]
    bottleneck: SuspectShape | None
    runner_up: RunnerUpShape | None
    move: MoveShape | None
    evidence: list[EvidenceShape]
    plan: list[dict[str, Any]] | None
    exemplars: list[dict[str, Any]]
    routes: list[RouteShape]
    notes: list[str]


class RoutePriceShape(TypedDict):
    """What a move would make of one route: p50, p95 and p99 of its latency, now and then."""

    route: str
    now: PercentilesShape
    then: PercentilesShape


class BuildShape(TypedDict):
    """An index that would be built: its size, and roughly how long that takes and what it writes to the log."""

    name: str
    size_bytes: int
    build_s: float
    build_wal_bytes: int


class QuoteShape(MoveShape):
    """
    A row of the ladder; `predicted` is null where no number can be given. At `bears_per_s` requests a second
    `fullest` is full then. `taken_as` is "migration", "setting" or "patch", or "hand" where rung has no hands for it
    yet, and "" for doing nothing. `builds` are the indexes of a move that builds some.
    """

    rung: int
    route: str
    now_s: float
    cost: str
    verdict: str
    reason: str
    assumptions: list[str]
    taken_as: str
    routes: list[RoutePriceShape]
    bears_per_s: float | None
    fullest: str
    builds: list[BuildShape]


class PriceDocument(Document):
    """`rung price --json`: `predicted` is the goal's number, `routes` has the percentiles of each judged route."""

    goal: GoalShape
    simulated: SimulatedShape
    quotes: list[QuoteShape]
    chosen: str | None


class AppliedShape(TypedDict):
    """What running a change did; `already` where it was there before and nothing was done."""

    already: bool
    took_s: float
    size_bytes: int


class TakeDocument(Document):
    """
    `rung take --json`: either a `statement` that --apply runs (several are separated by `;` and a line break), a
    `patch` of your code (a unified difference) that it applies, or a `setting` for you to set; `applied` is null
    without --apply. `notes` say what is left to do by hand; `run` is what carries it out in the project's own way, ""
    where psql does.
    """

    move: str
    files: list[str]
    statement: str | None
    setting: str | None
    patch: str | None
    undo: str
    notes: list[str]
    run: str
    applied: AppliedShape | None


class SideShape(TypedDict):
    """One side of a comparison, of the route that the goal's number is of; `overall` beside it."""

    recording: str
    p95_s: float
    n: int
    overall: dict[str, float]
    errors_share: float


class RatioShape(TypedDict):
    """After as a share of before, with its interval: of 99.5 % in turns, else of 99 %."""

    ratio: float
    low: float
    high: float


class IndexUsedShape(TypedDict):
    """What the server counted of an index that was taken, since it was built."""

    name: str
    scans: int
    there: bool
    valid: bool


class ConfirmDocument(Document):
    """
    `rung confirm --json`; `verdict` is "moved", "not_moved", "worse" or "too_little_data". `paired`: both sides were
    asked for the same things at the same moments; `interleaved`: in turns, with --pairs, and then `recording` of a side
    is an instance's address. `needed_s` of traffic for each side would be enough, where there was too little. `indexes`
    are those that were taken; empty where there are none, or the database was not asked.
    """

    route: str
    before: SideShape
    after: SideShape
    change: RatioShape | None
    predicted: PredictedShape | None
    verdict: str
    words: str
    paired: bool
    interleaved: bool
    blocks: int
    side_effects: list[str]
    needed_s: float | None
    indexes: list[IndexUsedShape]


class TurnShape(TypedDict):
    """One turn of the loop."""

    bottleneck: SuspectShape | None
    move: MoveShape | None
    before: SideShape
    after: SideShape
    change: RatioShape | None
    verdict: str


class DemoDocument(Document):
    """`rung demo --json`; `next` is the finding after the last turn, shaped as in find."""

    turns: list[TurnShape]
    next: dict[str, Any]
    left: dict[str, str]


class RecordShape(TypedDict):
    """
    How good the predictions of one kind of move were, over its `n` confirmed ones. `error` is predicted over measured
    (of the ratio after to before): the median, with the quartiles. `held` of them were measured within their interval
    of 80 %; `coverage` is that share, with its binomial interval of 95 %.
    """

    kind: str
    n: int
    error: float
    error_low: float
    error_high: float
    held: int
    coverage: float
    coverage_low: float
    coverage_high: float


class ScoreShape(TypedDict):
    """The record of each kind of move, and of all together (null where nothing was confirmed)."""

    kinds: list[RecordShape]
    overall: RecordShape | None


class LedgerDocument(Document):
    """`rung ledger --json`; `score` is null without --score."""

    entries: list[dict[str, Any]]
    score: ScoreShape | None


class TallyShape(TypedDict):
    """What came of the requests of one route, or of all; percentiles are null where there were none."""

    route: str
    n: int
    throughput_per_s: float
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    errors: int
    client_errors: int
    late_share: float


class LoadDocument(Document):
    """`rung load --json`; `void` is true when the sender was the bottleneck."""

    overall: TallyShape
    routes: list[TallyShape]
    void: bool
    void_reason: str
    lasted_s: float
    ended_early: bool
    replayed: recorded.ReplayedShape | None


class StepShape(TypedDict):
    """What a next step does, and the line to type for it."""

    what: str
    command: str


class ErrorShape(TypedDict):
    """An error; `code` is its heading in errors.md."""

    code: str
    message: str
    why: str
    steps: list[StepShape]


class ErrorDocument(Document):
    """Any command that could not answer, with --json: on standard output, exit status 2."""

    error: ErrorShape


DOCUMENTS: tuple[type, ...] = (
    FindDocument, PriceDocument, TakeDocument, ConfirmDocument, LedgerDocument, LoadDocument, DemoDocument,
    *plan_shapes.DOCUMENTS, *trace_shapes.DOCUMENTS, *shapes.DOCUMENTS, ErrorDocument,
)  # fmt: skip
SHAPES: tuple[type, ...] = (
    PercentilesShape, MissShape,
    Document, GoalShape, SimulatedShape, SuspectShape, RunnerUpShape, PredictedShape, MoveShape, EvidenceShape,
    RoutePriceShape, QuoteShape, SideShape,
    RatioShape, BuildShape, AppliedShape, IndexUsedShape, RecordShape, ScoreShape, TallyShape, TurnShape, ErrorShape,
    StepShape, *recorded.SHAPES, *plan_shapes.SHAPES, *trace_shapes.SHAPES, *shapes.SHAPES,
)  # fmt: skip
