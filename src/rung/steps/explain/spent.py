"""
Share a plan's cost and time out over its nodes, so that each has what it takes by itself and the sum closes.

In        the tree of EXPLAIN's JSON
Out       Pieces in the order that EXPLAIN prints; cost and seconds of each by itself
Not here  the values that are shown (tree.py)

EXPLAIN's figures are those of one run of a node on average, with all below it.  Four things make self time more than
a subtraction:
- A node that runs many times: its time is that of all runs, loops multiplied out.
- Parallel processes: loops count those of all of them, side by side.  How many there were the child of Gather tells:
  it runs once in each.
- An InitPlan is charged to whichever node asks for its result first, which need not be the one that it hangs on.
- A CTE's time is inside that of the CTE Scans that pull rows out of it.

Source: PostgreSQL, src/backend/commands/explain.c and src/backend/executor/instrument.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rung.units import milliseconds

GATHERS = frozenset({"Gather", "Gather Merge"})
# A node that takes all of its input before it gives a first row: what is below it is not cut short.
TAKES_ALL = frozenset({"Sort", "Hash", "Aggregate", "SetOp", "WindowAgg", "ModifyTable"})
DEPTH_MAX = 500


@dataclass(frozen=True, slots=True)
class Piece:
    """
    One node as EXPLAIN tells it, with its place in the plan.

    Attributes:
        parent: Place of the node above, None for the root.
        children: Places of the nodes directly below.
        processes: In how many processes side by side it ran.
        rows_expected: Of all its runs together; where nothing was executed, of as many as are expected.
        cut_short: Somebody above may have stopped asking before it was at its end.
        rereads: A merge join may go back in it, and rows are counted again.
    """

    place: int
    parent: int | None
    depth: int
    told: Mapping[str, Any]
    children: tuple[int, ...] = ()
    processes: float = 1.0
    rows_expected: float = 0.0
    cut_short: bool = False
    rereads: bool = False

    @property
    def relation(self) -> str:
        """
        What it is to the node above: Outer, Inner, Member, Subquery, InitPlan or SubPlan.
        """
        return str(self.told.get("Parent Relationship", ""))

    @property
    def loops(self) -> float:
        """
        How often it ran, in all processes together.
        """
        return float(self.told.get("Actual Loops", 0.0))

    @property
    def name(self) -> str:
        """
        The name of the sub-plan that begins here, "" where none does.
        """
        return str(self.told.get("Subplan Name", ""))


def pieces_of(plan: Mapping[str, Any]) -> list[Piece]:
    """
    Return the nodes of *plan* in the order that EXPLAIN prints.

    Raises:
        ValueError: it is nested too deeply to be one.
    """
    pieces: list[Piece] = []
    # Not recursive: a plan of thousands of nested joins must not end us.
    left: list[tuple[Mapping[str, Any], int | None, int]] = [(plan, None, 0)]
    children: dict[int, list[int]] = {}
    while left:
        told, parent, depth = left.pop()
        if depth > DEPTH_MAX:
            raise ValueError(f"nested more than {DEPTH_MAX} deep")
        place = len(pieces)
        pieces.append(Piece(place, parent, depth, told))
        if parent is not None:
            children.setdefault(parent, []).append(place)
        left += [(child, place, depth + 1) for child in reversed(told.get("Plans", ()))]
    for place, piece in enumerate(pieces):
        pieces[place] = replace(piece, children=tuple(children.get(place, ())))
    return _with_rows(_with_ends(_with_processes(pieces)))


def _with_processes(pieces: list[Piece]) -> list[Piece]:
    for piece in list(pieces):
        if piece.parent is None:
            continue
        above = pieces[piece.parent]
        processes = above.processes
        if piece.relation == "InitPlan":
            processes = 1.0  # the leader runs it, and hands its result to the workers
        elif above.told["Node Type"] in GATHERS and above.loops:
            processes = max(piece.loops / above.loops, 1.0)
        pieces[piece.place] = replace(piece, processes=processes)
    return pieces


def _with_ends(pieces: list[Piece]) -> list[Piece]:
    """
    Note which nodes somebody above may not have run to their end.
    """
    for piece in list(pieces):
        if piece.parent is None:
            continue
        above = pieces[piece.parent]
        kind, join = above.told["Node Type"], above.told.get("Join Type", "")
        cut = above.cut_short and kind not in TAKES_ALL
        if piece.relation in {"InitPlan", "SubPlan"}:
            cut = True  # EXISTS and a scalar sub-select stop early
        elif kind == "Limit" or (join in {"Semi", "Anti"} and piece.relation == "Inner" and kind != "Hash Join"):
            cut = True
        elif kind == "Merge Join":
            cut = True  # it ends with the shorter side
        rereads = kind == "Merge Join" and piece.relation == "Inner"
        rereads |= above.rereads and kind == "Materialize"
        pieces[piece.place] = replace(piece, cut_short=cut, rereads=rereads)
    return pieces


def _with_rows(pieces: list[Piece]) -> list[Piece]:
    """
    Work out how many rows were expected of all runs together.

    Of a node whose rows the parallel processes share, the planner tells what it expects of one of them.
    """
    partial = [bool(piece.told.get("Parallel Aware")) for piece in pieces]
    for piece in reversed(pieces):
        gathers = piece.told["Node Type"] in GATHERS
        first = [child for child in piece.children if pieces[child].relation in {"Outer", "Member", "Subquery"}]
        partial[piece.place] = not gathers and (partial[piece.place] or any(partial[child] for child in first))
    runs = [1.0] * len(pieces)
    for piece in pieces:
        place = piece.place
        if piece.parent is not None:
            above = pieces[piece.parent]
            runs[place] = runs[piece.parent]
            if above.told["Node Type"] == "Nested Loop" and piece.relation == "Inner":
                outer = pieces[above.children[0]].told
                runs[place] *= max(float(outer["Plan Rows"]), 1.0)
        rows = float(piece.told["Plan Rows"])
        expected = rows * (piece.loops if "Actual Loops" in piece.told else runs[place])
        if partial[place] and piece.processes > 1:
            # As cost_gather's get_parallel_divisor has it (PostgreSQL, costsize.c): the leader helps a little.
            workers = piece.processes - 1
            shares = workers + max(1 - 0.3 * workers, 0.0)
            expected *= shares / piece.processes
        pieces[place] = replace(piece, rows_expected=expected)
    return pieces


def costs_of(pieces: list[Piece]) -> list[float]:
    """
    Return the cost of each node by itself; together they are that of the root.

    What runs again and again (the inner side of a nested loop, a sub-plan for each row) takes what its node's cost
    leaves for it; what is stopped early (below a Limit) takes no more than the node above.
    """
    allotted = [0.0] * len(pieces)
    own = [0.0] * len(pieces)
    allotted[0] = float(pieces[0].told["Total Cost"])
    for piece in pieces:
        cost = float(piece.told["Total Cost"])
        scale = allotted[piece.place] / cost if cost > 0 else 0.0
        left = cost
        for child, times in sorted(_runs(piece, pieces), key=lambda run: run[1] > 1):
            taken = min(float(pieces[child].told["Total Cost"]) * times, left)
            allotted[child] = taken * scale
            left -= taken
        own[piece.place] = left * scale
    return own


def _runs(piece: Piece, pieces: list[Piece]) -> Iterator[tuple[int, float]]:
    """
    Yield each child with how often the planner expects it to run.
    """
    for child in piece.children:
        relation = pieces[child].relation
        if piece.told["Node Type"] == "Nested Loop" and relation == "Inner":
            yield child, max(float(pieces[piece.children[0]].told["Plan Rows"]), 1.0)
        elif relation == "SubPlan":
            yield child, max(float(piece.told["Plan Rows"]), 1.0)
        else:
            yield child, 1.0


def times_of(pieces: list[Piece]) -> tuple[list[float], list[float]]:
    """
    Return the seconds of each node with all below it, and by itself.
    """
    totals_s = [
        milliseconds(float(piece.told.get("Actual Total Time", 0.0)) * piece.loops / piece.processes)
        for piece in pieces
    ]
    own_s = list(totals_s)
    for piece in pieces:
        if piece.parent is not None and piece.relation != "InitPlan":
            own_s[piece.parent] -= totals_s[piece.place]
    for piece in pieces:
        if piece.relation == "InitPlan" and totals_s[piece.place] > 0:
            _charge(piece, pieces, totals_s[piece.place], own_s)
    return totals_s, [max(each, 0.0) for each in own_s]


def _charge(piece: Piece, pieces: list[Piece], took_s: float, own_s: list[float]) -> None:
    """
    Take the time of an InitPlan or a CTE out of that of the nodes that waited for it.
    """
    inside = {each.place for each in _subtree(piece, pieces)}
    if piece.name.startswith("CTE "):
        name = piece.name.removeprefix("CTE ")
        waiting = [
            each.place
            for each in pieces
            if each.told["Node Type"] in {"CTE Scan", "WorkTable Scan"}
            and each.told.get("CTE Name") == name
            and each.place not in inside
        ]
    else:
        assert piece.parent is not None
        around = [each for each in _subtree(pieces[piece.parent], pieces) if each.place not in inside]
        # "InitPlan 1" since PostgreSQL 17, "InitPlan 1 (returns $0)" before.
        names = re.findall(r"\$\d+", piece.name) or [piece.name]
        told = re.compile("|".join(rf"{re.escape(name)}(?!\d)" for name in names))
        asking = [each.place for each in around if told.search(_own_words(each.told))]
        waiting = sorted(asking or [each.place for each in around], key=lambda place: -own_s[place])
    for place in waiting:
        taken_s = min(max(own_s[place], 0.0), took_s)
        own_s[place] -= taken_s
        took_s -= taken_s


def _subtree(piece: Piece, pieces: list[Piece]) -> Iterator[Piece]:
    yield piece
    for each in pieces[piece.place + 1 :]:
        if each.depth <= piece.depth:
            return
        yield each


def _own_words(told: Mapping[str, Any]) -> str:
    return " ".join(
        value if isinstance(value, str) else " ".join(map(str, value))
        for name, value in told.items()
        if name not in {"Plans", "Workers", "Subplan Name"} and isinstance(value, str | list)
    )
