"""
The JSON of `rung explain`.

In        an explained statement
Out       classes, from which docs/reference/json.md is generated with those of schema.py; a document of them
Not here  words for people (plan_text.py)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from rung.steps.explain.tree import Node, Tree
from rung.surfaces.shapes import Document

if TYPE_CHECKING:
    from rung.surfaces.explain import Explained


class SpillShape(TypedDict):
    """
    What a node put on disk: `what` is "sort", "hash", "groups" or "rows"; about `needed_bytes` of work_mem would have
    kept it in memory.
    """

    what: str
    disk_bytes: int
    batches: int
    needed_bytes: int


class NodeShape(TypedDict):
    """
    One node of a plan, in the order of EXPLAIN; `parent` is the number of the node above, 0 for the root. `share` is
    what it takes by itself of the whole: of the time where nodes were timed, else of the cost. `rows` and
    `rows_expected` are those of all its runs (`loops`, null where nothing was run) together; `ratio` is one over the
    other of one run, null where it means nothing, and `off` tells that it is 10 or more, or a tenth or less.
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
    conditions: dict[str, str]
    cost: float
    self_cost: float
    rows_expected: float
    loops: float | None
    processes: float
    total_s: float
    self_s: float
    share: float
    rows: float
    ratio: float | None
    off: bool
    removed: float
    rechecked: float
    heap_fetches: float
    lossy_blocks: int
    memory_bytes: int
    spill: SpillShape | None
    hit_bytes: int
    read_bytes: int
    temporary_bytes: int
    read_s: float
    planned: int
    launched: int


class RemedyShape(TypedDict):
    """
    Something that would change the plan; `share` of the whole is what it is about, `sql` what to run, in order. `node`
    is the number of the node that it is about, 0 for the plan as a whole.
    """

    kind: str
    node: int
    share: float
    text: str
    sql: list[str]


class ExplainDocument(Document):
    """
    `rung explain --json`. `generic`: planned with values unknown. `executed`: run, with --analyze; `took_s` and what
    follows are 0 where it was not. In `statement` and in conditions $n stands for every constant.
    """

    statement: str
    name: str | None
    server: str
    standby: bool
    generic: bool
    executed: bool
    cost: float
    took_s: float
    planned_s: float
    compiled_s: float
    serialised_s: float
    triggers: list[dict[str, Any]]
    settings: dict[str, str]
    nodes: list[NodeShape]
    remedies: list[RemedyShape]


DOCUMENTS: tuple[type, ...] = (ExplainDocument,)
SHAPES: tuple[type, ...] = (SpillShape, NodeShape, RemedyShape)


def explain_content(explained: Explained) -> dict[str, Any]:
    """
    Return an explained statement, as ExplainDocument has it.
    """
    tree, planned, source = explained.tree, explained.planned, explained.source
    return {
        "statement": explained.statement,
        "name": source.name or None,
        "server": planned.version,
        "standby": planned.standby,
        "generic": planned.generic,
        "executed": tree.executed,
        "cost": tree.root.cost,
        "took_s": tree.took_s,
        "planned_s": tree.planned_s,
        "compiled_s": tree.compiled_s,
        "serialised_s": tree.serialised_s,
        "triggers": msgspec.to_builtins(tree.triggers),
        "settings": dict(tree.settings),
        "nodes": [_node(tree, node) for node in tree.nodes],
        "remedies": msgspec.to_builtins(explained.remedies),
    }


def _node(tree: Tree, node: Node) -> dict[str, Any]:
    shape = {name: getattr(node, name) for name in NodeShape.__annotations__ if hasattr(node, name)}
    return {
        **shape,
        "conditions": dict(node.conditions),
        "share": tree.share(node),
        "spill": msgspec.to_builtins(node.spill),
        "hit_bytes": node.buffers.hit_bytes,
        "read_bytes": node.buffers.read_bytes,
        "temporary_bytes": node.buffers.temporary_bytes,
        "read_s": node.buffers.read_s,
    }
