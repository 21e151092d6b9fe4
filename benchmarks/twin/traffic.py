"""
Write a recording of a shop's traffic of any length, as a collector would have left it.

The twin has to be given something to do, so nothing in it is left out: six routes of which one misses the goal because
a statement has no index, one asks row by row, one sends a mail; several app processes on the database's host, looks at
stacks, the server's own account, digests of reads.  Rates rise and fall, so that there is a peak.

In        minutes, requests a second, app processes, a seed
Out       a sealed recording in a folder, and tables for a database that its statements can be planned against
Not here  running anything on it (hour.py)

Drawn in columns and joined with its texts by DuckDB: an hour of it takes about as long as looking at it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from rung import __version__
from rung.adapters.recordings import EMPTY
from rung.adapters.shelf import MANIFEST
from rung.steps.record import FORMAT, NEEDED, TABLES

STARTED_S = 1_795_000_020.0  # at a full minute
NAME = "2026-11-18T09-47-00Z-shop"
HOST, INSTANCE, FIRST_PID = "shop-1", "a", 4711
DATABASE = "127.0.0.1:5432/shop"
CORES = 16
SPREAD = 0.35  # of the logarithm of what anything takes
BETWEEN_S = 0.00015  # computed between two segments
TRIP_S = 0.0002
WAVE_SHARE, WAVE_S = 0.25, 600.0  # by how much rates rise and fall, and how often
LOOK_S, ACCOUNT_S = 0.05, 30.0
ORDERS_OF = {"requests": "arrived_s", "segments": "request, segment"}
KEYS = 20_000
DEPTH = 2  # the reads of one key in four are kept

CATEGORY = "SELECT category.id, category.name FROM category ORDER BY category.name"
PRODUCT = "SELECT product.id, product.name, product.price FROM product WHERE product.id = $1"
ORDERS = (
    "SELECT orders.id, orders.total, orders.created_at FROM orders WHERE orders.customer_id = $1"
    " ORDER BY orders.created_at DESC LIMIT $2"
)
SALES = "SELECT product_id, sum(quantity) FROM order_line GROUP BY product_id ORDER BY sum(quantity) DESC LIMIT $1"
STOCK = "SELECT stock.pieces FROM stock WHERE stock.product_id = $1"
INSERT = "INSERT INTO orders (customer_id, total) VALUES ($1, $2) RETURNING orders.id"
STATEMENTS = (CATEGORY, PRODUCT, ORDERS, SALES, STOCK, INSERT)

SCHEMA = """
CREATE TABLE category (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO category SELECT n, 'category ' || n FROM generate_series(1, 12) AS n;
CREATE TABLE product (id int PRIMARY KEY, name text NOT NULL, price numeric(10, 2) NOT NULL);
INSERT INTO product SELECT n, 'product ' || n, n / 7.0 FROM generate_series(1, 20000) AS n;
CREATE TABLE stock (product_id int PRIMARY KEY, pieces int NOT NULL);
INSERT INTO stock SELECT n, n % 90 FROM generate_series(1, 20000) AS n;
CREATE TABLE orders (id serial PRIMARY KEY, customer_id int NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
    total numeric(10, 2) NOT NULL);
INSERT INTO orders (customer_id, total) SELECT n::bigint * 7919 % 20000, n % 300 FROM generate_series(1, 400000) AS n;
CREATE TABLE order_line (product_id int NOT NULL, quantity int NOT NULL);
INSERT INTO order_line SELECT n * 31 % 20000, 1 FROM generate_series(1, 40000) AS n;
ANALYZE;
"""


@dataclass(frozen=True, slots=True)
class Step:
    """
    One segment of a route's requests: what it is, and what it takes for most of them.
    """

    seam: str
    name: str
    takes_s: float
    code: str = ""
    rows: int = -1


@dataclass(frozen=True, slots=True)
class Route:
    """
    A route, its share of the requests, and what each of them does, one after the other.
    """

    method: str
    template: str
    share: float
    steps: tuple[Step, ...]


_POOL = Step("pool", "", 0.00002)
_CATEGORY = Step("query", CATEGORY, 0.0011, "shop/catalogue.py:21", 12)
_PRODUCT = Step("query", PRODUCT, 0.0009, "shop/catalogue.py:34", 1)
ROUTES = (
    Route("GET", "/", 0.24, (
        _POOL, _CATEGORY, Step("query", SALES, 0.012, "shop/pages.py:19", 20), _PRODUCT,
        Step("cpu", "render", 0.0012, "shop/pages.py:40"),
    )),
    Route("GET", "/products/{id}", 0.30, (
        _POOL, _CATEGORY, _PRODUCT, Step("query", STOCK, 0.0007, "shop/stock.py:8", 1),
    )),
    Route("GET", "/customers/{id}/orders", 0.12, (
        _POOL, Step("query", ORDERS, 0.26, "shop/orders.py:48", 18), _PRODUCT, Step("cpu", "serialise", 0.0006),
    )),
    Route("GET", "/cart", 0.12, (_POOL, *(Step("query", PRODUCT, 0.0012, "shop/cart.py:27", 1),) * 20)),
    Route("POST", "/checkout", 0.10, (
        _POOL, Step("query", STOCK, 0.0008, "shop/checkout.py:55", 1),
        Step("query", INSERT, 0.0021, "shop/checkout.py:61", 1),
        Step("external", "mail", 0.08, "shop/mail.py:33"), Step("commit", "", 0.0013, "shop/checkout.py:78"),
    )),
    Route("GET", "/search", 0.12, (_POOL, _CATEGORY, *(_PRODUCT,) * 3)),
)  # fmt: skip


def fingerprint(text: str) -> str:
    """
    Return sixteen hex digits for a statement, as a recorder gives them.
    """
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Made:
    """
    What was written, and how much of it.
    """

    name: str
    requests: int
    segments: int
    size_bytes: int


def write(folder: Path, *, lasts_s: float, rate_per_s: float, workers: int, seed: int) -> Made:
    """
    Write one recording under *folder*, a folder of rung's, and say how much is in it.
    """
    place = folder / "recordings" / NAME
    place.mkdir(parents=True)
    generator = np.random.Generator(np.random.PCG64(seed))
    with duckdb.connect(":memory:", config={"threads": 1}) as database:
        database.execute("SET GLOBAL pandas_analyze_sample = 0")
        database.execute("SET enable_progress_bar = false")  # in a spawned process it takes itself for interactive
        for statement in EMPTY.values():
            database.execute(statement)
        requests, segments = _served(database, generator, lasts_s, rate_per_s, workers)
        _beside(database, lasts_s, workers)
        for table in TABLES:
            if table in NEEDED or database.table(table).limit(1).fetchall():
                rows = database.table(table)
                rows = rows.order(ORDERS_OF[table]) if table in ORDERS_OF else rows
                rows.write_parquet(str(place / f"{table}.parquet"), compression="zstd")
    told = {
        "format": FORMAT, "rung": __version__, "name": NAME, "started_s": STARTED_S, "ended_s": STARTED_S + lasts_s,
        "sealed": True, "python": "3.11.9", "libraries": {"fastapi": "0.115.0"}, "processes": workers,
        "requests": requests, "dropped": {"requests": 0, "refused_connections": 0},
    }  # fmt: skip
    (place / MANIFEST).write_text(json.dumps(told) + "\n", "utf-8")
    return Made(NAME, requests, segments, sum(file.stat().st_size for file in place.iterdir()))


def _arrivals(generator: np.random.Generator, lasts_s: float, rate_per_s: float) -> Any:
    """
    Return when requests arrive: at random, at a rate that rises and falls.
    """
    at_s = np.linspace(0.0, lasts_s, 10_001)
    rate = 1.0 + WAVE_SHARE * np.sin(2 * np.pi * at_s / WAVE_S)
    passed = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(at_s))])
    drawn = np.sort(generator.uniform(0.0, passed[-1], round(lasts_s * rate_per_s)))
    return np.interp(drawn, passed, at_s)


def _served(
    database: Any, generator: np.random.Generator, lasts_s: float, rate_per_s: float, workers: int
) -> tuple[int, int]:
    """
    Fill the tables of what was served; return how many requests and segments.
    """
    arrived_s = _arrivals(generator, lasts_s, rate_per_s)
    which = generator.choice(len(ROUTES), len(arrived_s), p=[route.share for route in ROUTES])
    pid = FIRST_PID + generator.integers(0, workers, len(arrived_s))
    segments = 0
    for number, route in enumerate(ROUTES):
        request = np.flatnonzero(which == number)
        takes_s = np.array([step.takes_s for step in route.steps])
        took_s = takes_s * generator.lognormal(0.0, SPREAD, (len(request), len(takes_s)))
        computed_s = BETWEEN_S * generator.lognormal(0.0, SPREAD, (len(request), len(takes_s) + 1))
        ended_s = np.cumsum(took_s + computed_s[:, :-1], axis=1)
        queue_s = 0.0004 * generator.lognormal(0.0, SPREAD, len(request))
        served = {
            "request": request, "pid": pid[request], "arrived_s": STARTED_S + arrived_s[request] + queue_s,
            "queue_s": queue_s, "duration_s": ended_s[:, -1] + computed_s[:, -1],
            "cpu_s": computed_s.sum(axis=1),
        }  # fmt: skip
        database.register("served", served)
        _put(
            database, "requests", "served", host=f"'{HOST}'", instance=f"'{INSTANCE}'", worker="pid",
            request="request", kind="'request'", route=f"'{route.template}'", method=f"'{route.method}'", status="200",
            arrived_s="arrived_s", queue_s="queue_s", duration_s="duration_s", cpu_s="cpu_s", cancelled="false",
            exemplar="false",
        )  # fmt: skip
        _segments(database, route, request, pid, ended_s - took_s, took_s)
        _reads(database, generator, route, request, pid)
        _looks(database, generator, route, served, took_s)
        segments += took_s.size
    return len(arrived_s), segments


def _segments(database: Any, route: Route, request: Any, pid: Any, start_s: Any, took_s: Any) -> None:
    for place, step in enumerate(route.steps):
        query = step.seam == "query"
        database.register("done", {
            "request": request, "pid": pid[request], "start_s": start_s[:, place], "took_s": took_s[:, place],
        })  # fmt: skip
        connected = query or step.seam in {"pool", "commit"}
        _put(
            database, "segments", "done", host=f"'{HOST}'", instance=f"'{INSTANCE}'", worker="pid", request="request",
            segment=str(place), seam=f"'{step.seam}'", name=f"'{fingerprint(step.name) if query else step.name}'",
            start_s="round(start_s, 6)", duration_s="round(took_s, 6)", calls="1",
            database=f"'{DATABASE}'" if connected else "null", code=f"'{step.code}'" if step.code else "null",
            rows=str(step.rows) if step.rows >= 0 else "null",
        )  # fmt: skip


def _reads(database: Any, generator: np.random.Generator, route: Route, request: Any, pid: Any) -> None:
    """
    Fill in the digests of what was read, of one key in four; some keys are asked for far more often than others.
    """
    read = [place for place, step in enumerate(route.steps) if step.name.startswith("SELECT")]
    for place in [*read, None] if route.method == "GET" else read:
        key = (generator.pareto(1.1, len(request)) * 20).astype(np.int64) % KEYS
        kept = np.flatnonzero(key % 2**DEPTH == 0)
        result = key[kept] * 1_000 + generator.integers(0, 2, len(kept)) * (generator.random(len(kept)) < 0.02)
        database.register("asked", {
            "request": request[kept], "pid": pid[request[kept]], "key": key[kept] + (1 << 40) * (place or 0),
            "result": result,
        })  # fmt: skip
        _put(
            database, "reads", "asked", host=f"'{HOST}'", instance=f"'{INSTANCE}'", worker="pid", request="request",
            segment="null" if place is None else str(place), key="key", depth=str(DEPTH), result="result", cells="12",
        )  # fmt: skip


def _looks(database: Any, generator: np.random.Generator, route: Route, served: dict[str, Any], took_s: Any) -> None:
    """
    Fill in looks at the stack, as often as there was something computed to be seen.
    """
    computed = [place for place, step in enumerate(route.steps) if step.seam == "cpu"]
    seconds_s = served["cpu_s"] + took_s[:, computed].sum(axis=1)
    seen = np.flatnonzero(generator.random(len(seconds_s)) < seconds_s / LOOK_S)
    database.register("seen", {
        "request": served["request"][seen], "pid": served["pid"][seen], "at_s": served["arrived_s"][seen],
    })  # fmt: skip
    _put(
        database, "samples", "seen", host=f"'{HOST}'", instance=f"'{INSTANCE}'", worker="pid", at_s="at_s",
        lasted_s=f"{LOOK_S}", request="request", route=f"'{route.template}'",
        code="case when request % 3 = 0 then 'shop/pages.py:40' else 'shop/app.py:12' end",
        function="case when request % 3 = 0 then 'shop.pages.rendered' else 'shop.app.answered' end",
    )  # fmt: skip


def _beside(database: Any, lasts_s: float, workers: int) -> None:
    """
    Fill in the tables of what was seen beside the requests.
    """
    texts = [(fingerprint(text), text, "read" if text.startswith("SELECT") else "write") for text in STATEMENTS]
    names, shown, kinds = (np.array(column, dtype=object) for column in zip(*texts, strict=True))
    database.register("texts", {"name": names, "text": shown, "kind": kinds, "query_id": np.arange(1, len(texts) + 1)})
    database.register("looks", {"at_s": STARTED_S + np.arange(1.0, round(lasts_s) + 1)})
    database.register("accounts", {"at_s": STARTED_S + np.arange(0.0, lasts_s + ACCOUNT_S, ACCOUNT_S)})
    database.register("pids", {"pid": FIRST_PID + np.arange(workers)})
    database.register("trip", {"trip_s": np.array([TRIP_S])})
    for statement in SPENT.split(";"):
        database.execute(statement)
    host, told = {"host": f"'{HOST}'", "lasted_s": "1.0"}, {"database": f"'{DATABASE}'"}
    _put(database, "statements", "texts", **told, statement="name", text="text", kind="kind")
    _put(
        database, "hosts", "busy", **host, at_s="at_s + 1", cores=str(CORES), cores_allowed=f"{CORES}.0",
        busy_s="app_s + database_s + 0.05", steal_s="0.0",
    )  # fmt: skip
    spent = {"at_s": "at_s + 1", "processes": "1"}
    _put(database, "programs", "spent", **host, **spent, role="'app'", pid="worker", cpu_s="cpu_s")
    _put(database, "programs", "busy", **host, **spent, role="'database'", pid="900", cpu_s="database_s")
    _put(database, "programs", "looks", **host, at_s="at_s", processes="1", role="'collector'", pid="91", cpu_s="0.03")
    _put(
        database, "statement_totals", "account", **told, at_s="at_s", query_id="query_id", statement="name",
        text="text", kind="kind", calls="calls", total_s="total_s",
    )  # fmt: skip
    _put(
        database, "activity", "seen_active", **told, at_s="at_s", pid="100 + query_id", kind="'client backend'",
        state="'active'", query_id="query_id",
    )  # fmt: skip
    _put(
        database, "processes", "pids", host=f"'{HOST}'", instance=f"'{INSTANCE}'", worker="pid",
        started_s=f"{STARTED_S} - 2", python="'3.11.9'", libraries="'{\"fastapi\": \"0.115.0\"}'", requests="0",
        dropped="0", failures="0", counts=f"'{{\"depth\": {DEPTH}}}'", failed_at="'{}'",
    )  # fmt: skip


# What app processes and the database computed in each second, and what the server had counted at each look at it.
SPENT = """
create table spent as select worker, floor(arrived_s) as at_s, sum(cpu_s) as cpu_s from requests group by all;
create table executed as
    select segments.name, floor(arrived_s + start_s) as at_s, count(*) as calls,
        sum(greatest(segments.duration_s - trip_s, 0)) as total_s
    from segments join requests using (request) cross join trip
    where segments.seam = 'query'
    group by all;
create table busy as
    select at_s, sum(cpu_s) as app_s,
        coalesce((select sum(total_s) from executed where executed.at_s = spent.at_s), 0) as database_s
    from spent group by at_s;
create view account as
    select accounts.at_s, texts.query_id, texts.name, texts.text, texts.kind,
        cast(coalesce(sum(executed.calls), 0) as bigint) as calls, coalesce(sum(executed.total_s), 0) as total_s
    from accounts cross join texts
    left join executed on executed.name = texts.name and executed.at_s < accounts.at_s
    group by all;
create view seen_active as select at_s, query_id from looks cross join texts
"""


def _put(into: Any, table: str, source: str, /, **values: str) -> None:
    """
    Add a row to *table* for each of *source*; columns that are not named are null.
    """
    into.view(source).project(", ".join(values.get(name, "null") for name, _ in TABLES[table])).insert_into(table)
