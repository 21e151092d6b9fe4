"""
Read a recorded statement's text.

In        SQL, normalised, with $n for every value
Out       sqlglot's tree of it, None for what it cannot read
Not here  what is looked for in it (find/repeats.py, advise/writes.py)
"""

from __future__ import annotations

import re
from typing import Any

import sqlglot
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers


def parsed(statement: str, *, folded: bool = False) -> Any:
    """
    Return the statement's tree.

    Args:
        folded: Names as PostgreSQL folds them, where they are not quoted.
    """
    # sqlglot takes "$2,$" for the beginning of a dollar-quoted text; a blank behind the number parts them.
    spaced = re.sub(r"\$[0-9]+", r"\g<0> ", statement)
    try:
        tree = sqlglot.parse_one(spaced, read="postgres")
        return normalize_identifiers(tree, dialect="postgres") if folded else tree
    except (SqlglotError, RecursionError):
        return None
