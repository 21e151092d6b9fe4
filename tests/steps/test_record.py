"""
Frames become columns, and a frame that cannot be true is refused whole.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from rung.frames import FORMAT, Batch, FrameRefused, Hello, Place, Read, Request, Statement
from rung.steps.record import TABLES, Intake, columns
from tests.probe import rows

HELLO = Hello(FORMAT, "0.1.0", "h", "i", 7, "3.11", {}, 1.0)
PART = rows.segment(duration_s=0.5, rows=3)


def request(**changed: object) -> Request:
    return Request(**{**rows.PLAIN, "segments": PART, **changed})


def batch(*requests: Request, statements: tuple[Statement, ...] = ()) -> Batch:
    return Batch(list(requests), list(statements), [Place(*rows.PLACE)], [], [], [], {"dropped": 3}, {})


def test_rows_become_columns_of_the_tables_types() -> None:
    intake = Intake()
    process = intake.hello(HELLO)
    read = Read(0, 77, 2, 78, 6)
    known = Statement("h:1/d", "f", "select 1", "read")
    intake.batch(process, batch(request(), request(request=2, queue_s=0.25, reads=[read]), statements=(known, known)))
    taken = {made.table: made for made in intake.take()}
    made_rows = {name: made.rows for name, made in taken.items()}
    assert {"requests": 2, "segments": 2, "reads": 1, "statements": 1} == made_rows
    for name, made in taken.items():
        assert [column for column, _ in TABLES[name]] == list(made.columns)
    assert [True, False] == list(np.ma.getmaskarray(taken["requests"].columns["queue_s"]))
    assert [] == intake.take()
    assert 3 == intake.dropped


def test_an_empty_table_has_its_columns() -> None:
    for table, described in TABLES.items():
        made = columns(table, ())
        assert 0 == made.rows
        assert [name for name, _ in described] == list(made.columns)


@pytest.mark.parametrize(
    "changed",
    [
        {"duration_s": -1.0},
        {"cpu_s": math.nan},
        {"arrived_s": math.inf},
        {"status": 40_000},
        {"segments": PART[:-1]},
        {"segments": rows.segment(place=7)},
        {"segments": rows.segment(duration_s=-0.5)},
        {"segments": rows.segment(start_s=math.nan)},
        {"segments": rows.segment(calls=0)},
        {"kind": "nonsense"},
        {"first_byte_s": -1.0},
        {"trace": "g" * 32},
        {"caller": "0" * 15},
    ],
)
def test_what_cannot_be_true_is_refused_whole(changed: dict[str, object]) -> None:
    intake = Intake()
    process = intake.hello(HELLO)
    with pytest.raises(FrameRefused):
        intake.batch(process, batch(request(), request(**changed)))
    assert [] == intake.take()
    assert 0 == intake.requests_total
