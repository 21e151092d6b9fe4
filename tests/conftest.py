"""
What all tests have: a real PostgreSQL server for each test process, and a fresh database on it for each that asks.

Tests that are marked `long` are left out unless RUNG_TESTS is "all".  One that is marked `alone` measures what the
machine does: it waits until the tests beside it have ended, and none begins until it has.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

from rung.adapters.cluster import Cluster, start
from tests.short import ALL, LONGEST

# A machine with other work on it takes as long as it takes.  What one run finds, the next one finds.
hypothesis.settings.register_profile(
    "rung", deadline=None, derandomize=True, database=None, max_examples=100 if ALL else 25
)
hypothesis.settings.load_profile("rung")

# Locked by every test process; the file and the folder are there anyway, and nothing is left behind.
HERE = Path(__file__).parent
GATE, ROOM = Path(__file__), HERE

# No test measures what a commit costs, and none has to survive a power cut.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Leave out what is long, and begin with the files that take longest, or the last of them would be waited for.
    """
    if not ALL and (long := [item for item in items if item.get_closest_marker("long")]):
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(HERE).as_posix(), len(places)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """
    Let a test begin: beside others, or alone.
    """
    with _admitted(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def _admitted(*, alone: bool) -> Iterator[None]:
    # Whoever waits to be alone holds the gate meanwhile, so that others leave the room and none comes in.
    gate, room = (os.open(path, os.O_RDONLY) for path in (GATE, ROOM))
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
    finally:
        fcntl.flock(room, fcntl.LOCK_UN)  # a process that a test forked may have it open still
        os.close(gate)
        os.close(room)


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
