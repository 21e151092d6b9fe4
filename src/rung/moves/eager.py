"""
Write the ORM's own remedy of an N+1 as a diff of the user's source, where the source leaves no doubt.

In        a Repeat: the line that asks one by one, and the line that asks for the rows
Out       a Remedy: in words, and as a unified diff where the query that feeds the loop stands in the source
Not here  finding out that it is one (steps/find/repeats.py), reading Python (reading.py), reading files (adapters/)

Three accounts have to agree before a line is changed: the recording says at which line the rows were asked for and at
which line each of them asks again; at the first stands one query for a model; and that model has one relation that is
accessed at the second, whose table the repeated statement reads.  Otherwise the advice is given in words.
"""

from __future__ import annotations

import ast
import difflib
import re
from dataclasses import dataclass

from rung.moves.reading import (
    COLUMN,
    DJANGO,
    ONE,
    SQLALCHEMY,
    Query,
    Relation,
    accessed_at,
    imported_from,
    parsed,
    query_at,
    relations_of,
)
from rung.ports import Source, Step, TextFile
from rung.steps.find.repeats import Repeat
from rung.steps.twin.variant import Patch

_SUMMARY = re.compile(r"^\s*SELECT\s+(?:DISTINCT\s+)?\(?\s*(?:count|sum|avg|min|max|exists)\b", re.IGNORECASE)
_ONE_ROW = re.compile(r"\bORDER BY\b.*\bLIMIT \$\d+(?:::\w+)?\s*$", re.IGNORECASE | re.DOTALL)
# How SQLAlchemy asks for a collection that is accessed, and nobody else: the value stands on the left.
_OF_COLLECTION = re.compile(r"WHERE \$\d+(?:::\w+)? = \w+\.\w+", re.IGNORECASE)
# What a query may have beside a join of its own without that changing its rows.
_JOINABLE = frozenset({"where", "filter", "filter_by", "order_by", "limit", "offset", "options", "all"})
_DJANGO_VALUES = frozenset({"values", "values_list", "raw", "union", "intersection", "difference", "aggregate"})


@dataclass(frozen=True, slots=True)
class Remedy:
    """
    What to do about an N+1: in words, and as a diff where there is one.
    """

    words: str
    patch: Patch | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """
    Text put into a line (from 1) before a column (bytes).
    """

    line: int
    column: int
    text: str


def remedy(repeat: Repeat) -> Step[Remedy]:
    """
    Return the remedy of *repeat*; the files that its lines are in are asked for.
    """
    words = Remedy(advice(repeat))
    if not repeat.source_code or not repeat.code:
        return words
    feeding, asking = _split(repeat.source_code), _split(repeat.code)
    file = yield Source(feeding[0])
    other = file if asking[0] == feeding[0] else (yield Source(asking[0]))
    if not isinstance(file, TextFile) or not isinstance(other, TextFile):
        return words
    tree = parsed(file.text)
    query = query_at(tree, feeding[1]) if tree is not None else None
    if tree is None or query is None:
        return words
    relations = relations_of(tree, query.model, query.orm)
    for path in () if relations else imported_from(tree, query.model, file.path):
        models = yield Source(path)
        module = parsed(models.text) if isinstance(models, TextFile) else None
        relations = relations_of(module, query.model, query.orm) if module is not None else {}
        if relations:
            break
    name = loaded(repeat, query, relations, other, asking[1])
    if not name:
        return words
    call = option(query, name, relations[name])
    if not call:
        return words
    made = edited(file.text, tree, query, call)
    if made is None:
        return words
    return Remedy(f"{call} at {repeat.source_code}", Patch(file.path, unified(file.path, file.text, made)))


def advice(repeat: Repeat) -> str:
    """
    Return in words how to ask once.
    """
    if _SUMMARY.search(repeat.text):
        return "one statement with GROUP BY for all of them (annotate() in Django)"
    if _ONE_ROW.search(repeat.text):
        return "one statement with DISTINCT ON or a window for all of them"
    return "one statement for all of them: WHERE … = ANY($1), a join, or the ORM's eager loading"


def loaded(repeat: Repeat, query: Query, relations: dict[str, Relation], file: TextFile, line: int) -> str:
    """
    Return the attribute whose access is the repeated statement, "" where that is in doubt.
    """
    tree = parsed(file.text) if file.path.endswith(".py") else None
    if tree is None and file.path.endswith(".py"):
        return ""
    fitting = {name for name, relation in relations.items() if _reads(repeat.text, relation.table)}
    found = set()
    for access in accessed_at(file.text, tree, line):
        relation = relations.get(access.name)
        if relation is None or access.name not in fitting:
            continue
        # Of a manager only all() is what was fetched beforehand; its other methods ask anew.
        if query.orm == DJANGO and relation.kind != ONE and access.following not in {"all", ""}:
            return ""
        found.add(access.name)
    if not found and query.orm == SQLALCHEMY and _OF_COLLECTION.search(repeat.text):
        found = {name for name in fitting if relations[name].table and relations[name].kind != COLUMN}
    return found.pop() if len(found) == 1 else ""


def option(query: Query, name: str, relation: Relation) -> str:
    """
    Return the method to be called on the query, "" where none brings it.

    >>> option(Query("SQLAlchemy", "Order", ("where",), 1, 0), "lines", Relation("many"))
    '.options(selectinload(Order.lines))'
    >>> option(Query("Django", "Order", ("filter",), 1, 0), "customer", Relation("one"))
    '.select_related("customer")'
    """
    chain = set(query.chain)
    if query.orm == SQLALCHEMY:
        attribute = f"{query.model}.{name}"
        if relation.kind == COLUMN:
            return f".options(undefer({attribute}))"
        # A join may meet GROUP BY, DISTINCT or FOR UPDATE, which a second statement does not.
        how = "joinedload" if relation.kind == ONE and chain <= _JOINABLE else "selectinload"
        return f".options({how}({attribute}))"
    if chain & _DJANGO_VALUES:
        return ""
    if relation.kind == ONE:
        return f'.select_related("{name}")' if not chain & {"only", "defer", "select_for_update"} else ""
    return f'.prefetch_related("{name}")' if "iterator" not in chain else ""


def edited(text: str, tree: ast.Module, query: Query, call: str) -> str | None:
    """
    Return *text* with *call* put behind the query, and with the import that it takes; None where that is no Python.
    """
    lines = _lines(text)
    if query.line > len(lines):
        return None
    changes = [Change(query.line, query.column, _on_its_own_line(lines, query) + call)]
    if query.orm == SQLALCHEMY:
        name = re.findall(r"\((\w+)\(", call)[0]
        imported = _import(lines, tree, name)
        if imported is None:
            return None
        changes += imported
    for change in sorted(changes, key=lambda each: (each.line, each.column), reverse=True):
        old = lines[change.line - 1].encode()
        lines[change.line - 1] = (old[: change.column] + change.text.encode() + old[change.column :]).decode()
    made = "".join(lines)
    return made if parsed(made) is not None else None


def unified(path: str, old: str, new: str) -> str:
    """
    Return the difference as `git apply` and `patch -p1` take it.
    """
    made = difflib.unified_diff(_lines(old), _lines(new), f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in made)


def _lines(text: str) -> list[str]:
    """
    Return lines as Python counts them, each with its end.
    """
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _on_its_own_line(lines: list[str], query: Query) -> str:
    """
    Return the line break and indent with which a chain goes on that has each call on a line of its own.
    """
    rest = lines[query.line - 1].encode()[query.column :].decode().strip()
    following = lines[query.line] if query.line < len(lines) else ""
    if rest or not following.lstrip().startswith("."):
        return ""
    ending = "\r\n" if lines[query.line - 1].endswith("\r\n") else "\n"
    return ending + following[: len(following) - len(following.lstrip())]


def _import(lines: list[str], tree: ast.Module, name: str) -> list[Change] | None:
    """
    Return what has *name* of sqlalchemy.orm imported, nothing where it is; None where there is no place for it.
    """
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in imports:
        if isinstance(node, ast.ImportFrom) and node.module == "sqlalchemy.orm" and not node.level:
            if any(alias.name == name and alias.asname is None for alias in node.names):
                return []
            later = next((alias for alias in node.names if alias.name.lower() > name), None)
            if later is not None:
                return [Change(later.lineno, later.col_offset, f"{name}, ")]
            last = node.names[-1]
            return [Change(last.end_lineno or 0, last.end_col_offset or 0, f", {name}")]
    of_library = [
        node for node in imports if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
    ]
    place = next(reversed(of_library or imports), None)
    if place is None or place.end_lineno is None or not lines[place.end_lineno - 1].endswith("\n"):
        return None
    ending = "\r\n" if lines[place.end_lineno - 1].endswith("\r\n") else "\n"
    behind = len(lines[place.end_lineno - 1].encode())
    return [Change(place.end_lineno, behind, f"from sqlalchemy.orm import {name}{ending}")]


def _reads(statement: str, table: str) -> bool:
    """
    Return whether a statement reads *table*; what has no name here may be any.
    """
    if not table:
        return True
    name = re.escape(table.rpartition(".")[2])
    return re.search(rf'\b(?:FROM|JOIN|,)\s+(?:"?\w+"?\.)?"?{name}"?(?!\w)', statement, re.IGNORECASE) is not None


def _split(code: str) -> tuple[str, int]:
    path, _, line = code.rpartition(":")
    return path, int(line) if line.isdigit() else 0
