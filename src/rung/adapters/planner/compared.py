"""
Hold the twin's plan of today against the server's own.

In        two plans of one statement
Out       how they differ, in a sentence
Not here  what follows from it (moves/index.py says it beside the price)
"""

from __future__ import annotations

from itertools import zip_longest

from rung.ports import Plan, PlanNode
from rung.units import show_count

# Costs that are closer than this are the same: rows and pages go on changing while one looks.
COST_SHARE_MAX = 0.01


def difference(server: Plan | None, twin: Plan) -> str:
    """
    Return how the twin's plan differs from the server's, "" where it does not or no server was asked.
    """
    if server is None:
        return ""
    for theirs, ours in zip_longest(server.nodes, twin.nodes):
        if theirs is None or ours is None or _shape(theirs) != _shape(ours):
            return f"the server plans {_named(theirs)} where the planner twin plans {_named(ours)}"
    if abs(server.cost - twin.cost) > COST_SHARE_MAX * server.cost:
        return (
            f"the planner twin prices today's plan at {show_count(twin.cost)}, the server at {show_count(server.cost)}"
        )
    return ""


def _shape(node: PlanNode) -> tuple[int, str, str, str]:
    return node.depth, node.kind, node.relation, node.index


def _named(node: PlanNode | None) -> str:
    if node is None:
        return "nothing"
    return node.kind + (f" on {node.relation}" if node.relation else "") + (f" by {node.index}" if node.index else "")
