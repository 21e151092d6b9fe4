"""
What an index adds to each row that is written: seconds of the database's processor, and bytes of its log.

A row that is inserted gets an entry in every index.  An update that changes no indexed column, and finds room on the
row's page, gets none (a heap-only tuple, HOT); once a column that it changes is indexed, it gets one in every index
of the table.  A delete leaves the entries to VACUUM, which is not counted here.

In        indexes as Trees, what kind of write it is
Out       Added: seconds and bytes for one row
Not here  which statements write which columns, how often (writes.py)

Sources: PostgreSQL's README.HOT; nbtinsert.c and nbtxlog.h for what a new entry logs; access/xlogrecord.h for the sizes
of headers; the documentation of full_page_writes.  Times come from `python -m benchmarks.timing --only writes`;
docs/design/0009-from-cost-to-time.md has how far off they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rung.ports import Index, Table

# Of a processor, on the server on which SECONDS (timing.py) was measured; another one's is Timing.speed times as much.
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
GROWS_CORRELATION_MIN = 0.99  # of keys that only grow, which go to the right end of the tree


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

    def slower(self, speed: float) -> Added:
        """
        Return the same on a server on which all takes *speed* times as long.
        """
        return Added(self.seconds * speed, self.wal_bytes)

    def minus(self, other: Added) -> Added:
        """
        Return by how much this is more.
        """
        return self.plus(other.times(-1.0))


NOTHING_ADDED = Added(0.0, 0.0)


def tree_of(index: Index, table: Table, size_bytes: int = 0) -> Tree:
    """
    Return *index* as a write to *table* sees it, its widths from the table's statistics.

    Args:
        size_bytes: What it takes when freshly built; of a partial index this tells how many rows it has. 0 if unknown.
    """
    columns = {column.name: column for column in table.columns}
    names = [column.name for column in index.columns] + list(index.include)
    first = columns.get(index.columns[0].name)
    whole = Tree(
        width_bytes=sum(columns[name].width_bytes if name in columns else DEFAULT_WIDTH_BYTES for name in names),
        columns=len(index.columns),
        rows=table.rows,
        expressions=sum(column.expression for column in index.columns),
        gathered=first is not None and first.correlation >= GROWS_CORRELATION_MIN,
    )
    if not index.where or not size_bytes:
        return whole
    share = min(size_bytes / (whole.leaves * PAGE_BYTES), 1.0)
    return replace(whole, rows=table.rows * share, share=share)


def entry_cost(tree: Tree, *, writes_between: float = math.inf, fresh: bool = False) -> Added:
    """
    Return what an entry in *tree* costs, for each row written, whether it gets one or not.

    Args:
        writes_between: Entries that are written between two checkpoints. The first to touch a page has all of it
            logged, so few writes into a large index log many times their size; without end nothing is.
        fresh: The index was just built, and its pages have room for a tenth more; without, as many are split as in the
            long run.

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
    return Added(tree.share * seconds + outside, tree.share * logged)


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


def entries_cost(trees: Iterable[Tree], *, writes_between: float = math.inf, fresh: bool = False) -> Added:
    """
    Return what an entry in each of *trees* costs together, for each row written.

    Args:
        writes_between, fresh: See entry_cost.
    """
    entries = NOTHING_ADDED
    for tree in trees:
        entries = entries.plus(entry_cost(tree, writes_between=writes_between, fresh=fresh))
    return entries


def row_cost(operation: str, entries: Added, *, hot: float = 0.0) -> Added:
    """
    Return what a row that is written costs in a table's indexes.

    Args:
        operation: "Insert", "Update", "Delete" or "Merge".
        entries: What an entry in all of the indexes costs.
        hot: Of updates those that are heap-only: none once one of the indexes has a column that is set.
    """
    if operation == "Delete":
        return NOTHING_ADDED
    return entries if operation == "Insert" else entries.times(1.0 - hot)
