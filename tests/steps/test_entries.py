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
from rung.steps.advise.entries import (
    NOTHING_ADDED,
    PAGE_BYTES,
    RECORD_BYTES,
    Added,
    Tree,
    entries_cost,
    entry_cost,
    row_cost,
    tree_of,
)

TREE = Tree(width_bytes=8, columns=1, rows=1_000_000.0)
OTHERS = (Tree(4, 1, 1_000_000.0), Tree(32, 2, 1_000_000.0))

trees = st.builds(
    Tree, width_bytes=st.integers(1, 200), columns=st.integers(1, 5), rows=st.floats(0, 1e9), share=st.floats(0.01, 1.0)
)


def test_an_insert_gets_an_entry_in_each_index_and_a_delete_none() -> None:
    entries = entries_cost((TREE, *OTHERS))
    each = [entry_cost(tree) for tree in (TREE, *OTHERS)]

    assert entries == row_cost("Insert", entries)
    assert NOTHING_ADDED == row_cost("Delete", entries) == entries_cost(())
    assert pytest.approx(sum(one.seconds for one in each)) == entries.seconds
    assert pytest.approx(sum(one.wal_bytes for one in each)) == entries.wal_bytes


@pytest.mark.parametrize("hot", [0.0, 0.5, 1.0])
def test_an_update_pays_where_it_is_not_heap_only(hot: float) -> None:
    """
    Nothing while all are heap-only; where none is, as much as an insert, in every index.
    """
    entries = entries_cost((TREE, *OTHERS))

    assert entries.times(1 - hot) == row_cost("Update", entries, hot=hot)
    assert entries.minus(entries.times(hot)).seconds == pytest.approx(row_cost("Update", entries, hot=hot).seconds)


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
    whole, tenth = (entry_cost(replace(TREE, share=share)) for share in (1.0, 0.1))

    assert pytest.approx(0.1 * whole.wal_bytes) == tenth.wal_bytes
    assert 0.1 * whole.seconds < tenth.seconds < 0.5 * whole.seconds


def test_keys_that_come_in_order_share_a_page() -> None:
    gathered = replace(TREE, gathered=True)

    assert entry_cost(gathered).seconds < entry_cost(TREE).seconds
    assert entry_cost(gathered, writes_between=1000).wal_bytes < 0.1 * entry_cost(TREE, writes_between=1000).wal_bytes


def test_a_slower_server_takes_longer_and_logs_the_same() -> None:
    entry = entry_cost(TREE)

    assert Added(3 * entry.seconds, entry.wal_bytes) == entry.slower(3.0)


def test_a_tree_is_as_wide_as_its_columns() -> None:
    table = Table("public", "t", 5000.0, 0, (TableColumn("a", "integer", 4), TableColumn("b", "text", 20)), ())
    index = Index("public", "t", (IndexColumn("a"), IndexColumn("lower(b)", expression=True)), include=("b",))
    tree = tree_of(index, table)

    assert (40, 2, 1, 5000.0, 1.0) == (tree.width_bytes, tree.columns, tree.expressions, tree.rows, tree.share)
    assert (0, 48) == (Tree(8, 1, 10.0).height, tree.entry_bytes)
    assert 2 == Tree(8, 1, 1_000_000.0).height


@given(rows=st.floats(1e4, 1e8), share=st.floats(0.05, 1.0))
def test_how_large_a_partial_index_is_tells_how_many_rows_it_has(rows: float, share: float) -> None:
    """
    A whole one has all of them however large it is; one of unknown size is taken to be whole.
    """
    table = Table("public", "t", rows, 0, (TableColumn("a", "integer", 4),), ())
    whole = Index("public", "t", (IndexColumn("a"),))
    partial = replace(whole, where="a > 7")
    size_bytes = round(tree_of(whole, table).leaves * PAGE_BYTES * share)
    tree = tree_of(partial, table, size_bytes)

    assert (pytest.approx(share, rel=0.01), pytest.approx(rows * share, rel=0.01)) == (tree.share, tree.rows)
    assert tree_of(whole, table) == tree_of(whole, table, size_bytes) == tree_of(partial, table)


def test_keys_that_grow_are_known_by_their_order_on_disk() -> None:
    def tree(correlation: float) -> Tree:
        table = Table("public", "t", 5e3, 0, (TableColumn("at", "integer", 4, correlation=correlation),), ())
        return tree_of(Index("public", "t", (IndexColumn("at"),)), table)

    assert (True, False) == (tree(1.0).gathered, tree(-0.3).gathered)
