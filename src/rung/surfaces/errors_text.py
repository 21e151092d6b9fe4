"""
Put an error into words and into JSON: its three parts, told apart at a glance.

In        a RungError
Out       text for standard error, or the document for standard output
Not here  other words (text.py) and documents (document.py): they need the tool's extra, and an error must be told
          without it
"""

from __future__ import annotations

import sys
import textwrap
from typing import Any

from rung import __version__
from rung.errors import RungError
from rung.surfaces.terminal import width

SCHEMA = 1


def error_text(problem: RungError) -> str:
    """
    Return an error in its three parts: what happened, why it matters, what to type next.
    """
    lines = [f"rung: {problem.message}", ""]
    lines += textwrap.wrap(
        problem.why, width(sys.stderr), initial_indent="  ", subsequent_indent="  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    lines.append("")
    widest = max((len(label) for label, _ in problem.steps), default=0)
    lines += [f"  {label:<{widest}}  {command}" for label, command in problem.steps]
    return "\n".join(lines)


def error_document(problem: RungError, command: str) -> dict[str, Any]:
    """
    Return an error as ErrorDocument (schema.py) has it.
    """
    return {
        "rung": __version__,
        "schema": SCHEMA,
        "command": command,
        "error": {
            "code": problem.code,
            "message": problem.message,
            "why": problem.why,
            "steps": [{"what": what, "command": line} for what, line in problem.steps],
        },
    }
