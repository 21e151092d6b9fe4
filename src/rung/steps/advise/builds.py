"""
What building an index takes, roughly: seconds of the database's processor, and bytes of its log.

CREATE INDEX CONCURRENTLY reads the table twice: once to sort its rows and write them as a tree, and again for what was
written meanwhile, for which it sorts the rows' addresses, those in the index and those in the table.

In        the index, its table, the size that it would have
Out       Added: seconds and bytes of one build
Not here  what the index costs writes from then on (entries.py), building it (adapters/hands.py)

Rough: the constants are of tables in memory, one process and sorts in memory.  That the build waits for older
transactions, and for pages from a disk, is not in it.

Sources: PostgreSQL source, nbtsort.c (_bt_load, and that every page is logged whole), heapam_handler.c
(heapam_index_validate_scan).  Times are fitted by `python -m benchmarks.timing --only builds`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from rung.ports import Index, Table
from rung.steps.advise.entries import LEAF_FULL, PAGE_BYTES, Added, tree_of

# Of a processor, on the server on which SECONDS (timing.py) was measured.
SECONDS = MappingProxyType(
    {
        "build": 2.3e-3,  # its three transactions, whatever the table
        "page": 1.4e-6,  # of the table, read twice
        "row": 0.018e-6,  # likewise
        "evaluated": 0.32e-6,  # an expression or a predicate, for each row
        "entry": 0.54e-6,  # formed, put into the tree, its address sorted
        "compared": 0.0046e-6,  # two entries while they are sorted, each column
        "byte": 0.01e-6,  # of an entry, on its way through the sort into the tree
    }
)
CATALOG_BYTES = 56 * 1024  # logged for the catalog's own pages


def build_work(index: Index, table: Table, size_bytes: int) -> Mapping[str, float]:
    """
    Return how often a build does each of SECONDS.
    """
    tree = tree_of(index, table, size_bytes)
    return {
        "build": 1.0,
        "page": table.size_bytes / PAGE_BYTES,
        "row": table.rows,
        "evaluated": table.rows * (tree.expressions + bool(index.where)),
        "entry": tree.rows,
        "compared": tree.rows * math.log2(tree.rows + 2.0) * tree.columns,
        "byte": tree.rows * tree.entry_bytes,
    }


def built(index: Index, table: Table, size_bytes: int) -> Added:
    """
    Return what building *index*, *size_bytes* large, takes.

    >>> from rung.ports import IndexColumn
    >>> index, table = Index("public", "t", (IndexColumn("a"),)), Table("public", "t", 1e6, 100_000_000, (), ())
    >>> round(built(index, table, 1000 * PAGE_BYTES).wal_bytes / PAGE_BYTES)
    907
    """
    seconds = sum(SECONDS[kind] * amount for kind, amount in build_work(index, table, size_bytes).items())
    # The room that a page keeps is left out of the log (nbtsort.c, REGBUF_STANDARD).
    return Added(seconds, CATALOG_BYTES + size_bytes * LEAF_FULL)
