"""
Send the same arrivals to two instances in turns: before, after, after, before, or the other way round, by lot.

Each block of arrivals goes to both, one right after the other, so that what drifts on the machine is the same for both
to begin with; the one that goes first changes from pair to pair.  A block begins when nothing of the last is left; its
first moments fill the queues and are sent but not measured.  Beforehand the first seconds are sent to both, unmeasured:
they warm both up, and what slow requests take then says how long a block must be.

In        two addresses, a Plan
Out       Pairs, and while it runs its progress
Not here  sending one block (sender.py), how many there are and how long (steps/confirm/compared.py)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import numpy as np

from rung.adapters.traffic.plan import Plan, Route, origin_of, path_of
from rung.adapters.traffic.report import STATUS_SERVER_ERROR, Progress, percentile, void_reason
from rung.adapters.traffic.schedule import Part, schedule, stream
from rung.adapters.traffic.sender import IN_FLIGHT_MAX, TIMEOUT_S, Sender, files_for, new_loop, reach
from rung.errors import BadValue, LoadVoid
from rung.ports import Column, Pairs, Sent
from rung.steps.confirm.compared import PAIRS_MIN, TURN_MIN_S, Turns, order_of, turns_of

SIDES = ("before", "after")
SLOW_PERCENT = 95  # of all requests: what the length of a block is measured by


@dataclass(frozen=True, slots=True)
class Turn:
    """
    How the pairs stand: the pair (from 1; 0 before the first) and whose block it is, with what was sent until now.
    """

    pair: int
    pairs: int
    side: str
    progress: Progress


@dataclass(slots=True)
class _Side:
    """
    One instance: what it answered, block after block.

    Attributes:
        cookies: Of recorded sessions; they go on from block to block.
        columns: Of each block: route, block, latency, failure, lateness of the measured requests.
    """

    origin: str
    cookies: dict[int, aiohttp.CookieJar] = field(default_factory=dict)
    columns: list[tuple[Column, ...]] = field(default_factory=list)

    def add(self, block: int, sender: Sender, lead_s: float) -> None:
        answers = sender.answers
        due_s, status = answers.dues_s(), answers.statuses()
        # In the order in which they were due: the same request has the same place on both sides.
        measured = np.argsort(due_s, kind="stable")[np.count_nonzero(due_s < lead_s) :]
        failed = (status == 0) | (status >= STATUS_SERVER_ERROR)
        whole = (answers.routes(), np.full(len(answers), block), answers.latencies_s(), failed, answers.lateness_s())
        self.columns.append(tuple(column[measured] for column in whole))

    def joined(self) -> tuple[Column, ...]:
        return tuple(np.concatenate(column) for column in zip(*self.columns, strict=True))


def send_pairs(
    urls: tuple[str, str],
    plan: Plan,
    *,
    turns: Turns | None = None,
    progress: Callable[[Turn], None] | None = None,
    stop: threading.Event | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Pairs:
    """
    Send *plan* to the instances at *urls*, before and after, and return what each made of it.

    Args:
        turns: How to cut it; by default as turns_of says.

    Raises:
        BadValue: no URLs, two that are one, or arrivals too short to be cut.
        TargetUnreachable: nothing accepts connections at one of them; nothing was sent.
        LoadVoid: the sender was the bottleneck.
        KeyboardInterrupt: Ctrl-C or *stop* ended it before both had all.
    """
    _check_urls(urls, plan)
    shortest = turns or _turns(plan, 0.0)
    with files_for(IN_FLIGHT_MAX) as files, asyncio.Runner(loop_factory=new_loop) as runner:
        run = _Run(urls, plan, runner, files, progress, stop or threading.Event(), timeout_s)
        for side in run.sides:
            runner.run(reach(side.origin))
        turns = turns or _turns(plan, run.tried(2 * shortest.block_s))
        for block, number in order_of(turns.pairs, stream(plan.seed, "turns")):
            run.send(block, number, turns)
    columns = [side.joined() for side in run.sides]
    lateness_s = np.concatenate([column[-1] for column in columns])
    reason = void_reason(lateness_s, not_sent=run.not_sent, not_sent_reason=run.not_sent_reason)
    if reason:
        raise LoadVoid(reason, command=f"rung confirm --pairs {urls[0]} {urls[1]}", rate_per_s=plan.rate_per_s)
    return Pairs(
        routes=tuple(route_name(route) for route in plan.routes),
        before=Sent(run.sides[0].origin, *columns[0][:-1]),
        after=Sent(run.sides[1].origin, *columns[1][:-1]),
        pairs=turns.pairs,
        lasted_s=plan.duration_s,
    )


class _Run:
    """
    Both instances, and the blocks that they are sent one after the other.
    """

    def __init__(
        self,
        urls: tuple[str, str],
        plan: Plan,
        runner: asyncio.Runner,
        files: int,
        progress: Callable[[Turn], None] | None,
        stop: threading.Event,
        timeout_s: float,
    ) -> None:
        self.sides = _Side(origin_of(urls[0])), _Side(origin_of(urls[1]))
        self.whole = schedule(plan)
        self.runner, self.files, self.stop, self.timeout_s = runner, files, stop, timeout_s
        self.told = _Told(progress, 2 * len(self.whole))
        self.not_sent, self.not_sent_reason = 0, ""

    def tried(self, until_s: float) -> float:
        """
        Send the arrivals before *until_s* to both, unmeasured, and return what slow requests take then.

        Both are warm afterwards; sessions begin anew.
        """
        slow_s = 0.0
        for number in (0, 1):
            sender = self._sent(number, Part(self.whole, 0.0, until_s), until_s, {}, self.told.of(0, 0, number))
            warm = sender.answers.dues_s() >= until_s / 2
            slow_s = max(slow_s, percentile(sender.answers.latencies_s()[warm], SLOW_PERCENT) or 0.0)
        return slow_s

    def send(self, block: int, number: int, turns: Turns) -> None:
        """
        Send one block to one side, and keep what came of it.
        """
        side, part = self.sides[number], Part(self.whole, block * turns.block_s, (block + 1) * turns.block_s)
        show = self.told.of(block + 1, turns.pairs, number)
        sender = self._sent(number, part, turns.block_s, side.cookies, show)
        self.told.add(sender)
        self.not_sent, self.not_sent_reason = (
            self.not_sent + sender.not_sent,
            sender.not_sent_reason or self.not_sent_reason,
        )
        side.add(block, sender, turns.lead_s)

    def _sent(
        self,
        number: int,
        part: Part,
        lasts_s: float,
        cookies: dict[int, aiohttp.CookieJar],
        show: Callable[[Progress], None] | None,
    ) -> Sender:
        sender = Sender(
            self.sides[number].origin, part, lasts_s, self.stop, self.timeout_s, self.files, cookies=cookies
        )
        if self.runner.run(sender.run(show)).ended_early:
            raise KeyboardInterrupt
        return sender


def route_name(route: Route) -> str:
    """
    Return the route as recordings name it, as far as the plan knows.
    """
    return f"{route.method} {route.stands_for}" if route.stands_for else route.name


def _check_urls(urls: Sequence[str], plan: Plan) -> None:
    for url in urls:
        if path_of(url) not in {"/", plan.routes[0].path}:
            raise BadValue("URL", url, expected="the same path as the other one, or scheme, host and port only")
    if origin_of(urls[0]) == origin_of(urls[1]):
        raise BadValue("URL", urls[1], expected="another instance than the first: compared with itself nothing moves")


def _turns(plan: Plan, latency_s: float) -> Turns:
    turns = turns_of(plan.duration_s, latency_s)
    if turns is None:
        raise BadValue(
            "duration",
            plan.duration_s,
            expected=f"at least {PAIRS_MIN * TURN_MIN_S:g} s: each instance gets {PAIRS_MIN} blocks or more",
        )
    return turns


class _Told:
    """
    Progress over all blocks, made of each block's own.
    """

    def __init__(self, progress: Callable[[Turn], None] | None, planned: int) -> None:
        self.progress, self.planned = progress, planned
        self.sent = self.errors = 0
        self.elapsed_s = 0.0

    def add(self, sender: Sender) -> None:
        self.sent += sender.sent
        self.errors += sender.errors
        self.elapsed_s += max(sender.duration_s, sender.answers.finished_s_max())

    def of(self, pair: int, pairs: int, side: int) -> Callable[[Progress], None] | None:
        show = self.progress
        if show is None:
            return None

        def told(progress: Progress) -> None:
            sum_of = Progress(
                elapsed_s=self.elapsed_s + progress.elapsed_s,
                planned=self.planned,
                sent=self.sent + progress.sent,
                finished=self.sent + progress.finished,
                in_flight=progress.in_flight,
                errors=self.errors + progress.errors,
                recent_p95_s=progress.recent_p95_s,
            )
            show(Turn(pair, pairs, SIDES[side], sum_of))

        return told
