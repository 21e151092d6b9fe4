"""
Who holds what others wait for: at the head of a queue, with its route; who sits on a transaction, and who spills.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rung.adapters.collector.looks import program_of
from rung.adapters.recordings import ParquetRecording
from rung.steps.find import find
from rung.steps.find.finding import Finding
from rung.steps.find.notes import notes_on
from rung.steps.measure import Profile, measure
from rung.steps.measure.beside import Beside, Blocker, Executions, Idle, Locked
from rung.steps.twin.twin import Twin
from tests import tables
from tests.strategies import FAST, GOAL, HOME, ORDERS, SLOW, Row, answered, keep_recording, profile, shop

OF = {"database": "h:1/shop"}
MEGABYTE = 1024 * 1024


def told(made: Profile, what: str) -> str:
    finding: Finding = answered(find(made, Twin(made), GOAL))
    return next((evidence.text for evidence in finding.evidence if evidence.what == what), "")


@pytest.mark.parametrize(
    ("blocker", "said"),
    [
        (Blocker("DELETE FROM stock", "active", 9, FAST), f"behind DELETE FROM stock of {HOME}"),
        (Blocker("DELETE FROM stock", "active", 9, "none of the app's"), "behind DELETE FROM stock"),
        (Blocker("", "idle in transaction", 9, "", "psql"), "behind a transaction that is open and idle of psql"),
        (Blocker("", "", 9), "behind a connection of which nothing is known"),
    ],
)
def test_the_holder_is_named_with_its_route(blocker: Blocker, said: str) -> None:
    made = replace(profile(shop()), beside=Beside(locks={SLOW: Locked(60, 30, (blocker,), at_once=7)}))
    assert told(made, "lock").endswith(f"{said}; up to 7 connections waited at once")


def measured(folder: Path, **beside: list[tuple[Any, ...]]) -> Profile:
    rows = [Row(0.0, 1.0, route=ORDERS), Row(2.0, 8.0, route=HOME)]
    keep_recording(folder / "kept", rows, **beside)
    recording = ParquetRecording(folder / "kept")
    made: Profile = answered(measure(), lambda question: getattr(recording, question.verb)(question))
    return made


def statements() -> list[tuple[Any, ...]]:
    return [
        tables.row("statement_totals", **OF, at_s=1.0, query_id=5, calls=0, total_s=0.0),
        tables.row(
            "statement_totals", **OF, at_s=2.0, query_id=5, statement=SLOW, text="SELECT 5", calls=4, total_s=1.0,
            rows=80, temporary_blocks=1024,
        ),
        tables.row(
            "statement_totals", **OF, at_s=2.0, query_id=6, statement=FAST, text="SELECT 6", calls=2, total_s=0.1,
        ),
    ]  # fmt: skip


def test_of_a_queue_the_head_is_in_the_way(tmp_path: Path) -> None:
    """
    Three wait in line, each for the one before; the first of them waits for who is idle.
    """
    waits = {"state": "active", "query_id": 5, "wait_type": "Lock"}
    looks = [
        tables.row("activity", **OF, at_s=1.0, pid=9, state="idle in transaction", query_id=6, application="psql"),
        tables.row("activity", **OF, at_s=1.0, pid=1, **waits, blocked_by="9"),
        tables.row("activity", **OF, at_s=1.0, pid=2, **waits, blocked_by="1"),
        tables.row("activity", **OF, at_s=1.0, pid=3, **waits, blocked_by="1,2"),
    ]
    locked = measured(tmp_path, statement_totals=statements(), activity=looks).beside.locks[SLOW]
    assert locked == Locked(3, 3, (Blocker("SELECT 6", "idle in transaction", 3, FAST, "psql"),), at_once=3)


def test_a_circle_ends(tmp_path: Path) -> None:
    """
    Before the server breaks a deadlock a look may see it.
    """
    waits = {"state": "active", "query_id": 5, "wait_type": "Lock"}
    looks = [
        tables.row("activity", **OF, at_s=1.0, pid=1, **waits, blocked_by="2"),
        tables.row("activity", **OF, at_s=1.0, pid=2, **waits, blocked_by="3"),
        tables.row("activity", **OF, at_s=1.0, pid=3, **waits, blocked_by="1"),
    ]
    locked = measured(tmp_path, statement_totals=statements(), activity=looks).beside.locks[SLOW]
    assert (locked.waiting, locked.blockers, locked.at_once) == (3, (), 3)


def test_transactions_that_stay_idle_are_told_by_what_they_ran_last(tmp_path: Path) -> None:
    """
    One of 8 s and one of 2 s, each by its connection and its beginning.
    """
    looks = [
        tables.row(
            "activity", **OF, at_s=10.0 + second, pid=9, state="idle in transaction", query_id=6,
            transaction_s=0.5 + second,
        )
        for second in range(9)
    ] + [
        tables.row(
            "activity", **OF, at_s=30.0 + second, pid=9, state="idle in transaction (aborted)", query_id=5,
            transaction_s=0.5 + second,
        )
        for second in range(3)
    ]  # fmt: skip
    made = measured(tmp_path, statement_totals=statements(), activity=looks)
    assert made.beside.idle == (Idle(FAST, "SELECT 6", "", 1, 9, 8.0), Idle(SLOW, "SELECT 5", "", 1, 3, 2.0))
    said = "A transaction was open and idle for up to 8 s or more after SELECT 6: locks are kept as long, and"
    assert [note[: len(said)] for note in notes_on(made, GOAL, ()) if "idle" in note] == [said]


def test_short_ones_are_nobodys_trouble() -> None:
    made = replace(profile(shop()), beside=Beside(idle=(Idle(FAST, "SELECT 6", "", 9, 9, 1.0),)))
    assert notes_on(made, GOAL, ()) == ()
    several = replace(made, beside=Beside(idle=(Idle(FAST, "SELECT 6", "", 3, 90, 60.0),)))
    (note,) = notes_on(several, GOAL, ())
    assert note.startswith("3 transactions were open and idle for up to 60 s or more after SELECT 6 of GET /")


def test_what_goes_to_disk_is_counted_by_statement(tmp_path: Path) -> None:
    made = measured(tmp_path, statement_totals=statements())
    (slow,) = (each for each in made.beside.executions if each.statement == SLOW)
    assert (slow.calls, slow.rows, slow.temporary_bytes) == (4, 80, 8 * MEGABYTE)


@pytest.mark.parametrize(("each_bytes", "told_so"), [(2 * MEGABYTE, True), (8_192, False), (0, False)])
def test_a_bottleneck_that_spills_says_how_much(each_bytes: int, told_so: bool) -> None:
    counted = Executions(SLOW, "h:1/shop", 300, 9.0, temporary_bytes=300 * each_bytes)
    made = replace(profile(shop()), beside=Beside(executions=(counted,)))
    said = "sorts or hashes on disk: 2 MB of temporary files an execution (n = 300); rung explain 51051051 --analyze"
    assert told(made, "spill").startswith(said) is told_so


def test_who_writes_most_to_disk_is_noted_also_where_it_is_no_bottleneck() -> None:
    counted = Executions(FAST, "h:1/shop", 100, 1.0, temporary_bytes=300 * MEGABYTE)
    made = replace(profile(shop()), beside=Beside(executions=(counted,)))
    (note,) = notes_on(made, GOAL, ())
    assert note.startswith(
        "300 MB of temporary files were written by SELECT * FROM customers WHERE id = $1  [fa57fa57]"
    )
    little = replace(made, beside=Beside(executions=(replace(counted, temporary_bytes=MEGABYTE),)))
    assert notes_on(little, GOAL, ()) == ()


@pytest.mark.parametrize(
    ("application", "program"),
    [
        ("psql", "psql"), ("pgAdmin 4 - DB:shop", "pgAdmin"), ("DBeaver 24.1 - Main <ann@example.org>", "DBeaver"),
        ("ann@example.org", None), ("", None), (None, None), ("my psql", None),
    ],
)  # fmt: skip
def test_only_well_known_programs_are_named(application: str | None, program: str | None) -> None:
    """
    An application may call itself by a user's name, which is a value.
    """
    assert program_of(application) == program
