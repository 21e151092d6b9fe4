"""
Count what the app's processes send: requests, segments, statements, lines.

In        batches as the collector took them, after the check that they can be true
Out       observations in the registry
Not here  what is sampled beside the app (sampling.py), which traces are sent (tail.py)

A request outside of a window is in a total, and if it was slow or failed it comes as an exemplar too: that one is shown
and not counted again, nor are its segments, which are unlike the others'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rung import clock
from rung.adapters.collector.views.registry import EXEMPLAR, Registry
from rung.adapters.collector.views.senders import Source
from rung.adapters.collector.views.summary import LENGTH_MAX, OTHER_SQL, operation, summary, system_of
from rung.adapters.collector.views.table import ERROR, OTHER, ROUTE, STATEMENT
from rung.frames import Batch, Place, Request, Statement, Total
from rung.steps.record import FAILED_FROM, METHODS, UNMATCHED, parts_of
from rung.steps.trace.ids import spans_of

STATEMENTS_MAX = 20_000
SOURCES_MAX = 10_000
LONG_SEEN_S = 3.0  # requests in flight are told each second; older news is of those that have ended
_PLACE_BITS = 32  # of a pair of route and place
_LEVELS = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"), (0, "debug"))
# Counted by each process since its start.
_COUNTS = {"dropped": "rung.dropped", "failures": "rung.recorder.failures", "websockets": "rung.websockets"}


class Feeder:
    """
    Turns batches into observations.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.statements: dict[str, Statement] = {}
        self._routes: dict[str, int] = {}
        self._requests_rows: dict[tuple[str, str, int], int] = {}
        self._counted: dict[tuple[str, str, int, float], dict[str, int]] = {}
        self._long: dict[tuple[str, str, int], tuple[float, dict[str, int]]] = {}

    def batch(self, source: Source, batch: Batch, shown: Sequence[bool] | None = None) -> None:
        """
        Count one batch.

        Args:
            shown: For each request whether it may stand for its buckets; None: each of them.
        """
        registry = self._registry
        with registry.lock:
            registry.add("rung.frames")
            for statement in batch.statements:
                if len(self.statements) < STATEMENTS_MAX:
                    self.statements.setdefault(statement.statement, statement)
            self._count(source, batch)
            self._look(source, batch)
            for line in batch.lines:
                registry.add("rung.log.lines", (next(name for level, name in _LEVELS if max(0, line.level) >= level),))
            if batch.totals:
                self._totals(batch.totals)
            if batch.requests:
                self._requests(source, batch.requests, shown)

    def look(self) -> None:
        """
        Forget requests in flight that nobody has told of again.
        """
        with self._registry.lock:
            until_s = clock.monotonic_s() - LONG_SEEN_S
            self._long = {who: told for who, told in self._long.items() if told[0] >= until_s}
            sums: dict[str, int] = {}
            for _, routes in self._long.values():
                for route, count in routes.items():
                    sums[route] = sums.get(route, 0) + count
            self._registry.forget("rung.requests.long")
            for route, count in sums.items():
                self._registry.put("rung.requests.long", (route,), count)

    def _route(self, route: str) -> str:
        # By the conventions a request that no route took has none.
        return "" if route == UNMATCHED else self._registry.bounded(ROUTE, route)

    def _requests_row(self, route: str, method: str, status: int) -> int:
        key = (route, method, status)
        row = self._requests_rows.get(key)
        if row is None:
            told = method if method in METHODS else OTHER
            code = str(status) if 100 <= status < 600 else OTHER if status else ""
            labels = (self._route(route), told, code, code if status >= FAILED_FROM else "")
            row = self._registry.row("http.server.request.duration", labels)
            if labels[0] != OTHER:  # each observation that is folded is to be counted
                self._requests_rows[key] = row
        return row

    def _count(self, source: Source, batch: Batch) -> None:
        registry = self._registry
        before = self._counted.setdefault(source.run, {})
        for name, metric in _COUNTS.items():
            more = batch.counts.get(name, 0) - before.get(name, 0)
            registry.add(metric, (), max(0, more))
        before.update(batch.counts)
        while len(self._counted) > SOURCES_MAX:
            self._counted.pop(next(iter(self._counted)))

    def levels(self, connected: Sequence[Source]) -> None:
        """
        Note how many processes are connected, and what they gave up.
        """
        registry = self._registry
        registry.put("rung.processes", (), len(connected))
        known = [self._counted.get(source.run, {}) for source in connected]
        registry.put("rung.recorder.shed", (), max((counts.get("shed", 0) for counts in known), default=0))
        level = max((counts.get("level", 0) for counts in known), default=0)
        registry.put("rung.recorder.window", (), 2.0**-level)

    def _look(self, source: Source, batch: Batch) -> None:
        if not batch.in_flight:
            return
        routes: dict[str, int] = {}
        for one in batch.in_flight:
            if one.kind == "request":
                route = self._route(one.route)
                routes[route] = routes.get(route, 0) + 1
        hello = source.hello
        self._long[hello.host, hello.instance, hello.worker] = (clock.monotonic_s(), routes)

    def _totals(self, totals: Sequence[Total]) -> None:
        histograms = self._registry.histograms("http.server.request.duration")
        rows: list[int] = []
        values_s: list[float] = []
        times: list[int] = []
        for total in totals:
            row = self._requests_row(total.route, total.method, total.status)
            middles_s, counts = zip(*total.bins, strict=True) if total.bins else ((), ())
            rows += [row] * len(counts)
            values_s += middles_s
            times += counts
            histograms.add_total(
                row, total.duration_s - sum(value * count for value, count in zip(middles_s, counts, strict=True))
            )
            self._registry.add("rung.cpu.time", (self._route(total.route),), total.cpu_s)
            self._registry.add("rung.requests", ("counted",), total.requests)
        histograms.observe(np.array(rows, dtype=np.int64), np.array(values_s, dtype=float), np.array(times, np.int64))

    def _requests(self, source: Source, requests: list[Request], shown: Sequence[bool] | None) -> None:
        registry = self._registry
        numbers, cpu_s = [], dict[str, float]()
        rows: dict[str, list[tuple[int, int]]] = {"http.server.request.duration": [], "rung.work.duration": []}
        for place, request in enumerate(requests):
            route = self._route(request.route)
            numbers.append(self._routes.setdefault(route, len(self._routes)))
            if request.kind == "request":
                row = self._requests_row(request.route, request.method, request.status)
                rows["http.server.request.duration"].append((place, row))
                if not request.exemplar:
                    cpu_s[route] = cpu_s.get(route, 0.0) + request.cpu_s
            else:
                rows["rung.work.duration"].append((place, registry.row("rung.work.duration", (request.kind, route))))
            if request.error is not None:
                error = registry.bounded(ERROR, request.error.partition(" ")[0])
                registry.add("rung.errors", (route, error))
        for route, spent_s in cpu_s.items():
            registry.add("rung.cpu.time", (route,), spent_s)
        marks = _marks(source, requests)
        kept = np.array([not request.exemplar for request in requests])
        registry.add("rung.requests", ("whole",), sum(kept[place] for place, _ in rows["http.server.request.duration"]))
        visible = np.ones(len(requests), dtype=bool) if shown is None else np.array(shown, dtype=bool)
        for name, found in rows.items():
            if found:
                at, row_of = np.array(found).T
                registry.histograms(name).observe(
                    row_of, marks["value_s"][at], kept[at].astype(np.int64), marks[at], visible[at]
                )
        self._segments(source, requests, numbers, (marks, kept, visible))

    def _segments(self, source: Source, requests: list[Request], numbers: list[int], known: tuple[Any, ...]) -> None:
        marks, kept, visible = known
        parts, owner = parts_of(requests)
        number = np.array(numbers, dtype=np.int64)
        own_s, covered_s = _timeline(parts, owner, len(requests))
        seams = np.array([request.kind != "background" for request in requests])
        names = list(self._routes)
        self._rest(requests, [names[one] for one in numbers], covered_s, (marks, kept & seams, visible))
        if not len(parts):
            return
        # Which histograms a pair of route and place is counted in is looked up once for each pair.
        pairs, inverse = np.unique(number[owner] << _PLACE_BITS | parts["place"], return_inverse=True)
        looked = np.array([self._rows(source, int(pair), names) for pair in pairs], dtype=np.int64)[inverse]
        times = parts["calls"].astype(np.int64) * kept[owner]
        each = marks[owner].copy()
        serials = np.array([request.request for request in requests], dtype=np.int64)
        each["span"] = spans_of(source.key, serials[owner], parts["segment"])
        each["at_s"] += parts["start_s"] + parts["duration_s"] - marks["value_s"][owner]
        calls = np.maximum(parts["calls"], 1)
        for column, name, lasted_s in (
            (0, "rung.seam.duration", own_s), (1, "db.client.operation.duration", parts["duration_s"]),
            (2, "db.client.connection.wait_time", own_s),
        ):  # fmt: skip
            of = looked[:, column] >= 0
            if column == 0:
                of &= seams[owner]
            if of.any():
                each["value_s"] = lasted_s / calls
                self._registry.histograms(name).observe(
                    looked[of, column], each["value_s"][of], times[of], each[of], visible[owner][of]
                )

    def _rest(self, requests: list[Request], routes: list[str], covered_s: Any, known: tuple[Any, ...]) -> None:
        """
        Count what is no segment: time in the queue, the app's own computing, and what no instrument explains.
        """
        marks, kept, visible = known
        lasted_s, cpu_s = marks["value_s"], np.array([request.cpu_s for request in requests])
        queue_s = np.array([request.queue_s or 0.0 for request in requests])
        for seam, spent_s in (
            ("queue", queue_s), ("cpu", cpu_s), ("other", np.maximum(lasted_s - covered_s - cpu_s, 0.0)),
        ):  # fmt: skip
            of = kept & (spent_s > 0)
            if of.any():
                of_route = {route: self._registry.row("rung.seam.duration", (route, seam)) for route in set(routes)}
                rows = np.array([of_route[route] for route in routes])
                each = marks[of].copy()
                each["value_s"] = spent_s[of]
                self._registry.histograms("rung.seam.duration").observe(
                    rows[of], spent_s[of], np.ones(int(of.sum()), dtype=np.int64), each, visible[of]
                )

    def _rows(self, source: Source, pair: int, names: list[str]) -> tuple[int, int, int]:
        rows = source.rows.get(pair)
        if rows is None:
            place = source.places[pair & (1 << _PLACE_BITS) - 1]
            seam = self._registry.row("rung.seam.duration", (names[pair >> _PLACE_BITS], place.seam))
            statement, folded = self._statement_row(place)
            pool = -1
            if place.seam == "pool":
                name = self._registry.bounded("db.client.connection.pool.name", place.database or place.name)
                pool = self._registry.row("db.client.connection.wait_time", (name,))
            rows = (seam, statement, pool)
            if not folded:
                source.rows[pair] = rows
        return rows

    def _statement_row(self, place: Place) -> tuple[int, bool]:
        if place.seam not in {"query", "commit"}:
            return -1, False
        known = self.statements.get(place.name)
        text = known.text if known is not None else place.name.upper() if place.seam == "commit" else ""
        named = self._registry.bounded(STATEMENT, place.name)
        database = self._registry.bounded("db.namespace", (place.database or "").rpartition("/")[2])
        system = system_of(place.name)
        labels = (system, database, operation(text), summary(text), named)
        if system == OTHER_SQL:
            labels = (system, database, operation(place.name), place.name[:LENGTH_MAX], "")
        if named == OTHER:
            labels = (system, database, OTHER, OTHER, OTHER)
        return self._registry.row("db.client.operation.duration", labels), named == OTHER


def _marks(source: Source, requests: list[Request]) -> Any:
    """
    Return for each request what would stand for it in a bucket.
    """
    marks = np.zeros(len(requests), dtype=EXEMPLAR)
    numbers = np.array([request.request for request in requests], dtype=np.int64)
    marks["value_s"] = [request.duration_s for request in requests]
    marks["at_s"] = [request.arrived_s + request.duration_s for request in requests]
    marks["span"] = spans_of(source.key, numbers)
    roots = np.array([source.root(request) for request in requests], dtype=np.int64)
    marks["upper"], marks["lower"] = source.key, spans_of(source.key, roots)
    for place, request in enumerate(requests):
        if request.trace is not None:
            marks["upper"][place], marks["lower"][place] = int(request.trace[:16], 16), int(request.trace[16:], 16)
    return marks


def _timeline(parts: Any, owner: Any, requests: int) -> tuple[Any, Any]:
    """
    Return of each segment its time without what lies inside of it, and of each request the time that segments cover.
    """
    own_s = parts["duration_s"].copy()
    inside = parts["parent"] >= 0
    if inside.any():
        serials = owner.astype(np.int64) << 32
        ids = serials | parts["segment"]
        order = np.argsort(ids)
        wanted = serials[inside] | parts["parent"][inside]
        found = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
        there = ids[order][found] == wanted
        np.subtract.at(own_s, order[found[there]], parts["duration_s"][inside][there])
        own_s = np.maximum(own_s, 0.0)
    top = ~inside
    covered_s = np.zeros(requests)
    if top.any():
        begins, lasted_s, of = parts["start_s"][top], parts["duration_s"][top], owner[top]
        order = np.lexsort((begins, of))
        begins, of = begins[order], of[order]
        ends = begins + lasted_s[order]
        # Requests one behind the other on one line, so that no end of one reaches into the next.
        apart = of * (float(ends.max()) + 1.0)
        reached = np.maximum.accumulate(ends + apart)
        before = np.concatenate(([-np.inf], reached[:-1])) - apart
        np.add.at(covered_s, of, np.maximum(0.0, ends - np.maximum(begins, before)))
    return own_s, covered_s
