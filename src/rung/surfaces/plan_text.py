"""
Put a plan into words for a terminal: first where the time went, then the tree, then what would change it.

In        an explained statement
Out       text
Not here  working anything out (steps/explain, moves/remedies.py), JSON (plan_shapes.py)
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rung.moves.remedies import Remedy
from rung.steps.explain.tree import Node, Tree
from rung.surfaces.terminal import width
from rung.surfaces.text import LABEL_WIDTH, labelled, short_statement, wrapped
from rung.units import show_bytes, show_count, show_seconds, show_share

if TYPE_CHECKING:
    from rung.surfaces.explain import Explained

WHERE_MAX = 3
WHERE_SHARE_MIN = 0.1
BAR_WIDTH = 8
INDENT, INDENT_MAX = 2, 30
CHILDREN_SHOWN = 8  # of more alike, as of a table with many partitions, those that take most
CHILDREN_KEPT = 4
TEXT_MAX = 70
TOLD_FACTOR = 2.0  # rows off by less are as good as expected
READ_SHARE_TOLD = 0.1
SKEW_FACTOR = 2.0


def explained_text(explained: Explained) -> str:
    """
    Return where the cost or time went, the plan, and what would change it.
    """
    tree, source = explained.tree, explained.source
    parts = []
    if source.text:
        parts.append(
            labelled(
                "Statement", short_statement(explained.statement) + (f"  [{source.name[:8]}]" if source.name else "")
            )
        )
    parts += [labelled("Plan", *_about(explained)), labelled("Where", *_where(tree)), "", *_rows(tree), ""]
    shown = [_remedy(remedy, "Change" if not place else "") for place, remedy in enumerate(explained.remedies)]
    parts += shown or [labelled("Change", _nothing(explained))]
    return "\n".join([*parts, "", labelled("Next", _next(explained))])


def _about(explained: Explained) -> Iterator[str]:
    tree, planned = explained.tree, explained.planned
    server = f"PostgreSQL {planned.version}{' (a standby)' if planned.standby else ''}" if planned.version else ""
    if tree.executed:
        facts = [
            f"ran for {show_seconds(tree.took_s)}, planned in {show_seconds(tree.planned_s)}",
            f"{show_count(tree.root.rows)} row{'' if tree.root.rows == 1 else 's'}",
            _touched(tree),
            server,
        ]
    else:
        values = ", values unknown" if planned.generic else ""
        facts = [f"not run{values}: shares are of the planner's cost, {show_count(tree.root.cost)}", server]
    yield " · ".join(fact for fact in facts if fact)
    if tree.executed and not tree.timed:
        yield "Times of nodes were not taken: shares are of the planner's cost."
    if tree.compiled_s:
        yield f"compiling {show_count(tree.compiled)} functions took {show_seconds(tree.compiled_s)} of it"
    if tree.settings:
        yield "not as PostgreSQL comes: " + ", ".join(f"{name} = {value}" for name, value in tree.settings)


def _touched(tree: Tree) -> str:
    read = sum(node.buffers.read_bytes for node in tree.nodes)
    hit = sum(node.buffers.hit_bytes for node in tree.nodes)
    spilled = sum(node.buffers.temporary_bytes for node in tree.nodes)
    told = []
    if read:
        told.append(f"{show_bytes(read)} read")
    if hit:
        told.append(f"{show_bytes(hit)} found in memory")
    if spilled:
        told.append(f"{show_bytes(spilled)} of temporary files")
    return ", ".join(told)


def _where(tree: Tree) -> list[str]:
    """
    Return the nodes that take most by themselves, and the triggers that do.
    """
    nodes = sorted(tree.nodes, key=lambda node: -tree.share(node))[:WHERE_MAX]
    told = [node for node in nodes if tree.share(node) >= WHERE_SHARE_MIN] or nodes[:1]
    lines = []
    for node in told:
        took = f", {show_seconds(node.self_s)}" if tree.timed else ""
        notes = _numbers(tree, node)
        lines.append(
            f"{show_share(tree.share(node))}{took}: #{node.number} {_name(node)}"
            + (f" ({'; '.join(notes)})" if notes else "")
        )
    for trigger in tree.triggers:
        share = trigger.took_s / max(tree.took_s, 1e-9)
        if share >= WHERE_SHARE_MIN:
            calls = show_count(trigger.calls)
            lines.append(f"{show_share(share)}, {show_seconds(trigger.took_s)}: trigger {trigger.name} ({calls} calls)")
    return lines


def _rows(tree: Tree) -> list[str]:
    """
    Return the plan as lines, each node with its share of the whole.
    """
    head = ["", "share"]
    head += ["time", "rows", "expected", "off"] if tree.timed else ["cost"]
    if tree.executed and not tree.timed:
        head += ["rows", "expected", "off"]
    elif not tree.executed:
        head += ["rows expected"]
    kept, left_out = _folded(tree)
    cells = {node.number: _cells(tree, node) for node in kept}
    columns = [max(len(head[place]), *(len(row[place]) for row in cells.values())) for place in range(len(head))]
    columns[0] = BAR_WIDTH

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            f"{cell:<{size}}" if not place else f"{cell:>{size}}"
            for place, (cell, size) in enumerate(zip(row, columns, strict=True))
        )

    begin = len(line(head)) + 2
    lines = [line(head)]
    for node in kept:
        room = max(width() - begin - min(node.depth * INDENT, INDENT_MAX), 24)
        indent = " " * min(node.depth * INDENT, INDENT_MAX)
        first, *more = _told(tree, node, room)
        lines.append(f"{line(cells[node.number])}  {indent}{first}")
        lines += [" " * begin + indent + each for each in more]
        if node.number in left_out:
            count, share = left_out[node.number]
            lines.append(
                " " * begin
                + indent
                + f"  … and {show_count(count)} more below #{node.number}, {show_share(share)} together"
            )
    return [each.rstrip() for each in lines]


def _folded(tree: Tree) -> tuple[list[Node], dict[int, tuple[int, float]]]:
    """
    Return the nodes to show, and how many children of which were left out with what share.
    """
    hidden: set[int] = set()
    left_out: dict[int, tuple[int, float]] = {}
    for node in tree.nodes:
        children = tree.children(node)
        if node.number in hidden or len(children) <= CHILDREN_SHOWN:
            continue
        whole = {child.number: tree.share(child) + sum(map(tree.share, tree.below(child))) for child in children}
        least = sorted(children, key=lambda child: -whole[child.number])[CHILDREN_KEPT:]
        for child in least:
            hidden |= {child.number, *(each.number for each in tree.below(child))}
        left_out[node.number] = len(least), sum(whole[child.number] for child in least)
    return [node for node in tree.nodes if node.number not in hidden], left_out


def _cells(tree: Tree, node: Node) -> tuple[str, ...]:
    share = tree.share(node)
    cells = ["█" * round(share * BAR_WIDTH), show_share(share)]
    cells.append(show_seconds(node.self_s) if tree.timed else show_count(node.self_cost))
    if not tree.executed:
        return (*cells, show_count(node.rows_expected))
    if node.never:
        return (*cells, "–", "–", "")
    return (*cells, show_count(node.rows), show_count(node.rows_expected), _off(node))


def _off(node: Node) -> str:
    ratio = node.ratio
    if ratio is None or 1 / TOLD_FACTOR < ratio < TOLD_FACTOR:
        return ""
    factor = ratio if ratio > 1 else 1 / ratio
    told = show_count(factor) if factor >= 10 else f"{factor:.1f}"
    return f"{'×' if ratio > 1 else '÷'}{told}" + (" ◂" if node.off else "")


def _name(node: Node) -> str:
    name = node.kind
    if node.relation:
        name += f" on {node.relation}" + (f" {node.alias}" if node.alias not in {"", node.relation} else "")
    return name + (f" by {node.index}" if node.index else "")


def _told(tree: Tree, node: Node, room: int) -> list[str]:
    """
    Return what a node is and does, in lines of at most so many columns.
    """
    role = f"{node.role}: " if node.role else ""
    name = f"{'→ ' if node.depth else ''}#{node.number} {role}{_name(node)}"
    if node.never:
        return wrapped(f"{name} · never executed", room)
    conditions = [f"{label.lower()} {_cut(text)}" for label, text in node.conditions]
    lines = wrapped(name, room)
    rest = " · ".join([*conditions, *_numbers(tree, node)])
    if rest and len(f"{lines[-1]} · {rest}") <= room:
        return [*lines[:-1], f"{lines[-1]} · {rest}"]
    return [*lines, *(f"    {each}" for each in wrapped(rest, room - 4) if rest)]


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"


def _numbers(tree: Tree, node: Node) -> list[str]:
    """
    Return what is notable of a node, in figures.
    """
    told = []
    if node.loops is not None and node.loops > 1:
        aside = f"in {show_count(node.processes)} processes" if node.processes > 1 else ""
        told.append(aside if node.loops == node.processes else f"{show_count(node.loops)} times {aside}".rstrip())
    if node.removed >= 1:
        told.append(f"{show_count(node.removed + node.rows)} rows looked at to keep {show_count(node.rows)}")
    if node.rechecked >= 1:
        told.append(f"{show_count(node.rechecked)} rows looked at in vain")
    if node.spill is not None:
        parts = f" in {node.spill.batches} batches" if node.spill.batches > 1 else ""
        told.append(f"{show_bytes(node.spill.disk_bytes)} on disk{parts}")
    if node.heap_fetches >= 1:
        told.append(f"{show_count(node.heap_fetches)} rows fetched from the table after all")
    if node.lossy_blocks:
        told.append(f"{show_count(node.lossy_blocks)} pages searched row by row")
    if node.planned:
        got = f", {node.launched} got" if tree.executed and node.launched != node.planned else ""
        waiting = tree.timed and tree.share(node) >= WHERE_SHARE_MIN
        rest = ": starting them, and waiting for the slowest" if waiting else ""
        told.append(f"{node.planned} worker{'s' if node.planned > 1 else ''}{got}{rest}")
    if len(node.workers_s) > 1 and max(node.workers_s) > SKEW_FACTOR * max(min(node.workers_s), 1e-6):
        told.append(f"workers took {show_seconds(min(node.workers_s))} to {show_seconds(max(node.workers_s))}")
    if node.cache is not None:
        hits, misses, evictions = node.cache
        asked = max(hits + misses, 1)
        told.append(
            f"{show_share(hits / asked)} of {show_count(asked)} from its cache"
            + (", which was too small" if evictions else "")
        )
    if node.buffers.read_s > READ_SHARE_TOLD * max(node.self_s, 1e-9) and node.buffers.read_s > 0:
        told.append(f"{show_seconds(node.buffers.read_s)} waiting for reads")
    elif node.buffers.read_bytes:
        told.append(f"{show_bytes(node.buffers.read_bytes)} read")
    return told


def _remedy(remedy: Remedy, label: str) -> str:
    lines = [labelled(label, remedy.text)]
    # To be copied, so on one line each, however long.
    lines += [f"{'':<{LABEL_WIDTH}}    {statement};" for statement in remedy.sql]
    return "\n".join(lines)


def _nothing(explained: Explained) -> str:
    if not explained.tree.executed:
        return "Nothing that its plan tells. Where the time goes is known when it is run."
    if any(node.off for node in explained.tree.nodes):
        return "Nothing that is known here: what is off concerns few rows, and nothing went to disk."
    return "Nothing that is known here: rows are as expected, and nothing went to disk."


def _next(explained: Explained) -> str:
    source, tree = explained.source, explained.tree
    typed = source.typed if source.typed in {"-", "STATEMENT"} else shlex.quote(source.typed)
    if source.plan is not None:
        return "rung explain 'SELECT …'      (with a database at hand an index is tried, and statistics are looked at)"
    count = max(map(int, re.findall(r"\$(\d{1,2})\b", source.text)), default=0)
    values = "".join(f" --param VALUE{number}" for number in range(1, count + 1))
    if not tree.executed:
        return f"rung explain {typed} --analyze{values}      (runs it: where the time goes)"
    if any(remedy.sql for remedy in explained.remedies):
        return f"try the first change, then again: rung explain {typed} --analyze{values}"
    return "rung find      (is this statement what holds the app back?)"
