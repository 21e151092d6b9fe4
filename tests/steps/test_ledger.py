"""
An entry of the ledger is a text that a review reads and that comes back equal.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import tomli_w
from hypothesis import given, settings

from rung.errors import LedgerError
from rung.ports import TextFile
from rung.steps import ledger
from rung.steps.confirm import confirm
from rung.steps.confirm.compared import of_recordings
from rung.steps.find.finding import Interval
from rung.steps.ledger import (
    OPEN,
    Entry,
    applied,
    carried_out,
    from_text,
    is_entry,
    newest,
    speaking_of,
    taken,
    to_tree,
    undone,
    waiting,
)
from tests.strategies import GOAL, entries, found, profile, quote_of, shop, traffic


def entry(number: int, **changed: object) -> Entry:
    return replace(Entry(number, "query: select", "before", f"2026-11-23T0{number}", OPEN, quote_of()), **changed)


@settings(deadline=None)
@given(written=entries)
def test_an_entry_comes_back_from_its_text(written: Entry) -> None:
    """
    Any entry, written as TOML and read again, is the same entry.
    """
    assert written == from_text(TextFile(written.file_name, tomli_w.dumps(to_tree(written))))


def test_figures_are_written_to_six_digits() -> None:
    """
    What a person reviews has no noise in it.
    """
    tree = to_tree(entry(1, quote=quote_of(now=Interval(3.2710060701074326, 0.1, 1 / 3))))

    assert {"value": 3.27101, "low": 0.1, "high": 0.333333} == tree["quote"]["now"]


@given(written=entries)
def test_an_entrys_file_is_found_again(written: Entry) -> None:
    """
    The name of every entry's file is one that the ledger's folder takes for an entry.
    """
    assert is_entry(written.file_name)


def test_what_was_carried_out_is_known_until_it_is_taken_back() -> None:
    """
    By rung, or by somebody else where the outcome was confirmed; what was only written down is not.
    """
    written = entry(1)
    done = applied(written, now="2026-11-24T01-00-00Z")

    assert frozenset() == carried_out([written])
    assert {written.quote.name} == carried_out([written, done])
    assert frozenset() == carried_out([undone(done)])
    assert ("2026-11-24T01-00-00Z", written.quote) == (done.taken, done.quote)


@given(written=entries)
def test_what_was_confirmed_was_carried_out(written: Entry) -> None:
    assert (written.applied or written.verdict is not None) == (written.quote.name in carried_out([written]))


@pytest.mark.parametrize("text", ["number = ", "number = 1\n", "number = 'one'\nbottleneck = 'x'\n"])
def test_a_broken_file_is_named(text: str) -> None:
    """
    What is no entry is told with its file and what is wrong, and never skipped.
    """
    with pytest.raises(LedgerError) as raised:
        from_text(TextFile("0003-index-orders.toml", text))

    assert "0003-index-orders.toml" in raised.value.message
    assert "git log -p -- 0003-index-orders.toml" in raised.value.steps[0][1]


def test_taking_a_move_again_goes_on_with_its_open_entry() -> None:
    """
    A move taken twice has one entry; from another recording, or after an undo, the next is a new one.
    """
    finding = found(shop())
    first = taken([], finding, quote_of(), now="1")
    again = taken([first], finding, quote_of(cost="1 MB"), now="2")
    elsewhere = taken([replace(first, before="other")], finding, quote_of(cost="1 MB"), now="2")
    later = taken([replace(first, state="moved", before="other")], finding, quote_of(), now="2")
    after_undo = taken([ledger.undone(first)], finding, quote_of(), now="2")

    assert first == again
    assert (1, "1", "1 MB") == (elsewhere.number, elsewhere.taken, elsewhere.quote.cost)
    assert [(2, "2"), (2, "2")] == [(entry.number, entry.taken) for entry in (later, after_undo)]
    assert first.bottleneck.startswith("query: SELECT * FROM orders")


def test_the_newest_entry_is_found_by_the_beginning_of_its_move() -> None:
    """
    A move may be named by its beginning; one that is not there is told with what is.
    """
    entries_ = [entry(1), entry(3), entry(2, quote=quote_of(name="cache:home"))]

    assert 3 == newest(entries_, None).number
    assert 2 == newest(entries_, "cache").number
    with pytest.raises(LedgerError, match="shard") as raised:
        newest(entries_, "shard")
    assert "cache:home" in raised.value.why
    with pytest.raises(LedgerError, match="empty"):
        newest([], None)


def test_an_entry_speaks_of_its_own_recording_only() -> None:
    """
    A promise made from one recording is not tested by a comparison with another.
    """
    entries_ = [entry(1), entry(2), entry(3, before="other")]

    found_entry = speaking_of(entries_, "before", None)
    assert found_entry is not None and 2 == found_entry.number
    assert found_entry == speaking_of(entries_, "elsewhere/recordings/before", None)
    assert speaking_of(entries_, "unknown", None) is None


def test_a_verdict_does_not_bring_back_what_was_undone() -> None:
    """
    Confirming an old pair of recordings again leaves a change that was taken back, taken back.
    """
    verdict = confirm(of_recordings(profile(traffic()), profile(traffic(seed=2), name="after")), GOAL, quote_of())
    closed = ledger.confirmed(ledger.undone(entry(1)), verdict)

    assert (ledger.UNDONE, verdict) == (closed.state, closed.verdict)


def test_a_verdict_closes_its_entry() -> None:
    """
    A confirmed entry has the verdict for its state, and the rest as it was.
    """
    verdict = confirm(of_recordings(profile(traffic()), profile(traffic(seed=2), name="after")), GOAL, quote_of())
    closed = ledger.confirmed(entry(1), verdict)

    assert (verdict.verdict, verdict, entry(1).quote) == (closed.state, closed.verdict, closed.quote)


def test_pairs_speak_to_the_newest_entry_that_waits_for_them() -> None:
    """
    Open, or with too little data until now, and of a route that was sent, whatever its parameters are called.
    """
    sent = ["GET /home", "GET /orders/{order}"]
    open_one = entry(1, quote=quote_of(route="GET /orders/{order_id}"))
    decided = entry(2, quote=quote_of(route="GET /home"), state="moved")

    assert waiting([], sent, None) is None
    assert open_one == waiting([open_one], sent, None)
    assert waiting([open_one, decided], sent, None) is None
    assert decided == waiting([open_one, decided], sent, "index")
    again = replace(open_one, state="too_little_data")
    assert again == waiting([again], sent, None)
    assert waiting([open_one], ["GET /home"], None) is None
    with pytest.raises(LedgerError, match="which was not sent"):
        waiting([open_one], ["GET /home"], "index")
