"""
Keep score: each rung climbed as one small text that is read in a review and by the program.

In        the quote, the change, the verdict
Out       an Entry and its text; the entry from its text, equal
Not here  the folder (adapters/ledger.py)

Source: TOML 1.0.  Times are seconds, as everywhere inside.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from rung.errors import LedgerError
from rung.ports import TextFile
from rung.steps.confirm import TOO_LITTLE, Verdict
from rung.steps.confirm.compared import same_route
from rung.steps.find.finding import Finding
from rung.steps.price.quote import Quote
from rung.steps.take import file_stem

OPEN, UNDONE = "open", "undone"


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One rung: what was found, what was promised, and what became of it.

    Attributes:
        number: Its place in the ledger, from 1.
        bottleneck: The seam, and a line that says what is there.
        before: The recording that the quote was made from.
        taken: When it was taken (applied, where rung did that), as recordings are named: `2026-11-23T20-33-05Z`.
        state: open (taken, not confirmed yet), undone, or the verdict.
        quote: The price as it was when it was taken.
        verdict: None until confirmed.
        applied: Whether rung carried it out itself.
    """

    number: int
    bottleneck: str
    before: str
    taken: str
    state: str
    quote: Quote
    verdict: Verdict | None = None
    applied: bool = False

    @property
    def file_name(self) -> str:
        """
        Return the entry's file name.
        """
        return f"{self.number:04}-{file_stem(self.quote.name)}.toml"


def taken(entries: list[Entry], finding: Finding, quote: Quote, *, now: str) -> Entry:
    """
    Return the entry of taking *quote*: the one that stands for it already, or a new one behind the last.
    """
    for entry in entries:
        if entry.quote.name == quote.name and entry.state != UNDONE:
            if entry.before == finding.recording:
                # The project may keep migrations in another way than it did, which gives the index another name.
                return replace(entry, quote=replace(entry.quote, plan=quote.plan, beside=quote.beside))
            if entry.state == OPEN:
                return replace(entry, quote=quote, before=finding.recording)
    suspect = finding.bottleneck
    what = f"{suspect.part.seam}: {suspect.statement or suspect.part.name}" if suspect is not None else "nothing"
    number = max((entry.number for entry in entries), default=0) + 1
    return Entry(number=number, bottleneck=what, before=finding.recording, taken=now, state=OPEN, quote=quote)


def confirmed(entry: Entry, verdict: Verdict) -> Entry:
    """
    Return *entry* with what became of it; one that was taken back stays so.
    """
    return replace(entry, verdict=verdict, state=UNDONE if entry.state == UNDONE else verdict.verdict)


def applied(entry: Entry, *, now: str) -> Entry:
    """
    Return *entry* as carried out: a recording from *now* on is one after it.
    """
    return replace(entry, taken=now, applied=True)


def carried_out(entries: Sequence[Entry]) -> frozenset[str]:
    """
    Return the names of the moves that rung carried out, or whose outcome was confirmed, and that were not taken back.
    """
    return frozenset(
        entry.quote.name for entry in entries if entry.state != UNDONE and (entry.applied or entry.verdict is not None)
    )


def undone(entry: Entry) -> Entry:
    """
    Return *entry* as taken back; a verdict that it has stays.
    """
    return replace(entry, state=UNDONE)


def to_tree(entry: Entry) -> dict[str, Any]:
    """
    Return *entry* as TOML's types: absent instead of null, figures to six significant digits.

    What lies beyond is noise, and would make the file hard to read in a review.
    """
    tree: dict[str, Any] = _plain(msgspec.to_builtins(entry))
    return tree


def from_text(file: TextFile) -> Entry:
    """
    Return the entry that a file of the ledger holds.

    Raises:
        LedgerError: the file is not one; the message names it and what is wrong.
    """
    try:
        return msgspec.convert(tomllib.loads(file.text), Entry)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as problem:
        raise LedgerError(
            f"cannot read {file.path}: {problem}",
            why="The ledger is read as a whole, so that no rung is forgotten silently.",
            steps=(("See what changed in it", f"git log -p -- {file.path}"),),
        ) from None


def newest(entries: list[Entry], move: str | None) -> Entry:
    """
    Return the newest entry, of the move that begins with *move* if given.

    Raises:
        LedgerError: there is none.
    """
    found = [entry for entry in entries if move is None or entry.quote.name.startswith(move)]
    if not found:
        raise LedgerError(
            f"the ledger has no move {move!r}" if move else "the ledger is empty",
            why=f"It holds: {', '.join(entry.quote.name for entry in entries) or 'nothing yet'}.",
            steps=(("See the ledger", "rung ledger"), ("Take a move", "rung take")),
        )
    return max(found, key=lambda entry: entry.number)


def speaking_of(entries: list[Entry], before: str, move: str | None) -> Entry | None:
    """
    Return the entry whose promise a comparison with *before* tests; with *move* the newest of that move.

    An entry speaks of the recording that its quote was made from; of others it promised nothing.
    """
    if move is not None:
        return newest(entries, move)
    name = before.rstrip("/").rsplit("/", 1)[-1]
    of_it = [entry for entry in entries if entry.before == name]
    return max(of_it, key=lambda entry: entry.number, default=None)


def waiting(entries: list[Entry], routes: Sequence[str], move: str | None) -> Entry | None:
    """
    Return the newest entry that has no verdict yet and whose route was sent; with *move* the newest of that move.

    Raises:
        LedgerError: no entry of *move*, or one of a route that was not sent.
    """
    if move is None and not entries:
        return None
    entry = newest(entries, move)
    if move is None:
        return entry if entry.state in {OPEN, TOO_LITTLE} and _sent(entry, routes) else None
    if not _sent(entry, routes):
        raise LedgerError(
            f"{entry.quote.name} is about {entry.quote.route}, which was not sent",
            why=f"Sent were: {', '.join(routes)}.",
            steps=(("See the ledger", "rung ledger"),),
        )
    return entry


def _sent(entry: Entry, routes: Sequence[str]) -> bool:
    return any(same_route(route, entry.quote.route) for route in routes)


def is_entry(name: str) -> bool:
    """
    Return whether a file's name is that of an entry.
    """
    return re.fullmatch(r"[0-9]{4}-.+\.toml", name) is not None


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items() if value is not None}
    if isinstance(tree, list | tuple):
        return [_plain(value) for value in tree]
    return float(f"{tree:.6g}") if isinstance(tree, float) else tree
