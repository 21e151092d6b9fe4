"""
The command line of the benchmark: `python -m benchmarks.repeats [--json] [--quick]`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from typing import Any

import psycopg
from django import get_version

from rung import __version__, clock
from rung.adapters import cluster
from rung.units import show_seconds

STATEMENTS = (30, 300)
ROWS = 300


class Page:
    """
    A page's process, and how to ask it.
    """

    def __init__(self, name: str, dsn: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.repeats.page", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "DATABASE_URL": dsn},
        )  # fmt: skip

    def cpu_s(self, pages: int, statements: int) -> float:
        """
        Return CPU seconds per page.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"pages": pages, "statements": statements}) + "\n")
        self._process.stdin.flush()
        return float(json.loads(self._process.stdout.readline())["cpu_s"]) / pages

    def close(self) -> None:
        """
        End the process.
        """
        self._process.communicate()


def measured(bare: Page, recorded: Page, *, statements: int, rounds: int, bursts: int) -> dict[str, Any]:
    """
    Return medians over *rounds* of CPU seconds per page, and of the differences within a round.
    """
    pages = max(2, 300 // statements)
    bare.cpu_s(pages, statements), recorded.cpu_s(pages, statements)
    plain_s, added_s = [], []
    for number in range(rounds):
        sums_s = {bare: 0.0, recorded: 0.0}
        for burst in range(bursts):
            for page in (bare, recorded) if (number + burst) % 2 else (recorded, bare):
                sums_s[page] += page.cpu_s(pages, statements) / bursts
        plain_s.append(sums_s[bare])
        added_s.append(sums_s[recorded] - sums_s[bare])
    low_s, middle_s, high_s = statistics.quantiles(added_s, n=4)
    return {
        "statements": statements, "rounds": rounds, "bare_s": statistics.median(plain_s), "added_s": middle_s,
        "added_s_low": low_s, "added_s_high": high_s, "share": middle_s / statistics.median(plain_s),
    }  # fmt: skip


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.repeats")
    parser.add_argument("--quick", action="store_true", help="a few short rounds")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rounds, bursts = (5, 4) if asked.quick else (15, 10)
    begun_s = clock.now_s()
    with cluster.start_passing() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE benchmark_product (id bigint PRIMARY KEY, name text NOT NULL)")
            connection.execute(
                "INSERT INTO benchmark_product SELECT n, 'product ' || n FROM generate_series(1, %s) n", (ROWS,)
            )
            connection.execute("VACUUM ANALYZE benchmark_product")
        bare, recorded = Page("bare", server.dsn()), Page("recorded", server.dsn())
        try:
            figures = [measured(bare, recorded, statements=n, rounds=rounds, bursts=bursts) for n in STATEMENTS]
        finally:
            bare.close()
            recorded.close()
    facts = {
        "benchmark": "repeats", "date": clock.stamp(begun_s), "rung": __version__, "django": get_version(),
        "psycopg": psycopg.__version__, "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}", "layout": "in process, one thread",
    }  # fmt: skip
    if asked.json:
        print(json.dumps({**facts, "pages": figures}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print("\n| statements | bare | added by recording (quartiles) | share |\n|--:|--:|--:|--:|")
    for row in figures:
        added = " to ".join(show_seconds(max(row[name], 0.0)) for name in ("added_s_low", "added_s_high"))
        print(
            f"| {row['statements']} | {show_seconds(row['bare_s'])} | {show_seconds(row['added_s'])} ({added}) "
            f"| {row['share']:.1%} |"
        )


if __name__ == "__main__":
    main()
