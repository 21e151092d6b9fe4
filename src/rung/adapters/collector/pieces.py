"""
Recordings one after the other: one for a command, one an hour for a collector that runs for as long as its host.

In        frames of connected processes
Out       a recording sealed each time that one is cut, and at the end
Not here  sockets (listener.py), Parquet (writer.py), what a recording's rows are (steps/record.py)

A recording stands for itself: the one after a cut begins with the processes that are still connected, is told again
every statement known so far, and counts from the cut what they count from their start.
Sealing runs aside, so that nobody who sends has to wait for it.
"""

from __future__ import annotations

import contextlib
import functools
import math
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rung import clock
from rung.adapters.collector.log_file import LogFile
from rung.adapters.collector.samplers import Samplers
from rung.adapters.collector.writer import Writer
from rung.adapters.fleet.pusher import Pusher
from rung.errors import RungError
from rung.frames import Batch, Hello, Statement
from rung.steps.record import Intake, Process

if TYPE_CHECKING:
    from rung.adapters.collector.views.watching import Views

STATEMENTS_MAX = 20_000
# Of a batch's counts; the others are levels.
SUMS = frozenset({"dropped", "failures", "lines_dropped", "names_folded", "spans_outside", "websockets"})
AGAIN_S = 60.0

Say = Callable[[str], None]
Who = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a recording is to be written: its own folder, which exists, and its name.
    """

    folder: Path
    name: str


class Sender:
    """
    One connected process, as the recording under way knows it.
    """

    def __init__(self, hello: Hello, process: Process) -> None:
        self.hello = hello
        self.process = process


@dataclass(frozen=True, slots=True)
class Counted:
    """
    What a process has counted since its start.
    """

    counts: Mapping[str, int]
    failed_at: Mapping[str, int]

    def since(self, before: Counted) -> tuple[dict[str, int], dict[str, int]]:
        """
        Return what of it came after *before*.
        """
        counts = {
            name: value - before.counts.get(name, 0) if name in SUMS else value for name, value in self.counts.items()
        }
        failed_at = {place: value - before.failed_at.get(place, 0) for place, value in self.failed_at.items()}
        return counts, failed_at


class Pieces:
    """
    The recording under way and those before it.

    Attributes:
        processes: How many processes have reported to the recording under way.
        refused: How many connections were closed for what they sent to it.
        sealed: The folders of those that are whole.
    """

    def __init__(
        self,
        first: Place,
        *,
        say: Say,
        on_sealed: Callable[[Path], None],
        every_s: float = math.inf,
        following: Callable[[], Place] | None = None,
        log_file: LogFile | None = None,
    ) -> None:
        """
        Begin with *first*; every *every_s*, at whole multiples of it, go on in the place that *following* makes.

        What the app logs goes into *log_file* as well.
        """
        self.refused = 0
        self.sealed: list[Path] = []
        self._say, self._on_sealed, self._every_s, self._following = say, on_sealed, every_s, following
        self._log_file = log_file
        self._statements: dict[Statement, None] = {}
        self._counted: dict[Who, Counted] = {}
        self._sealing: threading.Thread | None = None
        self._beside: Samplers | None = None
        self._pusher: Pusher | None = None
        self._views: Views | None = None
        self._begin(first)

    @property
    def processes(self) -> int:
        """
        Return how many processes have reported.
        """
        return len(self._intake.processes)

    def refuse(self) -> None:
        """
        Count a connection that was closed for what it sent.
        """
        self.refused += 1
        if self._views is not None:
            self._views.refused()

    def sampled_by(self, samplers: Samplers) -> None:
        """
        Have *samplers* add to each recording what they see beside the app.
        """
        self._beside = samplers

    def sent_by(self, pusher: Pusher) -> None:
        """
        Have *pusher* send the recording under way and those after it.
        """
        self._pusher = pusher
        pusher.begin(self._place.folder)

    def viewed_by(self, views: Views) -> None:
        """
        Have *views* tell of everything that is recorded, whichever recording it belongs to.
        """
        self._views = views

    def _begin(self, place: Place) -> None:
        self._place = place
        self._intake = Intake()
        # Processes count since their start, and connect again: what they said before this recording is not its.
        self._before, self._counted = self._counted, {}
        self._retell = bool(self._statements)
        self._heard = False
        started_s = clock.now_s()
        self._writer = Writer(place.folder, name=place.name, started_s=started_s, say=self._say)
        self._writer.begin(self._intake)
        if self._pusher is not None:
            self._pusher.begin(place.folder)
        self._cut_at_s = clock.monotonic_s() + self._every_s - (started_s % self._every_s)

    def hello(self, hello: Hello, sender: Sender | None) -> Sender:
        """
        Note who sends; *sender* is who the connection was so far.
        """
        process = self._intake.hello(hello, None if sender is None else sender.process)
        if sender is None:
            return Sender(hello, process)
        sender.hello, sender.process = hello, process
        return sender

    def batch(self, sender: Sender, batch: Batch) -> None:
        """
        Add what *sender* finished.
        """
        self._add(sender, batch)
        # A batch that was refused has nothing of which anything can be said.
        if self._log_file is not None:
            self._log_file.batch(sender.hello, batch)
        if self._views is not None:
            self._views.batch(sender.process, batch)

    def _add(self, sender: Sender, batch: Batch) -> None:
        if self._following is None:
            self._intake.batch(sender.process, batch)
            self._heard = True
            return
        for statement in batch.statements:
            if len(self._statements) < STATEMENTS_MAX:
                self._statements[statement] = None
        counted = Counted(batch.counts, batch.failed_at)
        self._intake.batch(sender.process, self._since_the_cut(sender.process.who, batch, counted))
        self._counted[sender.process.who] = counted
        self._retell = False
        self._heard = self._heard or bool(batch.requests or batch.totals or batch.in_flight)

    def _since_the_cut(self, who: Who, batch: Batch, counted: Counted) -> Batch:
        before = self._before.get(who)
        if before is not None:
            counts, failed_at = counted.since(before)
            batch = msgspec.structs.replace(batch, counts=counts, failed_at=failed_at)
        return msgspec.structs.replace(batch, statements=list(self._statements)) if self._retell else batch

    def write(self, connected: Sequence[Sender]) -> None:
        """
        Write what came since the last time, and cut where it is time.
        """
        if self._beside is not None:
            self._beside.sample(self._intake)
        if self._views is not None:
            self._views.second(sender.process for sender in connected)
        self._writer.write(self._intake, refused=self.refused)
        if self._following is not None and clock.monotonic_s() >= self._cut_at_s:
            self._cut(connected, self._following)

    def _cut(self, connected: Sequence[Sender], following: Callable[[], Place]) -> None:
        if self._sealing is not None and self._sealing.is_alive():
            return
        try:
            place = following()
        except RungError as problem:
            # The one under way goes on: a long recording is better than none.
            self._say(f"rung: no new recording could be begun, the last one goes on: {problem.message}\n")
            self._cut_at_s = clock.monotonic_s() + AGAIN_S
            return
        if self._beside is not None:
            self._beside.cut(self._intake)
        self._seal_aside()
        self._begin(place)
        self.refused = 0
        for sender in connected:
            sender.process = self._intake.hello(sender.hello, sender.process)
            if sender.process.who in self._before:
                self._counted[sender.process.who] = self._before[sender.process.who]
        self._writer.write(self._intake, refused=0)

    def _seal_aside(self) -> None:
        seal = functools.partial(
            self._seal, self._place, self._writer, self._intake, self.refused, keep=self._heard or self.refused > 0
        )
        self._sealing = threading.Thread(target=seal, name="rung-seal")
        self._sealing.start()

    def _seal(self, place: Place, writer: Writer, intake: Intake, refused: int, *, keep: bool) -> None:
        writer.seal(intake, refused=refused)
        if not keep:
            # A night without a request is not worth a recording each hour.
            shutil.rmtree(place.folder, ignore_errors=True)
            return
        self.sealed.append(place.folder)
        if self._pusher is not None:
            self._pusher.sealed()
        with contextlib.suppress(OSError):
            self._on_sealed(place.folder)

    def end(self) -> None:
        """
        Seal the recording under way.
        """
        if self._log_file is not None:
            self._log_file.close()
        if self._beside is not None:
            self._beside.end(self._intake)
        if self._views is not None:
            self._views.end()
        if self._sealing is not None:
            self._sealing.join()
        self._seal(self._place, self._writer, self._intake, self.refused, keep=self._heard or not self.sealed)
        if self._pusher is not None:
            self._pusher.end()
