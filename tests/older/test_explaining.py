"""
`rung explain` on an older server.
"""

from __future__ import annotations

from tests.adapters.test_explaining import (
    shop,
    test_a_parameter_of_no_type_is_told_how_to_get_one,
    test_a_select_is_run_and_measured,
    test_unknown_values_give_the_generic_plan,
    test_values_give_their_own_plan,
)
