-- Some millions of rows in which keys are skewed and tables lie in the order of time, as an app leaves them.
-- {scale} is their size, 1 for the whole.  Statements run in one process each, so the seed gives the same rows again.
set max_parallel_workers_per_gather = 0;
select setseed(0.271);
create table accounts (
    id int primary key, email text not null, name text not null, country text not null, plan text not null,
    signed_up timestamptz not null, note text not null
);
insert into accounts
select i, 'user' || i || '@example.org', 'Name ' || (i * 7919 % 60000), 'C' || floor(30 * power(random(), 2))::int,
       (array['free', 'free', 'free', 'team', 'firm'])[1 + floor(5 * random())::int],
       timestamptz '2020-01-01' + i * interval '15 minutes', repeat(md5(i::text), 3)
from generate_series(1, (150000 * {scale})::int) i;
create unique index accounts_email on accounts (email);

create table products (
    id int primary key, sku text not null, category int not null, price int not null, title text not null
);
insert into products
select i, 'SKU-' || md5(i::text), floor(200 * random())::int, floor(10000 * random())::int, 'Product ' || md5((i + 1)::text)
from generate_series(1, (20000 * {scale})::int) i;

create table orders (
    id int primary key, account_id int not null, store int not null, status text not null, total int not null,
    created_at timestamptz not null, ref text not null, note text not null
);
insert into orders
select i, 1 + floor(150000 * {scale} * power(random(), 2))::int, floor(50 * random())::int,
       case when random() < 0.9 then 'paid' when random() < 0.6 then 'sent' when random() < 0.9 then 'open' else 'refunded' end,
       floor(100000 * random())::int, timestamptz '2023-01-01' + i * interval '1 minute' + random() * interval '1 hour',
       md5(i::text), repeat('n', 20 + i % 40)
from generate_series(1, (1000000 * {scale})::int) i;

create table lines (
    id int primary key, order_id int not null, product_id int not null, quantity int not null, price int not null,
    returned boolean not null
);
insert into lines
select i, 1 + i / 2, 1 + floor(20000 * {scale} * power(random(), 1.5))::int, 1 + floor(5 * random())::int,
       floor(10000 * random())::int, random() < 0.01
from generate_series(1, (2000000 * {scale})::int - 2) i;
create index lines_order on lines (order_id);

create table events (
    id int primary key, account_id int not null, kind int not null, session bigint not null, at timestamptz not null,
    payload text not null
);
insert into events
select i, 1 + floor(150000 * {scale} * random())::int, floor(20 * power(random(), 2))::int, floor(200000 * {scale} * random())::bigint,
       timestamptz '2024-01-01' + i * interval '20 seconds', repeat(md5(i::text), 3)
from generate_series(1, (800000 * {scale})::int) i;
