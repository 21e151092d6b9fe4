"""
Procrastinate: jobs deferred to its queues in PostgreSQL, and run by its workers.

In        procrastinate.manager and procrastinate.worker after their import
Out       segments job; jobs of the route job:TASK, with what the worker asks the database around them
Not here  the trace that a job is part of: a job has no place for it beside the arguments of its task
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import core, queued
from rung.probe.wrapping import Arguments


def _deferring(module: ModuleType) -> None:
    owner = module.JobManager
    for name in ("defer_job", "batch_defer_jobs"):
        queued.around_enqueue(owner, name, _handed)
        queued.around_async_enqueue(owner, f"{name}_async", _handed)


def _handed(args: Arguments, kwargs: dict[str, Any], _context: str | None) -> tuple[Arguments, dict[str, Any], str]:
    jobs = args[1] if len(args) > 1 else kwargs.get("jobs") or [kwargs["job"]]
    names = [str(job.task_name) for job in (jobs if isinstance(jobs, list) else [jobs])]
    return args, kwargs, queued.named_alike(names)


def _worker(module: ModuleType) -> None:
    owner = module.Worker
    original = owner._process_job

    @functools.wraps(original)
    async def process_job(self: Any, context: Any) -> Any:
        return await queued.awaited(original(self, context), context.job.task_name)

    owner._process_job = process_job
    _note_failure(owner)
    core.framework_seen()


def _note_failure(owner: Any) -> None:
    original = owner._log_job_outcome

    @functools.wraps(original)
    def log_job_outcome(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("job_retry"):  # being tried again is no error
            queued.note_here(kwargs.get("exc_info"))
        return original(self, *args, **kwargs)

    owner._log_job_outcome = log_job_outcome


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "procrastinate.manager": _deferring,
    "procrastinate.worker": _worker,
}
