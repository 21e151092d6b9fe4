"""
Take the values out of a statement, so that it can leave the process, and name what is left.

The text stays one that PostgreSQL can EXPLAIN with GENERIC_PLAN: literals become parameters, numbered after those
that the statement has, and long lists fold as in pg_stat_statements of PostgreSQL 18.  Whatever cannot be read for
certain (a string without an end, a backslash before a quote) is cut from there to the end.

In        the text handed to a driver
Out       Statement: fingerprint, text without values or comments, kind ("read", "write", "other")
Not here  which tables a statement touches, what it means
"""

from __future__ import annotations

import functools
import re
from hashlib import blake2b
from typing import NamedTuple

TEXT_MAX = 65_536  # characters; a longer statement is cut, lest normalising it hold the event loop
REMEMBERED = 2_048

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<line_comment>--[^\r\n]*)
  | (?P<comment>/\*)
  | (?P<string>(?:[eE]'(?:[^'\\]|\\.|'')*' | [uU]&'(?:[^']|'')*' | [bBxXnN]?'(?:[^']|'')*'))
  | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)
  | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*")
  | (?P<parameter>\$\d+)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<number>\.?\d(?:[eE][+-]\d|[\w.])*)
  | (?P<percent>%(?:\((?P<name>[^)]*)\))?[sbt]|%%)
  | (?P<cast>::|:=|=>|<=|>=|<>|!=|\|\|)
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_TAG = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_PARAMETER = re.compile(r"\$(\d+)")
# SQL's `date '2026-01-01'` takes a literal only; as `$1::date` it takes a parameter.
_TYPED = frozenset({
    "date", "time", "timetz", "timestamp", "timestamptz", "interval", "json",
    "jsonb", "uuid", "numeric", "bytea", "inet", "bool",
})  # fmt: skip
# What SET and NOTIFY are given may be a bare word: a user's role, a tenant's schema, a channel of somebody's.
_TELLING = frozenset({"listen", "unlisten", "notify"})
_SET_BEFORE = frozenset({"to", "role", "authorization"})
_SET_KEPT = frozenset({"to", "default", "none", "on", "off", "true", "false"})
_BY_ENDS = frozenset({
    "limit", "offset", "having", "fetch", "rows", "range", "where", "from",
    "union", "intersect", "except", "window", "for",
})  # fmt: skip

_ELEMENT = r"\$\d+(?:::\w+(?: \w+)*(?:\(\$?\d+(?:, \$?\d+)*\))?(?:\[\])*)?"
_LIST = re.compile(rf"(?<=[(\[])({_ELEMENT})(?:, {_ELEMENT})+(?=[)\]])")
_IN = re.compile(rf"(\b(?:IN|in|In|iN) \(|\b[Aa][Rr][Rr][Aa][Yy] ?\[)({_ELEMENT})(?:, {_ELEMENT})+(?=[)\]])")
_ROW = rf"\((?:{_ELEMENT}|DEFAULT|default|NULL|null)(?:, (?:{_ELEMENT}|DEFAULT|default|NULL|null))*\)"
_ROWS = re.compile(rf"(\bVALUES {_ROW})(?:, {_ROW})+", re.IGNORECASE)

_READS = frozenset({"select", "table", "values", "show", "with"})
_WRITES = frozenset({"insert", "update", "delete", "merge", "truncate", "copy"})
_WRITING = re.compile(
    r"\b(?:insert into|update|delete from|merge into|for (?:no key )?update|for (?:key )?share)\b", re.IGNORECASE
)
_INTO = re.compile(r"\bselect\b[^()]*\binto\b", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


class Statement(NamedTuple):
    """
    A statement without its values.
    """

    fingerprint: str
    text: str
    kind: str


@functools.lru_cache(maxsize=REMEMBERED)
def normalised(text: str, *, percent: bool = False) -> Statement:
    """
    Return *text* without literals and comments; *percent* where the driver takes `%s` for a parameter.

    >>> normalised("select  * from orders where id = 7 -- mine").text
    'select * from orders where id = $1'
    """
    plain = _folded(_without_values(text[:TEXT_MAX], percent=percent))
    # Which number a parameter has is no part of the name: a driver that binds on the server has its own numbered
    # before the literals, one that puts values into the text has all of them from left to right.
    named = _PARAMETER.sub("$", plain)
    return Statement(blake2b(named.encode("utf-8", "replace"), digest_size=8).hexdigest(), plain, _kind(plain))


def _without_values(text: str, *, percent: bool) -> str:
    numbers = [int(number) for number in _PARAMETER.findall(text) if len(number) < 6]
    reader = _Reader(next_number=max(numbers, default=0) + 1, percent=percent)
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None
        kind = match.lastgroup or "mark"
        if kind == "tag":
            kind = "dollar"
        elif kind == "name":
            kind = "percent"
        position = match.end()
        if kind == "comment":
            position = _comment_end(text, position)
            kind = "space"
        elif kind == "mark" and _unreadable(text, match.start()):
            break
        if not reader.take(kind, match):
            break
    return "".join(reader.parts).strip().rstrip("; ")


def _comment_end(text: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            return len(text)
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def _unreadable(text: str, position: int) -> bool:
    # A quote that begins no whole string or name, or a $tag$ without its end: what follows may be a value.
    return text[position] in "'\"\\" or _TAG.match(text, position) is not None


class _Reader:
    """
    Builds the text token by token.
    """

    def __init__(self, *, next_number: int, percent: bool) -> None:
        self.parts: list[str] = []
        self.next_number = next_number
        self.percent = percent
        self.names: dict[str, str] = {}
        self.in_by = False
        self.last = ""  # the last token that was not a space
        self.first = ""  # the word that the statement begins with
        self.given = False  # whether words from here on are values
        self.after_string = False

    def take(self, kind: str, match: re.Match[str]) -> bool:
        """
        Add one token; False where nothing after it can be trusted.
        """
        piece = match[0]
        if kind in {"space", "line_comment"}:
            if self.parts and self.parts[-1] != " ":
                self.parts.append(" ")
            return True
        if kind in {"string", "dollar"}:
            return self._string(piece, kind)
        self.after_string = False
        if kind == "number":
            piece = piece if self._is_position(piece) else self._parameter()
        elif kind == "percent" and self.percent:
            piece = "%" if piece == "%%" else self._percent(match["name"])
        elif self.given and kind in {"word", "quoted"} and piece.lower() not in _SET_KEPT:
            piece = self._parameter()
        elif kind == "word":
            self._word(piece.lower())
        elif piece in "()":
            self.in_by = False
        elif piece == "=":
            self.given = self.first == "set"
        elif piece == ";":
            self.first, self.given = "", False
        self.parts.append(piece)
        self.last = piece
        return True

    def _string(self, token: str, kind: str) -> bool:
        if self.after_string:  # 'a' 'b' on two lines are one literal
            return True
        # With standard_conforming_strings off, 'it\'s' goes on where this string seems to end.
        if kind == "string" and token[0] not in "eE" and "\\'" in token:
            return False
        self.after_string = True
        if self.last.lower() in _TYPED:
            while self.parts and self.parts[-1] in (" ", self.last):
                self.parts.pop()
            if self.parts and self.parts[-1][-1:] not in ("(", "[", " "):
                self.parts.append(" ")
            self.parts.append(f"{self._parameter()}::{self.last}")
        else:
            self.parts.append(self._parameter())
        self.last = "$"
        return True

    def _parameter(self) -> str:
        self.next_number += 1
        return f"${self.next_number - 1}"

    def _percent(self, name: str | None) -> str:
        if name is None:
            return self._parameter()
        if name not in self.names:
            self.names[name] = self._parameter()
        return self.names[name]

    def _word(self, word: str) -> None:
        if not self.first:
            self.first, self.given = word, word in _TELLING
        elif self.first == "set" and word in _SET_BEFORE:
            self.given = True
        if word == "by":
            self.in_by = True
        elif word in _BY_ENDS:
            self.in_by = False

    def _is_position(self, token: str) -> bool:
        # ORDER BY 2 names a column of the result; as a parameter it would order by a constant.
        return self.in_by and len(token) <= 2 and token.isdigit() and (self.last == "," or self.last.lower() == "by")


def _folded(text: str) -> str:
    spaced = re.sub(r" ?, ?", ", ", text)
    spaced = re.sub(r"(?<=[(\[]) | (?=[)\]])", "", spaced)
    spaced = re.sub(r"(\b(?:IN|in|In|iN))\(", r"\1 (", spaced)
    folded = _ROWS.sub(r"\1 /*, ... */", _IN.sub(r"\1\2 /*, ... */", spaced))
    if folded == spaced:
        return spaced
    # What was folded took numbers with it; a gap would leave a parameter whose type nobody can tell.
    kept = sorted({int(number) for number in _PARAMETER.findall(folded)})
    renumbered = {str(old): str(new) for new, old in enumerate(kept, 1)}
    return _PARAMETER.sub(lambda match: "$" + renumbered[str(int(match[1]))], folded)


def _kind(text: str) -> str:
    plain = _QUOTED.sub("", text)
    word = plain.lstrip("( ").partition(" ")[0].partition("(")[0].lower()
    if word in _WRITES:
        return "write"
    if word in _READS:
        return "write" if _WRITING.search(plain) or _INTO.search(plain) else "read"
    return "other"
