"""
TPC-H at a scale that nobody generates: statistics and lengths of files as they would be, and rows of a smaller one.

In        a server of our own with TPC-H at some scale, a factor
Out       the same database as the planner would see it at that many times the scale; its rows are no longer of use
Not here  generating rows (tpch.py), what is advised then (judged.py)

Rows, pages and the number of different keys grow with the scale, other columns keep their values: so the specification
has it (clause 1.4.1, "SF").  Nation and region stay as they are.
"""

from __future__ import annotations

from typing import Any

import psycopg

from rung.adapters.cluster import Cluster
from rung.adapters.planner import growing
from rung.adapters.planner.btree import height_of, raise_to_height
from rung.adapters.planner.stage import forget_pages

Connection = psycopg.Connection[Any]

STEADY = ("nation", "region")  # tables
STEADY_KEYS = ("nationkey", "regionkey")
RELATIONS = """
select c.oid::int8, c.relname::text, c.relkind::text, c.relpages, c.reltuples::float8
from pg_class c left join pg_index i on i.indexrelid = c.oid
join pg_class t on t.oid = coalesce(i.indrelid, c.oid)
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'i') and t.relname <> all(%s)
"""
GROWN = """
select pg_restore_relation_stats('schemaname', 'public', 'relname', %s::text, 'relpages', %s::int,
    'reltuples', %s::real, 'relallvisible', %s::int)
"""
# Keys are whole numbers from 1 on, so their bounds grow as their number does; none of so many is a common one.
KEYS = """
select tablename::text, attname::text, n_distinct::float8, avg_width, correlation,
       (select array_agg((bound.value::float8 * %(factor)s)::bigint order by bound.place)::text
        from unnest(histogram_bounds::text::text[]) with ordinality bound (value, place))
from pg_stats
where schemaname = 'public' and tablename <> all(%(steady)s) and attname like '%%key'
  and split_part(attname, '_', 2) <> all(%(steady_keys)s)
"""
CLEARED = "select pg_clear_attribute_stats('public', %s::text, %s::text, false)"
KEY_GROWN = """
select pg_restore_attribute_stats('schemaname', 'public', 'relname', %s::text, 'attname', %s::text, 'inherited', false,
    'n_distinct', %s::real, 'avg_width', %s::int, 'correlation', %s::real, 'histogram_bounds', %s::text,
    'null_frac', 0::real)
"""


def enlarge(cluster: Cluster, dsn: str, factor: int) -> int:
    """
    Make the tables look *factor* times as large; return their size in bytes then.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        paths = growing.paths_of(connection, cluster.data)
        relations = connection.execute(RELATIONS, (list(STEADY),)).fetchall()
        keys = {oid: growing.keys_of(connection, oid) for oid, _, kind, _, _ in relations if kind == "i"}
        _enlarge_keys(connection, factor)
    tables_bytes = 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        for oid, name, kind, pages, rows in relations:
            path = paths["public", name]
            growing.grow(path, pages * factor)
            if kind == "i":
                raise_to_height(path, height_of(keys[oid], pages=pages * factor))
            else:
                tables_bytes += pages * factor * growing.PAGE_BYTES
            connection.execute(GROWN, (name, pages * factor, rows * factor, pages * factor if kind == "r" else 0))
    forget_pages(cluster)
    return tables_bytes


def _enlarge_keys(connection: Connection, factor: int) -> None:
    found = connection.execute(
        KEYS, {"factor": factor, "steady": list(STEADY), "steady_keys": list(STEADY_KEYS)}
    ).fetchall()
    for table, column, distinct, *rest in found:
        connection.execute(CLEARED, (table, column))
        # Below zero it is a share of the rows, and grows with them.
        connection.execute(KEY_GROWN, (table, column, distinct * factor if distinct > 0 else distinct, *rest))
