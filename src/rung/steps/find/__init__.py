"""
Find the one bottleneck: what, if it cost nothing, would bring the goal's number down most.

Not the largest bar of a chart.  Each thing that requests spend time on or wait for is taken away, and the twin runs
the recorded traffic again without it.  What then brings the goal's percentile down most is the bottleneck; a full
pool that one slow statement holds is a symptom, and comes second.  Where the goal holds, the same is asked with the
headroom that it wants: what would break first is the bottleneck then.

In        a Profile, its Twin, and the Goal
Out       a Finding: the bottleneck, its evidence, the runner-up and why not, or "nothing"
Not here  what to do about it (price/, moves/)

A twin that does not reproduce its own recording is not asked; the answer then rests on the recorded times alone, and
says so.
"""

from __future__ import annotations

from dataclasses import replace

from rung.errors import RecordingTooShort
from rung.ports import Describe, Explain, Plan, Server, ServerFacts, Step, Table, Unavailable
from rung.steps.explain.questions import Known, Statistics
from rung.steps.explain.stale import reasons, tables_of
from rung.steps.find.counterfactual import overloaded, suspects
from rung.steps.find.evidence import exemplars, numbers_of, reading_of, rows_kept
from rung.steps.find.finding import (
    AllTraffic,
    Evidence,
    Finding,
    Goal,
    RouteNumber,
    Suspect,
    costliest_scan,
    requests_min,
)
from rung.steps.find.headroom import judged, notes_on_twin, overload_words
from rung.steps.find.notes import doubts_on, failed_share, kept_share, notes_on
from rung.steps.find.seen import code_of, seen_of
from rung.steps.find.trial import Trial
from rung.steps.measure import Profile, percentile
from rung.steps.measure.traffic import Traffic
from rung.steps.twin.twin import Twin

ROUTE_SHARE_MIN = 0.01
ROUTE_REQUESTS_MIN = 200


def find(profile: Profile, twin: Twin, goal: Goal) -> Step[Finding]:
    """
    Return what holds the app back, or that nothing does.

    Raises:
        RecordingTooShort: no route has enough requests to read the asked percentile from.
    """
    routes = route_numbers(profile, goal)
    worst = next((number for number in routes if number.judged), None)
    if worst is None:
        most = max(number.requests for number in routes)
        raise RecordingTooShort(
            requests=most,
            requests_min=requests_min(goal.percentile),
            lasted_s=profile.lasted_s,
            percentile=goal.percentile,
        )
    server = yield Server()
    route, simulated = judged(twin, goal, routes)
    trial = Trial(profile, goal, route)
    missed = simulated.at_speed_s > goal.target_s
    found: tuple[Suspect, ...] = ()
    if missed:
        asked = simulated.names or overloaded(twin)
        found = suspects(twin, trial, speed=simulated.speed) if asked else trial.suspects()
    found = tuple(replace(suspect, code=code_of(profile, suspect)) for suspect in found)
    evidence = [*numbers_of(profile, trial, found[0]), *seen_of(profile, found[0])] if found else []
    plan = table = None
    if found and found[0].statement:
        plan, table, reading = yield from _ask_about(found[0], rows_kept(profile, found[0].part))
        evidence.insert(1, reading)
        evidence += yield from _ask_how_well_known(plan)
    by_rate = bool(found) and found[0].bears_per_s is not None
    notes = [*notes_on(profile, goal, routes)]
    notes += [overload_words(profile, simulated)] if by_rate else notes_on_twin(simulated)
    if not by_rate and found and found[0].gain_s <= 0:
        notes.append("No single thing brings the number down: several causes are of one height.")
    if isinstance(server, Unavailable):
        notes.append(f"The database was not asked: {server.reason}")
    return Finding(
        verdict="bottleneck" if found else "nothing",
        recording=profile.facts.name,
        goal=goal,
        route=route,
        now=trial.now(),
        simulated=simulated,
        overall_s=percentile(profile.requests.latency_s, goal.percentile),
        errors_share=failed_share(profile),
        requests=len(profile.requests),
        processes=profile.processes,
        lasted_s=profile.lasted_s,
        queue_known=profile.queue_known,
        server=server.version if isinstance(server, ServerFacts) else "",
        routes=routes,
        bottleneck=found[0] if found else None,
        runner_up=found[1] if len(found) > 1 else None,
        evidence=tuple(evidence),
        plan=plan,
        table=table,
        exemplars=exemplars(profile, trial) if found else (),
        notes=tuple(notes),
        kept_share=kept_share(profile),
        doubts=doubts_on(profile),
        facts=profile.facts,
        unfinished=profile.beside.unfinished,
    )


def route_numbers(profile: Profile, goal: Goal) -> tuple[RouteNumber, ...]:
    """
    Return each route's percentile, judged ones first, the furthest above the goal first.

    How often a route is asked for is counted over all traffic; its percentile is that of the requests kept whole.
    """
    numbers = []
    for index, each in enumerate(profile.traffic()):
        often = each.requests >= min(ROUTE_SHARE_MIN * profile.requests_all, ROUTE_REQUESTS_MIN)
        enough = each.kept >= requests_min(goal.percentile)
        # A route of which no request was kept comes after those of the profile.
        at_percentile_s = (
            percentile(profile.requests.latency_s[profile.requests.route == index], goal.percentile)
            if each.kept
            else each.percentile_s(goal.percentile)
        )
        numbers.append(RouteNumber(each.route, each.kept, at_percentile_s, often and enough, _all_of(each)))
    return tuple(
        sorted(
            numbers,
            key=lambda number: (not number.judged, not number.requests, -number.at_percentile_s, number.route),
        )
    )


def _all_of(traffic: Traffic) -> AllTraffic:
    return AllTraffic(
        requests=traffic.requests,
        failed_share=traffic.failed / traffic.requests,
        p50_s=traffic.percentile_s(50),
        p95_s=traffic.percentile_s(95),
        p99_s=traffic.percentile_s(99),
    )


def _ask_how_well_known(plan: Plan | None) -> Step[list[Evidence]]:
    """
    Ask the database how old its statistics are of what the plan reads, and return what is wrong with them.
    """
    tables = tables_of(plan) if plan is not None else ()
    if not tables:
        return []
    known = yield Statistics(tables)
    if not isinstance(known, Known):
        return []
    return [
        Evidence(
            "statistics",
            f"stale statistics: {reason}; the planner may expect the wrong rows, and prices rest on what it expects",
            {"rows_known": table.rows_known, "changed": float(table.changed)},
        )
        for table, reason in reasons(known)
    ]


def _ask_about(suspect: Suspect, kept: float | None) -> Step[tuple[Plan | None, Table | None, Evidence]]:
    """
    Ask the database for the statement's plan, and for the table that costs most in it.
    """
    plan = yield Explain(suspect.statement)
    if isinstance(plan, Unavailable):
        return None, None, Evidence("plan", f"no plan: {plan.reason}")
    place = costliest_scan(plan)
    if place is None:
        return plan, None, Evidence("plan", "the plan reads no table")
    node = plan.nodes[place]
    table = yield Describe(node.schema, node.relation)
    if isinstance(table, Unavailable):
        return plan, None, Evidence("plan", f"{node.kind} of {node.relation}; no statistics: {table.reason}")
    return plan, table, reading_of(plan, table, kept)
