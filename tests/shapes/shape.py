"""
What a case of the shape suite is: statements in a schema with data, and the indexes that are right for them.

In        the schemas and cases of the modules beside this one
Out       values
Not here  measuring and judging (judging.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.advisor.advising import index
from rung.ports import Index


@dataclass(frozen=True, slots=True)
class Execution:
    """
    A statement with $n for its values, the values of one execution as text, and how often it is executed.
    """

    text: str
    values: tuple[str | None, ...] = ()
    executions: float = 1.0


@dataclass(frozen=True, slots=True)
class Shape:
    """
    A case.

    Attributes:
        why: What makes the right index right, in a sentence; what the case was taken from, where it was.
        right: Sets of indexes, each of which is right; empty where any index would be wrong.
        wrong: Sets of indexes that look right, and that the judge must turn down.
    """

    name: str
    why: str
    executions: tuple[Execution, ...]
    right: tuple[tuple[Index, ...], ...] = ()
    wrong: tuple[tuple[Index, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """
    A schema with data, and the cases on it.
    """

    name: str
    schema: str
    shapes: tuple[Shape, ...]


Alternative = str | tuple[str, ...]


def shape(
    name: str,
    statement: str,
    *values: str | None,
    why: str,
    right: Sequence[Alternative] = (),
    wrong: Sequence[Alternative] = (),
    also: Sequence[Execution] = (),
) -> Shape:
    """
    Return a case of one statement, or of several with *also*.
    """
    return Shape(
        name=name,
        why=why,
        executions=(Execution(statement, values), *also),
        right=tuple(_indexes(each) for each in right),
        wrong=tuple(_indexes(each) for each in wrong),
    )


def _indexes(texts: Alternative) -> tuple[Index, ...]:
    return tuple(index(text) for text in ((texts,) if isinstance(texts, str) else texts))
