"""
A PostgreSQL 18 with millions of rows on which statements are timed by the server itself.

In        a folder, which keeps the data from one run to the next; how large they are
Out       processor seconds, rows and buffers of a statement; a restart in between
Not here  which statements (cases.py), what is made of the figures (judged.py)

An execution's time is the processor's, which the server itself reads from the kernel around each run of its executor
and its planner (log_executor_stats, log_planner_stats): on a machine that is busy with other work a clock on the wall
tells nothing of what takes more than a slice of time.  Of each vector of values the shortest third of some executions
counts, since caches that others have emptied can only lengthen one; over vectors the mean, which is what the app pays.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

from rung import clock
from rung.adapters.cluster import Cluster, start

SETTINGS = {
    "shared_buffers": "2GB",  # all of it is warm once it was read
    "autovacuum": "off",
    "fsync": "off",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    # One execution, one core: what runs beside it is not this benchmark's question.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "max_parallel_maintenance_workers": "0",
    "maintenance_work_mem": "512MB",
}
SHOP = Path(__file__).with_name("shop.sql")
TABLES = ("accounts", "products", "orders", "lines", "events")
VECTORS = 5
TIMES_MAX, TIMED_S = 12, 0.1
COUNTED = """
select rows::float8 / calls, shared_blks_hit::float8 / calls, shared_blks_read::float8 / calls
from pg_stat_statements where query not like '%pg_stat_statements%' and calls = {} order by total_exec_time desc limit 1
"""
USED = re.compile(r"(\d+\.\d+) s user, (\d+\.\d+) s system")
EXECUTOR, PLANNER = "EXECUTOR STATISTICS", "PLANNER STATISTICS"
STATISTICS = (
    "set client_min_messages = log",
    "set log_min_messages = panic",
    "set log_executor_stats = on",
    "set log_planner_stats = on",
)
NAMES = ("exec_s", "plan_s", "rows", "hit", "read")


class Stage(AbstractContextManager["Stage"]):
    """
    The server, and one connection to it that prepares nothing.
    """

    def __init__(self, folder: Path, scale: float) -> None:
        self.folder, self.scale = folder, scale
        self.told: list[tuple[str, float]] = []
        self.values: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
        self.server: Cluster
        self.connection: psycopg.Connection[Any]

    def __enter__(self) -> Self:
        self._begin()
        made = self.connection.execute("select to_regclass('public.events') is not null").fetchone()
        if made is None or not made[0]:
            self._fill()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.server.stop()

    def remove(self) -> None:
        """
        Delete the server's data, wherever it put them.
        """
        self.server.remove()

    @property
    def dsn(self) -> str:
        """
        Where it is; another port after each restart.
        """
        return self.server.dsn()

    def restart(self) -> None:
        """
        End the server and start it again: shared buffers are empty then, the system's cache of files is not.
        """
        self.connection.close()
        self.server.stop()
        self._begin()

    def vectors(self, query: str, count: int = VECTORS) -> list[tuple[Any, ...]]:
        """
        Return rows of values that *query* has, the same each time; one without values for none.
        """
        if not query:
            return [()]
        if (query, count) not in self.values:
            self.connection.execute("select setseed(0.314)")
            self.values[query, count] = self.connection.execute(
                sql.SQL("select * from ({}) v order by random() limit {}").format(sql.SQL(query), sql.Literal(count))
            ).fetchall()
        return self.values[query, count]

    def timed(self, text: str, vectors: Sequence[tuple[Any, ...]], *, once: bool = False) -> dict[str, float]:
        """
        Return what an execution of *text* takes, warm, or *once* as things stand.
        """
        if once:
            # What a new backend has to learn of the catalog is no execution's time.
            self._run("explain " + text, vectors[0])
        found = [self._counted(text, values, once=once) for values in vectors]
        return {name: statistics.fmean(row[place] for row in found) for place, name in enumerate(NAMES)}

    def _counted(self, text: str, values: tuple[Any, ...], *, once: bool) -> tuple[float, ...]:
        times = 1
        if not once:
            begun_s = clock.monotonic_s()
            self._run(text, values)
            took_s = max(clock.monotonic_s() - begun_s, 1e-6)
            times = max(min(round(TIMED_S / took_s), TIMES_MAX), 2)
        self.connection.execute("select pg_stat_statements_reset()")
        used: dict[str, list[float]] = {EXECUTOR: [], PLANNER: []}
        for _ in range(times):
            self.told.clear()
            self._run(text, values)
            for title, seconds in self.told:
                used[title].append(seconds)
        row = self.connection.execute(sql.SQL(COUNTED).format(sql.Literal(times))).fetchone()
        assert row is not None, f"the server did not count {times} executions of {text}"
        return (*(shortest_third(used[title]) for title in (EXECUTOR, PLANNER)), *map(float, row))

    def _run(self, text: str, values: tuple[Any, ...]) -> None:
        psycopg.RawCursor(self.connection).execute(text.encode(), values or None).fetchall()

    def _begin(self) -> None:
        self.server = start(self.folder, settings=SETTINGS)
        self.connection = psycopg.connect(self.dsn, autocommit=True, prepare_threshold=None)
        self.connection.execute("create extension if not exists pg_stat_statements")
        self.connection.add_notice_handler(self._hear)
        for setting in STATISTICS:
            self.connection.execute(setting.encode())

    def _hear(self, said: psycopg.errors.Diagnostic) -> None:
        found = USED.search(said.message_detail or "")
        if found is not None and said.message_primary in {EXECUTOR, PLANNER}:
            self.told.append((said.message_primary, float(found[1]) + float(found[2])))

    def _fill(self) -> None:
        for statement in SHOP.read_text().split(";\n"):
            if statement.strip():
                self.connection.execute(sql.SQL(statement).format(scale=sql.Literal(self.scale)))
        for table in TABLES:
            self.connection.execute(sql.SQL("vacuum (freeze, analyze) {}").format(sql.Identifier(table)))


def shortest_third(times_s: Sequence[float]) -> float:
    """
    Return the mean of the shortest third of *times_s*.

    >>> shortest_third([3.0, 1.0, 2.0, 9.0, 9.0, 9.0])
    1.5
    """
    kept = sorted(times_s)[: max(-(-len(times_s) // 3), 1)]
    return statistics.fmean(kept)
