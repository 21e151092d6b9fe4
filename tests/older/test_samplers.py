"""
What is sampled of an older server each second.
"""

from __future__ import annotations

from tests.adapters.test_samplers import (
    shop,
    test_a_server_s_clock_counts_and_totals,
    test_our_connection_may_write_nothing,
    test_who_waits_for_a_lock_and_for_whom,
)
