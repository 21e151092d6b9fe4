"""
Draw values for a statement's parameters from the statistics of the columns that they are compared with.

A plan with values unknown takes every value for an average one.  So a statement is also planned with a common, a
middle and a rare value, each standing for the share of executions that its like would have if executions ask for
rows as often as there are rows of that value.

In        EXPLAIN's tree of a generic plan; column statistics of the twin
Out       up to three vectors of literals, with shares; none where a parameter's column is not found
Not here  planning with them (costing.py)

The values are users': they go to the twin's planner and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from rung.adapters.postgres import nodes_of

Connection = psycopg.Connection[Any]

# What the planner itself takes an array of unknown length for (PostgreSQL source, estimate_array_length).
ARRAY_LENGTH = 10
# No statistics tell how long a page of results is; the planner would take a tenth of all rows.
PAGE_ROWS = 20
# Values whose frequencies are closer than this get the same plans; fewer vectors are fewer plans to make.
ALIKE = 2.0
# Of a range open at one end: what it keeps, if its end is the value of a row drawn at random.
KEPT = (5 / 6, 1 / 2, 1 / 6)
LOWER, UPPER = (">", ">="), ("<", "<=")
COMMUTED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

# How EXPLAIN writes a condition: every operation in parentheses, columns with their table's alias, a cast column in
# parentheses of its own.  What fits none of these (a function of the column, say) has no statistics to draw from.
_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_CAST = r"(?:::[a-z][\w ]*(?:\([\d, ]+\))?)"
_COLUMN = rf'(?:(?<![\w".])|(?<![\w"])\()(?P<alias>{_NAME})\.(?P<column>{_NAME})(?:\){_CAST})?'
_OPERATOR = r"(?P<operator><=|>=|<>|=|<|>)"
_PARAMETER = rf"\(?\$(?P<parameter>\d+)(?:\){_CAST})?"
COMPARED = re.compile(rf"{_COLUMN} {_OPERATOR} {_PARAMETER}(?=\))")
COMMUTED_COMPARED = re.compile(rf"\({_PARAMETER} {_OPERATOR} {_COLUMN}(?=\))")
COMPARED_WITH_ANY = re.compile(rf"{_COLUMN} (?P<operator>=) ANY \({_PARAMETER}\)")
PARAMETER = re.compile(r"\$(\d+)")
PAGE = re.compile(r"\b(limit|offset|first|next)\s+\(?\$(\d+)", re.IGNORECASE)
# What no row is chosen by.
UNCONDITIONAL = {"Output", "Sort Key", "Presorted Key", "Group Key", "Plans"}

STATISTICS = """
with self as (
    select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s and c.relname = %s
)
select s.null_frac::float8, s.n_distinct::float8, greatest(c.reltuples, 1)::float8,
       coalesce(s.most_common_vals::text::text[], '{}'), coalesce(s.most_common_freqs::float8[], '{}'),
       coalesce(s.histogram_bounds::text::text[], '{}')
from self
join pg_class c on c.oid in (self.oid, pg_partition_root(self.oid))
join pg_namespace n on n.oid = c.relnamespace
join pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = %s
join pg_attribute a on a.attrelid = c.oid and a.attname = s.attname
join pg_type t on t.oid = a.atttypid and t.typcategory <> 'A'
order by c.relkind = 'p' desc, s.inherited desc
limit 1
"""


@dataclass(frozen=True, slots=True)
class Vector:
    """
    A literal for each parameter, and the share of executions that it stands for.
    """

    literals: tuple[sql.Literal, ...]
    share: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    A column that a parameter is compared with; *array* for `= ANY`.
    """

    schema: str
    table: str
    column: str
    operator: str
    array: bool = False


@dataclass(frozen=True, slots=True)
class Statistics:
    """
    What pg_stats has of a column, values as text.
    """

    null_share: float
    distinct: float
    rows: float
    common: Sequence[str]
    frequencies: Sequence[float]
    bounds: Sequence[str]


@dataclass(frozen=True, slots=True)
class Drawn:
    """
    Values for one parameter, the commonest first, with the shares of executions they stand for.
    """

    values: tuple[str, ...]
    shares: tuple[float, ...]


def vectors_of(connection: Connection, tree: Mapping[str, Any], statement: str, parameters: int) -> tuple[Vector, ...]:
    """
    Return vectors for *statement*, whose generic plan is *tree*; none where a parameter's column is not found.
    """
    compared = comparisons_of(tree)
    if parameters == 0 or compared is None:
        return ()
    pages = {int(number): word.lower() for word, number in PAGE.findall(statement)}
    drawn: dict[int, Drawn] = {}
    for parameter, columns in compared.items():
        found = []
        for column in columns:
            statistics = _statistics_of(connection, column)
            if statistics is not None:
                found.append(_drawn(statistics, column, closed=_closed(parameter, column, compared)))
        values = [each for each in found if each is not None]
        if not values:
            return ()
        # What is compared with a key and with a column that refers to it is as unequal as the column's values are.
        drawn[parameter] = max(values, key=lambda each: len(each.values))
    if not drawn:
        return ()
    count = max(len(one.values) for one in drawn.values())
    # Of several, the most unequal one decides what is common.
    shares = max((one.shares for one in drawn.values() if len(one.values) == count), key=lambda shares: shares[0])
    return tuple(
        Vector(
            tuple(_literal(drawn.get(number), pages.get(number), place) for number in range(1, parameters + 1)), share
        )
        for place, share in enumerate(shares)
    )


def _literal(drawn: Drawn | None, page: str | None, place: int) -> sql.Literal:
    if drawn is not None:
        return sql.Literal(drawn.values[min(place, len(drawn.values) - 1)])
    if page is not None:
        return sql.Literal(0 if page == "offset" else PAGE_ROWS)
    # It chooses no row: something that is written, or shown.
    return sql.Literal(None)


def comparisons_of(tree: Mapping[str, Any]) -> dict[int, tuple[Comparison, ...]] | None:
    """
    Return the columns that each parameter in a condition is compared with; None where one has none.

    >>> scan = {"Schema": "public", "Relation Name": "orders", "Alias": "o", "Filter": "((o.state)::text = $1)"}
    >>> comparisons_of(scan)
    {1: (Comparison(schema='public', table='orders', column='state', operator='=', array=False),)}
    >>> comparisons_of({**scan, "Filter": "(lower(o.state) = $1)"}) is None
    True
    """
    tables: dict[str, tuple[str, str]] = {}
    conditions: list[str] = []
    for node in nodes_of(tree):
        if "Relation Name" in node and "Alias" in node:
            tables.setdefault(node["Alias"], (node.get("Schema", ""), node["Relation Name"]))
        for key, value in node.items():
            if key not in UNCONDITIONAL and isinstance(value, str) and "$" in value:
                conditions.append(value)
    found: dict[int, dict[Comparison, None]] = {}
    for condition in conditions:
        for pattern, array in ((COMPARED, False), (COMMUTED_COMPARED, False), (COMPARED_WITH_ANY, True)):
            for match in pattern.finditer(condition):
                operator = match["operator"]
                table = tables.get(_unquoted(match["alias"]))
                if table is not None:
                    operator = COMMUTED.get(operator, operator) if pattern is COMMUTED_COMPARED else operator
                    compared = Comparison(*table, _unquoted(match["column"]), operator, array)
                    found.setdefault(int(match["parameter"]), {})[compared] = None
    wanted = {int(number) for condition in conditions for number in PARAMETER.findall(condition)}
    return {number: tuple(columns) for number, columns in found.items()} if wanted <= set(found) else None


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _statistics_of(connection: Connection, found: Comparison) -> Statistics | None:
    # A partition's column is asked of the whole table first.
    row = connection.execute(STATISTICS, (found.schema, found.table, found.column)).fetchone()
    return None if row is None else Statistics(*row)


def _closed(parameter: int, found: Comparison, compared: Mapping[int, Sequence[Comparison]]) -> bool:
    """
    Return whether the range that *parameter* ends on one side is ended by another on the other side.
    """
    opposite = UPPER if found.operator in LOWER else LOWER
    return any(
        number != parameter
        and other.operator in opposite
        and (other.schema, other.table, other.column) == (found.schema, found.table, found.column)
        for number, others in compared.items()
        for other in others
    )


def _drawn(statistics: Statistics, found: Comparison, *, closed: bool) -> Drawn | None:
    if found.operator in (*LOWER, *UPPER):
        return _ends(statistics.bounds, lower=found.operator in LOWER, closed=closed)
    groups = _groups(statistics)
    if not groups:
        return None
    total = sum(group.share for group in groups)
    values = tuple(_array(group) if found.array else group.values[len(group.values) // 2] for group in groups)
    return Drawn(values, tuple(group.share / total for group in groups))


def _ends(bounds: Sequence[str], *, lower: bool, closed: bool) -> Drawn | None:
    """
    Return ends of ranges: of an open one so that it keeps KEPT, of a closed one so that it keeps a bucket.
    """
    last = len(bounds) - 1
    if last < 2:
        return None
    places = []
    for kept in KEPT:
        place = min(max(round((1 - kept if lower else kept) * last), 0), last)
        if closed:
            place = min(round((1 - kept) * last), last - 1) + (0 if lower else 1)
        places.append(place)
    return Drawn(tuple(bounds[place] for place in places), (1 / 3, 1 / 3, 1 / 3))


@dataclass(frozen=True, slots=True)
class _Group:
    """
    Values of like frequency; *each* is the share of rows that one of them has, *share* what all of them have.
    """

    values: Sequence[str]
    share: float
    each: float


def _groups(statistics: Statistics) -> list[_Group]:
    """
    Return the common value, the middle ones and the rare ones, those together that are alike.
    """
    common, frequencies = statistics.common, statistics.frequencies
    groups = []
    if common:
        groups.append(_Group(common[:1], frequencies[0], frequencies[0]))
    tail, tail_shares = common[1:], frequencies[1:]
    if statistics.bounds:
        rest = max(1 - statistics.null_share - sum(frequencies), 0.0)
        count = statistics.distinct if statistics.distinct > 0 else -statistics.distinct * statistics.rows
        rare = _Group(statistics.bounds, rest, rest / max(count - len(common), 1.0))
        parts = [(tail, tail_shares)]
    else:
        half = (len(tail) + 1) // 2
        rare = None
        parts = [(tail[:half], tail_shares[:half]), (tail[half:], tail_shares[half:])]
    groups += [_Group(values, sum(shares), sum(shares) / len(values)) for values, shares in parts if values]
    groups += [rare] if rare is not None else []
    return _merged(groups)


def _merged(groups: Sequence[_Group]) -> list[_Group]:
    merged: list[_Group] = []
    for group in groups:
        if merged and merged[-1].each < ALIKE * group.each:
            before = merged.pop()
            larger = max(before, group, key=lambda one: one.share)
            group = _Group(larger.values, before.share + group.share, larger.each)  # noqa: PLW2901  # goes on as one
        merged.append(group)
    return [group for group in merged if group.share > 0]


def _array(group: _Group) -> str:
    """
    Return an array of some of a group's values, as PostgreSQL reads it.
    """
    step = max(len(group.values) // ARRAY_LENGTH, 1)
    return "{" + ",".join(_quoted(value) for value in group.values[::step][:ARRAY_LENGTH]) + "}"


def _quoted(element: str) -> str:
    return '"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"'
