"""
The twin reproduces its own recording, or says by how much it does not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rung.steps.measure import Part, Profile
from rung.steps.measure.beside import Beside, Executions, Locked
from rung.steps.twin.calibrate import Calibration, calibrated
from rung.steps.twin.recover import recover
from rung.steps.twin.workload import Op
from tests.steps.twin.test_recover import on_one_core, with_usage
from tests.strategies import HOME, ORDERS, SLOW, Row, Segment, profile, shop

SEAMS = {SLOW: "query", "mail": "external"}
COMMIT = Segment("commit", 0.045, 0.001, "commit")


def told(made: Profile) -> Calibration:
    return calibrated(made, recover(made))


def test_a_queue_for_one_connection_is_reproduced() -> None:
    """
    Waiting that was left out comes back by itself, at the middle and at the tail.
    """
    calibration = told(profile(shop(count=600, rate_per_s=15.0)))

    for route in (HOME, ORDERS):
        assert calibration.residuals[route, 50] == pytest.approx(0.0, abs=0.10)
        assert calibration.residuals[route, 95] == pytest.approx(0.0, abs=0.10)


def test_sharing_of_a_core_is_reproduced() -> None:
    """
    Statements that waited for the database's one core wait for it again.
    """
    made, asked_s = on_one_core()
    calibration = told(with_usage(made, database=float(asked_s.sum() / made.lasted_s)))

    assert all(abs(residual) < 0.1 for residual in calibration.residuals.values())


def test_waiting_whose_cause_was_not_recorded_is_no_service_of_something_else() -> None:
    """
    By hand: 80 of 100 ms waited for a loop that nobody in the recording holds. What no instrument saw was 20 ms and
    stays that; the twin says that it misses the rest, instead of blaming it on what is left.
    """
    held = (Segment("loop", 0.01, 0.08, "/report"),)
    calibration = told(profile([Row(number * 0.2, 0.1, held, HOME) for number in range(80)]))
    workload = calibration.workload

    asked_s = workload.service_s[workload.op == Op.DELAY].sum() / len(workload)
    assert asked_s == pytest.approx(0.02)
    assert calibration.residuals[HOME, 95] == pytest.approx(-0.8)


def test_what_was_taken_for_waiting_goes_back_to_where_it_was_taken_from() -> None:
    """
    By hand: 20 executions of 3 ms, of which the server counts 1 ms, and a mail of 10 ms. The 40 ms that nothing else
    explains are the executions' and not the mail's, and ask nobody for a core.
    """
    asked = tuple(Segment("query", 0.005 * n, 0.003, SLOW) for n in range(20))
    row = (*asked, Segment("external", 0.1, 0.01, "mail"))
    made = profile([Row(number * 0.5, 0.11, row, cpu_s=0.04) for number in range(40)])
    made = replace(made, beside=Beside(executions=(Executions(SLOW, "h:1/shop", 800, 0.8),)))
    workload = told(made).workload

    def each_s(op: Op, name: str) -> float:
        chosen = (workload.op == op) & (workload.part == workload.part_of(Part(SEAMS[name], name)))
        return float(workload.service_s[chosen].sum() / len(workload))

    assert each_s(Op.DELAY, "mail") == pytest.approx(0.01)
    assert each_s(Op.EXECUTE, SLOW) == pytest.approx(0.02, rel=0.05)
    assert each_s(Op.DELAY, SLOW) + each_s(Op.EXECUTE, SLOW) == pytest.approx(0.06, rel=0.05)


def test_waiting_that_was_counted_twice_is_taken_out_once() -> None:
    """
    Service that holds waiting, run on something that makes it wait again, is scaled until the two agree.
    """
    made, asked_s = on_one_core(rate_per_s=40.0)
    recovered = recover(with_usage(made, database=float(asked_s.sum() / made.lasted_s)))
    workload = recovered.workload
    executed = workload.op == Op.EXECUTE
    doubled = replace(workload, service_s=np.where(executed, workload.service_s * 1.3, workload.service_s))
    calibration = calibrated(made, replace(recovered, workload=doubled))

    assert calibration.rounds > 0
    assert calibration.workload.service_s[executed].mean() < 0.9 * doubled.service_s[executed].mean()
    assert calibration.base.latency_s.mean() == pytest.approx(made.requests.latency_s.mean(), rel=0.05)


def test_a_tail_of_unknown_cause_is_not_made_up_for_by_slower_service() -> None:
    """
    Where a few requests stood still and nothing tells why, the median stays right and the residual says what is missed.
    """
    recorded = [Row(number * 0.1, 0.01, cpu_s=0.01) for number in range(400)]
    stuck = [replace(row, queue_s=0.3) if number % 20 == 0 else row for number, row in enumerate(recorded)]
    with_others = [Row(row.due_s - 0.001, 0.002, route=HOME) for row in recorded]
    calibration = told(profile([*stuck, *with_others]))

    assert calibration.residuals["GET /", 50] == pytest.approx(0.0, abs=0.02)
    assert calibration.residuals["GET /", 99] < -0.5


def test_rows_of_a_statement_are_told_apart_until_the_wait_for_them_is_right() -> None:
    """
    One lock for all of a statement's executions would be waited for far longer than was recorded.
    """
    generator = np.random.Generator(np.random.PCG64(3))
    recorded = [
        Row(number * 0.02, 0.05, (Segment("query", 0.0, 0.012 if number % 10 == 0 else 0.002, SLOW), COMMIT))
        for number in generator.permutation(600).tolist()
    ]
    made = replace(profile(recorded), beside=Beside(locks={SLOW: Locked(looks=20, waiting=5)}))
    calibration = told(made)
    locks = [use for use in calibration.base.uses if use.kind == "lock"]

    assert len(locks) > 1
    assert sum(use.visits * use.wait_s for use in locks) / sum(use.visits for use in locks) < 0.004


def test_the_same_recording_gives_the_same_calibration() -> None:
    """
    Nothing is drawn that is not seeded.
    """
    made = profile(shop(count=200))
    first, second = told(made), told(made)

    np.testing.assert_array_equal(first.workload.service_s, second.workload.service_s)
    assert first.residuals == second.residuals
