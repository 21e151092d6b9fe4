"""
What is counted: of requests kept whole and of those only counted, by labels whose number is bounded.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.adapters.collector.views import buckets, summary
from rung.adapters.collector.views.registry import LIMITS, Registry
from rung.adapters.collector.views.table import METRICS, OTHER, ROUTE, STATEMENT
from rung.probe import core, sketch
from rung.steps.record import METHODS, SAMPLED, UNMATCHED
from rung.trace_context import span_of, trace_of
from tests.adapters.viewing import KEY, Sending, counts, families, quiet, request, values
from tests.probe import rows

REQUESTS, SEAMS = "http.server.request.duration", "rung.seam.duration"


def test_requests_kept_whole_and_those_only_counted_make_one_histogram() -> None:
    views, _ = quiet()
    app = Sending(views)
    bins: dict[int, int] = {}
    for value_s in (0.2, 0.2, 0.004, 3.0):
        sketch.add(bins, value_s)
    total = (1_794_999_960.0, "/", "GET", 200, 4, 3.404, 0.5, sketch.rows(bins))
    app.send(request(1, duration_s=0.2, cpu_s=0.1), request(2, duration_s=0.02, cpu_s=0.1), totals=[total])
    (one,) = families(views.registry)[REQUESTS].distributions
    assert ("/", "GET", "200", "") == one.labels
    assert 6 == one.count == sum(one.classic) == sum(one.native.counts)
    assert math.isclose(3.624, one.total_s)
    below = dict(zip(buckets.BOUNDS_S, np.cumsum(one.classic)[:-1].tolist(), strict=True))
    assert (1, 2, 5, 5, 6) == (below[0.005], below[0.025], below[0.25], below[2.5], below[5.0])
    assert {("whole",): 2, ("counted",): 4} == values(views.registry, "rung.requests")
    assert {("/",): pytest.approx(0.7)} == values(views.registry, "rung.cpu.time")


def test_an_example_from_outside_a_window_is_shown_and_not_counted_twice() -> None:
    views, _ = quiet()
    app = Sending(views)
    total = (1_794_999_960.0, "/", "GET", 200, 1, 2.0, 0.1, [(2.0, 1)])
    app.send(request(9, rows.segment(), duration_s=2.0, exemplar=True), totals=[total])
    (one,) = families(views.registry)[REQUESTS].distributions
    assert 1 == one.count
    (shown,) = one.exemplars.values()
    assert (f"{trace_of(KEY, 9):032x}", f"{span_of(KEY, 9):016x}") == (shown.trace, shown.span)
    assert {} == counts(views.registry, SEAMS)
    assert {("whole",): 0, ("counted",): 1} == values(views.registry, "rung.requests")


def test_exemplars_are_recent_and_carry_the_recordings_ids() -> None:
    views, _ = quiet()
    app = Sending(views)
    trace = "0af7651916cd43dd8448eb211c80319c"
    segment = rows.segment(3, start_s=0.01, duration_s=0.3)
    app.send(
        request(1, duration_s=0.31),
        request(2, segment, duration_s=0.4, trace=trace, caller="b7ad6b7169203331"),
        request(3, duration_s=0.001),
    )
    (one,) = families(views.registry)[REQUESTS].distributions
    ids = {(shown.trace, shown.span) for shown in one.exemplars.values()}
    assert {(trace, f"{span_of(KEY, 2):016x}"), (f"{trace_of(KEY, 3):032x}", f"{span_of(KEY, 3):016x}")} == ids
    (statement,) = families(views.registry)["db.client.operation.duration"].distributions
    (shown,) = statement.exemplars.values()
    assert (trace, f"{span_of(KEY, 2, 3):016x}", 0.3) == (shown.trace, shown.span, shown.value_s)
    assert math.isclose(1_795_000_002.31, shown.at_s)


def test_every_second_of_a_request_is_on_one_seam() -> None:
    views, _ = quiet()
    app = Sending(views)
    # The pool opens a connection: a query within it; two calls at the same time; and what nobody explains.
    app.send(
        request(
            1, rows.segment(0, place=1, duration_s=0.3), rows.segment(1, parent=0, start_s=0.1, duration_s=0.1),
            rows.segment(2, place=2, start_s=0.4, duration_s=0.2),
            rows.segment(3, place=2, start_s=0.5, duration_s=0.2),
            duration_s=1.0, cpu_s=0.25, queue_s=0.05,
        ),
    )  # fmt: skip
    found = {one.labels[1]: round(one.total_s, 6) for one in families(views.registry)[SEAMS].distributions}
    assert {"queue": 0.05, "cpu": 0.25, "pool": 0.2, "query": 0.1, "external": 0.4, "other": 0.15} == found
    wait = {one.labels: one.total_s for one in families(views.registry)["db.client.connection.wait_time"].distributions}
    assert {("h:5432/shop",): pytest.approx(0.2)} == wait


def test_a_segment_that_stands_for_many_calls_counts_as_many() -> None:
    views, _ = quiet()
    app = Sending(views)
    app.send(request(1, rows.segment(0, duration_s=1.0, calls=10), duration_s=1.5))
    labels = ("postgresql", "shop", "SELECT", "SELECT orders", "f" * 16)
    assert {labels: 10} == counts(views.registry, "db.client.operation.duration")
    (one,) = families(views.registry)["db.client.operation.duration"].distributions
    assert math.isclose(1.0, one.total_s)


def test_a_statement_of_another_database_goes_by_its_summary() -> None:
    views, _ = quiet()
    Sending(views).send(request(1, rows.segment(place=7)))
    assert {("other_sql", "", "FIND", "find carts", ""): 1} == counts(views.registry, "db.client.operation.duration")


def test_jobs_and_background_work_are_no_requests() -> None:
    views, _ = quiet()
    app = Sending(views)
    app.send(
        request(1), request(2, rows.segment(), kind="background", follows=1, route="/"),
        request(3, rows.segment(), kind="job", route="job:mail", method="", status=0),
    )  # fmt: skip
    assert {("/", "GET", "200", ""): 1} == counts(views.registry, REQUESTS)
    assert {("background", "/"): 1, ("job", "job:mail"): 1} == counts(views.registry, "rung.work.duration")
    assert {"/", "job:mail"} == {route for route, _ in counts(views.registry, SEAMS)}
    assert 1 == counts(views.registry, SEAMS)["job:mail", "query"]
    assert ("/", "query") not in counts(views.registry, SEAMS)


def test_errors_unknown_methods_and_unmatched_routes() -> None:
    views, _ = quiet()
    app = Sending(views)
    app.send(
        request(1, status=500, error="ZeroDivisionError shop/x.py:3"), request(2, status=404, route="(unmatched)"),
        request(3, method="(other)"), request(4, status=0),
    )  # fmt: skip
    assert {("/", "GET", "500", "500"), ("", "GET", "404", ""), ("/", OTHER, "200", ""), ("/", "GET", "", "")} == set(
        counts(views.registry, REQUESTS)
    )
    assert {("/", "ZeroDivisionError"): 1} == values(views.registry, "rung.errors")


def test_ten_thousand_routes_and_statements_are_folded_and_counted() -> None:
    views, said = quiet()
    app = Sending(views)
    number = 10_000
    places = [(100 + n, "query", f"{n:016x}", "h:5432/shop", None) for n in range(number)]
    texts = [("h:5432/shop", f"{n:016x}", f"SELECT * FROM t{n}", "read") for n in range(number)]
    app.send(places=places, statements=texts)
    for first in range(0, number, 500):
        app.send(*[
            request(n + 1, rows.segment(place=100 + n, duration_s=0.1), route=f"/r/{n}", duration_s=0.2, cpu_s=0.0)
            for n in range(first, first + 500)
        ])  # fmt: skip
    assert not said
    routes = {labels[0] for labels in counts(views.registry, REQUESTS)}
    assert LIMITS[ROUTE] + 1 == len(routes)
    assert number - LIMITS[ROUTE] == counts(views.registry, REQUESTS)[OTHER, "GET", "200", ""]
    statements = counts(views.registry, "db.client.operation.duration")
    assert LIMITS[STATEMENT] + 1 == len(statements)
    assert number - LIMITS[STATEMENT] == statements["postgresql", "shop", OTHER, OTHER, OTHER]
    folded = values(views.registry, "rung.cardinality.folded")
    assert number - LIMITS[STATEMENT] == folded[STATEMENT,]
    assert number - LIMITS[ROUTE] <= folded[ROUTE,]
    assert 2 * (LIMITS[ROUTE] + 1) == len(counts(views.registry, SEAMS))
    assert number == sum(counts(views.registry, REQUESTS).values())


def test_what_is_of_no_bounded_label_is_bounded_all_the_same() -> None:
    registry = Registry(started_s=0.0, series_max=3)
    for number in range(10):
        registry.add("rung.errors", ("/", str(number)))
        registry.row(REQUESTS, ("/", "GET", str(number), ""))
    assert 4 == len(values(registry, "rung.errors"))
    assert 7 == values(registry, "rung.errors")[OTHER, OTHER]
    assert registry.row(REQUESTS, ("/", "PUT", "1", "")) == registry.row(REQUESTS, (OTHER,) * 4)


def test_counts_of_processes_are_added_and_go_on_over_a_new_connection() -> None:
    views, _ = quiet()
    one, other = Sending(views, 7), Sending(views, 8)
    one.send(counts={"dropped": 3, "websockets": 1, "level": 2, "shed": 1})
    other.send(counts={"dropped": 2})
    Sending(views, 7).send(counts={"dropped": 4, "websockets": 1, "level": 2, "shed": 1})
    views.second([one.process, other.process])
    assert {(): 6} == values(views.registry, "rung.dropped")
    assert {(): 1} == values(views.registry, "rung.websockets")
    assert {(): 2} == values(views.registry, "rung.processes")
    assert {(): 1} == values(views.registry, "rung.recorder.shed")
    assert {(): 0.25} == values(views.registry, "rung.recorder.window")
    views.second([])
    assert {(): 0} == values(views.registry, "rung.processes")


def test_requests_in_flight_for_long_are_there_until_nobody_tells_of_them() -> None:
    views, _ = quiet()
    app = Sending(views)
    seen = [(n, "request", "/slow", "GET", 1.0, 9.0, 0, None, None) for n in (1, 2)]
    app.send(in_flight=seen)
    views.second([app.process])
    assert {("/slow",): 2} == values(views.registry, "rung.requests.long")
    views._feeder._long = {who: (at_s - 60.0, routes) for who, (at_s, routes) in views._feeder._long.items()}
    views.second([app.process])
    assert {} == values(views.registry, "rung.requests.long")


def _row(table: str, **given: object) -> tuple[object, ...]:
    plain = {"VARCHAR": None, "DOUBLE": 0.0}
    return tuple(given.get(name, plain.get(kind, 0)) for name, kind in SAMPLED[table])


def test_what_is_sampled_becomes_metrics() -> None:
    views, said = quiet()
    host = _row("hosts", host="a", lasted_s=1.0, cores=4, busy_s=1.0, memory_bytes=100, memory_used_bytes=60)
    views.sample("hosts", [host])
    views.sample("hosts", [host])
    views.sample("programs", [_row("programs", host="a", role="app", cpu_s=0.5, rss_bytes=7) for _ in range(2)])
    views.sample("databases", [_row("databases", database="h:1/shop", connections=5, connections_max=100, commits=42)])
    views.sample("activity", [
        _row("activity", database="h:1/shop", state="active", wait_type="Lock", transaction_s=4.0),
        _row("activity", database="h:1/shop", state="active", wait_type="Lock", transaction_s=2.0),
        _row("activity", database="h:1/shop", state="idle in transaction", transaction_s=9.0),
    ])  # fmt: skip
    views.sample("index_totals", [_row("index_totals")])
    assert not said
    assert {("a",): 0.25} == values(views.registry, "system.cpu.utilization")
    assert 2.0 == values(views.registry, "rung.host.cpu.time")["a", "busy"]
    assert {("a", "used"): 60, ("a", "free"): 40} == values(views.registry, "system.memory.usage")
    assert {("a", "app"): 1.0} == values(views.registry, "rung.program.cpu.time")
    assert {("a", "app"): 14} == values(views.registry, "rung.program.memory")
    assert {("shop",): 42} == values(views.registry, "postgresql.commits")
    sessions = {("shop", "active", "Lock"): 2, ("shop", "idle in transaction", ""): 1}
    assert sessions == values(views.registry, "rung.database.sessions")
    assert {("shop",): 9.0} == values(views.registry, "rung.database.transaction.age")
    views.sample("databases", [_row("databases", database="h:1/shop", connections=5)])
    assert {} == values(views.registry, "rung.database.sessions")


def test_a_view_that_fails_is_said_once_and_the_rest_goes_on() -> None:
    views, said = quiet()
    app = Sending(views)
    views._feeder.batch = None  # type: ignore[method-assign,assignment]
    app.send(request(1))
    app.send(request(2))
    assert 2 == app.intake.requests_total
    assert ["rung: metrics and traces lack something (TypeError); recording goes on.\n"] == said
    del views._feeder.batch
    app.send(request(3))
    assert {("/", "GET", "200", ""): 1} == counts(views.registry, REQUESTS)


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=200))
def test_a_value_is_within_its_buckets(durations_s: list[float]) -> None:
    array = np.array(durations_s)
    for value_s, place, growing in zip(durations_s, buckets.classic(array), buckets.native(array), strict=True):
        assert place == len(buckets.BOUNDS_S) or value_s <= buckets.BOUNDS_S[place]
        assert not place or value_s > buckets.BOUNDS_S[place - 1]
        if growing == 0:
            assert value_s <= buckets.ZERO_S * (1 + 1e-12)
        elif growing < buckets.NATIVE - 1:
            assert buckets.upper_s(growing - 1) * (1 - 1e-12) < value_s <= buckets.upper_s(growing) * (1 + 1e-12)


@given(st.lists(st.tuples(st.floats(1e-7, 1e6), st.integers(1, 5)), min_size=1), st.sampled_from([4, 20, 160]))
def test_coarser_buckets_hold_what_the_finer_ones_held(seen: list[tuple[float, int]], most: int) -> None:
    dense = np.zeros(buckets.NATIVE, dtype=np.int64)
    np.add.at(dense, buckets.native(np.array([value_s for value_s, _ in seen])), [count for _, count in seen])
    found = buckets.sparse(dense, most)
    assert len(found.counts) <= most
    assert sum(count for _, count in seen) == found.zero + sum(found.counts)
    per_power = 2.0**found.schema
    for place in np.nonzero(dense[1:])[0]:
        upper_s = buckets.upper_s(int(place) + 1)
        index = math.ceil(math.log2(upper_s) * per_power - 1e-9)
        assert found.counts[index - found.first] >= dense[1 + place]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT a.x FROM orders AS a JOIN shop.customers c ON c.id = a.c", "SELECT orders shop.customers"),
        ('UPDATE ONLY "Order Lines" SET a = $1 FROM seen', "UPDATE OrderLines seen"),
        ("INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET a = $2", "INSERT t"),
        ("SELECT x FROM t WHERE id = $1 FOR UPDATE SKIP LOCKED", "SELECT t"),
        ("DELETE FROM t WHERE a = $1", "DELETE t"),
        ("SELECT extract(epoch FROM at) FROM visits", "SELECT visits"),
        ("SELECT * FROM generate_series($1, $2)", "SELECT"),
        ("SAVEPOINT sa_1", "SAVEPOINT"), ("BEGIN", "BEGIN"), ("", ""),
    ],
)  # fmt: skip
def test_summaries(text: str, expected: str) -> None:
    assert expected == summary.summary(text)


def test_the_table_speaks_of_everything_that_is_counted() -> None:
    assert (core.UNMATCHED, core.METHODS) == (UNMATCHED, METHODS)
    assert UNMATCHED == "(unmatched)"
    assert len(METRICS) == len({metric.prometheus_name for metric in METRICS.values()})
    assert all(metric.help.endswith(".") for metric in METRICS.values())
