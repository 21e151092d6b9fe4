"""
Scenes: Redis behind a cluster and behind a sentinel, waiting for a key, and messages.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.cluster import RedisCluster
from redis.sentinel import Sentinel

REDIS_URL = os.environ["REDIS_URL"]
CLUSTER_PORT = int(os.environ["CLUSTER_PORT"])
SENTINEL = ("127.0.0.1", int(os.environ["SENTINEL_PORT"]))
KEY = f"key-{os.getpid()}"
WAITED_S = 0.1


def with_a_cluster() -> Any:
    with RedisCluster(host="127.0.0.1", port=CLUSTER_PORT, decode_responses=True) as client:
        client.set(KEY, 1)
        with client.pipeline() as pipeline:
            pipeline.incr(KEY)
            return [client.get(KEY), pipeline.get(KEY).execute()]


def with_a_transaction() -> Any:
    with RedisCluster(host="127.0.0.1", port=CLUSTER_PORT) as client, client.pipeline(transaction=True) as pipeline:
        pipeline.watch(KEY)
        pipeline.multi()
        return [type(one).__name__ for one in pipeline.set(KEY, 1).execute()]


async def with_a_cluster_async() -> Any:
    async with AsyncRedisCluster(host="127.0.0.1", port=CLUSTER_PORT, decode_responses=True) as client:
        await client.set(KEY, 5)
        async with client.pipeline() as pipeline:
            return [await client.get(KEY), await pipeline.incr(KEY).get(KEY).execute()]


def with_a_sentinel() -> Any:
    client = Sentinel([SENTINEL]).master_for("shop", decode_responses=True)
    return [client.set(KEY, 1), client.get(KEY)]


async def with_a_sentinel_async() -> Any:
    client = AsyncSentinel([SENTINEL]).master_for("shop", decode_responses=True)
    saw = [await client.set(KEY, 1), await client.get(KEY)]
    await client.aclose()
    return saw


def that_waits() -> Any:
    with redis.Redis.from_url(REDIS_URL, decode_responses=True) as client:
        threading.Timer(WAITED_S, lambda: redis.Redis.from_url(REDIS_URL).rpush(f"{KEY}-list", "come")).start()
        return client.blpop(f"{KEY}-list", timeout=30)[1]


def with_messages() -> Any:
    with redis.Redis.from_url(REDIS_URL, decode_responses=True) as client, client.pubsub() as listening:
        listening.subscribe(KEY)
        first = listening.get_message(timeout=30)
        heard = client.publish(KEY, "secret")
        second = listening.get_message(timeout=30)
        return [first["type"] if first else None, heard, second["data"] if second else None]
