"""
The loop: measure, find the one bottleneck, price the moves, take one, confirm, and write it down.

START HERE.  Steps (steps/) decide and adapters (adapters/) do.  A step that must ask the world is a
generator: it yields a question, the Loop has an adapter answer it and sends the answer back.  The Loop
is the only caller of the ports, and knows no kind of move, no format and no way of printing.

In        the ports, the moves, the goal
Out       what each step returned
Not here  which adapter fulfils which port (wire.py), words for people (surfaces/)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rung.clock import now_s, stamp
from rung.config import Settings
from rung.errors import SettingByHand
from rung.ports import Applied, Pairs, Ports, Say, Step, Traffic, Unavailable
from rung.steps import ledger
from rung.steps.confirm import Verdict, confirm
from rung.steps.confirm.compared import Compared, of_pairs, of_recordings
from rung.steps.confirm.use import IndexUsed, use_of
from rung.steps.find import find
from rung.steps.find.finding import Finding, goal_of
from rung.steps.ledger import Entry
from rung.steps.measure import Profile, measure
from rung.steps.price import price
from rung.steps.price.quote import Move, Quote
from rung.steps.score import record_of
from rung.steps.take import Change, named, take
from rung.steps.twin.twin import Twin

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Look:
    """
    One recording looked at: what it shows, what holds the app back, and what each move would bring.
    """

    profile: Profile
    finding: Finding
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """
    One turn of the loop: what was seen, what was taken, and what became of it (None: nothing was taken).
    """

    look: Look
    change: Change | None = None
    applied: Applied | None = None
    verdict: Verdict | None = None
    after: str | None = None


class Loop:
    """
    One climb: find what holds the app back, price the ways past it, take one, check the promise.
    """

    def __init__(self, *, ports: Ports, moves: Sequence[Move], settings: Settings) -> None:
        self.ports, self.moves, self.settings = ports, moves, settings
        self.goal = goal_of(settings)

    def climb(self, before: str, *, choose: Callable[[Look], Quote | None], traffic: Traffic, say: Say) -> Turn:
        """
        Go round once: look at *before*, take what *choose* picks, send the traffic again, confirm.

        A change that made the number worse is undone.
        """
        look = self.look(before)
        quote = choose(look)
        if quote is None:
            return Turn(look)
        change = self.take(look.finding, quote)
        applied = self.apply(change, say=say, wait=True)
        after = traffic.again(before)
        verdict = self.confirm(before, after)
        if verdict.worse:
            self.undo(change, say=say)
        return Turn(look, change, applied, verdict, after)

    def measure(self, recording: str) -> Profile:
        """Return what the recording shows."""
        return self.ask(measure(), recording)

    def look(self, recording: str) -> Look:
        """Return what holds the app back in the recording, and the price of each way past it."""
        profile = self.measure(recording)
        twin = Twin(profile)
        finding = self.ask(find(profile, twin, self.goal), recording)
        entries = self.entries()
        record, done = record_of(entries), ledger.carried_out(entries)
        quotes = self.ask(price(profile, twin, finding, self.moves, record, done), recording)
        return Look(profile, finding, quotes)

    def take(self, finding: Finding, quote: Quote) -> Change:
        """Write the change's files and its entry in the ledger; the database is not touched."""
        change, entries = self._change(quote), self.entries()
        self.ports.hands.write(change.files)
        self._write(ledger.taken(entries, finding, named(quote, change.work), now=stamp(now_s())))
        return change

    def apply(self, change: Change, *, say: Say, wait: bool) -> Applied:
        """
        Run the change against the database, or patch the code; a recording from now on is one after it.

        Raises:
            SettingByHand: there is nothing to run.
        """
        patch, hands = change.patch, self.ports.hands
        if change.work is not None:
            applied = hands.apply(change.work, say=say, wait=wait)
        elif patch is not None:
            applied = hands.patch(patch.path, patch.diff)
        else:
            raise SettingByHand(change.move)
        if not applied.already:
            self._write(ledger.applied(ledger.newest(self.entries(), change.move), now=stamp(now_s())))
        return applied

    def taken(self, move: str | None) -> Change:
        """Return the change of the newest entry of the ledger (whose move begins with *move*)."""
        return self._change(ledger.newest(self.entries(), move).quote)

    def undo(self, change: Change, *, say: Say) -> None:
        """Take the change back; of a setting only the ledger's entry, for people set it."""
        if change.work is not None:
            self.ports.hands.undo(change.work, say=say)
        elif (patch := change.patch) is not None:
            self.ports.hands.patch(patch.path, patch.diff, back=True)
        self._write(ledger.undone(ledger.newest(self.entries(), change.move)))

    def confirm(self, before: str, after: str, *, move: str | None = None) -> Verdict:
        """
        Return whether the number moved from *before* to *after*, and write it into the move's entry.

        Recordings that no entry speaks of are compared as they are.
        """
        entry = ledger.speaking_of(self.entries(), before, move)
        used = self.ask(use_of(entry.quote), after) if entry is not None else ()
        return self._confirmed(entry, of_recordings(self.measure(before), self.measure(after)), used)

    def confirm_pairs(self, sent: Pairs, *, move: str | None = None) -> Verdict:
        """Return whether the number differs between two instances, and write it into the entry that waits for it."""
        entry = ledger.waiting(self.entries(), sent.routes, move)
        return self._confirmed(entry, of_pairs(sent, entry.quote.route if entry is not None else None))

    def entries(self) -> list[Entry]:
        """Return the ledger, oldest first."""
        return [ledger.from_text(file) for file in self.ports.ledger.read()]

    def ask(self, step: Step[Result], recording: str) -> Result:
        """Drive *step*, a generator of questions, with answers from its adapter; keep both beside the recording."""
        rows, answers = self.ports.recording(recording), self.ports.answers(recording)
        try:
            question = next(step)
            while True:
                answer = answers.kept(question)
                if answer is None:
                    port = rows if question.port == "recording" else getattr(self.ports, question.port)
                    answer = getattr(port, question.verb)(question)
                    # What could not be answered today may be tomorrow.
                    if question.port == "planner" and not isinstance(answer, Unavailable):
                        answers.keep(question, answer)
                question = step.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _confirmed(self, entry: Entry | None, compared: Compared, used: tuple[IndexUsed, ...] = ()) -> Verdict:
        verdict = confirm(compared, self.goal, entry.quote if entry is not None else None, used=used)
        if entry is not None:
            self._write(ledger.confirmed(entry, verdict))
        return verdict

    def _change(self, quote: Quote) -> Change:
        return take(quote, self.settings, self.ports.repository.project(quote.table))

    def _write(self, entry: Entry) -> None:
        self.ports.ledger.write(entry.file_name, ledger.to_tree(entry))
