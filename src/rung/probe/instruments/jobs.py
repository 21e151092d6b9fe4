"""
Units of work that no request asks for at that moment: Celery's tasks and Django's management commands.

In        celery.app.base, celery.app.trace, celery.signals and django.core.management.base after their import
Out       jobs, of the route job:NAME; segments job where a request hands one to a queue
Not here  commands that go on for ever (a server's requests are units of their own), other queues (rq.py, dramatiq.py,
          procrastinate.py, pgqueuer.py)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import core, queued, sender
from rung.probe.threaded import nested
from rung.probe.wrapping import Arguments

# They serve, work a queue or wait for somebody at the keyboard until they are ended.
_ENDLESS = frozenset({
    "runserver", "runserver_plus", "testserver", "livereload", "shell", "shell_plus", "dbshell", "celery", "db_worker",
    "procrastinate", "process_tasks", "qcluster", "rqworker", "rqscheduler", "run_huey", "rundramatiq", "runworker",
})  # fmt: skip


def _commands(module: ModuleType) -> None:
    owner = module.BaseCommand
    original, current = owner.execute, core.current.get

    @functools.wraps(original)
    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        name = type(self).__module__.rpartition(".")[2]
        outer = current()
        # One that is called by a request or by another command is part of it.
        within = outer is not None and not outer.request.ended
        request = None if within or name in _ENDLESS else queued.begun(name)
        if request is None:
            return original(self, *args, **kwargs)
        request.contains = True
        return queued.run(request, original, (self, *args), kwargs)

    owner.execute = execute


def _trace(module: ModuleType) -> None:
    held: Any = module
    original = held.build_tracer

    @functools.wraps(original)
    def build_tracer(name: str, *args: Any, **kwargs: Any) -> Any:
        return _traced(original(name, *args, **kwargs), name)

    held.build_tracer = build_tracer
    _note_failure(held.TraceInfo)
    core.framework_seen()


def _traced(trace: Callable[..., Any], name: str) -> Callable[..., Any]:
    current = core.current.get

    @functools.wraps(trace)
    def traced(*args: Any, **kwargs: Any) -> Any:
        request = None if nested(current()) else queued.begun(name, _context(args, kwargs))
        if request is None:
            return trace(*args, **kwargs)
        return queued.run(request, trace, args, kwargs)

    return traced


def _context(args: Arguments, kwargs: Mapping[str, Any]) -> Any:
    """
    Return the context of the trace among the headers of a task, which is called with its id, its arguments and these.
    """
    try:
        headers = args[3] if len(args) > 3 else kwargs.get("request")
        return None if headers is None else headers.get(queued.CONTEXT)
    except Exception:
        core.failed()
        return None


def _note_failure(owner: Any) -> None:
    original = owner.handle_failure

    @functools.wraps(original)
    def handle_failure(self: Any, *args: Any, **kwargs: Any) -> Any:
        queued.note_here(self.retval)
        return original(self, *args, **kwargs)

    owner.handle_failure = handle_failure


def _task(args: Arguments, kwargs: dict[str, Any], context: str | None) -> tuple[Arguments, dict[str, Any], str]:
    if context is not None:
        kwargs = {**kwargs, "headers": {queued.CONTEXT: context, **(kwargs.get("headers") or {})}}
    return args, kwargs, str(args[1] if len(args) > 1 else kwargs.get("name", ""))


def _celery(module: ModuleType) -> None:
    # Where tasks run at once instead (task_always_eager), nothing is sent.
    queued.around_enqueue(module.Celery, "send_task", _task)


def _signals(module: ModuleType) -> None:
    # A process of Celery's pool ends without exit handlers.
    module.worker_process_shutdown.connect(_leave, weak=False)


def _leave(**_said: Any) -> None:
    sender.flush()


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "celery.app.base": _celery,
    "celery.app.trace": _trace,
    "celery.signals": _signals,
    "django.core.management.base": _commands,
}
