"""
Say what would change a plan: an index, fresh or more statistics, memory, a vacuum, and what is beside the plan.

In        a Tree, the statement, what bears on reading it; answers about tables and about indexes that could exist
Out       Remedies, the one that concerns most of the cost or time first
Not here  which index to try (steps/advise), the SQL of statistics (statistics.py), words around it (surfaces/)

A remedy is something to try, not a promise: only an index has been tried, in the planner twin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rung.moves.index import told
from rung.moves.statistics import analyze, more, qualified
from rung.ports import Describe, Index, Step, Table, Unavailable
from rung.steps.advise import Weighted, advise
from rung.steps.explain.questions import Known, Planned, Statistics, TableStatistics
from rung.steps.explain.stale import reasons
from rung.steps.explain.tree import Node, Tree
from rung.steps.take import create_index, index_name
from rung.units import megabytes_up, show_bytes, show_count, show_seconds, show_share

SHARE_MIN = 0.05  # of the whole; what takes less is not worth a remedy
INDEXES_MAX = 2
# A plan must get this much cheaper to be worth an index: below it the planner's own error is larger.
COST_SHARE_MAX = 0.5
DROPPED_FACTOR = 10.0
OFF_ROWS_MIN = 100
FETCHED_SHARE, FETCHED_MIN = 0.1, 1000
COMPILED_SHARE = PLANNED_SHARE = SERIALISED_SHARE = TRIGGERS_SHARE = 0.2
PLANNED_S_MIN = 0.005
NEEDED_BYTES_MAX = 1024**3


@dataclass(frozen=True, slots=True)
class Remedy:
    """
    Something that would change a plan.

    Attributes:
        kind: "index", "analyze", "statistics", "memory", "vacuum", "parallel", "compiling", "planning", "result",
            "trigger", or "unknown" where something could not be asked.
        node: The number of the node that it is about, 0 for the plan as a whole.
        share: What of the whole that node takes, with what is below it where rows were expected wrongly.
        text: A sentence.
        sql: What to run, in order; empty where it is nothing to run.
    """

    kind: str
    node: int
    share: float
    text: str
    sql: tuple[str, ...] = ()


def remedies(tree: Tree, planned: Planned, statement: str) -> Step[tuple[Remedy, ...]]:
    """
    Return what would change the plan, most of the whole first.
    """
    found = [*_memory(tree, planned), *_vacuum(tree), *_beside(tree)]
    read = [node for node in tree.nodes if node.schema and node.relation and "Scan" in node.kind]
    tables = tuple(dict.fromkeys((node.schema, node.relation) for node in read))
    if tables:
        known = yield Statistics(tables)
        if isinstance(known, Known):
            found += _statistics(tree, known)
        else:
            found += _unasked(tree, known)
    found += yield from _indexes(tree, statement)
    return tuple(sorted(found, key=lambda remedy: -remedy.share))


def _indexes(tree: Tree, statement: str) -> Step[list[Remedy]]:
    """
    Ask the index advisor where a scan reads much to keep little; what it says was tried in the planner twin.
    """
    scans = sorted((node for node in tree.nodes if _reads_much(tree, node)), key=lambda node: -tree.share(node))
    if not scans:
        return []
    table = yield Describe(scans[0].schema, scans[0].relation)
    if not isinstance(table, Table):
        return []
    advice = yield from advise([Weighted(statement, executions_per_s=1.0)], indexes_max=INDEXES_MAX)
    refused = advice.unavailable or advice.unplanned[0]
    if refused:
        text = f"Whether an index on {scans[0].relation} would help could not be tried: {refused}."
        return [Remedy("unknown", scans[0].number, 0.0, text)]
    before, after = advice.before[0], advice.after[0]
    if not advice.indexes or before is None or after is None or after > COST_SHARE_MAX * before:
        return []
    together = " with the other" if len(advice.indexes) > 1 else ""
    return [
        Remedy(
            "index", node.number, tree.share(node),
            f"An index on {told(each.index)} would bring the plan's cost{together} from {show_count(before)} to "
            f"{_cost(after)}: tried in the planner twin. It would take {show_bytes(each.size_bytes)}, and every write "
            "to the table would keep it up.",
            (create_index(each.index, index_name(each.index)).sql,),
        )
        for each in advice.indexes
        for node in [_scan_of(each.index, scans)]
    ]  # fmt: skip


def _scan_of(index: Index, scans: Sequence[Node]) -> Node:
    """
    Return the scan that *index* is for; the one that takes most where it is for none of them.
    """
    return next((node for node in scans if (node.schema, node.relation) == (index.schema, index.table)), scans[0])


def _reads_much(tree: Tree, node: Node) -> bool:
    if not node.schema or not node.relation or "Scan" not in node.kind or tree.share(node) < SHARE_MIN:
        return False
    if not node.condition("Filter"):
        return False
    if "Seq Scan" in node.kind:
        return not tree.executed or node.removed >= node.rows
    return node.removed >= DROPPED_FACTOR * max(node.rows, 1.0)


def _cost(cost: float) -> str:
    return show_count(cost) if cost >= 100 else f"{cost:.1f}"


def _statistics(tree: Tree, known: Known) -> Iterator[Remedy]:
    """
    Yield fresh statistics for tables that have old ones, and more of them where rows are expected wrongly all the same.
    """
    origins = list(_origins(tree))
    outdated = dict.fromkeys(table for table, _ in reasons(known))
    for table, reason in reasons(known):
        met = [node for node in tree.nodes if _is(node, table)]
        wrong = [node for node in origins if any(_is(each, table) for each in (node, *tree.below(node)))]
        about = wrong[0] if wrong else met[0]
        share = _share_with_below(tree, about) if wrong else sum(tree.share(node) for node in met)
        told = f", and {_off_words(about)}" if wrong else ""
        yield Remedy(
            "analyze", about.number, share, f"Stale statistics: {reason}{told}. Other plans may be right.",
            analyze(table).statements,
        )  # fmt: skip
    for node in origins:
        below = [each for each in known.tables if any(_is(one, each) for one in (node, *tree.below(node)))]
        if any(table in outdated for table in below):
            continue
        yield _unexpected(tree, node, known, below)


def _unasked(tree: Tree, answer: Unavailable) -> Iterator[Remedy]:
    """
    Yield where rows were expected wrongly, where statistics could not be asked for.
    """
    for node in _origins(tree):
        said = _off_words(node)
        text = f"{said[:1].upper()}{said[1:]}; how well the planner knows it could not be asked: {answer.reason}."
        yield Remedy("statistics", node.number, _share_with_below(tree, node), text)


def _unexpected(tree: Tree, node: Node, known: Known, below: list[TableStatistics]) -> Remedy:
    """
    Return what can be done where statistics are fresh and rows are expected wrongly.
    """
    share, said = _share_with_below(tree, node), _off_words(node)
    table = next((each for each in below if _is(node, each)), None)
    grouped = node.condition("Group Key")
    condition = " ".join(node.condition(name) for name in ("Index Cond", "Recheck Cond", "Filter"))
    if table is None and grouped and len(below) == 1:
        table, condition = below[0], grouped
    run = more(table, condition, known.target) if table is not None else None
    if run is None:
        why = (
            "rows of several tables together, which no statistics tell"
            if len(below) > 1
            else "what it compares has no statistics that would tell more (a computed value, or a skew within them)"
        )
        return Remedy("statistics", node.number, share, f"{said[:1].upper()}{said[1:]}: {why}.")
    first = run.statements[0]
    what = "how these columns go together is not known"
    if first.startswith("ALTER"):
        what = f"more of the column's values can be known (statistics target {known.target} now)"
    elif first.startswith("ANALYZE"):
        what = "a column in it has no statistics"
    return Remedy(
        "statistics", node.number, share, f"{said[:1].upper()}{said[1:]}: {what}.",
        run.statements,
    )  # fmt: skip


def _origins(tree: Tree) -> Iterator[Node]:
    """
    Yield the nodes at which expectations first went wrong: none below them did.
    """
    for node in tree.nodes:
        if not node.off or max(node.rows, node.rows_expected) < OFF_ROWS_MIN:
            continue
        if not any(below.off for below in tree.below(node)):
            yield node


def _off_words(node: Node) -> str:
    assert node.ratio is not None
    factor = node.ratio if node.ratio > 1 else 1 / node.ratio
    more_or_less = "more" if node.ratio > 1 else "fewer"
    runs = f" in {show_count(node.loops)} runs" if node.loops is not None and node.loops > 1 else ""
    return f"#{node.number} gave {show_count(node.rows)} rows{runs}, {show_count(factor)}× {more_or_less} than expected"


def _is(node: Node, table: TableStatistics) -> bool:
    return (node.schema, node.relation) == (table.schema, table.name)


def _share_with_below(tree: Tree, node: Node) -> float:
    """
    Return what of the whole hangs on how many rows a node gives: itself, what is below it, and the joins above.
    """
    above, number = 0.0, node.parent
    while number:
        one = tree.nodes[number - 1]
        above += tree.share(one)
        number = one.parent
    return min(above + tree.share(node) + sum(tree.share(each) for each in tree.below(node)), 1.0)


WORDS = {"sort": "sorting", "hash": "the hash table", "groups": "grouping", "rows": "keeping rows"}


def _memory(tree: Tree, planned: Planned) -> Iterator[Remedy]:
    spilled = [node for node in tree.nodes if node.spill is not None]
    now = show_bytes(planned.work_memory_bytes)
    if spilled:
        node = max(spilled, key=lambda each: each.spill.needed_bytes if each.spill is not None else 0)
        assert node.spill is not None
        disk_bytes = sum(each.spill.disk_bytes for each in spilled if each.spill is not None)
        also = f" (and {len(spilled) - 1} more)" if len(spilled) > 1 else ""
        told = f"#{node.number}, {WORDS[node.spill.what]}{also}, went to disk with {show_bytes(disk_bytes)}"
        share = sum(tree.share(each) for each in spilled)
        needed = max(node.spill.needed_bytes, 2 * planned.work_memory_bytes)
        if needed > NEEDED_BYTES_MAX:
            text = f"{told}. It would take more than {show_bytes(NEEDED_BYTES_MAX)} of work_mem ({now} now): read less."
            yield Remedy("memory", node.number, share, text)
        else:
            yield Remedy(
                "memory", node.number, share,
                f"{told}. About {megabytes_up(needed)} of work_mem ({now} now) would keep it in memory. Set it for "
                "its transaction or role, not for all: each sort and hash of each connection may take as much.",
                (f"SET LOCAL work_mem = '{megabytes_up(needed)}'",),
            )  # fmt: skip
    for node in tree.nodes:
        if node.lossy_blocks and tree.share(node) >= SHARE_MIN:
            text = (
                f"#{node.number}: the bitmap did not fit into work_mem ({now}), so {show_count(node.lossy_blocks)} "
                f"pages were searched row by row, {show_count(node.rechecked)} rows in vain."
            )
            yield Remedy(
                "memory", node.number, tree.share(node), text,
                (f"SET LOCAL work_mem = '{megabytes_up(4 * planned.work_memory_bytes)}'",),
            )  # fmt: skip


def _vacuum(tree: Tree) -> Iterator[Remedy]:
    for node in tree.nodes:
        if node.heap_fetches >= max(FETCHED_SHARE * node.rows, FETCHED_MIN):
            name = qualified_name(node)
            yield Remedy(
                "vacuum", node.number, tree.share(node),
                f"#{node.number} could be answered from the index alone, and looked {show_count(node.heap_fetches)} "
                f"rows up in {node.relation} all the same: its visibility map is out of date.",
                (f"VACUUM {name}",),
            )  # fmt: skip


def qualified_name(node: Node) -> str:
    """
    Return the name of the table that a node reads, for SQL.
    """
    return qualified(
        TableStatistics(
            node.schema, node.relation, 0, 0, 0, None, automatic=True, readable=True, parent=False, columns=()
        )
    )


def _beside(tree: Tree) -> Iterator[Remedy]:
    """
    Yield what takes long and is no node.
    """
    whole_s = max(tree.took_s, 1e-9)
    if tree.compiled_s >= COMPILED_SHARE * whole_s:
        share = tree.compiled_s / whole_s
        text = (
            f"Compiling {show_count(tree.compiled)} functions just in time took {show_seconds(tree.compiled_s)}, "
            f"{show_share(share)} of the whole (it is inside the nodes' times). It pays for long statements only."
        )
        yield Remedy("compiling", 0, share, text, ("SET LOCAL jit = off",))
    if tree.took_s and tree.planned_s >= max(PLANNED_SHARE * (tree.took_s + tree.planned_s), PLANNED_S_MIN):
        share = tree.planned_s / (tree.took_s + tree.planned_s)
        text = (
            f"Planning took {show_seconds(tree.planned_s)}, {show_share(share)} of all: a prepared statement is "
            "planned once; fewer partitions, joins or indexes make planning shorter."
        )
        yield Remedy("planning", 0, share, text)
    if tree.serialised_s >= SERIALISED_SHARE * whole_s:
        text = f"Turning the result into text took {show_seconds(tree.serialised_s)}: ask for fewer columns, or rows."
        yield Remedy("result", 0, tree.serialised_s / whole_s, text)
    for trigger in tree.triggers:
        if trigger.took_s >= TRIGGERS_SHARE * whole_s:
            text = (
                f"The trigger {trigger.name} took {show_seconds(trigger.took_s)} in {show_count(trigger.calls)} calls. "
                "If it checks a foreign key, the column that refers to this table may lack an index."
            )
            yield Remedy("trigger", 0, trigger.took_s / whole_s, text)
    for node in tree.nodes:
        if tree.executed and node.launched < node.planned:
            text = (
                f"#{node.number} was planned with {node.planned} parallel workers and got {node.launched}: others had "
                "them (max_parallel_workers, max_worker_processes)."
            )
            yield Remedy("parallel", node.number, 0.0, text)
