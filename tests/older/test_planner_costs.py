"""
Drawn values, and a dump, which the newest pg_dump makes of an older server.
"""

from __future__ import annotations

from tests.adapters.test_planner_costs import (
    dump,
    planner,
    test_a_dump_answers_as_the_server_does,
    test_a_partial_index_counts_for_the_values_that_it_holds,
    test_a_skewed_column_is_planned_with_a_common_a_middle_and_a_rare_value,
    tickets,
)
