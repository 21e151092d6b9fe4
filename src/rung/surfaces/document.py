"""
Put values into JSON: one schema, the same value in the same shape wherever it appears.

In        what the steps returned
Out       plain dictionaries, as the classes of schema.py have them
Not here  words for people (text.py)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from rung import __version__
from rung.loop import Look, Turn
from rung.ports import Applied
from rung.steps.confirm import Side, Verdict
from rung.steps.find.finding import PERCENTILES, Evidence, Finding, Interval, Simulated, Suspect
from rung.steps.ledger import Entry
from rung.steps.price import best
from rung.steps.price.quote import BuildIndex, Quote, Record
from rung.steps.score import record_of, record_of_all
from rung.steps.take import Change
from rung.surfaces.errors_text import SCHEMA
from rung.surfaces.recorded import recording_shape, routes_shape


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
        "simulated": simulated_shape(finding.simulated),
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


def simulated_shape(simulated: Simulated) -> dict[str, Any]:
    """
    Return what the twin says.
    """
    return {
        "residual": finite(simulated.residual),
        "trusted": simulated.trusted,
        "speed": simulated.speed,
        "at_speed_s": simulated.at_speed_s,
        "headroom": finite(simulated.headroom),
        "breaks_first": simulated.breaks_first,
        "bears_per_s": finite(simulated.bears_per_s),
        "fullest": simulated.fullest,
        "misses": [
            {"route": each.route}
            | {f"p{percent}": finite(share) for percent, share in zip(PERCENTILES, each.shares, strict=True)}
            for each in simulated.misses
        ],
        "notes": list(simulated.notes),
    }


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    return {_key(percent): finite(value) for percent, value in zip(PERCENTILES, values, strict=True)}


def finite(value: float | None) -> float | None:
    """
    Return *value*, None for what JSON has no number for.
    """
    return value if value is not None and math.isfinite(value) else None


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
        "bears_per_s": finite(suspect.bears_per_s),
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
        "simulated": simulated_shape(look.finding.simulated),
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
                "taken_as": quote.taken_as,
                "routes": [
                    {"route": each.route, "now": _percentiles(each.now_s), "then": _percentiles(each.then_s)}
                    for each in quote.routes
                ],
                "bears_per_s": finite(quote.bears_per_s),
                "fullest": quote.fullest,
                "builds": [_build_shape(plan) for plan in quote.builds],
            }
            for quote in look.quotes
        ],
        "chosen": chosen.name if chosen is not None else None,
    }


def _build_shape(plan: BuildIndex) -> dict[str, Any]:
    return {
        "name": plan.name,
        "size_bytes": plan.size_bytes,
        "build_s": plan.build_s,
        "build_wal_bytes": plan.build_wal_bytes,
    }


def take_content(change: Change, applied: Applied | None) -> dict[str, Any]:
    """
    Return a change, and what applying it did.
    """
    work, setting = change.work, change.setting
    back = setting.now if setting is not None else f"git apply -R {change.files[0].path}" if change.patch else ""
    return {
        "move": change.move,
        "files": [file.path for file in change.files],
        "statement": ";\n".join(each.sql for each in work.statements) if work is not None else None,
        "setting": setting.then if setting is not None else None,
        "patch": change.patch.diff if change.patch is not None else None,
        "undo": ";\n".join(statement.sql for statement in work.undo) if work is not None else back,
        "notes": list(change.notes),
        "run": change.run,
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
        "interleaved": verdict.interleaved,
        "blocks": verdict.blocks,
        "side_effects": list(verdict.side_effects),
        "needed_s": verdict.needed_s,
        "indexes": msgspec.to_builtins(verdict.used),
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


def ledger_content(entries: Sequence[Entry], *, score: bool) -> dict[str, Any]:
    """
    Return the ledger, with *score* also how good its predictions were.
    """
    overall = record_of_all(entries)
    return {
        "entries": [msgspec.to_builtins(entry) for entry in entries],
        "score": {
            "kinds": [_record_shape(record) for record in record_of(entries).values()],
            "overall": _record_shape(overall) if overall is not None else None,
        }
        if score
        else None,
    }


def _record_shape(record: Record) -> dict[str, Any]:
    return {
        "kind": record.kind,
        "n": record.confirmed,
        "error": record.error.value,
        "error_low": record.error.low,
        "error_high": record.error.high,
        "held": record.held,
        "coverage": record.coverage.value,
        "coverage_low": record.coverage.low,
        "coverage_high": record.coverage.high,
    }


def _key(percent: int) -> str:
    return f"p{percent}_s"
