"""
An index costs each write an entry, a lost HOT costs one in every index, and the log has whole pages after a checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.ports import Index, IndexColumn, Table, TableColumn
from rung.steps.advise.entries import NOTHING_ADDED, PAGE_BYTES, RECORD_BYTES, Tree, entry_cost, tree_of, write_cost

TREE = Tree(width_bytes=8, columns=1, rows=1_000_000.0)
OTHERS = (Tree(4, 1, 1_000_000.0), Tree(32, 2, 1_000_000.0))

trees = st.builds(
    Tree, width_bytes=st.integers(1, 200), columns=st.integers(1, 5), rows=st.floats(0, 1e9), share=st.floats(0.01, 1.0)
)


def test_an_insert_gets_an_entry_and_a_delete_none() -> None:
    assert entry_cost(TREE) == write_cost("insert", TREE)
    assert NOTHING_ADDED == write_cost("delete", TREE, others=OTHERS)


def test_an_update_elsewhere_stays_heap_only() -> None:
    """
    Nothing while all are heap-only; where none is, as much as an insert.
    """
    assert write_cost("update", TREE, others=OTHERS, touches=False, hot=1.0) == NOTHING_ADDED
    assert write_cost("update", TREE, others=OTHERS, touches=False, hot=0.0) == entry_cost(TREE)


def test_an_update_of_an_indexed_column_pays_for_all_indexes() -> None:
    """
    HOT is lost: an entry in the new index and in each other; where it was lost already, the new one alone.
    """
    lost = write_cost("update", TREE, others=OTHERS, hot=1.0)
    each = [entry_cost(tree) for tree in (TREE, *OTHERS)]

    assert pytest.approx(sum(one.seconds for one in each)) == lost.seconds
    assert pytest.approx(sum(one.wal_bytes for one in each)) == lost.wal_bytes
    assert entry_cost(TREE) == write_cost("update", TREE, others=OTHERS, hot=0.0)


@given(tree=trees, wider=st.integers(0, 200), more=st.floats(1.0, 100.0))
def test_wider_larger_and_more_columns_never_cost_less(tree: Tree, wider: int, more: float) -> None:
    least = entry_cost(tree)
    for other in (
        replace(tree, width_bytes=tree.width_bytes + wider),
        replace(tree, rows=tree.rows * more),
        replace(tree, columns=tree.columns + 1),
        replace(tree, expressions=1),
    ):
        assert entry_cost(other).seconds >= least.seconds - 1e-15
        assert entry_cost(other).wal_bytes >= least.wal_bytes - 1e-9


@given(tree=trees, few=st.floats(1.0, 1e6), more=st.floats(1.0, 1e3))
def test_the_longer_between_checkpoints_the_less_is_logged(tree: Tree, few: float, more: float) -> None:
    """
    From a whole page an entry down to its own record.
    """
    often, seldom, never = (entry_cost(tree, writes_between=each) for each in (few, few * more, math.inf))

    assert never.wal_bytes - 1e-6 <= seldom.wal_bytes <= often.wal_bytes + 1e-6
    assert often.wal_bytes <= tree.share * (never.wal_bytes / tree.share + PAGE_BYTES) + 1e-6


def test_an_entry_alone_is_its_record() -> None:
    """
    Eight bytes of key: 48 of headers, 16 of entry, and its share of splitting pages.
    """
    assert RECORD_BYTES + 16 == entry_cost(TREE, fresh=True).wal_bytes
    assert RECORD_BYTES + 16 < entry_cost(TREE).wal_bytes < RECORD_BYTES + 16 + 30


def test_a_tenth_of_the_rows_is_a_tenth_of_the_log() -> None:
    whole, tenth = (write_cost("insert", replace(TREE, share=share)) for share in (1.0, 0.1))

    assert pytest.approx(0.1 * whole.wal_bytes) == tenth.wal_bytes
    assert 0.1 * whole.seconds < tenth.seconds < 0.5 * whole.seconds


def test_keys_that_come_in_order_share_a_page() -> None:
    gathered = replace(TREE, gathered=True)

    assert entry_cost(gathered).seconds < entry_cost(TREE).seconds
    assert entry_cost(gathered, writes_between=1000).wal_bytes < 0.1 * entry_cost(TREE, writes_between=1000).wal_bytes


def test_a_slower_server_takes_longer_and_logs_the_same() -> None:
    slow = entry_cost(TREE, speed=3.0)

    assert (pytest.approx(3 * entry_cost(TREE).seconds), entry_cost(TREE).wal_bytes) == (slow.seconds, slow.wal_bytes)


def test_a_tree_is_as_wide_as_its_columns() -> None:
    table = Table("public", "t", 5000.0, 0, (TableColumn("a", "integer", 4), TableColumn("b", "text", 20)), ())
    index = Index("public", "t", (IndexColumn("a"), IndexColumn("lower(b)", expression=True)), include=("b",))
    tree = tree_of(index, table, share=0.5)

    assert (40, 2, 1, 2500.0, 0.5) == (tree.width_bytes, tree.columns, tree.expressions, tree.rows, tree.share)
    assert (0, 48) == (Tree(8, 1, 10.0).height, tree.entry_bytes)
    assert 2 == Tree(8, 1, 1_000_000.0).height
