"""
A loop is told from an N+1 by what it does, where nothing proves that it goes through rows.
"""

from __future__ import annotations

import numpy as np
import pytest

from rung.steps.find.repeats import MANY, PAGES, SAME, WRITES, one_by_one, repeats_of, why_not

BY_ID = "SELECT product.id FROM product WHERE product.id = $1::BIGINT"
KEYSET = "SELECT id, name FROM event WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BY_ID, ""),
        (KEYSET, PAGES),
        ('SELECT "event"."id" FROM "event" WHERE "event"."id" > $1 ORDER BY "event"."id" ASC LIMIT $2', PAGES),
        ("SELECT id FROM event WHERE (at, id) < ($1, $2) ORDER BY at DESC, id DESC LIMIT $3", PAGES),
        ("SELECT id FROM event ORDER BY name LIMIT $1 OFFSET $2", PAGES),
        ("SELECT id FROM event WHERE at > $1 ORDER BY at FETCH FIRST $2 ROWS ONLY", PAGES),
        # The latest of each: by what it is looked up, it is not ordered.
        ("SELECT id FROM review WHERE product_id = $1 ORDER BY day DESC LIMIT $2", ""),
        ("SELECT id FROM review WHERE product_id = $1 AND stars > $2 ORDER BY day DESC LIMIT $3", ""),
        ("SELECT id FROM product WHERE id IN ($1 /*, ... */)", MANY),
        ("SELECT id FROM product WHERE id = ANY($1)", MANY),
        ("SELECT id FROM product WHERE id = ANY(CAST($1 AS bigint[]))", MANY),
        ("SELECT count(*) FROM product", SAME),
        ("SELECT this is no (SQL WHERE id = $1 LIMIT $2", ""),
    ],
)
def test_what_a_loop_does(text: str, reason: str) -> None:
    assert reason == why_not(text, "read", exact=False, same=False)


def test_one_for_each_row_is_proof_and_writing_is_something_else() -> None:
    assert "" == why_not(KEYSET, "read", exact=True, same=True)
    assert SAME == why_not(BY_ID, "read", exact=False, same=True)
    assert WRITES == why_not("UPDATE product SET name = $1 WHERE id = $2", "write", exact=True, same=False)


def rows(**changed: object) -> dict[str, np.ndarray]:
    """
    Return one row as repeats.sql gives it.
    """
    row = {
        "route": "GET /", "statement": "5" * 16, "text": BY_ID, "kind": "read", "database": "d", "code": "a.py:1",
        "calls": 8, "requests": 40, "spent_s": 1.0, "source": "", "source_code": "", "source_rows": 0,
        "one_for_each": 0, "digested": 0, "same": 0, "asking": 40, **changed,
    }  # fmt: skip
    return {name: np.array([value], dtype=object) for name, value in row.items()}


def test_most_requests_have_to_agree() -> None:
    """
    A poll that happened to look as often as there were rows before it, in one request of many, is still a poll.
    """
    (poll,) = repeats_of(rows(digested=30, same=29, one_for_each=1))
    (parents,) = repeats_of(rows(digested=30, same=29, one_for_each=39))

    assert (SAME, False) == (poll.why_not, poll.one_for_each)
    assert ("", True) == (parents.why_not, parents.one_for_each)
    assert (parents,) == one_by_one((poll, parents), "GET /")
    assert () == one_by_one((parents,), "GET /other")


def test_what_hardly_any_request_repeats_is_not_told() -> None:
    assert () == repeats_of(rows(requests=1, asking=21))
    assert () == repeats_of(rows(kind="other", text="SAVEPOINT x"))
    assert 1 == len(repeats_of(rows(requests=1, asking=20)))
