"""
Rendering templates of Jinja and Django.

A template asks the database while it renders, so its statements are segments within its own.  One that is rendered
piece by piece, or that awaits, lets other code run in between: of it only the computing between two such places is
summed up, and its statements stand beside it.

In        jinja2.environment and django.template.base after their import
Out       segments cpu, named "render", one for each outermost template
Not here  loading and compiling templates; which template it was (the line that asks for it tells)
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Generator, Iterator, Mapping
from time import perf_counter
from types import ModuleType
from typing import Any

from rung.probe import core, lines
from rung.probe.wrapping import around_call, named


class Pieces:
    """
    Sums the computing of one rendering that is done piece by piece.
    """

    __slots__ = ("_clock", "_computed_s", "_from", "_scope", "_serial", "calls", "code", "start", "sum_s")

    def __init__(self, scope: core.Scope) -> None:
        self._scope = scope
        self._serial = next(scope.request.serials)
        self.calls = 0
        self.sum_s = 0.0
        self.code = lines.line_here()
        self.start = perf_counter()

    def begin(self) -> None:
        """
        Begin a piece, on the clock of whoever asks for it.
        """
        scope = core.current.get() or self._scope
        self._clock = scope.clock
        self._computed_s = self._clock.so_far_s()
        self._from = perf_counter()

    def end(self) -> None:
        """
        End the piece, and take it off that clock.
        """
        clock = self._clock
        if clock.stepping:
            computed_s = clock.so_far_s() - self._computed_s
            clock.busy_s -= computed_s
        else:  # a task of the app's own, whose computing nobody counts
            computed_s = perf_counter() - self._from
        self.sum_s += computed_s
        self.calls += 1

    def close(self) -> None:
        """
        Keep what was summed up, once.
        """
        request, calls = self._scope.request, self.calls
        self.calls = 0
        if request.ended or self.start < request.start:
            return
        if calls:
            where = ("cpu", "render", None, self.code, None)
            core.keep(
                request, self._serial, self._scope.serial, where,
                start=self.start, duration_s=self.sum_s, calls=calls,
            )  # fmt: skip


def _pieces() -> Pieces | None:
    scope = core.current.get()
    if scope is None or scope.leaf or scope.seam == "cpu" or scope.request.ended:
        return None
    try:
        return Pieces(scope)
    except Exception:
        core.failed()
        return None


def _tell(told: Callable[[], None]) -> None:
    try:
        told()
    except Exception:
        core.failed()


def _around_generator(owner: Any, attribute: str) -> None:
    original = vars(owner)[attribute]

    @functools.wraps(original)
    def recorded(*args: Any, **kwargs: Any) -> Iterator[Any]:
        pieces = _pieces()
        if pieces is None:
            yield from original(*args, **kwargs)
            return
        inner = original(*args, **kwargs)
        try:
            while True:
                _tell(pieces.begin)
                try:
                    piece = next(inner)
                except StopIteration:
                    return
                finally:
                    _tell(pieces.end)
                yield piece
        finally:
            inner.close()
            _tell(pieces.close)

    setattr(owner, attribute, recorded)


def _around_coroutine(owner: Any, attribute: str) -> None:
    original = vars(owner)[attribute]

    @functools.wraps(original)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        pieces = _pieces()
        if pieces is None:
            return await original(*args, **kwargs)
        try:
            return await _in_pieces(original(*args, **kwargs), pieces)
        finally:
            _tell(pieces.close)

    setattr(owner, attribute, recorded)


@types.coroutine
def _in_pieces(coroutine: Any, pieces: Pieces) -> Generator[Any, Any, Any]:
    resume, value = coroutine.send, None
    while True:
        _tell(pieces.begin)
        try:
            waiting = resume(value)
        except StopIteration as stop:
            return stop.value
        finally:
            _tell(pieces.end)
        try:
            value = yield waiting
            resume = coroutine.send
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            resume, value = coroutine.throw, error


def _jinja(module: ModuleType) -> None:
    around_call(module.Template, "render", "cpu", named("render"))
    _around_generator(module.Template, "generate")
    _around_coroutine(module.Template, "render_async")


def _django(module: ModuleType) -> None:
    around_call(module.Template, "render", "cpu", named("render"))


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "jinja2.environment": _jinja,
    "django.template.base": _django,
}
