"""
Ask a server how well it knows its tables: how old statistics are, what changed since, which columns lack them.

In        a connection that may read the catalog
Out       Known, without any value of a column
Not here  what is too old (moves/statistics.py)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import psycopg

from rung.steps.explain.questions import Extended, Known, KnownColumn, TableStatistics

Connection = psycopg.Connection[tuple[Any, ...]]

# reltuples is -1 of a table that was never analysed since PostgreSQL 14, 0 before.
TABLES = """
select n.nspname, c.relname, c.reltuples::float8, coalesce(s.n_live_tup, 0)::bigint,
       coalesce(s.n_mod_since_analyze, 0)::bigint,
       extract(epoch from clock_timestamp() - greatest(s.last_analyze, s.last_autoanalyze))::float8,
       coalesce((select o.option_value::bool from pg_options_to_table(c.reloptions) o
                 where o.option_name = 'autovacuum_enabled'), true) and current_setting('autovacuum')::bool,
       has_table_privilege(c.oid, 'select') and not row_security_active(c.oid),
       c.relkind = 'p', c.relpages,
       case when c.relkind = 'p' then 0 else pg_relation_size(c.oid) / current_setting('block_size')::int end::int,
       c.oid::bigint
from json_array_elements(%s::json) wanted
join pg_namespace n on n.nspname = wanted ->> 0
join pg_class c on c.relnamespace = n.oid and c.relname = wanted ->> 1 and c.relkind in ('r', 'm', 'p')
left join pg_stat_all_tables s on s.relid = c.oid
order by 1, 2
"""
# pg_stats shows what the role may see; of a partitioned table the statistics of the whole tree count.
COLUMNS = """
select a.attname, s.attname is not null, coalesce(a.attstattarget, -1)::int
from pg_attribute a
left join pg_stats s
    on s.schemaname = %(schema)s and s.tablename = %(name)s and s.attname = a.attname and s.inherited = %(parent)s
where a.attrelid = %(oid)s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
EXTENDED = """
select e.stxname,
       array(select a.attname::text from unnest(e.stxkeys::int[]) with ordinality k (attnum, place)
             join pg_attribute a on a.attrelid = e.stxrelid and a.attnum = k.attnum order by k.place),
       array_to_string(e.stxkind, ''),
       exists (
           select from pg_stats_ext d
           where d.statistics_schemaname = n.nspname and d.statistics_name = e.stxname
             and (d.n_distinct is not null or d.dependencies is not null or d.most_common_freqs is not null)
       )
from pg_statistic_ext e join pg_namespace n on n.oid = e.stxnamespace
where e.stxrelid = %(oid)s
order by e.stxname
"""


def known(connection: Connection, tables: Sequence[tuple[str, str]]) -> Known:
    """
    Return what the planner knows of *tables*; those that are not there are left out.

    Raises:
        psycopg.Error: the catalog cannot be read.
    """
    row = connection.execute("select current_setting('default_statistics_target')::int, pg_is_in_recovery()").fetchone()
    assert row is not None
    found = connection.execute(TABLES, (json.dumps(list(tables)),)).fetchall()
    return Known(tuple(_table(connection, each) for each in found), target=row[0], standby=row[1])


def _table(connection: Connection, row: tuple[Any, ...]) -> TableStatistics:
    schema, name, rows_known, rows_live, changed, analyzed_s, automatic, readable, parent, *pages, oid = row
    asked = {"schema": schema, "name": name, "parent": parent, "oid": oid}
    return TableStatistics(
        schema=schema, name=name, rows_known=rows_known, rows_live=rows_live, changed=changed, analyzed_s=analyzed_s,
        automatic=automatic, readable=readable, parent=parent, pages_known=pages[0], pages=pages[1],
        columns=tuple(KnownColumn(*each) for each in connection.execute(COLUMNS, asked).fetchall()),
        extended=tuple(
            Extended(label, tuple(columns), kinds, filled)
            for label, columns, kinds, filled in connection.execute(EXTENDED, asked).fetchall()
        ),
    )  # fmt: skip
