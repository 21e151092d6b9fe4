"""
What an execution of a plan does, counted: rows fetched, pages visited, rows sorted.

The planner's cost weighs a page that might come from a disk as heavily as hundreds of rows; on a server whose data
are in memory a page takes less than a row.  So cost is taken apart again, node by node, into what is done how often.

In        a Plan, the rows that an execution really returned where known, tables where known
Out       counts of each KIND of work, for one execution, and how much of them is the planner's guess
Not here  how long that takes (timing.py), plans themselves (adapters/planner.py)

Sources: PostgreSQL's costsize.c, from which the planner's cost is undone, with the default cost of a row, an index
entry and an operator; the page's cost is the caller's to name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from rung.ports import Plan, Table
from rung.steps.measure import Floats

KINDS = (
    "statement",  # each execution, whatever it does
    "node",  # of the plan, to be set up and taken down
    "descent",  # from the root of an index to a leaf
    "fetched",  # rows of a table found by an index
    "entry",  # of an index, read without its row or before it
    "page",  # visited by way of an index
    "scanned",  # rows of a whole read of a table
    "swept",  # pages of a whole read of a table
    "compared",  # pairs of rows, while sorting
    "hashed",  # rows put in, looked up, or counted into a group
    "passed",  # rows handed on by a join or another node
    "returned",  # rows sent
)
PLACE = {kind: place for place, kind in enumerate(KINDS)}

RANDOM_PAGE_COST = 4.0
# cpu_tuple_cost + cpu_index_tuple_cost + cpu_operator_cost, and the same without the entry of an index.
INDEX_ROW_COST, ROW_COST = 0.0175, 0.0125
DESCENT_COST = 0.3
LOOKUP_COST = 0.44  # of one row, beside its two pages; the descent of an index of some millions of rows
PAGE_COST_LEAST = 0.05
PAGE_ROWS = 60.0  # of a table of which nothing else is known
PAGE_BYTES = 8192
# Of one value the planner knows what an average one has; of a range without its ends, nothing (DEFAULT_RANGE_INEQ_SEL).
AVERAGE_DOUBT, RANGE_DOUBT = 0.5, 1.2
RANGE = re.compile(r"Index Cond: .*[<>]")
ROWS_LEAST = 0.1  # an execution that returns nothing still looks
HANDING_ON = frozenset({"ModifyTable", "LockRows", "Gather", "Gather Merge", "Result", "Subquery Scan", "Sort"})
BLOCKING = frozenset({"Sort", "Aggregate", "Hash", "SetOp"})

Tables = Mapping[tuple[str, str], Table]


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """
    What one execution does.

    Attributes:
        amounts: How much of each of KINDS.
        doubt: How far the rows may be off that nothing but the planner's guess tells, as a standard deviation of
            their logarithm; 0 where the recording tells them.
    """

    amounts: Floats
    doubt: float = 0.0


def work_of(
    plan: Plan, *, rows: float | None = None, tables: Tables | None = None, page_cost: float = RANDOM_PAGE_COST
) -> Work:
    """
    Return what one execution of *plan* does.

    Args:
        rows: That an execution returned on average, as recorded. The planner, which was not told any value, expects
            what an average value gives, and a tenth of everything of LIMIT $1; what was recorded sets that right.
        tables: By schema and name; of others pages and rows are read out of the cost.
        page_cost: The server's random_page_cost.

    >>> from rung.ports import PlanNode
    >>> scan = PlanNode(0, "Index Scan", "t", "public", "i", 8.45, 1.0, "Index Cond: (id = $1)")
    >>> work = dict(zip(KINDS, work_of(Plan((scan,))).amounts.round(1).tolist(), strict=True))
    >>> work["descent"], work["fetched"], work["page"], work["returned"]
    (1.0, 1.0, 2.0, 1.0)
    """
    walk = _Walk(plan, tables or {}, page_cost)
    out = walk.visit(0, runs=1.0, scale=_scale(walk, rows), actual=rows)
    walk.add("statement", 1.0)
    walk.add("node", len(plan.nodes))
    walk.add("returned", out if rows is None else rows)
    return Work(walk.amounts, walk.doubt)


def page_cost_of(plans: Iterable[Plan]) -> float:
    """
    Return the server's random_page_cost, read out of plans that look one row up by an index: two pages and little else.

    >>> from rung.ports import PlanNode
    >>> page_cost_of([Plan((PlanNode(0, "Index Scan", "t", "public", "i", 2.64, 1.0, "Index Cond: (id = $1)"),))])
    1.1
    """
    found = []
    for plan in plans:
        scans = [node for node in plan.nodes if node.relation]
        if (
            len(scans) == 1
            and scans[0].kind == "Index Scan"
            and scans[0].rows <= 1
            and RANGE.search(scans[0].condition) is None
        ):
            found.append((scans[0].cost - LOOKUP_COST) / 2)
    # Settings have a decimal or two; what the height of an index adds is less than that.
    return max(round(sorted(found)[len(found) // 2], 1), PAGE_COST_LEAST) if found else RANDOM_PAGE_COST


def _scale(walk: _Walk, rows: float | None) -> float:
    """
    Return by what the planner's rows are multiplied on the way down from the root; a limit is its own matter.
    """
    place = 0
    while rows is not None and walk.kind(place) in HANDING_ON and walk.children[place]:
        place = walk.children[place][0]
    if rows is None or walk.kind(place) in {"Limit", "Aggregate"}:
        return 1.0
    wanted, planned = max(rows, ROWS_LEAST), max(walk.plan.nodes[place].rows, ROWS_LEAST)
    while walk.children[place]:
        place = walk.children[place][0]
    # Where a join was thought to keep fewer rows than it does, what drives it need not have more than there are.
    driving = max(walk.plan.nodes[place].rows, ROWS_LEAST)
    return min(wanted / planned, max(wanted / driving, 1.0))


class _Walk:
    """
    One way through a plan, from the root down, adding up what is done.
    """

    def __init__(self, plan: Plan, tables: Tables, page_cost: float) -> None:
        self.plan, self.tables, self.page_cost = plan, tables, page_cost
        self.amounts: Floats = np.zeros(len(KINDS))
        self.doubt = 0.0
        self.children: list[list[int]] = [[] for _ in plan.nodes]
        above: list[int] = []
        for place, node in enumerate(plan.nodes):
            while above and plan.nodes[above[-1]].depth >= node.depth:
                above.pop()
            if above:
                self.children[above[-1]].append(place)
            above.append(place)

    def kind(self, place: int) -> str:
        """
        Return a node's kind, whether it is run in parallel or not.
        """
        return self.plan.nodes[place].kind.removeprefix("Parallel ")

    def add(self, kind: str, amount: float) -> None:
        """
        Count *amount* more of *kind*.
        """
        self.amounts[PLACE[kind]] += amount

    def visit(
        self, place: int, *, runs: float, share: float = 1.0, scale: float = 1.0, actual: float | None = None
    ) -> float:
        """
        Count what a node and all below it do, and return the rows that one run hands on.

        Args:
            runs: How often it is run.
            share: How much of what it could hand on is asked of it.
            scale: By what the planner's rows are to be multiplied.
            actual: Rows that an execution returned, as long as those of this node are the same.
        """
        kind, below = self.kind(place), self.children[place]
        out = self.plan.nodes[place].rows * share * scale
        if kind in {"Seq Scan", "Sample Scan"}:
            self._whole(place, runs * share)
        elif kind in {"Index Scan", "Index Only Scan"}:
            self._guessed(place, actual)
            self._by_index(place, runs, share * scale)
        elif kind == "Bitmap Heap Scan":
            self._guessed(place, actual)
            self._by_bitmap(place, runs, share, scale)
        elif kind == "Nested Loop" and len(below) > 1:
            self._nested(place, runs, share, scale, actual)
        elif kind == "Hash Join" and len(below) > 1:
            probed = self.visit(below[0], runs=runs, share=share, scale=scale, actual=actual)
            self.add("hashed", runs * (probed + self.visit(below[1], runs=runs)))
            self.add("passed", runs * out)
        elif kind == "Limit" and below:
            out = self._limited(place, runs, actual)
        elif kind in {"Sort", "Incremental Sort"} and below:
            self._sorted(place, runs, share, scale, actual)
        elif kind == "Aggregate" and below:
            self.add("hashed", runs * self.visit(below[0], runs=runs))
        else:
            for child in below:
                self.visit(child, runs=runs, share=1.0 if kind in BLOCKING else share, scale=scale, actual=actual)
            self.add("passed", runs * out if below and kind not in {"Hash", "Result", "ModifyTable"} else 0.0)
        return out

    def _guessed(self, place: int, actual: float | None) -> None:
        """
        Doubt how many rows an index scan gives where no recorded rows tell it.
        """
        node = self.plan.nodes[place]
        conditions = [node.condition, *(self.plan.nodes[child].condition for child in self._under(place))]
        if any("Filter: " in each for each in conditions):
            self.doubt = max(self.doubt, AVERAGE_DOUBT)
        if actual is None:
            ranged = any(RANGE.search(each) for each in conditions)
            self.doubt = max(self.doubt, RANGE_DOUBT if ranged else AVERAGE_DOUBT)

    def _whole(self, place: int, times: float) -> None:
        node = self.plan.nodes[place]
        table = self.tables.get((node.schema, node.relation))
        if table is not None:
            rows, pages = table.rows, table.size_bytes / PAGE_BYTES
        else:
            pages = node.cost / (1.0 + ROW_COST * PAGE_ROWS)
            rows = PAGE_ROWS * pages
        self.add("scanned", times * rows)
        self.add("swept", times * pages)

    def _by_index(self, place: int, runs: float, part: float) -> None:
        node = self.plan.nodes[place]
        only, fetched = self.kind(place) == "Index Only Scan", node.rows
        if "Filter: " in node.condition:
            fetched = self._before_filter(place)
        cost = node.cost - DESCENT_COST - fetched * INDEX_ROW_COST
        # A row is on one page; what more there are, are the index's own.
        pages = min(max(cost / self.page_cost, 1.0), fetched + 2.0)
        self.add("descent", runs)
        self.add("entry" if only else "fetched", runs * fetched * part)
        self.add("page", runs * max(pages * part, 1.0))

    def _before_filter(self, place: int) -> float:
        """
        Return how many rows an index scan reads for its condition before it filters them.
        """
        node = self.plan.nodes[place]
        table = self.tables.get((node.schema, node.relation))
        if "Index Cond: " not in node.condition and table is not None:
            return table.rows
        # As if each were on a page of its own, which is so unless the table lies in the index's order.
        return max(node.rows, (node.cost - DESCENT_COST) / (self.page_cost + INDEX_ROW_COST))

    def _by_bitmap(self, place: int, runs: float, share: float, scale: float) -> None:
        node, below = self.plan.nodes[place], self.children[place]
        indexes = [child for child in self._under(place) if self.kind(child) == "Bitmap Index Scan"]
        entries = sum(self.plan.nodes[child].rows for child in indexes)
        fetched = self.plan.nodes[indexes[0]].rows if len(indexes) == 1 else node.rows
        cost = node.cost - sum(self.plan.nodes[child].cost for child in below) - fetched * ROW_COST
        part = share * scale
        self.add("descent", runs * len(indexes))
        self.add("entry", runs * entries * scale)
        self.add("fetched", runs * fetched * part)
        self.add("page", runs * max(min(max(cost / self.page_cost, 1.0), fetched) * part + 1.0, 1.0))

    def _under(self, place: int) -> list[int]:
        found = []
        for child in self.children[place]:
            found += [child, *self._under(child)]
        return found

    def _nested(self, place: int, runs: float, share: float, scale: float, actual: float | None) -> None:
        node = self.plan.nodes[place]
        outer, inner = self.children[place][:2]
        driving = self.visit(outer, runs=runs, share=share, scale=scale, actual=actual)
        doubt = self.doubt
        times = max(driving, ROWS_LEAST)
        if self.kind(inner) == "Materialize":
            self.visit(inner, runs=runs)
            self.add("passed", runs * times * self.plan.nodes[inner].rows)
        elif self.kind(inner) == "Memoize":
            # What the planner adds for the inner side says how often it expects to find nothing kept.
            asked = max(self.plan.nodes[outer].rows, 1.0)
            missed = (node.cost - self.plan.nodes[outer].cost) / max(self.plan.nodes[inner].cost, 1e-9)
            self.add("hashed", runs * times)
            for child in self.children[inner]:
                self.visit(child, runs=runs * times * min(max(missed, 1.0) / asked, 1.0))
        else:
            self.visit(inner, runs=runs * times)
        self.add("passed", runs * node.rows * share * scale)
        self.doubt = doubt  # over many runs an average is right

    def _limited(self, place: int, runs: float, actual: float | None) -> float:
        child = self.children[place][0]
        source = child
        while self.kind(source) in HANDING_ON - {"Sort"} and self.children[source]:
            source = self.children[source][0]
        possible = max(self.plan.nodes[source].rows, ROWS_LEAST)
        wanted = self.plan.nodes[place].rows if actual is None else max(actual, ROWS_LEAST)
        more = max(wanted / possible, 1.0) if self.kind(source) not in BLOCKING else 1.0
        told = actual if self.kind(source) not in BLOCKING else None
        self.visit(child, runs=runs, share=min(wanted / possible, 1.0), scale=more, actual=told)
        return wanted

    def _sorted(self, place: int, runs: float, share: float, scale: float, actual: float | None) -> None:
        whole, limited = self.kind(place) == "Sort", share < 1.0
        given = self.visit(
            self.children[place][0],
            runs=runs,
            share=1.0 if whole else share,
            scale=1.0 if limited and whole else scale,
            actual=actual,
        )
        # The best so many are kept in a heap; groups of an incremental sort are small.
        held = (share * self.plan.nodes[place].rows if limited else given) if whole else 16.0
        self.add("compared", runs * given * math.log2(2.0 + max(min(held, given), 0.0)))
