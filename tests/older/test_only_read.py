"""
`rung find`, `price` and `take` against an older server, under each level of privilege.
"""

from __future__ import annotations

from tests.end_to_end.test_only_read import (
    orders,
    quiet,
    recorded,
    test_find_and_price_write_nothing,
    test_nobody_waits_for_take,
)
