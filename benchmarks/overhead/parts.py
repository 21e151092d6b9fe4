"""
What each part of a request costs the recorder: a request, a segment, a digest, a cell of a digested result.

Each part is told twice: in a tight loop around an ASGI app of a few lines, where the recorder has the caches to itself,
and between the steps of an app of FastAPI's.  Both have stubs in place of drivers (stub_app.py), so that nothing but
the part differs; a part that a request has many of is the difference of two requests by how many.

In        processes of the stub apps
Out       Part: seconds of the app's own thread, and of all threads with encoding and sending
Not here  whole requests with a real driver (rounds.py)
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.overhead.processes import Process, side_by_side
from benchmarks.overhead.rounds import Plan, Round, Spread, pair, spread

PLACES = {"tight": "tight loop", "statements": "between the steps of an app"}
NAMES = ("bare", "rung-idle", "rung-plain", "rung-digests")
UNREAD = 1  # a number of cells that the stubs have no result of: the key alone is digested
SEGMENTS = 11
READS = 10


@dataclass(frozen=True, slots=True)
class Part:
    """
    One part: CPU of the app's thread, the median of its rounds; and of the whole process, over all rounds together.
    """

    name: str
    place: str
    rounds: int
    thread_s: Spread
    process_s: float


@dataclass(frozen=True, slots=True)
class Asked:
    """
    Which two processes are asked for what.
    """

    bare: str
    mine: str
    count: int
    driver: str = "asyncpg"
    cells: int = 0

    def path(self, place: str) -> str:
        """
        Return the path that asks for it in *place*.
        """
        return f"/{place}/{self.count}/{self.driver}/{self.cells}"


def _wanted() -> dict[str, tuple[Asked, Asked | None, int]]:
    """
    Return for each part what has it, what is the same without it, and how many of it the first has more.
    """
    one = Asked("bare", "rung-plain", 1)
    wanted: dict[str, tuple[Asked, Asked | None, int]] = {
        "idle, a request with one statement": (Asked("bare", "rung-idle", 1), None, 1),
        "a request without a segment": (replace(one, count=0), None, 1),
        "a request with one segment": (one, None, 1),
        "a further segment, asyncpg": (replace(one, count=SEGMENTS), one, SEGMENTS - 1),
    }
    psycopg = replace(one, driver="psycopg")
    wanted["a further segment, psycopg 3"] = (replace(psycopg, count=SEGMENTS), psycopg, SEGMENTS - 1)
    key = Asked("rung-plain", "rung-digests", READS, "psycopg", UNREAD)
    wanted["a sampled key's digest"] = (key, None, READS)
    for driver, shown in (("asyncpg", "asyncpg"), ("psycopg", "psycopg 3")):
        empty = replace(key, driver=driver, cells=0)
        for cells in (100, 1_000):
            name = f"a result's digest, a cell of {cells:,}, {shown}"
            wanted[name] = (replace(empty, cells=cells), empty, READS * cells)
    return wanted


def measure(environment: Mapping[str, str], folder: Path, plan: Plan) -> list[Part]:
    """
    Return every part in both places.
    """
    parts: list[Part] = []
    with side_by_side(NAMES, "stub", "none", environment, folder, []) as processes:
        for place, shown in PLACES.items():
            measured: dict[Asked, list[Round]] = {}
            for name, (mine, without, times) in _wanted().items():
                for asked in (mine, without):
                    if asked is not None and asked not in measured:
                        measured[asked] = _measured(processes, asked, place, plan)
                parts.append(_part(name, shown, measured[mine], measured[without] if without else None, times))
    return parts


def _measured(processes: Mapping[str, Process], asked: Asked, place: str, plan: Plan) -> list[Round]:
    return pair(processes[asked.bare], processes[asked.mine], asked.path(place), plan, flush=True)


def _part(name: str, place: str, rounds: list[Round], without: list[Round] | None, times: int) -> Part:
    thread_s = [(row.mine_thread_s - row.bare_thread_s) / row.requests for row in rounds]
    process_s = _process_s(rounds)
    if without is not None:
        less_s = statistics.median((row.mine_thread_s - row.bare_thread_s) / row.requests for row in without)
        thread_s = [value - less_s for value in thread_s]
        process_s -= _process_s(without)
    return Part(name, place, len(rounds), spread([value / times for value in thread_s]), process_s / times)


def _process_s(rounds: list[Round]) -> float:
    return sum(row.mine_s - row.bare_s for row in rounds) / sum(row.requests for row in rounds)
