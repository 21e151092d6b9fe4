"""
Say why a finding should be believed: its figures, and requests to look at.

In        the Profile, the Trial, the suspect
Out       sentences with their figures, and exemplar requests
Not here  asking the database (the step), what was seen beside the requests (seen.py), what to keep in mind
          (notes.py), layout (surfaces/text.py)
"""

from __future__ import annotations

import math

import numpy as np

from rung.ports import Plan, Table
from rung.steps.find.finding import (
    Evidence,
    Exemplar,
    Span,
    Suspect,
    costliest_scan,
)
from rung.steps.find.trial import Trial
from rung.steps.measure import CPU, QUEUE, Part, Profile
from rung.units import show_bytes, show_count, show_seconds, show_share

EXEMPLARS = 2
# What nobody calls: it happens to a request.
WAITS = frozenset({"loop", "threads", "pool"})


def numbers_of(profile: Profile, trial: Trial, suspect: Suspect) -> tuple[Evidence, ...]:
    """
    Return how often and how long, for which share of the route, and what it holds.
    """
    elsewhere = suspect.part == CPU and suspect.route != trial.route
    spent_s = profile.seconds_on(suspect.part)
    if elsewhere:
        spent_s = profile.seconds_on(QUEUE) + profile.seconds_on_seam("loop")
    total_s = float(profile.requests.latency_s[trial.chosen].sum())
    share = float(spent_s[trial.chosen].sum()) / total_s if total_s else 0.0
    told = f"{show_share(share)} of the time of {trial.route} is spent on it"
    if elsewhere:
        told = f"{show_share(share)} of the time of {trial.route} is spent waiting for the app, which computes that"
    found = [Evidence("share", told, {"share": share})]
    if suspect.part in profile.parts:
        segments = profile.segments
        met = segments.part == profile.parts.index(suspect.part)
        of_route = met & (profile.requests.route[segments.request] == profile.routes.index(trial.route))
        met = of_route if of_route.any() else met
        calls = int(segments.calls[met].sum())
        users = len(np.unique(segments.request[met]))
        median_s = float(np.median(segments.own_s[met] / segments.calls[met]))
        each = calls / users
        once = "wait" if suspect.part.seam in WAITS else "call"
        found.insert(
            0,
            Evidence(
                "calls",
                f"{show_seconds(median_s)} median, n = {show_count(calls)}, "
                + (f"one {once} a request" if each < 1.05 else f"{each:.1f} {once}s a request"),
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
