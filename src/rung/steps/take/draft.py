"""
What each format of migrations is given to write down, and what it gives back.

In        nothing
Out       the values Draft and Written, and text quoted as Python
Not here  the formats themselves (sql.py, alembic.py, django.py)
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from rung.ports import NamedIndex, TextFile, Work


@dataclass(frozen=True, slots=True)
class Draft:
    """
    A change that is to be written down.

    Attributes:
        move: The quote's name.
        what: The same for people, on one line.
        work: What is run, and what takes it back.
        folder: Where plain SQL goes, relative to the repository.
        timeout_s: How long a statement may wait for a lock, whole seconds.
    """

    move: str
    what: str
    work: Work
    folder: str
    timeout_s: int

    @property
    def indexes(self) -> tuple[NamedIndex, ...]:
        """
        Return the indexes that are built, or the one that the undo builds again.
        """
        return self.work.builds or ((self.work.rebuilds,) if self.work.rebuilds is not None else ())


@dataclass(frozen=True, slots=True)
class Written:
    """
    A change as files.

    Attributes:
        work: As it was in the draft, but for a name that the format has a say in.
        notes: What is left for people to do, a sentence each.
        run: What carries it out in the format's own way.
    """

    files: tuple[TextFile, ...]
    work: Work
    notes: tuple[str, ...] = ()
    run: str = ""


def file_stem(name: str) -> str:
    """
    Return a move's name as a file's name.

    >>> file_stem("index:orders(customer_id,created_at)")
    'index-orders-customer_id-created_at'
    """
    return re.sub(r"\W+", "-", name).strip("-")


def python_text(text: str) -> str:
    r"""
    Return *text* as a Python literal in double quotes.

    >>> print(python_text('a "b"'))
    "a \"b\""
    """
    return json.dumps(text, ensure_ascii=False)


def docstring_line(text: str) -> str:
    """
    Return *text* as it may stand inside a docstring.
    """
    return python_text(text)[1:-1]
