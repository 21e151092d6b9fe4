"""
Put an error into words: its three parts, told apart at a glance.

In        a RungError
Out       text for standard error
Not here  other words (text.py, which needs the tool's extra; an error must be told without it)
"""

from __future__ import annotations

import textwrap

from rung.errors import RungError

WIDTH = 110


def error_text(problem: RungError) -> str:
    """
    Return an error in its three parts: what happened, why it matters, what to type next.
    """
    lines = [f"rung: {problem.message}", ""]
    lines += textwrap.wrap(problem.why, WIDTH, initial_indent="  ", subsequent_indent="  ")
    lines.append("")
    width = max((len(label) for label, _ in problem.steps), default=0)
    lines += [f"  {label:<{width}}  {command}" for label, command in problem.steps]
    return "\n".join(lines)
