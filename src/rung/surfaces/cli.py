"""
The command line: what was typed becomes a call, what it returned becomes text or JSON.

In        argv
Out       an exit status: 0 answered (also "do nothing"), 1 with --check only, 2 could not answer, 130 interrupted
Not here  flags (arguments.py), what a command does (loop.py), its words (text.py), its JSON (document.py)

Whatever a command needs is imported when it runs, so that --help answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rung import wire
from rung.errors import NothingToTake, RungError, SettingByHand, UnknownName, UsageError
from rung.surfaces import terminal
from rung.surfaces.arguments import NAMES, build_parser, flags_of
from rung.surfaces.terminal import (
    EXIT_ANSWERED,
    EXIT_CHECK_FAILED,
    EXIT_INTERRUPTED,
    EXIT_NO_ANSWER,
    EXIT_NOT_SET_UP,
    print_json,
)

if TYPE_CHECKING:
    from rung.adapters.launcher import Fleet
    from rung.config import Settings
    from rung.loop import Look, Loop
    from rung.ports import Say
    from rung.steps.price.quote import Quote


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command and return its exit status.
    """
    typed = list(sys.argv[1:] if argv is None else argv)
    terminal.make_printable()
    try:
        try:
            status = _answer(typed)
        finally:
            terminal.flush()
    except BrokenPipeError:
        # Whoever read our output has gone (`rung find | head`); nothing more can be said.
        terminal.fall_silent()
        return EXIT_ANSWERED
    except OSError as problem:
        # Adapters map their own; what is left is our output, on a disk that is full.
        if problem.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}:
            raise
        return _tell_unwritten(problem, typed)
    return status


def _tell_unwritten(problem: OSError, typed: list[str]) -> int:
    from rung.surfaces import terminal
    from rung.surfaces.errors_text import error_text

    told = UsageError(
        f"the output cannot be written: {problem.strerror}",
        why="The answer was worked out, but where it was sent takes no more.",
        steps=(("Print it here", f"rung {typed[0] if typed else '--help'}"),),
    )
    with contextlib.suppress(OSError):  # it may be on the same disk
        print(error_text(told), file=sys.stderr, flush=True)
    terminal.fall_silent()
    return told.exit_status


def _answer(typed: list[str]) -> int:
    try:
        return _run(typed)
    except RungError as problem:
        return _tell(problem, typed)
    except KeyboardInterrupt:
        # An impatient second one would find nothing left to stop, and print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("\nrung: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _run(typed: list[str]) -> int:
    parser = build_parser()
    if typed and not typed[0].startswith("-") and typed[0] not in NAMES:
        raise UnknownName("command", typed[0], known=NAMES)
    arguments, beyond = parser.parse_known_args(typed)
    if beyond:
        raise _too_much(parser, arguments.command, beyond)
    if arguments.command is None:
        parser.print_help()
        return EXIT_ANSWERED
    return RUNS[arguments.command](arguments)


def _too_much(parser: argparse.ArgumentParser, command: str | None, beyond: list[str]) -> UsageError:
    see = f"rung {command} --help" if command else "rung --help"
    flag = next((word.split("=")[0] for word in beyond if word.startswith("-")), None)
    if flag is not None and flag in flags_of(parser, command):
        return UsageError(
            f"{flag} goes behind the command",
            why="Nothing was run.",
            steps=(("Type", f"rung {command} {flag}"),),
        )
    if flag is not None:
        return UnknownName("flag", flag, known=flags_of(parser, command), where=see.removesuffix(" --help"), see=see)
    return UsageError(
        f"{command or 'rung'} does not take {' '.join(beyond)!r}",
        why="Nothing was run.",
        steps=(("See what it takes", see),),
    )


def _tell(problem: RungError, typed: list[str]) -> int:
    command = next((word for word in typed if word in NAMES), "")
    ours = typed[: typed.index("--")] if "--" in typed else typed
    # Behind `record` stands somebody else's command, whose --json is its own.
    if "--json" in ours and command != "record":
        from rung.surfaces.errors_text import error_document

        print_json(error_document(problem, command))
    else:
        from rung.surfaces.errors_text import error_text

        print(error_text(problem), file=sys.stderr)
    # As with env: a status of our own must not be taken for one of the command's.
    return EXIT_NOT_SET_UP if command == "record" and problem.exit_status == EXIT_NO_ANSWER else problem.exit_status


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
    from rung.surfaces.collect import log_file_of, retention_of, views_if_any

    settings = wire.settings_of({}, folder=Path.cwd())
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    # On a terminal the command's end becomes ours; elsewhere it has taken our place and we never get here.
    status = launcher.record(
        command,
        folder=Path(settings.folder),
        name=arguments.name,
        terminal=terminal,
        retention=retention_of(settings),
        fleet=_fleet(settings),
        raw_bytes_max=settings.record_raw_bytes_max if arguments.raw else None,
        database=_database_if_any(settings, arguments.database, "the database is not sampled"),
        viewed=views_if_any(settings, arguments.name or Path(command[0]).name),
        log_file=log_file_of(settings),
    )
    launcher.end_as(status)


def _fleet(settings: Settings) -> Fleet | None:
    from rung.adapters.launcher import Fleet

    return Fleet(settings.fleet_prefix, settings.fleet_every_s) if settings.fleet_prefix else None


def _database_if_any(settings: Settings, flag: str | None, without: str) -> str | None:
    """
    Return the database that is named, where the command does without as well; *without* says what is missing then.
    """
    try:
        return wire.database_of(settings, flag)
    except RungError as problem:
        print(f"rung: {without}: {problem.message}", file=sys.stderr)
        return None


def look_at(arguments: argparse.Namespace) -> Look:
    """
    Return the look at a recording that the flags ask for.
    """
    work = wire.workplace(_goal_flags(arguments), database=arguments.database)
    wire.require(*wire.TOOL_MODULES)
    if arguments.fresh and not work.settings.planner_dump:
        # Refused before the kept answers are let go, or nothing would be left to answer from.
        work.reach_database(f"rung {arguments.command} --fresh")
    from rung.surfaces.asked import recording_asked

    name = recording_asked(work, arguments)
    with work.loop(fresh=arguments.fresh) as loop:
        return loop.look(name)


def _goal_flags(arguments: argparse.Namespace) -> dict[str, str | None]:
    return {
        "goal.percentile": arguments.percentile,
        "goal.latency": getattr(arguments, "latency", None),
        "planner.dump": getattr(arguments, "planner_dump", None),
    }


def run_find(arguments: argparse.Namespace) -> int:
    """
    Print ONE bottleneck, or that nothing needs doing.
    """
    look = look_at(arguments)
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
    look = look_at(arguments)
    from rung.surfaces import document, ladder

    if arguments.json:
        print_json(document.document("price", **document.price_content(look)))
    else:
        print(ladder.ladder_text(look))
    return EXIT_ANSWERED


def run_take(arguments: argparse.Namespace) -> int:
    """
    Write a move's migration, and run it with --apply; or run its undo.
    """
    if arguments.undo and arguments.apply:
        raise UsageError(
            "--undo and --apply contradict each other",
            why="Nothing was run.",
            steps=(("Build it", "rung take --apply"), ("Or take it away", "rung take --undo")),
        )
    wire.require(*wire.TOOL_MODULES)
    from rung.surfaces import document, done

    work = wire.workplace(_goal_flags(arguments), database=arguments.database)
    with work.loop() as loop:
        if arguments.undo:
            return _undo(work, loop, arguments)
        # A ledger that cannot be read is refused before the migration is written.
        loop.entries()
        look = loop.look(work.recording(arguments.recording))
        quote = chosen(look, arguments.move)
        if arguments.apply:
            # Refused before anything is written, or the repository would tell of a change that was not made.
            if not quote.runnable and quote.patch is None:
                raise SettingByHand(quote.name)
            if quote.runnable:
                work.reach_database("rung take --apply")
        change = loop.take(look.finding, quote)
        say = _beside(arguments)
        applied = loop.apply(change, say=say, wait=arguments.wait) if arguments.apply else None
    if arguments.json:
        print_json(document.document("take", **document.take_content(change, applied)))
    else:
        print(done.change_text(change, applied))
    return EXIT_ANSWERED


def _beside(arguments: argparse.Namespace) -> Say:
    """
    Return what tells the progress of a command, beside its document where it prints one.
    """
    return (lambda line: print(line, file=sys.stderr)) if arguments.json else print


def _undo(work: wire.Workplace, loop: Loop, arguments: argparse.Namespace) -> int:
    from rung.surfaces import document, done

    change = loop.taken(arguments.move)
    if change.work is not None and change.work.undo:
        work.reach_database("rung take --undo")
    loop.undo(change, say=_beside(arguments))
    if arguments.json:
        print_json(document.document("take", **document.take_content(change, None)))
    else:
        print(done.undone_text(change))
    return EXIT_ANSWERED


def chosen(look: Look, asked: str | None) -> Quote:
    """
    Return the quote that *asked* means, or the one on offer.

    Raises:
        NothingToTake: there is none, or it is one that rung cannot write down.
    """
    from rung.steps.price import best

    found = [best(look.quotes)] if asked is None else [each for each in look.quotes if each.name.startswith(asked)]
    known = [quote for quote in found if quote is not None and quote.rung > 0]
    matching = [quote for quote in known if quote.takeable]
    # A whole name may be the beginning of another: pool:2 of pool:20.
    # And a kind that of another: index of index-drop.
    of_kind = [quote for quote in matching if quote.kind == asked]
    matching = [quote for quote in matching if quote.name == asked] or of_kind or matching
    if len(matching) > 1:
        raise UsageError(
            f"{asked!r} could be {' or '.join(quote.name for quote in matching)}",
            why="Nothing was taken.",
            steps=tuple(("Take", f"rung take {shlex.quote(quote.name)}") for quote in matching),
        )
    if matching:
        return matching[0]
    names = [quote.name for quote in look.quotes if quote.takeable and quote.gains]
    on_offer = f"On offer: {', '.join(names)}." if names else "rung can write down no move that gains anything."
    if look.finding.bottleneck is None:
        reason = "The goal holds, so there is nothing to take."
    elif known:
        reason = f"{known[0].name} is done by hand: rung can price it, and not write it down yet. {on_offer}"
    else:
        reason = on_offer
    raise NothingToTake(asked, on_offer=names, reason=reason)


def run_confirm(arguments: argparse.Namespace) -> int:
    """
    Print whether the number moved.
    """
    from rung.surfaces.pairs import confirm_pairs, refuse_load_flags

    if arguments.pairs:
        return confirm_pairs(arguments)
    refuse_load_flags(arguments)
    if arguments.before and not arguments.after:
        raise UsageError(
            "confirm takes two recordings, or none",
            why="One recording has nothing to be compared with.",
            steps=(("Name both", "rung confirm BEFORE AFTER"),),
        )
    wire.require(*wire.TOOL_MODULES)
    from rung.steps.confirm import MOVED
    from rung.surfaces import document, done

    work = wire.workplace(_goal_flags(arguments), database=None, asks=False)
    work.database = _database_if_any(work.settings, arguments.database, "whether the index is used cannot be asked")
    with work.loop() as loop:
        if arguments.before:
            before, after = work.recording(arguments.before), work.recording(arguments.after)
            if before == after:
                raise UsageError(
                    f"both are the recording {before}",
                    why="Compared with itself nothing has moved.",
                    steps=(("Name two", "rung confirm BEFORE AFTER"),),
                )
        else:
            before, after = work.pair(loop, arguments.move)
        verdict = loop.confirm(before, after, move=arguments.move)
    if arguments.json:
        print_json(document.document("confirm", **document.confirm_content(verdict)))
    else:
        print(done.verdict_text(verdict, move=arguments.move))
    return EXIT_CHECK_FAILED if arguments.check and verdict.verdict != MOVED else EXIT_ANSWERED


def run_ledger(arguments: argparse.Namespace) -> int:
    """
    Print every rung climbed so far.
    """
    wire.require(*wire.TOOL_MODULES)
    from rung.steps.score import record_of, record_of_all
    from rung.surfaces import document, done

    work = wire.workplace({}, database=None, asks=False)
    with work.loop() as loop:
        entries = loop.entries()
    if arguments.json:
        print_json(document.document("ledger", **document.ledger_content(entries, score=arguments.score)))
    elif arguments.score:
        print(done.score_text(record_of(entries), record_of_all(entries)))
    else:
        print(done.ledger_text(entries, work.settings.ledger_folder))
    return EXIT_ANSWERED


def _in_its_module(name: str) -> Callable[[argparse.Namespace], int]:
    """
    Return what runs a command that has a module of its name to itself.
    """

    def run(arguments: argparse.Namespace) -> int:
        status: int = getattr(importlib.import_module(f"rung.surfaces.{name}"), name)(arguments)
        return status

    return run


RUNS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "record": run_record,
    "load": _in_its_module("load"),
    "find": run_find,
    "price": run_price,
    "take": run_take,
    "confirm": run_confirm,
    "ledger": run_ledger,
    "explain": _in_its_module("explain"),
    "trace": _in_its_module("trace"),
    "logs": _in_its_module("logs"),
    "collect": _in_its_module("collect"),
    "pack": _in_its_module("pack"),
    "push": _in_its_module("push"),
    "doctor": _in_its_module("doctor"),
    "permissions": _in_its_module("permissions"),
    "demo": _in_its_module("demo"),
}


if __name__ == "__main__":
    sys.exit(main())
