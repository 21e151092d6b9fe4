"""
Statements on partitioned tables, on inherited names with capitals, on enums, domains and generated columns.

In        nothing
Out       a Group
Not here  lookups in plain tables (shop.py)
"""

from __future__ import annotations

from tests.shapes.shape import Group, shape

SCHEMA = """
create function draw(n int, seed int, below int) returns int language sql immutable
    as 'select (hashint4(n * 31 + seed) & 2147483647) % below';
create table events (
    id bigint not null, account_id int not null, at timestamptz not null, kind text not null, trace text not null,
    body text not null
) partition by range (at);
create table events_2026_01 partition of events for values from ('2026-01-01 00:00+00') to ('2026-02-01 00:00+00');
create table events_2026_02 partition of events for values from ('2026-02-01 00:00+00') to ('2026-03-01 00:00+00');
create table events_2026_03 partition of events for values from ('2026-03-01 00:00+00') to ('2026-04-01 00:00+00');
insert into events
select n, draw(n, 1, 300), '2026-01-01 00:00+00'::timestamptz + n * interval '2 minutes', 'k' || draw(n, 2, 5),
       md5(n::text), repeat('e', 60)
from generate_series(1, 60000) n;
create table tenants (id int not null, tenant int not null, name text not null, note text not null)
    partition by hash (tenant);
create table tenants_0 partition of tenants for values with (modulus 2, remainder 0);
create table tenants_1 partition of tenants for values with (modulus 2, remainder 1);
insert into tenants select n, draw(n, 3, 50), 'n' || draw(n, 4, 8000), repeat('t', 60) from generate_series(1, 40000) n;
create schema "Billing";
create type "Billing".mood as enum ('sad', 'calm', 'happy');
create domain "Billing".positive as int check (value > 0);
create table "Billing"."Invoice" (
    "Id" bigint primary key, "Number" text not null, mood "Billing".mood not null, amount "Billing".positive not null,
    doubled int generated always as (amount * 2) stored, note text not null
);
insert into "Billing"."Invoice" ("Id", "Number", mood, amount, note)
select n, 'N' || n, (case when draw(n, 5, 300) = 0 then 'sad' else 'happy' end)::"Billing".mood,
       1 + draw(n, 6, 9000), repeat('i', 60)
from generate_series(1, 20000) n;
"""

PARTITIONED = (
    shape(
        "partitioned",
        "select id from events where account_id = $1 and at >= $2 order by at desc limit 20",
        "77",
        "2026-03-01 00:00+00",
        why="An index on the partitioned table is one on each partition.",
        right=["events (account_id, at)", "events (account_id, at desc)"],
    ),
    shape(
        "partitioned_without_its_key",
        "select * from events where trace = $1",
        "00411460f7c92d2124a67ea0f4cb5f85",
        why="The key of the partitions is not asked for, so each one is looked into.",
        right=["events (trace)"],
    ),
    shape(
        "partitioned_joined",
        "select e.id from tenants t join events e on e.account_id = t.id where t.tenant = $1 and t.name = $2",
        "7",
        "n77",
        why="A join of two partitioned tables.",
        right=[
            ("tenants (tenant, name)", "events (account_id)"),
            ("tenants (name, tenant)", "events (account_id)"),
            ("tenants (name)", "events (account_id)"),
        ],
        wrong=["events (at)"],
    ),
    shape(
        "one_whole_partition",
        "select body from events where at >= '2026-02-01 00:00+00' and at < '2026-03-01 00:00+00'",
        why="The partition is what the condition asks for; an index would bring nothing.",
    ),
)

KINDS = (
    shape(
        "names_with_capitals",
        'select * from "Billing"."Invoice" where "Number" = $1',
        "N777",
        why="Names that must be quoted, in another schema. Re-expresses Dexter, test_schema.",
        right=['"Billing"."Invoice" ("Number")'],
    ),
    shape(
        "enum",
        'select * from "Billing"."Invoice" where mood = $1',
        "sad",
        why="A rare value of an enum.",
        right=['"Billing"."Invoice" (mood)'],
        wrong=['"Billing"."Invoice" ("Id")'],
    ),
    shape(
        "domain",
        'select "Id" from "Billing"."Invoice" where amount = $1',
        "77",
        why="A domain compares as the type below it does.",
        right=['"Billing"."Invoice" (amount)'],
    ),
    shape(
        "generated",
        'select "Id" from "Billing"."Invoice" where doubled = $1',
        "154",
        why="A generated column is a column.",
        right=['"Billing"."Invoice" (doubled)'],
    ),
)

GROUP = Group("partitions", SCHEMA, (*PARTITIONED, *KINDS))
