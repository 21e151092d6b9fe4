"""
Ask the catalog what an index of a name is now, and whether it is the one that was meant.

In        a connection, the name of an index
Out       its state: valid, being built, attached to a parent's; whether it is on what it should be on
Not here  building or dropping it (hands.py, partitions.py)
"""

from __future__ import annotations

import re
from typing import Any

import psycopg

from rung.ports import IndexColumn, NamedIndex

Connection = psycopg.Connection[Any]

# Of builds by other roles one sees that they are there, not of what; their lock on the table tells.
STATE = """
select i.indisvalid, pg_get_indexdef(i.indexrelid),
       coalesce((select sum(pg_relation_size(p.relid)) from pg_partition_tree(i.indexrelid) p),
                pg_relation_size(i.indexrelid))::bigint,
       exists (
           select 1 from pg_stat_progress_create_index b
           where b.pid <> pg_backend_pid() and b.datname = current_database() and (
               b.index_relid = i.indexrelid
               or b.index_relid is null
               and exists (select 1 from pg_locks l where l.pid = b.pid and l.relation = i.indrelid)
           )
       ),
       t.relname, m.amname::text, k.keys, k.include, pg_get_expr(i.indpred, i.indrelid),
       exists (select 1 from pg_inherits h where h.inhrelid = i.indexrelid)
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_am m on m.oid = c.relam
join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
    select json_agg(json_build_array(
               coalesce(a.attname, pg_get_indexdef(i.indexrelid, k.place::int, false)), k.attnum = 0,
               i.indoption[k.place - 1]::int, case when o.opcdefault then '' else o.opcname end,
               a.attcollation is null or i.indcollation[k.place - 1] in (0, a.attcollation)
           ) order by k.place) filter (where k.place <= i.indnkeyatts) as keys,
           coalesce(array_agg(a.attname::text order by k.place) filter (where k.place > i.indnkeyatts), '{}') as include
    from unnest(i.indkey::int[]) with ordinality as k (attnum, place)
    left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum and k.attnum <> 0
    left join pg_opclass o on k.place <= i.indnkeyatts and o.oid = i.indclass[k.place - 1]
) k
where n.nspname = %s and c.relname = %s
"""
# indoption (PostgreSQL source, INDOPTION_DESC and INDOPTION_NULLS_FIRST)
DESCENDING, NULLS_FIRST = 1, 2
# Types of one word, and those of several.
TYPE = (
    r"(?:character varying|double precision|bit varying|time(?:stamp)? with(?:out)? time zone|\"[^\"]+\"|[\w.]+)"
    r"(?:\([\d, ]+\))?(?:\[\])*"
)
# Casts that PostgreSQL writes where nobody else does: of constants, and of what is text already.
SILENT_CAST = re.compile(rf"(?<=')::{TYPE}|::(?:text|varchar|character varying)(?:\([\d, ]+\))?(?![\w\[])")
ALIASES = {
    "int": "integer", "int4": "integer", "int8": "bigint", "int2": "smallint", "bool": "boolean",
    "float8": "double precision", "float4": "real", "decimal": "numeric", "timestamptz": "timestamp with time zone",
}  # fmt: skip


class State:
    """
    An index as it is now.

    Attributes:
        valid: Whether reads may use it.
        definition: As PostgreSQL writes it.
        size_bytes: With those of its partitions.
        building: Whether somebody else is building it.
        attached: Whether it is the partition of another index.
    """

    def __init__(self, row: tuple[Any, ...]) -> None:
        self.valid, self.definition, self.size_bytes, self.building, self.table, self._method = row[:6]
        self._keys, self._include, self._where, self.attached = row[6:]

    def serves(self, wanted: NamedIndex) -> bool:
        """
        Return whether this is what was *wanted*, and not somebody's index on something else.

        Expressions are compared without parentheses and silent casts, in which texts of one expression differ.
        """
        if self.table != wanted.table:
            return False
        if wanted.index is None:
            return _kind_and_body(self.definition) == _kind_and_body(wanted.create.sql)
        index = wanted.index
        found = [
            (_loose(name) if expression else name, expression, options, opclass, plain)
            for name, expression, options, opclass, plain in self._keys
        ]
        return bool(
            self._method == "btree"
            and found == [_key(column) for column in index.columns]
            and sorted(self._include) == sorted(index.include)
            and _loose(self._where or "") == _loose(index.where)
        )


def state_of(connection: Connection, schema: str, name: str) -> State | None:
    """
    Return the state of an index, None where there is none of that name.
    """
    row = connection.execute(STATE, (schema, name)).fetchone()
    return State(row) if row is not None else None


def _key(column: IndexColumn) -> tuple[str, bool, int, str, bool]:
    nulls_first = column.descending if column.nulls_first is None else column.nulls_first
    options = DESCENDING * column.descending + NULLS_FIRST * nulls_first
    name = _loose(column.name) if column.expression else column.name
    return name, column.expression, options, column.opclass, True


def _kind_and_body(definition: str) -> tuple[bool, str]:
    """
    Return of a definition what is neither the index's name nor its table's.
    """
    return definition.startswith("CREATE UNIQUE"), _loose(definition.partition(" USING ")[2])


def _loose(text: str) -> str:
    named = re.sub(r"::(\w+)", lambda found: f"::{ALIASES.get(found[1], found[1])}", text)
    return re.sub(r"[\s()]", "", SILENT_CAST.sub("", named))
