"""
Put values into JSON: one schema, the same value in the same shape wherever it appears.

In        what the steps returned
Out       plain dictionaries; docs/reference/json.md is generated from the classes here
Not here  words for people (text.py)

Times end in `_s` and are seconds, shares are fractions of one, absent things are null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import msgspec

from rung import __version__
from rung.loop import Look, Turn
from rung.ports import Applied
from rung.steps.confirm import Side, Verdict
from rung.steps.find.finding import Evidence, Finding, Interval, Suspect
from rung.steps.ledger import Entry
from rung.steps.price import best
from rung.steps.price.quote import Quote
from rung.steps.take import Change
from rung.surfaces import recorded, shapes
from rung.surfaces.errors_text import SCHEMA
from rung.surfaces.recorded import RecordingShape, RouteShape, recording_shape, routes_shape
from rung.surfaces.shapes import Document


class GoalShape(TypedDict):
    """The goal, and its number: the percentile of the route furthest above it."""

    percentile: int
    target_s: float
    route: str
    now_s: float
    headroom: float


class SuspectShape(TypedDict):
    """
    What requests spend time on. `name` is the statement's fingerprint for a query; `gain_s` is what the goal's
    number would lose without it; `stability` the share of resamples in which it gains most.
    """

    seam: str
    name: str
    route: str
    statement: str | None
    code: str | None
    gain_s: float
    stability: float


class RunnerUpShape(SuspectShape):
    """The second, and why it is not the bottleneck."""

    why_not: str


class PredictedShape(TypedDict):
    """
    The predicted percentile of the goal's route, with the range of 80 % of resamples.
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
    overall: dict[str, float]
    bottleneck: SuspectShape | None
    runner_up: RunnerUpShape | None
    move: MoveShape | None
    evidence: list[EvidenceShape]
    plan: list[dict[str, Any]] | None
    exemplars: list[dict[str, Any]]
    routes: list[RouteShape]
    notes: list[str]


class QuoteShape(MoveShape):
    """A row of the ladder; `predicted` is null where no number can be given."""

    rung: int
    route: str
    now_s: float
    cost: str
    verdict: str
    reason: str
    assumptions: list[str]


class PriceDocument(Document):
    """`rung price --json`."""

    goal: GoalShape
    quotes: list[QuoteShape]
    chosen: str | None


class AppliedShape(TypedDict):
    """What running a change did; `already` where it was there before and nothing was done."""

    already: bool
    took_s: float
    size_bytes: int


class TakeDocument(Document):
    """`rung take --json`; `applied` is null without --apply."""

    move: str
    files: list[str]
    statement: str
    undo: str
    applied: AppliedShape | None


class SideShape(TypedDict):
    """One side of a comparison, of the route that the goal's number is of; `overall` beside it."""

    recording: str
    p95_s: float
    n: int
    overall: dict[str, float]
    errors_share: float


class RatioShape(TypedDict):
    """After as a share of before, with the range that 95 % of resamples keep to."""

    ratio: float
    low: float
    high: float


class ConfirmDocument(Document):
    """`rung confirm --json`; `verdict` is "moved", "not_moved", "worse" or "too_little_data"."""

    route: str
    before: SideShape
    after: SideShape
    change: RatioShape | None
    predicted: PredictedShape | None
    verdict: str
    words: str
    paired: bool
    blocks: int
    side_effects: list[str]
    needed_s: float | None


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


class LedgerDocument(Document):
    """`rung ledger --json`."""

    entries: list[dict[str, Any]]


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
    *shapes.DOCUMENTS, ErrorDocument,
)  # fmt: skip
SHAPES: tuple[type, ...] = (
    Document, GoalShape, SuspectShape, RunnerUpShape, PredictedShape, MoveShape, EvidenceShape, QuoteShape, SideShape,
    RatioShape, AppliedShape, TallyShape, TurnShape, ErrorShape, StepShape,
    *recorded.SHAPES, *shapes.SHAPES,
)  # fmt: skip


def document(command: str, **content: Any) -> dict[str, Any]:
    """
    Return a command's whole output.
    """
    return {"rung": __version__, "schema": SCHEMA, "command": command, **content}


def find_content(look: Look) -> dict[str, Any]:
    """
    Return a finding and the move against it, as FindDocument has them.
    """
    finding = look.finding
    return {
        "verdict": finding.verdict,
        "recording": recording_shape(finding),
        "goal": goal_shape(finding),
        "overall": {_key(finding.goal.percentile): finding.overall_s},
        "bottleneck": suspect_shape(finding.bottleneck),
        "runner_up": _runner_up_shape(finding.runner_up),
        "move": move_shape(best(look.quotes)),
        "evidence": [_evidence_shape(evidence) for evidence in finding.evidence],
        "plan": msgspec.to_builtins(finding.plan.nodes) if finding.plan is not None else None,
        "exemplars": msgspec.to_builtins(finding.exemplars),
        "routes": routes_shape(finding),
        "notes": list(finding.notes),
    }


def goal_shape(finding: Finding) -> dict[str, Any]:
    """
    Return the goal and its number.
    """
    goal = finding.goal
    return {
        "percentile": goal.percentile,
        "target_s": goal.target_s,
        "route": finding.route,
        "now_s": finding.now.value,
        "headroom": goal.headroom,
    }


def suspect_shape(suspect: Suspect | None) -> dict[str, Any] | None:
    """
    Return a bottleneck.
    """
    if suspect is None:
        return None
    return {
        "seam": suspect.part.seam,
        "name": suspect.part.name,
        "route": suspect.route,
        "statement": suspect.statement or None,
        "code": suspect.code or None,
        "gain_s": suspect.gain_s,
        "stability": suspect.stability,
    }


def _runner_up_shape(suspect: Suspect | None) -> dict[str, Any] | None:
    shape = suspect_shape(suspect)
    return None if shape is None or suspect is None else {**shape, "why_not": suspect.why_not}


def _evidence_shape(evidence: Evidence) -> dict[str, Any]:
    return {"what": evidence.what, "text": evidence.text, "figures": dict(evidence.figures)}


def move_shape(quote: Quote | None) -> dict[str, Any] | None:
    """
    Return a move with its prediction.
    """
    if quote is None:
        return None
    return {"name": quote.name, "what": quote.what, "predicted": _predicted_shape(quote.predicted, quote.percentile)}


def _predicted_shape(interval: Interval | None, percent: int) -> dict[str, float] | None:
    return None if interval is None else {_key(percent): interval.value, "low_s": interval.low, "high_s": interval.high}


def price_content(look: Look) -> dict[str, Any]:
    """
    Return the whole ladder.
    """
    chosen = best(look.quotes)
    return {
        "goal": goal_shape(look.finding),
        "quotes": [
            {
                "rung": quote.rung,
                **(move_shape(quote) or {}),
                "route": quote.route,
                "now_s": quote.now.value,
                "cost": quote.cost,
                "verdict": quote.verdict,
                "reason": quote.reason,
                "assumptions": list(quote.assumptions),
            }
            for quote in look.quotes
        ],
        "chosen": chosen.name if chosen is not None else None,
    }


def take_content(change: Change, applied: Applied | None) -> dict[str, Any]:
    """
    Return a change, and what applying it did.
    """
    return {
        "move": change.move,
        "files": [file.path for file in change.files],
        "statement": change.statement.sql,
        "undo": change.undo.sql,
        "applied": msgspec.to_builtins(applied) if applied is not None else None,
    }


def confirm_content(verdict: Verdict) -> dict[str, Any]:
    """
    Return what became of the number.
    """
    percent = verdict.percentile
    return {
        "route": verdict.route,
        "before": _side_shape(verdict.before, percent),
        "after": _side_shape(verdict.after, percent),
        "change": _ratio_shape(verdict.ratio),
        "predicted": _predicted_shape(verdict.predicted_s, percent),
        "verdict": verdict.verdict,
        "words": verdict.words,
        "paired": verdict.paired,
        "blocks": verdict.blocks,
        "side_effects": list(verdict.side_effects),
        "needed_s": verdict.needed_s,
    }


def _side_shape(side: Side, percent: int) -> dict[str, Any]:
    return {
        "recording": side.recording,
        _key(percent): side.at_percentile_s,
        "n": side.requests,
        "overall": {_key(percent): side.overall_s},
        "errors_share": side.errors_share,
    }


def _ratio_shape(ratio: Interval | None) -> dict[str, float] | None:
    return None if ratio is None else {"ratio": ratio.value, "low": ratio.low, "high": ratio.high}


def turn_shape(turn: Turn) -> dict[str, Any]:
    """
    Return one turn of the loop.
    """
    assert turn.verdict is not None
    shape = confirm_content(turn.verdict)
    return {
        "bottleneck": suspect_shape(turn.look.finding.bottleneck),
        "move": move_shape(best(turn.look.quotes)),
        **{key: shape[key] for key in ("before", "after", "change", "verdict")},
    }


def ledger_content(entries: Sequence[Entry]) -> dict[str, Any]:
    """
    Return the ledger.
    """
    return {"entries": [msgspec.to_builtins(entry) for entry in entries]}


def _key(percent: int) -> str:
    return f"p{percent}_s"
