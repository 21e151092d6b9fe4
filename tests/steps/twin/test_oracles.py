"""
The twin against theory: where queueing has a formula, the simulation is within 2 % of it.

A mean of simulated waits is uncertain; each one here comes with its standard error, and a test fails where three of
them are more than the 2 %: that a mean agrees is then no luck.  Where customers are served in order, a recursion over
the same draws gives each wait exactly; it is run for far longer, and the simulation has to differ from it nowhere.
Elsewhere the error is made small by what is known of the draws: the part of the mean that the gaps' and services' own
deviation from their expectation explains is taken out.

In        arrivals and services drawn from distributions, by seed
Out       means, utilisations and waits, beside the formula's
Not here  what holds request by request (test_properties.py)

Sources: Kleinrock 1975, Queueing Systems I (M/M/1, M/M/c, Pollaczek-Khinchine), II (processor sharing); Erlang 1917;
Lindley 1952, Kiefer and Wolfowitz 1955 (the recursions); Lavenberg and Welch 1981 (control variables); Reiser and
Lavenberg 1980 (mean value analysis).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapreplace

import numpy as np
import pytest

from rung.steps.measure import Floats
from rung.steps.twin.workload import Op
from tests.steps.twin.writing import APP, POOL, QUERY, alike, compute, delay, execute, machines, ran, written

WITHIN = 0.02
BATCHES = 100


@dataclass(frozen=True, slots=True)
class Law:
    """
    How services of mean 1 are distributed.
    """

    name: str
    square: float  # expected
    drawn: Callable[[np.random.Generator, int], Floats]


EXPONENTIAL = Law("exponential", 2.0, lambda draw, size: draw.exponential(size=size))
CONSTANT = Law("constant", 1.0, lambda _, size: np.ones(size))
UNEVEN = Law("uneven", 3.25, lambda draw, size: np.where(draw.random(size) < 0.9, 0.5, 5.5))
LAWS = pytest.mark.parametrize("law", [EXPONENTIAL, CONSTANT, UNEVEN], ids=lambda law: law.name)


def traffic(seed: int, rate_per_s: float, law: Law, requests: int) -> tuple[Floats, Floats]:
    """
    Return when requests arrive, and their services.
    """
    draw = np.random.default_rng(seed)
    return np.cumsum(draw.exponential(1 / rate_per_s, size=requests)), law.drawn(draw, requests)


def agree(expected: float, mean: float, error: float) -> None:
    """
    Fail unless a mean is the expected one, and certain enough to tell.
    """
    assert 3 * error < WITHIN * expected
    assert expected == pytest.approx(mean, rel=WITHIN)


def batched(values: Floats) -> Floats:
    return values[: len(values) // BATCHES * BATCHES].reshape(BATCHES, -1).mean(axis=1)


def in_order(expected: float, simulated_s: Floats, recursion_s: Floats) -> None:
    """
    Hold the waits of the simulation against those of a recursion, and the mean of these against the formula.
    """
    np.testing.assert_allclose(simulated_s, recursion_s[: len(simulated_s)], atol=1e-6)
    error = float(batched(recursion_s).std(ddof=1)) / math.sqrt(BATCHES)
    agree(expected, float(recursion_s.mean()), error)


def controlled(expected: float, values: Floats, rate_per_s: float, due_s: Floats, service_s: Floats, law: Law) -> None:
    """
    Hold the mean of *values* against the formula, less what chance in gaps and services explains of it.
    """
    known = [np.ones(len(values)), np.diff(due_s, prepend=0.0) - 1 / rate_per_s]
    if law is not CONSTANT:
        known += [service_s - 1, service_s**2 - law.square]
    columns, means = np.column_stack([batched(column) for column in known]), batched(values)
    fitted, *_ = np.linalg.lstsq(columns, means)
    rest = means - columns @ fitted
    variance = float(rest @ rest) / (BATCHES - len(known)) * float(np.linalg.inv(columns.T @ columns)[0, 0])
    agree(expected, float(fitted[0]), math.sqrt(variance))


def one_server(due_s: Floats, service_s: Floats) -> Floats:
    """
    Return each wait for one server, by Lindley's recursion: how far the work is above the least it has been.
    """
    ahead_s = np.concatenate([[0.0], np.cumsum(service_s[:-1] - np.diff(due_s))])
    return np.asarray(ahead_s - np.minimum.accumulate(ahead_s))


def servers(number: int, due_s: Floats, service_s: Floats) -> Floats:
    """
    Return each wait for any of some servers, by Kiefer and Wolfowitz' recursion.
    """
    free_s = [0.0] * number
    wait_s = []
    for at_s, busy_s in zip(due_s.tolist(), service_s.tolist(), strict=True):
        start_s = max(at_s, free_s[0])
        heapreplace(free_s, start_s + busy_s)
        wait_s.append(start_s - at_s)
    return np.array(wait_s)


def erlang_c(servers: int, load: float) -> float:
    """
    Return the share of customers that wait at *servers*, of which *load* are busy in the mean.
    """
    terms = [load**number / math.factorial(number) for number in range(servers)]
    waiting = load**servers / math.factorial(servers) * servers / (servers - load)
    return waiting / (sum(terms) + waiting)


@LAWS
def test_an_event_loop_is_a_queue_for_one_server(law: Law) -> None:
    """
    M/M/1, M/D/1 and M/G/1 by Pollaczek and Khinchine: the wait grows with the second moment of the service.
    """
    rate_per_s, requests = 0.5, 50_000
    due_s, service_s = traffic(1, rate_per_s, law, 40 * requests)
    outcome = ran(alike(due_s[:requests], (Op.COMPUTE, APP, service_s[:requests])), machines())
    wait_s = outcome.latency_s - service_s[:requests]

    in_order(rate_per_s * law.square / (2 * (1 - rate_per_s)), wait_s, one_server(due_s, service_s))
    assert outcome.use("loop", "0").wait_s == pytest.approx(float(wait_s.mean()))
    assert outcome.use("loop", "0").busy == pytest.approx(rate_per_s, rel=WITHIN)
    assert outcome.use("cores", "app").busy == pytest.approx(outcome.use("loop", "0").busy)


@LAWS
def test_a_shared_core_asks_only_for_the_mean_of_the_service(law: Law) -> None:
    """
    Insensitivity of M/G/1 with processor sharing: how services are spread about their mean makes no difference.
    """
    rate_per_s = 0.5
    due_s, service_s = traffic(2, rate_per_s, law, 150_000)
    outcome = ran(alike(due_s, (Op.EXECUTE, QUERY, service_s)), machines(cores=1))

    controlled(1 / (1 - rate_per_s), outcome.latency_s, rate_per_s, due_s, service_s, law)
    assert outcome.use("cores", "database").busy == pytest.approx(rate_per_s, rel=WITHIN)


@pytest.mark.parametrize(("cores", "rate_per_s"), [(2, 1.2), (4, 2.8)])
def test_some_cores_hold_as_many_as_some_servers(cores: int, rate_per_s: float) -> None:
    """
    M/M/c: cores that are shared finish as much as c servers with one queue do, so the mean number inside is the same.
    """
    due_s, service_s = traffic(3, rate_per_s, EXPONENTIAL, 150_000)
    outcome = ran(alike(due_s, (Op.EXECUTE, QUERY, service_s)), machines(cores=cores))

    latency_s = 1 + erlang_c(cores, rate_per_s) / (cores - rate_per_s)
    controlled(latency_s, outcome.latency_s, rate_per_s, due_s, service_s, EXPONENTIAL)
    assert outcome.inside == pytest.approx(rate_per_s * latency_s, rel=WITHIN)
    assert outcome.use("cores", "database").busy == pytest.approx(rate_per_s / cores, rel=WITHIN)


@pytest.mark.parametrize(("pool", "rate_per_s"), [(2, 1.2), (3, 1.8)])
def test_a_pool_keeps_waiting_as_erlang_said(pool: int, rate_per_s: float) -> None:
    requests = 50_000
    due_s, service_s = traffic(4, rate_per_s, EXPONENTIAL, 40 * requests)
    steps = (Op.TAKE, POOL, 0.0), (Op.DELAY, QUERY, service_s[:requests]), (Op.GIVE, POOL, 0.0)
    outcome = ran(alike(due_s[:requests], *steps), machines(pool=pool))
    wait_s = outcome.latency_s - service_s[:requests]

    in_order(erlang_c(pool, rate_per_s) / (pool - rate_per_s), wait_s, servers(pool, due_s, service_s))
    assert outcome.use("pool", "0").wait_s == pytest.approx(float(wait_s.mean()))
    assert outcome.use("pool", "0").busy == pytest.approx(rate_per_s / pool, rel=WITHIN)
    assert outcome.waited_s[POOL] == pytest.approx(outcome.use("pool", "0").wait_s)


def test_sync_workers_keep_waiting_as_erlang_said() -> None:
    """
    Workers that take one request at a time have one backlog: a queue for several servers.
    """
    rate_per_s, workers, requests = 1.8, 3, 50_000
    due_s, service_s = traffic(5, rate_per_s, EXPONENTIAL, 40 * requests)
    outcome = ran(alike(due_s[:requests], (Op.COMPUTE, APP, service_s[:requests])), machines(workers=workers, slots=1))
    wait_s = outcome.latency_s - service_s[:requests]

    in_order(erlang_c(workers, rate_per_s) / (workers - rate_per_s), wait_s, servers(workers, due_s, service_s))
    told = [outcome.use("slots", str(worker)) for worker in range(workers)]
    assert sum(use.visits * use.wait_s for use in told) == pytest.approx(float(wait_s.sum()))
    assert sum(use.busy for use in told) == pytest.approx(rate_per_s, rel=WITHIN)


def test_a_closed_network_agrees_with_mean_value_analysis() -> None:
    """
    Customers that think, compute and query in turns, for ever.
    """
    customers, cycles, think_s, loop_s, query_s = 4, 12_000, 2.0, 0.5, 0.8
    draw = np.random.default_rng(6)
    steps = [
        [
            step
            for think, computing, querying in draw.exponential(size=(cycles, 3)).tolist()
            for step in (delay(think_s * think), compute(loop_s * computing), execute(query_s * querying))
        ]
        for _ in range(customers)
    ]
    # Use is told up to the last arrival: of somebody who comes when they have nearly ended, and wants nothing.
    cycle_s, at_loop_s, at_query_s = mean_value_analysis(customers, think_s, loop_s, query_s)
    last_s = cycles * cycle_s * 0.97
    outcome = ran(written([0.0] * customers + [last_s], [*steps, []]), machines(cores=1))

    assert np.mean(outcome.latency_s[:customers]) / cycles == pytest.approx(cycle_s, rel=WITHIN)
    assert outcome.waited_s[APP] + loop_s == pytest.approx(at_loop_s, rel=WITHIN)
    assert outcome.use("loop", "0").wait_s == pytest.approx(outcome.waited_s[APP])
    assert outcome.use("cores", "database").wait_s + query_s == pytest.approx(at_query_s, rel=WITHIN)
    assert outcome.use("loop", "0").busy == pytest.approx(customers / cycle_s * loop_s, rel=WITHIN)
    assert outcome.use("cores", "database").busy == pytest.approx(customers / cycle_s * query_s, rel=WITHIN)


def mean_value_analysis(customers: int, think_s: float, *services_s: float) -> tuple[float, ...]:
    """
    Return the time of a cycle and the time at each station, of a closed network with one server a station.
    """
    inside = [0.0] * len(services_s)
    times_s, cycle_s = [0.0] * len(services_s), 0.0
    for number in range(1, customers + 1):
        times_s = [service_s * (1 + queue) for service_s, queue in zip(services_s, inside, strict=True)]
        cycle_s = think_s + sum(times_s)
        inside = [number / cycle_s * time_s for time_s in times_s]
    return cycle_s, *times_s
