"""
Hold a JSON document against the class that declares it.

In        a document as it was printed, the command that printed it
Out       what does not fit, a line each
Not here  what the figures are
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any

from rung import __version__
from rung.surfaces import schema
from rung.surfaces.errors_text import SCHEMA

DECLARED: Mapping[str, type] = {kind.__name__.removesuffix("Document").lower(): kind for kind in schema.DOCUMENTS}


def misfits(tree: Any, command: str) -> list[str]:
    """
    What of *tree* is not as its class has it; a document with `error` is held against ErrorDocument.
    """
    kind = DECLARED["error" if isinstance(tree, dict) and "error" in tree else command]
    found = list(_misfits(tree, kind, command))
    if not found:
        head = (tree["rung"], tree["schema"], tree["command"])
        if head != (__version__, SCHEMA, command):
            found.append(f"the document begins with {head}")
    return found


def _misfits(value: Any, kind: Any, where: str) -> list[str]:
    if kind is Any:
        return []
    if typing.is_typeddict(kind):
        return _misfits_of_mapping(value, kind, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        tried = [_misfits(value, one, where) for one in arguments]
        return [] if any(not found for found in tried) else min(tried, key=len)
    if origin is list:
        if not isinstance(value, list):
            return [f"{where} is no list but {value!r}"]
        return [line for place, item in enumerate(value) for line in _misfits(item, arguments[0], f"{where}[{place}]")]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{where} is no object but {value!r}"]
        return [line for key, item in value.items() for line in _misfits(item, arguments[1], f"{where}.{key}")]
    plain = {float: (int, float), int: int, str: str, bool: bool, type(None): type(None)}[kind]
    fits = isinstance(value, plain) and (kind is bool or not isinstance(value, bool))
    return [] if fits else [f"{where} is no {kind.__name__} but {value!r}"]


def _misfits_of_mapping(value: Any, kind: Any, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where} is no object but {value!r}"]
    hints = typing.get_type_hints(kind)
    found = [f"{where}.{key} is missing" for key in hints if key not in value]
    found += [f"{where}.{key} is declared nowhere" for key in value if key not in hints]
    for key, hint in hints.items():
        if key in value:
            found += _misfits(value[key], hint, f"{where}.{key}")
    return found
