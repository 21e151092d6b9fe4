"""
A real PostgreSQL 15 in the place of the newest one, for tests of others that are imported here to be run on it.

Debian's package postgresql-15 has it.  Where that is not installed these tests are skipped and say so; with
OLDER_SERVER=required, which `.ci/run` sets, they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rung.adapters.cluster import Cluster, start
from tests.conftest import SETTINGS

BINARIES = Path("/usr/lib/postgresql/15/bin")  # where Debian puts them


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """
    A server of this test process alone.
    """
    if not (BINARIES / "postgres").exists():
        reason = f"there is no PostgreSQL 15 in {BINARIES} (Debian: apt install postgresql-15)"
        if os.environ.get("OLDER_SERVER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    server = start(tmp_path_factory.mktemp("older") / "server", settings=SETTINGS, binaries=BINARIES)
    try:
        yield server
    finally:
        server.remove()
