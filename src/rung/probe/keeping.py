"""
What of the finished requests is kept whole, and what the recorder gives up so that the app does not notice it.

Below the budget everything is kept.  Above it windows of time open (windows.py); what lies outside is counted, and
the slow and the failed of it are kept as exemplars, a few each second.

In        finished rows; once a second what the process and the recorder used
Out       `state.level`, `state.depth`, `state.shed`; rows of totals in the order of frames.Total
Not here  when a window is open (windows.py), what is given up next (guard.py), sending (sender.py)
"""

from __future__ import annotations

import os
import threading
from time import monotonic, process_time, thread_time

from rung.probe import core, guard, reads, sketch, windows
from rung.probe.state import LINES_PER_S_MAX

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from typing import Any

BUDGET_PER_S = 5_000.0  # requests and segments that one process keeps
READS_PER_S_MAX = 200  # digests that one process keeps
SLOW_S = 1.0
EXEMPLARS_PER_S_MAX = 2
SECOND_S = 1.0
TOTALS_MAX = 2_000  # of routes, methods, statuses within a minute; what comes after goes to one row
STATEMENT_BYTES = 600


class Keeper:
    """
    The recorder's household: called by the app's threads for each row, by the sender once a second.
    """

    def __init__(self) -> None:
        self._guard = guard.Guard()
        self._lock = threading.Lock()
        self._budget_per_s = _budget_per_s()
        self._exemplars = 0
        self._unkept = 0
        self._totals: dict[tuple[float, str, str, int], list[Any]] = {}
        self._at_s = monotonic()
        self._process_s, self._thread_s = process_time(), 0.0
        self.requests = self.segments = self.reads = 0  # kept in this second

    def whole(self, row: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """
        Return *row* if it is kept whole, as an exemplar or as it is; one that is in no window is counted.
        """
        arrived_s, duration_s = row[core.ARRIVED], row[core.DURATION]
        if windows.overlaps(arrived_s, arrived_s + duration_s, core.state.level):
            return row
        with self._lock:
            self._unkept += 1 + len(row[core.SEGMENTS]) // core.SEGMENT_BYTES
            if row[core.KIND] != "background":  # it has its request's route, and would count as one more
                self._count(row, arrived_s - arrived_s % windows.MINUTE_S, duration_s)
            noteworthy = row[core.STATUS] >= 500 or duration_s >= SLOW_S
            if not noteworthy or self._exemplars >= EXEMPLARS_PER_S_MAX:
                return None
            self._exemplars += 1
        return (*row[: core.EXEMPLAR], True, *row[core.EXEMPLAR + 1 :])

    def _count(self, row: tuple[Any, ...], from_s: float, duration_s: float) -> None:
        key = (from_s, row[core.ROUTE], row[core.METHOD], row[core.STATUS])
        total = self._totals.get(key)
        if total is None:
            if len(self._totals) >= TOTALS_MAX:
                key = (from_s, core.UNMATCHED, "", 0)
            total = self._totals.setdefault(key, [0, 0.0, 0.0, {}])
        total[0] += 1
        total[1] += duration_s
        total[2] += row[core.CPU]
        sketch.add(total[3], duration_s)

    def totals(self) -> list[tuple[Any, ...]]:
        """
        Return what was counted since the last call.
        """
        with self._lock:
            counted, self._totals = self._totals, {}
        return [
            (*key, requests, duration_s, cpu_s, sketch.rows(bins))
            for key, (requests, duration_s, cpu_s, bins) in counted.items()
        ]

    def second(self) -> str | None:
        """
        Take the time since the last call into account; return what is to be said of it, once.
        """
        now_s, process_s, thread_s = monotonic(), process_time(), thread_time()
        lasted_s = max(now_s - self._at_s, SECOND_S)  # what came at once is no rate
        state = core.state
        said = self._guard.judge(
            process_cpu_s=(process_s - self._process_s) / lasted_s,
            thread_cpu_s=(thread_s - self._thread_s) / lasted_s,
            requests=round(self.requests / lasted_s),
            segments=round((self.segments + self._unkept) / lasted_s),
            lines=round(state.lines_seen / lasted_s),
            memory_bytes=state.held_bytes + len(state.statements_known) * STATEMENT_BYTES
            + len(state.lines) * core.LINE_BYTES,
        )  # fmt: skip
        state.shed = self._guard.level
        rate_per_s = (self.requests + self.segments + self._unkept) / lasted_s
        state.level = windows.level_for(rate_per_s, self._budget_per_s, state.level)
        state.keep_whole = self.whole if state.level else None
        if self.reads / lasted_s > READS_PER_S_MAX and state.depth < reads.DEPTH_MAX:
            state.depth += 1
        state.lines_left, state.lines_seen = LINES_PER_S_MAX, 0
        self._at_s, self._process_s, self._thread_s = now_s, process_s, thread_s
        self.requests = self.segments = self.reads = self._unkept = self._exemplars = 0
        return said


def _budget_per_s() -> float:
    try:
        return float(os.environ.get("RUNG_BUDGET", "")) or BUDGET_PER_S
    except ValueError:
        return BUDGET_PER_S
