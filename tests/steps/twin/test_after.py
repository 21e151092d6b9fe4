"""
What a request goes on with after its response: nobody waits for it, and it takes its time of process and database.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rung.steps.measure import CPU, After, Part
from rung.steps.measure.beside import Beside, Executions
from rung.steps.twin.recover import recover
from rung.steps.twin.simulate import simulate
from tests.steps.twin.test_recover import on_one_core, service_s, told, with_usage
from tests.strategies import FAST, SLOW, Row, profile


def test_what_follows_the_response_is_done_after_it() -> None:
    """
    Nobody waits for it, and it takes its time of the process.
    """
    made = profile([Row(0.0, 0.01, cpu_s=0.01), Row(0.02, 0.01, cpu_s=0.01)])
    followed = After((CPU, Part("external", "mail")), np.array([0, 0]), np.array([0, 1]), np.array([0.003, 0.2]))
    recovered = recover(replace(made, after=followed))

    assert told(recovered.workload)[-3:] == [
        ("ANSWER", "cpu", 0.0),
        ("COMPUTE", "cpu", 0.003),
        ("DELAY", "external", 0.2),
    ]
    assert simulate(recovered.workload, recovered.topology).latency_s == pytest.approx([0.01, 0.01])


def test_a_statement_after_the_response_takes_what_is_typical_of_it() -> None:
    """
    One that waited long for its process has not worked for long; what the server counted of it is believed first.
    """
    took_s = [0.002] * 19 + [0.3]
    made = profile([Row(0.5 * n, 0.01, cpu_s=0.005) for n in range(20)])
    followed = After((Part("query", FAST),), np.arange(20), np.zeros(20, dtype=np.int64), np.array(took_s))
    made = replace(made, after=followed)
    counted = (Executions(FAST, "h:1/shop", 20, 20 * 0.0005),)

    assert service_s(recover(made), Part("query", FAST)).tolist() == pytest.approx([0.002] * 20)
    counted_of = replace(made, beside=Beside(executions=counted))
    assert service_s(recover(counted_of), Part("query", FAST)).tolist() == pytest.approx([0.0005] * 20)


def test_what_the_app_itself_asked_after_the_response_is_no_background() -> None:
    """
    Neither by the server's processor time nor by its account of the statement.
    """
    made, asked_s = on_one_core(rate_per_s=30.0)
    count = len(asked_s)
    followed = After((Part("query", FAST),), np.arange(count), np.zeros(count, np.int64), np.full(count, 0.01))
    busy = float((asked_s.sum() + count * 0.01) / made.lasted_s)
    counted = (Executions(FAST, "h:1/shop", count, count * 0.01),)
    recovered = recover(with_usage(replace(made, after=followed), database=busy, executions=counted))
    without = recover(with_usage(made, database=float(asked_s.sum() / made.lasted_s)))

    assert recovered.topology.hosts[0].background == pytest.approx(without.topology.hosts[0].background, abs=0.02)
    found_s, expected_s = (service_s(each, Part("query", SLOW)).mean() for each in (recovered, without))
    assert found_s == pytest.approx(expected_s, rel=0.05)
