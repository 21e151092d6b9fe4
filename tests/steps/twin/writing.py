"""
Workloads and topologies written out for the twin's tests.

In        arrivals and steps
Out       Workload, Topology; an Outcome that keeps Little's law
Not here  what is expected of it (test_oracles.py, test_properties.py)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rung.steps.measure import CPU, Floats, Part
from rung.steps.twin.outcome import Outcome
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import UNLIMITED, Host, Topology, Worker
from rung.steps.twin.workload import Op, Step, Workload, workload

PARTS = (CPU, Part("pool", ""), Part("query", "f00d"))
APP, POOL, QUERY = range(len(PARTS))


def compute(service_s: float) -> Step:
    return Op.COMPUTE, APP, service_s, 0


def execute(service_s: float) -> Step:
    return Op.EXECUTE, QUERY, service_s, 0


def helped(service_s: float, helpers: int) -> list[Step]:
    return [*[(Op.HELP, QUERY, service_s, 0)] * helpers, execute(service_s)]


def delay(service_s: float) -> Step:
    return Op.DELAY, QUERY, service_s, 0


def fork(*strands: Sequence[Step]) -> list[Step]:
    joined = [step for strand in strands for step in (*strand, (Op.JOIN, APP, 0.0, 0))]
    return [(Op.FORK, APP, 0.0, len(strands)), *joined]


TAKE: Step = (Op.TAKE, POOL, 0.0, 0)
GIVE: Step = (Op.GIVE, POOL, 0.0, 0)
ENTER: Step = (Op.ENTER, APP, 0.0, 0)
EXIT: Step = (Op.EXIT, APP, 0.0, 0)
LOCK: Step = (Op.LOCK, QUERY, 0.0, 7)
UNLOCK: Step = (Op.UNLOCK, QUERY, 0.0, 7)
ANSWER: Step = (Op.ANSWER, APP, 0.0, 0)


def written(due_s: Sequence[float], steps: Sequence[Sequence[Step]], worker: Sequence[int] | None = None) -> Workload:
    """
    Return requests one by one, of one route; the first worker's unless *worker* says whose.
    """
    return workload(
        routes=("GET /",),
        parts=PARTS,
        route=[0] * len(due_s),
        worker=worker or [0] * len(due_s),
        due_s=due_s,
        steps=steps,
    )


def alike(due_s: Floats, *steps: tuple[Op, int, Floats | float]) -> Workload:
    """
    Return many requests that take the same steps, each with its own entry of a step's services.
    """
    requests, each = len(due_s), len(steps)
    service_s = np.column_stack([np.broadcast_to(service_s, requests) for _, _, service_s in steps])
    return Workload(
        routes=("GET /",),
        parts=PARTS,
        route=np.zeros(requests, dtype=np.int64),
        worker=np.zeros(requests, dtype=np.int64),
        due_s=due_s,
        counted=np.ones(requests, dtype=np.bool_),
        first=np.arange(0, requests * each + 1, each),
        op=np.tile([int(op) for op, _, _ in steps], requests),
        part=np.tile([part for _, part, _ in steps], requests),
        service_s=service_s.ravel(),
        which=np.zeros(requests * each, dtype=np.int64),
    )


def machines(
    *,
    cores: float = 1.0,
    workers: int = 1,
    slots: int = UNLIMITED,
    pool: int = UNLIMITED,
    threads: int = UNLIMITED,
    spread: bool = False,
) -> Topology:
    """
    Return a host with a core for each worker, and a database on a host with *cores* of its own.
    """
    worker = Worker(0, slots=slots, pool=pool, threads=threads)
    hosts = (Host("app", float(workers)), Host("database", cores))
    return Topology(hosts=hosts, workers=(worker,) * workers, databases=(1,), spread=spread)


def ran(requests: Workload, topology: Topology, *, speed: float = 1.0, seed: int = 0) -> Outcome:
    """
    Run it, and hold Little's law against the number of requests that were inside.
    """
    outcome = simulate(requests, topology, speed=speed, seed=seed)

    assert not np.isnan(outcome.latency_s).any()
    if outcome.lasted_s:
        rate_per_s = len(requests) / outcome.lasted_s
        assert outcome.inside == pytest.approx(rate_per_s * outcome.latency_s.mean(), rel=1e-6)
    return outcome
