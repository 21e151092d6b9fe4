"""
Read a condition of a plan: which columns and expressions it compares with what.

PostgreSQL writes each operator of a plan's conditions in parentheses of its own, so the little grammar that is left is
read here, with every expression kept word for word, as an index on it needs.

In        a condition as EXPLAIN (VERBOSE) writes it, the aliases of the plan
Out       comparisons, tests and alternatives, joined by AND
Not here  what an index could do for them (access.py)

Source: PostgreSQL source, ruleutils.c (get_rule_expr, without pretty-printing).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

_TOKEN = re.compile(
    r"""
    \s+
  | (?P<string>[EBXebx]?'(?:[^'\\]|''|\\.)*')
  | (?P<name>"(?:[^"]|"")*"|[^\W\d][\w$]*)
  | (?P<parameter>\$(?:\d+|n))
  | (?P<number>\d[\d.]*(?:e[+-]?\d+)?)
  | (?P<operator>::|[-+*/<>=~!@\#%^&|`?]+)
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SORT_END = re.compile(r"(?P<what>.*?)(?P<down> DESC)?(?: NULLS (?P<nulls>FIRST|LAST))?$", re.DOTALL)
# A test that needs no value, by the words behind what is tested.
_TESTS = (
    ("IS", "NOT", "NULL"), ("IS", "NULL"), ("IS", "NOT", "TRUE"), ("IS", "TRUE"), ("IS", "NOT", "FALSE"),
    ("IS", "FALSE"), ("IS", "NOT", "UNKNOWN"), ("IS", "UNKNOWN"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """
    A piece of a text: its kind, itself, and where it begins and ends.
    """

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Term:
    """
    An expression.

    Attributes:
        text: As PostgreSQL writes it, without parentheses around all of it and without the alias of its columns.
        columns: The columns in it, each with its alias.
        names: Their names as they come, of a row compared as a whole.
        column: Whether it is one column and nothing else.
        cast: Of one column with a cast, the type; else "".
        steady: Whether it holds no parameter, constant that was taken out, or subplan: another time it is the same.
    """

    text: str
    columns: frozenset[tuple[str, str]]
    names: tuple[str, ...] = ()
    column: bool = False
    cast: str = ""
    steady: bool = True

    @property
    def aliases(self) -> frozenset[str]:
        """
        The aliases of its columns.
        """
        return frozenset(alias for alias, _ in self.columns)


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    One term against another.

    Attributes:
        any_of: Whether the right one is a list of which one element has to do.
    """

    left: Term
    operator: str
    right: Term
    any_of: bool = False


@dataclass(frozen=True, slots=True)
class Test:
    """
    What is true of a term by itself: "IS NULL", "IS TRUE" for a bare boolean, "NOT" for one that has to be false.
    """

    term: Term
    test: str
    whole: Term


@dataclass(frozen=True, slots=True)
class Either:
    """
    Alternatives, of which one has to hold; each is joined by AND in itself.
    """

    arms: tuple[tuple[Clause, ...], ...]
    whole: Term


@dataclass(frozen=True, slots=True)
class Opaque:
    """
    What no index can look up: an inequality, a subplan, something unknown.
    """

    whole: Term


Clause = Comparison | Test | Either | Opaque


def clauses(text: str, aliases: Collection[str]) -> tuple[Clause, ...]:
    """
    Return what a condition is made of, joined by AND.

    >>> [type(each).__name__ for each in clauses("((o.a = $1) AND (o.b IS NULL))", {"o"})]
    ['Comparison', 'Test']
    """
    return _clauses(_Reader(text, aliases), _tokens(text))


def sort_key(text: str, aliases: Collection[str]) -> tuple[Term, bool, bool | None]:
    """
    Return what a sort key sorts by, whether it descends, and whether nulls come first (None: where they do by default).

    >>> sort_key("o.at DESC NULLS LAST", {"o"})[1:]
    (True, False)
    """
    parts = _SORT_END.fullmatch(text)
    assert parts is not None
    nulls = None if parts["nulls"] is None else parts["nulls"] == "FIRST"
    return term(parts["what"], aliases), bool(parts["down"]), nulls


def qualified(text: str, alias: str) -> str:
    """
    Return an output of a plan over one table alone, in which columns stand without its alias, with it.

    Words that are types or keywords get it too: they are no columns of the table, and do no harm.

    >>> qualified("sum((total)::numeric)", "o"), qualified("o.total", "o"), qualified("'a b'::text", "o")
    ('sum((o.total)::numeric)', 'o.total', "'a b'::text")
    """
    tokens, parts, at = _tokens(text), [], 0
    for place, token in enumerate(tokens):
        before = tokens[place - 1].text if place else ""
        after = tokens[place + 1].text if place + 1 < len(tokens) else ""
        if token.kind == "name" and before not in {".", "::"} and after not in {".", "("}:
            parts += [text[at : token.start], alias, "."]
            at = token.start
    return "".join([*parts, text[at:]])


def term(text: str, aliases: Collection[str]) -> Term:
    """
    Return an expression as a term.

    >>> term("lower((o.email)::text)", {"o"}).text
    'lower((email)::text)'
    """
    return _Reader(text, aliases).term(_tokens(text))


def _tokens(text: str) -> tuple[Token, ...]:
    return tuple(
        Token(piece.lastgroup, piece[0], piece.start(), piece.end())
        for piece in _TOKEN.finditer(text)
        if piece.lastgroup is not None
    )


def unquoted(name: str) -> str:
    """
    Return a name as the catalog has it.

    >>> unquoted('"Order ""x"" 2"'), unquoted("plain")
    ('Order "x" 2', 'plain')
    """
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


class _Reader:
    """
    One text and the aliases that are known in it.
    """

    def __init__(self, text: str, aliases: Collection[str]) -> None:
        self.text, self.aliases = text, aliases

    def columns(self, tokens: Sequence[Token]) -> list[tuple[int, str, str]]:
        """
        Return each qualified column: the place of its alias's token, alias and name.
        """
        found = []
        for place in range(len(tokens) - 2):
            first, dot, second = tokens[place : place + 3]
            if dot.text != "." or first.kind != "name" or (place and tokens[place - 1].text == "."):
                continue
            alias = unquoted(first.text)
            called = place + 3 < len(tokens) and tokens[place + 3].text == "("
            if alias in self.aliases and not called and (second.kind == "name" or second.text == "*"):
                found.append((place, alias, unquoted(second.text)))
        return found

    def term(self, tokens: Sequence[Token]) -> Term:
        """
        Return *tokens* as a term.
        """
        tokens = _bare(tokens)
        if not tokens:
            return Term("", frozenset())
        found = self.columns(tokens)
        starts = {tokens[place].start: tokens[place + 1].end for place, _, _ in found}
        text, at = [], tokens[0].start
        for start, end in sorted(starts.items()):
            text.append(self.text[at:start])
            at = end
        text.append(self.text[at : tokens[-1].end])
        said = {token.text for token in tokens}
        steady = not any(token.kind == "parameter" for token in tokens) and not said & {"SubPlan", "InitPlan"}
        inner = _bare(tokens[: _cast_at(tokens)])
        alone = len(found) == 1 and len(inner) == 3
        return Term(
            "".join(text),
            frozenset((alias, name) for _, alias, name in found),
            names=tuple(name for _, _, name in found) if tokens[0].text == "ROW" else (),
            column=alone and len(tokens) == 3,
            cast=self.text[tokens[_cast_at(tokens)].end : tokens[-1].end] if alone and len(tokens) > 3 else "",
            steady=steady,
        )


def _clauses(reader: _Reader, tokens: Sequence[Token]) -> tuple[Clause, ...]:
    tokens = _bare(tokens)
    parts = _split(tokens, "AND")
    if len(parts) > 1:
        return tuple(clause for part in parts for clause in _clauses(reader, part))
    parts = _split(tokens, "OR")
    if len(parts) > 1:
        return (Either(tuple(_clauses(reader, part) for part in parts), reader.term(tokens)),)
    return (_clause(reader, tokens),) if tokens else ()


def _clause(reader: _Reader, tokens: Sequence[Token]) -> Clause:
    whole = reader.term(tokens)
    words = tuple(token.text for token in tokens)
    if words[0] == "NOT":
        negated = reader.term(tokens[1:])
        return Test(negated, "NOT", whole) if negated.column else Opaque(whole)
    for test in _TESTS:
        if words[-len(test) :] == test and len(words) > len(test):
            return Test(reader.term(tokens[: -len(test)]), " ".join(test), whole)
    if whole.column:
        return Test(whole, "IS TRUE", whole)
    place = _operator_at(tokens)
    if place is None or "CASE" in words or _asks(tokens[:place]) or _asks(tokens[place + 1 :]):
        return Opaque(whole)
    right = tokens[place + 1 :]
    if right and right[0].text in {"ANY", "ALL"}:
        if right[0].text == "ALL":
            return Opaque(whole)
        return Comparison(reader.term(tokens[:place]), tokens[place].text, reader.term(right[1:]), any_of=True)
    return Comparison(reader.term(tokens[:place]), tokens[place].text, reader.term(right))


def _asks(tokens: Sequence[Token]) -> bool:
    """
    Return whether *tokens* ask a subplan for more than the one value that it is: an index can look up that value.
    """
    words = [token.text for token in _bare(tokens)]
    return "SubPlan" in words and not (words[0] == "SubPlan" and len(words) == 2)


def _operator_at(tokens: Sequence[Token]) -> int | None:
    """
    Return the place of the only operator outside of parentheses, None where there is none or several.
    """
    places = [
        place
        for place, depth in enumerate(_depths(tokens))
        if depth == 0 and tokens[place].kind == "operator" and tokens[place].text != "::"
    ]
    return places[0] if len(places) == 1 and 0 < places[0] < len(tokens) - 1 else None


def _cast_at(tokens: Sequence[Token]) -> int:
    """
    Return the place of the last cast outside of parentheses, the end where there is none.
    """
    places = [place for place, depth in enumerate(_depths(tokens)) if depth == 0 and tokens[place].text == "::"]
    return places[-1] if places else len(tokens)


def _split(tokens: Sequence[Token], word: str) -> list[Sequence[Token]]:
    places = [
        place
        for place, depth in enumerate(_depths(tokens))
        if depth == 0 and tokens[place].kind == "name" and tokens[place].text == word
    ]
    edges = [-1, *places, len(tokens)]
    return [tokens[start + 1 : end] for start, end in pairwise(edges)]


def _bare(tokens: Sequence[Token]) -> Sequence[Token]:
    """
    Return *tokens* without the parentheses around all of them.
    """
    while len(tokens) > 1 and tokens[0].text == "(" and tokens[-1].text == ")":
        # The first closes at the last if nothing between them stands outside of both.
        if any(depth == 0 for depth in _depths(tokens)[1:-1]):
            break
        tokens = tokens[1:-1]
    return tokens


def _depths(tokens: Sequence[Token]) -> list[int]:
    """
    Return how deep in parentheses each token stands; a parenthesis stands as deep as what is around it.
    """
    depths, depth = [], 0
    for token in tokens:
        closing = token.text in {")", "]"}
        depth -= closing
        depths.append(depth)
        depth += token.text in {"(", "["}
    return depths
