"""
What the traffic keeps busy is told without simulating: as much as a simulation tells where nobody is in the way.
"""

from __future__ import annotations

import numpy as np
import pytest

from rung.steps.twin.idle import begins, shares_in_use
from rung.steps.twin.topology import Host, Topology, Worker
from rung.steps.twin.workload import Step, Workload
from tests.steps.twin.writing import (
    ANSWER,
    ENTER,
    EXIT,
    GIVE,
    LOCK,
    TAKE,
    UNLOCK,
    compute,
    delay,
    execute,
    fork,
    machines,
    ran,
    written,
)

APART_S = 10.0
ONE_AFTER_ANOTHER = [compute(0.1), TAKE, delay(0.2), execute(0.4), GIVE, compute(0.05), ANSWER, compute(0.3)]
SIDE_BY_SIDE = [
    compute(0.1),
    *fork([TAKE, execute(0.3), GIVE], [delay(0.1), compute(0.2), *fork([delay(0.4)], [TAKE, delay(0.1), GIVE])]),
    compute(0.05),
    ANSWER,
]
IN_A_THREAD = [compute(0.1), ENTER, compute(0.3), LOCK, execute(0.2), UNLOCK, EXIT, compute(0.1), ANSWER]
HALF_A_CORE = Topology((Host("one", 3.5, 1.5),), (Worker(0, pool=2, threads=1),), (0,))


def far_apart(steps: list[Step], *, requests: int = 6) -> Workload:
    """
    Requests that have all ended when the next one comes; the last one only says how long it lasted.
    """
    due_s = [APART_S * number for number in range(requests + 1)]
    return written(due_s, [*([steps] * requests), [compute(0.0)]])


@pytest.mark.parametrize("topology", [machines(pool=2, threads=3), HALF_A_CORE, machines(slots=2, pool=2)])
@pytest.mark.parametrize("steps", [ONE_AFTER_ANOTHER, SIDE_BY_SIDE, IN_A_THREAD])
def test_it_is_what_a_simulation_tells_where_nobody_waits(steps: list[Step], topology: Topology) -> None:
    requests = far_apart(steps)
    simulated = {(use.kind, use.name): use.busy for use in ran(requests, topology).uses if not np.isnan(use.busy)}

    told = {(share.kind, share.name): share.busy for share in shares_in_use(requests, topology)}

    assert simulated == pytest.approx({key: told[key] for key in simulated})
    assert {key for key, busy in told.items() if busy > 0} <= set(simulated)


def test_workers_that_take_turns_have_an_equal_part() -> None:
    requests = far_apart(ONE_AFTER_ANOTHER, requests=200)
    topology = machines(workers=2, pool=2, spread=True)
    simulated = [use.busy for use in ran(requests, topology).uses if use.kind == "loop"]

    told = [share.busy for share in shares_in_use(requests, topology) if share.kind == "loop"]

    assert told[0] == told[1] == pytest.approx(sum(simulated) / 2)


def test_a_request_lasts_as_long_as_its_longest_strand() -> None:
    requests = far_apart(SIDE_BY_SIDE, requests=1)
    begun_s, lasted_s = begins(requests)

    assert lasted_s.tolist() == pytest.approx([0.1 + 0.1 + 0.2 + 0.4 + 0.05, 0.0])
    assert begun_s[: len(SIDE_BY_SIDE)].max() == pytest.approx(lasted_s[0])


def test_traffic_without_length_keeps_nothing_busy() -> None:
    assert shares_in_use(written([0.0], [ONE_AFTER_ANOTHER]), machines()) == ()
