"""
Say what a span is by OpenTelemetry's semantic conventions, the stable ones and those before them.

In        Raw spans
Out       Spans: a request, a job, or something that one waits for, under a name of which there are few
Not here  which span belongs to which request (assembling.py), the texts of names (naming.py)

Of attributes nothing goes further than what stands in a Span: no address of a request, no key, no message.

Source: OpenTelemetry semantic conventions 1.20 (http.method, db.statement) and 1.40 (http.request.method,
db.query.text); tracestate probability sampling (ot=th, and ot=p before it); Honeycomb's SampleRate; Jaeger's sampler.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung.adapters.foreign.naming import (
    Names,
    error_of,
    few,
    method_of,
    route_of,
    statement_of,
    system_of,
)
from rung.adapters.foreign.span import (
    CLIENT,
    CONSUMER,
    INTERNAL,
    PRODUCER,
    SERVER,
    UNSPECIFIED,
    Account,
    Misread,
    Raw,
    Told,
    whole,
)
from rung.steps.record import FAILED_FROM, METHODS, UNMATCHED

ROUTES_MAX, NAMES_MAX, STATEMENTS_MAX, PROCESSES_MAX = 1_000, 1_000, 10_000, 10_000
SQL = frozenset({
    "postgresql", "mysql", "mariadb", "sqlite", "mssql", "microsoft.sql_server", "oracle", "oracle.db", "cockroachdb",
    "redshift", "aws.redshift", "db2", "ibm.db2", "other_sql", "sql", "trino", "clickhouse", "snowflake",
})  # fmt: skip
CACHES = frozenset({"redis", "valkey", "memcached"})
# What a span is: a unit of work, what one waits for (the recorder's seams), or nothing of its own.
REQUEST, JOB, THROUGH = "request", "task", "through"
QUERY, COMMIT, CACHE, EXTERNAL, ENQUEUE, INSIDE = "query", "commit", "cache", "external", "job", "other"
_THRESHOLD_BITS = 56


@dataclass(frozen=True, slots=True)
class Span:
    """
    One span with its meaning, in the order of the columns that spans are sorted in (sorting.py).

    Attributes:
        process: Index into Meanings.processes.
        role: REQUEST, JOB, THROUGH, or the seam of what is waited for.
        name: A route, a fingerprint, or what is there on the seam.
        rows: Returned or changed, -1 where unknown.
        kept_share: Of the requests like this one, how many were let through by a sampler that says so.
    """

    trace: str
    span: str
    parent: str
    process: int
    kind: int
    remote: bool | None
    start_s: float
    end_s: float
    role: str
    name: str
    method: str
    status: int
    error: str
    rows: int
    database: str
    kept_share: float


@dataclass(frozen=True, slots=True)
class Process:
    """
    Who recorded spans: by the names that a recording has for a process, and the service that it is of.
    """

    host: str
    instance: str
    worker: int
    service: str
    python: str


@dataclass(frozen=True, slots=True)
class Named:
    """
    What a span is, before it is put together with where and when.
    """

    role: str
    name: str
    method: str = ""
    status: int = 0
    rows: int = -1
    database: str = ""


class Meanings:
    """
    What the spans of one reading are, with the names and processes met so far.
    """

    def __init__(self, account: Account) -> None:
        self.processes: list[Process] = []
        self.texts: dict[str, tuple[str, str, str]] = {}  # fingerprint -> database, text, kind
        self._account = account
        self._places: dict[tuple[str, ...], int] = {}
        self._last: tuple[Told | None, int] = None, 0
        self._taken: set[tuple[str, str, int]] = set()
        self._routes, self._names = Names(ROUTES_MAX), Names(NAMES_MAX)

    def of(self, raw: Raw) -> Span:
        """
        Return what *raw* is.
        """
        named = self._named(raw)
        failed = raw.failed or named.status >= FAILED_FROM
        kind = error_of(raw.told.get("exception.type")) or error_of(raw.told.get("error.type"))
        unit = named.role in (REQUEST, JOB)
        return Span(
            trace=raw.trace,
            span=raw.span,
            parent=raw.parent,
            process=self._process(raw.origin),
            kind=raw.kind,
            remote=raw.remote,
            start_s=raw.start_s,
            end_s=raw.end_s,
            role=named.role,
            name=named.name,
            method=named.method,
            # A failed request of which no status is told counts as failed all the same.
            status=named.status or (500 if raw.failed and named.role == REQUEST else 200 * (named.role == REQUEST)),
            error=(kind or "error") if failed and unit else "",
            rows=named.rows,
            database=named.database,
            kept_share=kept_share(raw.told, raw.state) if unit else 1.0,
        )

    def _named(self, raw: Raw) -> Named:
        told = raw.told
        by_hand = raw.kind in (INTERNAL, UNSPECIFIED) and not raw.parent and "http.route" in told
        if raw.kind == SERVER or by_hand:
            return self._request(raw)
        if raw.kind == CONSUMER:
            return self._job(raw)
        if "asgi.event.type" in told:
            return Named(THROUGH, "")
        if any(name in told for name in ("db.system.name", "db.system", "db.statement", "db.query.text")):
            return self._database(raw)
        if raw.kind == PRODUCER or (raw.kind == CLIENT and "messaging.system" in told):
            return Named(ENQUEUE, system_of(told.get("messaging.system")) or "message")
        rpc = system_of(told.get("rpc.system.name") or told.get("rpc.system"))
        if rpc:
            stored = str(told.get("rpc.service", "")).lower() == "s3"
            return Named(EXTERNAL, "storage" if stored else rpc)
        if raw.kind == CLIENT and any(
            name in told for name in ("http.request.method", "http.method", "url.full", "http.url")
        ):
            return Named(EXTERNAL, "http")
        if raw.kind == CLIENT:
            return Named(EXTERNAL, self._few(raw.name) or "other")
        # Kind and parent decide later whether it is a unit of its own (a command, a timer).
        return Named(INSIDE, self._few(raw.name) or "(unnamed)")

    def _request(self, raw: Raw) -> Named:
        told = raw.told
        method = method_of(told.get("http.request.method") or told.get("http.method"))
        rpc = system_of(told.get("rpc.system.name") or told.get("rpc.system"))
        template = told.get("http.route") or told.get("url.template")
        first, _, rest = raw.name.partition(" ")
        if isinstance(template, str) and template:
            route, folded = route_of(template)
        elif rpc:
            method = method or "RPC"
            route, folded = few(raw.name)
        else:
            # Named by its method alone where no route of the app took it; old ones have HTTP before or instead of it.
            titled = rest if first in METHODS | {"HTTP"} else raw.name
            titled = titled.removeprefix("GET").removeprefix("POST").strip() if titled in METHODS else titled
            route, folded = UNMATCHED, False
            if titled and titled not in METHODS | {"HTTP"}:
                counted, numbered = few(titled)
                route, folded = route_of(counted)
                folded = folded or numbered
            method = method or (first if first in METHODS else "")
        kept, beyond = self._routes.kept(route)
        if folded or beyond:
            self._account.note("folded")
        return Named(REQUEST, UNMATCHED if beyond else kept, method or "OTHER", _status(told))

    def _job(self, raw: Raw) -> Named:
        told = raw.told
        destination = told.get("messaging.destination.name") or told.get("messaging.destination")
        name = next(
            (each for each in (told.get("celery.task_name"), destination) if isinstance(each, str) and each), raw.name
        )
        return Named(JOB, f"job:{self._few(name) or '(unnamed)'}")

    def _database(self, raw: Raw) -> Named:
        told = raw.told
        system = system_of(told.get("db.system.name") or told.get("db.system"))
        if system in CACHES:
            return Named(CACHE, system)
        text = told.get("db.query.text") or told.get("db.statement")
        if system and system not in SQL:
            return Named(EXTERNAL, system)
        told_text = isinstance(text, str) and text.strip() != ""
        if not told_text:
            text = self._summary(raw)
        if not isinstance(text, str) or not text:
            return Named(INSIDE, self._few(raw.name) or "(unnamed)")
        statement = statement_of(text)
        if statement.text.upper() == "COMMIT":
            return Named(COMMIT, "commit")
        database = _database_label(told)
        if statement.fingerprint not in self.texts:
            if len(self.texts) >= STATEMENTS_MAX:
                self._account.note("folded")
                return Named(QUERY, "others", database=database)
            self.texts[statement.fingerprint] = (database, statement.text, statement.kind)
        if not told_text:
            self._account.note("unworded")
        return Named(QUERY, statement.fingerprint, rows=_rows(told), database=database)

    def _summary(self, raw: Raw) -> str:
        """
        Return what stands for a statement that was not written down: what it does, and to which table.
        """
        told = raw.told
        summary = told.get("db.query.summary")
        if isinstance(summary, str) and summary:
            return few(summary)[0]
        operation = told.get("db.operation.name") or told.get("db.operation")
        if not isinstance(operation, str) or not operation:
            # An ORM's span around taking a connection from its pool is no statement.
            return "" if raw.name.lower() == "connect" or raw.kind == INTERNAL else few(raw.name)[0]
        table = told.get("db.collection.name") or told.get("db.sql.table")
        return few(f"{operation} {table}" if isinstance(table, str) else operation)[0]

    def _few(self, name: str) -> str:
        kept, folded = few(name)
        kept, beyond = self._names.kept(kept)
        if folded or beyond:
            self._account.note("folded")
        return kept

    def _process(self, origin: Told) -> int:
        if origin is self._last[0]:  # the spans of a process come together
            return self._last[1]
        key = tuple(str(origin.get(name, "")) for name in _WHO)
        if key not in self._places and len(self.processes) < PROCESSES_MAX:
            self._places[key] = len(self.processes)
            self.processes.append(self._new_process(origin))
        self._last = origin, self._places.get(key, 0)
        return self._last[1]

    def _new_process(self, origin: Told) -> Process:
        service = _told_text(origin, "service.name") or "unknown_service"
        host = _told_text(origin, "host.name", "hostname", "k8s.pod.name", "container.id", "service.instance.id")
        try:
            worker = whole(origin.get("process.pid", origin.get("pid")))
        except Misread:
            worker = 1
        worker = worker if 0 < worker < 2**31 else 1
        while (host, service, worker) in self._taken:
            worker = worker % (2**31 - 1) + 1
        self._taken.add((host, service, worker))
        return Process(host or "unknown", service, worker, service, _told_text(origin, "process.runtime.version"))


_WHO = (
    "service.namespace", "service.name", "service.instance.id", "host.name", "hostname", "k8s.pod.name", "container.id",
    "process.pid", "pid",
)  # fmt: skip


def _told_text(told: Told, *names: str) -> str:
    found = next((told[name] for name in names if isinstance(told.get(name), str) and told[name]), "")
    return "".join(letter for letter in str(found)[:80] if letter.isprintable())


def _status(told: Told) -> int:
    try:
        status = whole(told.get("http.response.status_code", told.get("http.status_code")))
    except Misread:
        return 0
    return status if 100 <= status <= 599 else 0


def _rows(told: Told) -> int:
    try:
        return max(min(whole(told.get("db.response.returned_rows")), 2**62), -1)
    except Misread:
        return -1


def _database_label(told: Told) -> str:
    host = _told_text(told, "server.address", "net.peer.name") or "unknown"
    # The stable conventions have the schema behind the database, parted by a bar.
    name = _told_text(told, "db.namespace", "db.name").partition("|")[0]
    try:
        port = whole(told.get("server.port", told.get("net.peer.port", 5432)))
    except Misread:
        port = 5432
    return f"{host}:{port if 0 < port < 65536 else 5432}/{name}"


def kept_share(told: Mapping[str, Any], state: str) -> float:
    """
    Return what share of the requests like this one a sampler let through, 1 where none says so.

    >>> kept_share({}, "ot=th:c"), kept_share({"SampleRate": 10}, ""), kept_share({}, "ot=p:3")
    (0.25, 0.1, 0.125)
    """
    found = _by_state(state)
    rate = told.get("SampleRate")
    probability = told.get("sampling.probability")
    if found is None and told.get("sampler.type") == "probabilistic":
        probability = told.get("sampler.param", probability)
    if found is None and isinstance(rate, (int, float)) and rate >= 1:
        found = 1 / rate
    if found is None and isinstance(probability, (int, float)):
        found = float(probability)
    return found if found is not None and math.isfinite(found) and 0 < found <= 1 else 1.0


def _by_state(state: str) -> float | None:
    vendors = dict(entry.strip().partition("=")[::2] for entry in state[:512].split(","))
    fields = dict(field.partition(":")[::2] for field in vendors.get("ot", "").split(";"))
    threshold, exponent = fields.get("th", ""), fields.get("p", "")
    if 1 <= len(threshold) <= 14 and all(digit in "0123456789abcdef" for digit in threshold):
        return 1 - int(threshold.ljust(14, "0"), 16) / (1 << _THRESHOLD_BITS)
    # 63 stands for a share of nothing.
    if exponent.isascii() and exponent.isdigit() and len(exponent) <= 2 and int(exponent) < 63:
        return float(2.0 ** -int(exponent))
    return None
