"""
`rung find`, `price` and `take` against an older server.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rung.adapters.cluster import Cluster
from tests.end_to_end.test_only_read import orders, quiet, recorded, test_nobody_waits_for_take
from tests.end_to_end.test_only_read import test_find_and_price_write_nothing as finding_writes_nothing


def test_find_and_price_write_nothing(
    orders: str, quiet: None, recorded: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Under the level of privilege that the documentation recommends.
    """
    finding_writes_nothing("pg_read_all_data", orders, quiet, recorded, cluster, capsys)
