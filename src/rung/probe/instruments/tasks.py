"""
asyncio and uvloop: tasks that a request starts (create_task, gather, TaskGroup), each with a clock of its own.

In        the classes of event loops after their import
Out       tasks whose coroutine is an asgi.Task
Not here  tasks outside of requests, which are passed through; threads (threads.py, executors.py)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import CoroutineType, ModuleType
from typing import Any

from rung.probe import asgi, core


def starting(owner: Any) -> None:
    """
    Have the tasks that a request starts on a loop of the class *owner* counted as its own.
    """
    original, current = owner.create_task, core.current.get

    @functools.wraps(original)
    def create_task(self: Any, coro: Any, **options: Any) -> Any:
        outer = current()
        if outer is None or outer.leaf or outer.request.ended or coro.__class__ is not CoroutineType:
            return original(self, coro, **options)
        try:
            coro = asgi.Task(coro, outer)
        except Exception:
            core.failed()
        return original(self, coro, **options)

    # New Relic takes a loop whose create_task has it for one that it wrapped already, and loses what runs in tasks.
    del create_task.__wrapped__
    owner.create_task = create_task


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "asyncio.base_events": lambda module: starting(module.BaseEventLoop),
    "uvloop": lambda module: starting(module.Loop),
}
