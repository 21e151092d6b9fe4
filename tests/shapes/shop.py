"""
A shop's schema, with lookups, ranges, sorts, skew, partial, expression and covering indexes.

In        nothing
Out       a Group
Not here  statements over several tables (joins.py), writing (writes.py)

Data come from hashes of the row's number: skewed, uncorrelated, and the same everywhere.
"""

from __future__ import annotations

from tests.shapes.shape import Execution, Group, shape

SCHEMA = """
create function draw(n int, seed int, below int) returns int language sql immutable
    as 'select (hashint4(n * 31 + seed) & 2147483647) % below';
create table countries (id int primary key, code text not null, name text not null);
insert into countries select n, 'K' || n, 'Country ' || n from generate_series(1, 40) n;
create table customers (
    id bigint primary key, email text not null, city_id int not null, active boolean not null,
    attempts int not null, zip text, settings jsonb not null, note text not null
);
insert into customers
select n, 'C' || n || '@Example.org', 1 + draw(n, 1, 400), draw(n, 2, 100) >= 3, draw(n, 3, 30),
       case when draw(n, 4, 100) < 98 then lpad(draw(n, 5, 5000)::text, 5, '0') end,
       jsonb_build_object('theme', 't' || draw(n, 6, 500), 'beta', n % 2 = 0), repeat('n', 80)
from generate_series(1, 8000) n;
create table products (
    id int primary key, sku text not null, category_id int not null, added timestamp not null,
    title text not null, tags text[] not null, kind text not null
);
insert into products
select n, chr(65 + draw(n, 11, 26)) || chr(65 + draw(n, 12, 26)) || '-' || lpad(n::text, 6, '0'),
       1 + draw(n, 13, 60), '2025-01-01'::timestamp + draw(n, 14, 500000) * interval '1 minute',
       'Thing number ' || n, array['g' || draw(n, 15, 40), 'h' || draw(n, 16, 40)], 'k' || draw(n, 17, 7)
from generate_series(1, 12000) n;
create table orders (
    id bigint primary key, customer_id bigint not null, status text not null, placed_at timestamptz not null,
    shipped_at timestamptz, total numeric(10, 2) not null, priority int not null, note text not null
);
insert into orders
select n, 1 + floor(8000 * power(draw(n, 21, 1000000) / 1e6, 3)),
       case when draw(n, 22, 100) < 1 then 'failed' when draw(n, 22, 100) < 4 then 'held'
            when draw(n, 22, 100) < 10 then 'open' else 'done' end,
       '2026-01-01 00:00+00'::timestamptz + n * interval '5 minutes',
       case when draw(n, 23, 50) > 0
            then '2026-01-02 00:00+00'::timestamptz + (n * 5 + draw(n, 24, 9000)) * interval '1 minute' end,
       draw(n, 25, 1000000) / 100.0, draw(n, 26, 5), repeat('o', 60)
from generate_series(1, 60000) n;
create table lines (
    id bigint primary key, order_id bigint not null, product_id int not null, quantity int not null,
    price numeric(10, 2) not null, note text not null
);
insert into lines
select n, 1 + draw(n, 31, 60000), 1 + draw(n, 32, 12000), 1 + draw(n, 33, 9), draw(n, 34, 10000) / 100.0,
       repeat('l', 30)
from generate_series(1, 120000) n;
create table vouchers (id bigint primary key, redeemed_by bigint, code text not null, note text not null);
insert into vouchers
select n, case when draw(n, 41, 100) < 3 then 1 + draw(n, 42, 8000) end, 'V' || n, repeat('v', 60)
from generate_series(1, 60000) n;
create view order_list as
    select o.id as number, o.customer_id as buyer, o.placed_at as bought, c.email
    from orders o join customers c on c.id = o.customer_id;
create materialized view city_orders as
    select c.city_id, o.status, o.id as order_id, o.total, repeat('c', 40) as note
    from orders o join customers c on c.id = o.customer_id;
"""

LOOKUPS = (
    shape(
        "equality",
        "select * from orders where customer_id = $1",
        "6000",
        why="One column compared for equality.",
        right=["orders (customer_id)"],
        wrong=["orders (placed_at)"],
    ),
    shape(
        "equality_of_two",
        "select * from orders where customer_id = $1 and status = $2",
        "1",
        "failed",
        why="The heaviest customer has thousands of orders and a few that failed: both columns, in either order.",
        right=["orders (customer_id, status)", "orders (status, customer_id)"],
        wrong=["orders (customer_id)", "orders (status)"],
    ),
    shape(
        "equality_then_range",
        "select id, total from orders where customer_id = $1 and placed_at >= $2 and placed_at < $3",
        "1",
        "2026-03-01",
        "2026-03-05",
        why="What is compared for equality comes before what is compared for range.",
        right=["orders (customer_id, placed_at)"],
        wrong=["orders (customer_id)"],
    ),
    shape(
        "range",
        "select id, total from orders where placed_at >= $1 and placed_at < $2",
        "2026-03-01",
        "2026-03-02",
        why="A narrow range of a column that follows the order of the rows.",
        right=["orders (placed_at)"],
    ),
    shape(
        "in_list",
        "select * from orders where customer_id in ($1, $2, $3)",
        "5000",
        "6000",
        "7000",
        why="A list of values is a few lookups.",
        right=["orders (customer_id)"],
    ),
    shape(
        "any_of_array",
        "select * from orders where customer_id = any($1::bigint[])",
        "{5000,6000,7000}",
        why="An array of values is what drivers make of a list.",
        right=["orders (customer_id)"],
    ),
    shape(
        "or_on_one_column",
        "select * from orders where customer_id = $1 or customer_id = $2",
        "6000",
        "7000",
        why="OR over one column is a list.",
        right=["orders (customer_id)"],
    ),
    shape(
        "or_on_two_columns",
        "select * from customers where email = $1 or zip = $2",
        "C17@Example.org",
        "00042",
        why="OR over two columns needs an index for each side; with one of them the table is read all the same.",
        right=[("customers (email)", "customers (zip)")],
        wrong=["customers (email)", "customers (email, zip)"],
    ),
    shape(
        "equality_beside_or",
        "select * from customers where city_id = $1 and (attempts = $2 or attempts = $3)",
        "17",
        "3",
        "4",
        why="What stands beside the OR narrows it.",
        right=["customers (city_id, attempts)"],
        wrong=["customers (city_id)"],
    ),
    shape(
        "count_covered",
        "select count(*) from orders where status = $1",
        "open",
        why="A count needs no row, only the index.",
        right=["orders (status)"],
    ),
    shape(
        "covered",
        "select total from orders where customer_id = $1",
        "1",
        why="With the one column that is read beside the key, no page of the table is touched.",
        right=["orders (customer_id) include (total)", "orders (customer_id, total)"],
        wrong=["orders (customer_id)"],
    ),
    shape(
        "largest_of_some",
        "select max(total) from orders where status = $1",
        "done",
        why="The largest value stands at the end of its run in the index.",
        right=["orders (status, total)"],
        wrong=["orders (status)"],
    ),
    shape(
        "largest",
        "select max(total), min(total) from orders",
        why="Both ends of an index.",
        right=["orders (total)", "orders (total desc)"],
    ),
    shape(
        "grouped",
        "select priority, count(*) from orders where customer_id = $1 group by priority",
        "1",
        why="Groups of a covered lookup.",
        right=["orders (customer_id, priority)"],
        wrong=["orders (customer_id)"],
    ),
    shape(
        "not_equal_is_no_key",
        "select * from orders where status <> $1 and customer_id = $2",
        "done",
        "6000",
        why="What differs from a value is nearly everything; the other condition finds the rows.",
        right=["orders (customer_id)"],
        wrong=["orders (status)"],
    ),
)

SORTS = (
    shape(
        "sorted_after_equality",
        "select id, total from orders where customer_id = $1 order by placed_at desc limit 20",
        "1",
        why="The order comes after what is compared for equality, so that twenty rows are read, not thousands.",
        right=["orders (customer_id, placed_at)", "orders (customer_id, placed_at desc)"],
        wrong=["orders (customer_id)"],
    ),
    shape(
        "sorted_by_rare_status",
        "select * from orders where status = $1 order by total limit 20",
        "failed",
        why="The rows of a rare value stand far apart in the order: both columns, the value first.",
        right=["orders (status, total)"],
        wrong=["orders (total)"],
    ),
    shape(
        "first_of_all",
        "select id from orders order by total desc limit 10",
        why="The order alone; a btree is read from either end.",
        right=["orders (total)", "orders (total desc)"],
    ),
    shape(
        "mixed_directions",
        "select id from orders order by priority desc, total limit 20",
        why="Two directions: no plain index has this order, read from either end.",
        right=["orders (priority desc, total)", "orders (priority, total desc)"],
        wrong=["orders (priority, total)", "orders (priority)"],
    ),
    shape(
        "mixed_directions_after_equality",
        "select id from orders where customer_id = $1 order by priority desc, placed_at limit 10",
        "1",
        why="Two directions after an equality.",
        right=["orders (customer_id, priority desc, placed_at)", "orders (customer_id, priority, placed_at desc)"],
        wrong=["orders (customer_id)"],
    ),
    shape(
        "nulls_last",
        "select id from orders order by shipped_at desc nulls last limit 20",
        why="Descending with nulls last is the order of no plain index.",
        right=["orders (shipped_at desc nulls last)", "orders (shipped_at nulls first)"],
        wrong=["orders (shipped_at)", "orders (shipped_at desc)"],
    ),
    shape(
        "nulls_first_after_equality",
        "select id from orders where status = $1 order by shipped_at nulls first, id limit 20",
        "done",
        why="Ascending with nulls first, after an equality, with a second key.",
        right=[
            "orders (status, shipped_at nulls first, id)",
            "orders (status, shipped_at desc nulls last, id desc)",
        ],
        wrong=["orders (status, shipped_at)"],
    ),
    shape(
        "next_page",
        "select id, placed_at from orders where (placed_at, id) < ($1, $2) order by placed_at desc, id desc limit 20",
        "2026-03-05",
        "18000",
        why="A page begins where the last one ended: both columns of the row comparison, in its order.",
        right=["orders (placed_at, id)", "orders (placed_at desc, id desc)", "orders (placed_at)"],
    ),
    shape(
        "latest_of_each",
        "select distinct on (customer_id) customer_id, placed_at from orders order by customer_id, placed_at desc",
        why="The index has the order and all that is read.",
        right=["orders (customer_id, placed_at desc)"],
    ),
    shape(
        "ranked_within",
        "select * from (select id, customer_id, row_number() over (partition by customer_id"
        " order by placed_at desc) as place from orders) ranked where customer_id = $1 and place <= 3",
        "1",
        why="The window's partition takes the equality, its order lets it stop, and nothing else is read.",
        right=["orders (customer_id, placed_at desc) include (id)", "orders (customer_id, placed_at desc, id)"],
        wrong=["orders (customer_id)", "orders (customer_id, placed_at desc)"],
    ),
)

PARTIAL = (
    shape(
        "rare_status",
        "select id, total from orders where status = 'failed' order by placed_at desc limit 20",
        why="A value that is written into the statement and rare: an index of those rows alone, in the order asked.",
        right=["orders (placed_at) where status = 'failed'", "orders (placed_at desc) where status = 'failed'"],
        wrong=["orders (placed_at)", "orders (status, placed_at)"],
    ),
    shape(
        "not_yet_shipped",
        "select id, placed_at from orders where shipped_at is null order by placed_at limit 50",
        why="Two rows in a hundred are null: an index of those alone.",
        right=["orders (placed_at) where shipped_at is null"],
        wrong=["orders (placed_at)", "orders (shipped_at, placed_at)"],
    ),
    shape(
        "not_active",
        "select * from customers where not active and city_id = $1",
        "17",
        why="The rare side of a boolean.",
        right=["customers (city_id) where not active", "customers (city_id, active)"],
    ),
    shape(
        "without_zip",
        "select id, email from customers where zip is null",
        why="Rare nulls, no other condition, and little that is read: an index of those rows that has it all.",
        right=[
            "customers (id) include (email) where zip is null",
            "customers (email) include (id) where zip is null",
            "customers (id, email) where zip is null",
        ],
        wrong=["customers (zip)", "customers (zip) include (id, email)"],
    ),
    shape(
        "seldom_filled",
        "select * from vouchers where redeemed_by = $1",
        "77",
        why="Three rows in a hundred have a value: what is compared with it, whatever it is, wants no others.",
        right=["vouchers (redeemed_by) where redeemed_by is not null"],
        wrong=["vouchers (redeemed_by)"],
    ),
    shape(
        "waiting_job",
        "select id from orders where status = 'open' and priority >= $1 order by total limit 1 for update skip locked",
        "0",
        why="A queue in a table: the open ones in order, locked one by one.",
        right=["orders (total) where status = 'open'"],
        wrong=["orders (status)"],
    ),
)

EXPRESSIONS = (
    shape(
        "lowered",
        "select id from customers where lower(email) = lower($1)",
        "c17@example.org",
        why="The index must have the expression, not the column.",
        right=["customers (lower(email))"],
        wrong=["customers (email)"],
    ),
    shape(
        "truncated_to_day",
        "select id from products where date_trunc('day', added) = $1",
        "2025-03-04 00:00",
        why="A function of a column.",
        right=["products (date_trunc('day', added))"],
        wrong=["products (added)"],
    ),
    shape(
        "cast_to_date",
        "select id from products where added::date = $1",
        "2025-03-04",
        why="A cast is an expression too.",
        right=["products (added::date)"],
        wrong=["products (added)"],
    ),
    shape(
        "json_field",
        "select id from customers where settings ->> 'theme' = $1",
        "t77",
        why="A field of a document, as text.",
        right=["customers (settings ->> 'theme')"],
        wrong=["customers (settings)"],
    ),
    shape(
        "prefix",
        "select id from products where sku like 'QX-00%'",
        why="The beginning of a text is a range, if texts are compared byte by byte: by the database's collation, as"
        " here, or by the operator class for patterns.",
        right=["products (sku)", "products (sku text_pattern_ops)"],
        wrong=["products (title)"],
    ),
    shape(
        "lowered_sorted",
        "select id, email from customers where city_id = $1 order by lower(email) limit 5",
        "17",
        why="An expression as the second key: five rows are read of twenty.",
        right=["customers (city_id, lower(email))"],
    ),
)

SEVERAL = (
    shape(
        "one_index_for_two_statements",
        "select id from orders where customer_id = $1",
        "6000",
        why="The longer index begins with the shorter: the shorter one alone would be redundant.",
        right=["orders (customer_id, placed_at)"],
        wrong=[("orders (customer_id)", "orders (customer_id, placed_at)"), "orders (customer_id)"],
        also=(Execution("select id from orders where customer_id = $1 order by placed_at limit 5", ("1",)),),
    ),
    shape(
        "frequent_and_rare_statement",
        "select * from orders where customer_id = $1",
        "6000",
        why="Two statements on one table, each with its index.",
        right=[("orders (customer_id)", "orders (placed_at)")],
        also=(
            Execution(
                "select id, total from orders where placed_at >= $1 and placed_at < $2",
                ("2026-03-01", "2026-03-02"),
                executions=5.0,
            ),
        ),
    ),
)

GROUP = Group("shop", SCHEMA, (*LOOKUPS, *SORTS, *PARTIAL, *EXPRESSIONS, *SEVERAL))
