"""
Make the plans that the tests read, on a real PostgreSQL: python -m tests.steps.explain.make

In        CASES: statements with what must be set for the plan that is wanted
Out       plans/NAME.json, as EXPLAIN (ANALYZE, BUFFERS, VERBOSE, SETTINGS, FORMAT JSON) gave it
Not here  what is read out of them (test_tree.py)

The figures differ a little with each making, so tests hold them against each other and against the data, which do not.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from rung.adapters.cluster import start

PLANS = Path(__file__).parent / "plans"
# 50,000 orders of 1,000 customers; parts by month; correlated columns; rows changed since the last vacuum.
DATA = """
create table customer (id int primary key, name text not null, city text not null, zip int not null);
insert into customer select n, 'customer ' || n, 'city ' || n % 50, 1000 + n % 50 from generate_series(1, 1000) n;
create table orders (
    id int primary key, customer_id int not null references customer, total int not null, note text not null
);
insert into orders select n, 1 + n % 1000, n % 997, repeat('x', 400) || n from generate_series(1, 50000) n;
create index orders_customer on orders (customer_id);
create table part (id int not null, month int not null, amount int not null) partition by list (month);
create table part_1 partition of part for values in (1);
create table part_2 partition of part for values in (2);
create table part_3 partition of part for values in (3);
insert into part select n, 1 + n % 3, n from generate_series(1, 30000) n;
create table changed (id int primary key, pieces int not null) with (autovacuum_enabled = false);
insert into changed select n, n from generate_series(1, 5000) n;
create table watched (id int primary key, customer_id int references customer, pieces int);
insert into watched select n, 1 + n % 1000, n from generate_series(1, 2000) n;
create function watch() returns trigger language plpgsql as 'begin new.pieces = new.pieces + 1; return new; end';
create trigger watch before update on watched for each row execute function watch();
vacuum analyze;
update changed set pieces = pieces + 1;
"""
SERIAL = {"max_parallel_workers_per_gather": "0", "jit": "off"}
PARALLEL = {
    "max_parallel_workers_per_gather": "2", "parallel_setup_cost": "0", "parallel_tuple_cost": "0",
    "min_parallel_table_scan_size": "0", "min_parallel_index_scan_size": "0", "jit": "off",
}  # fmt: skip
NESTED = {**SERIAL, "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_material": "off"}
CASES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "sort_spill": ("select * from orders order by note", {**SERIAL, "work_mem": "256kB"}),
    "sort_memory": ("select * from customer order by city, name", SERIAL),
    "hash_batches": (
        "select count(*) from orders o join orders p on p.note = o.note",
        {**SERIAL, "work_mem": "256kB", "enable_mergejoin": "off"},
    ),
    "groups_spill": (
        "select note, count(*) from orders group by note", {**SERIAL, "work_mem": "256kB", "enable_sort": "off"},
    ),
    "parallel": ("select count(*) from orders where total < 500", PARALLEL),
    "parallel_sort": ("select * from orders order by note", {**PARALLEL, "work_mem": "256kB"}),
    "parallel_nested": (
        "select count(*) from orders o join customer c on c.id = o.customer_id where o.total < 500",
        {**PARALLEL, "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_memoize": "off"},
    ),
    "parallel_append": ("select count(*) from part where amount % 2 = 0", PARALLEL),
    "never_executed": (
        "select * from customer c left join watched w on w.id = c.id where c.zip = 1", NESTED,
    ),
    "init_plan": ("select * from customer where zip > (select avg(total) from orders)", SERIAL),
    "sub_plan": (
        "select name, (select max(total) from orders where customer_id = c.id) from customer c where id <= 100", SERIAL,
    ),
    "cte": (
        """with big as materialized (select customer_id, sum(total) as total from orders group by customer_id)
        select count(*) from big a join big b on b.total = a.total""",
        SERIAL,
    ),
    "partitions": ("select count(*) from part where amount > 100", SERIAL),
    "memoize": (
        "select count(c.name) from orders o left join customer c on c.id = o.customer_id",
        {**NESTED, "enable_bitmapscan": "off"},
    ),
    "million_loops": (
        """select count(*) from generate_series(1, 1000) a cross join generate_series(1, 1000) b
        join lateral (select c.id from customer c where c.id = a) c on true""",
        {**NESTED, "enable_memoize": "off", "join_collapse_limit": "1"},
    ),
    "heap_fetches": (
        "select id from changed where id > 10", {**SERIAL, "enable_seqscan": "off", "enable_bitmapscan": "off"},
    ),
    "modify": ("update watched set customer_id = customer_id % 1000 + 1", SERIAL),
    "correlated": ("select * from customer where city = 'city 7' and zip = 1007", SERIAL),
    "limit": ("select * from orders where total < 900 limit 10", SERIAL),
    "merge_rereads": (
        "select count(*) from orders a join orders b on a.customer_id = b.customer_id",
        {**SERIAL, "enable_hashjoin": "off", "enable_nestloop": "off"},
    ),
    "bitmap_lossy": (
        "select sum(total) from orders where customer_id between 1 and 700",
        {**SERIAL, "work_mem": "64kB", "enable_seqscan": "off", "enable_indexscan": "off"},
    ),
}  # fmt: skip
PLAIN: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "plain_nested": ("select * from orders o join customer c on c.id = o.customer_id where o.total = 5", NESTED),
    "plain_limit": ("select * from orders order by id limit 10", SERIAL),
}


def main() -> None:
    """
    Make all of them anew.
    """
    PLANS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        server = start(Path(folder) / "server", settings={"fsync": "off"})
        try:
            _make(server.dsn())
        finally:
            server.remove()


def _make(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in DATA.split(";\n"):
            connection.execute(sql.SQL(statement))
        for options, cases in (
            ("ANALYZE, BUFFERS, VERBOSE, SETTINGS, FORMAT JSON", CASES), ("VERBOSE, SETTINGS, FORMAT JSON", PLAIN),
        ):  # fmt: skip
            for name, (statement, settings) in cases.items():
                with connection.transaction(force_rollback=True):
                    for setting, value in settings.items():
                        connection.execute("select set_config(%s, %s, true)", (setting, value))
                    explain = sql.SQL("EXPLAIN ({}) {}").format(sql.SQL(options), sql.SQL(statement))
                    row = connection.execute(explain).fetchone()
                    assert row is not None
                (PLANS / f"{name}.json").write_text(json.dumps(row[0], indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
