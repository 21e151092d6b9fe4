"""
Declare an index in the source of a Django model, as a diff for `git apply`.

In        a model's source, the calls that declare indexes
Out       a unified diff; None where the source is not of a shape that rung edits
Not here  applying it: models are the user's to change
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence

from rung.ports import DjangoModel

MODELS = "from django.db import models"


def declares(source: str, model: str, name: str) -> bool:
    """
    Return whether the class *model* names an index *name*.
    """
    found = _class(source, model)
    return found is not None and any(isinstance(node, ast.Constant) and node.value == name for node in ast.walk(found))


def model_diff(model: DjangoModel, calls: Sequence[str], imports: Sequence[str]) -> str | None:
    """
    Return the diff that adds *calls* to the indexes of *model*.
    """
    lines = model.source.splitlines(keepends=True)
    # What ends without a line break, or imports models in a way of its own, is left to people.
    if not model.source.endswith("\n") or f"{MODELS}\n" not in lines:
        return None
    edited = lines
    for call in calls:
        declared = _declared(edited, model.name, call)
        if declared is None:
            return None
        edited = declared
    for line in imports:
        if f"{line}\n" not in edited:
            edited.insert(edited.index(f"{MODELS}\n") + 1, f"{line}\n")
    return "".join(difflib.unified_diff(lines, edited, f"a/{model.path}", f"b/{model.path}"))


def _declared(lines: list[str], model: str, call: str) -> list[str] | None:
    found = _class("".join(lines), model)
    if found is None:
        return None
    body = " " * found.body[0].col_offset
    meta = next((node for node in found.body if isinstance(node, ast.ClassDef) and node.name == "Meta"), None)
    step = " " * (found.body[0].col_offset - found.col_offset)
    if meta is None:
        # A Meta of its own would lose what a base class says in its.
        if [ast.unparse(base) for base in found.bases] != ["models.Model"]:
            return None
        last = max((node.end_lineno or 0 for node in found.body if not isinstance(node, ast.FunctionDef)), default=0)
        text = [f"{body}class Meta:\n", *_list(body + step, step, call)]
        return [*lines[:last], "\n", *text, *lines[last:]]
    listed = [node for node in meta.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "indexes"]
    if not listed:
        last = meta.body[-1].end_lineno or 0
        return [*lines[:last], *_list(" " * meta.body[0].col_offset, step, call), *lines[last:]]
    return _added(lines, listed[0].value, step, call)


def _list(indent: str, step: str, call: str) -> list[str]:
    return [f"{indent}indexes = [\n", f"{indent}{step}{call},\n", f"{indent}]\n"]


def _added(lines: list[str], value: ast.expr, step: str, call: str) -> list[str] | None:
    """
    Return *lines* with one more element of the list *value*.
    """
    if not isinstance(value, ast.List) or not value.elts or value.end_lineno is None or value.end_col_offset is None:
        return None
    last = value.elts[-1]
    assert last.end_lineno is not None and last.end_col_offset is not None
    edited, bracket = list(lines), value.end_lineno - 1
    if last.end_lineno == value.end_lineno:
        # Offsets count bytes.
        line = lines[bracket].encode()
        before, after = line[: last.end_col_offset], line[value.end_col_offset - 1 :]
        edited[bracket] = f"{before.decode()}, {call}{after.decode()}"
        return edited
    line = lines[last.end_lineno - 1].encode()
    rest = line[last.end_col_offset :]
    if not rest.lstrip().startswith(b","):
        edited[last.end_lineno - 1] = (line[: last.end_col_offset] + b"," + rest).decode()
    indent = lines[value.elts[0].lineno - 1][: value.elts[0].col_offset]
    if indent.strip():
        return None  # the first element stands behind the bracket; how the others are laid out is not for us to guess
    edited.insert(bracket, f"{indent}{call},\n")
    return edited


def _class(source: str, name: str) -> ast.ClassDef | None:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    return next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
