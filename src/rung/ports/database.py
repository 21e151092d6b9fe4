"""
What is asked of the database and its planner, and what is answered.

In        nothing
Out       questions and answers
Not here  asking (adapters/planner, adapters/postgres.py)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rung.ports.asking import Question


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
        type: Of a domain the type below it.
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
