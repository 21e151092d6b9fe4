"""
PgQueuer: jobs handed to its queue in PostgreSQL, and run by its workers and schedules.

In        pgqueuer.adapters.persistence.queries, pgqueuer.core.qm and pgqueuer.core.sm after their import
Out       segments job; jobs of the route job:ENTRYPOINT
Not here  what a worker asks the database for several jobs at once
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import core, queued
from rung.probe.wrapping import Arguments

_SECTION = "otel"  # where PgQueuer keeps the context of OpenTelemetry, which is the same
_HEADERS = 6  # among the positional arguments


def _queries(module: ModuleType) -> None:
    queued.around_async_enqueue(module.Queries, "enqueue", _handed)
    queued.around_enqueue(module.SyncQueries, "enqueue", _handed)


def _handed(args: Arguments, kwargs: dict[str, Any], context: str | None) -> tuple[Arguments, dict[str, Any], str]:
    entrypoint = args[1] if len(args) > 1 else kwargs["entrypoint"]
    name = queued.named_alike(entrypoint) if isinstance(entrypoint, list) and entrypoint else str(entrypoint or "")
    if context is not None:
        positional = len(args) > _HEADERS
        headers = args[_HEADERS] if positional else kwargs.get("headers")
        if isinstance(entrypoint, list):
            headers = [_with(one, context) for one in headers or [None] * len(entrypoint)]
        else:
            headers = _with(headers, context)
        if positional:
            args = (*args[:_HEADERS], headers, *args[_HEADERS + 1 :])
        else:
            kwargs = {**kwargs, "headers": headers}
    return args, kwargs, name


def _with(headers: dict[str, Any] | None, context: str) -> dict[str, Any]:
    return {_SECTION: {queued.CONTEXT: context}, **(headers or {})}


def _running(module: ModuleType) -> None:
    owner = module.QueueManager
    dispatch, log_failure = owner._dispatch, owner.log_failure

    @functools.wraps(dispatch)
    async def dispatched(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        return await queued.awaited(dispatch(self, job, *args, **kwargs), job.entrypoint, _context(job))

    @functools.wraps(log_failure)
    async def failed(self: Any, job: Any, executor: Any, exc: Any, *args: Any, **kwargs: Any) -> Any:
        queued.note_here(exc)
        return await log_failure(self, job, executor, exc, *args, **kwargs)

    owner._dispatch, owner.log_failure = dispatched, failed
    core.framework_seen()


def _context(job: Any) -> Any:
    section = (getattr(job, "headers", None) or {}).get(_SECTION)
    return section.get(queued.CONTEXT) if isinstance(section, dict) else None


def _schedules(module: ModuleType) -> None:
    owner = module.SchedulerManager
    dispatch = owner.dispatch

    @functools.wraps(dispatch)
    async def dispatched(self: Any, executor: Any, schedule: Any) -> Any:
        return await queued.awaited(dispatch(self, _Noting(executor), schedule), schedule.entrypoint)

    owner.dispatch = dispatched


class _Noting:
    """
    What runs a schedule, with its error noted, which the manager keeps to itself.
    """

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    async def execute(self, *args: Any) -> Any:
        """
        Run it.
        """
        try:
            return await self._executor.execute(*args)
        except Exception as error:
            queued.note_here(error)
            raise


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "pgqueuer.adapters.persistence.queries": _queries,
    "pgqueuer.core.qm": _running,
    "pgqueuer.core.sm": _schedules,
}
