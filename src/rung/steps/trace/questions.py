"""
Name the SQL that is asked a recording about traces and logs: one file beside this one for each question.

In        the name of a file
Out       its text
Not here  running it (adapters/recordings.py)
"""

from __future__ import annotations

from importlib import resources


def sql(name: str) -> str:
    """
    Return the text of NAME.sql.
    """
    return resources.files(__package__).joinpath(f"{name}.sql").read_text("utf-8")


def over_numbered(name: str) -> str:
    """
    Return the question of NAME.sql over `numbered`, which numbered.sql defines once for all of them.
    """
    return sql("numbered") + sql(name)
