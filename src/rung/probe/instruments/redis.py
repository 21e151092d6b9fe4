"""
redis-py, sync and async, single server, cluster and what a sentinel leads to: commands and pipelines.

In        the modules of redis after their import
Out       segments cache, named "redis"
Not here  waiting for messages (pub/sub, MONITOR); which key or command it was
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe.wrapping import around_call, around_coroutine, named

_Wrap = Callable[..., None]


def _commands(wrap: _Wrap, client: Any, pipeline: Any) -> None:
    wrap(client, "execute_command", "cache", named("redis"))
    # A command given to a pipeline is only noted, until all are executed; WATCH and its like are sent at once.
    wrap(pipeline, "execute", "cache", named("redis"))
    wrap(pipeline, "immediate_execute_command", "cache", named("redis"))


def _cluster(wrap: _Wrap, module: ModuleType) -> None:
    _commands(wrap, module.RedisCluster, module.ClusterPipeline)
    transaction = getattr(module, "TransactionStrategy", None)
    if transaction is not None:  # which older ones have not
        wrap(transaction, "_immediate_execute_command", "cache", named("redis"))


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "redis.client": lambda module: _commands(around_call, module.Redis, module.Pipeline),
    "redis.cluster": lambda module: _cluster(around_call, module),
    "redis.asyncio.client": lambda module: _commands(around_coroutine, module.Redis, module.Pipeline),
    "redis.asyncio.cluster": lambda module: _cluster(around_coroutine, module),
}
