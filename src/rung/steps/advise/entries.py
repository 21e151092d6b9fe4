"""
What an index adds to each row that is written: seconds of the database's processor, and bytes of its log.

A row that is inserted gets an entry in every index.  An update that changes no indexed column, and finds room on the
row's page, gets none (a heap-only tuple, HOT); once a column that it changes is indexed, it gets one in every index
of the table.  A delete leaves the entries to VACUUM, which is not counted here.

In        the index as a Tree, the table's other indexes, what kind of write it is
Out       Added: seconds and bytes for one row
Not here  which statements write which columns, how often (writes.py)

Sources: PostgreSQL's README.HOT; nbtinsert.c and nbtxlog.h for what a new entry logs; access/xlogrecord.h for the sizes
of headers; the documentation of full_page_writes.  Times come from `python -m benchmarks.timing --only writes`;
docs/design/0009-from-cost-to-time.md has how far off they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rung.ports import Index, Table

# Of a processor, on the server on which SECONDS (timing.py) was measured.
INDEX_S = 2e-6  # opening it, forming the entry
LEVEL_S = 6e-6  # from one level to the next, and into the leaf
COMPARED_S = 0.1e-6  # a key on the way, each column of it
BYTE_S = 0.03e-6  # of an entry, put in its place and into the log
EXPRESSION_S = 2e-6  # evaluated for each row
PREDICATE_S = 3e-6  # likewise
IMAGE_S = 2e-6  # a page written to the log whole

PAGE_BYTES = 8192
ROOM_BYTES = 8152  # without the header of a page and what a btree keeps at its end
ENTRY_HEADER_BYTES, POINTER_BYTES = 8, 4
LEAF_FULL = 0.9  # as a build leaves them
SPLIT_FULL = 0.69  # as random inserts leave them in the long run (Yao 1978)
# A record's header, that of the one page it is about, those of its data, and where on the page.
RECORD_BYTES = 24 + 20 + 2 + 2
IMAGE_HEADER_BYTES = 5
DEFAULT_WIDTH_BYTES = 16  # of an expression, of which no statistics are known


@dataclass(frozen=True, slots=True)
class Tree:
    """
    An index as a write sees it.

    Attributes:
        width_bytes: Of an entry's columns together, those that are carried along among them.
        columns: That order it.
        rows: Entries that it has.
        share: Of the rows written those that have an entry: less than 1 for a partial index.
        expressions: Of the columns those that are worked out.
        gathered: New keys lie side by side, as those of a sequence or a clock do, or of a column of few values.
    """

    width_bytes: float
    columns: int
    rows: float
    share: float = 1.0
    expressions: int = 0
    gathered: bool = False

    @property
    def entry_bytes(self) -> int:
        """
        What an entry takes, aligned, without the pointer to it.
        """
        return -(-round(ENTRY_HEADER_BYTES + self.width_bytes) // 8) * 8

    @property
    def leaves(self) -> float:
        """
        How many pages the entries take.
        """
        return max(self.rows * (self.entry_bytes + POINTER_BYTES) / (ROOM_BYTES * LEAF_FULL), 1.0)

    @property
    def height(self) -> int:
        """
        Levels above the leaves.
        """
        a_page = ROOM_BYTES * SPLIT_FULL / (self.entry_bytes + POINTER_BYTES)
        return math.ceil(math.log(self.leaves) / math.log(a_page)) if self.leaves > 1 else 0


@dataclass(frozen=True, slots=True)
class Added:
    """
    What one written row costs more: seconds of the database's processor, and bytes of its log.
    """

    seconds: float
    wal_bytes: float

    def times(self, count: float) -> Added:
        """
        Return this *count* times.
        """
        return Added(self.seconds * count, self.wal_bytes * count)

    def plus(self, other: Added) -> Added:
        """
        Return both together.
        """
        return Added(self.seconds + other.seconds, self.wal_bytes + other.wal_bytes)


NOTHING_ADDED = Added(0.0, 0.0)


def tree_of(index: Index, table: Table, *, share: float = 1.0, gathered: bool = False) -> Tree:
    """
    Return *index* as a write to *table* sees it, its widths from the table's statistics.

    Args:
        share: Of the rows that its predicate takes.
        gathered: See Tree.
    """
    widths = {column.name: column.width_bytes for column in table.columns}
    names = [column.name for column in index.columns] + list(index.include)
    return Tree(
        width_bytes=sum(widths.get(name, DEFAULT_WIDTH_BYTES) for name in names),
        columns=len(index.columns),
        rows=table.rows * share,
        share=share,
        expressions=sum(column.expression for column in index.columns),
        gathered=gathered,
    )


def entry_cost(tree: Tree, *, writes_between: float = math.inf, fresh: bool = False, speed: float = 1.0) -> Added:
    """
    Return what an entry in *tree* costs, for each row written, whether it gets one or not.

    Args:
        writes_between: Entries that are written between two checkpoints. The first to touch a page has all of it
            logged, so few writes into a large index log many times their size; without end nothing is.
        fresh: The index was just built, and its pages have room for a tenth more; without, as many are split as in the
            long run.
        speed: By what the server is slower than the one that the times here were measured on (Timing.speed).

    >>> small, large = (entry_cost(Tree(8, 1, rows), writes_between=1000) for rows in (10_000, 10_000_000))
    >>> large.wal_bytes > 10 * small.wal_bytes
    True
    """
    a_page = ROOM_BYTES / (tree.entry_bytes + POINTER_BYTES)
    # A new entry goes down the right edge without a search where it is the last of all (nbtinsert.c's fast path).
    searched = 0.0 if tree.gathered else math.log2(tree.rows + 2.0)
    levels = 0 if tree.gathered else tree.height + 1
    images = _images(tree, writes_between)
    image_bytes = PAGE_BYTES * (0.5 if tree.gathered else LEAF_FULL) + IMAGE_HEADER_BYTES
    seconds = (
        INDEX_S + LEVEL_S * levels + COMPARED_S * searched * tree.columns + BYTE_S * tree.entry_bytes + IMAGE_S * images
    )
    # A page that is split has its right half logged: half of what it holds, or, at the right edge, the last tenth.
    split_bytes = (1 - LEAF_FULL if tree.gathered else 0.5) * ROOM_BYTES + 2 * (RECORD_BYTES + tree.entry_bytes)
    splits = 1 / (a_page * (LEAF_FULL if tree.gathered else 0.5))
    splitting_bytes = 0.0 if fresh and not tree.gathered else split_bytes * splits
    logged = RECORD_BYTES + tree.entry_bytes + splitting_bytes + image_bytes * images
    outside = EXPRESSION_S * tree.expressions * tree.share + PREDICATE_S * (tree.share < 1)
    return Added((tree.share * seconds + outside) * speed, tree.share * logged)


def _images(tree: Tree, writes_between: float) -> float:
    """
    Return how many whole pages an entry has logged: distinct pages touched between two checkpoints, over entries.
    """
    entries = writes_between * tree.share
    if math.isinf(entries):
        return 0.0
    if entries < 1:
        return 1.0
    leaves = max(tree.leaves, 1.0)
    if tree.gathered:
        return 1.0 / entries
    return leaves * -math.expm1(-entries / leaves) / entries


def write_cost(
    kind: str,
    tree: Tree,
    *,
    others: Sequence[Tree] = (),
    touches: bool = True,
    hot: float = 1.0,
    writes_between: float = math.inf,
    fresh: bool = False,
    speed: float = 1.0,
) -> Added:
    """
    Return what a new index *tree* adds to one row that is written.

    Args:
        kind: "insert", "update" or "delete".
        others: The table's other indexes, all of which get an entry where HOT is lost.
        touches: Whether the update changes a column that the index has, carries along, or has in its predicate.
        hot: Of today's updates of this statement those that are heap-only (pg_stat_user_tables).
        writes_between, fresh, speed: See entry_cost.
    """
    assert kind in {"insert", "update", "delete"}
    if kind == "delete":
        return NOTHING_ADDED
    own = entry_cost(tree, writes_between=writes_between, fresh=fresh, speed=speed)
    if kind == "insert":
        return own
    if not touches:
        return own.times(1.0 - hot)
    lost = NOTHING_ADDED
    for other in others:
        lost = lost.plus(entry_cost(other, writes_between=writes_between, fresh=fresh, speed=speed))
    return own.plus(lost.times(hot))
