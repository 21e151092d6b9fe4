"""
The command line: what was typed becomes a call, what it returned becomes text or JSON.

In        argv
Out       an exit status: 0 answered (also "do nothing"), 1 with --check only, 2 could not answer, 130 interrupted
Not here  what a command does (loop.py), its words (text.py), its JSON (document.py)

argparse is used because `rung record` must work where only the recorder is installed; whatever a
command needs is imported when it runs, so that --help answers at once.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rung import __version__, wire
from rung.errors import BadValue, LedgerError, NothingToTake, RungError, UnknownName, UsageError

if TYPE_CHECKING:
    from rung.loop import Look, Loop
    from rung.steps.price.quote import Quote

EXIT_ANSWERED, EXIT_CHECK_FAILED, EXIT_NO_ANSWER, EXIT_INTERRUPTED = 0, 1, 2, 130

STORY = """\
Find the one thing that holds a Python web app back, price the way past it, take it, confirm that the number moved.

  rung record -- uvicorn yourapp:app     run your app as always, recorded
  rung load http://127.0.0.1:8000/       send it traffic, if it has none of its own
  rung find                              ONE bottleneck, or: do nothing
  rung take index --apply                take the move that was found
  rung confirm                           did the number move?

  rung demo                              all of it on a sample shop, in minutes
"""


class Parser(argparse.ArgumentParser):
    """
    An ArgumentParser whose errors are ours: what happened, why it matters, what to type next.
    """

    def error(self, message: str) -> NoReturn:
        """
        Raise UsageError instead of printing usage and exiting.
        """
        raise UsageError(
            message,
            why="Nothing was run.",
            steps=(("See what it takes", f"{self.prog} --help"),),
        )


def build_parser() -> argparse.ArgumentParser:
    """
    Return the parser of every command and flag: the reference page and the tests read it too.
    """
    parser = Parser(
        prog="rung", description=STORY, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"rung {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for add in COMMANDS:
        add(commands)
    return parser


Commands = Any  # argparse's type of add_subparsers() has no public name


def _command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], help: str, more: str = ""
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=f"{help}\n\n{more}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def _json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON (docs/reference/json.md)")


def _look_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recording", nargs="?", help="name, beginning of a name, or path; default: the newest sealed one"
    )
    parser.add_argument("--database", metavar="DSN", help="the app's database; default: rung.toml, DATABASE_URL, PG*")
    parser.add_argument("--percentile", metavar="P", help="the goal's percentile (95)")
    parser.add_argument("--latency", metavar="TIME", help="the goal's latency (300ms)")
    parser.add_argument("--fresh", action="store_true", help="ask the database anew instead of using the kept answers")


def _record(commands: Commands) -> None:
    parser = _command(
        commands, "record", run_record, "run a server command, recorded",
        "No change to the app. The command behaves as without rung; RUNG=off switches all of it off.",
    )  # fmt: skip
    parser.add_argument("--name", help="the recording's name; default: the program's")
    parser.add_argument(
        "argv", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command, e.g. -- uvicorn yourapp:app"
    )


def _load(commands: Commands) -> None:
    parser = _command(
        commands, "load", run_load, "send open-loop load; latency counts from when a request was due",
        "Without --routes it is GET requests for the URL. The same seed sends the same requests at the same moments.",
    )  # fmt: skip
    parser.add_argument("url", help="e.g. http://127.0.0.1:8000/")
    parser.add_argument("--routes", metavar="FILE", help="a TOML file of routes with weights (docs/load.md)")
    parser.add_argument("--rate", metavar="N", help="requests per second (the file's, or 20)")
    parser.add_argument("--duration", metavar="TIME", help="for how long (30s)")
    parser.add_argument("--seed", metavar="N", help="the seed of the arrivals (1)")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 when the numbers are void or the goal on errors is missed"
    )
    _json_flag(parser)


def _find(commands: Commands) -> None:
    parser = _command(
        commands, "find", run_find, "name ONE bottleneck with its evidence and the move to take; or: do nothing"
    )
    _look_flags(parser)
    parser.add_argument("--check", action="store_true", help="exit with 1 when the goal is missed")
    _json_flag(parser)


def _price(commands: Commands) -> None:
    parser = _command(commands, "price", run_price, "price every move in the goal's own unit")
    _look_flags(parser)
    _json_flag(parser)


def _take(commands: Commands) -> None:
    parser = _command(
        commands, "take", run_take, "write a move as a migration with its undo; --apply runs it",
        "Taking a move twice is harmless.",
    )  # fmt: skip
    parser.add_argument(
        "move", nargs="?", help="any unambiguous beginning of its name; default: the one that `rung find` offers"
    )
    parser.add_argument("--recording", help="the recording to take it from; default: the newest sealed one")
    parser.add_argument("--database", metavar="DSN", help="the app's database; default: rung.toml, DATABASE_URL, PG*")
    parser.add_argument("--percentile", metavar="P", help="the goal's percentile (95)")
    parser.add_argument("--latency", metavar="TIME", help="the goal's latency (300ms)")
    parser.add_argument("--apply", action="store_true", help="run it against the database now")
    parser.add_argument(
        "--wait", action="store_true", help="with --apply: wait for old transactions instead of refusing"
    )
    parser.add_argument("--undo", action="store_true", help="run the undo of a taken move against the database")
    _json_flag(parser)


def _confirm(commands: Commands) -> None:
    parser = _command(
        commands, "confirm", run_confirm, "moved, not moved, or worse; predicted beside measured",
        "Default: the recording before the newest change in the ledger, and the newest after it.",
    )  # fmt: skip
    parser.add_argument("before", nargs="?", help="a recording")
    parser.add_argument("after", nargs="?", help="a later recording")
    parser.add_argument("--move", help="the move of the ledger to confirm; default: the newest")
    parser.add_argument("--percentile", metavar="P", help="the goal's percentile (95)")
    parser.add_argument("--check", action="store_true", help="exit with 1 unless the number moved")
    _json_flag(parser)


def _ledger(commands: Commands) -> None:
    parser = _command(commands, "ledger", run_ledger, "every rung climbed so far")
    _json_flag(parser)


def _demo(commands: Commands) -> None:
    parser = _command(commands, "demo", run_demo, "the whole loop on a sample shop with a real PostgreSQL, in minutes")
    parser.add_argument(
        "--database",
        metavar="DSN",
        help="use this server instead of one of rung's own (databases rung_shop* are made there)",
    )
    parser.add_argument("--duration", metavar="TIME", help="length of a load phase (30s)")
    parser.add_argument("--port", metavar="N", default="0", help="the shop's port; 0: a free one")
    parser.add_argument("--stay", action="store_true", help="keep the shop and its database up until Ctrl-C")
    _json_flag(parser)


COMMANDS = (_record, _load, _find, _price, _take, _confirm, _ledger, _demo)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command and return its exit status.
    """
    typed = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in typed[: typed.index("--") if "--" in typed else None]
    try:
        return _run(typed)
    except RungError as problem:
        return _tell(problem, as_json=as_json, command=typed[0] if typed else "")
    except BrokenPipeError:
        # Whoever read our output has gone (`rung find | head`); nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ANSWERED
    except KeyboardInterrupt:
        print("\nrung: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _run(typed: list[str]) -> int:
    parser = build_parser()
    commands = [add.__name__.lstrip("_") for add in COMMANDS]
    if typed and not typed[0].startswith("-") and typed[0] not in commands:
        raise UnknownName("command", typed[0], known=commands)
    arguments = parser.parse_args(typed)
    if arguments.command is None:
        parser.print_help()
        return EXIT_ANSWERED
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _tell(problem: RungError, *, as_json: bool, command: str) -> int:
    if as_json:
        from rung.surfaces.document import document, error_content

        print_json(document(command, **error_content(problem)))
    else:
        from rung.surfaces.errors_text import error_text

        print(error_text(problem), file=sys.stderr)
    return problem.exit_status


def print_json(tree: Mapping[str, Any]) -> None:
    """
    Print one JSON document; a figure that does not exist is null.
    """
    print(json.dumps(_finite(tree), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def run_record(arguments: argparse.Namespace) -> int:
    """
    Run the user's command, recorded; its own status is returned.
    """
    command = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    if not command:
        raise UsageError(
            "record needs the command that starts your app",
            why="Nothing was started.",
            steps=(("For example", "rung record -- uvicorn yourapp:app"),),
        )
    from rung.adapters import launcher

    settings = wire.settings_of({}, folder=Path.cwd())
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    # On a terminal the command's end becomes ours; elsewhere it has taken our place and we never get here.
    launcher.end_as(launcher.record(command, folder=Path(settings.folder), name=arguments.name, terminal=terminal))


def run_load(arguments: argparse.Namespace) -> int:
    """
    Send load and print what came of it.
    """
    from rung.surfaces.load import load

    return load(arguments)


def look_at(arguments: argparse.Namespace, recording: str | None) -> Look:
    """
    Return the look at a recording that the flags ask for.
    """
    work = wire.workplace(_goal_flags(arguments), database=arguments.database)
    wire.require(*wire.TOOL_MODULES)
    with work.loop(fresh=getattr(arguments, "fresh", False)) as loop:
        return loop.look(work.recording(recording))


def _goal_flags(arguments: argparse.Namespace) -> dict[str, str | None]:
    return {"goal.percentile": arguments.percentile, "goal.latency": getattr(arguments, "latency", None)}


def run_find(arguments: argparse.Namespace) -> int:
    """
    Print ONE bottleneck, or that nothing needs doing.
    """
    look = look_at(arguments, arguments.recording)
    from rung.surfaces import document, text

    if arguments.json:
        print_json(document.document("find", **document.find_content(look)))
    else:
        print(text.finding_text(look))
    return EXIT_CHECK_FAILED if arguments.check and look.finding.bottleneck is not None else EXIT_ANSWERED


def run_price(arguments: argparse.Namespace) -> int:
    """
    Print the whole ladder.
    """
    look = look_at(arguments, arguments.recording)
    from rung.surfaces import document, text

    if arguments.json:
        print_json(document.document("price", **document.price_content(look)))
    else:
        print(text.ladder_text(look))
    return EXIT_ANSWERED


def run_take(arguments: argparse.Namespace) -> int:
    """
    Write a move's migration, and run it with --apply; or run its undo.
    """
    if arguments.undo and arguments.apply:
        raise BadValue("--undo", "--apply", expected="one of the two")
    wire.require(*wire.TOOL_MODULES)
    from rung.surfaces import document, text

    work = wire.workplace(_goal_flags(arguments), database=arguments.database)
    with work.loop() as loop:
        if arguments.undo:
            return _undo(loop, arguments)
        look = loop.look(work.recording(arguments.recording))
        change = loop.take(look.finding, chosen(look, arguments.move))
        say = print if not arguments.json else (lambda line: print(line, file=sys.stderr))
        applied = loop.apply(change, say=say, wait=arguments.wait) if arguments.apply else None
    if arguments.json:
        print_json(document.document("take", **document.take_content(change, applied)))
    else:
        print(text.change_text(change, applied))
    return EXIT_ANSWERED


def _undo(loop: Loop, arguments: argparse.Namespace) -> int:
    from rung.surfaces import document, text

    change = loop.taken(arguments.move)
    loop.undo(change)
    if arguments.json:
        print_json(document.document("take", **document.take_content(change, None)))
    else:
        print(text.undone_text(change))
    return EXIT_ANSWERED


def chosen(look: Look, asked: str | None) -> Quote:
    """
    Return the quote that *asked* means, or the one on offer.

    Raises:
        NothingToTake: there is none.
    """
    from rung.steps.price import best

    on_offer = [quote for quote in look.quotes if quote.plan is not None]
    names = [quote.name for quote in on_offer]
    if asked is None:
        found = best(look.quotes)
        if found is not None:
            return found
    else:
        matching = [quote for quote in on_offer if quote.name.startswith(asked)]
        if len(matching) > 1:
            raise UsageError(
                f"{asked!r} could be {' or '.join(quote.name for quote in matching)}",
                why="Nothing was taken.",
                steps=tuple(("Take", f"rung take '{quote.name}'") for quote in matching),
            )
        if matching:
            return matching[0]
    reason = (
        "The goal holds, so there is nothing to take."
        if look.finding.bottleneck is None
        else (
            f"On offer: {', '.join(names)}."
            if names
            else "No move against this bottleneck is available yet; rung find names it."
        )
    )
    raise NothingToTake(asked, on_offer=names, reason=reason)


def run_confirm(arguments: argparse.Namespace) -> int:
    """
    Print whether the number moved.
    """
    if arguments.before and not arguments.after:
        raise LedgerError(
            "confirm takes two recordings, or none",
            why="One recording has nothing to be compared with.",
            steps=(("Name both", "rung confirm BEFORE AFTER"),),
        )
    wire.require(*wire.TOOL_MODULES)
    from rung.steps.confirm import MOVED
    from rung.surfaces import document, text

    work = wire.workplace(_goal_flags(arguments), database=None)
    with work.loop() as loop:
        if arguments.before:
            before, after = work.recording(arguments.before), work.recording(arguments.after)
        else:
            before, after = work.pair(loop, arguments.move)
        verdict = loop.confirm(before, after, move=arguments.move)
    if arguments.json:
        print_json(document.document("confirm", **document.confirm_content(verdict)))
    else:
        print(text.verdict_text(verdict))
    return EXIT_CHECK_FAILED if arguments.check and verdict.verdict != MOVED else EXIT_ANSWERED


def run_ledger(arguments: argparse.Namespace) -> int:
    """
    Print every rung climbed so far.
    """
    wire.require(*wire.TOOL_MODULES)
    from rung.surfaces import document, text

    work = wire.workplace({}, database=None)
    with work.loop() as loop:
        entries = loop.entries()
    if arguments.json:
        print_json(document.document("ledger", **document.ledger_content(entries)))
    else:
        print(text.ledger_text(entries, work.settings.ledger_folder))
    return EXIT_ANSWERED


def run_demo(arguments: argparse.Namespace) -> int:
    """
    Run the whole loop on the sample shop.
    """
    from rung.surfaces.demo import demo

    return demo(arguments)


if __name__ == "__main__":
    sys.exit(main())
