"""
The command line: `python -m benchmarks.advisor [--quick] [--json] [--scale S] [--twin [--shapes]] [--server FOLDER]`.

In        flags
Out       tables, or with --json a document
Not here  measuring (judged.py, twin.py)
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.advisor import judged, report, tpch
from benchmarks.advisor import twin as twins
from benchmarks.advisor.built import Built
from benchmarks.advisor.enlarged import enlarge
from benchmarks.advisor.ours import Ours
from benchmarks.advisor.priced import Layer, built_layer, facts_of
from rung import __version__, clock
from rung.adapters.cluster import Cluster, start_passing
from rung.adapters.planner import DatabasePlanner
from tests.shapes.cases import GROUPS
from tests.shapes.judging import prepare
from tests.shapes.shape import Group

SETTINGS = {
    "fsync": "off", "synchronous_commit": "off", "shared_buffers": "512MB", "work_mem": "64MB",
    "maintenance_work_mem": "256MB", "effective_cache_size": "2GB", "max_wal_size": "4GB", "autovacuum": "off",
    # One process for a statement, and no compiling: times that repeat.
    "max_parallel_workers_per_gather": "0", "jit": "off", "random_page_cost": "1.1",
}  # fmt: skip
SHARES = (0.1, 0.25, 0.5, 1.0)
MANY = 100


def main() -> None:
    """
    Run the command line.
    """
    asked = _arguments()
    told: dict[str, Any] = {
        "benchmark": "advisor", "date": clock.stamp(clock.now_s()), "rung": __version__,
        "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}",
        "scale": asked.scale, "layer": asked.layer,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as passing, start_passing(settings=SETTINGS, binaries=asked.server) as cluster:
        told["postgresql"] = cluster.version
        if asked.twin and asked.shapes:
            told["twin"] = _figures(_twin_of_shapes(cluster, quick=asked.quick))
            _report(told, asked)
            return
        dsn = _database(cluster, "tpch")
        _say(f"Loading TPC-H at scale {asked.scale:g}")
        told["data_bytes"] = tpch.fill(dsn, asked.folder or Path(passing), asked.scale, _say)
        timed = tpch.statements(asked.scale)
        with Built(dsn) as built:
            if asked.enlarged:
                told |= _enlarged(asked, cluster, dsn, timed)
            elif asked.twin:
                told["twin"] = _twin(cluster, dsn, built, timed[:3] if asked.quick else timed, quick=asked.quick)
            else:
                told |= _judged(asked, dsn, built, timed, told["data_bytes"])
    _report(told, asked)


def _report(told: dict[str, Any], asked: argparse.Namespace) -> None:
    if asked.json:
        print(json.dumps(told, indent=2))
        return
    times = f", {asked.enlarged} times as large by statistics" if asked.enlarged else ""
    data = "Shape suite" if asked.shapes else f"TPC-H at scale {asked.scale:g}{times}"
    print(f"{data}, {told['postgresql']}, what-if by {asked.layer}\n")
    print(report.text(told))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.advisor", description="Index advisors on TPC-H.")
    parser.add_argument("--quick", action="store_true", help="one budget, one round; with --twin few statements")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--scale", type=float, default=0.1, help="of TPC-H: 1 is a gigabyte (0.1)")
    parser.add_argument("--rounds", type=int, default=3, help="executions of which the mean counts (3)")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds after which a statement is ended (60)")
    parser.add_argument("--folder", type=Path, help="where TPC-H's data are kept for the next run (not kept)")
    parser.add_argument("--layer", choices=("twin", "built"), default="twin", help="who tells the others' costs (twin)")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this contender; may be repeated")
    parser.add_argument(
        "--enlarged", type=int, metavar="N", help="instead: N times the scale by statistics alone; costs, no times"
    )
    parser.add_argument("--twin", action="store_true", help="instead: the planner twin held against the real server")
    parser.add_argument("--shapes", action="store_true", help="with --twin: the shape suite alone, without TPC-H")
    parser.add_argument("--server", type=Path, help="folder of the programs of another PostgreSQL (the wheel's)")
    return parser.parse_args()


def _judged(
    asked: argparse.Namespace, dsn: str, built: Built, timed: tuple[tpch.Timed, ...], data_bytes: int
) -> dict[str, Any]:
    planner = DatabasePlanner(dsn)

    def layer(_: str) -> Layer:
        return planner.costs if asked.layer == "twin" else built_layer(built)

    with Ours() as ours, closing(planner):
        contenders = {report.OURS: ours, **judged.advisors(layer)}
        rows = judged.judge(
            built,
            dsn,
            timed,
            {name: one for name, one in contenders.items() if not asked.only or name in asked.only},
            data_bytes=data_bytes,
            shares=SHARES[2:3] if asked.quick else SHARES,
            rounds=1 if asked.quick else asked.rounds,
            timeout_s=asked.timeout,
            say=_say,
        )
        built.drop()
        columns = {table: list(names) for table, names in facts_of(dsn).columns.items()}
        statements = judged.many(columns, timed, MANY)
        began_s = time.perf_counter()
        found = ours(statements, dsn, None)
        took_s = time.perf_counter() - began_s
        return {"rows": rows, "many": {"statements": MANY, "indexes": len(found), "took_s": took_s}}


def _enlarged(asked: argparse.Namespace, cluster: Cluster, dsn: str, timed: tuple[tpch.Timed, ...]) -> dict[str, Any]:
    data_bytes = enlarge(cluster, dsn, asked.enlarged)
    with Ours() as ours, closing(DatabasePlanner(dsn)) as planner:
        contenders = {report.OURS: ours, **judged.advisors(lambda _: planner.costs)}
        rows = judged.foreseen(
            dsn,
            timed,
            {name: one for name, one in contenders.items() if not asked.only or name in asked.only},
            planner.costs,
            data_bytes=data_bytes,
            shares=SHARES[2:3] if asked.quick else SHARES,
            say=_say,
        )
    return {"data_bytes": data_bytes, "enlarged": asked.enlarged, "foreseen": rows}


def _twin(cluster: Cluster, dsn: str, built: Built, timed: tuple[tpch.Timed, ...], *, quick: bool) -> dict[str, Any]:
    with closing(DatabasePlanner(dsn)) as planner:
        rows = twins.compared(built, planner.what_if, twins.tpch_pairs(timed), _say, of="TPC-H")
    return _figures(rows + _twin_of_shapes(cluster, quick=quick))


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    sources = dict.fromkeys(row["of"] for row in rows)
    figures = {of: twins.figures([row for row in rows if row["of"] == of]) for of in sources}
    # An expression has no statistics before its index is there.
    plain = twins.figures([row for row in rows if not row["expression"]])
    return {"figures": {**figures, "all": twins.figures(rows), "all but expressions": plain}, "rows": rows}


def _twin_of_shapes(cluster: Cluster, *, quick: bool) -> list[dict[str, Any]]:
    return [row for group in (GROUPS[:1] if quick else GROUPS) for row in _twin_of_group(cluster, group)]


def _twin_of_group(cluster: Cluster, group: Group) -> list[dict[str, Any]]:
    dsn = _database(cluster, f"shapes_{group.name}")
    prepare(dsn, group.schema)
    pairs = [
        (shape.name, shape.executions[0].text, index)
        for shape in group.shapes
        for index in (shape.right[0] if shape.right else ())
    ]
    with closing(DatabasePlanner(dsn)) as planner, Built(dsn) as built:
        return twins.compared(built, planner.what_if, pairs, _say, of="shapes")


def _database(cluster: Cluster, name: str) -> str:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return cluster.dsn(name)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
