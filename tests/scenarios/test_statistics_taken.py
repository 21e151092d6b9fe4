"""
Stale statistics from the finding to the database: named, offered, written down, run, taken back, and named no more.

In        the recording of unindexed_lookup, and a real database whose orders have grown since they were analysed
Out       what each command of the loop prints and does about it
Not here  the words of a finding (test_scenarios.py), the move by itself (tests/moves/test_statistics.py)
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import psycopg
import pytest

from rung.surfaces.cli import main
from tests.scenarios.shapes import misfits

HERE = Path(__file__).parent


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("RUNG_", "PG")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(HERE / "unindexed_lookup", tmp_path / ".rung", ignore=shutil.ignore_patterns("expect_*", "answers"))
    return tmp_path


@pytest.fixture
def grown(database: str) -> str:
    """
    Orders that were 2,000 when they were analysed, and are 12,000.
    """
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "create table orders (id int primary key, customer_id int, total numeric, created_at timestamptz)"
            " with (autovacuum_enabled = false)"
        )
        # Found by an index, so that no other index is tried.
        connection.execute("create index on orders (customer_id, created_at)")
        connection.execute("insert into orders select n, n % 50, 1, now() from generate_series(1, 2000) n")
        connection.execute("analyze orders")
        connection.execute("insert into orders select n, n % 50, 1, now() from generate_series(2001, 12000) n")
    return database


def test_from_the_finding_to_the_database(grown: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--database", grown]
    assert main(["find", *asked]) == 0
    found = capsys.readouterr().out
    assert "Stale statistics: " in found
    assert "rung take statistics" in found

    assert main(["price", *asked]) == 0
    ladder = capsys.readouterr().out
    assert "analyze orders" in ladder
    assert "no price" in ladder

    assert main(["take", "statistics", "--apply", *asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert misfits(told, "take") == []
    assert told["statement"] == 'ANALYZE "public"."orders"'
    assert told["undo"] == ""
    assert told["applied"]["already"] is False
    assert (place / "rung" / "migrations" / "statistics-orders.sql").is_file()
    with psycopg.connect(grown) as connection:
        assert connection.execute("select reltuples from pg_class where relname = 'orders'").fetchone() == (12_000,)

    assert main(["find", *asked, "--fresh"]) == 0
    assert "statistics" not in capsys.readouterr().out
    assert main(["take", "statistics", "--undo", *asked]) == 0
    assert "Undone" in capsys.readouterr().out
