"""
Find in a plan of the twin what the user's server, being older, cannot do.

Much that came with a newer version has a setting of its own, which the older server does not have and which is off in
the twin for that reason (stage.py).  Here is the rest.

In        EXPLAIN's tree of a plan, made with VERBOSE; the twin's catalog; the server's major version
Out       columns that it skips over, joins that the server does not have
Not here  planning again without them (costing.py), how plans of today differ (compared.py)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
select x.oid::int8, t.oid::int8, a.attnum, a.attname::text, coalesce(s.stadistinct, 0)::float8,
       greatest(t.reltuples, 0)::float8, pg_relation_size(x.oid) / current_setting('block_size')::int
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
class First:
    """
    The first column of an index.

    Attributes:
        index: Oid of the index; *table* that of its table, in which the column has *number*.
        distinct: Its values as pg_statistic has them: a count, or negative a share of the rows; 0 if unknown.
    """

    index: int
    table: int
    number: int
    name: str
    distinct: float
    rows: float
    pages: int

    @property
    def worth_skipping(self) -> bool:
        """
        Whether it has no more values than the index has pages: else the planner skips nothing.
        """
        values = self.distinct if self.distinct >= 0 else -self.distinct * self.rows
        return 0 < values <= self.pages


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
        self._first: dict[tuple[str, str], First | None] = {}
        self._distinct: dict[tuple[int, int], float] = {}

    @property
    def anything(self) -> bool:
        """
        Whether there is something that it cannot do.
        """
        return self.major < max(SKIP_SINCE, *JOINS_SINCE.values())

    def skipped(self, connection: Connection, tree: Tree) -> frozenset[First]:
        """
        Return the first columns that the plan skips over: it looks an index up by later ones and leaves them open.

        An older server has that plan too, and reads the whole index for it.

        Source: PostgreSQL's btcostestimate.
        """
        if self.major >= SKIP_SINCE:
            return frozenset()
        found: set[First] = set()
        for scan in _scans(tree, "", ""):
            first = self._first_of(connection, scan) if scan.condition else None
            if first and first.worth_skipping and not _names(scan.condition, scan.alias, first.name):
                found.add(first)
        return frozenset(found)

    def joins(self, tree: Tree) -> frozenset[str]:
        """
        Return the kinds of joins in the plan that the server does not have, as EXPLAIN names them.
        """
        kind = tree.get("Join Type", "")
        here = frozenset((kind,) if JOINS_SINCE.get(kind, 0) > self.major else ())
        return here.union(*(self.joins(child) for child in tree.get("Plans", ())))

    def _first_of(self, connection: Connection, scan: _Scan) -> First | None:
        name = (scan.schema, scan.index)
        if name not in self._first:
            row = connection.execute(FIRST_COLUMN, name).fetchone()
            first = None if row is None else First(*row)
            if first is not None:
                # What the twin says of it may be changed while it plans (costing.py).
                distinct = self._distinct.setdefault((first.table, first.number), first.distinct)
                first = replace(first, distinct=distinct)
            self._first[name] = first
        return self._first[name]


def counted(tree: Tree, column: str) -> bool:
    """
    Return whether any condition or key of the plan names a column of this name, of whichever table.

    >>> counted({"Output": ["o.kind"], "Plans": [{"Group Key": ["o.kind"]}]}, "kind")
    True
    >>> counted({"Output": ["o.kind"], "Index Cond": "(o.id = $1)"}, "kind")
    False
    """
    texts = [value for key, value in tree.items() if key not in {"Output", "Plans"}]
    words = "(?:" + "|".join((re.escape(column), re.escape(_quoted(column)))) + ")"
    here = any(re.search(rf'\.{words}(?![\w"$])', str(text)) for text in texts)
    return here or any(counted(child, column) for child in tree.get("Plans", ()))


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
