"""
Statements that write, the checks of foreign keys that they set off, and statements that no index helps.

In        nothing
Out       a Group
Not here  lookups (shop.py)
"""

from __future__ import annotations

from tests.shapes.shape import Execution, Group, shape

SCHEMA = """
create function draw(n int, seed int, below int) returns int language sql immutable
    as 'select (hashint4(n * 31 + seed) & 2147483647) % below';
create table rooms (id int primary key, code text not null, name text not null);
insert into rooms select n, 'R' || n, 'Room ' || n from generate_series(1, 30) n;
create table guests (id bigint primary key, name text not null, level int not null, note text not null);
insert into guests select n, 'Guest ' || n, draw(n, 1, 3), repeat('g', 60) from generate_series(1, 5010) n;
create table stays (
    id bigint primary key, guest_id bigint not null references guests, room_id int not null references rooms,
    arrives date not null, state text not null, note text not null
);
insert into stays
select n, 1 + draw(n, 2, 5000), 1 + draw(n, 3, 30), '2026-01-01'::date + draw(n, 4, 700),
       case when draw(n, 5, 200) = 0 then 'void' else 'good' end, repeat('s', 60)
from generate_series(1, 40000) n;
create table carts (id bigint primary key, owner text not null, note text not null);
insert into carts select n, 'owner ' || n, repeat('c', 60) from generate_series(1, 5000) n;
create table cart_items (
    id bigint primary key, cart_id bigint not null references carts on delete cascade, sku text not null,
    note text not null
);
insert into cart_items select n, 1 + draw(n, 6, 5000), 'S' || draw(n, 7, 900), repeat('i', 60)
from generate_series(1, 40000) n;
create table visits (id bigint primary key, page int not null, at timestamptz not null, host text not null);
create index visits_page_at on visits (page, at);
create index visits_host on visits (host);
insert into visits
select n, draw(n, 8, 200), '2026-01-01 00:00+00'::timestamptz + n * interval '1 minute', 'h' || draw(n, 9, 900)
from generate_series(1, 40000) n;
"""

WRITES = (
    shape(
        "update",
        "update stays set note = $1 where guest_id = $2",
        "x",
        "77",
        why="An update finds its rows as a select does. Re-expresses Dexter, test_update.",
        right=["stays (guest_id)"],
    ),
    shape(
        "update_of_what_it_asks_for",
        "update stays set state = 'good' where state = 'void' and room_id = $1",
        "7",
        why="The condition is on the column that is written; the rows are few.",
        right=["stays (room_id) where state = 'void'", "stays (state, room_id)", "stays (room_id, state)"],
        wrong=["stays (room_id)", "stays (state)"],
    ),
    shape(
        "delete",
        "delete from cart_items where sku = $1",
        "S77",
        why="A delete finds its rows as a select does. Re-expresses Dexter, test_delete.",
        right=["cart_items (sku)"],
    ),
    shape(
        "delete_with_check",
        "delete from guests where id = $1",
        "5005",
        why="A delete of a row that others could refer to looks for them; the check needs the index.",
        right=["stays (guest_id)"],
    ),
    shape(
        "delete_that_cascades",
        "delete from carts where id = $1",
        "4711",
        why="What goes with the row is looked for by its foreign key.",
        right=["cart_items (cart_id)"],
    ),
    shape(
        "update_from_join",
        "update stays s set note = $1 from guests g where g.id = s.guest_id and g.name = $2",
        "x",
        "Guest 77",
        why="An update by a join.",
        right=[("guests (name)", "stays (guest_id)")],
        wrong=["guests (name)"],
    ),
    shape(
        "insert_from_select",
        "insert into carts select id + 100000, name, name from guests where name = $1",
        "Guest 77",
        why="An insert whose rows come from a select.",
        right=["guests (name)"],
    ),
)

LEFT_ALONE = (
    shape(
        "insert",
        "insert into rooms values ($1, $2, $3)",
        "9001",
        "X",
        "Room",
        why="An insert reads nothing. Re-expresses PgHero, test_insert.",
    ),
    shape("primary_key", "select * from stays where id = $1", "77", why="The primary key is an index."),
    shape(
        "indexed",
        "select * from visits where host = $1",
        "h77",
        why="There is an index. Re-expresses Dexter, test_indexed.",
    ),
    shape(
        "prefix_indexed",
        "select * from visits where page = $1",
        "77",
        why="There is an index that begins with the column.",
    ),
    shape(
        "sorted_and_indexed",
        "select at from visits where page = $1 order by at desc limit 5",
        "77",
        why="There is an index with this order.",
    ),
    shape(
        "tiny",
        "select * from rooms where code = $1",
        "R7",
        why="The whole table is one page. Re-expresses PgHero, test_small_table.",
    ),
    shape(
        "everything",
        "select * from stays",
        why="All rows are read. Re-expresses Dexter, test_basic_no_index, and PgHero, test_no_columns.",
    ),
    shape("nearly_everything", "select note from stays where arrives >= '2026-01-08'", why="Nearly all rows are read."),
    shape("common_value", "select note from stays where state = 'good'", why="Nearly all rows have the value."),
    shape("infix", "select id, note from stays where note like $1", "%x%", why="No btree finds the middle of a text."),
    shape(
        "computed",
        "select id, note from stays where room_id + length(note) > 0",
        why="A comparison of two columns with a value that all rows exceed.",
    ),
    shape(
        "fenced",
        "with all_stays as materialized (select * from stays) select * from all_stays where guest_id = $1",
        "77",
        why="The condition does not reach into what is materialised. Re-expresses Dexter, test_materialized_cte.",
    ),
    shape(
        "catalog",
        "select relname from pg_class where relkind = $1",
        "r",
        why="The catalog is not ours to index. Re-expresses PgHero, test_system_table.",
    ),
    shape(
        "catalog_statistics",
        "select count(*) as number from pg_stat_user_tables where n_dead_tup > $1",
        "100",
        why="Views of the catalog neither.",
    ),
    shape(
        "no_table",
        "select $1::int + 1",
        "1",
        why="No table. Re-expresses Dexter, test_no_tables, and PgHero, test_unknown_structure.",
    ),
    shape("setting", "set client_encoding to 'UTF8'", why="Nothing to plan. Re-expresses PgHero, test_set."),
    shape(
        "redundant_for_two",
        "select id from visits where page = $1",
        "77",
        why="Two statements that one existing index serves.",
        also=(Execution("select id from visits where page = $1 and at > $2", ("77", "2026-01-20")),),
    ),
)

GROUP = Group("writes", SCHEMA, (*WRITES, *LEFT_ALONE))
