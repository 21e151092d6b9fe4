"""
Know what a command is to look at: one recording, several, a fleet's, or traces that others recorded.

In        what was typed
Out       the name of a recording, or of several; others' traces have become one by then
Not here  which recording a name means (adapters/shelf.py), reading traces (adapters/foreign), times (spans.py)
"""

from __future__ import annotations

import argparse
import shlex

from rung import wire
from rung.errors import UsageError
from rung.surfaces.spans import asked_span


def recording_asked(work: wire.Workplace, arguments: argparse.Namespace) -> str:
    """
    Return the name of the recording that is to be looked at.

    Raises:
        UsageError: several are named where one is looked at, or no file of traces.
    """
    from rung.steps.find.foreign import FORMS

    asked, form, command = arguments.recording, arguments.from_, arguments.command
    work.engine = arguments.engine
    if form not in FORMS:
        if len(asked) > 1:
            raise UsageError(
                f"{command} looks at one recording, and {len(asked)} are named",
                why="Nothing was read: one of them would be left out.",
                steps=(
                    ("Read several together", f"rung pack {shlex.join(asked)}"),
                    ("Or read others' traces", f"rung {command} --from otlp {shlex.join(asked)}"),
                ),
            )
        name, since_s, until_s = asked_span(arguments, asked[0] if asked else None, work.settings)
        return work.recording(name, since_s=since_s, until_s=until_s)
    if not asked:
        raise UsageError(
            f"--from {form} needs the file of traces",
            why="Nothing was read.",
            steps=(("Name it", f"rung {command} --from {form} spans.jsonl"),),
        )
    # What reads them takes long to load, and recordings of rung's own need none of it.
    from rung.adapters.foreign.converting import recording_of

    return recording_of(work.data, form, asked)


def recordings_asked(work: wire.Workplace, arguments: argparse.Namespace) -> list[str]:
    """
    Return the names of the recordings that are to be looked at together, each once; the newest sealed one for none.
    """
    return list(dict.fromkeys(work.recording(each) for each in arguments.recording or (None,)))
