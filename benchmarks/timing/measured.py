"""
Each statement before its index, as predicted, with the index really built, and after a restart.

In        a Stage, cases
Out       one document: plans and times as they were, from which every way of predicting can be judged
Not here  predicting (judged.py)

What a way of predicting is given is what rung has: the plan of the normalised text with every value unknown, from the
server today and from the planner twin with the index, and of each recorded statement the time, rows and buffers that
the server counted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from psycopg import sql

from benchmarks.timing.cases import Case
from benchmarks.timing.stage import TABLES, Stage
from rung.adapters.planner import DatabasePlanner
from rung.ports import Describe, Explain, Plan, PlanNode, Promise, Table, Unavailable, WhatIf
from rung.probe.statement import normalised

BUILT = "timing_candidate"
Raw = dict[str, Any]


def measured(stage: Stage, cases: Sequence[Case], healthy: Sequence[Case]) -> Raw:
    """
    Return what was seen of all *cases*, and of the *healthy* statements at the beginning, the middle and the end.
    """
    planner = DatabasePlanner(stage.dsn)
    try:
        rounds = [_healthy(stage, healthy)]
        recorded = [_planned(planner, case) for case in healthy]
        tables = [_table(planner.describe(Describe("public", name))) for name in TABLES]
        seen = []
        for place, case in enumerate(cases):
            seen.append(_case(stage, planner, case))
            print(f"{place + 1}/{len(cases)} {case.text[:90]}", file=sys.stderr, flush=True)
            if place == len(cases) // 2:
                rounds.append(_healthy(stage, healthy))
        rounds.append(_healthy(stage, healthy))
        stage.restart()
        cold = _healthy(stage, healthy, once=True)
    finally:
        planner.close()
    return {
        "recorded": [
            {"text": case.text, "plan": plan, "rounds": list(times), "cold": once}
            for case, plan, times, once in zip(healthy, recorded, zip(*rounds, strict=True), cold, strict=True)
        ],
        "tables": tables, "cases": seen, "version": stage.server.version, "scale": stage.scale,
    }  # fmt: skip


def text_of(case: Case) -> str:
    """
    Return the statement as a recording has it, a parameter for every value.
    """
    return normalised(case.text).text


def _healthy(stage: Stage, healthy: Sequence[Case], *, once: bool = False) -> list[Raw]:
    return [dict(stage.timed(case.text, stage.vectors(case.values), once=once)) for case in healthy]


def _planned(planner: DatabasePlanner, case: Case) -> Raw:
    plan = planner.explain(Explain(text_of(case)))
    if isinstance(plan, Unavailable):
        raise SystemExit(f"no plan of {case.text}: {plan.reason}")
    return asdict(plan)


def _table(table: Table | Unavailable) -> Raw:
    if isinstance(table, Unavailable):
        raise SystemExit(table.reason)
    return {"schema": table.schema, "name": table.name, "rows": table.rows, "size_bytes": table.size_bytes}


def _case(stage: Stage, planner: DatabasePlanner, case: Case) -> Raw:
    planner.moved(stage.dsn)
    vectors = stage.vectors(case.values)
    today = _planned(planner, case)
    promise = planner.what_if(WhatIf(text_of(case), case.index))
    if not isinstance(promise, Promise):
        raise SystemExit(f"no promise for {case.text}: {promise.reason}")
    before = stage.timed(case.text, vectors, once=True)
    _build(stage, case)
    try:
        after = stage.timed(case.text, vectors)
        built = _planned(planner, case)
        stage.restart()
        cold = stage.timed(case.text, vectors, once=True)
    finally:
        stage.connection.execute(sql.SQL("drop index {}").format(sql.Identifier(BUILT)))
    return {
        "group": case.group, "text": case.text, "table": case.table, "keys": list(case.keys), "today": today,
        "promised": asdict(promise.after), "promised_today": asdict(promise.before), "used": promise.used,
        "built": built, "before": before, "after": after, "cold": cold, "size_bytes": promise.size_bytes,
    }  # fmt: skip


def _build(stage: Stage, case: Case) -> None:
    columns = sql.SQL(", ").join(
        sql.SQL("{} desc" if column.descending else "{}").format(sql.Identifier(column.name))
        for column in case.index.columns
    )
    stage.connection.execute(
        sql.SQL("create index {} on {} ({})").format(sql.Identifier(BUILT), sql.Identifier(case.table), columns)
    )


def plan_from(raw: Raw) -> Plan:
    """
    Return a plan that was kept in a document.
    """
    return Plan(tuple(PlanNode(**node) for node in raw["nodes"]))


def kept_tables(raw: Raw) -> dict[tuple[str, str], Table]:
    """
    Return the tables that were kept in a document, as far as timing asks for them.
    """
    return {
        (each["schema"], each["name"]): Table(each["schema"], each["name"], each["rows"], each["size_bytes"], (), ())
        for each in raw["tables"]
    }
