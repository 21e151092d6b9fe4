"""
A lock that a real server saw, from the sampler through a recording to the profile: who waits, and behind whom.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import psycopg

from rung.adapters.collector.databases import DatabaseSampler
from rung.adapters.recordings import ParquetRecording
from rung.probe.statement import normalised
from rung.steps.measure import measure
from rung.steps.measure.beside import Blocker
from rung.steps.record import SAMPLED
from tests.probe.serving import PATIENCE_S
from tests.strategies import Row, answered, keep_recording

HOLDING = "update stock set pieces = 0 where id = 1"
WAITING = "update stock set pieces = pieces - 1 where id = 1"


def test_a_statement_that_waits_is_joined_to_the_one_in_its_way(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements")
        connection.execute("create table stock (id int primary key, pieces int)")
        connection.execute("insert into stock values (1, 5)")
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in SAMPLED}
    sampler = DatabaseSampler(database, say=lambda _: None)
    place = [name for name, _ in SAMPLED["activity"]].index("blocked_by")

    def gathered(table: str, wanted: int | None = None) -> bool:
        for name, found in sampler.taken():
            rows[name] += found
        return any(wanted is None or row[wanted] for row in rows[table])

    sampler.start()
    try:
        # A statement's text is asked for when it has run since the first look.
        _wait_for(lambda: gathered("statement_totals"))
        with psycopg.connect(database) as holder, psycopg.connect(database, autocommit=True) as waiter:
            holder.execute(HOLDING)
            waiting = threading.Thread(target=waiter.execute, args=(WAITING,), daemon=True)
            waiting.start()
            _wait_for(lambda: gathered("activity", place))
            holder.rollback()
            waiting.join(PATIENCE_S)
    finally:
        sampler.end(PATIENCE_S)
    gathered("activity")

    keep_recording(tmp_path / "kept", [Row(0.0, 1.0)], **rows)
    recording = ParquetRecording(tmp_path / "kept")
    made = answered(measure(), lambda question: getattr(recording, question.verb)(question))
    locked = made.beside.locks[normalised(WAITING).fingerprint]
    assert locked.waiting >= 1
    holding = normalised(HOLDING)
    assert locked.blockers == (Blocker(holding.text, "idle in transaction", locked.waiting, holding.fingerprint),)
    assert made.beside.idle[0].statement == holding.fingerprint


def _wait_for(what: Any) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.02)
