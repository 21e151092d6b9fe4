"""
The Loop round once, and a finding and its prices run again from what was kept beside the recording.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rung.adapters.answers import AnswerFile
from rung.adapters.ledger import LedgerFolder
from rung.adapters.recordings import ParquetRecording
from rung.adapters.repository import RepositoryFiles
from rung.adapters.shelf import folder_of
from rung.config import Settings
from rung.errors import SettingByHand
from rung.loop import Look, Loop
from rung.moves.index import IndexMove
from rung.ports import Applied, Ports, Say, TextFile, Work
from rung.steps.confirm import MOVED, WORSE
from rung.steps.ledger import UNDONE, to_tree
from rung.steps.price import best
from rung.steps.price.quote import MIGRATION, PATCH, SETTING, Script
from rung.steps.twin.variant import Patch, Setting
from tests.strategies import ORDERS, Row, Shelf, keep_recording, quote_of, shop

SETTINGS = Settings(goal_latency_s=0.05)


class Gone:
    """
    A planner that must not be asked any more.
    """

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"asked for {name}, which was kept")


class Noted:
    """
    Hands that note what they were told to do.
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self.built: list[str] = []
        self.dropped: list[str] = []
        self.patched: list[tuple[str, str, bool]] = []

    def write(self, files: tuple[TextFile, ...]) -> tuple[str, ...]:
        self.files += [file.path for file in files]
        return tuple(file.path for file in files)

    def apply(self, work: Work, *, say: Say, wait: bool) -> Applied:
        self.built += [statement.sql for statement in work.statements]
        return Applied(already=False, took_s=1.0, size_bytes=1)

    def undo(self, work: Work, *, say: Say) -> None:
        self.dropped += [statement.sql for statement in work.undo]

    def patch(self, path: str, diff: str, *, back: bool = False) -> Applied:
        self.patched.append((path, diff, back))
        return Applied(already=False, took_s=1.0, size_bytes=0)


class Again:
    """
    Traffic whose second recording has these rows.
    """

    def __init__(self, folder: Path, rows: list[Row]) -> None:
        self.folder, self.rows = folder, rows

    def again(self, before: str) -> str:
        keep_recording(self.folder / "recordings" / "after", self.rows)
        return "after"


def loop_over(folder: Path, planner: object, hands: object = None) -> Loop:
    ports = Ports(
        recording=lambda name: ParquetRecording(folder_of(folder, name)),
        answers=lambda name: AnswerFile(folder, name, fresh=False),
        planner=planner,  # type: ignore[arg-type]
        repository=RepositoryFiles(folder),
        hands=hands or Noted(),  # type: ignore[arg-type]
        ledger=LedgerFolder(folder / "ledger"),
    )
    return Loop(ports=ports, moves=(IndexMove(),), settings=SETTINGS)


# Four connections: nobody waits, so a faster statement is faster by what it saves.
BEFORE = shop(count=600, connections=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keep_recording(tmp_path / "recordings" / "before", BEFORE)
    return tmp_path


def climbed(folder: Path, after: list[Row], choose: Callable[[Look], object] | None = None) -> tuple[object, Noted]:
    hands = Noted()
    loop = loop_over(folder, Shelf(), hands)
    chosen = choose or (lambda look: best(look.quotes))
    return loop.climb("before", choose=chosen, traffic=Again(folder, after), say=lambda _: None), hands  # type: ignore[arg-type]


def test_a_finding_is_run_again_from_answers_alone(folder: Path) -> None:
    """
    With the database gone, the kept answers give the same finding and the same prices.
    """
    shelf = Shelf()
    first = loop_over(folder, shelf).look("before")
    kept = (folder / "answers" / "before.jsonl").read_text("utf-8")
    again = loop_over(folder, Gone()).look("before")

    assert first.finding == again.finding
    assert first.quotes == again.quotes
    assert shelf.asked == len(kept.splitlines()) > 3
    assert kept == (folder / "answers" / "before.jsonl").read_text("utf-8")


def test_what_could_not_be_answered_is_asked_again(folder: Path) -> None:
    """
    An absent database is no fact about the recording: nothing of it is kept.
    """
    first = loop_over(folder, Shelf(away=True)).look("before")
    later = loop_over(folder, Shelf()).look("before")

    assert (1, 2) == (len(first.quotes), len(later.quotes))
    assert first.finding.bottleneck == later.finding.bottleneck


def test_once_round_the_loop(folder: Path) -> None:
    """
    What is chosen is written, built, recorded again and confirmed, and the ledger holds promise and verdict.
    """
    turn, hands = climbed(folder, shop(count=600, connections=4, slow_s=0.004))

    assert MOVED == turn.verdict.verdict  # type: ignore[attr-defined]
    assert (ORDERS, True) == (turn.verdict.route, turn.verdict.paired)  # type: ignore[attr-defined]
    assert (2, 1, 0) == (len(hands.files), len(hands.built), len(hands.dropped))
    entries = loop_over(folder, Gone()).entries()
    assert [(1, MOVED, "before")] == [(entry.number, entry.state, entry.before) for entry in entries]
    assert to_tree(entries[0]) == to_tree(replace(entries[0], verdict=turn.verdict))  # type: ignore[arg-type]
    assert loop_over(folder, Gone()).taken("index").move == entries[0].quote.name


def test_what_made_it_worse_is_undone(folder: Path) -> None:
    """
    A change that made the number worse is taken back at once.
    """
    turn, hands = climbed(folder, shop(count=600, connections=4, slow_s=0.3))

    assert WORSE == turn.verdict.verdict  # type: ignore[attr-defined]
    assert ['DROP INDEX CONCURRENTLY IF EXISTS "public"."orders_customer_id_created_at_desc_rung"'] == hands.dropped


def test_choosing_nothing_changes_nothing(folder: Path) -> None:
    """
    Without a choice no file, no index and no entry comes to be.
    """
    turn, hands = climbed(folder, [], choose=lambda _: None)

    assert (None, None, None) == (turn.change, turn.applied, turn.verdict)  # type: ignore[attr-defined]
    assert ([], [], []) == (hands.files, hands.built, loop_over(folder, Gone()).entries())


def test_a_patch_is_applied_and_taken_back_by_hands(folder: Path) -> None:
    """
    As an index is built: the ledger keeps the patch, and the undo comes from there.
    """
    hands = Noted()
    loop = loop_over(folder, Shelf(), hands)
    finding = loop.look("before").finding
    change = loop.take(finding, quote_of(name="nplusone:1", plan=None, patch=Patch("a.py", "+b\n"), taken_as=PATCH))
    loop.apply(change, say=lambda _: None, wait=True)
    loop.undo(loop.taken("nplusone"), say=lambda _: None)

    assert ["rung/migrations/nplusone-1.patch"] == hands.files
    assert [("a.py", "+b\n", False), ("a.py", "+b\n", True)] == hands.patched
    assert UNDONE == loop.entries()[-1].state


def test_a_setting_is_written_down_and_neither_run_nor_undone_by_hands(folder: Path) -> None:
    """
    It stands in the user's code: the ledger knows of it, and the hands only write its text.
    """
    hands = Noted()
    loop = loop_over(folder, Shelf(), hands)
    finding = loop.look("before").finding
    change = loop.take(finding, quote_of(name="pool:8", plan=None, setting=Setting("8", "4"), taken_as=SETTING))

    with pytest.raises(SettingByHand):
        loop.apply(change, say=lambda _: None, wait=True)
    assert (["rung/migrations/pool-8.txt"], [], []) == (hands.files, hands.built, hands.dropped)
    assert change == loop.taken("pool")
    loop.undo(change, say=lambda _: None)
    assert ([], ["undone"]) == (hands.dropped, [entry.state for entry in loop.entries()])


def test_statements_are_run_and_what_takes_them_back(folder: Path) -> None:
    """
    Statistics are no index: a few statements, and a few others as their undo, or none.
    """
    hands = Noted()
    loop = loop_over(folder, Shelf(), hands)
    finding = loop.look("before").finding
    script = Script(("CREATE STATISTICS s", "ANALYZE t"), ("DROP STATISTICS s",))
    quote = quote_of(name="statistics:t", plan=None, script=script, taken_as=MIGRATION, predicted=None)

    change = loop.take(finding, quote)
    loop.apply(change, say=lambda _: None, wait=True)
    assert ["CREATE STATISTICS s", "ANALYZE t"] == hands.built
    assert change == loop.taken("statistics")
    loop.undo(change, say=lambda _: None)
    assert ["DROP STATISTICS s"] == hands.dropped
    nothing = loop.take(finding, replace(quote, name="statistics:u", script=replace(script, undo=())))
    loop.undo(nothing, say=lambda _: None)
    assert 1 == len(hands.dropped)
    assert ["undone", "undone"] == [entry.state for entry in loop.entries()]
