"""
Contenders in pairs: who is asked when, and what the difference is.

A pair is bare and one contender.  They are asked in turn, in short bursts in the order bare, contender, contender,
bare, so that what else the machine does falls on both; each is under load for half of the time, and has the requests
per second that are told beside its figures.  What counts is the CPU of the whole process from the beginning of a round
to its end: what a recorder does in threads of its own, also while the other one is asked, is its cost.

In        processes, paths, a plan
Out       Cost: CPU per request, what is added to bare and its share of bare's, with quartiles; Throughput
Not here  the processes (processes.py), parts of a request (parts.py), memory (weight.py)
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.overhead.processes import Process
from rung import clock

BURST_REQUESTS_MIN = 2
CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """
    How much is measured of each pair.

    Attributes:
        warm_s: Before the first round; the sample of digests finds its size a step a second.
        round_s: At least as long as a sender's turn takes to come, where its share is to be in the median.
        burst_s: The shorter, the more of it is what a process does first after its turn has come.
        standing_s: How long nothing is asked, for what a recorder's threads take regardless.
        saturations: Times that the throughput of each contender is measured, each for `saturation_s`.
    """

    rounds: int
    round_s: float
    warm_s: float
    burst_s: float
    saturations: int
    saturation_s: float
    standing_s: float


@dataclass(frozen=True, slots=True)
class Spread:
    """
    A median between its quartiles.
    """

    middle: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Round:
    """
    CPU seconds of two processes in one round, and of the threads of their apps, for so many requests of each.
    """

    requests: int
    lasted_s: float
    bare_s: float
    mine_s: float
    bare_thread_s: float
    mine_thread_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What a contender costs: seconds of CPU per request, and `share` of bare's CPU, which is the capacity it takes.

    `thread_s` is what of the added CPU the app's thread has; None behind a server, where it is not told apart.
    """

    contender: str
    statements: int
    rounds: int
    requests: int  # of each of the two
    rate_per_s: float
    bare_s: Spread
    cpu_s: Spread
    added_s: Spread
    thread_s: Spread | None
    share: Spread
    kept_per_request: float | None


@dataclass(frozen=True, slots=True)
class Throughput:
    """
    Requests per second over several connections, and the change to bare of the same turn.
    """

    contender: str
    statements: int
    per_s: Spread
    change: Spread


def spread(values: Sequence[float]) -> Spread:
    """
    Return the median and the quartiles.
    """
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(middle, low, high)


def pair(bare: Process, mine: Process, path: str, plan: Plan, *, flush: bool = False) -> list[Round]:
    """
    Ask the two in turn.

    Args:
        flush: Whether each burst ends with what is held back sent, so that nothing is dropped however fast it is.
    """
    burst = _burst(bare, mine, path, plan.burst_s)
    _turns(bare, mine, path, burst, plan.warm_s, flush=flush)
    rounds = []
    for number in range(plan.rounds):
        first, second = (bare, mine) if number % 2 == 0 else (mine, bare)
        begun_s = clock.monotonic_s()
        before = (bare.cpu_s(), mine.cpu_s(), bare.thread_s, mine.thread_s)
        requests = _turns(first, second, path, burst, plan.round_s, flush=flush)
        after = (bare.cpu_s(), mine.cpu_s(), bare.thread_s, mine.thread_s)
        used_s = [end - start for start, end in zip(before, after, strict=True)]
        rounds.append(Round(requests, clock.monotonic_s() - begun_s, *used_s))
    return rounds


def _burst(bare: Process, mine: Process, path: str, burst_s: float) -> int:
    """
    Return how many requests take both of them some *burst_s*.
    """
    for process in (bare, mine):
        process.ask(path, BURST_REQUESTS_MIN)  # its first are slow
    requests = BURST_REQUESTS_MIN
    while True:
        begun_s = clock.monotonic_s()
        for process in (bare, mine):
            process.ask(path, requests)
        lasted_s = (clock.monotonic_s() - begun_s) / 2
        if lasted_s > burst_s / 2:
            return max(BURST_REQUESTS_MIN, round(requests * burst_s / lasted_s))
        requests *= 2


def _turns(first: Process, second: Process, path: str, burst: int, lasts_s: float, *, flush: bool) -> int:
    until_s = clock.monotonic_s() + lasts_s
    requests = 0
    while requests == 0 or clock.monotonic_s() < until_s:
        for process in (first, second, second, first):
            process.ask(path, burst, flush=flush)
        requests += 2 * burst
    return requests


def cost(bare: Process, mine: Process, statements: int, path: str, plan: Plan) -> Cost:
    """
    Return what *mine* costs in comparison with *bare*.
    """
    mine.ask(path, 1, flush=True)
    asked, kept = mine.asked, mine.kept
    rounds = pair(bare, mine, path, plan)
    mine.ask(path, 1, flush=True)
    return Cost(
        contender=mine.name,
        statements=statements,
        rounds=len(rounds),
        requests=sum(row.requests for row in rounds),
        rate_per_s=statistics.median(row.requests / row.lasted_s for row in rounds),
        bare_s=spread([row.bare_s / row.requests for row in rounds]),
        cpu_s=spread([row.mine_s / row.requests for row in rounds]),
        added_s=spread([(row.mine_s - row.bare_s) / row.requests for row in rounds]),
        thread_s=spread([(row.mine_thread_s - row.bare_thread_s) / row.requests for row in rounds])
        if mine.thread_s
        else None,
        share=spread([(row.mine_s - row.bare_s) / row.bare_s for row in rounds]),
        kept_per_request=None if mine.name.startswith("rung") else (mine.kept - kept) / (mine.asked - asked),
    )


def standing(processes: Mapping[str, Process], standing_s: float) -> dict[str, float]:
    """
    Return the CPU that each takes while nobody asks it anything, as a share of one core.
    """
    begun_s = clock.monotonic_s()
    before = {name: process.cpu_s() for name, process in processes.items()}
    clock.sleep(standing_s)
    used = {name: process.cpu_s() - before[name] for name, process in processes.items()}
    lasted_s = clock.monotonic_s() - begun_s
    return {name: used_s / lasted_s for name, used_s in used.items()}


def throughputs(processes: Mapping[str, Process], statements: int, path: str, plan: Plan) -> list[Throughput]:
    """
    Return requests per second of each, all of them measured in turn, forth and back.
    """
    seen: dict[str, list[float]] = {name: [] for name in processes}
    for number in range(plan.saturations):
        names = list(processes)
        for name in names if number % 2 == 0 else reversed(names):
            seen[name].append(processes[name].saturate(path, CONNECTIONS, plan.saturation_s))
    return [
        Throughput(
            name,
            statements,
            spread(rates),
            spread([rate / bare - 1.0 for rate, bare in zip(rates, seen["bare"], strict=True)]),
        )
        for name, rates in seen.items()
    ]
