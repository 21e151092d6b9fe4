"""
The planner and its twin, which is newer, on an older server.
"""

from __future__ import annotations

from tests.adapters.test_planner import (
    planner,
    shop,
    test_every_kind_of_table_that_people_have,
    test_the_apps_own_role_is_enough,
    test_the_promise_is_what_the_built_index_does,
    test_the_twin_prices_todays_plan_as_the_server_does,
)
