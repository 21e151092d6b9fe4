"""
A small shop in a real PostgreSQL, for what is read out of its plans.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import sql

from rung.adapters.cluster import Cluster

SCHEMA = """
create table customers (
    id bigint primary key, email text not null, name varchar(80), city text, country char(2), vip boolean not null
);
create table orders (
    id bigint primary key, customer_id bigint not null references customers (id), status text not null,
    total numeric(10, 2) not null, created_at timestamp not null, seen_at timestamptz not null, deleted_at timestamp,
    active boolean not null, data jsonb not null, note text
);
create table lines (
    order_id bigint not null references orders (id) on delete cascade, product_id bigint not null,
    supplier_id bigint not null, quantity int not null, price numeric(10, 2) not null,
    primary key (order_id, product_id)
);
create domain amount_of as numeric(10, 2);
create domain price_of as amount_of check (value > 0);
create table prices (id bigint primary key, price price_of not null, label varchar(20) not null);
create table "Größen" ("Id" int, "we""ird" text);
create table parts (id bigint, day date not null, kind text) partition by range (day);
create table parts_1 partition of parts for values from ('2026-01-01') to ('2026-02-01');
create table parts_2 partition of parts for values from ('2026-02-01') to ('2026-03-01');
create view open_orders as select * from orders where deleted_at is null and active;
create view secret as select * from orders where status = 'canary';
insert into customers select n, 'c' || n || '@example.org', 'n' || n, 'x' || n % 50, 'NO', n % 10 = 0
from generate_series(1, 3000) n;
insert into orders select n, 1 + n % 3000, (array['new', 'paid', 'sent'])[1 + n % 3], n % 100,
    '2026-01-01'::timestamp + n * interval '1 minute', '2026-01-01'::timestamptz + n * interval '1 minute',
    case when n % 4 = 0 then '2026-03-01'::timestamp end, n % 2 = 0, jsonb_build_object('k', n), 'note'
from generate_series(1, 9000) n;
insert into lines select n, n % 100, n % 20, 1, 1 from generate_series(1, 9000) n;
insert into parts select n, '2026-01-01'::date + n % 59, 'k' || n % 7 from generate_series(1, 5000) n;
analyze;
"""


@pytest.fixture(scope="module")
def dsn(cluster: Cluster) -> Iterator[str]:
    """
    A database of three tables that refer to each other, and some odd ones.
    """
    name = f"advise_{os.getpid()}"
    with closing(psycopg.connect(cluster.dsn(), autocommit=True)) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    with closing(psycopg.connect(cluster.dsn(name), autocommit=True)) as connection:
        for statement in SCHEMA.split(";\n"):
            connection.execute(sql.SQL(statement))
    yield cluster.dsn(name)
    with closing(psycopg.connect(cluster.dsn(), autocommit=True)) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
