"""
Say why a finding should be believed: its figures, requests to look at, what to keep in mind.

In        the Profile, the Trial, the suspect
Out       sentences with their figures, and exemplar requests
Not here  asking the database (the step), layout (surfaces/text.py)
"""

from __future__ import annotations

import math

import numpy as np

from rung.ports import Plan, Table
from rung.steps.find.finding import (
    Evidence,
    Exemplar,
    Goal,
    RouteNumber,
    Span,
    Suspect,
    costliest_scan,
    requests_min,
)
from rung.steps.find.trial import Trial
from rung.steps.measure import Part, Profile
from rung.units import show_bytes, show_count, show_seconds, show_share

EXEMPLARS = 2
OTHER_SHARE_TOLD = 0.10
DROPPED_SHARE_TRUSTED = 0.01


def numbers_of(profile: Profile, trial: Trial, suspect: Suspect) -> tuple[Evidence, ...]:
    """
    Return how often and how long, for which share of the route, and what it holds.
    """
    spent_s = profile.seconds_on(suspect.part)
    total_s = float(profile.requests.latency_s[trial.chosen].sum())
    share = float(spent_s[trial.chosen].sum()) / total_s if total_s else 0.0
    found = [
        Evidence(
            "share",
            f"{show_share(share)} of the time of {trial.route} is spent on it",
            {"share": share},
        )
    ]
    if suspect.part in profile.parts:
        segments = profile.segments
        met = segments.part == profile.parts.index(suspect.part)
        of_route = met & (profile.requests.route[segments.request] == profile.routes.index(trial.route))
        met = of_route if of_route.any() else met
        calls = int(segments.calls[met].sum())
        users = len(np.unique(segments.request[met]))
        median_s = float(np.median(segments.own_s[met] / segments.calls[met]))
        each = calls / users
        found.insert(
            0,
            Evidence(
                "calls",
                f"{show_seconds(median_s)} median, n = {show_count(calls)}, "
                + ("one call a request" if each < 1.05 else f"{each:.1f} calls a request"),
                {"median_s": median_s, "calls": float(calls), "calls_per_request": each},
            ),
        )
    held = trial.holding.get(suspect.part, 0.0)
    if held >= 0.05 and trial.pool_s[trial.chosen].sum() > 0.01 * total_s:
        found.append(
            Evidence(
                "holds",
                f"holds connections for {show_share(held)} of the time that others wait for one",
                {"holding_share": held},
            )
        )
    return tuple(found)


def rows_kept(profile: Profile, part: Part) -> float | None:
    """
    Return the median of the rows that executions gave, None where the driver did not say.
    """
    if part not in profile.parts:
        return None
    segments = profile.segments
    rows = segments.rows[(segments.part == profile.parts.index(part)) & (segments.rows >= 0)]
    return float(np.median(rows)) if len(rows) else None


def reading_of(plan: Plan, table: Table, kept: float | None) -> Evidence:
    """
    Return how the plan reads its costliest table, and what for.
    """
    place = costliest_scan(plan)
    assert place is not None
    node = plan.nodes[place]
    figures = {"cost": plan.cost, "table_rows": table.rows, "table_size_bytes": float(table.size_bytes)}
    if kept is not None:
        figures["rows_kept"] = kept
    result = f" to give {show_count(kept)} (median)" if kept is not None else ""
    if "Seq Scan" in node.kind:
        reading = f"reads all {show_count(table.rows)} rows of {table.name}{result}"
    else:
        reading = f"finds its rows in {table.name} ({show_count(table.rows)}){result}"
    how = f"{node.kind.lower()}{f' by {node.index}' if node.index else ''}, {show_bytes(table.size_bytes)}"
    return Evidence("plan", f"{reading}: {how}, planner's cost {show_count(plan.cost)}", figures)


def exemplars(profile: Profile, trial: Trial) -> tuple[Exemplar, ...]:
    """
    Return the request at the goal's percentile, and the median one to hold against it.
    """
    order = trial.chosen[np.argsort(trial.latency_s, kind="stable")]
    places = [math.ceil(trial.percent / 100 * len(order)) - 1, (len(order) - 1) // 2]
    return tuple(_exemplar(profile, trial.route, int(order[place])) for place in places[:EXEMPLARS])


def _exemplar(profile: Profile, route: str, number: int) -> Exemplar:
    requests, segments = profile.requests, profile.segments
    due_s = float(requests.due_s[number])
    queue_s = float(requests.queue_s[number])
    spans = [Span("queue", "", 0.0, queue_s)] if queue_s > 0 else []
    low, high = np.searchsorted(segments.request, [number, number + 1])
    for place in range(low, high):
        part = profile.parts[segments.part[place]]
        spans.append(
            Span(
                part.seam,
                part.name,
                float(segments.start_s[place]) - due_s,
                float(segments.duration_s[place]),
                int(segments.calls[place]),
            )
        )
    return Exemplar(route, due_s, float(requests.latency_s[number]), tuple(spans))


def notes_on(profile: Profile, goal: Goal, routes: tuple[RouteNumber, ...]) -> tuple[str, ...]:
    """
    Return what a reader must keep in mind about this recording.
    """
    notes = []
    facts = profile.facts
    other = float(profile.requests.other_s.sum() / max(profile.requests.latency_s.sum(), 1e-9))
    if other > OTHER_SHARE_TOLD:
        notes.append(
            f"{show_share(other)} of all time is seen by no instrument: "
            "waiting that is neither SQL nor mail, or code in tasks of its own."
        )
    if not profile.queue_known:
        notes.append(
            "Latency starts when the app took the request; what came before is not known (no X-Request-Start)."
        )
    rare = [number for number in routes if not number.judged and number.at_percentile_s > goal.target_s]
    if rare:
        names = ", ".join(f"{number.route} ({show_count(number.requests)})" for number in rare[:3])
        least = requests_min(goal.percentile)
        notes.append(f"Above the goal, but with too few requests to be judged (fewer than {least}, or 1 %): {names}.")
    if facts.dropped:
        share = facts.dropped / (facts.dropped + len(profile.requests))
        doubt = ", so these numbers are not to be trusted" if share > DROPPED_SHARE_TRUSTED else ""
        notes.append(
            f"{show_count(facts.dropped)} requests ({show_share(share)}) were dropped by the recorder "
            f"and are missing here{doubt}."
        )
    if facts.failures:
        notes.append(f"{show_count(facts.failures)} errors inside the recorder; the app was not touched by them.")
    if not facts.sealed:
        notes.append("Not sealed: still running, recorder killed, or disk full. What was written until now is read.")
    failed = float((profile.requests.status >= 500).mean())
    if failed > goal.errors_share:
        notes.append(f"{show_share(failed)} of the requests failed; the goal allows {show_share(goal.errors_share)}.")
    return tuple(notes)
