"""
Find in a plan of the twin what the user's server, being older, cannot do.

Much that came with a newer version has a setting of its own, which the older server does not have and which is off in
the twin for that reason (stage.py).  Here is the rest.

In        EXPLAIN's tree of a plan, made with VERBOSE; the twin's catalog; the server's major version
Out       columns that it skips over; sentences about what differs
Not here  planning again without them (costing.py), how plans of today differ (compared.py)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from rung.adapters.postgres import nodes_of
from rung.steps.take.sql import identifier

Connection = psycopg.Connection[Any]
Tree = Mapping[str, Any]

SKIP_SINCE = 18
# How EXPLAIN names joins, and the version that they came with (PostgreSQL's release notes).  No setting turns them off.
# They are hash joins that an older server makes the other way round at almost the same cost (docs/benchmarks/advisor.md
# has how much), so a plan with one is no reason against an index.
JOINS_SINCE = {"Right Anti": 16, "Right Semi": 18}

# An expression is no column and gives no row: before its index is built and analysed, the planner does not know how
# many values to skip over, and skips none.
COLUMNS = """
select x.oid::int8, t.oid::int8, k.place::int, a.attnum, a.attname::text, coalesce(s.stadistinct, 0)::float8,
       greatest(t.reltuples, 0)::float8, pg_relation_size(x.oid) / current_setting('block_size')::int
from pg_index i
join pg_class x on x.oid = i.indexrelid
join pg_namespace n on n.oid = x.relnamespace
join pg_am m on m.oid = x.relam and m.amname = 'btree'
join pg_class t on t.oid = i.indrelid
cross join lateral unnest(i.indkey::int[]) with ordinality as k (attnum, place)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
left join pg_statistic s on s.starelid = i.indrelid and s.staattnum = k.attnum and not s.stainherit
where n.nspname = %s and x.relname = %s and k.place <= i.indnkeyatts
order by k.place
"""


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column of an index.

    Attributes:
        index: Oid of the index, in which it is the one at *place*; *table* that of its table, where it has *number*.
        distinct: Its values as pg_statistic has them: a count, or negative a share of the rows; 0 if unknown.
        rows: Of the table.
        pages: Of the index.
    """

    index: int
    table: int
    place: int
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
        self._columns: dict[tuple[str, str], tuple[Column, ...]] = {}
        self._distinct: dict[tuple[int, int], float] = {}

    @property
    def anything(self) -> bool:
        """
        Whether there is something that it cannot do.
        """
        return self.major < max(SKIP_SINCE, *JOINS_SINCE.values())

    def skipped(self, connection: Connection, tree: Tree) -> frozenset[Column]:
        """
        Return the columns that the plan skips over: it looks an index up by later ones and leaves them open.

        An older server has that plan too, and reads all that the columns before leave of the index.

        Source: PostgreSQL's btcostestimate.
        """
        if self.major >= SKIP_SINCE:
            return frozenset()
        found: set[Column] = set()
        for scan in _scans(tree, "", ""):
            columns = self._columns_of(connection, scan) if scan.condition else ()
            looked_up = {column for column in columns if _names(scan.condition, scan.alias, column.name)}
            last = max((column.place for column in looked_up), default=0)
            found.update(
                column
                for column in columns
                if column.place < last and column not in looked_up and column.worth_skipping
            )
        return frozenset(found)

    def said(self, tree: Tree, *, skipped: bool) -> frozenset[str]:
        """
        Return what has to be known of the plan: what the twin was kept from, and joins that the server does not have.
        """
        joins = {node.get("Join Type", "") for node in nodes_of(tree)}
        said = {
            f"planned with a {join} join, which PostgreSQL {self.major} does not have"
            for join in joins
            if JOINS_SINCE.get(join, 0) > self.major
        }
        if skipped:
            said.add(f"planned without skipping over a column of an index, which PostgreSQL {self.major} cannot")
        return frozenset(said)

    def _columns_of(self, connection: Connection, scan: _Scan) -> tuple[Column, ...]:
        name = (scan.schema, scan.index)
        if name not in self._columns:
            columns = (Column(*row) for row in connection.execute(COLUMNS, name).fetchall())
            # What the twin says of a column may be changed while it plans (costing.py); the first answer counts.
            self._columns[name] = tuple(
                replace(column, distinct=self._distinct.setdefault((column.table, column.number), column.distinct))
                for column in columns
            )
        return self._columns[name]


def counted(tree: Tree, column: str) -> bool:
    """
    Return whether any condition or key of the plan names a column of this name, of whichever table.

    >>> counted({"Output": ["o.kind"], "Plans": [{"Group Key": ["o.kind"]}]}, "kind")
    True
    >>> counted({"Output": ["o.kind"], "Index Cond": "(o.id = $1)"}, "kind")
    False
    """
    named = re.compile(rf'\.{_written(column)}(?![\w"$])')
    texts = (value for node in nodes_of(tree) for key, value in node.items() if key not in {"Output", "Plans"})
    return any(named.search(str(text)) for text in texts)


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
    return re.search(rf'(?<![\w".$]){_written(alias)}\.{_written(column)}(?![\w"$])', condition) is not None


def _written(name: str) -> str:
    """
    Return the pattern of a name as EXPLAIN writes it, bare or quoted.
    """
    return f"(?:{re.escape(name)}|{re.escape(identifier(name))})"
