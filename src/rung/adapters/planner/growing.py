"""
Make the twin's empty files look as long, and its btrees as high, as the real ones are or would be.

In        a connection to a database of the twin, its data folder, pages
Out       files grown without writing them; how large an index will be
Not here  how large a btree with given keys is (btree.py), which relations there are (stage.py)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg

from rung.adapters.planner.btree import PAGE_BYTES, Key

Connection = psycopg.Connection[Any]

SEGMENT_PAGES = 131072  # PostgreSQL cuts a table into files of 1 GB
PATHS = """
select n.nspname, c.relname, pg_relation_filepath(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm', 'i') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
"""


def paths_of(connection: Connection, data: Path) -> dict[tuple[str, str], Path]:
    """
    Return the first file of each table and index, by schema and name.
    """
    return {(schema, name): data / path for schema, name, path in connection.execute(PATHS).fetchall()}


def grow(first: Path, pages: int) -> None:
    """
    Make a relation at least *pages* long, without writing any of them.
    """
    owner = first.stat()
    for number in range(-(-pages // SEGMENT_PAGES)):
        path = first if number == 0 else _segment(first, number)
        length = min(pages - number * SEGMENT_PAGES, SEGMENT_PAGES) * PAGE_BYTES
        with path.open("ab") as file:
            if file.tell() < length:
                file.truncate(length)
        if path.stat().st_uid != owner.st_uid:
            os.chown(path, owner.st_uid, owner.st_gid)


def shrink(first: Path) -> None:
    """
    Make a table empty again, so that an index is built on it at once.  Nobody may have its files open.
    """
    os.truncate(first, 0)
    number = 1
    while _segment(first, number).exists():
        _segment(first, number).unlink()
        number += 1


def _segment(first: Path, number: int) -> Path:
    return first.with_name(f"{first.name}.{number}")


# Whether equal keys can share a tuple is what the operator class's fourth support function says, and no index
# with INCLUDE does it.  An expression without statistics of its own is taken to be as different as its column, if it
# has one.  Statistics of an expression have its values with a header of four bytes; in the index a short value has one
# of one byte.  What is of unknown width is taken to have 32 bytes, as the planner takes it.  Statistics of kind 1 are
# the most common values (PostgreSQL source, varatt.h, get_typavgwidth, pg_statistic.h).
KEYS = """
select coalesce(nullif(a.attlen, -1)::int, s.stawidth - case when k.attnum = 0 and s.stawidth <= 129 then 3 else 0 end,
                32),
       case when a.attlen = -1 or a.attalign = 'c' then 1 when a.attalign = 's' then 2 when a.attalign = 'i' then 4
            else 8 end,
       coalesce(s.stadistinct, x.differing, 0)::float8,
       i.indnatts = i.indnkeyatts
       and exists (
           select from pg_opclass o
           join pg_amproc f on f.amprocfamily = o.opcfamily and f.amproclefttype = o.opcintype and f.amprocnum = 4
           where k.place <= i.indnkeyatts and o.oid = i.indclass[k.place - 1]
       ) and coalesce((select l.collisdeterministic from pg_collation l where l.oid = a.attcollation), true),
       k.place > i.indnkeyatts,
       coalesce(case 1 when s.stakind1 then s.stanumbers1 when s.stakind2 then s.stanumbers2
                       when s.stakind3 then s.stanumbers3 when s.stakind4 then s.stanumbers4
                       when s.stakind5 then s.stanumbers5 end, '{}')::float8[],
       coalesce(s.stanullfrac, 0)::float8
from pg_index i
cross join lateral unnest(i.indkey::int[]) with ordinality as k (attnum, place)
join pg_attribute a on a.attrelid = i.indexrelid and a.attnum = k.place
left join pg_statistic s on not s.stainherit and (s.starelid, s.staattnum) = (
    case when k.attnum > 0 then i.indrelid else i.indexrelid end,
    case when k.attnum > 0 then k.attnum else k.place end)
left join lateral (
    select case when count(*) = 1 then max(w.stadistinct) end as differing
    from pg_depend d
    join pg_statistic w on w.starelid = d.refobjid and w.staattnum = d.refobjsubid and not w.stainherit
    where k.attnum = 0 and d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
      and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid and d.refobjsubid > 0
      and d.refobjsubid <> all (i.indkey::int[])
) x on true
where i.indexrelid = %s
order by k.place
"""


def keys_of(connection: Connection, index: int) -> list[Key]:
    """
    Return the columns of the index with the oid *index*, as the statistics describe them.
    """
    return [Key(*row) for row in connection.execute(KEYS, (index,)).fetchall()]


def tell(connection: Connection, schema: str, index: str, *, pages: int, rows: float) -> None:
    """
    Give the catalog an index's length and rows.
    """
    connection.execute(
        "select pg_restore_relation_stats('schemaname', %s::text, 'relname', %s::text,"
        " 'relpages', %s::int, 'reltuples', %s::real)",
        (schema, index, pages, rows),
    )
