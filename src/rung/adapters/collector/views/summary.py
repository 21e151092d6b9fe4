"""
Say in a few words what a statement does: the operation and the tables, as `db.query.summary` is meant.

In        the text of a statement without values (probe/statement.py)
Out       "SELECT orders customers"
Not here  reading conditions or columns (steps/advise), taking values out

Source: OpenTelemetry, Semantic conventions for database client spans, "Generating a summary of the query".
"""

from __future__ import annotations

import re
from functools import lru_cache

# As long as the convention lets a summary be.
LENGTH_MAX = 255
_TARGETS_MAX = 5

_NAME = r'(?:"[^"]+"|[A-Za-z_][\w$]*)'
_PATH = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_WORDS = re.compile(
    r"\b(?P<operation>SELECT|INSERT|UPDATE|DELETE|MERGE|COPY|TRUNCATE|CALL)\b"
    rf"|\b(?:INTO|TABLE)\s+(?P<written>{_PATH})"
    # What has parentheses behind it is a function; nothing of its name is to be given back for that.
    rf"|\b(?:FROM|JOIN|USING)\s+(?:ONLY\s+)?(?P<read>(?>{_PATH}))(?!\s*\()",
    re.IGNORECASE,
)
# What follows UPDATE in `FOR UPDATE`, and SET in `ON CONFLICT DO UPDATE SET`, is no table.
_NO_TARGETS = frozenset({"set", "select", "lateral", "of", "nowait", "skip", "values", "only", "where", "unnest"})
_NOT_READ = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?UPDATE\b|\bDO\s+UPDATE\b|\bEXTRACT\s*\([^()]*\)", re.IGNORECASE)


# How a statement of PostgreSQL is named (probe/statement.py); those of another database, which OpenTelemetry's spans
# tell of, are named by their summary.
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
POSTGRESQL, OTHER_SQL = "postgresql", "other_sql"


def system_of(statement: str) -> str:
    """
    Return the database system of a statement by its name in segments.

    >>> system_of("4f2a9c0d1e3b5a67"), system_of("SELECT orders")
    ('postgresql', 'other_sql')
    """
    return POSTGRESQL if statement == "commit" or _FINGERPRINT.fullmatch(statement) else OTHER_SQL


@lru_cache(maxsize=2_000)
def summary(text: str) -> str:
    """
    Return operation and tables of a statement, its first word where it is none of data.

    >>> summary('SELECT o.id FROM orders o JOIN "Customer" c ON c.id = o.customer_id WHERE o.id = $1')
    'SELECT orders Customer'
    >>> summary("INSERT INTO shop.log SELECT $1 FROM seen"), summary("BEGIN")
    ('INSERT shop.log SELECT seen', 'BEGIN')
    """
    words: list[str] = []
    plain = _NOT_READ.sub("", text)
    for found in _WORDS.finditer(plain):
        if found["operation"]:
            operation = found["operation"].upper()
            words.append(operation)
            if operation == "UPDATE":
                words += _target_behind(plain, found.end())
        else:
            words += _targets(found["written"] or found["read"])
        if len(words) > _TARGETS_MAX:
            break
    if not words:
        words = [text.lstrip("( ").partition(" ")[0].partition("(")[0].upper()]
    shown = ""
    for word in words:
        if len(shown) + 1 + len(word) > LENGTH_MAX:
            break
        shown = f"{shown} {word}".lstrip()
    return shown


@lru_cache(maxsize=2_000)
def operation(text: str) -> str:
    """
    Return the first operation of a statement.

    >>> operation("WITH a AS (SELECT $1) DELETE FROM b"), operation("commit")
    ('SELECT', 'COMMIT')
    """
    return summary(text).partition(" ")[0]


_BEHIND = re.compile(rf"\s+(?:ONLY\s+)?(?P<target>{_PATH})", re.IGNORECASE)


def _target_behind(text: str, position: int) -> list[str]:
    found = _BEHIND.match(text, position)
    return [] if found is None else _targets(found["target"])


def _targets(name: str) -> list[str]:
    return [] if name.lower() in _NO_TARGETS else [re.sub(r'["\s]', "", name)]
