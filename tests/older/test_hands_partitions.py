"""
Partition by partition on an older server.
"""

from __future__ import annotations

from tests.adapters.test_hands_partitions import (
    orders,
    test_a_drop_is_brought_back_partition_by_partition,
    test_every_partition_gets_one_and_the_parents_is_valid,
)
