"""
A replay sends what was recorded, no more and no earlier, with values that the recording never held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.adapters.cluster import Cluster
from rung.adapters.recordings import ParquetRecording
from rung.adapters.traffic import Choice, Draw, Query, Route, Template, read_plan, read_template, schedule
from rung.adapters.traffic.replay import Arrivals, read_arrivals, replay_plan
from rung.adapters.traffic.values import VALUES_MAX, answered
from rung.config import settle
from rung.errors import (
    BadFile,
    BadValue,
    DatabaseDenied,
    DatabaseNotGiven,
    DatabaseRefused,
    ReplayRefused,
    RungError,
)
from rung.ports import Rows
from rung.steps.measure.questions import over_kept

SCENARIOS = Path(__file__).parent.parent / "scenarios"
HOME, PRODUCT, SALE, LOST = ("GET", "/"), ("GET", "/products/{id}"), ("POST", "/sales"), ("GET", "(unmatched)")
ROUTES = (HOME, PRODUCT, SALE, LOST)
VALUES = Template(values={"id": Draw(1, 1_000_000)})


def arrivals(*rows: tuple[float, tuple[str, str], int], health: int = 0, counted: int = 0) -> Arrivals:
    """
    A recording of rows of moment, route and session.
    """
    due_s, route, session = zip(*rows, strict=True) if rows else ((), (), ())
    return Arrivals(
        "shop",
        ROUTES,
        np.array(due_s, dtype=np.float64),
        np.array([ROUTES.index(one) for one in route], dtype=np.int64),
        np.array(session, dtype=np.int64),
        health,
        counted,
    )


@st.composite
def recordings(draw: st.DrawFn) -> Arrivals:
    gaps = draw(st.lists(st.floats(0, 10), min_size=1, max_size=40))
    rows = [(float(at_s), draw(st.sampled_from((HOME, PRODUCT))), draw(st.integers(-1, 5))) for at_s in np.cumsum(gaps)]
    return arrivals(*rows)


@settings(deadline=None, max_examples=60)
@given(recordings(), st.sampled_from([0.5, 1.0, 2.0, 10.0]), st.integers(0, 99))
def test_every_request_is_due_when_it_was_on_the_route_it_was(recorded: Arrivals, speed: float, seed: int) -> None:
    plan, replayed = replay_plan(recorded, VALUES, speed=speed, seed=seed)
    dues = list(schedule(plan))

    assert [due.at_s * speed for due in dues] == pytest.approx(recorded.due_s.tolist())
    assert [plan.routes[due.route].name for due in dues] == [" ".join(ROUTES[number]) for number in recorded.route]
    assert list(schedule(replay_plan(recorded, VALUES, speed=speed, seed=seed)[0])) == dues
    assert replayed.left_out == ()
    # A session of the recording is one of the replay, and two are two.
    pairs = set(zip(recorded.session.tolist(), [due.session for due in dues], strict=True))
    assert len(pairs) == len(set(recorded.session.tolist()))
    assert replayed.sessions == len({session for session, _ in pairs} - {-1})
    assert all((known < 0) == (again < 0) for known, again in pairs)


def test_what_is_left_out_is_counted_once_and_said() -> None:
    recorded = arrivals(
        (-3.0, HOME, -1), (0.0, HOME, -1), (1.0, SALE, 0), (2.0, LOST, -1), (3.0, SALE, 0), (9.0, HOME, -1),
        health=7, counted=40,
    )  # fmt: skip
    plan, replayed = replay_plan(recorded, Template(), duration_s=5)

    assert [due.at_s for due in schedule(plan)] == [0.0]
    assert {each.why: each.requests for each in replayed.left_out} == {
        "counted only: windows of time were recorded": 40,
        "health checks": 7,
        "writes (2 POST): the database is not declared disposable": 2,
        "before the load began": 1,
        "due after the duration that was asked for": 1,
        "that no route of the app matched": 1,
    }
    assert 5 == plan.duration_s


def test_writes_are_sent_with_the_bodies_of_the_file_where_the_database_is_disposable() -> None:
    recorded = arrivals((0.0, SALE, 0), (1.0, HOME, 0))
    template = Template((Route("/sales", "POST", json={"product": "{id}"}, values={"id": Choice((7,))}),))
    first, second = schedule(replay_plan(recorded, template, writes=True)[0])

    assert ("POST", "/sales", b'{"product": 7}') == (first.method, first.path, first.body)
    assert "GET" == second.method
    with pytest.raises(ReplayRefused, match="cannot replay POST /sales: it needs a table that says its body"):
        replay_plan(recorded, Template(), writes=True)


def test_nothing_but_writes_is_nothing_to_replay() -> None:
    with pytest.raises(ReplayRefused) as raised:
        replay_plan(arrivals((0.0, SALE, 0)), Template())

    assert "1 writes (1 POST)" in raised.value.why


def test_a_route_of_the_file_stands_for_the_recorded_one_of_its_shape() -> None:
    template = Template((
        Route("/products/{product}?page={page}", values={"product": Choice(("a b",)), "page": Choice((3,))}),
        Route("/welcome", stands_for="/"),
    ))  # fmt: skip
    plan, _ = replay_plan(arrivals((0.0, PRODUCT, -1), (1.0, HOME, -1)), template)

    assert ["/products/a%20b?page=3", "/welcome"] == [due.path for due in schedule(plan)]


def test_several_routes_of_the_file_share_a_recorded_one_by_weight() -> None:
    rows = [(number / 10, PRODUCT, -1) for number in range(2000)]
    template = Template((
        Route("/products/{one}", weight=3, values={"one": Choice((1,))}),
        Route("/products/{two}", weight=1, values={"two": Choice((2,))}),
    ))  # fmt: skip
    paths = [due.path for due in schedule(replay_plan(arrivals(*rows), template)[0])]

    assert 0.70 < paths.count("/products/1") / len(paths) < 0.80


def test_a_value_per_session_is_the_same_for_all_of_a_session() -> None:
    rows = [(float(number), PRODUCT, number % 7 - 1) for number in range(70)]
    template = Template(values={"id": Draw(1, 10**9, per_session=True)})
    seen: dict[int, set[str]] = defaultdict(set)
    for due in schedule(replay_plan(arrivals(*rows), template)[0]):
        seen[due.session].add(due.path)

    assert [1] * 6 == [len(seen[session]) for session in range(6)]
    assert 6 == len(set.union(*(seen[session] for session in range(6))))
    # Who has no session draws each time.
    assert 10 == len(seen[-1])


def test_a_speed_that_is_none_is_refused() -> None:
    with pytest.raises(BadValue, match="--speed cannot be 0"):
        replay_plan(arrivals((0.0, HOME, -1)), Template(), speed=0)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "load.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_values_and_headers_at_the_top_are_for_every_route(written: Callable[[str], Path]) -> None:
    text = (
        'rate = 50\nvalues.id = { from = 5, to = 5 }\nvalues.who = { values = ["me"], per = "session" }\n'
        'headers = { Cookie = "session={who}" }\n[[routes]]\npath = "/a/{id}"\n'
    )
    template = read_template(written(text))
    plan, _ = replay_plan(arrivals((0.0, HOME, 3), (1.0, PRODUCT, 3)), template)
    home, product = schedule(plan)

    assert (("Cookie", "session=me"),) == home.headers == product.headers
    assert ("/", "/products/5") == (home.path, product.path)
    alone = schedule(read_plan(written(text), duration_s=1))[0]
    assert ("/a/5", (("Cookie", "session=me"),)) == (alone.path, alone.headers)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("values.id = { query = 3 }", BadValue, "values.id.query cannot be 3"),
        ('values.id = { query = "select 1", to = 2 }', BadFile, "values.id has a query and something else"),
        ('values.id = { from = 1, to = 2, per = "day" }', BadValue, "values.id.per cannot be 'day'"),
        ('headers = { Cookie = "a={id}" }', BadFile, r"\{id\} in its headers has no value"),
    ],
)
def test_a_mistake_is_named(written: Callable[[str], Path], text: str, error: type[RungError], words: str) -> None:
    with pytest.raises(error, match=words):
        read_template(written(text))


def asked(database: str | None, sql: str, *, seed: int = 1) -> tuple[str | int, ...]:
    (route,) = answered([Route("/a/{id}", values={"id": Query(sql, "load.toml, values.id")})], database, seed=seed)
    value = route.values["id"]
    assert isinstance(value, Choice)
    return value.values


@pytest.fixture
def products(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE products AS SELECT number AS id FROM generate_series(1, 500) AS number")
        connection.execute("INSERT INTO products VALUES (NULL)")
    return database


def test_values_are_drawn_from_the_database_and_the_same_seed_draws_the_same(products: str) -> None:
    sql = "SELECT id FROM products ORDER BY random() LIMIT 100;"
    first, other = asked(products, sql, seed=1), asked(products, sql, seed=2)

    assert first == asked(products, sql, seed=1) != other
    assert 99 <= len(first) <= 100
    assert all(isinstance(value, int) and 1 <= value <= 500 for value in first)
    assert ("2026-01-31",) == asked(products, "SELECT date '2026-01-31'")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT idd FROM products", 'column "idd" does not exist'),
        ("SELECT id, id FROM products", "gives 2 columns; it takes one"),
        ("SELECT id FROM products WHERE id < 0", "gives no value"),
        (f"SELECT generate_series(0, {VALUES_MAX})", "gives more than"),
        ("DELETE FROM products RETURNING id", "syntax error"),
        ("SELECT 1; SET TRANSACTION READ WRITE; DELETE FROM products", "multiple commands"),
        ("WITH gone AS (DELETE FROM products RETURNING id) SELECT id FROM gone", "data-modifying"),
        ("SELECT setval('counter', 1)", "read-only transaction"),
    ],
)
def test_a_query_can_only_look_and_its_mistakes_are_named(products: str, sql: str, words: str) -> None:
    with psycopg.connect(products, autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE counter")
    with pytest.raises(BadFile, match=words) as raised:
        asked(products, sql)

    assert "load.toml, values.id" in raised.value.message
    with psycopg.connect(products) as connection:
        assert (501,) == connection.execute("SELECT count(*) FROM products").fetchone()


def test_a_database_that_is_none_or_does_not_let_us_in_is_named(products: str, cluster: Cluster) -> None:
    with pytest.raises(DatabaseNotGiven):
        asked(None, "SELECT 1")
    with pytest.raises(DatabaseRefused):
        asked("postgresql://nobody@127.0.0.1:1/nothing", "SELECT 1")
    with psycopg.connect(products, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS replay_guest")
        connection.execute("CREATE ROLE replay_guest LOGIN PASSWORD 'guest'")
    guest = psycopg.conninfo.make_conninfo(products, user="replay_guest", password="guest")
    try:
        with pytest.raises(DatabaseDenied, match="products"):
            asked(guest, "SELECT id FROM products")
    finally:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute("DROP ROLE replay_guest")


@pytest.mark.parametrize("name", ["healthy", "windows"])
def test_moments_and_routes_are_those_that_are_measured(name: str) -> None:
    """
    Also of a recording by windows of time, whose other requests were only counted.
    """
    (folder,) = (SCENARIOS / name / "recordings").iterdir()
    recorded = read_arrivals(folder)
    recording = ParquetRecording(folder)
    rows = recording.rows(Rows(over_kept("requests")))
    in_order = np.argsort(rows["due_s"], kind="stable")

    assert recorded.due_s.tolist() == rows["due_s"][in_order].tolist()
    assert [" ".join(recorded.routes[number]) for number in recorded.route] == rows["route"][in_order].tolist()
    assert recorded.counted == recording.rows(Rows(over_kept("totals")))["requests"].sum()
    assert (recorded.counted > 0) == (name == "windows")


def test_a_database_is_disposable_only_where_somebody_says_so() -> None:
    def settled(text: str | None) -> bool:
        return settle(file_text=text, environ={}, flags={}).database_disposable

    assert not settled(None)
    assert settled("[database]\ndisposable = true")
    assert settled('[database]\ndisposable = "true"')
    assert not settled("[database]\ndisposable = false")
    for wrong in ("1", '"yes"'):
        with pytest.raises(BadValue, match="takes true or false"):
            settled(f"[database]\ndisposable = {wrong}")
