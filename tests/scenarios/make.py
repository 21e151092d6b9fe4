"""
Make the recordings of the scenarios: a seeded model of traffic, written as the collector writes it.

Run as `python -m tests.scenarios.make [NAME ...]`; the same seed writes the same rows.  A scenario's folder is a
whole rung folder, so `RUNG_FOLDER=tests/scenarios/unindexed_lookup rung find` shows what the test sees.

In        the models below
Out       NAME/recordings/*/*.parquet and recording.json, NAME/answers/*.jsonl
Not here  what rung says of them (expect_*.txt, test_scenarios.py), what their database answers (planned.py)
"""

from __future__ import annotations

import heapq
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from rung.adapters.recordings import EMPTY
from rung.adapters.shelf import MANIFEST
from rung.steps.record import FORMAT, NEEDED, TABLES, columns
from tests.scenarios.model import COMPUTING, DATABASE, STARTED_S, Model, Part, fingerprint
from tests.scenarios.planned import CATEGORY, IMPORT, INSERT, ORDERS, PRODUCT, SALES, STOCK, answer
from tests.tables import row

HERE = Path(__file__).parent
STAMP = "2026-11-18T09-46-40Z"
# What the second format added to the tables of the first.
ADDED = {
    "requests": {"kind", "first_byte_s", "session", "follows", "exemplar"}, "processes": {"counts", "failed_at"},
}  # fmt: skip


def shop_page(model: Model, at_s: float) -> None:
    """
    A quick page: the categories, then one product by its key.
    """
    model.request("/products/{id}", at_s, [
        Part("pool", "", model.about(0.00002)),
        Part("query", CATEGORY, model.about(0.0011), "shop/catalogue.py:21", 12),
        Part("query", PRODUCT, model.about(0.0009), "shop/catalogue.py:34", 1),
    ])  # fmt: skip


def orders_page(model: Model, at_s: float, query_s: float) -> None:
    """
    The page whose lookup has no index.
    """
    model.request("/customers/{id}/orders", at_s, [
        Part("pool", "", model.about(0.00002)),
        Part("query", ORDERS, query_s, "shop/orders.py:48", 18),
    ])  # fmt: skip


def unindexed(seed: int, *, requests: int = 480, **kept: Any) -> Model:
    """
    A third of the requests read a whole table.
    """
    model = Model(seed, **kept)
    for at_s in model.arrivals(requests):
        if model.random.random() < 0.32:
            orders_page(model, at_s, model.about(0.41))
        else:
            shop_page(model, at_s)
    return model


def pool_held() -> Model:
    """
    Five connections, one slow report that holds them, everybody waits; first come, first served.
    """
    model = Model(2)
    free_s = [0.0] * 5
    for at_s in model.arrivals(600):
        report = model.random.random() < 0.25
        wanted_s = at_s + 0.001
        start_s = max(wanted_s, heapq.heappop(free_s))
        waited = Part("pool", "", max(start_s - wanted_s, 0.00002))
        if report:
            busy_s = model.about(1.35)
            parts = [waited, Part("query", SALES, busy_s, "shop/reports.py:19", 20)]
        else:
            busy_s = model.about(0.002)
            parts = [waited, Part("query", PRODUCT, busy_s, "shop/catalogue.py:34", 1)]
        # Given back a moment later, when the rows have been read.
        heapq.heappush(free_s, start_s + busy_s + 0.003)
        model.request("/reports/sales" if report else "/products/{id}", at_s, parts)
    return model


def n_plus_one() -> Model:
    """
    A cart of forty lines asks for each product by itself.
    """
    model = Model(3)
    for at_s in model.arrivals(260):
        if model.random.random() < 0.3:
            lines = int(model.random.integers(20, 60))
            parts = [Part("pool", "", model.about(0.00002))]
            parts += [Part("query", PRODUCT, model.about(0.0085, 0.1), "shop/cart.py:27", 1) for _ in range(lines)]
            model.request("/cart", at_s, parts)
        else:
            shop_page(model, at_s)
    return model


def mail_in_request() -> Model:
    """
    A checkout tells the mail server before it answers.
    """
    model = Model(4)
    for at_s in model.arrivals(400):
        if model.random.random() < 0.25:
            model.request("/checkout", at_s, [
                Part("pool", "", model.about(0.00002)),
                Part("query", INSERT, model.about(0.0021), "shop/checkout.py:61", 1),
                Part("external", "mail", model.about(0.52), "shop/mail.py:33"),
                Part("commit", "", model.about(0.0013), "shop/checkout.py:78"),
            ], method="POST", status=303)  # fmt: skip
        else:
            shop_page(model, at_s)
    return model


def healthy() -> Model:
    """
    Nothing is slow.
    """
    model = Model(5)
    for at_s in model.arrivals(400):
        if model.random.random() < 0.3:
            orders_page(model, at_s, model.about(0.0031))
        else:
            shop_page(model, at_s)
    return model


def on_one_loop(model: Model, count: int, *, share: float, holder: Callable[[Model], Held]) -> Model:
    """
    Add *count* requests that one event loop serves, first come, first served: a *share* hold it, the others are quick.

    What waits before the app takes the request is its time in queue; what waits for a statement's answer to be looked
    at is a part of its own.
    """
    # What the loop is given: when, and either what holds it or the quick request that goes on there.
    given: list[tuple[float, int, Held | None, Quick | None]] = [
        (at_s, number, holder(model) if model.random.random() < share else None, None)
        for number, at_s in enumerate(model.arrivals(count))
    ]
    free_s, turns, last = 0.0, count, holder(model)
    while given:
        at_s, _, held, quick = heapq.heappop(given)
        start_s = max(at_s, free_s)
        if held is not None:
            model.request(held.route, start_s, [held.busy], queued_s=start_s - at_s)
            # As long as the request computes before and behind it.
            free_s, last = start_s + held.busy.duration_s + 0.0011, held
            continue
        free_s, turns = start_s + (0.0008 if quick is None else 0.0003), turns + 1
        if quick is None:
            quick = Quick(start_s, start_s - at_s)
        elif start_s - at_s > 0.001:
            seen = last.line if model.random.random() < 0.8 else None
            quick.parts.append(Part("loop", last.route, start_s - at_s, seen))
        if quick.asks:
            asked = quick.asks.pop(0)
            part = Part("query", asked.name, model.about(asked.duration_s), asked.code, asked.rows)
            quick.parts.append(part)
            heapq.heappush(given, (free_s + part.duration_s, turns, None, quick))
        else:
            model.request("/products/{id}", quick.began_s, quick.parts, queued_s=quick.queued_s)
    return model


@dataclass
class Quick:
    """
    A quick page on its way: what it asks still, and its parts so far.
    """

    began_s: float
    queued_s: float
    parts: list[Part] = field(default_factory=list)
    asks: list[Part] = field(default_factory=lambda: [
        Part("query", CATEGORY, 0.0011, "shop/catalogue.py:21", 12),
        Part("query", PRODUCT, 0.0009, "shop/catalogue.py:34", 1),
    ])  # fmt: skip


@dataclass
class Held:
    """
    A request that computes on the event loop, and the line that is seen to hold it.
    """

    route: str
    busy: Part
    line: str


def computing() -> Model:
    """
    The home page computes for long, mostly in one function, and holds the event loop meanwhile.
    """

    def home(model: Model) -> Held:
        busy = Part(COMPUTING, "shop.pages.render_home", model.about(0.31), "shop/pages.py")
        return Held("/", busy, "shop/pages.py:91")

    return on_one_loop(Model(9, older=False), 300, share=0.22, holder=home)


def loop_held() -> Model:
    """
    A report that few ask for computes on the event loop, and other pages wait for it.
    """

    def report(model: Model) -> Held:
        busy = Part(COMPUTING, "shop.reports.summed", model.about(0.42, 0.1), "shop/reports.py")
        return Held("/reports/sales", busy, "shop/reports.py:40")

    return on_one_loop(Model(10, older=False), 400, share=0.11, holder=report)


def row_lock() -> Model:
    """
    Checkouts wait for the row that an import holds; the load shares the app's machine.
    """
    model = Model(11, older=False)
    for at_s in model.arrivals(300):
        model.request("/checkout", at_s, [
            Part("query", STOCK, model.about(0.34), "shop/checkout.py:70", 1), Part("commit", "", model.about(0.0013)),
        ], method="POST", status=303)  # fmt: skip
    told = {"database": DATABASE, "kind": "client backend"}
    for query_id, text in ((1, STOCK), (2, IMPORT)):
        model.rows["statement_totals"].append(row(
            "statement_totals", database=DATABASE, at_s=STARTED_S, query_id=query_id, statement=fingerprint(text),
            text=text, kind="write", calls=1, total_s=1.0,
        ))  # fmt: skip
    for second in range(60):
        at_s = STARTED_S + second
        held = model.random.random() < 0.7
        model.rows["activity"] += [
            row("activity", **told, at_s=at_s, pid=71, state="idle in transaction", query_id=2),
            row(
                "activity", **told, at_s=at_s, pid=72, state="active", query_id=1,
                wait_type="Lock" if held else None, wait="transactionid" if held else None,
                blocked_by="71" if held else None,
            ),
        ]  # fmt: skip
        host = {"host": "shop-1", "at_s": at_s, "lasted_s": 1.0}
        model.rows["hosts"].append(row("hosts", **host, cores=2, cores_allowed=2.0, busy_s=1.1, steal_s=0.02))
        model.rows["programs"] += [
            row("programs", **host, role="load", pid=90, processes=1, cpu_s=0.62, rss_bytes=1),
            row("programs", **host, role="collector", pid=91, processes=1, cpu_s=0.04, rss_bytes=1),
        ]
    return model


def troubled() -> Model:
    """
    The app hung at the end, and the recorder had its own troubles.
    """
    model = unindexed(
        12, requests=300, older=False, dropped=2, failures=37, counts={"websockets": 5, "shed": 1},
        libraries={"fastapi": "0.165.1", "flask": "9.1.0"},
        failed_at={
            "KeyError at keep:120": 31, "TypeError at enter:40": 6,
            "rung sheds digests: it takes 0.31 s of CPU a second, 34% of the process's": 1,
        },
    )  # fmt: skip
    for number in range(4):
        for seen_s in (61.0, 62.0):
            model.rows["in_flight"].append(row(
                "in_flight", **model.named, request=9_000 + number, kind="request", route="/checkout", method="POST",
                arrived_s=STARTED_S + 50 + number, seen_s=STARTED_S + seen_s, segments=2,
                code="shop/mail.py:33" if number else None, function="SSLSocket.read" if number else "wait",
            ))  # fmt: skip
    return model


SCENARIOS: dict[str, tuple[Callable[[], Model], bool, bool]] = {
    # name: the model, whether the database's answers are kept, whether the recording was sealed
    "unindexed_lookup": (lambda: unindexed(1), True, True),
    "pool_held": (pool_held, True, True),
    "n_plus_one": (n_plus_one, True, True),
    "mail_in_request": (mail_in_request, True, True),
    "healthy": (healthy, True, True),
    "no_request_start": (lambda: unindexed(6, requests=300, request_start=False), False, True),
    "dropped_requests": (lambda: unindexed(7, requests=300, dropped=1284, failures=3), True, True),
    "unsealed": (lambda: unindexed(8, requests=300), True, False),
    "windows": (lambda: unindexed(13, requests=2400, older=False, level=2, lasts_s=240.0), True, True),
    "computing": (computing, True, True),
    "loop_held": (loop_held, True, True),
    "row_lock": (row_lock, False, True),
    "recorder_in_trouble": (troubled, True, True),
}


def recording_name(scenario: str) -> str:
    """
    The name of the one recording of a scenario.
    """
    return f"{STAMP}-{scenario.replace('_', '-')}"


def write(folder: Path, model: Model, *, sealed: bool) -> None:
    """
    Write a recording: one file a table, or parts where it was never sealed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = model.finished()
    for table in TABLES:
        if not rows[table] and table not in NEEDED:
            continue
        # What was sealed is one file a table; processes always are.
        whole = sealed or table == "processes"
        middle = len(rows[table]) if whole else len(rows[table]) // 2
        first = folder / f"{table}{'' if whole else '-000001'}.parquet"
        write_table(first, table, rows[table][:middle], older=model.older)
        if not whole:
            write_table(folder / f"{table}-000002.parquet", table, rows[table][middle:], older=model.older)
    told = {
        "format": 1 if model.older else FORMAT, "rung": "0.1.0", "name": folder.name, "started_s": STARTED_S,
        "ended_s": STARTED_S + model.lasts_s if sealed else None, "sealed": sealed, "python": "3.11.9", "libraries": {},
        "processes": 1, "requests": len(rows["requests"]), "dropped": {"requests": 0, "refused_connections": 0},
    }  # fmt: skip
    (folder / MANIFEST).write_text(json.dumps(told, indent=2) + "\n", "utf-8")


def write_table(path: Path, table: str, rows: list[tuple[Any, ...]], *, older: bool) -> None:
    """
    Write rows with the columns that a reader expects of the table, or those that an older rung wrote.
    """
    with duckdb.connect(":memory:", config={"threads": 1}) as database:
        # Object columns hold text or nothing; a sample that holds nothing must not decide otherwise.
        database.execute("SET GLOBAL pandas_analyze_sample = 0")
        database.execute(EMPTY[table])
        database.register("taken", columns(table, rows).columns)
        database.view("taken").insert_into(table)
        kept = [name for name, _ in TABLES[table] if not (older and name in ADDED.get(table, ()))]
        database.table(table).project(", ".join(kept)).write_parquet(str(path), compression="zstd")


def main(names: list[str]) -> None:
    """
    Write the named scenarios, or all.
    """
    for name, (model, answered, sealed) in SCENARIOS.items():
        if names and name not in names:
            continue
        write(HERE / name / "recordings" / recording_name(name), model(), sealed=sealed)
        if answered:
            answer(HERE / name, recording_name(name))


if __name__ == "__main__":
    main(sys.argv[1:])
