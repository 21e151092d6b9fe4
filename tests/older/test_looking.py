"""
What is asked of an older server's catalog: permissions, statistics, locks.
"""

from __future__ import annotations

from tests.adapters.test_locks_seen import test_a_statement_that_waits_is_joined_to_the_one_in_its_way
from tests.adapters.test_permissions import (
    role,
    test_row_level_security_is_told,
    test_the_owner_lacks_nothing_but_the_extension,
    test_what_is_said_to_give_it_gives_it,
)
from tests.adapters.test_statistics import (
    known,
    test_each_table_is_told_as_it_is,
    test_what_is_stale_is_named_with_its_figures,
)
