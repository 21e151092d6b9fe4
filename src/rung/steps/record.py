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

from rung.frames import SEGMENT, Batch, FrameRefused, Hello, InFlight, Line, Place, Request, Sample, Total

FORMAT = 2

# The closed list of where an app waits or works.
SEAMS = frozenset({
    "queue", "cpu", "loop", "threads", "pool", "connect", "query", "lock", "commit", "cache", "external", "file",
    "job", "other",
})  # fmt: skip

LEVEL_MAX = 2**15 - 1  # of a logged line
PARTS = np.dtype(list(SEGMENT))  # of a request's packed segments

# How the recorder names requests: methods that a standard knows, and the route of one that no route of the app took.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
UNMATCHED = "(unmatched)"
FAILED_FROM = 500  # of a status

# What a unit of work is; all but "request" are outside goals.
KINDS = frozenset({"request", "background", "job"})

_PROCESS = (("host", "VARCHAR"), ("instance", "VARCHAR"), ("worker", "INTEGER"))

# table -> (column, SQL type) in order; a recording's format is this and nothing else
TABLES: dict[str, tuple[tuple[str, str], ...]] = {
    "requests": (
        *_PROCESS, ("request", "BIGINT"), ("kind", "VARCHAR"), ("route", "VARCHAR"), ("method", "VARCHAR"),
        ("status", "SMALLINT"), ("arrived_s", "DOUBLE"), ("queue_s", "DOUBLE"), ("first_byte_s", "DOUBLE"),
        ("duration_s", "DOUBLE"), ("cpu_s", "DOUBLE"), ("cancelled", "BOOLEAN"), ("error", "VARCHAR"),
        ("session", "BIGINT"), ("follows", "BIGINT"), ("exemplar", "BOOLEAN"), ("trace", "VARCHAR"),
        ("caller", "VARCHAR"),
    ),
    "segments": (
        *_PROCESS, ("request", "BIGINT"), ("segment", "INTEGER"), ("parent", "INTEGER"), ("seam", "VARCHAR"),
        ("name", "VARCHAR"), ("start_s", "DOUBLE"), ("duration_s", "DOUBLE"), ("calls", "INTEGER"),
        ("database", "VARCHAR"), ("code", "VARCHAR"), ("rows", "BIGINT"),
    ),
    "reads": (
        *_PROCESS, ("request", "BIGINT"), ("segment", "INTEGER"), ("key", "BIGINT"), ("depth", "INTEGER"),
        ("result", "BIGINT"), ("cells", "INTEGER"),
    ),
    "in_flight": (
        *_PROCESS, ("request", "BIGINT"), ("kind", "VARCHAR"), ("route", "VARCHAR"), ("method", "VARCHAR"),
        ("arrived_s", "DOUBLE"), ("seen_s", "DOUBLE"), ("segments", "INTEGER"), ("code", "VARCHAR"),
        ("function", "VARCHAR"),
    ),
    "samples": (
        *_PROCESS, ("at_s", "DOUBLE"), ("lasted_s", "DOUBLE"), ("request", "BIGINT"), ("route", "VARCHAR"),
        ("code", "VARCHAR"), ("function", "VARCHAR"),
    ),
    "totals": (
        *_PROCESS, ("from_s", "DOUBLE"), ("route", "VARCHAR"), ("method", "VARCHAR"), ("status", "SMALLINT"),
        ("requests", "BIGINT"), ("duration_s", "DOUBLE"), ("cpu_s", "DOUBLE"), ("bins", "VARCHAR"),
    ),
    "lines": (
        *_PROCESS, ("at_s", "DOUBLE"), ("request", "BIGINT"), ("segment", "INTEGER"), ("level", "SMALLINT"),
        ("logger", "VARCHAR"), ("template", "VARCHAR"), ("code", "VARCHAR"), ("error", "VARCHAR"),
    ),
    "statements": (("database", "VARCHAR"), ("statement", "VARCHAR"), ("text", "VARCHAR"), ("kind", "VARCHAR")),
    "processes": (
        *_PROCESS, ("started_s", "DOUBLE"), ("python", "VARCHAR"), ("libraries", "VARCHAR"),
        ("requests", "BIGINT"), ("dropped", "BIGINT"), ("failures", "BIGINT"), ("counts", "VARCHAR"),
        ("failed_at", "VARCHAR"), ("key", "VARCHAR"),
    ),
}  # fmt: skip

# What the collector samples beside the app.  A recording may lack any of them: no database was named, or an older
# rung wrote it.  CPU and waits are those of the `lasted_s` before `at_s`; counts and totals go back to when the
# server began to count, so that the difference of two rows says what happened between them.
_DATABASE = (("database", "VARCHAR"), ("at_s", "DOUBLE"))
SAMPLED: dict[str, tuple[tuple[str, str], ...]] = {
    "hosts": (
        ("host", "VARCHAR"), ("at_s", "DOUBLE"), ("lasted_s", "DOUBLE"), ("cores", "INTEGER"),
        ("cores_allowed", "DOUBLE"), ("busy_s", "DOUBLE"), ("iowait_s", "DOUBLE"), ("steal_s", "DOUBLE"),
        ("pressure_s", "DOUBLE"), ("load", "DOUBLE"), ("running", "INTEGER"), ("memory_bytes", "BIGINT"),
        ("memory_used_bytes", "BIGINT"), ("niced_s", "DOUBLE"),
    ),
    "programs": (
        ("host", "VARCHAR"), ("at_s", "DOUBLE"), ("lasted_s", "DOUBLE"), ("role", "VARCHAR"), ("pid", "INTEGER"),
        ("processes", "INTEGER"), ("cpu_s", "DOUBLE"), ("rss_bytes", "BIGINT"), ("nice", "INTEGER"),
        ("processors", "VARCHAR"),
    ),
    "databases": (
        *_DATABASE, ("host", "VARCHAR"), ("clock_offset_s", "DOUBLE"), ("clock_uncertainty_s", "DOUBLE"),
        ("connections", "INTEGER"), ("connections_max", "INTEGER"), ("commits", "BIGINT"), ("rollbacks", "BIGINT"),
        ("blocks_read", "BIGINT"), ("blocks_hit", "BIGINT"), ("temporary_bytes", "BIGINT"), ("deadlocks", "BIGINT"),
    ),
    "activity": (
        *_DATABASE, ("pid", "INTEGER"), ("kind", "VARCHAR"), ("state", "VARCHAR"), ("wait_type", "VARCHAR"),
        ("wait", "VARCHAR"), ("transaction_s", "DOUBLE"), ("query_s", "DOUBLE"), ("query_id", "BIGINT"),
        ("blocked_by", "VARCHAR"), ("application", "VARCHAR"),
    ),
    "statement_totals": (
        *_DATABASE, ("query_id", "BIGINT"), ("statement", "VARCHAR"), ("text", "VARCHAR"), ("kind", "VARCHAR"),
        ("calls", "BIGINT"), ("total_s", "DOUBLE"), ("rows", "BIGINT"), ("blocks_read", "BIGINT"),
        ("blocks_hit", "BIGINT"), ("temporary_blocks", "BIGINT"), ("wal_bytes", "BIGINT"), ("helpers", "BIGINT"),
    ),
    "table_totals": (
        *_DATABASE, ("schema", "VARCHAR"), ("relation", "VARCHAR"), ("rows_live", "BIGINT"), ("rows_dead", "BIGINT"),
        ("sequential_scans", "BIGINT"), ("sequential_rows", "BIGINT"), ("index_scans", "BIGINT"),
        ("index_rows", "BIGINT"), ("inserted", "BIGINT"), ("updated", "BIGINT"), ("deleted", "BIGINT"),
        ("blocks_read", "BIGINT"), ("blocks_hit", "BIGINT"), ("size_bytes", "BIGINT"),
    ),
    "index_totals": (
        *_DATABASE, ("schema", "VARCHAR"), ("relation", "VARCHAR"), ("name", "VARCHAR"), ("scans", "BIGINT"),
        ("rows_read", "BIGINT"), ("rows_fetched", "BIGINT"), ("blocks_read", "BIGINT"), ("blocks_hit", "BIGINT"),
        ("size_bytes", "BIGINT"),
    ),
}  # fmt: skip
TABLES |= SAMPLED

# Gathered as columns, not as rows.
BY_COLUMNS = frozenset({"processes", "segments"})
_HEX = frozenset("0123456789abcdef")
_NAMED = ("seam", "name", "database", "code")
_MASKED = frozenset({"parent", "rows"})

# What every recording holds, also one that an older rung wrote.
NEEDED = frozenset({"requests", "segments", "statements", "processes"})

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
    One process that sends, with the places it has named and what it has counted so far.
    """

    def __init__(self, hello: Hello, known: Process | None = None) -> None:
        self.hello = hello
        self.places: dict[int, Place] = {} if known is None else known.places
        self.requests = 0
        self.counts: dict[str, int] = {}
        self.failed_at: dict[str, int] = {}

    @property
    def who(self) -> tuple[str, str, int]:
        """
        Host, instance and worker, as every row names them.
        """
        return self.hello.host, self.hello.instance, self.hello.worker

    @property
    def run(self) -> tuple[str, str, int, float]:
        """
        As `who`, told from an earlier process of the same number.
        """
        return (*self.who, self.hello.started_s)


def parts_of(requests: Sequence[Request]) -> tuple[Any, Any]:
    """
    Return the segments of *requests* as one array (PARTS), and for each the place of its request.
    """
    parts = np.frombuffer(b"".join([request.segments for request in requests]), dtype=PARTS)
    counts = [len(request.segments) // PARTS.itemsize for request in requests]
    return parts, np.repeat(np.arange(len(requests)), counts)


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
    if kind == "DOUBLE":
        # None becomes a NaN, and no NaN is let in.
        numbers = np.array(values, dtype=dtype)
        absent = np.isnan(numbers)
        return np.ma.masked_array(numbers, absent) if absent.any() else numbers
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
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES if table not in BY_COLUMNS}
        self._segments: list[Columns] = []
        self._statements: set[tuple[str, str]] = set()
        self.sampled_rows = 0
        # What the samplers say of themselves, for the manifest.
        self.sampled: dict[str, Any] = {}

    def hello(self, hello: Hello, known: Process | None = None) -> Process:
        """
        Note who sends; the same process may say so again, with more libraries or on a new connection.

        Args:
            known: The process as another Intake had it, with the places that it will not name again.
        """
        if not 0 < hello.worker < 2**31 or not math.isfinite(hello.started_s):
            raise FrameRefused(f"a process cannot be {hello.worker}, started at {hello.started_s}")
        process = self.processes.setdefault((hello.host, hello.instance, hello.worker), Process(hello, known))
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
        for line in batch.lines:
            if not 0 <= line.at_s < math.inf or abs(line.level) > LEVEL_MAX:
                raise FrameRefused(f"a line was logged at {line.at_s} with level {line.level}")
        for place in batch.places:
            if place.seam not in SEAMS:
                raise FrameRefused(f"a place on the unknown seam {place.seam[:40]!r}")
        process.places.update((place.place, place) for place in batch.places)
        segments = _segments(process, batch.requests)
        who = process.who
        requests, reads = self._rows["requests"], self._rows["reads"]
        for request in batch.requests:
            requests.append((*who, *_fields(request)))
            for read in request.reads:
                reads.append((*who, request.request, read.segment, read.key, read.depth, read.result, read.cells))
        if segments is not None:
            self._segments.append(segments)
        self._rows["in_flight"] += [(*who, *_seen(one)) for one in batch.in_flight]
        self._rows["samples"] += [(*who, *_looked(one)) for one in batch.samples]
        self._rows["totals"] += [(*who, *_summed(one)) for one in batch.totals]
        self._rows["lines"] += [(*who, *_logged(one)) for one in batch.lines]
        for statement in batch.statements:
            key = (statement.database, statement.statement)
            if key not in self._statements:
                self._statements.add(key)
                self._rows["statements"].append((*key, statement.text, statement.kind))
        requests_count = sum(request.kind == "request" for request in batch.requests)
        process.requests += requests_count
        process.counts, process.failed_at = batch.counts, batch.failed_at
        self.requests_total += requests_count

    def sample(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """
        Add *rows*, tuples in the order of SAMPLED[table], that were seen beside the app.
        """
        assert table in SAMPLED
        self._rows[table].extend(rows)
        self.sampled_rows += len(rows)

    @property
    def held(self) -> int:
        """
        Rows gathered since the last `take`.
        """
        return sum(len(rows) for rows in self._rows.values()) + sum(part.rows for part in self._segments)

    def take(self) -> list[Columns]:
        """
        Return what was gathered since the last call, tables without rows left out.
        """
        taken = [columns(table, rows) for table, rows in self._rows.items() if rows]
        if self._segments:
            taken.append(_joined(self._segments))
            self._segments = []
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
        return sum(process.counts.get("dropped", 0) for process in self.processes.values())


def _fields(request: Request) -> tuple[Any, ...]:
    return (
        request.request, request.kind, request.route, request.method, request.status, request.arrived_s,
        request.queue_s, request.first_byte_s, request.duration_s, request.cpu_s, request.cancelled, request.error,
        request.session, request.follows, request.exemplar, request.trace, request.caller,
    )  # fmt: skip


def _seen(one: InFlight) -> tuple[Any, ...]:
    return (
        one.request, one.kind, one.route, one.method, one.arrived_s, one.seen_s, one.segments, one.code, one.function,
    )  # fmt: skip


def _looked(one: Sample) -> tuple[Any, ...]:
    return one.at_s, one.lasted_s, one.request, one.route, one.code, one.function


def _logged(one: Line) -> tuple[Any, ...]:
    return one.at_s, one.request, one.segment, one.level, one.logger, one.template, one.code, one.error


def _summed(one: Total) -> tuple[Any, ...]:
    bins = json.dumps(one.bins)
    return one.from_s, one.route, one.method, one.status, one.requests, one.duration_s, one.cpu_s, bins


def _segments(process: Process, requests: Sequence[Request]) -> Columns | None:
    """
    Return the segments of *requests* as columns, None where there are none.

    Raises:
        FrameRefused: one that cannot be true.
    """
    parts, owner = parts_of(requests)
    if not len(parts):
        return None
    number = np.array([request.request for request in requests], dtype=np.int64)[owner]
    start_s, duration_s = parts["start_s"], parts["duration_s"]
    true = (start_s >= 0) & (start_s < np.inf) & (duration_s >= 0) & (duration_s < np.inf) & (parts["calls"] >= 1)
    if not true.all():
        raise FrameRefused(f"request {number[~true][0]} has a segment with a time or count that cannot be")
    used, place = np.unique(parts["place"], return_inverse=True)
    missing = [name for name in used.tolist() if name not in process.places]
    if missing:
        raise FrameRefused(f"a segment is at the place {missing[0]}, which was not named before")
    places = [process.places[name] for name in used.tolist()]
    named = {name: _column("VARCHAR", [getattr(one, name) for one in places])[place] for name in _NAMED}
    host, instance, worker = process.who
    made: dict[str, Any] = {
        "host": np.full(len(parts), host, dtype=object), "instance": np.full(len(parts), instance, dtype=object),
        "worker": np.full(len(parts), worker, dtype=np.int32), "request": number, **named,
        "segment": parts["segment"], "start_s": start_s, "duration_s": duration_s, "calls": parts["calls"],
        "parent": np.ma.masked_equal(parts["parent"], -1), "rows": np.ma.masked_equal(parts["rows"], -1),
    }  # fmt: skip
    return Columns("segments", len(parts), {name: made[name] for name, _ in TABLES["segments"]})


def _joined(parts: Sequence[Columns]) -> Columns:
    join: Any = np.ma.concatenate
    joined = {
        name: (join if name in _MASKED else np.concatenate)([part.columns[name] for part in parts])
        for name in parts[0].columns
    }
    return Columns("segments", sum(part.rows for part in parts), joined)


def _process_row(process: Process) -> tuple[Any, ...]:
    hello = process.hello
    return (
        hello.host, hello.instance, hello.worker, hello.started_s, hello.python,
        json.dumps(hello.libraries, sort_keys=True), process.requests, process.counts.get("dropped", 0),
        process.counts.get("failures", 0), json.dumps(process.counts, sort_keys=True),
        json.dumps(process.failed_at, sort_keys=True), f"{hello.key:016x}" if hello.key else None,
    )  # fmt: skip


def _check(request: Request) -> None:
    times = (
        request.arrived_s, request.duration_s, request.cpu_s, request.queue_s or 0.0, request.first_byte_s or 0.0,
    )  # fmt: skip
    if not all(0 <= value < math.inf for value in times):
        raise FrameRefused(f"request {request.request} has a time that cannot be: {times}")
    if request.kind not in KINDS:
        raise FrameRefused(f"request {request.request} is of the unknown kind {request.kind[:40]!r}")
    if not 0 <= request.status <= 999:
        raise FrameRefused(f"request {request.request} has the status {request.status}")
    for name, digits in (("trace", 32), ("caller", 16)):
        identity = getattr(request, name)
        if identity is not None and (len(identity) != digits or not _HEX.issuperset(identity)):
            raise FrameRefused(f"request {request.request} has a {name} that is no id")
    if len(request.segments) % PARTS.itemsize:
        raise FrameRefused(f"request {request.request} has segments of {len(request.segments)} bytes")
