"""
Indexes really built in a database, and switched on and off there in no time.

In        a DSN of a database of ours, whose superuser we are; indexes
Out       plans, times, sizes with exactly the asked ones in force
Not here  which indexes (contenders.py), a database that is not ours

An index is switched off by pg_index.indisvalid: the planner passes over it.  It is built once and kept, so that
hundreds of configurations cost one build for each index.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import psutil
import psycopg
from psycopg import sql

from benchmarks.advisor.advising import shown
from benchmarks.advisor.tpch import Timed
from rung.adapters.postgres import explain
from rung.ports import Index, Plan
from rung.steps.take.sql import create_at_once

PREFIX = "built_"
# An index on a partitioned table is as large as those of its partitions; of another there is no tree.
TREE_SIZE = """
select coalesce(sum(pg_relation_size(relid)), pg_relation_size(%s::regclass))::bigint
from pg_partition_tree(%s::regclass)
"""
# With what it has on partitions.
SWITCH = """
update pg_index set indisvalid = %s
where indexrelid in (select %s::regclass::oid union all select relid::oid from pg_partition_tree(%s::regclass))
"""


class Built:
    """
    A database in which indexes are built and switched.

    Attributes:
        sizes_bytes: Of each index that was built.
        build_s: Seconds that each took to build.
    """

    def __init__(self, dsn: str) -> None:
        self.connection: psycopg.Connection[Any] = psycopg.connect(dsn, autocommit=True, prepare_threshold=None)
        self.sizes_bytes: dict[Index, int] = {}
        self.build_s: dict[Index, float] = {}
        self._in_force: set[Index] = set()
        self._times: dict[tuple[str, str], float | None] = {}
        self._backend = psutil.Process(self.connection.info.backend_pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def put_in_force(self, indexes: Iterable[Index]) -> None:
        """
        Build what is not there yet, and switch on *indexes* and nothing else of ours.
        """
        wanted = set(indexes)
        for index in wanted - set(self.sizes_bytes):
            self._build(index)
        for index in wanted ^ self._in_force:
            self.connection.execute(SWITCH, (index in wanted, *2 * (_at(index),)))
        self._in_force = wanted

    def _build(self, index: Index) -> None:
        began_s = time.perf_counter()
        self.connection.execute(create_at_once(index, name_of(index)).sql.encode())
        self.build_s[index] = time.perf_counter() - began_s
        if any(key.expression for key in index.columns):
            self.connection.execute(sql.SQL("analyze {}").format(sql.Identifier(index.schema, index.table)))
        row = self.connection.execute(TREE_SIZE, 2 * (_at(index),)).fetchone()
        assert row is not None
        self.sizes_bytes[index] = row[0]
        self._in_force.add(index)

    def drop(self) -> None:
        """
        Drop every index of ours.
        """
        for index in self.sizes_bytes:
            self.connection.execute(sql.SQL("drop index {}").format(sql.Identifier(index.schema, name_of(index))))
        self.sizes_bytes.clear()
        self._in_force.clear()

    def size_bytes(self, indexes: Iterable[Index]) -> int:
        """
        Return what *indexes*, built before, take together.
        """
        return sum(self.sizes_bytes[index] for index in indexes)

    def explain(self, statement: str) -> Plan:
        """
        Return the generic plan.
        """
        return explain(self.connection, statement)

    def time_s(self, timed: Timed, *, rounds: int, timeout_s: float) -> float | None:
        """
        Return the mean seconds of *rounds* executions after one that is not counted, None beyond *timeout_s*.

        Seconds are those of the server process on a processor: all data are in memory, and that it waits for a core
        is no index's doing.  One plan is timed once, whichever configuration it came from.
        """
        key = (timed.name, self._plan_of(timed))
        if key not in self._times:
            self._times[key] = self._time_s(timed, rounds, timeout_s)
        return self._times[key]

    def _plan_of(self, timed: Timed) -> str:
        rows = self._execute(b"explain (costs off, format json) " + timed.text.encode(), timed.values)
        return json.dumps(rows[0][0], sort_keys=True)

    def _time_s(self, timed: Timed, rounds: int, timeout_s: float) -> float | None:
        self.connection.execute("select set_config('statement_timeout', %s, false)", (f"{timeout_s:.0f}s",))
        try:
            self._execute(timed.text.encode(), timed.values)
            began_s = self._busy_s()
            for _ in range(rounds):
                self._execute(timed.text.encode(), timed.values)
            return (self._busy_s() - began_s) / rounds
        except psycopg.errors.QueryCanceled:
            return None
        finally:
            self.connection.execute("set statement_timeout = 0")

    def _busy_s(self) -> float:
        times = self._backend.cpu_times()
        return float(times.user + times.system)

    def _execute(self, text: bytes, values: Sequence[str]) -> list[tuple[Any, ...]]:
        # Raw: the text keeps its $n, and the server plans with the values.
        return psycopg.RawCursor(self.connection).execute(text, values).fetchall()


def name_of(index: Index) -> str:
    """
    Return the name under which *index* is built.
    """
    words = re.sub(r"\W+", "_", shown(index))[:40].strip("_").lower()
    return f"{PREFIX}{words}_{hashlib.blake2b(shown(index).encode(), digest_size=4).hexdigest()}"


def _at(index: Index) -> str:
    return sql.Identifier(index.schema, name_of(index)).as_string()
