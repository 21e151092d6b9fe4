"""
Name the SQL that measure asks a recording: one file beside this one for each question.

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


def over_kept(*names: str) -> str:
    """
    Return the question of the last NAME.sql over `traffic` and `kept`, which kept.sql defines once for all of them, and
    over what those before it define.
    """
    return sql("kept") + "".join(map(sql, names))
