"""
Dramatiq: messages handed to its brokers, and worked on by the threads of its workers.

In        dramatiq.brokers and dramatiq.worker after their import
Out       segments job; jobs of the route job:ACTOR
Not here  waiting for messages, brokers of other makes
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe import core, queued, sender
from rung.probe.threaded import nested
from rung.probe.wrapping import Arguments


def _handed(args: Arguments, kwargs: dict[str, Any], context: str | None) -> tuple[Arguments, dict[str, Any], str]:
    broker, message = args[0], args[1] if len(args) > 1 else kwargs["message"]
    if context is not None and queued.CONTEXT not in message.options:
        message = message.copy(options={queued.CONTEXT: context})
        kwargs = {name: held for name, held in kwargs.items() if name != "message"}
        args = (broker, message, *args[2:])
    return args, kwargs, str(message.actor_name)


def _worker(module: ModuleType) -> None:
    _process(module._WorkerThread)
    _stop(module.Worker)
    _catch(module)
    core.framework_seen()


def _process(owner: Any) -> None:
    original, current = owner.process_message, core.current.get

    @functools.wraps(original)
    def process_message(self: Any, message: Any) -> Any:
        request = None if nested(current()) else queued.begun(message.actor_name, message.options.get(queued.CONTEXT))
        if request is None:
            return original(self, message)
        return queued.run(request, original, (self, message), {})

    owner.process_message = process_message


def _stop(owner: Any) -> None:
    original = owner.stop

    @functools.wraps(original)
    def stop(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        finally:
            sender.flush()  # a worker's process ends without exit handlers

    owner.stop = stop


def _catch(module: ModuleType) -> None:
    # Being asked for once more, and being put off, is no error.
    again = (module.Retry, module.RateLimitExceeded, module.SkipMessage)
    owner = module.MessageProxy
    original = owner.stuff_exception

    @functools.wraps(original)
    def caught(self: Any, exception: BaseException) -> Any:
        if not isinstance(exception, again):
            queued.note_here(exception)
        return original(self, exception)

    owner.stuff_exception = caught


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "dramatiq.brokers.redis": lambda module: queued.around_enqueue(module.RedisBroker, "enqueue", _handed),
    "dramatiq.brokers.rabbitmq": lambda module: queued.around_enqueue(module.RabbitmqBroker, "enqueue", _handed),
    "dramatiq.brokers.stub": lambda module: queued.around_enqueue(module.StubBroker, "enqueue", _handed),
    "dramatiq.worker": _worker,
}
