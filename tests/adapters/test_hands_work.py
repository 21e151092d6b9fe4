"""
The hands on what is more than one plain index: rich indexes, indexes that go, statements of any kind.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from rung.adapters.hands import RepositoryHands
from rung.adapters.planner import DatabasePlanner
from rung.config import Settings
from rung.errors import BuildFailed
from rung.ports import Index, IndexColumn, IndexUse, IndexUsed, Statement, Unavailable, Work
from rung.steps.price.quote import BuildIndex, DropIndex, Script
from rung.steps.take import index_name, take
from tests.asking import execute as _execute
from tests.asking import rows as _rows
from tests.strategies import quote_of

ORDERS = """
create table orders (id bigint primary key, customer_id int, created_at timestamptz, status varchar(9), data jsonb);
insert into orders
select n, n % 500, '2026-01-01'::timestamptz + n * interval '1 minute', (array['open', 'paid'])[1 + n % 2],
       jsonb_build_object('a', n)
from generate_series(1, 5000) n;
analyze orders;
"""
PATIENCE_S_MAX = 60.0
# As PostgreSQL writes them, and as somebody who read the statement would.
RICH = [
    Index("public", "orders", (IndexColumn("lower((status)::text)", expression=True),)),
    Index("public", "orders", (IndexColumn("lower(status)", expression=True), IndexColumn("id", True))),
    Index("public", "orders", (IndexColumn("data ->> 'a'", expression=True),)),
    Index("public", "orders", (IndexColumn("(data ->> 'a'::text)", expression=True),)),
    Index("public", "orders", (IndexColumn("((data ->> 'a'))::int", expression=True),)),
    Index("public", "orders", (IndexColumn("created_at", True, nulls_first=False),)),
    Index("public", "orders", (IndexColumn("created_at", False, nulls_first=True), IndexColumn("id"))),
    Index("public", "orders", (IndexColumn("status", opclass="varchar_pattern_ops"),)),
    Index("public", "orders", (IndexColumn("customer_id"),), include=("status", "created_at")),
    Index("public", "orders", (IndexColumn("customer_id"),), where="status = 'open'"),
    Index("public", "orders", (IndexColumn("customer_id"),), where="(status)::text = 'open'::text"),
    Index("public", "orders", (IndexColumn("created_at"),), ("id",), "customer_id IS NOT NULL AND id > 5"),
]


@pytest.fixture
def orders(database: str) -> str:
    _execute(database, ORDERS)
    return database


@pytest.mark.parametrize("index", RICH)
def test_a_rich_index_is_built_known_again_and_undone(orders: str, tmp_path: Path, index: Index) -> None:
    hands, work = _hands(orders, tmp_path), _work(index)
    assert not hands.apply(work, say=_nothing, wait=False).already
    assert hands.apply(work, say=_nothing, wait=False).already
    assert [(2,)] == _rows(orders, "select count(*) from pg_index where indrelid = 'orders'::regclass")
    hands.undo(work, say=_nothing)

    assert [(1,)] == _rows(orders, "select count(*) from pg_index where indrelid = 'orders'::regclass")


def test_an_index_of_a_materialized_view_is_built_and_undone(orders: str, tmp_path: Path) -> None:
    _execute(orders, "create materialized view paid as select id, customer_id from orders where status = 'paid'")
    hands, work = _hands(orders, tmp_path), _work(Index("public", "paid", (IndexColumn("customer_id"),)))
    built = "select count(*) from pg_index where indrelid = 'paid'::regclass and indisvalid"

    assert not hands.apply(work, say=_nothing, wait=False).already
    assert [(1,)] == _rows(orders, built)
    hands.undo(work, say=_nothing)
    assert [(0,)] == _rows(orders, built)


def test_rich_indexes_have_names_of_their_own() -> None:
    """
    Each says what it is on, ends in ours, and is another than that of an index that differs in anything.
    """
    names = [index_name(index) for index in RICH]

    assert len(set(RICH)) == len(set(names))
    assert all(name.startswith("orders_") and name.endswith("_rung") and len(name) <= 63 for name in names)


@pytest.mark.parametrize("other", [0, 3, 5, 8, 9, 11])
def test_somebodys_rich_index_of_that_name_is_left_alone(orders: str, tmp_path: Path, other: int) -> None:
    """
    Whatever differs in anything is another index.
    """
    name = "by_something_rung"
    hands = _hands(orders, tmp_path)
    hands.apply(_work(RICH[other], name), say=_nothing, wait=False)
    before = _rows(orders, f"select '{name}'::regclass::oid, pg_get_indexdef('{name}'::regclass)")
    for index in RICH:
        if not _same(index, RICH[other]):
            with pytest.raises(BuildFailed, match="another index has the name"):
                hands.apply(_work(index, name), say=_nothing, wait=False)

    assert before == _rows(orders, f"select '{name}'::regclass::oid, pg_get_indexdef('{name}'::regclass)")


def test_several_are_built_and_undone_together(orders: str, tmp_path: Path) -> None:
    plans = [BuildIndex(index, index_name(index), 1) for index in (RICH[0], RICH[8])]
    work = take(quote_of(plan=plans[0], beside=(plans[1],)), Settings()).work
    assert work is not None
    hands = _hands(orders, tmp_path)
    done = hands.apply(work, say=_nothing, wait=False)
    assert not done.already and done.size_bytes > 2 * 8192
    assert hands.apply(work, say=_nothing, wait=False).already
    assert [(3,)] == _rows(orders, "select count(*) from pg_index where indrelid = 'orders'::regclass")
    hands.undo(work, say=_nothing)

    assert [(1,)] == _rows(orders, "select count(*) from pg_index where indrelid = 'orders'::regclass")


def test_of_several_those_before_a_failure_are_named(orders: str, tmp_path: Path) -> None:
    plans = [BuildIndex(RICH[0], "first_rung", 1), BuildIndex(RICH[8], "orders_pkey", 1)]
    work = take(quote_of(plan=plans[0], beside=(plans[1],)), Settings()).work
    assert work is not None
    with pytest.raises(BuildFailed, match="another index has the name orders_pkey") as failed:
        _hands(orders, tmp_path).apply(work, say=_nothing, wait=False)
    assert "There already, and left there: first_rung." in failed.value.left


@pytest.mark.parametrize(
    "definition",
    [
        "create index gone on orders (customer_id desc nulls last, lower(status)) include (id) where id > 7",
        "create unique index gone on orders (created_at, id)",
        "create index gone on orders using gin (data)",
        'create index gone on orders (status collate "C" text_pattern_ops) with (fillfactor = 70)',
    ],
)
def test_an_index_goes_and_comes_back_as_it_was(orders: str, tmp_path: Path, definition: str) -> None:
    _execute(orders, definition)
    hands, work = _hands(orders, tmp_path), _drop_work(orders)
    (before,) = _rows(orders, "select pg_get_indexdef('gone'::regclass)")
    done = hands.apply(work, say=_nothing, wait=False)
    assert not done.already and done.size_bytes > 0
    assert hands.apply(work, say=_nothing, wait=False).already
    assert [(None,)] == _rows(orders, "select to_regclass('gone')")
    hands.undo(work, say=_nothing)

    assert before == _rows(orders, "select pg_get_indexdef('gone'::regclass)")[0]
    assert [(True,)] == _rows(orders, "select indisvalid from pg_index where indexrelid = 'gone'::regclass")
    hands.undo(work, say=_nothing)


def test_an_index_that_became_another_does_not_go(orders: str, tmp_path: Path) -> None:
    """
    The undo would bring back what it was when the price was made.
    """
    _execute(orders, "create index gone on orders (customer_id)")
    work = _drop_work(orders)
    _execute(orders, "drop index gone; create index gone on orders (created_at)")
    with pytest.raises(BuildFailed, match="another index has the name gone"):
        _hands(orders, tmp_path).apply(work, say=_nothing, wait=False)

    assert [("gone",)] == _rows(orders, "select to_regclass('gone')::text")


def test_what_a_constraint_needs_does_not_go(orders: str, tmp_path: Path) -> None:
    gone = DropIndex("public", "orders", "orders_pkey", _definition(orders, "orders_pkey"), 1)
    work = take(quote_of(plan=None, drop=gone), Settings()).work
    assert work is not None
    with pytest.raises(BuildFailed, match="constraint orders_pkey on table orders requires it") as failed:
        _hands(orders, tmp_path).apply(work, say=_nothing, wait=False)
    assert "still there" in failed.value.why


def test_statements_of_any_kind_are_run_and_taken_back(orders: str, tmp_path: Path) -> None:
    script = Script(
        ("CREATE STATISTICS pairs (dependencies) ON customer_id, status FROM orders", "ANALYZE orders"),
        ("DROP STATISTICS IF EXISTS pairs",),
    )
    work = take(quote_of(plan=None, script=script), Settings()).work
    assert work is not None
    said: list[str] = []
    assert not _hands(orders, tmp_path).apply(work, say=said.append, wait=False).already
    assert list(script.statements) == said
    assert [(1,)] == _rows(orders, "select count(*) from pg_statistic_ext_data")
    _hands(orders, tmp_path).undo(work, say=_nothing)

    assert [(0,)] == _rows(orders, "select count(*) from pg_statistic_ext_data")


def test_a_statement_that_fails_says_what_stays(orders: str, tmp_path: Path) -> None:
    work = Work((Statement("ANALYZE orders"), Statement("ANALYZE nothing")), ())
    with pytest.raises(BuildFailed, match='relation "nothing" does not exist') as failed:
        _hands(orders, tmp_path).apply(work, say=_nothing, wait=False)
    assert "Done before it, and still so: ANALYZE orders." == failed.value.left


def test_whether_an_index_is_used_is_counted(orders: str) -> None:
    """
    Not yet used, used, invalid, gone; and why it is not known.
    """
    _execute(orders, "create index by_customer on orders (customer_id)")
    planner = DatabasePlanner(orders)
    try:
        use = IndexUse("public", "by_customer")
        assert IndexUsed("by_customer", scans=0, there=True, valid=True) == planner.index_use(use)
        with psycopg.connect(orders, autocommit=True) as connection:
            for _ in range(3):
                connection.execute("select from orders where customer_id = 5 order by customer_id").fetchall()
            connection.execute("select pg_stat_force_next_flush()")
        found = planner.index_use(use)
        assert isinstance(found, IndexUsed) and 3 == found.scans and found.serves
        _execute(orders, "update pg_index set indisvalid = false where indexrelid = 'by_customer'::regclass")
        assert IndexUsed("by_customer", scans=3, there=True, valid=False) == planner.index_use(use)
        _execute(orders, "drop index by_customer")
        assert IndexUsed("by_customer", scans=0, there=False, valid=False) == planner.index_use(use)
    finally:
        planner.close()
    assert isinstance(DatabasePlanner(None).index_use(IndexUse("public", "x")), Unavailable)


def test_scans_of_partitions_count_for_the_parents_index(database: str) -> None:
    _execute(
        database,
        "create table orders (id int, customer_id int) partition by hash (id);"
        "create table orders_0 partition of orders for values with (modulus 2, remainder 0);"
        "create table orders_1 partition of orders for values with (modulus 2, remainder 1);"
        "create index by_customer on orders (customer_id);"
        "insert into orders select n, n from generate_series(1, 20000) n; analyze orders",
    )
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("select from orders where customer_id = 5").fetchall()
        connection.execute("select pg_stat_force_next_flush()")

    with closing(DatabasePlanner(database)) as planner:
        found = planner.index_use(IndexUse("public", "by_customer"))
    assert IndexUsed("by_customer", scans=2, there=True, valid=True) == found


def _same(one: Index, other: Index) -> bool:
    """
    Two of the list are one index, written in two ways.
    """
    return one is other or {RICH.index(one), RICH.index(other)} in ({2, 3}, {9, 10})


def _work(index: Index, name: str | None = None) -> Work:
    work = take(quote_of(plan=BuildIndex(index, name or index_name(index), 1)), Settings()).work
    assert work is not None
    return work


def _drop_work(dsn: str) -> Work:
    gone = DropIndex("public", "orders", "gone", _definition(dsn, "gone"), 1)
    work = take(quote_of(name="index-drop:gone", plan=None, drop=gone), Settings()).work
    assert work is not None
    return work


def _definition(dsn: str, name: str) -> str:
    return str(_rows(dsn, f"select pg_get_indexdef('{name}'::regclass)")[0][0])


def _hands(dsn: str, folder: Path) -> RepositoryHands:
    return RepositoryHands(folder, dsn, lock_timeout_s=PATIENCE_S_MAX, old_transaction_s=PATIENCE_S_MAX)


def _nothing(line: str) -> None:
    """
    Nobody listens.
    """
