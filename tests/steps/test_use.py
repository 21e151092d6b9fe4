"""
Whether the planner uses the index that was taken, asked and said.
"""

from __future__ import annotations

import pytest

from rung.ports import IndexUse, IndexUsed, Unavailable
from rung.steps.confirm import confirm
from rung.steps.confirm.compared import of_recordings
from rung.steps.confirm.use import use_of, use_words
from rung.steps.price.quote import DropIndex
from rung.surfaces.done import verdict_text
from tests.strategies import AWAY, GOAL, answered, profile, quote_of, traffic

NAME = "orders_customer_id_created_at_desc_rung"


def test_the_index_that_was_built_is_asked_about() -> None:
    asked: list[object] = []

    def answer(question: object) -> IndexUsed:
        asked.append(question)
        return IndexUsed(NAME, scans=3, there=True, valid=True)

    assert (IndexUsed(NAME, scans=3, there=True, valid=True),) == answered(use_of(quote_of()), answer)
    assert [IndexUse("public", NAME)] == asked


def test_without_an_index_or_a_database_nothing_is_said() -> None:
    gone = DropIndex("public", "orders", "gone", "", 1)

    assert () == answered(use_of(quote_of(plan=None, drop=gone)))
    assert () == answered(use_of(quote_of()), lambda _: AWAY)
    assert () == answered(use_of(quote_of()), lambda _: Unavailable("restarting"))


@pytest.mark.parametrize(
    ("used", "words", "drops"),
    [
        (IndexUsed(NAME, scans=1234, there=True, valid=True), "is used: 1,234 scans since it was built", False),
        (IndexUsed(NAME, scans=0, there=True, valid=True), "is not used: no plan has chosen it", True),
        (IndexUsed(NAME, scans=0, there=True, valid=False), "is invalid, so no plan may use it", True),
        (IndexUsed(NAME, scans=0, there=False, valid=False), "is not there", False),
    ],
)
@pytest.mark.parametrize("times", [1.0, 0.1])
def test_an_index_that_no_plan_chose_is_offered_to_be_dropped(
    used: IndexUsed, words: str, drops: bool, times: float
) -> None:
    """
    Also where the number moved: it was not this index that moved it.
    """
    before, after = (
        profile(traffic(lasted_s=120.0)),
        profile(traffic(seed=2, times=times, lasted_s=120.0), name="after"),
    )
    verdict = confirm(of_recordings(before, after), GOAL, quote_of(), used=(used,))
    told = verdict_text(verdict)

    assert f"{NAME} {words}" in " ".join(told.split())
    assert words in use_words(used)
    following = told.rpartition("Next")[2]
    assert ("no plan uses it" in following) == drops
    assert "--undo" in following or not drops
