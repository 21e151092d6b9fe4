"""
`rung confirm --pairs`: two instances are sent the same load in turns, and the one is judged against the other.

In        the command's flags
Out       the verdict, as for two recordings; an exit status
Not here  sending (adapters/traffic/pairs.py), the flags of load (load.py), the words of a verdict (text.py)
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from rung import wire
from rung.errors import UsageError
from rung.surfaces.load import ProgressLine, asked
from rung.surfaces.terminal import EXIT_ANSWERED, EXIT_CHECK_FAILED, print_json

if TYPE_CHECKING:
    from rung.adapters.traffic.pairs import Turn

LOAD_FLAGS = ("replay", "speed", "disposable", "routes", "rate", "duration", "seed")


def confirm_pairs(arguments: argparse.Namespace) -> int:
    """
    Send the load that the flags ask for to both instances, and print whether the number differs.
    """
    wire.require(*wire.TOOL_MODULES, "aiohttp")
    from rung.adapters.traffic.pairs import route_name, send_pairs
    from rung.steps import ledger
    from rung.steps.confirm import MOVED
    from rung.surfaces import document, done

    if not arguments.before or not arguments.after:
        raise UsageError(
            "--pairs takes the addresses of two instances",
            why="The old one and the new one are compared while both are up.",
            steps=(("Name both", "rung confirm --pairs http://127.0.0.1:8000/ http://127.0.0.1:8001/"),),
        )
    urls = arguments.before, arguments.after
    command = f"rung confirm --pairs {urls[0]} {urls[1]}"
    work = wire.workplace({"goal.percentile": arguments.percentile}, database=None, asks=False)
    with work.loop() as loop:
        # A ledger that cannot be read, or has no such move, is told before minutes are spent.
        entries = loop.entries()
        plan, _, _ = asked(arguments, urls[0], command)
        ledger.waiting(entries, [route_name(route) for route in plan.routes], arguments.move)
        line = ProgressLine(sys.stderr)

        def show(turn: Turn) -> None:
            where = f"pair {turn.pair} of {turn.pairs}" if turn.pair else "warming up"
            line.show(turn.progress, first=f"{where}, {turn.side} · ")

        try:
            sent = send_pairs(urls, plan, progress=show)
        finally:
            line.clear()
        verdict = loop.confirm_pairs(sent, move=arguments.move)
    if arguments.json:
        print_json(document.document("confirm", **document.confirm_content(verdict)))
    else:
        print(done.verdict_text(verdict, move=arguments.move))
    return EXIT_CHECK_FAILED if arguments.check and verdict.verdict != MOVED else EXIT_ANSWERED


def refuse_load_flags(arguments: argparse.Namespace) -> None:
    """
    Raise UsageError for a flag that says what to send, where recordings are compared.
    """
    flag = next((name for name in LOAD_FLAGS if getattr(arguments, name)), None)
    if flag is not None:
        raise UsageError(
            f"--{flag} goes with --pairs",
            why="Recordings are compared as they are; nothing is sent.",
            steps=(
                ("Compare two recordings", "rung confirm BEFORE AFTER"),
                ("Or two instances that are up", f"rung confirm --pairs URL_BEFORE URL_AFTER --{flag}"),
            ),
        )
