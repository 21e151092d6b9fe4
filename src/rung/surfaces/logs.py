"""
`rung logs`: the lines that were logged, as JSON lines or for people.

In        the flags: which recording, which lines
Out       text; an exit status
Not here  what a line is called (steps/trace/telling.py), the file that a collector writes (adapters/collector)
"""

from __future__ import annotations

import argparse
import json
import sys

from rung import wire
from rung.errors import BadValue
from rung.loop import Loop
from rung.steps.trace.ids import DIGITS_MIN, looks_like_one
from rung.steps.trace.recorded import Lines, lines_of
from rung.steps.trace.telling import Logged, ids_of, level_of, parts_of, told
from rung.surfaces.asked import recordings_asked
from rung.surfaces.terminal import EXIT_ANSWERED, shows_all
from rung.surfaces.waterfall import printable
from rung.units import show_count


def logs(arguments: argparse.Namespace) -> int:
    """
    Print the lines that were asked for, in order of time.
    """
    wire.require(*wire.TOOL_MODULES)
    trace = arguments.trace.lower() if arguments.trace else None
    if trace is not None and not looks_like_one(trace):
        raise BadValue("--trace", arguments.trace, expected=f"{DIGITS_MIN} to 32 hex digits of a trace's id")
    level = level_of(arguments.level) if arguments.level else 0
    as_text = arguments.text or (sys.stdout.isatty() and not arguments.json)
    work = wire.workplace({}, database=None, asks=False)
    names = recordings_asked(work, arguments)
    with work.loop() as loop:
        found, dropped = _read(loop, names)
    for line in found:
        if line.level < level or not _of_route(line, arguments.route):
            continue
        if trace is not None and not ids_of(line)[0].startswith(trace):
            continue
        print(_text(line) if as_text else json.dumps(told(line), ensure_ascii=not shows_all()))
    if dropped:
        # Beside the lines, which a program may be reading.
        print(
            f"rung: {show_count(dropped)} more lines were not kept: too many at once, or of requests that were not",
            file=sys.stderr,
        )
    return EXIT_ANSWERED


def _read(loop: Loop, names: list[str]) -> tuple[list[Logged], int]:
    read: list[Lines] = [loop.ask(lines_of(), name) for name in names]
    found = sorted((line for each in read for line in each.lines), key=lambda line: line.at_s)
    return found, sum(each.dropped for each in read)


def _of_route(line: Logged, route: str | None) -> bool:
    return route is None or route in {line.route, f"{line.method} {line.route}"}


def _text(line: Logged) -> str:
    trace, _ = ids_of(line)
    return printable("  ".join(part for part in (*parts_of(line), trace) if part))
