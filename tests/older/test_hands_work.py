"""
Drops, ANALYZE and other statements, and whether an index is used, on an older server.
"""

from __future__ import annotations

from tests.adapters.test_hands_work import (
    orders,
    test_a_rich_index_is_built_known_again_and_undone,
    test_an_index_goes_and_comes_back_as_it_was,
    test_scans_of_partitions_count_for_the_parents_index,
    test_statements_of_any_kind_are_run_and_taken_back,
    test_whether_an_index_is_used_is_counted,
)
