"""
All scenarios, with the true answer beside each.

In        nothing
Out       SCENARIOS, by name; the FEW of a short run
Not here  the apps (fastapi_app.py, flask_app.py, django_app.py), running them (stage.py)

Loads are such that the faulty resource is used for 30 to 80 % where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.gauntlet.scenario import Culprit, Fix, Scenario
from rung.adapters.traffic import Draw, Route

_CUSTOMER, _PRODUCT, _CART, _DAY = Draw(1, 4000), Draw(1, 500), Draw(1, 300), Draw(0, 399)


def _get(path: str, values: Draw = _CUSTOMER, *, weight: float = 1.0, method: str = "GET") -> Route:
    return Route(path, method=method, weight=weight, values={"number": values} if "{number}" in path else {})


_UVICORN, _MANY, _FEW, _DJANGO = "uvicorn", "flask, 16 threads", "flask, 2 threads", "django, 2 workers"

# What else the apps are asked, cheap.
_OTHER = (_get("/products/{number}", _PRODUCT, weight=0.6), _get("/customers/{number}", weight=0.4))
_ORDERS, _RECENT = _get("/orders/{number}"), _get("/recent/{number}")
_BARE = ("DROP INDEX orders_customer",)
_WRONG = ("DROP INDEX orders_customer", "CREATE INDEX orders_created ON orders (created_at, customer_id)")
_INDEX = ("CREATE INDEX orders_customer_again ON orders (customer_id, created_at DESC)", "ANALYZE orders")


def _two_workers(*faults: str) -> Fix:
    return Fix(faults=faults, server="uvicorn, 2 workers", moves=("workers:2",), rival=True)


def _two_of_many(*faults: str) -> Fix:
    return Fix(faults=faults, server="flask, 2 workers of 16 threads", moves=("workers:2",), rival=True)


def _async_queries() -> Iterable[Scenario]:
    yield Scenario(
        name="async missing index", server=_UVICORN, routes=(_ORDERS, *_OTHER), rate_per_s=40, goal_s=0.02,
        sql=_BARE, truth=(Culprit("query", "from orders"),), fix=Fix(sql=_INDEX, moves=("index:orders",)),
        rival=_two_workers(),
    )  # fmt: skip
    yield Scenario(
        name="async wrong column order", server=_UVICORN, routes=(_RECENT, *_OTHER), rate_per_s=40, goal_s=0.02,
        sql=_WRONG, truth=(Culprit("query", "from orders"),), fix=Fix(sql=_INDEX, moves=("index:orders",)),
    )  # fmt: skip
    yield Scenario(
        name="async N+1", server=_UVICORN, routes=(_get("/cart/{number}", _CART), *_OTHER), rate_per_s=40, goal_s=0.015,
        faults=("nplusone",), truth=(Culprit("query", "from product"),), fix=Fix(moves=("nplusone",)),
        rival=_two_workers("nplusone"),
    )  # fmt: skip
    yield Scenario(
        name="async stale statistics", server=_UVICORN, routes=(_get("/visits/{number}", _DAY), *_OTHER), rate_per_s=50,
        goal_s=0.015, truth=(Culprit("query", "from visit"),),
        fix=Fix(sql=("ANALYZE visit",), moves=("analyze", "statistics")),
    )  # fmt: skip


def _async_waiting() -> Iterable[Scenario]:
    yield Scenario(
        name="async one row locked", server=_UVICORN,
        routes=(_get("/purchases/{number}", _PRODUCT, method="POST"), *_OTHER),
        rate_per_s=50, goal_s=0.04, faults=("onerow", "heldlock"), settings={"POOL": "60", "STATEMENT_S": "0.005"},
        truth=(Culprit("lock"), Culprit("query", "update stock")),
        fix=Fix(faults=("onerow",), takes_away=Culprit("lock")),
    )  # fmt: skip
    yield Scenario(
        name="async pool too small", server=_UVICORN, routes=(_get("/checked/{number}"), *_OTHER), rate_per_s=76,
        goal_s=0.04, settings={"POOL": "1", "STATEMENT_S": "0.004"}, truth=(Culprit("pool"),),
        fix=Fix(settings={"POOL": "4"}, moves=("pool:4",)),
        rival=_two_workers(),
    )  # fmt: skip
    yield Scenario(
        name="async pool held during a call", server=_UVICORN, routes=(_get("/quotes/{number}", _PRODUCT),),
        rate_per_s=42,
        goal_s=0.08, faults=("heldpool",), settings={"POOL": "3", "OUTSIDE_S": "0.05"},
        truth=(Culprit("pool"), Culprit("external")), fix=Fix(takes_away=Culprit("pool")),
    )  # fmt: skip
    yield Scenario(
        name="async connection per request", server=_UVICORN, routes=(_get("/products/{number}", _PRODUCT),),
        rate_per_s=30,
        goal_s=0.01, faults=("connect",), truth=(Culprit("connect"),), fix=Fix(moves=("keepopen",)),
        rival=_two_workers("connect"),
    )  # fmt: skip


def _async_working() -> Iterable[Scenario]:
    yield Scenario(
        name="async hot function", server=_UVICORN, routes=(_get("/scores/{number}"), *_OTHER), rate_per_s=60,
        goal_s=0.015, faults=("hot",), settings={"ROUNDS": "150000"}, truth=(Culprit("cpu"),),
        fix=Fix(moves=("hotfunction",)),
        rival=_two_workers("hot"),
    )  # fmt: skip
    for fault, kind, seam in (("sleeping", "sleep", "cpu"), ("blocking", "request", "external")):
        yield Scenario(
            name=f"async blocking {kind}", server=_UVICORN, routes=(_get("/blocked/{number}"), *_OTHER), rate_per_s=44,
            goal_s=0.04, faults=(fault,), settings={"OUTSIDE_S": "0.025"},
            truth=(Culprit("loop"), Culprit("external"), Culprit("other"), Culprit("cpu", "blocked")),
            fix=Fix(takes_away=Culprit(seam), leaves_s=0.025),
        )  # fmt: skip
    yield Scenario(
        name="async few threads", server=_UVICORN, routes=(_get("/sheets/{number}"), *_OTHER), rate_per_s=80,
        goal_s=0.04,
        settings={"THREADS": "1", "STATEMENT_S": "0.004", "USES": "threads", "POOL": "20"}, truth=(Culprit("threads"),),
        fix=Fix(settings={"THREADS": "4"}, moves=("threads:4",)),
        rival=_two_workers(),
    )  # fmt: skip
    yield Scenario(
        name="async slow supplier", server=_UVICORN, routes=(_get("/quotes/{number}", _PRODUCT), *_OTHER),
        rate_per_s=40, goal_s=0.06, settings={"OUTSIDE_S": "0.15"}, truth=(Culprit("external"),),
        fix=Fix(settings={"OUTSIDE_S": "0.01"}, takes_away=Culprit("external"), leaves_s=0.01),
    )  # fmt: skip
    yield Scenario(
        name="async mail inline", server=_UVICORN, routes=(_get("/invitations/{number}", method="POST"), *_OTHER),
        rate_per_s=24, goal_s=0.05, faults=("mail",), truth=(Culprit("external", "mail"),),
        fix=Fix(moves=("background",)),
        rival=_two_workers("mail"),
    )  # fmt: skip
    yield Scenario(
        name="async repeated read", server=_UVICORN, routes=(_get("/bestsellers"), *_OTHER), rate_per_s=40, goal_s=0.02,
        faults=("repeated",), truth=(Culprit("query", "sum("),), fix=Fix(moves=("cache",)),
        rival=_two_workers("repeated"),
    )  # fmt: skip
    yield Scenario(
        name="async large answer", server=_UVICORN, routes=(_get("/export"), *_OTHER), rate_per_s=30, goal_s=0.015,
        faults=("large",), settings={"ROWS": "2500"}, truth=(Culprit("cpu"),), fix=Fix(),
    )  # fmt: skip


def _async_decoys_and_overload() -> Iterable[Scenario]:
    yield Scenario(
        name="async decoy: slow and rare", server=_UVICORN, routes=(_ORDERS, *_OTHER, _get("/report", weight=0.01)),
        rate_per_s=40, goal_s=0.02, sql=_BARE, truth=(Culprit("query", "from orders"),),
        fix=Fix(sql=_INDEX, moves=("index:orders",)),
    )  # fmt: skip
    yield Scenario(
        name="async decoy: after the answer", server=_UVICORN, routes=(_get("/told/{number}"), *_OTHER), rate_per_s=50,
        goal_s=0.02, sql=_BARE, truth=(Culprit("query", "from orders"),), fix=Fix(sql=_INDEX, moves=("index:orders",)),
    )  # fmt: skip
    yield Scenario(
        name="async overload of the app", server=_UVICORN, routes=(_get("/scores/{number}"), *_OTHER), rate_per_s=110,
        goal_s=0.1, faults=("hot",), settings={"ROUNDS": "250000"}, truth=(Culprit("cpu"),),
        fix=Fix(moves=("hotfunction",)),
    )  # fmt: skip
    yield Scenario(
        name="async overload of the database", server=_UVICORN, routes=(_ORDERS, *_OTHER), rate_per_s=110, goal_s=0.1,
        sql=_BARE, truth=(Culprit("query", "from orders"),), fix=Fix(sql=_INDEX, moves=("index:orders",)),
    )  # fmt: skip


def _sync_queries() -> Iterable[Scenario]:
    yield Scenario(
        name="sync missing index", server=_MANY, routes=(_ORDERS, *_OTHER), rate_per_s=40, goal_s=0.02, sql=_BARE,
        truth=(Culprit("query", "from orders"),), fix=Fix(sql=_INDEX, moves=("index:orders",)),
    )  # fmt: skip
    yield Scenario(
        name="sync wrong column order", server=_MANY, routes=(_RECENT, *_OTHER), rate_per_s=36, goal_s=0.02, sql=_WRONG,
        truth=(Culprit("query", "from orders"),), fix=Fix(sql=_INDEX, moves=("index:orders",)),
    )  # fmt: skip
    yield Scenario(
        name="sync N+1", server=_MANY, routes=(_get("/cart/{number}", _CART), *_OTHER), rate_per_s=40, goal_s=0.015,
        faults=("nplusone",), truth=(Culprit("query", "from product"),), fix=Fix(moves=("nplusone",)),
        rival=_two_of_many("nplusone"),
    )  # fmt: skip


def _sync_waiting() -> Iterable[Scenario]:
    yield Scenario(
        name="sync one row locked", server="flask, 16 threads",
        routes=(_get("/purchases/{number}", _PRODUCT, method="POST"), *_OTHER), rate_per_s=48, goal_s=0.04,
        faults=("onerow", "heldlock"), settings={"POOL": "20", "STATEMENT_S": "0.005"},
        truth=(Culprit("lock"), Culprit("query", "update stock")),
        fix=Fix(faults=("onerow",), takes_away=Culprit("lock")),
    )  # fmt: skip
    yield Scenario(
        name="sync pool too small", server=_MANY, routes=(_get("/checked/{number}"), *_OTHER), rate_per_s=70,
        goal_s=0.04, settings={"POOL": "1", "STATEMENT_S": "0.004"}, truth=(Culprit("pool"),),
        fix=Fix(settings={"POOL": "4"}, moves=("pool:4",)),
        rival=_two_of_many(),
    )  # fmt: skip
    yield Scenario(
        name="sync connection per request", server=_MANY, routes=(_get("/products/{number}", _PRODUCT),), rate_per_s=30,
        goal_s=0.01, faults=("connect",), truth=(Culprit("connect"),), fix=Fix(moves=("keepopen",)),
    )  # fmt: skip


def _sync_working() -> Iterable[Scenario]:
    yield Scenario(
        name="sync hot function", server=_MANY, routes=(_get("/scores/{number}"), *_OTHER), rate_per_s=60, goal_s=0.015,
        faults=("hot",), settings={"ROUNDS": "150000"}, truth=(Culprit("cpu"),), fix=Fix(moves=("hotfunction",)),
        rival=_two_of_many("hot"),
    )  # fmt: skip
    yield Scenario(
        name="sync slow supplier", server=_MANY, routes=(_get("/quotes/{number}", _PRODUCT), *_OTHER),
        rate_per_s=40, goal_s=0.06, settings={"OUTSIDE_S": "0.15"}, truth=(Culprit("external"),),
        fix=Fix(settings={"OUTSIDE_S": "0.01"}, takes_away=Culprit("external"), leaves_s=0.01),
    )  # fmt: skip
    yield Scenario(
        name="sync mail inline", server=_MANY, routes=(_get("/invitations/{number}", method="POST"), *_OTHER),
        rate_per_s=24, goal_s=0.05, faults=("mail",), truth=(Culprit("external", "mail"),),
        fix=Fix(moves=("background",)),
    )  # fmt: skip
    yield Scenario(
        name="sync repeated read", server=_MANY, routes=(_get("/bestsellers"), *_OTHER), rate_per_s=40, goal_s=0.02,
        faults=("repeated",), truth=(Culprit("query", "sum("),), fix=Fix(moves=("cache",)),
        rival=_two_of_many("repeated"),
    )  # fmt: skip
    yield Scenario(
        name="sync large answer", server=_MANY, routes=(_get("/export"), *_OTHER), rate_per_s=30, goal_s=0.015,
        faults=("large",), settings={"ROWS": "2500"}, truth=(Culprit("cpu"),), fix=Fix(),
    )  # fmt: skip


def _sync_workers_and_decoys() -> Iterable[Scenario]:
    yield Scenario(
        name="sync few threads", server=_FEW, routes=(_get("/checked/{number}"), *_OTHER), rate_per_s=140, goal_s=0.04,
        settings={"STATEMENT_S": "0.004"}, truth=(Culprit("queue"), Culprit("threads")),
        fix=Fix(server="flask, 8 threads", moves=("threads:8",)),
        rival=Fix(server="flask, 2 workers of 2 threads", moves=("workers:2",), rival=True),
    )  # fmt: skip
    yield Scenario(
        name="sync single worker", server="flask, 1 worker", routes=(_get("/checked/{number}"), *_OTHER), rate_per_s=70,
        goal_s=0.04, settings={"STATEMENT_S": "0.004"}, truth=(Culprit("queue"),),
        fix=Fix(server="flask, 4 workers", moves=("workers:4",)),
        rival=Fix(server="flask, 4 threads", moves=("threads:4",), rival=True),
    )  # fmt: skip
    yield Scenario(
        name="sync decoy: slow and rare", server=_MANY, routes=(_ORDERS, *_OTHER, _get("/report", weight=0.01)),
        rate_per_s=40, goal_s=0.02, sql=_BARE, truth=(Culprit("query", "from orders"),),
        fix=Fix(sql=_INDEX, moves=("index:orders",)),
    )  # fmt: skip


def _django() -> Iterable[Scenario]:
    yield Scenario(
        name="django N+1", server=_DJANGO, routes=(_get("/cart/{number}", _CART), *_OTHER), rate_per_s=30, goal_s=0.02,
        faults=("nplusone",), truth=(Culprit("query", 'from "product"'),), fix=Fix(moves=("nplusone",)),
    )  # fmt: skip
    yield Scenario(
        name="django missing index", server=_DJANGO, routes=(_ORDERS, *_OTHER), rate_per_s=40, goal_s=0.01, sql=_BARE,
        truth=(Culprit("query", 'from "orders"'),), fix=Fix(sql=_INDEX, moves=("index:orders",)),
    )  # fmt: skip
    yield Scenario(
        name="django connection per request", server=_DJANGO, routes=(_get("/products/{number}", _PRODUCT),),
        rate_per_s=25, goal_s=0.01, faults=("connect",), truth=(Culprit("connect"),), fix=Fix(moves=("keepopen",)),
    )  # fmt: skip


def _healthy() -> Iterable[Scenario]:
    # At several loads, with twice the traffic to spare.
    for rate_per_s in (10, 40, 100):
        yield Scenario(
            name=f"async healthy at {rate_per_s}/s", server="uvicorn", rate_per_s=rate_per_s, goal_s=0.3, headroom=2.0,
            routes=(_ORDERS, _RECENT, _get("/cart/{number}", _CART), *_OTHER),
        )  # fmt: skip
    yield Scenario(
        name="async healthy, slow within the goal", server="uvicorn", rate_per_s=30, goal_s=0.5, headroom=2.0,
        routes=(_get("/quotes/{number}", _PRODUCT), _ORDERS), settings={"OUTSIDE_S": "0.1"},
    )  # fmt: skip
    for rate_per_s in (10, 60):
        yield Scenario(
            name=f"sync healthy at {rate_per_s}/s", server="flask, 16 threads", rate_per_s=rate_per_s, goal_s=0.3,
            headroom=2.0, routes=(_ORDERS, _RECENT, _get("/cart/{number}", _CART), *_OTHER),
        )  # fmt: skip
    yield Scenario(
        name="django healthy at 30/s", server="django, 2 workers", rate_per_s=30, goal_s=0.3, headroom=2.0,
        routes=(_ORDERS, _get("/cart/{number}", _CART), *_OTHER),
    )  # fmt: skip


_PARTS = (
    _async_queries, _async_waiting, _async_working, _async_decoys_and_overload,
    _sync_queries, _sync_waiting, _sync_working, _sync_workers_and_decoys, _django, _healthy,
)  # fmt: skip
SCENARIOS = {each.name: each for part in _PARTS for each in part()}
FEW = (
    "async missing index",
    "async hot function",
    "sync pool too small",
    "sync slow supplier",
    "async healthy at 40/s",
)
