"""
Read a plan as EXPLAIN (FORMAT JSON) gives it: each node with what it takes by itself, and rows against rows expected.

In        the document of EXPLAIN, with or without ANALYZE, of PostgreSQL 12 to 18
Out       a Tree: nodes in the order that EXPLAIN prints, times, buffers, memory, what the server says beside them
Not here  who takes which part of a time (spent.py), what would change it (moves/remedies.py), words (surfaces/)

Constants are taken out of conditions: a view or a policy brings values that are nobody's to see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rung.steps.explain.memory import Spill, memory_of, spill_of
from rung.steps.explain.spent import Piece, costs_of, pieces_of, times_of
from rung.steps.explain.words import conditions_of, kind_of, role_of
from rung.units import milliseconds

BLOCK_BYTES = 8192
# From this factor on, rows are so far from those expected that another plan may have been right.
OFF_FACTOR = 10.0
# They count no rows, or rows that nobody could expect.
UNCOUNTED = frozenset({"BitmapAnd", "BitmapOr", "ModifyTable"})


class NotAPlan(ValueError):
    """
    What was given is no plan that EXPLAIN could have made; the message says why.
    """


@dataclass(frozen=True, slots=True)
class Buffers:
    """
    Bytes that a node touched by itself: found in PostgreSQL's memory, read into it, and temporary files.

    Attributes:
        read_s: What waiting for the reads took, where track_io_timing is on.
    """

    hit_bytes: int = 0
    read_bytes: int = 0
    temporary_bytes: int = 0
    read_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Node:
    """
    One node of a plan.

    Attributes:
        number: Its place in the order that EXPLAIN prints, from 1.
        parent: The number of the node above it, 0 for the root.
        role: "InitPlan 1", "SubPlan 2", "CTE name"; "" for an ordinary child.
        conditions: What is compared, sorted by or grouped by, each with EXPLAIN's name for it.
        cost: The planner's cost of it with all below it, once.
        self_cost: What of the whole plan's cost is its own, repetitions multiplied out.
        rows_expected: Of all its runs together.
        loops: How often it ran, in all processes together; 0 if never; None where nothing was executed.
        processes: In how many processes side by side.
        total_s: From begin to end, all its runs, with all below it; of several processes what one took on average.
        self_s: What of that is its own.
        rows: Rows of all its runs together.
        ratio: Rows of one run over those expected; None where that cannot be told or means nothing.
        removed: Rows that it read and a filter dropped.
        rechecked: Rows that an index led to and that did not match.
        heap_fetches: Rows that an index-only scan had to look up in the table after all.
        lossy_blocks: Pages of which a bitmap no longer knew which rows.
        memory_bytes: The most that it held.
        planned, launched: Parallel workers.
        cache: Hits, misses and evictions of Memoize.
        searches: How often an index was descended.
    """

    number: int
    parent: int
    depth: int
    kind: str
    role: str
    schema: str
    relation: str
    alias: str
    index: str
    conditions: tuple[tuple[str, str], ...]
    cost: float
    self_cost: float
    rows_expected: float
    width_bytes: int
    loops: float | None = None
    processes: float = 1.0
    total_s: float = 0.0
    self_s: float = 0.0
    rows: float = 0.0
    ratio: float | None = None
    removed: float = 0.0
    rechecked: float = 0.0
    heap_fetches: float = 0.0
    lossy_blocks: int = 0
    memory_bytes: int = 0
    spill: Spill | None = None
    buffers: Buffers = Buffers()
    planned: int = 0
    launched: int = 0
    cache: tuple[int, int, int] | None = None
    searches: int = 0
    workers_s: tuple[float, ...] = ()

    @property
    def off(self) -> bool:
        """
        Whether rows are so far from those expected that another plan may have been right.
        """
        return self.ratio is not None and not 1 / OFF_FACTOR < self.ratio < OFF_FACTOR

    @property
    def never(self) -> bool:
        """
        Whether the statement was executed, and this node was not.
        """
        return self.loops == 0

    def condition(self, name: str) -> str:
        """
        Return what EXPLAIN shows under *name*, "" where it shows nothing.
        """
        return next((text for each, text in self.conditions if each == name), "")


@dataclass(frozen=True, slots=True)
class Trigger:
    """
    A trigger that fired: how often, and what that took.
    """

    name: str
    relation: str
    calls: int
    took_s: float


@dataclass(frozen=True, slots=True)
class Tree:
    """
    A plan.

    Attributes:
        executed: Whether the statement was run for it.
        timed: Whether each node has its time; without, shares are of the cost.
        took_s: From begin to end of the execution, triggers included; 0 where it was not executed.
        compiled_s, compiled: What just-in-time compiling took, of how many functions; it is inside the nodes' times.
        serialised_s: What turning rows into text took; 0 where that was not measured.
        settings: What differs from PostgreSQL's defaults and bears on plans.
    """

    nodes: tuple[Node, ...]
    executed: bool
    timed: bool
    took_s: float = 0.0
    planned_s: float = 0.0
    triggers: tuple[Trigger, ...] = ()
    compiled_s: float = 0.0
    compiled: int = 0
    serialised_s: float = 0.0
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def root(self) -> Node:
        """
        The node that gives the result.
        """
        return self.nodes[0]

    @property
    def whole(self) -> float:
        """
        What shares are shares of: seconds where each node has its time, else cost.
        """
        if not self.timed:
            return self.root.cost
        return max(self.took_s, self.root.total_s, sum(node.self_s for node in self.nodes))

    def share(self, node: Node) -> float:
        """
        Return what of the whole a node takes by itself.
        """
        own = node.self_s if self.timed else node.self_cost
        return own / self.whole if self.whole > 0 else 0.0

    def below(self, node: Node) -> Iterator[Node]:
        """
        Yield the nodes below *node*.
        """
        for each in self.nodes[node.number :]:
            if each.depth <= node.depth:
                return
            yield each

    def children(self, node: Node) -> list[Node]:
        """
        Return the nodes directly below *node*.
        """
        return [each for each in self.below(node) if each.parent == node.number]


def read(document: Any, *, hash_factor: float = 2.0) -> Tree:
    """
    Return the plan that *document*, EXPLAIN's JSON, describes.

    Args:
        hash_factor: hash_mem_multiplier, by which a hash may use more than work_mem.

    Raises:
        NotAPlan: it is none.
    """
    told = document[0] if isinstance(document, list) and document else document
    if not isinstance(told, Mapping) or not isinstance(told.get("Plan"), Mapping):
        raise NotAPlan("it is not what EXPLAIN (FORMAT JSON) prints: there is no Plan in it")
    try:
        return _read(told, hash_factor)
    except (KeyError, TypeError, AttributeError, ValueError) as problem:
        raise NotAPlan(f"a part of the plan is missing or not as EXPLAIN writes it ({problem})") from None


def _read(told: Mapping[str, Any], hash_factor: float) -> Tree:
    pieces = pieces_of(told["Plan"])
    executed = "Actual Rows" in pieces[0].told
    timed = "Actual Total Time" in pieces[0].told
    self_costs = costs_of(pieces)
    totals_s, selves_s = times_of(pieces) if timed else ([0.0] * len(pieces), [0.0] * len(pieces))
    nodes = tuple(
        _node(piece, pieces, self_costs[place], totals_s[place], selves_s[place], hash_factor)
        for place, piece in enumerate(pieces)
    )
    compiled = told.get("JIT") or {}
    triggers = tuple(
        Trigger(
            str(each.get("Constraint Name") or each.get("Trigger Name") or "?"),
            str(each.get("Relation", "")),
            int(each.get("Calls", 0)),
            milliseconds(float(each.get("Time", 0.0))),
        )
        for each in told.get("Triggers", ())
    )
    return Tree(
        nodes=nodes,
        executed=executed,
        timed=timed,
        took_s=milliseconds(float(told.get("Execution Time", 0.0))) or totals_s[0],
        planned_s=milliseconds(float(told.get("Planning Time", 0.0))),
        triggers=triggers,
        compiled_s=milliseconds(float(compiled.get("Timing", {}).get("Total", 0.0))),
        compiled=int(compiled.get("Functions", 0)),
        serialised_s=milliseconds(float(told.get("Serialization", {}).get("Time", 0.0))),
        settings=tuple((str(name), str(value)) for name, value in told.get("Settings", {}).items()),
    )


def _node(
    piece: Piece, pieces: list[Piece], self_cost: float, total_s: float, self_s: float, hash_factor: float
) -> Node:
    told = piece.told
    loops = float(told["Actual Loops"]) if "Actual Loops" in told else None
    rows = float(told.get("Actual Rows", 0.0)) * (loops or 0.0)
    return Node(
        number=piece.place + 1,
        parent=0 if piece.parent is None else piece.parent + 1,
        depth=piece.depth,
        kind=kind_of(told),
        role=role_of(told),
        schema=str(told.get("Schema", "")),
        relation=str(told.get("Relation Name") or told.get("Function Name") or told.get("CTE Name") or ""),
        alias=str(told.get("Alias", "")),
        index=str(told.get("Index Name", "")),
        conditions=conditions_of(told),
        cost=float(told["Total Cost"]),
        self_cost=self_cost,
        rows_expected=piece.rows_expected,
        width_bytes=int(told.get("Plan Width", 0)),
        loops=loops,
        processes=piece.processes,
        total_s=total_s,
        self_s=self_s,
        rows=rows,
        ratio=_ratio(piece, rows),
        removed=(loops or 0.0) * _sum(told, "Rows Removed by Filter", "Rows Removed by Join Filter"),
        rechecked=(loops or 0.0) * _sum(told, "Rows Removed by Index Recheck"),
        heap_fetches=float(told.get("Heap Fetches", 0.0)),
        lossy_blocks=int(told.get("Lossy Heap Blocks", 0)),
        memory_bytes=memory_of(told),
        spill=spill_of(
            told, rows=rows, processes=piece.processes, hash_factor=hash_factor, input_=_input(piece, pieces)
        ),
        buffers=_buffers(piece, pieces),
        planned=int(told.get("Workers Planned", 0)),
        launched=int(told.get("Workers Launched", 0)),
        cache=(
            (int(told["Cache Hits"]), int(told.get("Cache Misses", 0)), int(told.get("Cache Evictions", 0)))
            if "Cache Hits" in told
            else None
        ),
        searches=int(told.get("Index Searches", 0)),
        workers_s=tuple(
            milliseconds(float(each["Actual Total Time"]) * float(each.get("Actual Loops", 1.0)))
            for each in told.get("Workers", ())
            if "Actual Total Time" in each
        ),
    )


def _sum(told: Mapping[str, Any], *names: str) -> float:
    return sum(float(told.get(name, 0.0)) for name in names)


def _input(piece: Piece, pieces: list[Piece]) -> tuple[float, int]:
    """
    Return how many rows the first child gave in all, and how wide they are expected to be.
    """
    if not piece.children:
        return 0.0, 0
    told = pieces[piece.children[0]].told
    return float(told.get("Actual Rows", 0.0)) * float(told.get("Actual Loops", 0.0)), int(told.get("Plan Width", 0))


def _ratio(piece: Piece, rows: float) -> float | None:
    """
    Return rows over rows expected, of one run; each at least one, as the planner never expects less.

    A node that was not run to its end gave fewer rows than it has, which says nothing.  Below a merge join rows
    are also counted again when it goes back.
    """
    loops = float(piece.told.get("Actual Loops", 0.0))
    if not loops or piece.told["Node Type"] in UNCOUNTED or piece.rereads:
        return None
    ratio = max(rows / loops, 1.0) / max(piece.rows_expected / loops, 1.0)
    return None if ratio < 1 and piece.cut_short else ratio


_HIT, _READ = ("Shared Hit Blocks", "Local Hit Blocks"), ("Shared Read Blocks", "Local Read Blocks")
_TEMPORARY = ("Temp Written Blocks",)
_WAITED = ("I/O Read Time", "Shared I/O Read Time", "Local I/O Read Time", "Temp I/O Read Time")


def _buffers(piece: Piece, pieces: list[Piece]) -> Buffers:
    """
    Return what a node touched by itself: EXPLAIN's counts have those of all below it in them.
    """

    def own(names: tuple[str, ...]) -> float:
        below = sum(_sum(pieces[child].told, *names) for child in piece.children)
        return max(_sum(piece.told, *names) - below, 0.0)

    return Buffers(
        hit_bytes=int(own(_HIT)) * BLOCK_BYTES,
        read_bytes=int(own(_READ)) * BLOCK_BYTES,
        temporary_bytes=int(own(_TEMPORARY)) * BLOCK_BYTES,
        read_s=milliseconds(own(_WAITED)),
    )
