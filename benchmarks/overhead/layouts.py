"""
The apps, servers and numbers of statements that are measured, and how long.

In        names of contenders and layouts, a plan
Out       Measured: what each contender costs in each layout, and what its recorder keeps and sends
Not here  how a pair is measured (rounds.py), the command line (__main__.py)
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.overhead import parts, peers, rounds, weight
from benchmarks.overhead.parts import Part
from benchmarks.overhead.processes import Kept, side_by_side
from benchmarks.overhead.rounds import Cost, Plan, Throughput
from benchmarks.overhead.weight import Memory, Sent
from rung import clock
from rung.adapters import cluster

TABLE = (
    "CREATE TABLE overhead_product (id int PRIMARY KEY, name text NOT NULL, price numeric(10, 2) NOT NULL)",
    "INSERT INTO overhead_product SELECT n, 'product ' || n, n / 100.0 FROM generate_series(1, 10000) AS n",
    "VACUUM ANALYZE overhead_product",
)
EVERYTHING = "1000000000"  # requests and segments a second below which everything is kept


@dataclass(frozen=True, slots=True)
class Layout:
    """
    An app, the server that it is behind, and how many statements its requests have.
    """

    app: str
    server: str
    statements: tuple[int, ...]
    quick: tuple[int, ...]  # numbers of statements, with --quick
    quick_contenders: tuple[str, ...]


LAYOUTS = {
    "FastAPI in process": Layout("fastapi", "none", (0, 1, 5), (5,), ("bare", "rung-idle", "rung", "otel")),
    "FastAPI, uvicorn": Layout("fastapi", "uvicorn", (0, 1, 5), (0, 5), ("bare", "rung", "otel")),
    "Django in process": Layout("django", "none", (30,), (30,), ("bare", "rung")),
    "Django, gunicorn": Layout("django", "gunicorn", (30,), (30,), ("bare", "rung")),
}
BESIDE = ("parts", "bytes")
MEMORY_OF = "FastAPI in process"


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What is to be measured.

    Attributes:
        layouts: Keys of LAYOUTS, and of BESIDE.
        fewer: Whether each layout has only its contenders of --quick.
        settled_s: Load before bytes are counted.
        memory_statements: Of each of the requests after which memory is looked at.
    """

    contenders: tuple[str, ...]
    layouts: tuple[str, ...]
    fewer: bool
    quick: bool
    plan: Plan
    parts_plan: Plan
    settled_s: float
    memory_statements: int


@dataclass(slots=True)
class Measured:
    """
    All figures, as they come.
    """

    costs: dict[str, list[Cost]] = field(default_factory=dict)
    throughputs: dict[str, list[Throughput]] = field(default_factory=dict)
    standing: dict[str, dict[str, float]] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    memory: Memory | None = None
    sent: list[Sent] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    took_s: dict[str, float] = field(default_factory=dict)


def run(asked: Asked) -> Measured:
    """
    Measure what is asked for.
    """
    measured = Measured()
    with _prepared() as (environment, folder):
        for name in asked.layouts:
            begun_s = clock.monotonic_s()
            if name in LAYOUTS:
                _layout(name, asked, environment, folder, measured)
            elif name == "parts":
                measured.parts = parts.measure(environment, folder, asked.parts_plan)
            else:
                for app, statements in (("django", 30),) if asked.quick else (("fastapi", 5), ("django", 30)):
                    measured.sent.append(weight.sent(environment, folder, app, statements, asked.settled_s))
            measured.took_s[name] = clock.monotonic_s() - begun_s
    return measured


@contextmanager
def _prepared() -> Iterator[tuple[dict[str, str], Path]]:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("RUNG", "OTEL", "SENTRY"))}
    with tempfile.TemporaryDirectory(prefix="rung-overhead-") as folder, cluster.start_passing() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            for statement in TABLE:
                connection.execute(statement)
        environment = {
            **given,
            "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(peers.folder())]),
            "DATABASE_URL": server.dsn(),
            "RUNG_BUDGET": EVERYTHING,
        }
        yield environment, Path(folder)


def _layout(name: str, asked: Asked, environment: dict[str, str], folder: Path, measured: Measured) -> None:
    layout, plan = LAYOUTS[name], asked.plan
    costs, throughputs = measured.costs.setdefault(name, []), measured.throughputs.setdefault(name, [])
    names = [name for name in asked.contenders if not asked.fewer or name in layout.quick_contenders]
    with side_by_side(names, layout.app, layout.server, environment, folder, measured.kept) as processes:
        if name == MEMORY_OF and "rung" in processes:
            measured.memory = weight.memory(processes["bare"], processes["rung"], asked.memory_statements)
        for statements in layout.quick if asked.quick else layout.statements:
            path = f"/statements/{statements}"
            costs += [
                rounds.cost(processes["bare"], process, statements, path, plan)
                for contender, process in processes.items()
                if contender != "bare"
            ]
            if layout.server != "none":
                throughputs += rounds.throughputs(processes, statements, path, plan)
        measured.standing[name] = rounds.standing(processes, plan.standing_s)
