"""
Find in a plan of the twin what the user's server, being older, cannot do.

Much that came with a newer version has a setting of its own, which the older server does not have and which is off in
the twin for that reason (stage.py).  Here is the rest.

In        EXPLAIN's tree of a plan, made with VERBOSE; the twin's catalog; the server's major version
Out       the indexes without which the twin plans as the server can, and what they were used for
Not here  planning again without them (costing.py), how plans of today differ (compared.py)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
Tree = Mapping[str, Any]

SKIP_SINCE = 18
SKIP = "skip over the first column of an index"
# How EXPLAIN names joins, and the version that they came with (PostgreSQL's release notes).
JOINS_SINCE = {"Right Anti": 16, "Right Semi": 18}

# A column that is no key of its own (an expression) has number 0 and gives no row: before it is built and analysed, the
# planner does not know how many values to skip over, and skips none.
FIRST_COLUMN = """
select x.oid::int8, a.attname::text,
       coalesce(
           case when s.stadistinct < 0 then -s.stadistinct * greatest(t.reltuples, 0) else s.stadistinct end, 0
       )::float8,
       pg_relation_size(x.oid) / current_setting('block_size')::int
from pg_index i
join pg_class x on x.oid = i.indexrelid
join pg_namespace n on n.oid = x.relnamespace
join pg_am m on m.oid = x.relam and m.amname = 'btree'
join pg_class t on t.oid = i.indrelid
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
left join pg_statistic s on s.starelid = i.indrelid and s.staattnum = i.indkey[0] and not s.stainherit
where n.nspname = %s and x.relname = %s
"""


@dataclass(frozen=True, slots=True)
class _First:
    """
    The first column of an index: how many values it has (0 where unknown), and how many pages the index.
    """

    oid: int
    column: str
    values: float
    pages: int


@dataclass(frozen=True, slots=True)
class _Scan:
    """
    A use of an index in a plan, with the table's schema and alias.
    """

    schema: str
    alias: str
    index: str
    condition: str


class Lacking:
    """
    What a server of version *major* cannot do, looked for in plans of the twin.
    """

    def __init__(self, major: int) -> None:
        self.major = major
        self._first: dict[tuple[str, str], _First | None] = {}

    @property
    def anything(self) -> bool:
        """
        Whether there is something that it cannot do.
        """
        return self.major < max(SKIP_SINCE, *JOINS_SINCE.values())

    def skipped(self, connection: Connection, tree: Tree) -> frozenset[int]:
        """
        Return the oids of the indexes over whose first column the plan skips.

        Such a plan looks an index up by later columns and leaves the first one open.  An older server has that plan
        too, and reads the whole index for it; the costs are the same where there are more values than pages, as the
        newer one then skips nothing (PostgreSQL source, btcostestimate).
        """
        if self.major >= SKIP_SINCE:
            return frozenset()
        found: set[int] = set()
        for scan in _scans(tree, "", ""):
            first = self._first_of(connection, scan) if scan.condition else None
            if first and 0 < first.values <= first.pages and not _names(scan.condition, scan.alias, first.column):
                found.add(first.oid)
        return frozenset(found)

    def joins(self, tree: Tree) -> frozenset[str]:
        """
        Return the kinds of joins in the plan that the server does not have, as EXPLAIN names them.
        """
        kind = tree.get("Join Type", "")
        here = frozenset((kind,) if JOINS_SINCE.get(kind, 0) > self.major else ())
        return here.union(*(self.joins(child) for child in tree.get("Plans", ())))

    def _first_of(self, connection: Connection, scan: _Scan) -> _First | None:
        name = (scan.schema, scan.index)
        if name not in self._first:
            row = connection.execute(FIRST_COLUMN, name).fetchone()
            self._first[name] = None if row is None else _First(*row)
        return self._first[name]


def _scans(tree: Tree, schema: str, alias: str) -> Iterator[_Scan]:
    # The parts of a bitmap name no table; it stands above them.
    schema, alias = tree.get("Schema", schema), tree.get("Alias", alias)
    if "Index Name" in tree:
        yield _Scan(schema, alias, tree["Index Name"], tree.get("Index Cond", ""))
    for child in tree.get("Plans", ()):
        yield from _scans(child, schema, alias)


def _names(condition: str, alias: str, column: str) -> bool:
    """
    Return whether a condition names the column of the table with this alias.

    >>> _names('((o.state = $1) AND (o."at" > c.id))', "o", "at")
    True
    >>> _names("(o.state = c.id)", "o", "id")
    False
    """
    name = r"\.".join(f"(?:{re.escape(word)}|{re.escape(_quoted(word))})" for word in (alias, column))
    return re.search(rf'(?<![\w".$]){name}(?![\w"$])', condition) is not None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
