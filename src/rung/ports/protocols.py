"""
Who answers and who acts, as Protocols that adapters fulfil.

In        questions
Out       answers
Not here  which adapter fulfils which (wire.py)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rung.ports.asking import Column, Question, Unavailable
from rung.ports.change import Applied, TextFile, Work
from rung.ports.database import (
    Costed,
    Costs,
    Describe,
    Explain,
    IndexUse,
    IndexUsed,
    Plan,
    Promise,
    Server,
    ServerFacts,
    Table,
    WhatIf,
)
from rung.ports.recording import Manifest, RecordingFacts, Rows
from rung.ports.repository import Project, Source

Say = Callable[[str], None]


class Recordings(Protocol):
    """
    Reads one recording.
    """

    def rows(self, question: Rows) -> Mapping[str, Column]:
        """
        Return the asked rows, a numpy array a column.
        """

    def manifest(self, question: Manifest) -> RecordingFacts:
        """
        Return what the recording says of itself.
        """


class Planner(Protocol):
    """
    Answers what a database would do, without changing it.
    """

    def server(self, question: Server) -> ServerFacts | Unavailable:
        """
        Return which database answers.
        """

    def explain(self, question: Explain) -> Plan | Unavailable:
        """
        Return the plan that the database would choose today.
        """

    def describe(self, question: Describe) -> Table | Unavailable:
        """
        Return what the catalog knows of a table.
        """

    def what_if(self, question: WhatIf) -> Promise | Unavailable:
        """
        Return the plan that it would choose if an index existed.
        """

    def statistics(self, question: Any) -> Any:
        """
        Return how well the planner knows some tables (steps/explain/questions.py).
        """

    def costs(self, question: Costs) -> Costed | Unavailable:
        """
        Return what statements would cost under each of some configurations.
        """

    def index_use(self, question: IndexUse) -> IndexUsed | Unavailable:
        """
        Return how often an index has been used since it was built.
        """


class Hands(Protocol):
    """
    Carries changes out: the only port that alters anything.
    """

    def write(self, files: Sequence[TextFile]) -> tuple[str, ...]:
        """
        Write *files*, leaving equal ones alone; return the paths that were new.
        """

    def patch(self, path: str, diff: str, *, back: bool = False) -> Applied:
        """
        Apply a difference to a file of the user's code, or take it back.
        """

    def apply(self, work: Work, *, say: Say, wait: bool) -> Applied:
        """
        Run *work* without blocking writers, and check that an index that it builds is valid.
        """

    def undo(self, work: Work, *, say: Say) -> None:
        """
        Take *work* back.
        """


class Repository(Protocol):
    """
    Reads the user's repository, and runs nothing of it.
    """

    def source(self, question: Source) -> TextFile | Unavailable:
        """
        Return the text of a file.
        """

    def project(self, table: str) -> Project:
        """
        Return how migrations are kept there, with the models of *table*.
        """


class Answers(Protocol):
    """
    Keeps what a step was answered, beside the recording, so that it can be run again from files alone.
    """

    def kept(self, question: Question) -> Any:
        """
        Return the kept answer, or None.
        """

    def keep(self, question: Question, answer: Any) -> None:
        """
        Append the pair.
        """


class Traffic(Protocol):
    """
    Sends the same arrivals to the app again, recorded.
    """

    def again(self, before: str) -> str:
        """
        Return the name of a new recording of the same arrivals as *before*.
        """


class LedgerFiles(Protocol):
    """
    Keeps the ledger's entries as text.
    """

    def read(self) -> list[TextFile]:
        """
        Return all entries in the order of their numbers.
        """

    def write(self, name: str, tree: Mapping[str, Any]) -> None:
        """
        Write one entry, a tree of TOML's types, whole or not at all.
        """


@dataclass(frozen=True, slots=True)
class Ports:
    """
    The outside, as the Loop sees it.

    Attributes:
        recording: Opens the recording of that name.
        answers: Opens what was answered about the recording of that name.
    """

    recording: Callable[[str], Recordings]
    answers: Callable[[str], Answers]
    planner: Planner
    repository: Repository
    hands: Hands
    ledger: LedgerFiles
