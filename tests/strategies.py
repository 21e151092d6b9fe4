"""
Values for the tests of the pure half: a Profile from rows, a simulated shop, and strategies for quotes and entries.

In        rows written down in a test, or a seed
Out       Profiles, kept recordings, hypothesis strategies
Not here  what any test expects of them
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from hypothesis import strategies as st

from rung.ports import (
    Condition,
    Cost,
    Costed,
    Costs,
    Describe,
    Explain,
    Index,
    IndexColumn,
    IndexUse,
    IndexUsed,
    Plan,
    PlanNode,
    Promise,
    Question,
    RecordingFacts,
    Server,
    ServerFacts,
    Step,
    Table,
    TableColumn,
    Unavailable,
    WhatIf,
)
from rung.steps.confirm import MOVED, NOT_MOVED, TOO_LITTLE, WORSE, Side, Verdict
from rung.steps.explain.questions import Known, KnownColumn, Statistics, TableStatistics
from rung.steps.find import find
from rung.steps.find.finding import Finding, Goal, Interval
from rung.steps.ledger import OPEN, Entry
from rung.steps.measure import Profile, profile_of
from rung.steps.price.quote import (
    HAND,
    MIGRATION,
    MISSED,
    NOT_ENOUGH,
    NOT_YET,
    PATCH,
    REACHES,
    SETTING,
    BuildIndex,
    DropIndex,
    Quote,
    RoutePrice,
    Script,
)
from rung.steps.record import FORMAT, TABLES
from rung.steps.record import columns as columns_of
from rung.steps.twin.twin import Twin
from rung.steps.twin.variant import Patch, Setting
from tests import tables

SLOW, FAST = "5105105105105105", "fa57fa57fa57fa57"
TEXTS = {
    SLOW: ("SELECT * FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 20", "read"),
    FAST: ("SELECT * FROM customers WHERE id = $1", "read"),
}
WHO = ("h", "i", 1)
GOAL = Goal(percentile=95, target_s=0.05, headroom=2.0, errors_share=0.01)
AWAY = Unavailable("no database was named.")


@dataclass(frozen=True, slots=True)
class Segment:
    """
    One segment of a row; times are seconds since the app took the request.
    """

    seam: str
    start_s: float
    duration_s: float
    name: str = ""
    parent: int = -1
    calls: int = 1
    rows: int = -1
    code: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """
    One request as recorded; *due_s* is when it arrived before the app.
    """

    due_s: float
    duration_s: float
    segments: tuple[Segment, ...] = ()
    route: str = "GET /"
    queue_s: float = 0.0
    cpu_s: float = 0.0
    status: int = 200
    process: str = "h/i/1"


def profile(rows: Sequence[Row], *, name: str = "before", queue_known: bool = True, **facts: Any) -> Profile:
    """
    Return the Profile of *rows*, laid out as the SQL of measure gives them.
    """
    rows = sorted(rows, key=lambda row: row.due_s + row.queue_s)
    began_s = min(row.due_s for row in rows)
    requests = {
        "route": np.array([row.route for row in rows], dtype=object),
        "process": np.array([row.process for row in rows], dtype=object),
        "due_s": np.array([row.due_s - began_s for row in rows]),
        "arrived_s": np.array([row.due_s + row.queue_s - began_s for row in rows]),
        "queue_s": np.array([row.queue_s for row in rows]),
        "queue_known": np.full(len(rows), queue_known),
        "duration_s": np.array([row.duration_s for row in rows]),
        "cpu_s": np.array([row.cpu_s for row in rows]),
        "status": np.array([row.status for row in rows]),
    }
    placed = [(number, place, part) for number, row in enumerate(rows) for place, part in enumerate(row.segments)]
    placed.sort(key=lambda each: (each[0], each[2].start_s, -each[2].duration_s, each[1]))
    segments = {
        "request": np.array([number for number, _, _ in placed], dtype=np.int64),
        "segment": np.array([place for _, place, _ in placed], dtype=np.int64),
        **{
            field: np.array([getattr(part, field) for _, _, part in placed], dtype=kind)
            for field, kind in (
                ("parent", np.int64), ("seam", object), ("name", object), ("start_s", np.float64),
                ("duration_s", np.float64), ("calls", np.int64), ("code", object), ("rows", np.int64),
            )
        },
    }  # fmt: skip
    texts = {
        "statement": np.array(list(TEXTS), dtype=object),
        "text": np.array([text for text, _ in TEXTS.values()], dtype=object),
        "kind": np.array([kind for _, kind in TEXTS.values()], dtype=object),
        "database": np.array(["h:1/shop"] * len(TEXTS), dtype=object),
    }
    told = {"sealed": True, "processes": 1, "dropped": 0, "failures": 0, **facts}
    # Each segment is a place of its own.
    segments["place"] = np.arange(len(placed))
    return profile_of(RecordingFacts(name=name, **told), requests, segments, texts, places=segments)


def keep_recording(folder: Path, rows: Sequence[Row], **beside: Sequence[tuple[Any, ...]]) -> None:
    """
    Write *rows* as a sealed recording into *folder*, as the collector does, with rows of other tables *beside* them.
    """
    folder.mkdir(parents=True)
    who = dict(zip(("host", "instance", "worker"), WHO, strict=True))
    counted = {"started_s": 0.0, "python": "3.11", "libraries": "{}", "dropped": 0, "failures": 0}
    kept: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    kept["statements"] = [("h:1/shop", statement, *text) for statement, text in TEXTS.items()]
    kept["processes"] = [tables.row("processes", **who, **counted, requests=len(rows))]
    for table, more in beside.items():
        kept[table] += more
    for number, row in enumerate(rows):
        method, _, path = row.route.partition(" ")
        kept["requests"].append(
            tables.row(
                "requests",
                **who,
                request=number,
                kind="request",
                route=path,
                method=method,
                status=row.status,
                arrived_s=1e9 + row.due_s + row.queue_s,
                queue_s=row.queue_s,
                duration_s=row.duration_s,
                cpu_s=row.cpu_s,
                cancelled=False,
                exemplar=False,
            )
        )
        for place, part in enumerate(row.segments):
            kept["segments"].append((
                *WHO, number, place, part.parent if part.parent >= 0 else None, part.seam, part.name, part.start_s,
                part.duration_s, part.calls, None, part.code or None, part.rows if part.rows >= 0 else None,
            ))  # fmt: skip
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("SET GLOBAL pandas_analyze_sample = 0")
        for table, described in TABLES.items():
            connection.register("kept", columns_of(table, kept[table]).columns)
            chosen = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in described)
            connection.view("kept").project(chosen).write_parquet(str(folder / f"{table}.parquet"))
    (folder / "recording.json").write_text(json.dumps({"format": FORMAT, "rung": "0.1.0", "sealed": True}), "utf-8")


ORDERS, HOME = "GET /orders", "GET /home"


def shop(
    *,
    count: int = 400,
    rate_per_s: float = 20.0,
    slow_s: float = 0.08,
    fast_s: float = 0.002,
    mail_s: float = 0.0,
    connections: int = 1,
    seed: int = 1,
) -> list[Row]:
    """
    Return requests of two routes that share a pool, first come first served.

    Half go to ORDERS (one statement of *slow_s*, then *mail_s* of mail inside the transaction), half to HOME.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    free_at_s = [0.0] * connections
    rows = []
    for number, due_s in enumerate(np.cumsum(generator.exponential(1 / rate_per_s, count)).tolist()):
        ours = number % 2 == 0
        query_s = (slow_s if ours else fast_s) * float(generator.uniform(0.9, 1.1))
        waited_s = max(free_at_s[0] - due_s, 0.0)
        tail_s = mail_s if ours else 0.0
        end_s = waited_s + query_s + tail_s + (0.001 if tail_s else 0.0)
        free_at_s = sorted([due_s + end_s, *free_at_s[1:]])
        segments = [Segment("query", waited_s, query_s, SLOW if ours else FAST, rows=20, code="shop.py:1")]
        if waited_s > 0:
            segments.append(Segment("pool", 0.0, waited_s))
        if tail_s:
            segments.append(Segment("external", waited_s + query_s, tail_s, "mail"))
            segments.append(Segment("commit", waited_s + query_s + tail_s, 0.001))
        rows.append(Row(due_s, end_s + 0.001, tuple(segments), ORDERS if ours else HOME, cpu_s=0.001))
    return rows


def traffic(
    *,
    lasted_s: float = 36.0,
    rate_per_s: float = 30.0,
    times: float = 1.0,
    seed: int = 1,
    arrivals_seed: int = 1,
    route: str = ORDERS,
    status: int = 200,
) -> list[Row]:
    """
    Return requests of one route whose latencies are drawn anew by *seed*, at the arrivals of *arrivals_seed*.
    """
    moments = np.random.Generator(np.random.PCG64(arrivals_seed)).uniform(0, lasted_s, round(lasted_s * rate_per_s))
    latency_s = np.random.Generator(np.random.PCG64(seed)).lognormal(-3.0, 0.5, len(moments)) * times
    return [
        Row(due_s, taken_s, route=route, status=status)
        for due_s, taken_s in zip(np.sort(moments).tolist(), latency_s.tolist(), strict=True)
    ]


CUSTOMER_INDEX = Index("public", "orders", (IndexColumn("customer_id"), IndexColumn("created_at", descending=True)))
COLUMNS = ("id", "customer_id", "created_at", "status", "total", "deleted_at", "active")
ORDERS_TABLE = Table(
    "public",
    "orders",
    1e6,
    100_000_000,
    tuple(TableColumn(name, "bigint", 8) for name in COLUMNS),
    (Index("public", "orders", (IndexColumn("id"),)),),
)
SCAN = Plan(
    (
        PlanNode(0, "Limit", "", "", "", 20_000.0, 20.0, ""),
        PlanNode(1, "Sort", "", "", "", 20_000.0, 20.0, "", "", (Condition("Sort Key", "orders.created_at DESC"),)),
        PlanNode(
            2, "Seq Scan", "orders", "public", "", 20_000.0, 20.0, "(customer_id = $1)", "orders",
            (Condition("Filter", "(orders.customer_id = $1)"),), tuple(f"orders.{name}" for name in COLUMNS),
        ),
    )
)  # fmt: skip
BY_INDEX = Plan((PlanNode(0, "Index Scan", "orders", "public", "candidate", 9.0, 20.0, "(customer_id = $1)"),))
BY_KEY = Plan((PlanNode(0, "Index Scan", "customers", "public", "customers_pkey", 8.0, 1.0, "(id = $1)"),))


def costed(question: Costs, cost: Callable[[str, Index | None], float]) -> Costed:
    """
    Return what statements cost when each uses the best one of the indexes that there are.

    Args:
        cost: Of a statement with an index, or with none.
    """
    rows = []
    for configuration in question.configurations:
        options = [((), None), *(((place,), question.indexes[place]) for place in configuration.added)]
        least = [min((cost(text, index), used) for used, index in options) for text in question.statements]
        rows.append(tuple(Cost(each, (), (), used) for each, used in least))
    indexes = question.indexes
    sizes_bytes = tuple(31_000_000 * (len(index.columns) + len(index.include)) // 2 for index in indexes)
    return Costed(tuple(rows), ("",) * len(question.statements), sizes_bytes, ("",) * len(indexes))


def cost_of(text: str, index: Index | None) -> float:
    """
    Return what a statement of the shop costs: an index of orders by customer helps, one in their order more.
    """
    if "orders" not in text:
        return 8.0
    columns = () if index is None or index.table != "orders" else index.columns
    return 9.0 if columns[:2] == CUSTOMER_INDEX.columns else 60.0 if columns[:1] == CUSTOMER_INDEX.columns[:1] else 2e4


ORDERS_KNOWN = TableStatistics(
    "public", "orders", 1_000_000.0, 1_000_000, 0, 60.0, automatic=True, readable=True, parent=False,
    columns=(KnownColumn("id", known=True), KnownColumn("customer_id", known=True)),
)  # fmt: skip
WELL_KNOWN = Known((ORDERS_KNOWN,), target=100, standby=False)


class Shelf:
    """
    Answers about the shop's database from a table of answers; fulfils the port Planner, and counts.
    """

    def __init__(self, *, away: bool = False, known: Known = WELL_KNOWN) -> None:
        self.away, self.known, self.asked = away, known, 0

    def _say(self, answer: Any) -> Any:
        self.asked += 1
        return AWAY if self.away else answer

    def server(self, question: Server) -> Any:
        return self._say(ServerFacts("PostgreSQL 18.0", "shop", "rung"))

    def explain(self, question: Explain) -> Any:
        return self._say(SCAN if "orders" in question.statement else BY_KEY)

    def describe(self, question: Describe) -> Any:
        return self._say(ORDERS_TABLE)

    def costs(self, question: Costs) -> Any:
        return self._say(costed(question, cost_of))

    def index_use(self, question: IndexUse) -> Any:
        return self._say(IndexUsed(question.name, scans=600, there=True, valid=True))

    def statistics(self, question: Statistics) -> Any:
        return self._say(self.known)

    def what_if(self, question: WhatIf) -> Any:
        return self._say(Promise(SCAN, BY_INDEX, used=question.index == CUSTOMER_INDEX, size_bytes=30_000_000))


def answered(step: Step[Any], planner: Shelf | Callable[[Question], Any] | None = None) -> Any:
    """
    Drive *step* to its end with the answers of *planner*, by default one that is away.
    """
    shelf = Shelf(away=True) if planner is None else planner
    try:
        question = next(step)
        while True:
            answer = getattr(shelf, question.verb) if isinstance(shelf, Shelf) else shelf
            question = step.send(answer(question))
    except StopIteration as end:
        return end.value


def found(rows: Sequence[Row], *, goal: Goal = GOAL, planner: Shelf | None = None) -> Finding:
    """
    Return what find says of *rows*.
    """
    finding: Finding = answered(find(profile(rows), Twin(profile(rows)), goal), planner)
    return finding


def quote_of(**changed: Any) -> Quote:
    """
    Return the quote of an index on orders, with *changed* fields.
    """
    plan = BuildIndex(CUSTOMER_INDEX, "orders_customer_id_created_at_desc_rung", 30_000_000)
    quote = Quote(
        name="index:orders(customer_id,created_at)", rung=1, what="index orders (customer_id, created_at DESC)",
        route=ORDERS, percentile=95, now=Interval(0.2, 0.19, 0.21), predicted=Interval(0.02, 0.01, 0.03),
        cost="29 MB", verdict=REACHES, reason="", assumptions=(), plan=plan,
    )  # fmt: skip
    return replace(quote, **changed)


# What PostgreSQL takes as a name: anything but NUL, and nothing that UTF-8 cannot write.
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
plain_words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=30)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
# As a ledger keeps them, to six significant digits.
figures = st.floats(allow_nan=False, allow_infinity=False, width=64).map(lambda value: float(f"{value:.6g}"))
shares = st.floats(0, 1).map(lambda value: float(f"{value:.6g}"))
counts = st.integers(0, 2**63 - 1)
some_words = st.just("") | words
columns = st.builds(IndexColumn, words, st.booleans(), st.none() | st.booleans(), st.booleans(), some_words)
keys, carried = st.lists(columns, min_size=1, max_size=4).map(tuple), st.lists(words, max_size=2).map(tuple)
indexes = st.builds(Index, words, words, keys, carried, some_words)
intervals = st.builds(Interval, figures, figures, figures)
plans = st.builds(BuildIndex, indexes, words, counts, st.booleans(), figures, counts)
drops = st.builds(DropIndex, words, words, words, texts, counts, st.booleans())
scripts = st.builds(Script, st.lists(texts, max_size=2).map(tuple), st.lists(texts, max_size=2).map(tuple))
sides = st.builds(
    Side, recording=texts, at_percentile_s=figures, requests=counts, overall_s=figures, errors_share=shares
)
three_figures = st.tuples(figures, figures, figures)
quotes = st.builds(
    Quote,
    name=words.map("index:{}".format),
    rung=st.integers(0, 8),
    what=texts,
    route=texts,
    percentile=st.integers(50, 99),
    now=intervals,
    predicted=st.none() | intervals,
    cost=texts,
    verdict=st.sampled_from([REACHES, NOT_ENOUGH, NOT_YET, MISSED]),
    reason=texts,
    assumptions=st.lists(texts, max_size=3).map(tuple),
    plan=st.none() | plans,
    beside=st.lists(plans, max_size=2).map(tuple),
    drop=st.none() | drops,
    script=st.none() | scripts,
    setting=st.none() | st.builds(Setting, texts, texts),
    patch=st.none() | st.builds(Patch, texts, texts),
    taken_as=st.sampled_from(["", MIGRATION, SETTING, PATCH, HAND]),
    gains=st.booleans(),
    sure=st.booleans(),
    relieves=figures,
    routes=st.lists(st.builds(RoutePrice, texts, three_figures, three_figures), max_size=2).map(tuple),
    bears_per_s=st.none() | figures,
    fullest=texts,
)
verdicts = st.builds(
    Verdict,
    verdict=st.sampled_from([MOVED, NOT_MOVED, WORSE, TOO_LITTLE]),
    route=texts,
    percentile=st.integers(50, 99),
    before=sides,
    after=sides,
    ratio=st.none() | intervals,
    paired=st.booleans(),
    blocks=st.integers(0, 12),
    predicted=st.none() | intervals,
    predicted_s=st.none() | intervals,
    words=texts,
    side_effects=st.lists(texts, max_size=3).map(tuple),
    needed_s=st.none() | figures,
    used=st.lists(st.builds(IndexUsed, words, counts, st.booleans(), st.booleans()), max_size=2).map(tuple),
)
entries = st.builds(
    Entry,
    number=st.integers(1, 9999),
    bottleneck=texts,
    before=texts,
    taken=texts,
    state=st.sampled_from([OPEN, MOVED, NOT_MOVED, WORSE, TOO_LITTLE]),
    quote=quotes,
    verdict=st.none() | verdicts,
    applied=st.booleans(),
)

# Whole microseconds, so that touching and equal segments are drawn too; some reach out of their request.
moments_s = st.integers(-2, 14).map(lambda tenths: tenths / 10)
lengths_s = st.integers(0, 14).map(lambda tenths: tenths / 10)


@st.composite
def rows(draw: Callable[[Any], Any]) -> list[Row]:
    """
    Requests with nested, overlapping, out-of-range and empty segments.
    """
    made: list[Row] = []
    for number in range(draw(st.integers(1, 4))):
        parts = [
            Segment(
                draw(st.sampled_from(["pool", "connect", "query", "external", "loop", "threads", "cpu"])),
                draw(moments_s),
                draw(lengths_s),
                draw(st.sampled_from(["", SLOW, FAST])),
                parent=draw(st.integers(-1, place)),
                calls=draw(st.sampled_from([1, 1, 3])),
            )
            for place in range(draw(st.integers(0, 6)))
        ]
        made.append(
            Row(number * 0.3, draw(lengths_s), tuple(parts), queue_s=draw(lengths_s), cpu_s=draw(lengths_s)),
        )
    return made


def by_name(listed: Sequence[Quote]) -> Mapping[str, Quote]:
    """
    Return quotes by their names.
    """
    return {quote.name: quote for quote in listed}
