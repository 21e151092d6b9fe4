"""
One recording in the making: requests as they happen, in rows as the collector writes them.

In        parts of requests, one after the other
Out       Model, with the rows of all tables
Not here  which traffic a scenario has, writing it (make.py)
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rung.probe import sketch, windows
from rung.steps.record import TABLES
from tests.tables import row

STARTED_S = 1_795_000_000.0
DATABASE = "db.internal:5432/shop"
LASTS_S = 60.0
COMPUTING = "computing"  # of a request's parts one that is no segment
EXEMPLAR_S = 1.0


def fingerprint(text: str) -> str:
    """
    Sixteen hex digits for a statement, as a recorder gives them.
    """
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass
class Model:
    """
    Rows of one recording in the making.
    """

    seed: int
    request_start: bool = True
    dropped: int = 0
    failures: int = 0
    # The rows as the first format had them, for readers read all older ones.
    older: bool = True
    level: int = 0
    lasts_s: float = LASTS_S
    libraries: dict[str, str] = field(default_factory=lambda: {"fastapi": "0.115.0", "sqlalchemy": "2.0.40"})
    counts: dict[str, int] = field(default_factory=dict)
    failed_at: dict[str, int] = field(default_factory=dict)
    # Every request's, kept or not: route, status, duration.
    happened: list[tuple[str, int, float]] = field(default_factory=list)
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {name: [] for name in TABLES})

    def __post_init__(self) -> None:
        self.random = np.random.Generator(np.random.PCG64(self.seed))
        self.who = ("shop-1", "a", 4711)
        self.named = dict(zip(("host", "instance", "worker"), self.who, strict=True))
        self.counted: dict[tuple[float, str, str, int], dict[int, int]] = {}
        self.numbers = 0

    def arrivals(self, count: int) -> list[float]:
        """
        Moments of *count* requests, seconds after the start, at random.
        """
        return sorted(self.random.uniform(0.0, self.lasts_s, count).tolist())

    def about(self, middle_s: float, spread: float = 0.25) -> float:
        """
        A time that is often *middle_s*, and now and then much more.
        """
        return float(middle_s * self.random.lognormal(0.0, spread))

    def request(
        self, route: str, at_s: float, parts: list[Part], *, method: str = "GET", status: int = 200,
        queued_s: float = 0.0,
    ) -> None:  # fmt: skip
        """
        Add a request whose *parts* follow one another, with Python between them; the app took it at *at_s*.
        """
        number = self.numbers
        self.numbers += 1
        now_s = self.about(0.0008)
        cpu_s = now_s
        segments = []
        for place, part in enumerate(parts):
            between_s = self.about(0.0003)
            if part.seam == COMPUTING:
                self.look(number, route, at_s + now_s, part)
                now_s, cpu_s = now_s + part.duration_s, cpu_s + part.duration_s
                continue
            name = fingerprint(part.name) if part.seam == "query" else part.name
            segments.append((
                *self.who, number, place, None, part.seam, name, round(now_s, 6), round(part.duration_s, 6), part.calls,
                DATABASE if part.seam in {"query", "commit", "pool"} else None, part.code, part.rows,
            ))  # fmt: skip
            now_s, cpu_s = now_s + part.duration_s + between_s, cpu_s + between_s
            if part.seam == "query":
                self.statement(part.name)
        queue_s = round(queued_s + self.about(0.0006), 6) if self.request_start else None
        arrived_s, duration_s = round(STARTED_S + at_s, 6), round(now_s, 6)
        self.happened.append((f"{method} {route}", status, duration_s))
        exemplar = False
        if not windows.overlaps(arrived_s, arrived_s + duration_s, self.level):
            minute_s = arrived_s - arrived_s % windows.MINUTE_S
            sketch.add(self.counted.setdefault((minute_s, route, method, status), {}), duration_s)
            exemplar = duration_s >= EXEMPLAR_S
            if not exemplar:
                return
        self.rows["segments"] += segments
        self.rows["requests"].append(row(
            "requests", **self.named, request=number, kind="request", route=route, method=method, status=status,
            arrived_s=arrived_s, queue_s=queue_s, duration_s=duration_s, cpu_s=round(cpu_s, 6), cancelled=False,
            exemplar=exemplar,
        ))  # fmt: skip

    def look(self, number: int, route: str, at_s: float, part: Part) -> None:
        """
        Add looks at the stack while *part* computes, in its function and now and then in what that calls.
        """
        for moment_s in np.sort(self.random.uniform(0, part.duration_s, self.random.poisson(part.duration_s / 0.035))):
            within = self.random.random()
            line = f"{part.code}:{91 if within < 0.5 else 94}"
            function = part.name if within < 0.7 else "json.encoder.JSONEncoder.iterencode"
            if within > 0.85:
                line, function = "shop/app.py:12", "shop.app.timed"
            self.rows["samples"].append((
                *self.who, round(STARTED_S + at_s + moment_s, 6), 0.035, number, route, line, function,
            ))  # fmt: skip

    def statement(self, text: str) -> None:
        """
        Note a statement's text once.
        """
        told = (DATABASE, fingerprint(text), text, "read" if text.startswith("SELECT") else "write")
        if told not in self.rows["statements"]:
            self.rows["statements"].append(told)

    def finished(self) -> dict[str, list[tuple[Any, ...]]]:
        """
        All rows, with the process that served them.
        """
        self.rows["processes"] = [row(
            "processes", **self.named, started_s=STARTED_S - 2, python="3.11.9", libraries=json.dumps(self.libraries),
            requests=len(self.rows["requests"]), dropped=self.dropped, failures=self.failures,
            counts=json.dumps({"dropped": self.dropped, "failures": self.failures, **self.counts}),
            failed_at=json.dumps(self.failed_at),
        )]  # fmt: skip
        for (minute_s, route, method, status), bins in self.counted.items():
            self.rows["totals"].append(row(
                "totals", **self.named, from_s=minute_s, route=route, method=method, status=status,
                requests=sum(bins.values()), duration_s=0.0, cpu_s=0.0, bins=json.dumps(sketch.rows(bins)),
            ))  # fmt: skip
        return self.rows


@dataclass
class Part:
    """
    One segment of a request.
    """

    seam: str
    name: str
    duration_s: float
    code: str | None = None
    rows: int | None = None
    calls: int = 1
