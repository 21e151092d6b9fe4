"""
Say in ClickHouse's words what the profile's SQL says in DuckDB's.

One text serves both engines but for the names of a few functions, which are listed here.  The settings make the
rest mean the same: an outer join gives nulls, an aggregate of nothing is null, a bare union is distinct.

In        the SQL of a step
Out       the same question for ClickHouse; the settings that it is to be asked with
Not here  asking (engine.py)
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SETTINGS: Mapping[str, str] = {
    "join_use_nulls": "1",
    "aggregate_functions_null_for_empty": "1",
    "union_default_mode": "DISTINCT",
    "cast_keep_nullable": "1",
    "input_format_parquet_allow_missing_columns": "1",
    "low_cardinality_allow_in_native_format": "0",
    "max_query_size": "16777216",  # a question names the objects that it reads
}

TYPES: Mapping[str, str] = {
    "VARCHAR": "Nullable(String)", "BIGINT": "Nullable(Int64)", "INTEGER": "Nullable(Int32)",
    "SMALLINT": "Nullable(Int16)", "DOUBLE": "Nullable(Float64)", "BOOLEAN": "Nullable(Bool)",
}  # fmt: skip

COLUMN = r"([\w.]+)"
SPELLINGS = tuple(
    (re.compile(duckdb), clickhouse)
    for duckdb, clickhouse in (
        (r"\barg_max\(", r"argMax("),
        (r"\barg_min\(", r"argMin("),
        (rf"\bstring_split\({COLUMN}, '(.)'\)", r"splitByChar('\2', assumeNotNull(\1))"),
        (rf"\bstring_agg\(distinct {COLUMN}, '(.)'\)", r"groupConcat('\2')(distinct \1)"),
        # Of an even number the lower one of the two in the middle, as with DuckDB.
        (rf"\bquantile_disc\({COLUMN}, 0\.5\)", r"quantileExactLow(0.5)(\1)"),
        (rf"\bcast\({COLUMN} as double\[\]\[\]\)", r"JSONExtract(assumeNotNull(\1), 'Array(Array(Float64))')"),
    )
)
BEGINNING = re.compile(r"\s*(?:--[^\n]*\n\s*)*(?:with (?P<recursive>recursive )?)?", re.IGNORECASE)


def translated(sql: str, tables: Mapping[str, str]) -> str:
    """
    Return *sql* for ClickHouse, where *tables* says by name what is to be selected from each.
    """
    for duckdb, clickhouse in SPELLINGS:
        sql = duckdb.sub(clickhouse, sql)
    beginning = BEGINNING.match(sql)
    assert beginning is not None  # all of it is optional
    rest = sql[beginning.end() :]
    has_more = "with" in re.sub(r"--[^\n]*\n", "", beginning.group()).lower()
    named = ",\n".join(f"{name} as (\n{select}\n)" for name, select in tables.items())
    recursive = "recursive " if beginning["recursive"] else ""
    if not named:
        return sql
    return f"with {recursive}{named}{',' if has_more else ''}\n{rest}"


def literal(text: str) -> str:
    """
    Return *text* as a literal of ClickHouse's.
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
