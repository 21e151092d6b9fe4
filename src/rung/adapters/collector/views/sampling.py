"""
Take over what the collector samples beside the app: the host, its programs, the database.

In        rows of the tables that SAMPLED names (steps/record.py), as they are sampled
Out       values in the registry
Not here  sampling (hosts.py, databases.py)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rung.adapters.collector.views.registry import Registry
from rung.adapters.collector.views.table import DATABASE
from rung.steps.record import SAMPLED

Row = tuple[Any, ...]

_USED = {"busy_s": "busy", "niced_s": "nice", "iowait_s": "iowait", "steal_s": "steal", "pressure_s": "pressure"}
_COUNTED = {
    "commits": "postgresql.commits", "rollbacks": "postgresql.rollbacks", "blocks_read": "postgresql.blks_read",
    "blocks_hit": "postgresql.blks_hit", "temporary_bytes": "postgresql.temp.io", "deadlocks": "postgresql.deadlocks",
    "connections": "postgresql.backends", "connections_max": "postgresql.connection.max",
}  # fmt: skip


class Taker:
    """
    Turns sampled rows into values.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._tables: Mapping[str, Callable[[list[dict[str, Any]]], None]] = {
            "hosts": self._hosts, "programs": self._programs, "databases": self._databases, "activity": self._activity,
        }  # fmt: skip

    def sample(self, table: str, rows: Sequence[Row]) -> None:
        """
        Take rows of one table; of one that tells no metric nothing is taken.
        """
        take = self._tables.get(table)
        if take is not None and rows:
            names = [name for name, _ in SAMPLED[table]]
            with self._registry.lock:
                take([dict(zip(names, row, strict=True)) for row in rows])

    def _hosts(self, rows: list[dict[str, Any]]) -> None:
        put, add = self._registry.put, self._registry.add
        for row in rows:
            host = self._registry.bounded("host.name", row["host"])
            for name, state in _USED.items():
                if row[name] is not None:
                    add("rung.host.cpu.time", (host, state), row[name])
            if row["lasted_s"] > 0:
                put("system.cpu.utilization", (host,), min(1.0, row["busy_s"] / (row["lasted_s"] * row["cores"])))
            put("system.cpu.logical.count", (host,), row["cores"])
            put("rung.host.load", (host,), row["load"])
            put("system.memory.limit", (host,), row["memory_bytes"])
            put("system.memory.usage", (host, "used"), row["memory_used_bytes"])
            put("system.memory.usage", (host, "free"), row["memory_bytes"] - row["memory_used_bytes"])

    def _programs(self, rows: list[dict[str, Any]]) -> None:
        held: dict[tuple[str, str], int] = {}
        for row in rows:
            labels = (self._registry.bounded("host.name", row["host"]), row["role"])
            self._registry.add("rung.program.cpu.time", labels, row["cpu_s"])
            held[labels] = held.get(labels, 0) + row["rss_bytes"]
        self._registry.forget("rung.program.memory")
        for labels, size_bytes in held.items():
            self._registry.put("rung.program.memory", labels, size_bytes)

    def _databases(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            name = self._name(row["database"])
            for column, metric in _COUNTED.items():
                if row[column] is not None:
                    self._registry.put(metric, (name,), row[column])
            # Who is active is looked at right behind, and where nobody is no row comes.
            self._registry.forget("rung.database.sessions")
            self._registry.forget("rung.database.transaction.age")

    def _activity(self, rows: list[dict[str, Any]]) -> None:
        ages_s: dict[str, float] = {}
        for row in rows:
            name = self._name(row["database"])
            labels = (name, row["state"] or "", row["wait_type"] or "")
            self._registry.add("rung.database.sessions", labels)
            ages_s[name] = max(ages_s.get(name, 0.0), row["transaction_s"] or 0.0)
        for name, age_s in ages_s.items():
            self._registry.put("rung.database.transaction.age", (name,), age_s)

    def _name(self, database: str) -> str:
        return self._registry.bounded(DATABASE, database.rpartition("/")[2])
