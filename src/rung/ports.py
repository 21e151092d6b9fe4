"""
What the steps may ask of the world, as values, and who answers, as Protocols.

A step is a generator: it yields a question and is sent the answer.  Questions and answers are frozen
values that go to JSON and back unchanged, so that a step can be run again later from the answers alone.

In        nothing
Out       questions, answers, and the Protocols that adapters fulfil
Not here  how anything is answered (adapters/), who drives a step (loop.py)
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from numpy.typing import NDArray

Column = NDArray[Any]
Result = TypeVar("Result")


class Question:
    """
    Something that a step asks on its way.

    Attributes:
        verb: The method of the port that answers it.
        of_recording: Asked of the recording itself; such answers need not be kept, they can be read again.
    """

    __slots__ = ()
    verb: ClassVar[str]
    of_recording: ClassVar[bool] = False


Step = Generator[Question, Any, Result]


# The recording itself


@dataclass(frozen=True, slots=True)
class Rows(Question):
    """
    The rows that *sql* gives over the recording's tables: requests, segments, statements, processes.

    Answer: one numpy array a column, by name, all of one length.
    """

    verb: ClassVar[str] = "rows"
    of_recording: ClassVar[bool] = True
    sql: str


@dataclass(frozen=True, slots=True)
class Manifest(Question):
    """
    What the recording says of itself.  Answer: RecordingFacts.
    """

    verb: ClassVar[str] = "manifest"
    of_recording: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """
    A recording's own account.

    Attributes:
        name: The name of its folder.
        sealed: False when the collector ended before it could put the recording in order.
        processes: Processes of the app that reported.
        dropped: Requests that were dropped: a buffer was full, or what was sent was not taken.
        failures: Errors inside instruments, each counted and survived.
        failed_at: Where they happened with how many there, most first.
        shed: What the recorder says that it gave up so that the app does not notice it.
        websockets: Connections that were passed on and not recorded.
        libraries: Names and versions of what the app imported of the libraries that rung looks into.
    """

    name: str
    sealed: bool
    processes: int
    dropped: int
    failures: int
    failed_at: tuple[tuple[str, int], ...] = ()
    shed: tuple[str, ...] = ()
    websockets: int = 0
    libraries: tuple[tuple[str, str], ...] = ()


# The database


@dataclass(frozen=True, slots=True)
class Server(Question):
    """
    Which database answers.  Answer: ServerFacts or Unavailable.
    """

    verb: ClassVar[str] = "server"


@dataclass(frozen=True, slots=True)
class Explain(Question):
    """
    The plan that the database would choose for *statement* with parameters unknown.

    Answer: Plan or Unavailable.
    """

    verb: ClassVar[str] = "explain"

    statement: str


@dataclass(frozen=True, slots=True)
class Describe(Question):
    """
    What the catalog knows of a table.  Answer: Table or Unavailable.
    """

    verb: ClassVar[str] = "describe"

    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class WhatIf(Question):
    """
    The plan of *statement* if *index* existed, from the planner twin.  Answer: Promise or Unavailable.
    """

    verb: ClassVar[str] = "what_if"

    statement: str
    index: Index


@dataclass(frozen=True, slots=True)
class Costs(Question):
    """
    What *statements* would cost under each of *configurations*, from the planner twin.  Answer: Costed or Unavailable.

    Attributes:
        statements: Normalised, with $n for every value.
        indexes: Indexes that could exist.
        configurations: What there would be; the empty one is today.
    """

    verb: ClassVar[str] = "costs"

    statements: tuple[str, ...]
    indexes: tuple[Index, ...]
    configurations: tuple[Configuration, ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    """
    Indexes that there would be, as a difference to those that there are.

    Attributes:
        added: Positions of the question's indexes, ascending.
        dropped: Names of existing indexes, as schema.name, that would be gone.
    """

    added: tuple[int, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unavailable:
    """
    The answer to a question that the database would not or could not answer; *reason* is a sentence.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """
    The server that answered: its version as it shows itself, the database, the role rung came as.
    """

    version: str
    database: str
    role: str


@dataclass(frozen=True, slots=True)
class IndexColumn:
    """
    One key of an index.

    Attributes:
        name: The column's; of an expression the expression, as PostgreSQL writes it, without its outer parentheses.
        nulls_first: None where its order puts them by default: last, or first when descending.
        opclass: Operator class, "" for the type's default.
    """

    name: str
    descending: bool = False
    nulls_first: bool | None = None
    expression: bool = False
    opclass: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """
    A btree index that exists or that could.

    Attributes:
        include: Columns that are carried along and order nothing.
        where: The predicate of a partial index as PostgreSQL writes it, "" for a whole one.
    """

    schema: str
    table: str
    columns: tuple[IndexColumn, ...]
    include: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """
    A column: its type as PostgreSQL names it, and its average width in bytes from the statistics.
    """

    name: str
    type: str
    width_bytes: int


@dataclass(frozen=True, slots=True)
class Table:
    """
    What the catalog knows of a table: rows and bytes as of its last ANALYZE, columns, valid indexes.
    """

    schema: str
    name: str
    rows: float
    size_bytes: int
    columns: tuple[TableColumn, ...]
    indexes: tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class PlanNode:
    """
    One node of a plan, in the order and with the depth that EXPLAIN prints.

    Attributes:
        depth: 0 for the root.
        cost: Planner's total cost of this node with all below it.
        rows: Rows the planner expects out of one run of it.
        condition: Filter, index condition or sort key, with constants as the statement has them: none.
    """

    depth: int
    kind: str
    relation: str
    schema: str
    index: str
    cost: float
    rows: float
    condition: str


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A plan as a flat list of nodes; the first is the root.
    """

    nodes: tuple[PlanNode, ...]

    @property
    def cost(self) -> float:
        """
        The planner's total cost, in its own unit.
        """
        return self.nodes[0].cost


@dataclass(frozen=True, slots=True)
class Promise:
    """
    What the planner twin says of a candidate index.

    Attributes:
        before: The twin's plan without it, to be compared with the real server's.
        after: The twin's plan with it.
        used: Whether the plan with it uses it.
        size_bytes: Estimated size of the index.
    """

    before: Plan
    after: Plan
    used: bool
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Cost:
    """
    The planner's cost of one statement under one configuration.

    Statements are planned with values unknown, and with vectors of values drawn from the statistics of their columns:
    a common, a middle and a rare one (fewer where the statement has no values, or none can be drawn).

    Attributes:
        generic: With values unknown; None where that cannot be planned.
        drawn: With each vector of values.
        shares: What share of executions each vector stands for; they add up to 1.
        used: Positions of added indexes that any of these plans uses.
    """

    generic: float | None
    drawn: tuple[float, ...]
    shares: tuple[float, ...]
    used: tuple[int, ...]

    @property
    def expected(self) -> float:
        """
        The cost of an execution, the vectors weighted by their shares; the generic one where there is none.
        """
        if self.drawn:
            return sum(cost * share for cost, share in zip(self.drawn, self.shares, strict=True))
        return self.generic if self.generic is not None else 0.0


@dataclass(frozen=True, slots=True)
class Costed:
    """
    What statements would cost: a row a configuration, a column a statement.

    Attributes:
        costs: None where the statement cannot be planned; why is in *unplanned*.
        unplanned: A reason for each statement, "" where it can be planned.
        sizes_bytes: Estimated size of each index, 0 where it is refused.
        refused: Why an index could not be made, for each, "" where it could.
    """

    costs: tuple[tuple[Cost | None, ...], ...]
    unplanned: tuple[str, ...]
    sizes_bytes: tuple[int, ...]
    refused: tuple[str, ...]


# What is carried out


@dataclass(frozen=True, slots=True)
class Statement:
    """
    SQL to be run by itself, outside a transaction block.
    """

    sql: str


@dataclass(frozen=True, slots=True)
class TextFile:
    """
    A text file for the user's repository; *path* is relative to it.
    """

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Applied:
    """
    What applying a change did.

    Attributes:
        already: The change was there before, and nothing was done.
        took_s: Seconds from first to last statement.
        size_bytes: Size of what was built.
    """

    already: bool
    took_s: float
    size_bytes: int


# What was sent


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """
    What one of two instances made of what it was sent: a row a measured request, in the order in which they were due.

    Attributes:
        name: Its address.
        route: Position in Pairs.routes.
        block: The pair of blocks it is in, from 0.
        latency_s: From when it was due.
        failed: Whether it was answered with a status of 500 and above, or not at all.
    """

    name: str
    route: Column
    block: Column
    latency_s: Column
    failed: Column


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """
    The same arrivals, sent to two instances in turns.

    Attributes:
        pairs: Blocks for each of them.
        lasted_s: Seconds of arrivals.
    """

    routes: tuple[str, ...]
    before: Sent
    after: Sent
    pairs: int
    lasted_s: float


QUESTIONS: tuple[type[Question], ...] = (Server, Explain, Describe, WhatIf, Costs)
ANSWERS = (ServerFacts, Plan, Table, Promise, Costed)

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


class Hands(Protocol):
    """
    Carries changes out: the only port that alters anything.
    """

    def write(self, files: Sequence[TextFile]) -> tuple[str, ...]:
        """
        Write *files*, leaving equal ones alone; return the paths that were new.
        """

    def build_index(self, index: Index, name: str, statement: Statement, *, say: Say, wait: bool) -> Applied:
        """
        Build an index without blocking writers, and check that it is valid.
        """

    def drop_index(self, schema: str, name: str, statement: Statement) -> None:
        """
        Drop an index that rung built.
        """

    def run(self, statements: Sequence[Statement], *, say: Say) -> Applied:
        """
        Run statements one by one, each by itself.
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
