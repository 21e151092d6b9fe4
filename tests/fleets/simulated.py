"""
A fleet that was never there: the frames of many processes on several hosts, given to the collector's own Intake and
Writer, once as each host's recordings and once as one folder that everybody wrote to.

In        how many hosts, instances, hours, requests
Out       folders of recordings
Not here  sending and reading them
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rung import clock, frames
from rung.adapters.collector.writer import Writer
from rung.steps.record import Intake
from tests.probe import rows
from tests.tables import row

BEGAN_S = 1_795_000_000.0 - 1_795_000_000.0 % 3600
LABEL = "db.internal:5432/shop"
READ, ITEM, WRITE = "a" * 16, "b" * 16, "c" * 16
STATEMENTS = (
    (LABEL, READ, "select * from orders where customer_id = $1", "read"),
    (LABEL, ITEM, "select * from items where order_id = $1", "read"),
    (LABEL, WRITE, "update stock set n = n - $1 where id = $2", "write"),
)
PLACES = (
    (0, "query", READ, LABEL, "shop/orders.py:10"),
    (1, "query", ITEM, LABEL, "shop/orders.py:12"),
    (2, "query", WRITE, LABEL, None),
    (3, "pool", "shop", LABEL, "shop/db.py:3"),
    (4, "external", "api.example.com", None, "shop/mail.py:7"),
)
ROUTES = (("GET", "/orders/{id}"), ("GET", "/"), ("POST", "/orders"), ("GET", "/healthz"))


@dataclass(frozen=True, slots=True)
class Fleet:
    """
    How large it is.
    """

    hosts: int = 5
    instances: int = 4
    hours: int = 2
    hour_s: float = 3600.0
    requests: int = 40  # of each process and hour

    def processes(self) -> Iterator[tuple[int, int]]:
        """
        Host and worker of each.
        """
        return itertools.product(range(self.hosts), range(self.instances))


def hello(host: int, worker: int) -> frames.Hello:
    """
    Who sends: pids are the same on every host, as in containers.
    """
    return frames.Hello(
        format=frames.FORMAT, rung="0.1.0", host=f"host-{host}", instance="blue", worker=worker + 1, python="3.11",
        libraries={"starlette": "0.46"}, started_s=BEGAN_S - 60, key=host * 100 + worker + 1,
    )  # fmt: skip


def batch(fleet: Fleet, host: int, worker: int, hour: int, *, first: int = 0) -> bytes:
    """
    What a process sends in an hour, to a recording that began with the hour *first*.
    """
    drawn = np.random.default_rng([host, worker, hour])
    began_s = BEGAN_S + hour * fleet.hour_s
    arrived_s = np.sort(drawn.uniform(began_s + 1, began_s + fleet.hour_s - 30, fleet.requests))
    numbers = range(hour * fleet.requests + 1, (hour + 1) * fleet.requests + 1)
    requests = []
    for number, at_s in zip(numbers, arrived_s.tolist(), strict=True):
        requests += _request(drawn, number, at_s)
    moment_s = float(arrived_s[-1])
    code, function = "shop/render.py:5", "shop.render.page"
    return frames.encode_batch(
        requests, STATEMENTS, places=PLACES,
        in_flight=[
            (10**6 + worker, "request", "/stuck", "GET", moment_s - 9, moment_s, 2, "shop/wait.py:1", "asyncio.sleep")
        ],
        samples=[
            (at_s + 0.001, 0.02, number, "/", code if number % 3 else None, function)
            for number, at_s in zip(numbers, arrived_s.tolist(), strict=True)
        ],
        totals=[(began_s + 60, "/orders/{id}", "GET", 200, 7, 1.5, 0.2, [(0.1, 4), (0.25 + worker / 64, 3)]),
                (began_s + 60, "/orders/{id}", "GET", 500, 1, 1.5, 0.2, [(0.5, 1)])],
        counts={"dropped": hour + 1 - first, "failures": 0, "depth": worker % 2}, failed_at={},
        lines=[(moment_s, numbers[0], None, 30, "shop", "slow %s", code)],
    )  # fmt: skip


def _request(drawn: np.random.Generator, number: int, at_s: float) -> list[tuple[Any, ...]]:
    method, route = ROUTES[int(drawn.integers(len(ROUTES)))]
    place = int(drawn.integers(2)) * 4
    several = int(drawn.integers(6, 9)) if route == "/orders/{id}" else 1
    parts = [rows.segment(0, place=3, start_s=0.001, duration_s=0.004)]
    parts += [rows.segment(1, place=place, start_s=0.01, duration_s=float(drawn.uniform(0.01, 0.08)), rows=several)]
    if route == "/orders/{id}":
        parts += [
            rows.segment(2 + turn, place=1, start_s=0.1 + turn / 100, duration_s=0.005, rows=1)
            for turn in range(several)
        ]
    parts += [rows.segment(20, parent=1, place=2, start_s=0.012, duration_s=0.002, calls=3, rows=-1)]
    reads = [(1, int(drawn.integers(20)), 1, int(drawn.integers(3)), 4), (None, 7, 0, None, None)]
    duration_s = float(drawn.gamma(2.0, 0.1)) + 0.2
    made = [
        rows.request(
            number, route=route, method=method, status=500 if number % 17 == 0 else 200, arrived_s=at_s,
            queue_s=0.002 if number % 40 else None, duration_s=duration_s, cpu_s=0.01, segments=b"".join(parts),
            reads=reads, session=number % 5 or None, exemplar=number % 23 == 0,
        )
    ]  # fmt: skip
    if method == "POST":
        after = rows.segment(0, place=4, start_s=0.0, duration_s=0.2)
        made.append(
            rows.request(
                number + 10**7, kind="background", route="/orders", arrived_s=at_s + duration_s, duration_s=0.25,
                follows=number, segments=after,
            )
        )  # fmt: skip
    return made


def sampled(intake: Intake, fleet: Fleet, host: int, hour: int, *, database: bool, named: str = LABEL) -> None:
    """
    Add what a host's collector saw beside its app: its processors each minute, and the database that all share.
    """
    began_s = BEGAN_S + hour * fleet.hour_s
    name = f"host-{host}"
    for minute in range(1, 6):
        at_s = began_s + minute * fleet.hour_s / 6
        busy = row("hosts", host=name, at_s=at_s, lasted_s=60.0, cores=4, busy_s=90.0 + host, steal_s=0.5, niced_s=1.0)
        intake.sample("hosts", [busy])
        programs = [
            row("programs", host=name, at_s=at_s, lasted_s=60.0, role="app", pid=worker + 1, processes=1, cpu_s=3.0,
                nice=0, processors="0,1")
            for worker in range(fleet.instances)
        ]  # fmt: skip
        programs.append(
            row(
                "programs",
                host=name,
                at_s=at_s,
                lasted_s=60.0,
                role="collector",
                pid=99,
                processes=1,
                cpu_s=0.6,
                nice=5,
            )
        )
        intake.sample("programs", programs)
    if database:
        _database(intake, fleet, began_s + host / 1000, hour, named)


def _database(intake: Intake, fleet: Fleet, began_s: float, hour: int, named: str) -> None:
    for turn in range(3):
        at_s = began_s + 1 + turn * fleet.hour_s / 4
        counts = 1000 + (hour * 3 + turn) * 100
        intake.sample(
            "statement_totals",
            [
                row("statement_totals", database=named, at_s=at_s, query_id=place, statement=statement, text=text,
                    kind=kind, calls=counts * place, total_s=counts * place * 0.001, rows=counts, temporary_blocks=turn)
                for place, (_, statement, text, kind) in enumerate(STATEMENTS, 1)
            ],
        )  # fmt: skip
        holder = row("activity", database=named, at_s=at_s, pid=50, kind="client backend", state="idle in transaction",
                     transaction_s=10.0 + turn * fleet.hour_s / 4, query_id=3, application="psql")  # fmt: skip
        waiting = [
            row("activity", database=named, at_s=at_s, pid=pid, kind="client backend", state="active", wait_type="Lock",
                wait="tuple", query_s=2.0, query_id=3, blocked_by=blocked_by)
            for pid, blocked_by in ((60, "50"), (61, "50,60"), (62, "50,60,61"))
        ]  # fmt: skip
        intake.sample("activity", [holder, *waiting])


def write(
    folder: Path,
    fleet: Fleet,
    sending: Sequence[tuple[int, int]],
    hours: Sequence[int],
    *,
    name: str,
    host: str,
    database: int | None,
    seal: bool = True,
    server: str = "one",
    label: str = LABEL,
) -> Path:
    """
    Write one recording of those processes and hours; *database* is the host whose look at the database it has.
    """  # fmt: skip
    started_s = BEGAN_S + hours[0] * fleet.hour_s
    path = folder / "recordings" / f"{clock.stamp(started_s)}-{name}"
    path.mkdir(parents=True)
    intake = Intake()
    writer = Writer(path, name=name, started_s=started_s, say=lambda _: None)
    writer.begin(intake)
    for hour in hours:
        for place, worker in sending:
            reader = frames.Reader()
            sent = batch(fleet, place, worker, hour, first=hours[0])
            greeting, found = reader.feed(frames.encode_hello(hello(place, worker)) + sent)
            assert isinstance(greeting, frames.Hello)
            assert isinstance(found, frames.Batch)
            intake.batch(intake.hello(greeting), found)
        for place in sorted({place for place, _ in sending}):
            sampled(intake, fleet, place, hour, database=place == database, named=label)
        writer._write(intake, (), refused=0)
    intake.sampled = {"missing": {}, "database": {
        "database": label, "server": server, "clock_offset_s": 0.001 * len(host), "clock_uncertainty_s": 0.0002,
    }}  # fmt: skip
    if seal:
        writer.seal(intake, refused=0)
    elif writer._lock is not None:
        os.close(writer._lock)
    told = json.loads((path / "recording.json").read_text("utf-8"))
    ended = {"ended_s": started_s + len(hours) * fleet.hour_s} if seal else {}
    (path / "recording.json").write_text(json.dumps({**told, "host": host, **ended}), "utf-8")
    return path


def hosts_of(folder: Path, fleet: Fleet) -> list[Path]:
    """
    Write what each host's collector records, an hour each; all of them look at the one database.
    """
    return [
        write(
            folder / f"host-{host}", fleet, [(host, worker) for worker in range(fleet.instances)], [hour], name="shop",
            host=f"host-{host}", database=host,
        )
        for host in range(fleet.hosts)
        for hour in range(fleet.hours)
    ]  # fmt: skip


def one_folder(folder: Path, fleet: Fleet) -> Path:
    """
    Write the same as one recording, of which one collector looked at the database.
    """
    return write(folder, fleet, list(fleet.processes()), list(range(fleet.hours)), name="all", host="one", database=0)
