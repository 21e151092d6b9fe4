"""
Names out of what others call things: templates of routes, names without numbers, statements that can be planned.

In        texts of spans
Out       names of which there are few; statements without values
Not here  which attribute holds what (meaning.py)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rung.probe.statement import Statement, normalised
from rung.steps.record import METHODS

NAME_MAX = 80
OTHERS = "(others)"

# Flask's <int:id> and Django's <slug:shop>, Django's re_path, Express's :id.
_CONVERTED = re.compile(r"<(?:[a-zA-Z_]\w*(?:\([^)]*\))?:)?([a-zA-Z_]\w*)>")
_EXPRESSION = re.compile(r"\(\?P<(\w+)>[^()]*\)")
_EXPRESS = re.compile(r"(?<=/):(\w+)")
# What is no part of a template: a number, a UUID, a digest.
_IDENTITY = re.compile(r"\d+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?=\D*\d)[0-9a-fA-F]{16,}|.{41,}")
_COUNTED = re.compile(r"(?<![\w.@{<:-])(?![vV]\d{1,2}\b)[\w.@-]*\d[\w.@-]*")
_ERROR = re.compile(r"[A-Za-z_][\w.:]{0,119}")
_SYSTEM = re.compile(r"[a-z][a-z0-9_.-]{0,39}")

_PERCENT = re.compile(r"%(?:\(\w+\))?s")
_MARK = re.compile(r'"(?:[^"]|"")*"|\$\d+|\w+|\?|[^\s\w?]')
# A question mark after one of these stands for a value; after a column it is an operator of jsonb.
_BEFORE_A_VALUE = frozenset({
    "select", "where", "and", "or", "not", "in", "like", "ilike", "between", "limit", "offset", "values", "then",
    "else", "when", "case", "set", "any", "all", "interval", "returning", "is", "distinct", "on", "having", "by",
    "similar", "to", "escape", "for", "from", "as", "?",
})  # fmt: skip


def route_of(template: str) -> tuple[str, bool]:
    """
    Return a framework's template as the recorder has it, and whether something in it had to be folded.

    >>> route_of("shops/<slug:shop>/orders/<int:pk>/")
    ('/shops/{shop}/orders/{pk}/', False)
    >>> route_of("/orders/1017")
    ('/orders/{}', True)
    """
    text = _EXPRESSION.sub(r"{\1}", template)
    text = _CONVERTED.sub(r"{\1}", text)
    text = _EXPRESS.sub(r"{\1}", text).partition("?")[0]
    parts = text.strip("^$").split("/")
    folded = ["{}" if "{" not in part and _IDENTITY.fullmatch(part) else part for part in parts]
    return ("/" + "/".join(folded).lstrip("/"))[: 4 * NAME_MAX], folded != parts


def few(name: str) -> tuple[str, bool]:
    """
    Return a name of somebody's without the words that hold a digit, and whether there were any.

    >>> few("render invoice 4711"), few("GET /v1/orders")
    (('render invoice {}', True), ('GET /v1/orders', False))
    """
    folded = _COUNTED.sub("{}", name)[:NAME_MAX]
    return folded, folded != name


class Names:
    """
    At most so many different names; every further one is one of the others.
    """

    def __init__(self, most: int) -> None:
        self._most, self._known = most, dict[str, None]()

    def kept(self, name: str) -> tuple[str, bool]:
        """
        Return *name*, or what stands for all that came too late, and whether it is that.
        """
        if name not in self._known and len(self._known) >= self._most:
            return OTHERS, True
        self._known[name] = None
        return name, False


def method_of(value: object) -> str:
    """
    Return a method that a standard knows, "OTHER" for any other; "" where none is told.
    """
    if not isinstance(value, str) or not value:
        return ""
    return value.upper() if value.upper() in METHODS else "OTHER"


def error_of(value: object) -> str:
    """
    Return the type of an error, "" for what is none: a status, or a message of somebody's.
    """
    return value if isinstance(value, str) and _ERROR.fullmatch(value) else ""


def system_of(value: object) -> str:
    """
    Return the name of a system, in small letters.
    """
    return value.lower() if isinstance(value, str) and _SYSTEM.fullmatch(value.lower()) else ""


def statement_of(text: str) -> Statement:
    """
    Return a statement without its values, as the recorder has it, whatever stands in it for a parameter.

    >>> statement_of("select * from orders where id = ? and note ? 'x' limit ?").text
    'select * from orders where id = $2 and note ? $1 limit $3'
    """
    percent = _PERCENT.search(text) is not None and "$1" not in text
    told = normalised(text, percent=percent)
    if "?" not in told.text:
        return told
    return normalised("".join(_numbered(told.text)))


def _numbered(text: str) -> Iterator[str]:
    """
    Yield the pieces of *text*, question marks that stand for a value as numbered parameters.
    """
    number = max((int(match[1:]) for match in re.findall(r"\$\d{1,5}", text)), default=0)
    position, before = 0, ""
    for match in _MARK.finditer(text):
        yield text[position : match.start()]
        piece = match[0]
        position = match.end()
        named = before[:1] in ('"', "$") or (before[:1].isalnum() and before.lower() not in _BEFORE_A_VALUE)
        if piece == "?" and not named and before not in (")", "]", "}"):
            number += 1
            piece = f"${number}"
            before = "?"
        else:
            before = piece
        yield piece
    yield text[position:]
