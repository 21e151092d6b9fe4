"""
List what requests ask one by one (N+1): statements that one request executes again and again, and from which line.

In        the recording, asked for as rows
Out       Repeats: route, statement, line, how often a request, which statement gave the rows, and why it is none to be
          asked at once, where it is not
Not here  what asking once would bring (moves/nplusone.py), how it is written (moves/eager.py)

No load has to show it: what repeats in one request repeats in all.  Whether it matters is the price's to say.

A loop is not told from an N+1 by its statement alone.  An N+1 is begun by a statement that gives the rows; where one
gave exactly as many as there are repeats, that is the proof.  Otherwise the loops that a request has for other reasons
are told by what they do: they write, they read page after page, they ask for many at a time, or ask the same again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from sqlglot import exp

from rung.ports import Column, Rows, Step
from rung.steps.measure.parsed import parsed
from rung.steps.measure.questions import sql
from rung.steps.twin.edit import REPEATS_MIN

# Of the requests that ask at all: where fewer repeat it, p95 does not see it.
REQUESTS_SHARE_MIN = 0.05
# Of the requests that repeat it, how many have to agree on what it is.
AGREEING_MIN = 0.5

WRITES = "it writes: one statement for many rows is for you to write"
PAGES = "it reads page after page"
MANY = "it asks for many at a time"
SAME = "it asks the same again and again: it waits for something, or could keep the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """
    One statement that requests of a route execute again and again from one line.

    Attributes:
        statement: Its fingerprint.
        kind: read or write.
        code: The line of the user's code that asks, "" where unknown.
        calls: Executions in the middle one of the requests that repeat it.
        requests: How many repeat it.
        spent_s: What all of its executions took there.
        source: Fingerprint of the statement that gives the rows, "" where none does.
        source_code: The line that asks for that one.
        source_rows: Rows that it gives in the middle request.
        one_for_each: Whether it is executed exactly once for each of these rows.
        why_not: Why it is no N+1, "" where it is one.
    """

    route: str
    statement: str
    text: str
    kind: str
    database: str
    code: str
    calls: int
    requests: int
    spent_s: float
    source: str
    source_code: str
    source_rows: int
    one_for_each: bool
    why_not: str


def repeats() -> Step[tuple[Repeat, ...]]:
    """
    Return what requests ask again and again, the most time in it first.
    """
    question = resources.files(__package__).joinpath("repeats.sql").read_text("utf-8")
    rows = yield Rows(sql("kept") + question.format(calls_min=REPEATS_MIN))
    return repeats_of(rows)


def one_by_one(found: tuple[Repeat, ...], route: str) -> tuple[Repeat, ...]:
    """
    Return those of *route* that are N+1.
    """
    return tuple(each for each in found if each.route == route and not each.why_not)


def repeats_of(rows: Mapping[str, Column]) -> tuple[Repeat, ...]:
    """
    Return the Repeats of rows as repeats.sql gives them.
    """
    found = []
    for place in range(len(rows["route"])):
        row = {name: column[place] for name, column in rows.items()}
        requests, kind = int(row["requests"]), str(row["kind"])
        if kind not in {"read", "write"} or requests < REQUESTS_SHARE_MIN * int(row["asking"]):
            continue
        exact = bool(row["one_for_each"] >= AGREEING_MIN * requests)
        same = bool(row["digested"] and row["same"] >= AGREEING_MIN * row["digested"])
        found.append(
            Repeat(
                route=str(row["route"]),
                statement=str(row["statement"]),
                text=str(row["text"]),
                kind=kind,
                database=str(row["database"]),
                code=str(row["code"]),
                calls=int(row["calls"]),
                requests=requests,
                spent_s=float(row["spent_s"]),
                source=str(row["source"]),
                source_code=str(row["source_code"]),
                source_rows=int(row["source_rows"]),
                one_for_each=exact,
                why_not=why_not(str(row["text"]), kind, exact=exact, same=same),
            )
        )
    return tuple(found)


def why_not(text: str, kind: str, *, exact: bool, same: bool) -> str:
    """
    Return why a repeated statement is no N+1, "" where it is one.

    Args:
        exact: Whether it is executed once for each row of another statement.
        same: Whether one request asks with the same values each time.

    >>> why_not("SELECT name FROM customer WHERE id = $1", "read", exact=False, same=False)
    ''
    >>> why_not("SELECT id FROM event WHERE id > $1 ORDER BY id LIMIT $2", "read", exact=False, same=False)
    'it reads page after page'
    """
    if kind == "write":
        return WRITES
    if exact:
        return ""
    if same or "$" not in text:
        return SAME
    if _MANY.search(text):
        return MANY
    return PAGES if _pages(text) else ""


# A list of values, as the recorder folds it, or an array.
_MANY = re.compile(r"/\*, \.\.\. \*/|= ?any ?\(\s*(?:cast\s*\()?\$", re.IGNORECASE)


def _pages(text: str) -> bool:
    """
    Return whether a statement reads a page: so many rows from an offset, or from a value of what it orders by.
    """
    if not re.search(r"\b(?:limit|fetch)\b", text, re.IGNORECASE):
        return False
    tree = parsed(text)
    if not isinstance(tree, exp.Select):
        return False
    if tree.args.get("offset") is not None:
        return True
    order, where = tree.args.get("order"), tree.args.get("where")
    if order is None or where is None:
        return False
    first = next(iter(order.find_all(exp.Column)), None)
    ranges = [each for kind in (exp.GT, exp.GTE, exp.LT, exp.LTE) for each in where.find_all(kind)]
    return first is not None and any(
        column.name == first.name for each in ranges for column in each.find_all(exp.Column)
    )
