"""
Name the SQL that is asked a recording about traces and logs: one file beside this one for each question.

In        the name of a file
Out       its text; what answers it, row by row
Not here  running it (adapters/recordings.py)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from rung.ports import Column


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


def rows_of(columns: Mapping[str, Column]) -> Iterator[dict[str, Any]]:
    """
    Yield the rows of an answer, each by the names of its columns.
    """
    names = list(columns)
    for values in zip(*(columns[name].tolist() for name in names), strict=True):
        yield dict(zip(names, values, strict=True))
