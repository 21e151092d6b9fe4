"""
Turn what the probes sent into the columns of a recording.

In        frames of many processes (frames.py)
Out       columns by table, ready to be written; counts; a reason to refuse a frame that cannot be true
Not here  sockets, files (adapters/collector), what the figures mean (steps/measure)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rung.frames import Batch, FrameRefused, Hello, Request, Segment

FORMAT = 1

# The closed list of where an app waits or works.
SEAMS = frozenset({
    "queue", "cpu", "loop", "threads", "pool", "connect", "query", "lock", "commit", "cache", "external", "file",
    "job", "other",
})  # fmt: skip

_PROCESS = (("host", "VARCHAR"), ("instance", "VARCHAR"), ("worker", "INTEGER"))

# table -> (column, SQL type) in order; a recording's format is this and nothing else
TABLES: dict[str, tuple[tuple[str, str], ...]] = {
    "requests": (
        *_PROCESS, ("request", "BIGINT"), ("route", "VARCHAR"), ("method", "VARCHAR"), ("status", "SMALLINT"),
        ("arrived_s", "DOUBLE"), ("queue_s", "DOUBLE"), ("duration_s", "DOUBLE"), ("cpu_s", "DOUBLE"),
        ("cancelled", "BOOLEAN"), ("error", "VARCHAR"),
    ),
    "segments": (
        *_PROCESS, ("request", "BIGINT"), ("segment", "INTEGER"), ("parent", "INTEGER"), ("seam", "VARCHAR"),
        ("name", "VARCHAR"), ("start_s", "DOUBLE"), ("duration_s", "DOUBLE"), ("calls", "INTEGER"),
        ("database", "VARCHAR"), ("code", "VARCHAR"), ("rows", "BIGINT"),
    ),
    "statements": (("database", "VARCHAR"), ("statement", "VARCHAR"), ("text", "VARCHAR"), ("kind", "VARCHAR")),
    "processes": (
        *_PROCESS, ("started_s", "DOUBLE"), ("python", "VARCHAR"), ("libraries", "VARCHAR"),
        ("requests", "BIGINT"), ("dropped", "BIGINT"), ("failures", "BIGINT"),
    ),
}  # fmt: skip

_NUMBERS: dict[str, Any] = {
    "INTEGER": np.int32, "BIGINT": np.int64, "SMALLINT": np.int16, "DOUBLE": np.float64, "BOOLEAN": np.bool_,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """
    Rows of one table, column by column, in the order of TABLES.
    """

    table: str
    rows: int
    columns: dict[str, Any]


class Process:
    """
    One process that sends, with what it has counted so far.
    """

    def __init__(self, hello: Hello) -> None:
        self.hello = hello
        self.requests = 0
        self.dropped = 0
        self.failures = 0


def columns(table: str, rows: Sequence[tuple[Any, ...]]) -> Columns:
    """
    Return *rows*, tuples in the order of TABLES, as columns; None is kept as null.
    """
    turned: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else [()] * len(TABLES[table])
    made = {name: _column(kind, list(values)) for (name, kind), values in zip(TABLES[table], turned, strict=True)}
    return Columns(table, len(rows), made)


def _column(kind: str, values: list[Any]) -> Any:
    if kind == "VARCHAR":
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    dtype = _NUMBERS[kind]
    missing = [value is None for value in values]
    if any(missing):
        return np.ma.masked_array(np.array([0 if value is None else value for value in values], dtype=dtype), missing)
    return np.array(values, dtype=dtype)


class Intake:
    """
    Gathers frames until somebody writes them.
    """

    def __init__(self) -> None:
        self.processes: dict[tuple[str, str, int], Process] = {}
        self.requests_total = 0
        self._rows: dict[str, list[tuple[Any, ...]]] = {"requests": [], "segments": [], "statements": []}
        self._statements: set[tuple[str, str]] = set()

    def hello(self, hello: Hello) -> Process:
        """
        Note who sends; the same process may say so again, with more libraries or on a new connection.
        """
        if not 0 < hello.worker < 2**31 or not math.isfinite(hello.started_s):
            raise FrameRefused(f"a process cannot be {hello.worker}, started at {hello.started_s}")
        process = self.processes.setdefault((hello.host, hello.instance, hello.worker), Process(hello))
        process.hello = hello
        return process

    def batch(self, process: Process, batch: Batch) -> None:
        """
        Add what *process* finished.

        Raises:
            FrameRefused: a value that cannot be true; nothing of the frame is kept.
        """
        for request in batch.requests:
            _check(request)
        hello = process.hello
        who = (hello.host, hello.instance, hello.worker)
        requests, segments = self._rows["requests"], self._rows["segments"]
        for request in batch.requests:
            requests.append((*who, *_fields(request)))
            for part in request.segments:
                segments.append((*who, request.request, *_parts(part)))
        for statement in batch.statements:
            key = (statement.database, statement.statement)
            if key not in self._statements:
                self._statements.add(key)
                self._rows["statements"].append((*key, statement.text, statement.kind))
        process.requests += len(batch.requests)
        process.dropped, process.failures = batch.dropped, batch.failures
        self.requests_total += len(batch.requests)

    def take(self) -> list[Columns]:
        """
        Return what was gathered since the last call, tables without rows left out.
        """
        taken = [columns(table, rows) for table, rows in self._rows.items() if rows]
        for table in self._rows:
            self._rows[table] = []
        return taken

    def processes_now(self) -> Columns:
        """
        Return every process that has reported, with its counts.
        """
        return columns("processes", [_process_row(process) for process in self.processes.values()])

    @property
    def dropped(self) -> int:
        """
        Requests that the processes themselves could not keep.
        """
        return sum(process.dropped for process in self.processes.values())


def _fields(request: Request) -> tuple[Any, ...]:
    return (
        request.request, request.route, request.method, request.status, request.arrived_s, request.queue_s,
        request.duration_s, request.cpu_s, request.cancelled, request.error,
    )  # fmt: skip


def _parts(part: Segment) -> tuple[Any, ...]:
    return (
        part.segment, part.parent, part.seam, part.name, part.start_s, part.duration_s, part.calls,
        part.database, part.code, part.rows,
    )  # fmt: skip


def _process_row(process: Process) -> tuple[Any, ...]:
    hello = process.hello
    return (
        hello.host, hello.instance, hello.worker, hello.started_s, hello.python,
        json.dumps(hello.libraries, sort_keys=True), process.requests, process.dropped, process.failures,
    )  # fmt: skip


def _check(request: Request) -> None:
    times = (request.arrived_s, request.duration_s, request.cpu_s, request.queue_s or 0.0)
    if not all(0 <= value < math.inf for value in times):
        raise FrameRefused(f"request {request.request} has a time that cannot be: {times}")
    if not 0 <= request.status <= 999:
        raise FrameRefused(f"request {request.request} has the status {request.status}")
    for part in request.segments:
        if part.seam not in SEAMS:
            raise FrameRefused(f"request {request.request} has a segment on the unknown seam {part.seam[:40]!r}")
        if not (0 <= part.start_s < math.inf and 0 <= part.duration_s < math.inf) or part.calls < 1:
            raise FrameRefused(f"request {request.request} has a segment with a time or count that cannot be")
