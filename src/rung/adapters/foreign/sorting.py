"""
Bring the spans of a trace together, wherever in the files they stand, in bounded memory.

In        Spans in any order
Out       the spans of one trace after the other, each trace in order of begin
Not here  what is made of a trace (assembling.py)

DuckDB sorts them in a folder of its own and puts on disk what does not fit into memory.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from rung.adapters.foreign.meaning import Span
from rung.adapters.foreign.span import Account

HELD_MAX = 20_000
TRACE_SPANS_MAX = 200_000
MEMORY = "256MB"
_FETCHED = 5_000
_COLUMNS = {
    "trace": "VARCHAR", "span": "VARCHAR", "parent": "VARCHAR", "process": "INTEGER", "kind": "TINYINT",
    "remote": "BOOLEAN", "start_s": "DOUBLE", "end_s": "DOUBLE", "role": "VARCHAR", "name": "VARCHAR",
    "method": "VARCHAR", "status": "SMALLINT", "error": "VARCHAR", "rows": "BIGINT", "database": "VARCHAR",
    "kept_share": "DOUBLE",
}  # fmt: skip
_TABLE = f"create table spans ({', '.join(f'{name} {kind}' for name, kind in _COLUMNS.items())})"
_NUMBERS: dict[str, Any] = {
    "INTEGER": np.int32, "TINYINT": np.int8, "BIGINT": np.int64, "SMALLINT": np.int16, "DOUBLE": np.float64,
}  # fmt: skip


class Sorted:
    """
    Spans on disk, until they are asked for.
    """

    def __init__(self, folder: Path) -> None:
        assert list(_COLUMNS) == [field.name for field in dataclasses.fields(Span)]
        self._held: list[Span] = []
        self._database = duckdb.connect(
            str(folder / "spans.duckdb"),
            config={"threads": 1, "memory_limit": MEMORY, "temp_directory": str(folder / "sorting")},
        )
        self._database.execute("SET GLOBAL pandas_analyze_sample = 0")
        self._database.execute("SET enable_progress_bar = false")
        # How they came is not asked for, and keeping it takes memory.
        self._database.execute("SET preserve_insertion_order = false")
        self._database.execute(_TABLE)

    def add(self, span: Span) -> None:
        """
        Keep *span*.
        """
        self._held.append(span)
        if len(self._held) >= HELD_MAX:
            self._write()

    def _write(self) -> None:
        if not self._held:
            return
        columns: dict[str, Any] = {}
        for name, kind in _COLUMNS.items():
            values = [getattr(span, name) for span in self._held]
            if kind == "BOOLEAN":
                unknown = [value is None for value in values]
                columns[name] = np.ma.masked_array(np.array([bool(value) for value in values]), unknown)
            elif kind in _NUMBERS:
                columns[name] = np.array(values, dtype=_NUMBERS[kind])
            else:
                texts = np.empty(len(values), dtype=object)
                texts[:] = [value.encode("utf-8", "replace").decode() for value in values]
                columns[name] = texts
        self._held = []
        self._database.register("held", columns)
        self._database.execute("insert into spans select * from held")
        self._database.unregister("held")

    def traces(self, account: Account) -> Iterator[list[Span]]:
        """
        Yield the spans of each trace, in order of begin; of a very large one its first.
        """
        self._write()
        found = self._database.execute("select * from spans order by trace, start_s, end_s desc, span")

        def rows() -> Iterator[tuple[Any, ...]]:
            while some := found.fetchmany(_FETCHED):
                yield from some

        for trace, members in itertools.groupby(rows(), key=lambda row: row[0]):
            kept = [Span(*row) for row in itertools.islice(members, TRACE_SPANS_MAX)]
            beyond = sum(1 for _ in members)
            if beyond:
                account.counts["unread"] += beyond
                account.first.setdefault("unread", f"trace {trace}: more than {TRACE_SPANS_MAX:,} spans")
            yield kept

    def close(self) -> None:
        """
        Let go of the files.
        """
        self._database.close()
