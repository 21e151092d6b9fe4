"""
Ask the world something: what a question is, and what a step is that asks it.

In        nothing
Out       Question, Step, Unavailable
Not here  the questions themselves (recording.py, database.py, repository.py)
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from numpy.typing import NDArray

Column = NDArray[Any]
Result = TypeVar("Result")


class Question:
    """
    Something that a step asks on its way.

    Attributes:
        verb: The method of the port that answers it.
        port: Which port that is.  Answers of the planner alone are kept: recording and repository can be read again.
    """

    __slots__ = ()
    verb: ClassVar[str]
    port: ClassVar[str] = "planner"


Step = Generator[Question, Any, Result]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """
    The answer to a question that the database would not or could not answer; *reason* is a sentence.
    """

    reason: str
