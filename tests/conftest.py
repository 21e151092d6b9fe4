"""
A real PostgreSQL server for each test process, and a fresh database on it for each test that asks.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import hypothesis
import psycopg
import pytest
from psycopg import sql

from rung.adapters.cluster import Cluster, start

# A machine with other work on it takes as long as it takes.
hypothesis.settings.register_profile("rung", deadline=None)
hypothesis.settings.load_profile("rung")

# No test measures what a commit costs, and none has to survive a power cut.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """
    A server of this test process alone, with pg_stat_statements preloaded.
    """
    server = start(tmp_path_factory.mktemp("postgres") / "server", settings=SETTINGS)
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """
    The URL of an empty database, for the role that owns it.
    """
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield cluster.dsn(name)
    finally:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
