"""
Give a candidate index of an expression the statistics that it would have once it is built and analysed.

The values that the statistics of its columns hold are put through the expression, in the twin; of dates and numbers
also values between them.  What comes out becomes statistics of the index, of which the planner asks as of a column's.

In        a connection to a database of the twin, an index there
Out       whether its expressions have statistics now
Not here  what is made of the results (derived.py), how large an index is (growing.py)

The values are users': they stay in the twin.  No function of the user's is run, for it could do anything.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import psycopg
from psycopg import sql

from rung.adapters.planner.derived import MET_AGAIN, Foreseen, Result, foreseen, rest_of

Connection = psycopg.Connection[Any]

# More make it no better, and are milliseconds.
VALUES_MAX = 5_000
DRAWS = 3000
ZOOMED_BUCKETS = 10
TIMEOUT = "set local statement_timeout = '3s'"
# Where a row of several columns is drawn from each; irrational, so that they run through each other evenly.
STEPS = (math.sqrt(2), math.sqrt(3), math.sqrt(5), math.sqrt(7), math.sqrt(11))
# Each expression of an index; nothing where the index needs a function or operator that came with no extension: a
# user's is not to be run.  Those of PostgreSQL itself are in no pg_depend.
EXPRESSIONS = """
select k.place::int, pg_get_indexdef(i.indexrelid, k.place::int, false), greatest(t.reltuples, 0)::float8
from pg_index i
cross join lateral unnest(i.indkey::int[]) with ordinality as k (attnum, place)
join pg_class t on t.oid = i.indrelid
where i.indexrelid = %s and k.attnum = 0
  and not exists (
      select from pg_depend f
      where f.classid = 'pg_class'::regclass and f.objid = i.indexrelid
        and f.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass)
        and not exists (
            select from pg_depend e
            where e.classid = f.refclassid and e.objid = f.refobjid and e.deptype = 'e'))
"""
# The columns in one of them.  Between values of some types there are others, which can be told.
COLUMNS = """
select a.attname::text, format_type(a.atttypid, a.atttypmod),
       case when a.attcollation <> b.typcollation then
           (select format('%%I.%%I', n.nspname, l.collname)
            from pg_collation l join pg_namespace n on n.oid = l.collnamespace where l.oid = a.attcollation)
       end,
       case when b.typname in ('int2', 'int4', 'int8', 'numeric') then 'number'
            when b.typname in ('float4', 'float8') then 'float' when b.typname = 'date' then 'date'
            when b.typname in ('timestamp', 'timestamptz') then 'time' when b.typcategory = 'S' then 'text'
            else '' end,
       s.null_frac::float8, s.n_distinct::float8, coalesce(s.correlation, 0)::float8,
       coalesce(s.most_common_vals::text::text[], '{}'), coalesce(s.most_common_freqs::float8[], '{}'),
       coalesce(s.histogram_bounds::text::text[], '{}')
from pg_index i
join pg_attribute a on a.attrelid = i.indrelid and a.attnum > 0 and not a.attisdropped
join pg_type b on b.oid = a.atttypid
join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
left join pg_stats s
    on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname and not s.inherited
where i.indexrelid = %(index)s
  and exists (
      select from pg_depend d
      where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
        and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid and d.refobjsubid = a.attnum)
  and pg_get_indexdef(i.indexrelid, %(place)s, false) ~ ('(?<![\\w"])' || regexp_replace(
      quote_ident(a.attname), '([^\\w])', '\\\\\\1', 'g') || '(?![\\w"])')
order by a.attnum
"""
# As closely as the known ones are: where all of these are whole days, so are those between.
BETWEEN = {
    "number": "(low::numeric + (high::numeric - low::numeric) * part::numeric)",
    "float": "(low + (high - low) * part)",
    "date": "(low + round((high - low) * part)::int)",
    "time": "date_trunc(step, low + (high - low) * part)",
}
STEP = """
select case when bool_and(value = date_trunc('day', value)) then 'day'
            when bool_and(value = date_trunc('hour', value)) then 'hour'
            when bool_and(value = date_trunc('minute', value)) then 'minute'
            when bool_and(value = date_trunc('second', value)) then 'second' else 'microseconds' end
from (select unnest({}::text[])::{} as value) known
"""


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column of an expression, with what its statistics hold.
    """

    name: str
    type: str
    collation: str | None
    kind: str
    null_share: float
    distinct: float
    correlation: float
    common: Sequence[str]
    frequencies: Sequence[float]
    bounds: Sequence[str]

    def rest(self) -> float:
        """
        Return the share of rows whose value is no common one.
        """
        return max(1 - self.null_share - sum(self.frequencies), 0.0)

    def differing(self, rows: float) -> float:
        """
        Return how many values it has.
        """
        return max(self.distinct if self.distinct >= 0 else -self.distinct * rows, len(self.common), 1.0)


@dataclass(frozen=True, slots=True)
class Known:
    """
    A value of each column, the share of rows that has them, and whether it is known exactly.
    """

    values: tuple[str | None, ...]
    share: float
    common: bool = False


def give_statistics(connection: Connection, index: int, schema: str, name: str) -> bool:
    """
    Give each expression of the index with the oid *index* statistics; return whether all of them have some now.
    """
    found = connection.execute(EXPRESSIONS, (index,)).fetchall()
    given = [_give(connection, index, (schema, name), *expression) for expression in found]
    return bool(given) and all(given)


def _give(connection: Connection, index: int, named: tuple[str, str], place: int, definition: str, rows: float) -> bool:
    try:
        with connection.transaction():
            connection.execute(TIMEOUT)
            told = connection.execute(COLUMNS, {"index": index, "place": place}).fetchall()
            if not told or any(column[4] is None for column in told):
                return False
            columns = [Column(*column) for column in told]
            statistics = _Putting(connection, columns, definition, rows).statistics()
            return statistics is not None and _tell(connection, named, place, statistics)
    except psycopg.Error:
        # It fails for some value: a cast of a text to a number, say.  Its words would quote the value.
        return False


class _Putting:
    """
    One expression, and the values that are put through it.
    """

    def __init__(self, connection: Connection, columns: Sequence[Column], definition: str, rows: float) -> None:
        self.connection, self.columns, self.rows = connection, columns, rows
        # It goes into statements that have placeholders.
        self.definition = definition.replace("%", "%%")

    def statistics(self) -> Foreseen | None:
        """
        Return what ANALYZE would find.
        """
        if len(self.columns) > 1:
            return self._of_several()
        (column,) = self.columns
        differing = max(column.differing(self.rows) - len(column.common), float(len(column.bounds) > 0))
        between = self._between(column, differing)
        rest = column.rest()
        known = [Known((value,), share, True) for value, share in zip(column.common, column.frequencies, strict=True)]
        values = between or column.bounds
        known += [Known((value,), rest / len(values)) for value in values]
        if column.null_share:
            known.append(Known((None,), column.null_share, True))
        results = self._put(known)
        distinct_rest = rest_of(
            results,
            rows=rest * self.rows,
            source_distinct=differing,
            sources=(*column.common, *column.bounds) if column.kind == "text" or not column.kind else (),
            dense=bool(between),
        )
        if between and len(between) < differing:
            distinct_rest = self._zoomed(column, results, differing)
        return foreseen(results, rows=self.rows, distinct_rest=distinct_rest, correlations=[column.correlation])

    def _of_several(self) -> Foreseen | None:
        """
        Return statistics of what is made of several columns, which are taken as independent.
        """
        drawn = [self._drawn(column, step) for column, step in zip(self.columns, STEPS, strict=False)]
        if len(drawn) < len(self.columns):
            return None
        results = self._put([Known(values, 1 / DRAWS) for values in zip(*drawn, strict=True)])
        differing = min(math.prod(column.differing(self.rows) for column in self.columns), max(self.rows, 1.0))
        rest = rest_of(results, rows=self.rows, source_distinct=differing)
        correlations = [column.correlation for column in self.columns]
        return foreseen(results, rows=self.rows, distinct_rest=rest, correlations=correlations)

    def _drawn(self, column: Column, step: float) -> list[str | None]:
        """
        Return a value for each row that is drawn, as often as rows have it.
        """
        values: list[str | None] = [None, *column.common]
        reached = list(accumulate([column.null_share, *column.frequencies]))
        between = column.kind in BETWEEN and len(column.bounds) > 1
        buckets = max(len(column.bounds) - between, 1)
        each = max(round((column.differing(self.rows) - len(column.common)) / buckets), 1)
        whole = reached[-1] + (column.rest() if column.bounds else 0.0)
        drawn: list[str | None] = []
        gaps: dict[int, tuple[int, float]] = {}
        for number in range(DRAWS):
            at = (number + 1) * step % 1.0 * whole
            if at < reached[-1] or not column.bounds:
                drawn.append(values[min(bisect_right(reached, at), len(values) - 1)])
                continue
            bucket, part = divmod((at - reached[-1]) / (whole - reached[-1]) * buckets, 1.0)
            gaps[number] = (min(int(bucket), buckets - 1), int(part * each) / each)
            drawn.append(column.bounds[gaps[number][0]])
        if between and gaps:
            for number, value in zip(gaps, self._parts(column, list(gaps.values())), strict=True):
                drawn[number] = value
        return drawn

    def _put(self, known: Sequence[Known]) -> list[Result]:
        """
        Return what the expression makes of each of *known*.
        """
        if not known:
            return []
        names = [sql.Identifier(column.name) for column in self.columns]
        raw = [sql.Identifier(f"given_{number}") for number in range(len(names))]
        question = sql.SQL(
            "select outcome::text, coalesce(width, 0), dense_rank() over (order by outcome),"
            " array[{places}]::int[], number from ("
            "select number, {names}, ({expression}) as outcome, pg_column_size({expression}) as width"
            " from (select number, {typed} from unnest({given}) with ordinality as given({raw}, number)) known"
            " offset 0) put order by number"
        ).format(
            expression=sql.SQL(self.definition),
            names=sql.SQL(", ").join(names),
            places=sql.SQL(", ").join(sql.SQL("dense_rank() over (order by {})").format(name) for name in names),
            typed=sql.SQL(", ").join(
                self._typed(value, column) + sql.SQL(" as ") + name
                for value, column, name in zip(raw, self.columns, names, strict=True)
            ),
            given=sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(names)),
            raw=sql.SQL(", ").join(raw),
        )
        values = [[each.values[number] for each in known] for number in range(len(names))]
        return [
            Result(text, width, place, tuple(sources), each.share, each.common)
            for each, (text, width, place, sources, _) in zip(
                known, self.connection.execute(question, values).fetchall(), strict=True
            )
        ]

    @staticmethod
    def _typed(value: sql.Identifier, column: Column) -> sql.Composed:
        typed = sql.SQL("{}::{}").format(value, sql.SQL(column.type))
        return typed if column.collation is None else sql.SQL("{} collate {}").format(typed, sql.SQL(column.collation))

    def _between(self, column: Column, differing: float) -> list[str]:
        """
        Return as many values as *differing*, or as are worth the time, that lie between the known ones.
        """
        if column.kind not in BETWEEN or len(column.bounds) < 2:
            return []
        buckets = len(column.bounds) - 1
        each = max(round(min(differing, VALUES_MAX) / buckets), 1)
        return self._parts(column, [(bucket, part / each) for bucket in range(buckets) for part in range(each)])

    def _zoomed(self, column: Column, results: Sequence[Result], differing: float) -> float:
        """
        Return how many different results there are, where fewer values than *differing* were tried.

        If many came to the same, all of them came up.  Otherwise it shows among values that are next to each other.
        """
        there = [result for result in results if not result.common and result.text is not None]
        met, tried = len({one.place for one in there}), len({one.sources for one in there})
        if not there or met < MET_AGAIN * tried:
            return float(met)
        buckets = len(column.bounds) - 1
        each = max(differing / buckets, 1.0)
        count = max(min(int(each), VALUES_MAX // ZOOMED_BUCKETS), 1)
        places = sorted({round(number * (buckets - 1) / ZOOMED_BUCKETS) for number in range(ZOOMED_BUCKETS)})
        values = self._parts(column, [(bucket, part / each) for bucket in places for part in range(count)])
        near = self._put([Known((value,), 1.0) for value in values])
        sources = len({one.sources for one in near})
        # Of each run of neighbours the two results at its ends are cut.
        whole = sum(1 for one, other in pairwise(near) if one.place != other.place)
        return max(min(differing * whole / max(sources - 1, 1), differing), float(met))

    def _parts(self, column: Column, places: Sequence[tuple[int, float]]) -> list[str]:
        kind = sql.SQL(column.type)
        between = BETWEEN[column.kind]
        step = "microseconds"
        if column.kind == "time":
            row = self.connection.execute(sql.SQL(STEP).format(sql.Placeholder(), kind), (list(column.bounds),))
            (step,) = row.fetchone() or (step,)
        question = sql.SQL(
            "select ({between}::{kind})::text from unnest(%s::text[], %s::text[], %s::float8[])"
            " with ordinality as given(low_text, high_text, part, number),"
            " lateral (select low_text::{kind} as low, high_text::{kind} as high, %s::text as step) known"
            " order by number"
        ).format(between=sql.SQL(between), kind=kind)
        values = (
            [column.bounds[bucket] for bucket, _ in places],
            [column.bounds[bucket + 1] for bucket, _ in places],
            [part for _, part in places],
            step,
        )
        return [row[0] for row in self.connection.execute(question, values).fetchall()]


def _tell(connection: Connection, named: tuple[str, str], place: int, statistics: Foreseen) -> bool:
    """
    Give the catalog the statistics of an index's column.
    """
    arrays = sql.Composed([])
    if statistics.common:
        arrays += sql.SQL(", 'most_common_vals', {}::text[]::text, 'most_common_freqs', {}::real[]").format(
            sql.Literal(list(statistics.common)), sql.Literal(list(statistics.frequencies))
        )
    if statistics.bounds:
        arrays += sql.SQL(", 'histogram_bounds', {}::text[]::text").format(sql.Literal(list(statistics.bounds)))
    question = sql.SQL(
        "select pg_restore_attribute_stats('schemaname', {}::text, 'relname', {}::text, 'attnum', {}::int2,"
        " 'inherited', false, 'null_frac', {}::real, 'avg_width', {}::int, 'n_distinct', {}::real,"
        " 'correlation', {}::real{})"
    ).format(*named, place, *_figures(statistics), arrays)
    row = connection.execute(question).fetchone()
    return row is not None and bool(row[0])


def _figures(statistics: Foreseen) -> tuple[float, ...]:
    return statistics.null_share, statistics.width_bytes, statistics.distinct, statistics.correlation
