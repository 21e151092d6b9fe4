"""
Which indexes are thought of for a statement, from the plan that a real PostgreSQL makes of it.
"""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from rung.adapters.catalog import describe
from rung.adapters.postgres import explain, looking
from rung.ports import Plan, Table
from rung.steps.advise.access import accesses, changes
from tests.steps.advise.telling import thought_of


def seen(dsn: str, *statements: str) -> tuple[list[Plan], dict[str, Table]]:
    """
    Return the plans of *statements* and the tables in them.
    """
    with looking(dsn) as connection:
        plans = [explain(connection, statement) for statement in statements]
        named = {(access.schema, access.table) for plan in plans for access in accesses(plan)}
        tables = {name: describe(connection, schema, name) for schema, name in named}
    assert None not in tables.values()
    return plans, {name: table for name, table in tables.items() if table is not None}


# Statement, table, indexes that are thought of, indexes that are not.
CASES = {
    "equality": ("select * from orders where customer_id = $1", "orders", {"customer_id"}, {"id", "status"}),
    "two equalities, the more telling one first": (
        "select * from orders where status = $1 and customer_id = $2", "orders",
        {"customer_id,status", "customer_id", "status"}, set(),
    ),
    "equality before the range, whatever comes first": (
        "select * from orders where created_at > $1 and status = $2 order by created_at desc limit 100", "orders",
        {"status,-created_at", "status,created_at"}, {"created_at,status", "-created_at,status"},
    ),
    "between before equality in the text": (
        "select * from lines where supplier_id between $1 and $2 and product_id = $3", "lines",
        {"product_id,supplier_id"}, {"supplier_id,product_id"},
    ),
    "two ranges: one of them": (
        "select * from orders where total > $1 and created_at < $2", "orders",
        {"total", "created_at"}, {"total,created_at", "created_at,total"},
    ),
    "a range that ends at what a subquery says of the same key": (
        "select 1 from orders o where customer_id = $1 and total < (select avg(total) from orders i where i.id = o.id)",
        "orders", {"customer_id,total"}, set(),
    ),
    "the order after equality": (
        "select * from orders where customer_id = $1 order by created_at desc limit 20", "orders",
        {"customer_id,-created_at", "customer_id"}, {"-created_at,customer_id"},
    ),
    "mixed directions": (
        "select id from orders order by created_at desc, total limit 10", "orders", {"-created_at,total"}, set(),
    ),
    "nulls last on a descending key": (
        "select id from orders order by deleted_at desc nulls last limit 10", "orders", {"-deleted_at^last"},
        {"-deleted_at"},
    ),
    "nulls first on an ascending key": (
        "select id from orders order by deleted_at nulls first limit 10", "orders", {"deleted_at^first"}, set(),
    ),
    "nulls where they are by default": (
        "select id from orders order by deleted_at desc nulls first limit 10", "orders", {"-deleted_at"}, set(),
    ),
    "a sort by what is fixed": (
        "select id from orders where customer_id = $1 order by customer_id, created_at", "orders",
        {"customer_id,created_at"}, set(),
    ),
    "range behind the order": (
        "select id from orders where customer_id = $1 and total > $2 order by created_at limit 5", "orders",
        {"customer_id,created_at,total", "customer_id,created_at", "customer_id,total"}, set(),
    ),
    "covering": (
        "select total from orders where customer_id = $1", "orders", {"customer_id +total"}, set(),
    ),
    "covering under an aggregate, which is handed whole rows": (
        "select sum(total) from orders where customer_id = $1", "orders", {"customer_id +total"}, set(),
    ),
    "covering under a hash join": (
        "select c.name, sum(o.total) from orders o join customers c on c.id = o.customer_id group by c.name", "orders",
        {"customer_id +total"}, set(),
    ),
    "counting carries nothing along": (
        "select count(*) from orders where customer_id = $1", "orders", {"customer_id"}, {"customer_id +id"},
    ),
    "rows that are locked are read themselves": (
        "select total from orders where customer_id = $1 for update", "orders", {"customer_id"},
        {"customer_id +total"},
    ),
    "all columns are too many to carry": (
        "select * from orders where customer_id = $1", "orders", {"customer_id"},
        {"customer_id +id,status,total,created_at,seen_at,deleted_at,active,data,note"},
    ),
    "partial: is null": (
        "select id from orders where customer_id = $1 and deleted_at is null", "orders",
        {"customer_id where deleted_at IS NULL", "customer_id", "customer_id,deleted_at"}, set(),
    ),
    "partial: is not null": (
        "select id from orders where customer_id = $1 and deleted_at is not null", "orders",
        {"customer_id where deleted_at IS NOT NULL"}, set(),
    ),
    "partial: what is compared is not null, where most are": (
        "select id from orders where deleted_at > $1", "orders",
        {"deleted_at where deleted_at IS NOT NULL", "deleted_at"}, set(),
    ),
    "partial: what is compared is not null, where few are": (
        "select id from orders where note = $1", "orders", {"note"}, {"note where note IS NOT NULL"},
    ),
    "partial: a column without nulls": (
        "select id from customers where city = $1 and name is not null", "customers", {"city"},
        {"city where name IS NOT NULL"},
    ),
    "partial: boolean": (
        "select id from orders where active and customer_id = $1", "orders", {"customer_id where active"}, set(),
    ),
    "partial: not boolean": (
        "select id from orders where not active and customer_id = $1", "orders",
        {"customer_id where NOT active"}, set(),
    ),
    "partial: two predicates": (
        "select id from orders where not active and deleted_at is null and customer_id = $1", "orders",
        {"customer_id where (NOT active) AND (deleted_at IS NULL)"}, set(),
    ),
    "partial: a value of the statement's own": (
        "select id from orders where status = 'new' order by created_at limit 10", "orders",
        {"created_at where status = 'new'::text", "status,created_at"}, set(),
    ),
    "partial: no value of a view's": (
        "select id from secret where customer_id = $1", "orders", {"customer_id"},
        {"customer_id where status = 'canary'::text", "customer_id where status = $n::text"},
    ),
    "partial: no value that another execution may not have": (
        "select id from orders where status = $1 order by created_at limit 10", "orders", {"status,created_at"},
        {"created_at where status = $1"},
    ),
    "view": (
        "select * from open_orders where customer_id = $1", "orders",
        {"customer_id", "customer_id where (deleted_at IS NULL) AND (active)" }, set(),
    ),
    "expression": (
        "select * from customers where lower(email) = $1", "customers", {"(lower(email))"}, {"email"},
    ),
    "expression of a varchar": (
        "select * from customers where lower(name) = $1", "customers", {"(lower((name)::text))"}, {"name"},
    ),
    "a varchar compared as text is itself": (
        "select * from customers where name = $1", "customers", {"name"}, {"((name)::text)"},
    ),
    "a domain is compared as the type below it": (
        "select id from prices where price = $1", "prices", {"price"}, {"((price)::numeric)"},
    ),
    "a cast to another type is an expression": (
        "select id from prices where price::int = $1", "prices", {"((price)::integer)"}, {"price"},
    ),
    "a char is itself": ("select * from customers where country = $1", "customers", {"country"}, set()),
    "cast": (
        "select * from orders where created_at::date = $1", "orders", {"((created_at)::date)"}, {"created_at"},
    ),
    "date_trunc": (
        "select * from orders where date_trunc('day', created_at) = $1", "orders",
        {"(date_trunc('day'::text, created_at))"}, {"created_at"},
    ),
    "json path": (
        "select * from orders where data ->> 'k' = $1", "orders", {"(data ->> 'k'::text)"}, {"data"},
    ),
    "json path that is a value": (
        "select * from orders where data ->> $2 = $1", "orders", set(), {"(data ->> $2)", "data"},
    ),
    "arithmetic over two columns": (
        "select * from lines where quantity * price > $1", "lines", {"((quantity)::numeric * price)"}, set(),
    ),
    "function of a value": ("select * from customers where email = lower($1)", "customers", {"email"}, set()),
    "each arm of an or": (
        "select * from orders where customer_id = $1 or status = $2", "orders", {"customer_id", "status"},
        {"customer_id,status", "status,customer_id"},
    ),
    "arms with more in them": (
        "select * from orders where (customer_id = $1 and total > $2) or status = $3", "orders",
        {"customer_id,total", "status"}, set(),
    ),
    "an or beside an equality": (
        "select * from orders where active = $3 and (customer_id = $1 or status = $2)", "orders",
        {"active,customer_id", "active,status", "customer_id", "status"}, set(),
    ),
    "in": (
        "select * from orders where customer_id in ($1, $2)", "orders", {"customer_id"}, set(),
    ),
    "any, with an order": (
        "select * from orders where status = any($1) and customer_id = $2 order by created_at", "orders",
        {"customer_id,status", "customer_id,created_at", "customer_id,created_at,status", "status,customer_id"}, set(),
    ),
    "like with a known beginning": (
        "select * from customers where email like 'abc%'", "customers", {"email/text_pattern_ops"}, {"email"},
    ),
    "like with a value": ("select * from customers where email like $1", "customers", set(), {"email"}),
    "like that begins with anything": (
        "select * from customers where email like '%abc'", "customers", set(), {"email/text_pattern_ops"},
    ),
    "greatest": (
        "select max(created_at) from orders where customer_id = $1", "orders",
        {"customer_id,created_at", "customer_id"}, set(),
    ),
    "least of all": ("select min(total) from orders", "orders", {"total"}, set()),
    "distinct on": (
        "select distinct on (customer_id) customer_id, created_at from orders order by customer_id, created_at desc",
        "orders", {"customer_id,-created_at"}, {"-created_at,customer_id"},
    ),
    "group by": (
        "select status, max(total) from orders group by status", "orders", {"status", "status +total"}, set(),
    ),
    "join: the inner side": (
        "select * from customers c join orders o on o.customer_id = c.id where c.email = $1", "orders",
        {"customer_id"}, {"email"},
    ),
    "join: the outer side": (
        "select * from customers c join orders o on o.customer_id = c.id where c.email = $1", "customers",
        {"email"}, {"id"},
    ),
    "join with a condition of its own": (
        "select * from customers c join orders o on o.customer_id = c.id and o.status = $2 where c.email = $1",
        "orders", {"customer_id,status", "status,customer_id"}, set(),
    ),
    "join by two columns": (
        "select * from lines l join orders o on o.id = l.product_id and o.customer_id = l.supplier_id", "lines",
        {"product_id,supplier_id"}, set(),
    ),
    "implied equality": (
        "select * from customers c join orders o on o.customer_id = c.id where c.id = $1", "orders",
        {"customer_id"}, set(),
    ),
    "semi-join": (
        "select * from customers c where exists (select 1 from orders o where o.customer_id = c.id and o.total > $1)",
        "orders", {"customer_id", "customer_id,total", "total"}, set(),
    ),
    "correlated subselect": (
        "select c.id, (select max(o.total) from orders o where o.customer_id = c.id) from customers c where c.id = $1",
        "orders", {"customer_id", "customer_id,total"}, set(),
    ),
    "not in a subselect leaves it alone": (
        "select * from orders where customer_id not in (select id from customers where city = $1)", "orders", set(),
        {"customer_id"},
    ),
    "value from a subselect": (
        "select * from orders where customer_id = (select max(id) from customers)", "orders", {"customer_id"}, set(),
    ),
    "cte": (
        "with late as (select * from orders where created_at > $1) select * from late where customer_id = $2", "orders",
        {"customer_id,created_at", "customer_id"}, set(),
    ),
    "cte that is kept apart": (
        "with late as materialized (select * from orders where total > $1) select * from late where status = $2",
        "orders", {"total"}, {"status"},
    ),
    "self-join": (
        "select * from orders a join orders b on b.customer_id = a.customer_id where a.total > $1", "orders",
        {"customer_id", "total"}, set(),
    ),
    "keyset page": (
        "select * from orders where (created_at, id) < ($1, $2) order by created_at desc, id desc limit 20", "orders",
        {"-created_at,-id", "created_at,id"}, set(),
    ),
    "unequal is no lookup": ("select * from orders where status <> $1", "orders", set(), {"status"}),
    "a column with a column": ("select * from lines where product_id = supplier_id", "lines", set(), {"product_id"}),
    "what an index does already": ("select * from orders where id = $1", "orders", set(), {"id"}),
    "update": (
        "update orders set total = $1 where customer_id = $2", "orders", {"customer_id"}, {"customer_id +id"},
    ),
    "delete": ("delete from orders where created_at < $1", "orders", {"created_at"}, set()),
    "update from": (
        "update orders o set total = $1 from customers c where c.id = o.customer_id and c.email = $2", "orders",
        {"customer_id"}, set(),
    ),
    "odd names": (
        'select * from "Größen" where "we""ird" = $1 order by "Id"', "Größen", {'we"ird,Id', 'we"ird'}, set(),
    ),
    "containment is another kind of index": (
        "select * from orders where data @> $1", "orders", set(), {"data"},
    ),
    "union": (
        "select id from orders where status = $1 union all select id from orders where total = $2", "orders",
        {"status", "total"}, {"status,total"},
    ),
    "reversed and in brackets": (
        "SELECT * FROM Orders WHERE ($1) = ((Customer_ID)) ORDER BY CREATED_AT", "orders",
        {"customer_id,created_at"}, set(),
    ),
    "no blanks, and casts of values": (
        "select * from orders where customer_id=any($1::int[])and status=cast($2 as text)", "orders",
        {"status,customer_id", "customer_id,status"}, set(),
    ),
    "a number compared as text": (
        "select * from orders where customer_id::text = $1", "orders", {"((customer_id)::text)"}, {"customer_id"},
    ),
    "boolean is": (
        "select id from orders where active is true and customer_id = $1", "orders",
        {"customer_id where active IS TRUE"}, set(),
    ),
    "sorted by another table first": (
        "select * from orders o join customers c on c.id = o.customer_id where o.status = $1 order by c.name, o.id",
        "orders", {"status"}, {"status,id"},
    ),
    "sorted by an expression with a value": (
        "select id from orders where customer_id = $1 order by total + $2, id", "orders", {"customer_id"},
        {"customer_id,id"},
    ),
    "sorted by an expression": (
        "select id from customers where city = $1 order by lower(email)", "customers", {"city,(lower(email))"}, set(),
    ),
    "an alias inside hides one outside": (
        "select * from customers o where o.city = $1 and exists (select from orders o where o.total = $2)", "orders",
        {"total"}, {"city"},
    ),
    "a cte of a table's name": (
        "with orders as (select * from customers) select * from orders where city = $1", "customers", {"city"}, set(),
    ),
    "returning": ("delete from orders where customer_id = $1 returning id", "orders", {"customer_id"}, set()),
    "skip locked": (
        "select * from orders where status = $1 order by created_at limit 1 for update skip locked", "orders",
        {"status,created_at"}, set(),
    ),
    "lateral: the newest of each": (
        "select * from customers c, lateral (select * from orders where customer_id = c.id order by total limit 1)",
        "orders", {"customer_id,total"}, set(),
    ),
    "window": (
        "select id, row_number() over (partition by customer_id order by created_at) from orders", "orders",
        {"customer_id,created_at"}, set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_which_indexes_are_thought_of(case: str, dsn: str) -> None:
    """
    For each shape of statement the right index is among the candidates, and a wrong one is not.
    """
    statement, table, wanted, unwanted = CASES[case]
    plans, tables = seen(dsn, statement)
    made = thought_of(plans, tables).get(table, set())

    assert wanted - made == set()
    assert unwanted & made == set()


def test_what_statements_share_comes_first(dsn: str) -> None:
    """
    One index for two statements: the column that both fix leads, whatever its own merits.
    """
    both = "select * from orders where status = $1 and customer_id = $2"
    one = "select * from orders where status = $1 and total > $2"
    alone, tables = seen(dsn, both)
    with_other, _ = seen(dsn, both, one, one)

    assert "customer_id,status" in thought_of(alone, tables)["orders"]
    assert "status,customer_id" in thought_of(with_other, tables)["orders"]


def test_catalogs_and_functions_are_no_tables(dsn: str) -> None:
    """
    A statement over the catalog is left alone by those who gather, and a function has no table at all.
    """
    plans, tables = seen(dsn, "select * from generate_series(1, 3) n join orders o on o.id = n")

    assert {"orders"} == {access.table for access in accesses(plans[0])}
    assert set(tables) == {"orders"}


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("insert into lines values ($1, $2, $3, $4, $5)", "Insert"),
        ("update lines set quantity = $1 where order_id = $2", "Update"),
        ("delete from lines where order_id = $1", "Delete"),
        ("with gone as (delete from lines where order_id = $1 returning *) select count(*) from gone", "Delete"),
    ],
)
def test_what_is_written_is_seen(dsn: str, statement: str, operation: str) -> None:
    """
    Each statement that writes names its table, and how many rows the planner expects.
    """
    plans, _ = seen(dsn, statement)
    (change,) = changes(plans[0])

    assert ("public", "lines", operation) == (change.schema, change.table, change.operation)
    assert 1 <= change.rows < 5


def test_a_partition_is_known_as_one(dsn: str) -> None:
    """
    The index of a partitioned table is made on the table at the top.
    """
    plans, tables = seen(dsn, "select * from parts where kind = $1")

    assert {"parts_1", "parts_2"} == set(tables)
    assert {("public", "parts")} == {table.partition_of for table in tables.values()}
    assert {"kind"} <= thought_of(plans, tables)["parts_1"]


def test_the_catalog_tells_what_could_go_and_what_refers(dsn: str) -> None:
    """
    Indexes of any kind with their use, foreign keys from both sides, statistics without a value.
    """
    with closing(psycopg.connect(dsn, autocommit=True)) as writer:
        writer.execute("create index odd on orders (lower(note), total desc nulls last) where status = 'secret'")
        writer.execute("create index on orders using gin (data)")
    with looking(dsn) as connection:
        orders, lines = describe(connection, "public", "orders"), describe(connection, "public", "lines")
    with closing(psycopg.connect(dsn, autocommit=True)) as writer:
        writer.execute("drop index odd, orders_data_idx")
    assert orders is not None
    assert lines is not None

    odd = next(existing for existing in orders.existing if existing.name == "odd")
    assert (odd.plain, odd.unique, odd.constraint, odd.valid, odd.scans) == (False, False, False, True, 0)
    assert "status = $n::text" == odd.index.where
    assert [("lower(note)", False, None), ("total", True, False)] == [
        (column.name, column.descending, column.nulls_first) for column in odd.index.columns
    ]
    assert {"btree", "gin"} == {existing.method for existing in orders.existing}
    assert {"orders_pkey"} == {existing.name for existing in orders.existing if existing.constraint}
    assert [("id",)] == [tuple(column.name for column in index.columns) for index in orders.indexes]
    assert [("customers", ("customer_id",), ("id",))] == [(k.table, k.columns, k.to_columns) for k in orders.refers_to]
    assert [("lines", ("order_id",), "cascade")] == [(key.table, key.columns, key.action) for key in orders.referred_by]
    assert [("orders", ("order_id",))] == [(key.table, key.columns) for key in lines.refers_to]
    columns = {column.name: column for column in orders.columns}
    assert columns["status"].distinct == 3
    assert columns["deleted_at"].null_share == pytest.approx(0.75)
    assert columns["id"].correlation == pytest.approx(1.0)
    assert 0.3 < columns["status"].top_share < 0.4
