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
        port: Which port that is.  Answers of the planner alone are kept: recording and repository can be read again.
    """

    __slots__ = ()
    verb: ClassVar[str]
    port: ClassVar[str] = "planner"


Step = Generator[Question, Any, Result]


# The recording itself


@dataclass(frozen=True, slots=True)
class Rows(Question):
    """
    The rows that *sql* gives over the recording's tables: requests, segments, statements, processes.

    Answer: one numpy array a column, by name, all of one length.
    """

    verb: ClassVar[str] = "rows"
    port: ClassVar[str] = "recording"
    sql: str


@dataclass(frozen=True, slots=True)
class Manifest(Question):
    """
    What the recording says of itself.  Answer: RecordingFacts.
    """

    verb: ClassVar[str] = "manifest"
    port: ClassVar[str] = "recording"


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


# The user's repository


@dataclass(frozen=True, slots=True)
class Source(Question):
    """
    The text of a file of the user's code, its path relative to the repository.  Answer: TextFile or Unavailable.
    """

    verb: ClassVar[str] = "source"
    port: ClassVar[str] = "repository"
    path: str


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
class IndexUse(Question):
    """
    How often an index has been used since it was built.  Answer: IndexUsed or Unavailable.
    """

    verb: ClassVar[str] = "index_use"

    schema: str
    name: str


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
    A column: its type as PostgreSQL names it, and what the statistics say of it without naming a value.

    Attributes:
        width_bytes: On average.
        distinct: Different values as pg_stats has them: a count, or negative a share of the rows; 0 if unknown.
        null_share: Of the rows.
        correlation: Of its order with that of the rows on disk, from -1 to 1; 0 if unknown.
        top_share: Of the rows that have its most common value; 0 if unknown.
    """

    name: str
    type: str
    width_bytes: int
    distinct: float = 0.0
    null_share: float = 0.0
    correlation: float = 0.0
    top_share: float = 0.0


@dataclass(frozen=True, slots=True)
class ExistingIndex:
    """
    An index that the table has, of any kind.

    Attributes:
        name: Without its schema, which is the table's.
        index: Its keys; of a predicate or expression with $n for every constant.
        method: btree, gin, ...
        unique: Whether it keeps values apart.
        constraint: Whether it belongs to a primary key, a unique or an exclusion constraint.
        plain: Whether it has the default operator classes, collations and order of nulls throughout, and no predicate.
        scans: Since the server began to count.
        definition: What builds it again (pg_get_indexdef), "" where that holds a constant.
    """

    name: str
    index: Index
    method: str
    unique: bool
    constraint: bool
    plain: bool
    valid: bool
    size_bytes: int
    scans: int
    definition: str = ""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """
    A foreign key as seen from the table that is referred to, or from the one that refers; *there* is the other one.

    Attributes:
        columns: Of the table that refers.
        action: What a DELETE of the row referred to does here: "no action", "restrict", "cascade", "set null", ...
    """

    schema: str
    table: str
    columns: tuple[str, ...]
    to_columns: tuple[str, ...]
    action: str = "no action"


@dataclass(frozen=True, slots=True)
class TableWrites:
    """
    Rows that the server counted as written to a table.

    Attributes:
        hot_share: Of the updates, those that left every index alone (heap-only tuples); None without updates.
        watched_s: For how long it has counted, at least; 0 if unknown.
    """

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    hot_share: float | None = None
    watched_s: float = 0.0


NO_WRITES = TableWrites()


@dataclass(frozen=True, slots=True)
class Table:
    """
    What the catalog knows of a table: rows and bytes as of its last ANALYZE, columns, indexes.

    Attributes:
        indexes: Those that serve every lookup on their columns: valid, plain and whole btrees.
        existing: All there are, valid or not.
        refers_to: Foreign keys of this table; *schema* and *table* are those referred to.
        referred_by: Foreign keys to this table; *schema* and *table* are those that refer.
        partition_of: Schema and name of the partitioned table at the top, None where it is no partition.
        partitioned: Whether its rows are in partitions, each with indexes of its own.
    """

    schema: str
    name: str
    rows: float
    size_bytes: int
    columns: tuple[TableColumn, ...]
    indexes: tuple[Index, ...]
    existing: tuple[ExistingIndex, ...] = ()
    refers_to: tuple[ForeignKey, ...] = ()
    referred_by: tuple[ForeignKey, ...] = ()
    writes: TableWrites = NO_WRITES
    partition_of: tuple[str, str] | None = None
    partitioned: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """
    One condition or key of a plan's node, by the name that EXPLAIN gives its kind: "Filter", "Sort Key", ...

    Attributes:
        text: As PostgreSQL writes it, columns qualified by alias; $n for every constant that the statement asked about
            does not itself have.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class IndexUsed:
    """
    What the server counted of an index.

    Attributes:
        scans: Since it was built, of it and of its partitions' indexes.
        there: Whether there is such an index.
        valid: Whether plans may use it.
    """

    name: str
    scans: int
    there: bool
    valid: bool

    @property
    def serves(self) -> bool:
        """
        Whether any plan has used it.
        """
        return self.scans > 0


@dataclass(frozen=True, slots=True)
class PlanNode:
    """
    One node of a plan, in the order and with the depth that EXPLAIN prints.

    Attributes:
        depth: 0 for the root.
        cost: Planner's total cost of this node with all below it.
        rows: Rows the planner expects out of one run of it.
        condition: Filter, index condition or sort key, with constants as the statement has them: none.
        alias: By which the plan names the relation, each once.
        conditions: The same one by one; of a sort or group each key.
        output: What it hands upwards, in the form of conditions.
        operation: Of a node that changes rows: "Insert", "Update", "Delete" or "Merge".
        relationship: What it is to the node above: "Outer", "Inner", "Subquery", "InitPlan", "SubPlan", "Member".
    """

    depth: int
    kind: str
    relation: str
    schema: str
    index: str
    cost: float
    rows: float
    condition: str
    alias: str = ""
    conditions: tuple[Condition, ...] = ()
    output: tuple[str, ...] = ()
    operation: str = ""
    relationship: str = ""


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
        differs: How the twin's plan of today differs from the server's own, a sentence; "" where it does not.
        notes: What has to be known of the twin beside that: a version that was not tested, what was not carried over.
    """

    before: Plan
    after: Plan
    used: bool
    size_bytes: int
    differs: str = ""
    notes: tuple[str, ...] = ()


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
        differs: How the twin's plan of today differs from the server's own, for each statement, "" where it does not.
        notes: What has to be known of the twin beside that: a version that was not tested, what was not carried over.
    """

    costs: tuple[tuple[Cost | None, ...], ...]
    unplanned: tuple[str, ...]
    sizes_bytes: tuple[int, ...]
    refused: tuple[str, ...]
    differs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


# What is carried out


@dataclass(frozen=True, slots=True)
class Statement:
    """
    SQL to be run by itself, outside a transaction block.
    """

    sql: str


@dataclass(frozen=True, slots=True)
class NamedIndex:
    """
    An index that is to be there.

    Attributes:
        create: What builds it without blocking writers; of a partitioned table, what builds a partition's.
        index: What it is on; None where *create* is a definition that PostgreSQL wrote.
        partitioned: Whether its table is, so that each partition is given one and the parent's joins them.
    """

    schema: str
    table: str
    name: str
    create: Statement
    index: Index | None = None
    partitioned: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """
    What is run against the database, each statement by itself and outside a transaction, and what takes it back.

    Attributes:
        builds: The indexes that the statements build, in order; the undo drops them, in the same order.
        rebuilds: The index that the undo builds, None where it builds none.
    """

    statements: tuple[Statement, ...]
    undo: tuple[Statement, ...]
    builds: tuple[NamedIndex, ...] = ()
    rebuilds: NamedIndex | None = None


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
        size_bytes: Size of what was built in the database, 0 where nothing was.
    """

    already: bool
    took_s: float
    size_bytes: int


# The user's repository


@dataclass(frozen=True, slots=True)
class Revision:
    """
    One revision of an Alembic project: its file, its id, and those that it builds on.
    """

    path: str
    name: str
    down: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlembicProject:
    """
    The migrations of an Alembic project.

    Attributes:
        folder: Where new revisions go, relative to the repository.
        unreadable: Files among them that are not Python, or name no revision that can be read without running them.
    """

    folder: str
    revisions: tuple[Revision, ...]
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DjangoMigration:
    """
    One migration of a Django app: its file, its name, those of the app that it builds on, those that it replaces.
    """

    path: str
    name: str
    builds_on: tuple[str, ...]
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DjangoModel:
    """
    A model with a table of its own, as its source tells.

    Attributes:
        app: The label of its app.
        path: Its file, relative to the repository.
        source: The text of that file.
        fields: Names of fields with their columns, those of base classes in the project included.
        folder: Where the app's migrations are, "" where it has none.
        migrations: What is there.
        managed: Whether Django makes the table; what it does not make it does not index either.
    """

    app: str
    name: str
    table: str
    path: str
    source: str
    fields: tuple[tuple[str, str], ...]
    folder: str
    migrations: tuple[DjangoMigration, ...]
    managed: bool = True


@dataclass(frozen=True, slots=True)
class Project:
    """
    How the user's repository keeps its migrations, as far as its files tell without being run.

    Attributes:
        alembic: None where it is no Alembic project.
        models: The Django models with the asked table; empty where it is no Django project.
        django: Whether it is a Django project.
        notes: What was found and could not be read, a sentence each.
    """

    alembic: AlembicProject | None = None
    django: bool = False
    models: tuple[DjangoModel, ...] = ()
    notes: tuple[str, ...] = ()


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


QUESTIONS: tuple[type[Question], ...] = (Server, Explain, Describe, WhatIf, Costs, IndexUse)
ANSWERS = (ServerFacts, Plan, Table, Promise, Costed, IndexUsed)

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
