"""
What the steps may ask of the world, as values, and who answers, as Protocols.

A step is a generator: it yields a question and is sent the answer.  Questions and answers are frozen
values that go to JSON and back unchanged, so that a step can be run again later from the answers alone.

In        nothing
Out       questions, answers, and the Protocols that adapters fulfil
Not here  how anything is answered (adapters/), who drives a step (loop.py)
"""

from __future__ import annotations

from rung.ports.asking import Column, Question, Result, Step, Unavailable
from rung.ports.change import Applied, NamedIndex, Statement, TextFile, Work
from rung.ports.database import (
    NO_WRITES,
    Condition,
    Configuration,
    Cost,
    Costed,
    Costs,
    Describe,
    ExistingIndex,
    Explain,
    ForeignKey,
    Index,
    IndexColumn,
    IndexUse,
    IndexUsed,
    Plan,
    PlanNode,
    Promise,
    Server,
    ServerFacts,
    Table,
    TableColumn,
    TableWrites,
    WhatIf,
)
from rung.ports.protocols import Answers, Hands, LedgerFiles, Planner, Ports, Recordings, Repository, Say, Traffic
from rung.ports.recording import Foreign, Manifest, Pairs, RecordingFacts, Rows, Sent
from rung.ports.repository import AlembicProject, DjangoMigration, DjangoModel, Project, Revision, Source

__all__ = [
    "ANSWERS",
    "NO_WRITES",
    "QUESTIONS",
    "AlembicProject",
    "Answers",
    "Applied",
    "Column",
    "Condition",
    "Configuration",
    "Cost",
    "Costed",
    "Costs",
    "Describe",
    "DjangoMigration",
    "DjangoModel",
    "ExistingIndex",
    "Explain",
    "Foreign",
    "ForeignKey",
    "Hands",
    "Index",
    "IndexColumn",
    "IndexUse",
    "IndexUsed",
    "LedgerFiles",
    "Manifest",
    "NamedIndex",
    "Pairs",
    "Plan",
    "PlanNode",
    "Planner",
    "Ports",
    "Project",
    "Promise",
    "Question",
    "RecordingFacts",
    "Recordings",
    "Repository",
    "Result",
    "Revision",
    "Rows",
    "Say",
    "Sent",
    "Server",
    "ServerFacts",
    "Source",
    "Statement",
    "Step",
    "Table",
    "TableColumn",
    "TableWrites",
    "TextFile",
    "Traffic",
    "Unavailable",
    "WhatIf",
    "Work",
]  # fmt: skip

QUESTIONS: tuple[type[Question], ...] = (Server, Explain, Describe, WhatIf, Costs, IndexUse)
ANSWERS = (ServerFacts, Plan, Table, Promise, Costed, IndexUsed)
