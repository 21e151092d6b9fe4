"""
RQ: jobs handed to its queues, and run by its workers, which fork for each.

In        rq.queue, rq.job and the worker's module after their import
Out       segments job; jobs of the route job:NAME, with the dealings of the worker with Redis around them
Not here  jobs that a queue without workers runs at once, which are part of their request; one whose process is killed
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import core, queued, sender
from rung.probe.threaded import nested
from rung.probe.wrapping import Arguments


def _queue(module: ModuleType) -> None:
    for name in ("_enqueue_async_job", "schedule_job"):
        queued.around_enqueue(module.Queue, name, _handed)


def _handed(args: Arguments, kwargs: dict[str, Any], context: str | None) -> tuple[Arguments, dict[str, Any], str]:
    job = args[1] if len(args) > 1 else kwargs["job"]
    if context is not None:
        job.meta.setdefault(queued.CONTEXT, context)
    return args, kwargs, str(job.func_name)


def _job(module: ModuleType) -> None:
    owner = module.Job
    original = owner.perform

    @functools.wraps(original)
    def perform(self: Any) -> Any:
        try:
            return original(self)
        except BaseException as error:
            _note(self, error)  # the worker makes a record of it, and raises nothing
            raise

    owner.perform = perform


def _note(job: Any, error: BaseException) -> None:
    scope = core.current.get()
    if scope is not None and scope.request.route == f"job:{_name(job)}":
        queued.note_here(error)


def _name(job: Any) -> str:
    try:
        return str(job.func_name)
    except Exception:  # what was sent cannot be read here, as the worker will say
        return ""


def _worker(module: ModuleType) -> None:
    owner, current = module.BaseWorker, core.current.get
    original = owner.perform_job

    @functools.wraps(original)
    def perform_job(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        request = None if nested(current()) else queued.begun(_name(job), _context(job))
        if request is None:
            return original(self, job, *args, **kwargs)
        try:
            return queued.run(request, original, (self, job, *args), kwargs)
        finally:
            if getattr(self, "_is_horse", False):  # it ends without exit handlers
                sender.flush()

    owner.perform_job = perform_job
    core.framework_seen()


def _context(job: Any) -> Any:
    meta = getattr(job, "meta", None)
    return meta.get(queued.CONTEXT) if isinstance(meta, dict) else None


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "rq.queue": _queue,
    "rq.job": _job,
    "rq.worker.base": _worker,
}
