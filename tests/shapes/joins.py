"""
Statements over several tables of the shop: joins, sub-selects, common table expressions, views.

In        nothing
Out       a Group
Not here  the schema (shop.py)
"""

from __future__ import annotations

from tests.shapes.shape import Group, shape
from tests.shapes.shop import SCHEMA

JOINS = (
    shape(
        "join_to_the_many",
        "select l.* from orders o join lines l on l.order_id = o.id where o.id = $1",
        "4711",
        why="The side of the foreign key has no index of its own.",
        right=["lines (order_id)"],
    ),
    shape(
        "join_of_three",
        "select o.id, l.price from customers c join orders o on o.customer_id = c.id"
        " join lines l on l.order_id = o.id where c.email = $1",
        "C6000@Example.org",
        why="From one row of the first table to a few of the second and the third: an index on each.",
        right=[("customers (email)", "orders (customer_id)", "lines (order_id)")],
        wrong=["customers (email)", ("customers (email)", "orders (customer_id)")],
    ),
    shape(
        "left_join",
        "select p.title, l.quantity from products p left join lines l on l.product_id = p.id where p.title = $1",
        "Thing number 77",
        why="The filter on one side, the join column on the other.",
        right=[("products (title)", "lines (product_id)")],
        wrong=["products (title)", "lines (product_id)"],
    ),
    shape(
        "join_of_a_customers_range",
        "select sum(l.price) from orders o join lines l on l.order_id = o.id"
        " where o.customer_id = $1 and o.placed_at >= $2",
        "6000",
        "2026-01-01 00:00+00",
        why="A few orders of one customer, and their lines.",
        right=[("orders (customer_id, placed_at)", "lines (order_id)"), ("orders (customer_id)", "lines (order_id)")],
        wrong=["orders (customer_id, placed_at)", "lines (order_id)"],
    ),
    shape(
        "join_sorted_by_the_outer",
        "select o.id, c.email from orders o join customers c on c.id = o.customer_id"
        " where o.status = $1 order by o.total desc limit 10",
        "held",
        why="The order is that of one table, whose rows are looked up in the other one by one.",
        right=["orders (status, total)", "orders (status, total desc)"],
        wrong=["orders (status)"],
    ),
    shape(
        "self_join",
        "select b.id from orders a join orders b on b.customer_id = a.customer_id"
        " where a.id = $1 and b.placed_at > a.placed_at",
        "300",
        why="A table joined to itself: what is known of the one row finds the others.",
        right=["orders (customer_id, placed_at)", "orders (customer_id)"],
    ),
)

SUBSELECTS = (
    shape(
        "exists",
        "select c.id from customers c where c.city_id = $1 and exists"
        " (select from orders o where o.customer_id = c.id and o.status = $2)",
        "17",
        "failed",
        why="Twenty customers, each asked whether there is such an order.",
        right=[("customers (city_id)", "orders (status, customer_id)")],
        wrong=["customers (city_id)"],
    ),
    shape(
        "not_exists",
        "select c.id from customers c where c.city_id = $1 and not exists"
        " (select from orders o where o.customer_id = c.id)",
        "17",
        why="An anti-join of few rows.",
        right=[("customers (city_id)", "orders (customer_id)")],
        wrong=["customers (city_id)"],
    ),
    shape(
        "in_subselect",
        "select * from orders where customer_id in (select id from customers where email = $1)",
        "C6000@Example.org",
        why="The inner statement finds one row, the outer looks up what belongs to it.",
        right=[("customers (email)", "orders (customer_id)")],
        wrong=["customers (email)"],
    ),
    shape(
        "scalar_subselect",
        "select c.id, (select max(o.placed_at) from orders o where o.customer_id = c.id)"
        " from customers c where c.city_id = $1",
        "17",
        why="The sub-select is run for each row: the latest stands at the end of its run.",
        right=[("customers (city_id)", "orders (customer_id, placed_at)")],
        wrong=["customers (city_id)"],
    ),
    shape(
        "lateral",
        "select c.id, o.total from customers c cross join lateral (select total from orders o"
        " where o.customer_id = c.id order by o.placed_at desc limit 3) o where c.id between $1 and $2",
        "1",
        "10",
        why="The three latest of each of the heaviest customers.",
        right=["orders (customer_id, placed_at)", "orders (customer_id, placed_at desc)"],
        wrong=["orders (customer_id)"],
    ),
    shape(
        "union",
        "select id from orders where customer_id = $1 union select order_id from lines where product_id = $2",
        "6000",
        "77",
        why="Each side of a union has its own index.",
        right=[("orders (customer_id)", "lines (product_id)")],
        wrong=["orders (customer_id)"],
    ),
    shape(
        "with",
        "with theirs as (select * from orders where customer_id = $1)"
        " select id, total from theirs order by placed_at desc limit 5",
        "1",
        why="A common table expression that is used once is part of the statement.",
        right=["orders (customer_id, placed_at)", "orders (customer_id, placed_at desc)"],
        wrong=["orders (customer_id)"],
    ),
    shape(
        "with_used_twice",
        "with theirs as (select * from orders where customer_id = $1)"
        " select (select count(*) from theirs), (select max(total) from theirs)",
        "6000",
        why="A common table expression that is used twice is run once, on its own.",
        right=["orders (customer_id)"],
    ),
    shape(
        "view",
        "select number, email from order_list where buyer = $1 order by bought desc limit 5",
        "1",
        why="A view's columns are those of the tables below it.",
        right=["orders (customer_id, placed_at)", "orders (customer_id, placed_at desc)"],
        wrong=["orders (customer_id)"],
    ),
    shape(
        "materialized_view",
        "select order_id, total from city_orders where city_id = $1",
        "17",
        why="A materialized view is indexed like a table.",
        right=["city_orders (city_id)"],
    ),
)

GROUP = Group("joins", SCHEMA, (*JOINS, *SUBSELECTS))
