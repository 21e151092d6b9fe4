"""
What asks a database for nothing takes what it takes where nobody else is about.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rung.steps.measure import Profile
from rung.steps.twin.pieces import pieces_of
from rung.steps.twin.recover import transactions
from rung.steps.twin.trivial import TYPICAL_MIN, is_trivial, without_waiting
from tests.strategies import FAST, HOME, SLOW, Row, Segment, profile


def own_s(made: Profile) -> np.ndarray:
    pieces = pieces_of(made)
    return without_waiting(made, pieces, transactions(made, pieces).number)


def committing(name: str, *, alone: int, in_company: int, waited_s: float) -> Profile:
    """
    Requests that end a transaction in 0.2 ms with nobody else about, and later in *waited_s* with somebody.
    """
    quick = [Row(float(n), 0.1, (Segment("query", 0.0, 0.01, name), Segment("commit", 0.05, 2e-4, "commit")))
             for n in range(alone)]  # fmt: skip
    late = [Row(100.0 + n, 0.1, (Segment("query", 0.0, 0.01, name), Segment("commit", 0.05, waited_s, "commit")))
            for n in range(in_company)]  # fmt: skip
    others = [Row(100.01 + n, 0.08, route=HOME) for n in range(in_company)]
    return profile([*quick, *late, *others])


@pytest.mark.parametrize(
    ("text", "trivial"),
    [
        ("BEGIN", True),
        ("rollback", True),
        ("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;", True),
        ("SET search_path TO $1", True),
        ("SELECT pg_sleep($1)", False),
        ("BEGIN; DELETE FROM t", False),
        ("", False),
    ],
)
def test_what_asks_for_nothing_is_known_by_its_text(text: str, trivial: bool) -> None:
    assert trivial == is_trivial(text)


def test_the_end_of_a_transaction_that_only_read_waits_for_nothing_of_the_database() -> None:
    """
    With somebody about it took 20 ms: that was no work of the server's.
    """
    made = committing(FAST, alone=20, in_company=20, waited_s=0.02)
    commits = made.segments.part == [part.seam for part in made.parts].index("commit")

    assert made.segments.own_s[commits].max() == pytest.approx(0.02)
    assert own_s(made)[commits] == pytest.approx(np.full(40, 2e-4))
    assert own_s(made)[~commits] == pytest.approx(made.segments.own_s[~commits])


def test_with_too_few_alone_nobody_knows_what_is_usual() -> None:
    made = committing(FAST, alone=TYPICAL_MIN - 1, in_company=20, waited_s=0.02)

    assert own_s(made) == pytest.approx(made.segments.own_s)


def test_a_commit_of_what_was_written_waits_for_a_disk() -> None:
    made = committing(SLOW, alone=20, in_company=20, waited_s=0.02)
    made = _of_kind(made, SLOW, "write")

    assert own_s(made) == pytest.approx(made.segments.own_s)


def _of_kind(made: Profile, name: str, kind: str) -> Profile:
    return replace(made, texts={**made.texts, name: replace(made.texts[name], kind=kind)})
