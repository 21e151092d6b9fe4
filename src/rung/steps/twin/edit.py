"""
Edit a workload: another time for some steps, some steps gone, some after the answer.

In        a Workload, and which of its steps: one bool a step
Out       another Workload; none of them is changed in place
Not here  which edit a move stands for (moves/), what is taken away to find the bottleneck (find/)

What is handed over in pairs (TAKE and GIVE, ENTER and EXIT, LOCK and UNLOCK, FORK and its JOINs) is chosen in pairs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rung.steps.measure import CPU, QUEUE, Floats, Integers, Part
from rung.steps.twin.topology import Topology
from rung.steps.twin.workload import Op, Workload

Chosen = NDArray[np.bool_]

SPENDING = (Op.COMPUTE, Op.EXECUTE, Op.DELAY, Op.HOLD, Op.HELP)  # the steps that take time of their own
PROCESSES_MANY = 16  # times as many: nobody waits for one
REPEATS_MIN = 4  # executions of one statement in a request; two or three are rather different questions


def spent_on(workload: Workload, part: Part, *, ops: tuple[Op, ...] = SPENDING) -> Chosen:
    """
    Return which steps are spent on *part* and ask for one of *ops*.
    """
    chosen: Chosen = (workload.part == workload.part_of(part)) & np.isin(workload.op, ops)
    return chosen


def on_route(workload: Workload, route: str) -> Chosen:
    """
    Return which steps are of requests of *route*; none where it is not in the workload.
    """
    of_route = workload.route == (workload.routes.index(route) if route in workload.routes else -1)
    return np.repeat(of_route, np.diff(workload.first))


def chosen_of(workload: Workload, places: Integers) -> Chosen:
    """
    Return the steps at these places as chosen.
    """
    chosen = np.zeros(len(workload.op), dtype=np.bool_)
    chosen[places] = True
    return chosen


def firsts(request: Integers) -> Integers:
    """
    Return where in *request*, ascending, each of them begins.

    >>> firsts(np.array([2, 2, 5])).tolist()
    [0, 2]
    """
    return np.flatnonzero(np.diff(request, prepend=-1))


def before_answer(workload: Workload) -> Chosen:
    """
    Return which steps the user waits for.
    """
    answered = np.cumsum(workload.op == Op.ANSWER)
    earlier = np.concatenate([[0], answered])[workload.first[:-1]]
    before: Chosen = answered == np.repeat(earlier, np.diff(workload.first))
    return before


def between(workload: Workload, executed: Integers, *, calls_min: int = 2) -> tuple[Chosen, Chosen]:
    """
    Return what goes with each of many executions: what the app computes from the first to the last of each request's,
    and the ends of transactions.

    Args:
        executed: Places of steps, ascending.
        calls_min: Of a request with fewer of them, nothing.
    """
    begins = firsts(workload.request[executed])
    calls = np.diff(np.append(begins, len(executed)))
    many = calls >= calls_min
    edges = np.zeros(len(workload.op) + 1, dtype=np.int64)
    np.add.at(edges, executed[begins[many]], 1)
    np.add.at(edges, executed[(begins + calls - 1)[many]], -1)
    inside = np.cumsum(edges[:-1]) > 0
    ending = [place for place, part in enumerate(workload.parts) if part.seam == "commit"]
    ends: Chosen = inside & np.isin(workload.part, ending) & np.isin(workload.op, SPENDING)
    return inside & spent_on(workload, CPU, ops=(Op.COMPUTE,)), ends


def without(workload: Workload, topology: Topology, part: Part) -> tuple[Workload, Topology]:
    """
    Return both as they are when *part* costs nothing.

    What is waited for has no steps of its own, so the topology gives without end of it: connections, threads, and for
    "loop" and "queue" app processes.  Everything else keeps its steps, which take no time; its locks are not taken.
    What goes with each of many executions is for their sake, and costs nothing either.
    """
    if part.seam in {"pool", "threads"}:
        return workload, topology.without_waiting(part.seam)
    if part.seam in {"loop", QUEUE.seam}:
        return workload, topology.with_workers(PROCESSES_MANY * len(topology.workers))
    locks = np.unique(workload.which[spent_on(workload, part, ops=(Op.LOCK,))])
    spent = spent_on(workload, part)
    if part.seam == "query":
        executed = np.flatnonzero(spent & (workload.op == Op.EXECUTE))
        computed, ends = between(workload, executed, calls_min=REPEATS_MIN)
        spent |= computed | ends
    free = replaced(workload, spent, 0.0)
    locking = np.isin(free.op, (Op.LOCK, Op.UNLOCK)) & np.isin(free.which, locks)
    return dropped(free, locking), topology


def scaled(workload: Workload, chosen: Chosen, factor: float) -> Workload:
    """
    Return the workload with the service of the *chosen* steps multiplied.
    """
    return replace(workload, service_s=np.where(chosen, workload.service_s * factor, workload.service_s))


def replaced(workload: Workload, chosen: Chosen, service_s: Floats | float) -> Workload:
    """
    Return the workload in which the *chosen* steps take *service_s*: each the same, or one value each.
    """
    changed_s = workload.service_s.copy()
    changed_s[chosen] = service_s
    return replace(workload, service_s=changed_s)


def asking(workload: Workload, chosen: Chosen, op: Op, *, part: int) -> Workload:
    """
    Return the workload in which the *chosen* steps ask for *op* instead, spent on *part*, of the first database.
    """
    return replace(
        workload,
        op=np.where(chosen, int(op), workload.op),
        part=np.where(chosen, part, workload.part),
        which=np.where(chosen, 0, workload.which),
    )


def dropped(workload: Workload, chosen: Chosen) -> Workload:
    """
    Return the workload without the *chosen* steps; a request may be left with none.
    """
    if not chosen.any():
        return workload
    kept = ~chosen
    reached = np.concatenate([[0], np.cumsum(kept)])
    return replace(
        workload,
        first=reached[workload.first].astype(np.int64),
        op=workload.op[kept],
        part=workload.part[kept],
        service_s=workload.service_s[kept],
        which=workload.which[kept],
    )


def moved_after_answer(workload: Workload, chosen: Chosen) -> Workload:
    """
    Return the workload with the *chosen* steps last of their request, in their order, when it has answered.

    A request that is not told to answer before its end is then told to, if anything of it was chosen.
    """
    request = workload.request
    moves = np.bincount(request[chosen], minlength=len(workload)) > 0
    answers = np.bincount(request[workload.op == Op.ANSWER], minlength=len(workload)) > 0
    silent = np.flatnonzero(moves & ~answers)
    return _arranged(
        workload,
        rank=np.where(chosen, 2, 0),
        added=silent,
        added_rank=1,
        steps=(np.full(len(silent), int(Op.ANSWER)), np.zeros(len(silent), np.int64), np.zeros(len(silent))),
    )


def with_last(workload: Workload, requests: Integers, *, op: Op, part: int, service_s: float) -> Workload:
    """
    Return the workload in which each of those requests ends with one more step.

    Args:
        requests: Ascending, each once.
    """
    steps = (np.full(len(requests), int(op)), np.full(len(requests), part), np.full(len(requests), service_s))
    return _arranged(workload, rank=np.zeros(len(workload.op), np.int64), added=requests, added_rank=1, steps=steps)


def _arranged(
    workload: Workload,
    *,
    rank: Integers,
    added: Integers,
    added_rank: int,
    steps: tuple[Integers, Integers, Floats],
) -> Workload:
    """
    Return the workload with a step added to each of the requests *added*, and all steps of a request in order of rank.
    """
    request = np.concatenate([workload.request, added])
    key = request * 3 + np.concatenate([rank, np.full(len(added), added_rank)])
    order = np.argsort(key, kind="stable")
    op, part, service_s = steps
    sizes = np.diff(workload.first) + np.bincount(added, minlength=len(workload))
    return replace(
        workload,
        first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        op=np.concatenate([workload.op, op])[order],
        part=np.concatenate([workload.part, part])[order],
        service_s=np.concatenate([workload.service_s, service_s])[order],
        which=np.concatenate([workload.which, np.zeros(len(added), np.int64)])[order],
    )
