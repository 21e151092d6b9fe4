"""
What the tests of Dexter, PgHero and postgres-mcp ask for, in words and tables of our own.

In        nothing
Out       a Group, and statements that no advisor can plan
Not here  their cases that are elsewhere: updates, deletes, inserts, small and indexed tables (writes.py),
          names with capitals (partitions.py), json and expressions (shop.py), which they do not have

Sources: Dexter's statement tests (ankane/dexter, test/statement_test.rb), PgHero's best-index tests
(ankane/pghero, test/best_index_test.rb), postgres-mcp's tests of indexes of several columns
(crystaldba/postgres-mcp, test_multi_column_indexes and test_diminishing_returns).  Where what they ask
for is not what the measurement says, the case says so.
"""

from __future__ import annotations

from tests.shapes.shape import Group, shape

SCHEMA = """
create function draw(n int, seed int, below int) returns int language sql immutable
    as 'select (hashint4(n * 31 + seed) & 2147483647) % below';
create table articles (id int not null, journal_id int not null, author_id int not null, body text not null);
insert into articles select n, draw(n, 1, 300), draw(n, 2, 2000), repeat('a', 80) from generate_series(1, 40000) n;
create view article_list as select id as article, author_id from articles;
create materialized view article_copies as select * from articles;
create table members (
    id bigint primary key, city_id int not null, attempts int not null, mail text not null, zip text,
    active boolean not null, joined_at timestamptz not null, note text not null
);
insert into members
select n, draw(n, 3, 200), draw(n, 4, 30), 'person' || n || '@example.org',
       case when draw(n, 5, 100) < 97 then lpad(draw(n, 6, 900)::text, 5, '0') end, draw(n, 7, 2) = 0,
       '2026-01-01 00:00+00'::timestamptz + draw(n, 8, 900000) * interval '1 minute', repeat('m', 60)
from generate_series(1, 30000) n;
create table buyers (id bigint primary key, region text not null, city text not null, age int not null, note text);
insert into buyers select n, 'r' || draw(n, 9, 600) / 100, 'c' || draw(n, 9, 600), 18 + draw(n, 10, 70), repeat('b', 60)
from generate_series(1, 20000) n;
create table goods (
    id bigint primary key, family text not null, branch text not null, price int not null, since date not null,
    note text
);
insert into goods
select n, 'f' || draw(n, 11, 50) / 10, 'b' || draw(n, 11, 50), 10 + draw(n, 12, 900),
       '2024-01-01'::date + draw(n, 13, 700), repeat('g', 60)
from generate_series(1, 20000) n;
create table sales (
    id bigint primary key, buyer_id bigint not null, goods_id bigint not null, sold_on date not null,
    amount numeric(10, 2) not null, paid_by text not null, state text not null, note text
);
insert into sales
select n, 1 + draw(n, 14, 5000), 1 + draw(n, 15, 1000), '2026-01-01'::date + n / 110, draw(n, 16, 90000) / 100.0,
       (array['card', 'debit', 'transfer', 'cash'])[1 + draw(n, 17, 50) / 16],
       (array['done', 'waiting', 'working', 'void'])[1 + draw(n, 17, 50) / 16], repeat('s', 60)
from generate_series(1, 40000) n;
"""

DEXTER = (
    shape("dexter_basic", "select * from articles where id = $1", "77", why="Dexter, test_basic_index.",
          right=["articles (id)"]),
    shape("dexter_order_after_equality", "select * from articles where author_id = $1 order by journal_id limit 1000",
          "77", why="Dexter, test_multicolumn_order: the second column spares a sort of twenty rows, no reading.",
          right=["articles (author_id)", "articles (author_id, journal_id)"]),
    shape("dexter_view", "select * from article_list where article = $1", "77", why="Dexter, test_view.",
          right=["articles (id)"]),
    shape("dexter_materialized_view", "select * from article_copies where id = $1", "77",
          why="Dexter, test_materialized_view.", right=["article_copies (id)"]),
    shape("dexter_with", "with one as (select * from articles where id = $1) select * from one", "77",
          why="Dexter, test_cte.", right=["articles (id)"]),
    shape("dexter_with_condition_outside", "with every as (select * from articles) select * from every where id = $1",
          "77", why="Dexter, test_cte_fence.", right=["articles (id)"]),
    shape("dexter_with_not_materialized",
          "with every as not materialized (select * from articles) select * from every where id = $1", "77",
          why="Dexter, test_not_materialized_cte.", right=["articles (id)"]),
    shape("dexter_order", "select * from articles order by author_id desc limit 10", why="Dexter, test_order.",
          right=["articles (author_id)", "articles (author_id desc)"]),
    shape("dexter_order_of_two", "select * from articles order by author_id, journal_id limit 10",
          why="Dexter, test_order_multiple.", right=["articles (author_id, journal_id)"]),
    shape("dexter_order_of_two_directions", "select * from articles order by journal_id desc, author_id limit 10",
          why="Dexter, test_order_multiple_direction, which is skipped there.",
          right=["articles (journal_id desc, author_id)", "articles (journal_id, author_id desc)"],
          wrong=["articles (journal_id)", "articles (journal_id, author_id)"]),
)  # fmt: skip

PGHERO = (
    shape("pghero_where", "select * from members where city_id = $1", "77",
          why="PgHero, test_where and its spellings with other placeholders.", right=["members (city_id)"]),
    shape("pghero_where_two", "select * from members where city_id = $1 and attempts = $2", "77", "7",
          why="PgHero, test_where_multiple_columns.",
          right=["members (city_id, attempts)", "members (attempts, city_id)"], wrong=["members (city_id)"]),
    shape("pghero_unique_first", "select * from members where city_id = $1 and mail = $2", "77",
          "person77@example.org", why="PgHero, test_where_unique: one column finds the row.",
          right=["members (mail)", "members (mail, city_id)", "members (city_id, mail)"], wrong=["members (city_id)"]),
    shape("pghero_order", "select * from members order by joined_at limit 10",
          why="PgHero, test_order, with a limit: without one, reading all rows through an index is no gain.",
          right=["members (joined_at)"]),
    shape("pghero_order_of_two", "select * from members order by attempts, joined_at limit 10",
          why="PgHero, test_order_multiple.", right=["members (attempts, joined_at)"], wrong=["members (attempts)"]),
    shape("pghero_order_of_two_directions", "select * from members order by attempts desc, joined_at limit 10",
          why="PgHero, test_order_multiple_direction, which is content with the first column.",
          right=["members (attempts desc, joined_at)", "members (attempts, joined_at desc)"],
          wrong=["members (attempts)"]),
    shape("pghero_unique_order", "select * from members where mail = $1 order by joined_at", "person77@example.org",
          why="PgHero, test_where_unique_order.", right=["members (mail)"]),
    shape("pghero_where_order", "select * from members where attempts = $1 order by joined_at limit 10", "7",
          why="PgHero, test_where_order, with a limit.", right=["members (attempts, joined_at)"],
          wrong=["members (attempts)"]),
    shape("pghero_order_of_no_column", "select * from members where city_id = $1 order by now()", "77",
          why="PgHero, test_where_order_unknown.", right=["members (city_id)"]),
    shape("pghero_in", "select * from members where city_id in ($1, $2)", "77", "78", why="PgHero, test_where_in.",
          right=["members (city_id)"]),
    shape("pghero_like", "select * from members where mail like $1", "%son777@%",
          why="PgHero, test_like, which asks for a trigram index; no btree helps."),
    shape("pghero_like_beside_equality", "select * from members where city_id = $1 and mail like $2", "77", "%7@%",
          why="PgHero, test_like_where.", right=["members (city_id)", "members (city_id) include (mail)"]),
    shape("pghero_not_in", "select * from members where city_id not in ($1) and attempts = $2 and zip = $3",
          "77", "7", "00077", why="PgHero, test_not_in.", right=["members (zip, attempts)", "members (attempts, zip)"]),
    shape("pghero_between", "select * from members where city_id between $1 and $2", "77", "78",
          why="PgHero, test_between.", right=["members (city_id)"]),
    shape("pghero_two_ranges", "select * from members where city_id > $1 and attempts > $2", "198", "1",
          why="PgHero, test_multiple_range: the narrow one.",
          right=["members (city_id)", "members (city_id, attempts)"], wrong=["members (attempts)"]),
    shape("pghero_null", "select * from members where zip is null and city_id = $1", "77",
          why="PgHero, test_is_null_equal.",
          right=["members (city_id) where zip is null", "members (zip, city_id)", "members (city_id, zip)"],
          wrong=["members (zip)"]),
    shape("pghero_not_null", "select * from members where zip is not null and city_id = $1", "77",
          why="PgHero, test_is_not_null: nearly all rows are not null.", right=["members (city_id)"],
          wrong=["members (zip)"]),
    shape("pghero_or", "select * from members where city_id = $1 or city_id = $2", "77", "78",
          why="PgHero, test_where_or, which is refused there.", right=["members (city_id)"]),
    shape("pghero_join", "select m.* from buyers b join members m on m.city_id = b.age where b.id = $1", "77",
          why="PgHero, test_multiple_tables, which is refused there.", right=["members (city_id)"]),
)  # fmt: skip

POSTGRES_MCP = (
    shape("mcp_correlated", "select * from buyers where region = $1 and city = $2 order by age desc", "r1", "c117",
          why="postgres-mcp, test_multi_column_indexes: a city is in one region, so the city is enough.",
          right=["buyers (city)", "buyers (city, region)", "buyers (region, city)"]),
    shape("mcp_range_last",
          "select * from goods where family = $1 and branch = $2 and price between $3 and $4 order by since",
          "f1", "b17", "100", "150",
          why="postgres-mcp, test_multi_column_indexes: the range comes last.",
          right=["goods (branch, price)", "goods (family, branch, price)", "goods (branch, family, price)"],
          wrong=["goods (price)", "goods (branch)"]),
    shape("mcp_equality_before_range",
          "select s.amount, b.region from sales s join buyers b on b.id = s.buyer_id"
          " where s.sold_on > $1 and s.state = $2 order by s.sold_on desc limit 100",
          "2026-11-01", "void",
          why="postgres-mcp, test_multi_column_indexes, where the date is put first: then the rare state is looked for"
              " among all that were sold since.",
          right=["sales (state, sold_on)", "sales (state, sold_on desc)"]),
    shape("mcp_equality_after_range",
          "select sold_on, amount from sales where buyer_id between $1 and $2 and goods_id = $3 order by sold_on",
          "100", "900", "42",
          why="postgres-mcp, test_multi_column_indexes, where the range is put first.",
          right=["sales (goods_id, buyer_id)"], wrong=["sales (buyer_id)"]),
    shape("mcp_grouped",
          "select count(*), sum(amount) from sales where paid_by = $1 and state = $2 group by sold_on"
          " having count(*) > 5",
          "cash", "void",
          why="postgres-mcp, test_multi_column_indexes: four rows in a hundred, spread over the table, so the index"
              " has to carry what is summed.",
          right=["sales (paid_by, state, sold_on) include (amount)", "sales (paid_by, state) include (sold_on, amount)",
                 "sales (state, paid_by) include (sold_on, amount)"],
          wrong=["sales (paid_by, state)"]),
    shape("mcp_narrow_range", "select * from members where mail between $1 and $2 order by id limit 100",
          "person777", "person7777",
          why="postgres-mcp, test_diminishing_returns: a range of a column with many values.",
          right=["members (mail)"]),
)  # fmt: skip

# Dexter, test_parse_error; PgHero, test_parse_error and test_stats_not_found.
UNPLANNABLE = ("select +", "select *123'", "select * from missing where id = $1", "")

GROUP = Group("peers", SCHEMA, (*DEXTER, *PGHERO, *POSTGRES_MCP))
