"""
Indexes are built and taken back on an older server.
"""

from __future__ import annotations

from tests.adapters.test_hands import (
    orders,
    test_an_index_is_built_while_a_writer_goes_on,
    test_an_invalid_leftover_of_ours_is_dropped_and_built_anew,
    test_an_old_transaction_is_named_and_nothing_built,
    test_taking_it_twice_says_already,
    test_the_undo_takes_it_away_and_may_be_repeated,
)
