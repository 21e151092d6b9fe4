"""
Find SQL that is pasted together where it is handed to a database.

In        the Source of a Python file
Out       one offence for each call that is handed an f-string, `%`, `.format` or `+` with something variable in it
Not here  text that comes from another function: the rule reads one function at a time, review reads the rest
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house.rules import Function, Offence, Source, scoped

# What takes SQL, in psycopg, asyncpg, DuckDB, SQLAlchemy and sqlite3 ...
TAKES_SQL = {
    "execute", "executemany", "executescript", "exec_driver_sql", "fetchrow", "fetchval", "SQL", "literal_column",
}  # fmt: skip
# ... and what takes it there, but something else elsewhere: these only count with text that reads like SQL.
MAY_TAKE_SQL = {"fetch", "prepare", "cursor", "stream", "copy", "sql", "query", "text"}
READS_LIKE_SQL = re.compile(
    r"\b(select|insert into|update|delete from|create|drop|alter|copy|explain|set|grant|truncate|from|where)\b",
    re.IGNORECASE,
)
REMEDY = "Compose it with psycopg.sql (Identifier, Literal), or hand the value over as a parameter."


def pasted_sql(source: Source) -> Iterator[Offence]:
    """
    SQL is composed, never pasted: a name or value in the text of a statement is how injections begin.
    """
    module_names = _pasted_names(source.tree)
    for node, where, names in _calls(source.tree, "", module_names):
        function = node.func
        called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if called not in TAKES_SQL | MAY_TAKE_SQL or not node.args or not _is_pasted(node.args[0], names):
            continue
        if (
            called in TAKES_SQL
            or isinstance(node.args[0], ast.Name)
            or READS_LIKE_SQL.search(ast.unparse(node.args[0]))
        ):
            yield Offence(source.path, node.lineno, where, f"{called}() is handed pasted SQL", REMEDY)


def _calls(tree: ast.AST, where: str, names: set[str]) -> Iterator[tuple[ast.Call, str, set[str]]]:
    for node in ast.iter_child_nodes(tree):
        inner, known = where, names
        if isinstance(node, Function | ast.ClassDef):
            inner = f"{where}.{node.name}".lstrip(".")
        if isinstance(node, Function):
            known = _pasted_names(node)
        if isinstance(node, ast.Call):
            yield node, where, names
        yield from _calls(node, inner, known)


def _pasted_names(tree: ast.AST) -> set[str]:
    names = set()
    for node, _ in scoped(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_pasted(value, names):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if _is_pasted(value, names):
                names.add(name)
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=ast.JoinedStr()):
                names.add(name)
    return names


def _is_pasted(node: ast.expr, names: set[str]) -> bool:
    match node:
        case ast.JoinedStr():
            return any(isinstance(part, ast.FormattedValue) for part in node.values)
        case ast.Name(id=name):
            return name in names
        case ast.BinOp(left=left, op=ast.Mod()):
            return _is_text(left)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return (_is_text(left) or _is_text(right)) and not (_is_text(left) and _is_text(right))
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "replace")):
            return _is_text(value)
        case _:
            return False


def _is_text(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_text(left) or _is_text(right)
        case _:
            return False
