"""
How well service is recovered from a client's intervals while others, unrecorded, use the same database's core.

A small app sends statements of two kinds and a trivial one; beside it a second client, of which no recording tells,
takes 0, 30 and 60 % of the database's one core.  What an execution truly takes is read from the kernel: the processor
time of the backends that served only that statement, less that of the trivial one, which is part of a round trip.

In        --quick for a short round, --json for a document
Out       recovered / true - 1 for each statement, with and without each thing that the recovery may know
Not here  waiting for the app's own loop, pool or threads (tests/steps/twin), how prices turn out (the gauntlet)

Layout: PostgreSQL on one core, both clients on the other, which is also where everything else of the machine should
be.  Linux only: affinity, /proc/PID/schedstat, /proc/stat.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import psycopg

from rung import __version__
from rung.adapters.cluster import Cluster, start_passing
from rung.ports import RecordingFacts
from rung.steps.measure import Part, Profile, profile_of
from rung.steps.measure.beside import Beside, Executions, Usage
from rung.steps.twin.recover import recover
from rung.steps.twin.workload import Op
from rung.units import show_seconds

APP_CORE, DATABASE_CORE = 0, 1
LEVELS = (0.0, 0.3, 0.6)
THREADS = 4
# What differs in more than a constant is another statement to the server.
SUM = "SELECT sum({}) FROM generate_series(1, {}) AS i"
HEAVY, LIGHT, OTHER = "i * i", "i + i", "i - i"
TRIVIAL = "SHOW search_path"
# Name, text, starts a second: the first takes some 5 ms, the second 0.5 ms, the third only its round trip.
APP = (
    ("heavy", SUM.format(HEAVY, 40_000), 20.0),
    ("light", SUM.format(LIGHT, 4_000), 40.0),
    ("trivial", TRIVIAL, 20.0),
)
OTHER_ROWS = 15_000
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
DSN = "BENCHMARK_DSN"  # in the environment: the process list is for everybody
KNOWN = ("nothing", "processor time", "server's account", "both")


@dataclass(frozen=True, slots=True)
class Call:
    """
    One execution as the client saw it.
    """

    statement: str
    begun_s: float
    lasted_s: float


@dataclass(frozen=True, slots=True)
class Seen:
    """
    One round: what the client saw, what the kernel and the server counted.
    """

    calls: tuple[Call, ...]
    true_s: Mapping[str, float]
    counted: tuple[Executions, ...]
    database_cores: float
    busy_cores: float
    lasted_s: float


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.twin.service", description="Service from waiting.")
    parser.add_argument("--quick", action="store_true", help="one round of 6 s instead of three of 15 s each")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--beside", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.beside:
        load_beside(os.environ[DSN], asked.beside)
        return
    rounds, lasted_s = (1, 6.0) if asked.quick else (3, 15.0)
    rows = list(measured(rounds, lasted_s))
    if asked.json:
        document = {"rung": __version__, "benchmark": "twin.service", "date": time.strftime("%Y-%m-%d"), "rows": rows}
        print(json.dumps(document, indent=2))
        return
    print(f"| others' share | statement | true | client saw | {' | '.join(KNOWN)} |")
    print("|--:|---|--:|--:|" + "--:|" * len(KNOWN))
    for row in rows:
        errors = " | ".join(f"{row[known]:+.0%}" for known in KNOWN)
        times = f"{show_seconds(row['true_s'])} | {show_seconds(row['seen_s'])}"
        told = f"{row['beside']:.0%} | {row['statement']} | {times}"
        print(f"| {told} | {errors} |")


def measured(rounds: int, lasted_s: float) -> Iterator[dict[str, Any]]:
    """
    Yield the medians of *rounds* for each share that others take and each statement.
    """
    os.sched_setaffinity(0, {APP_CORE})
    settings = {"shared_preload_libraries": "pg_stat_statements", "max_parallel_workers_per_gather": "0", "jit": "off"}
    with start_passing(settings=settings) as cluster:
        pin(cluster.pid)
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        seen: dict[float, list[Seen]] = {}
        # Levels take turns, so that a slow minute of the machine is not one level's.
        for _ in range(rounds):
            for level in LEVELS:
                seen.setdefault(level, []).append(one_round(cluster, level, lasted_s))
    for level, each in seen.items():
        for statement in ("heavy", "light"):
            yield row(level, statement, each)


def row(level: float, statement: str, rounds: list[Seen]) -> dict[str, Any]:
    """
    Return the medians over *rounds*.
    """
    true_s = [seen.true_s[statement] for seen in rounds]
    client_s = [
        statistics.fmean(call.lasted_s for call in seen.calls if call.statement == statement) for seen in rounds
    ]
    errors = {
        known: [recovered_s(seen, statement, known) / seen.true_s[statement] - 1 for seen in rounds] for known in KNOWN
    }
    return {
        "beside": level,
        "statement": statement,
        "true_s": statistics.median(true_s),
        "seen_s": statistics.median(client_s),
        "database_cores": statistics.median(seen.database_cores for seen in rounds),
        "others_busy": statistics.median(seen.busy_cores - seen.database_cores for seen in rounds),
        "rounds": errors,
        **{known: statistics.median(each) for known, each in errors.items()},
    }


def recovered_s(seen: Seen, statement: str, known: str) -> float:
    """
    Return the mean service that is recovered for *statement*, from what is *known* beside the client's intervals.
    """
    usage = Usage("db", seen.lasted_s, 1.0, 1.0, seen.busy_cores, 0.0, seen.database_cores, 0.0)
    beside = Beside()
    if known in {"processor time", "both"}:
        beside = replace(beside, usages=(usage,))
    else:  # that it has one core is told in any case
        beside = replace(beside, usages=(replace(usage, looked_s=0.0, busy=0.0, database=0.0),))
    if known in {"server's account", "both"}:
        beside = replace(beside, executions=seen.counted)
    workload = recover(replace(as_profile(seen), beside=beside)).workload
    chosen = (workload.part == workload.part_of(Part("query", statement))) & (workload.op == Op.EXECUTE)
    calls = sum(call.statement == statement for call in seen.calls)
    return float(workload.service_s[chosen].sum()) / calls


def as_profile(seen: Seen) -> Profile:
    """
    Return the Profile of an app whose requests are one statement each.
    """
    calls = sorted(seen.calls, key=lambda call: call.begun_s)
    count = len(calls)
    begun_s, lasted_s = (np.array([getattr(call, name) for call in calls]) for name in ("begun_s", "lasted_s"))
    names = np.array([call.statement for call in calls], dtype=object)
    same = {name: np.full(count, value, dtype=object) for name, value in (("code", ""), ("seam", "query"))}
    requests = {
        "route": names, "process": np.full(count, "app/i/1", dtype=object), "due_s": begun_s - begun_s[0],
        "arrived_s": begun_s - begun_s[0], "queue_s": np.zeros(count), "queue_known": np.zeros(count),
        "duration_s": lasted_s, "cpu_s": np.zeros(count), "status": np.full(count, 200),
    }  # fmt: skip
    segments = {
        "request": np.arange(count), "segment": np.zeros(count), "parent": np.full(count, -1), "name": names,
        "start_s": np.zeros(count), "duration_s": lasted_s, "calls": np.ones(count, dtype=np.int64),
        "rows": np.ones(count), "place": np.arange(count), **same,
    }  # fmt: skip
    statements = [name for name, _, _ in APP]
    texts = {
        "statement": np.array(statements, dtype=object),
        "text": np.array([text for _, text, _ in APP], dtype=object),
        "kind": np.full(len(APP), "read", dtype=object),
        "database": np.full(len(APP), "db:1/x", dtype=object),
    }
    return profile_of(RecordingFacts("service", True, 1, 0, 0), requests, segments, texts, places=segments)


# Load


def one_round(cluster: Cluster, level: float, lasted_s: float) -> Seen:
    """
    Send the app's statements for a while, with others taking *level* of the database's core.
    """
    with beside(cluster, level), Clients(cluster.dsn()) as clients:
        time.sleep(0.5)
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute("SELECT pg_stat_statements_reset()")
            before, used_s, busy_s, begun_s = clients.computed_s(), server_s(cluster.pid), core_s(), time.monotonic()
            calls = clients.send(lasted_s)
            ended_s = time.monotonic() - begun_s
            after, used_s, busy_s = clients.computed_s(), server_s(cluster.pid) - used_s, core_s() - busy_s
            counted = connection.execute(
                "SELECT query, calls, total_exec_time / 1000 FROM pg_stat_statements WHERE dbid ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).fetchall()
    of = {name: sum(call.statement == name for call in calls) for name, _, _ in APP}
    each_s = {name: (after[name] - before[name]) / max(of[name], 1) for name in of}
    return Seen(
        calls=tuple(calls),
        true_s={name: each_s[name] - each_s["trivial"] for name in each_s},
        counted=executions(counted, of),
        database_cores=used_s / ended_s,
        busy_cores=busy_s / ended_s,
        lasted_s=ended_s,
    )


def executions(rows: list[tuple[Any, ...]], of: Mapping[str, int]) -> tuple[Executions, ...]:
    """
    Return what the server counted, by the names that the statements have here.
    """
    found = []
    for text, calls, total_s in rows:
        name = ""
        if HEAVY in text:
            name = "heavy"
        elif LIGHT in text:
            name = "light"
        elif text.startswith("SHOW"):
            name = "trivial"
        found.append(Executions(name, "db:1/x", int(calls), float(total_s)))
    assert {each.statement for each in found} >= {name for name, count in of.items() if count}
    return tuple(found)


class Clients:
    """
    Threads with a connection each, a few for every statement, so that a backend serves only one of them.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connections: dict[str, list[psycopg.Connection[Any]]] = {}

    def __enter__(self) -> Self:
        for name, _, _ in APP:
            self._connections[name] = [psycopg.connect(self._dsn, autocommit=True) for _ in range(THREADS)]
        return self

    def __exit__(self, *_: object) -> None:
        for connections in self._connections.values():
            for connection in connections:
                connection.close()

    def computed_s(self) -> dict[str, float]:
        """
        Return the processor time of each statement's backends.
        """
        return {
            name: sum(scheduled_s(connection.info.backend_pid) for connection in connections)
            for name, connections in self._connections.items()
        }

    def send(self, lasted_s: float) -> list[Call]:
        """
        Send for *lasted_s*, and return what was seen.
        """
        calls: list[Call] = []
        until_s = time.monotonic() + lasted_s
        threads = []
        for seed, (name, text, rate_per_s) in enumerate(APP):
            for place, connection in enumerate(self._connections[name]):
                draw = random.Random(seed * THREADS + place)
                given = (connection, name, text, rate_per_s / THREADS, draw, until_s, calls)
                threads.append(threading.Thread(target=_send, args=given))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return calls


def _send(
    connection: psycopg.Connection[Any],
    name: str,
    text: str,
    rate_per_s: float,
    draw: random.Random,
    until_s: float,
    calls: list[Call],
) -> None:
    while time.monotonic() < until_s:
        time.sleep(draw.expovariate(rate_per_s))
        begun_s = time.monotonic()
        connection.execute(text).fetchall()
        calls.append(Call(name, begun_s, time.monotonic() - begun_s))


@contextmanager
def beside(cluster: Cluster, level: float) -> Iterator[None]:
    """
    Have others take *level* of the database's core meanwhile.
    """
    if not level:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.twin.service", "--beside", str(level)]
    process = subprocess.Popen(command, env={**os.environ, DSN: cluster.dsn()})
    try:
        time.sleep(1.5)
        yield
    finally:
        process.kill()
        process.wait()


def load_beside(dsn: str, level: float) -> None:
    """
    Take *level* of the server's core until this process is ended, or for two minutes.
    """
    os.sched_setaffinity(0, {APP_CORE})
    text = SUM.format(OTHER, OTHER_ROWS)
    until_s = time.monotonic() + 120
    with psycopg.connect(dsn, autocommit=True) as connection:
        pid = connection.info.backend_pid
        begun_s = scheduled_s(pid)
        for _ in range(40):
            connection.execute(text).fetchall()
        each_s = (scheduled_s(pid) - begun_s) / 40

    def send(seed: int) -> None:
        draw = random.Random(1000 + seed)
        due_s = time.monotonic()
        with psycopg.connect(dsn, autocommit=True) as connection:
            while time.monotonic() < until_s:
                due_s += draw.expovariate(level / each_s / THREADS)
                time.sleep(max(due_s - time.monotonic(), 0.0))
                connection.execute(text).fetchall()

    for seed in range(THREADS):
        threading.Thread(target=send, args=(seed,), daemon=True).start()
    time.sleep(120)


# What the kernel counts


def pin(postmaster: int) -> None:
    """
    Put the server, with what it has started, on its core; what it starts later inherits that.
    """
    for pid in (postmaster, *children(postmaster)):
        os.sched_setaffinity(pid, {DATABASE_CORE})


def children(pid: int) -> list[int]:
    """
    Return the processes that *pid* started.
    """
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()]


def scheduled_s(pid: int) -> float:
    """
    Return the processor time of a process, to the nanosecond.
    """
    return int(Path(f"/proc/{pid}/schedstat").read_text("utf-8").split()[0]) / 1e9


def server_s(postmaster: int) -> float:
    """
    Return the processor time of the server's living processes.
    """
    return sum(scheduled_s(pid) for pid in (postmaster, *children(postmaster)))


def core_s() -> float:
    """
    Return for how long the database's core was busy with anything.
    """
    line = next(
        line for line in Path("/proc/stat").read_text("utf-8").splitlines() if line.startswith(f"cpu{DATABASE_CORE} ")
    )
    user, nice, system, _idle, _wait, *rest = (int(text) for text in line.split()[1:9])
    return (user + nice + system + sum(rest)) / TICKS_PER_S


if __name__ == "__main__":
    main()
