"""
Gather what was seen beside the requests: who computes, who waits for locks, what never ended, what else was busy.

In        the tables samples, activity, in_flight, hosts, programs, statement_totals of one recording, asked for as rows
Out       Beside: shares and counts, to be told as evidence and as doubts
Not here  the requests themselves (measure/__init__.py), what is worth telling (find/)

A look is a moment at which a sampler looked: the probe at the stacks 20 to 50 times a second, the collector at the
database once a second.  Looks tell shares, not amounts, and few of them tell nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rung.ports import Column, Rows, Step
from rung.steps.measure.questions import sql


@dataclass(frozen=True, slots=True)
class Computing:
    """
    One place that was seen computing for a route.

    Attributes:
        code: The innermost line of the user's code, "" where none was on the stack.
        function: The innermost function, the user's or a library's, with its module.
        looks: How often.
    """

    route: str
    code: str
    function: str
    looks: int


@dataclass(frozen=True, slots=True)
class Blocker:
    """
    What was in the way of a statement that waited for a lock.

    Attributes:
        text: The statement that the other connection ran, or had run last; "" for unknown.
        state: As pg_stat_activity has it: "active", "idle in transaction"; "" for unknown.
        looks: How often.
        holder: The fingerprint of that statement, "" for unknown.
        application: The well-known program that the connection calls itself, "" for others.
    """

    text: str
    state: str
    looks: int
    holder: str = ""
    application: str = ""


@dataclass(frozen=True, slots=True)
class Locked:
    """
    How often a statement was seen executing, how often it waited for a lock then, and for whom, the worst first.

    Attributes:
        at_once: How many connections, whatever they ran, were seen waiting for locks at once.
    """

    looks: int
    waiting: int
    blockers: tuple[Blocker, ...] = ()
    at_once: int = 0


@dataclass(frozen=True, slots=True)
class Idle:
    """
    Transactions that were open and idle after the same statement.

    Attributes:
        statement, text: What they had run last; "" for unknown.
        application: The well-known program that the connections call themselves, "" for others.
        transactions: How many.
        looks: How often they were seen so.
        longest_s: Over how long the longest was seen so.
    """

    statement: str
    text: str
    application: str
    transactions: int
    looks: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class Unfinished:
    """
    Requests that had not ended when their process was last heard of.

    Attributes:
        code: The user's line that they waited at, "" for unknown.
        function: The innermost function there.
        longest_s: How long the oldest of them had been in flight.
    """

    route: str
    code: str
    function: str
    requests: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class Machine:
    """
    What of a host's cores, while there was traffic, was taken by what is not the app; shares of one.

    Attributes:
        looked_s: For how long it was looked at.
        steal_share: What the machine beneath gave to others.
    """

    host: str
    looked_s: float
    load_share: float
    collector_share: float
    steal_share: float


@dataclass(frozen=True, slots=True)
class Usage:
    """
    How many cores a host has, and how many of them were busy on average while there was traffic.

    Attributes:
        cores: That what runs there may use; a fraction where a container has no more.
        cores_all: That the machine has.
        busy: Of all of them, whatever ran and was not niced.
        app, database, tools: With the app, the database server, and rung's own load and collector where not niced.
        app_processors, database_processors: Which of them these may use; empty where that is not known.
    """

    host: str
    looked_s: float
    cores: float
    cores_all: float
    busy: float
    app: float
    database: float
    tools: float
    app_processors: frozenset[int] = frozenset()
    database_processors: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Executions:
    """
    What the server itself counted of a statement, or of all that the recorded app did not issue ("").

    Attributes:
        helpers: Parallel workers that were started for it.
        rows: That it gave or changed.
        temporary_bytes: That it wrote to temporary files: what did not fit into work_mem.
    """

    statement: str
    database: str
    calls: int
    total_s: float
    helpers: int = 0
    rows: int = 0
    temporary_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Beside:
    """
    What was seen beside the requests; nothing of it in a recording that an older rung wrote.

    Attributes:
        locks: By fingerprint of the statement.
        workers: Processor seconds of app processes by host and pid.
    """

    computing: tuple[Computing, ...] = ()
    locks: Mapping[str, Locked] = field(default_factory=dict)
    unfinished: tuple[Unfinished, ...] = ()
    machines: tuple[Machine, ...] = ()
    usages: tuple[Usage, ...] = ()
    executions: tuple[Executions, ...] = ()
    workers: Mapping[tuple[str, int], float] = field(default_factory=dict)
    idle: tuple[Idle, ...] = ()


def look_beside() -> Step[Beside]:
    """
    Ask for what was seen beside the requests.
    """
    computing = yield Rows(sql("computing"))
    locks = yield Rows(sql("locks"))
    blockers = yield Rows(sql("blockers"))
    unfinished = yield Rows(sql("unfinished"))
    machines = yield Rows(sql("machines"))
    usages = yield Rows(sql("usage"))
    executions = yield Rows(sql("executions"))
    workers = yield Rows(sql("workers"))
    idle = yield Rows(sql("idle"))
    return Beside(
        computing=tuple(Computing(*row) for row in _tuples(computing, "route", "code", "function", "looks")),
        locks=_locks(locks, blockers),
        unfinished=tuple(
            Unfinished(*row) for row in _tuples(unfinished, "route", "code", "function", "requests", "longest_s")
        ),
        machines=tuple(
            Machine(*row)
            for row in _tuples(machines, "host", "looked_s", "load_share", "collector_share", "steal_share")
        ),
        usages=_usages(usages),
        executions=tuple(
            Executions(*row)
            for row in _tuples(
                executions, "statement", "database", "calls", "total_s", "helpers", "given", "temporary_bytes"
            )
        ),
        workers={(host, pid): cpu_s for host, pid, cpu_s in _tuples(workers, "host", "pid", "cpu_s")},
        idle=tuple(
            Idle(*row)
            for row in _tuples(idle, "statement", "text", "application", "transactions", "looks", "longest_s")
        ),
    )


def _locks(locks: Mapping[str, Column], blockers: Mapping[str, Column]) -> dict[str, Locked]:
    by_statement: dict[str, list[Blocker]] = {}
    for statement, *blocker in _tuples(blockers, "statement", "text", "state", "looks", "holder", "application"):
        by_statement.setdefault(statement, []).append(Blocker(*blocker))
    return {
        statement: Locked(looks, waiting, tuple(by_statement.get(statement, ())), at_once)
        for statement, looks, waiting, at_once in _tuples(locks, "statement", "looks", "waiting", "at_once")
    }


def _usages(rows: Mapping[str, Column]) -> tuple[Usage, ...]:
    shares = _tuples(rows, "host", "looked_s", "cores", "cores_all", "busy", "app", "database", "tools")
    places = _tuples(rows, "app_processors", "database_processors")
    return tuple(Usage(*share, *map(_processors, told)) for share, told in zip(shares, places, strict=True))


def _processors(told: str) -> frozenset[int]:
    return frozenset(int(number) for number in told.split(",") if number)


def _tuples(rows: Mapping[str, Column], *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(rows[name].tolist() for name in names), strict=True))
