"""
Read what PostgreSQL's catalog and counters know of a table, without a value of its rows.

In        a connection that may look; a table's schema and name
Out       a Table: columns, indexes of any kind, foreign keys from and to it, what was written to it
Not here  plans and connections (postgres.py)

Predicates and expressions of indexes hold constants; they leave here as $n.
"""

from __future__ import annotations

from typing import Any

import psycopg

from rung.ports import ExistingIndex, ForeignKey, Index, IndexColumn, Table, TableColumn, TableWrites
from rung.steps.explain.words import without_constants

Connection = psycopg.Connection[tuple[Any, ...]]

TABLE_FACTS = """
select c.oid::bigint, c.reltuples::float8, pg_relation_size(c.oid)::bigint, c.relkind = 'p',
       (select array[n.nspname, p.relname]::text[]
        from pg_class p join pg_namespace n on n.oid = p.relnamespace
        where c.relispartition and p.oid = pg_partition_root(c.oid))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(name)s
"""
# A partitioned table has no file and, up to 13, no rows of its own: its partitions have.
PARTITIONS = """
select coalesce(sum(greatest(c.reltuples, 0)), 0)::float8, coalesce(sum(pg_relation_size(c.oid)), 0)::bigint
from pg_partition_tree(%(oid)s::oid::regclass) t join pg_class c on c.oid = t.relid
where t.isleaf
"""
# Of a domain the type below it, by which it is compared.
COLUMN_FACTS = """
select a.attname, coalesce(
           (with recursive below as (
                select a.atttypid as oid, a.atttypmod as modifier
                union all
                select t.typbasetype, t.typtypmod from below b join pg_type t on t.oid = b.oid and t.typtype = 'd'
            )
            select format_type(b.oid, b.modifier) from below b join pg_type t on t.oid = b.oid and t.typtype <> 'd'),
           format_type(a.atttypid, a.atttypmod)),
       coalesce(s.avg_width, nullif(a.attlen, -1), 32)::int,
       coalesce(s.n_distinct, 0)::float8, coalesce(s.null_frac, 0)::float8, coalesce(s.correlation, 0)::float8,
       coalesce(s.most_common_freqs[1], 0)::float8
from pg_attribute a
left join pg_stats s
    on s.schemaname = %(schema)s and s.tablename = %(name)s and s.attname = a.attname
   and s.inherited = %(partitioned)s
where a.attrelid = %(oid)s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
# indoption has 1 for DESC and 2 for NULLS FIRST, which is DESC's default (PostgreSQL source, INDOPTION_DESC and
# INDOPTION_NULLS_FIRST).  A key with an operator class, collation or order of nulls of its own does not serve every
# lookup on its column.
INDEX_FACTS = """
select c.relname, m.amname::text, i.indisunique, i.indisvalid,
       exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')),
       pg_relation_size(c.oid)::bigint,
       coalesce((select s.idx_scan from pg_stat_all_indexes s where s.indexrelid = i.indexrelid), 0)::bigint,
       coalesce(pg_get_expr(i.indpred, i.indrelid), ''),
       pg_get_indexdef(i.indexrelid), keys.of
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_am m on m.oid = c.relam
cross join lateral (
    select json_agg(json_build_array(
        k.place <= i.indnkeyatts, coalesce(a.attname::text, pg_get_indexdef(i.indexrelid, k.place::int, false)),
        k.attnum = 0,
        case when k.place <= i.indnkeyatts then i.indoption[k.place - 1]::int else 0 end,
        coalesce((select o.opcname::text from pg_opclass o
                  where k.place <= i.indnkeyatts and o.oid = i.indclass[k.place - 1] and not o.opcdefault), ''),
        k.place > i.indnkeyatts or i.indcollation[k.place - 1] in (0, coalesce(a.attcollation, 0))
    ) order by k.place) as of
    from unnest(i.indkey::int[]) with ordinality as k (attnum, place)
    left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum and k.attnum <> 0
) keys
where i.indrelid = %(oid)s
order by i.indexrelid
"""
FOREIGN_KEYS = """
select k.conrelid = %(oid)s::oid, n.nspname, t.relname,
       array(select a.attname::text from unnest(k.conkey) with ordinality as c (attnum, place)
             join pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.attnum order by c.place),
       array(select a.attname::text from unnest(k.confkey) with ordinality as c (attnum, place)
             join pg_attribute a on a.attrelid = k.confrelid and a.attnum = c.attnum order by c.place),
       case k.confdeltype when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade'
                          when 'n' then 'set null' else 'set default' end
from pg_constraint k
join pg_class t on t.oid = case when k.conrelid = %(oid)s::oid then k.confrelid else k.conrelid end
join pg_namespace n on n.oid = t.relnamespace
where k.contype = 'f' and k.conparentid = 0 and %(oid)s::oid in (k.conrelid, k.confrelid)
order by k.oid
"""
# Counters that were never reset are as old as the server's data, which it does not tell: at least as old as its start.
WRITES = """
select coalesce(sum(s.n_tup_ins), 0)::bigint, coalesce(sum(s.n_tup_upd), 0)::bigint,
       coalesce(sum(s.n_tup_del), 0)::bigint, sum(s.n_tup_hot_upd)::float8 / nullif(sum(s.n_tup_upd), 0)::float8,
       extract(epoch from now() - (select coalesce(d.stats_reset, pg_postmaster_start_time())
                                   from pg_stat_database d where d.datname = current_database()))::float8
from pg_stat_all_tables s
where s.relid = %(oid)s or s.relid in (select relid from pg_partition_tree(%(oid)s::oid::regclass))
"""


def describe(connection: Connection, schema: str, name: str) -> Table | None:
    """
    Return what the catalog knows of a table, None when there is none of that name.
    """
    row = connection.execute(TABLE_FACTS, {"schema": schema, "name": name}).fetchone()
    if row is None:
        return None
    oid, rows, size_bytes, partitioned, root = row
    asked = {"schema": schema, "name": name, "oid": oid, "partitioned": partitioned}
    if partitioned:
        whole = connection.execute(PARTITIONS, asked).fetchone()
        assert whole is not None
        rows, size_bytes = whole
    columns = connection.execute(COLUMN_FACTS, asked).fetchall()
    existing = tuple(_existing(schema, name, found) for found in connection.execute(INDEX_FACTS, asked).fetchall())
    keys = [(found[0], ForeignKey(found[1], found[2], tuple(found[3]), tuple(found[4]), found[5]))
            for found in connection.execute(FOREIGN_KEYS, asked).fetchall()]  # fmt: skip
    written = connection.execute(WRITES, asked).fetchone()
    assert written is not None
    return Table(
        schema=schema,
        name=name,
        rows=max(rows, 0.0),
        size_bytes=size_bytes,
        columns=tuple(TableColumn(*column) for column in columns),
        indexes=tuple(each.index for each in existing if each.valid and each.plain and each.method == "btree"),
        existing=existing,
        refers_to=tuple(key for ours, key in keys if ours),
        referred_by=tuple(key for ours, key in keys if not ours or (key.schema, key.table) == (schema, name)),
        writes=TableWrites(written[0], written[1], written[2], written[3], max(written[4] or 0.0, 0.0)),
        partition_of=(root[0], root[1]) if root else None,
        partitioned=partitioned,
    )


def _existing(schema: str, table: str, row: tuple[Any, ...]) -> ExistingIndex:
    name, method, unique, valid, constraint, size_bytes, scans, predicate, definition, keys = row
    columns, include, plain = [], [], not predicate
    for is_key, said, is_expression, option, opclass, usual in keys:
        if not is_key:
            include.append(said)
            continue
        text = without_constants(_bare(said)) if is_expression else said
        nulls_first = None if option in {0, 3} else bool(option & 2)
        columns.append(IndexColumn(text, bool(option & 1), nulls_first, expression=is_expression, opclass=opclass))
        plain = plain and usual and option in {0, 3} and not opclass and not is_expression
    return ExistingIndex(
        name=name,
        index=Index(schema, table, tuple(columns), tuple(include), without_constants(_bare(predicate))),
        method=method,
        unique=unique,
        constraint=constraint,
        plain=plain,
        valid=valid,
        size_bytes=size_bytes,
        scans=scans,
        definition=definition if without_constants(definition) == definition else "",
    )


def _bare(expression: str) -> str:
    """
    Return an expression without the parentheses around all of it.

    >>> _bare("((a = 1) AND (b = 2))"), _bare("(a) = (b)")
    ('(a = 1) AND (b = 2)', '(a) = (b)')
    """
    if not expression.startswith("(") or not expression.endswith(")"):
        return expression
    depth = 0
    for place, mark in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(mark, 0)
        if depth == 0 and place < len(expression) - 1:
            return expression
    return expression[1:-1]
