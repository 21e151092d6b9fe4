"""
Replace a function that executes a statement by a closure that records it and is otherwise the function itself.

A driver executes a statement without calling another function recorded here, so nothing has to be known inside of it,
and one look-up by the text as the app wrote it gives all that is the same each time.

In        an owner (class), the name of its function, and how to tell text, database and rows of a finished call
Out       the owner with that attribute replaced; segments query and commit; `state.statements`
Not here  which functions (instruments/), taking values out of a text (statement.py), other calls (wrapping.py)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from rung.probe import core, lines, reads, statement
from rung.probe.reads import Reading
from rung.probe.wrapping import Arguments, taken

# The label of a database ("host:port/name"), or address and name from which `label` makes one.
Database = str | tuple[Any, str]

# text, database, rows
Told = tuple[str, Database, int | None]

# (positional arguments, keyword arguments, result or None where the call raised) -> what was executed
Tell = Callable[[Arguments, Mapping[str, Any], Any], Told]

_ASKED_MAX = 10_000
_ASKED_TEXT_MAX = 4_096  # characters of a text that is remembered; longer ones hold lists of values, new each time
_KNOWN_MAX = 10_000


def label(database: Database) -> str:
    """
    Return host, port and name of a database as recordings have them.

    >>> label((("localhost", 5432), "shop"))
    'localhost:5432/shop'
    """
    if isinstance(database, str):
        return database
    address, name = database
    place = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
    return f"{place}/{name}"


def around_coroutine(
    owner: Any,
    attribute: str,
    tell: Tell,
    *,
    percent: bool,
    prepares: bool = False,
    reading: Reading | None = None,
) -> None:
    """
    Record a coroutine function that executes a statement.

    Args:
        percent: Whether the driver takes `%s` for a parameter.
        prepares: Whether the call and the execution that follows are one.
        reading: Tells parameters and rows of one that reads.
    """
    original, put = taken(owner, attribute)
    if original is None:
        return
    current, keep = core.current.get, _keeping(tell, reading, percent=percent, prepares=prepares)

    @functools.wraps(original)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        scope = current()
        if scope is None or scope.leaf:
            return await original(*args, **kwargs)
        clock = scope.clock
        start = perf_counter()
        stepping = clock.stepping
        if stepping:  # Clock.pause, written out
            if clock.depth == 0:
                clock.busy_s += start - clock.mark
            clock.depth += 1
        try:
            result = await original(*args, **kwargs)
        except BaseException:
            keep(scope, start, stepping, args, kwargs, None, failed=True)
            raise
        keep(scope, start, stepping, args, kwargs, result)
        return result

    put(recorded)


def around_call(owner: Any, attribute: str, tell: Tell, *, percent: bool, reading: Reading | None = None) -> None:
    """
    Record a plain function that executes a statement; the arguments are those of `around_coroutine`.
    """
    original, put = taken(owner, attribute)
    if original is None:
        return
    current, keep = core.current.get, _keeping(tell, reading, percent=percent, prepares=False)

    def recorded(*args: Any, **kwargs: Any) -> Any:
        scope = current()
        if scope is None or scope.leaf:
            return original(*args, **kwargs)
        clock = scope.clock
        start = perf_counter()
        stepping = clock.stepping
        if stepping:  # Clock.pause, written out
            if clock.depth == 0:
                clock.busy_s += start - clock.mark
            clock.depth += 1
        try:
            result = original(*args, **kwargs)
        except BaseException:
            keep(scope, start, stepping, args, kwargs, None, failed=True)
            raise
        keep(scope, start, stepping, args, kwargs, result)
        return result

    core.waiting.add(recorded.__code__)
    put(functools.wraps(original)(recorded))


def around_block(owner: Any, attribute: str, tell: Tell, *, percent: bool) -> None:
    """
    Record a function that returns a context manager, sync or async, whose block is one statement.

    The database is taken up from begin to end, so what the app computes inside of the block is the statement's time.
    """
    original, put = taken(owner, attribute)
    if original is None:
        return
    current, keep = core.current.get, _keeping(tell, None, percent=percent, prepares=False)

    @functools.wraps(original)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        manager, scope = original(*args, **kwargs), current()
        return manager if scope is None or scope.leaf else _Block(manager, scope, keep, args, kwargs)

    put(recorded)


class _Block:
    """
    The context manager in its place; one block, as generators' context managers are.
    """

    def __init__(
        self, manager: Any, scope: core.Scope, keep: Callable[..., None], args: Arguments, kwargs: Mapping[str, Any]
    ) -> None:
        self._manager, self._scope, self._keep, self._asked = manager, scope, keep, (args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    def _begin(self) -> None:
        self._stepping = self._scope.clock.pause()
        self._start = perf_counter()

    def _end(self, error: BaseException | None) -> None:
        args, kwargs = self._asked
        self._keep(self._scope, self._start, self._stepping, args, kwargs, args[0] if error is None else None)

    def __enter__(self) -> Any:
        self._begin()
        try:
            return self._manager.__enter__()
        except BaseException as error:
            self._end(error)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> Any:
        try:
            return self._manager.__exit__(kind, error, trace)
        finally:
            self._end(error)

    async def __aenter__(self) -> Any:
        self._begin()
        try:
            return await self._manager.__aenter__()
        except BaseException as error:
            self._end(error)
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> Any:
        try:
            return await self._manager.__aexit__(kind, error, trace)
        finally:
            self._end(error)


pack = core.pack
SEGMENTS_MAX = core.SEGMENTS_MAX


def _keeping(tell: Tell, reading: Reading | None, *, percent: bool, prepares: bool) -> Callable[..., None]:
    state = core.state
    parameters_of, rows_of = reading or (_none_known, None)

    def keep(
        scope: core.Scope,
        start: float,
        stepping: object,
        args: Arguments,
        kwargs: Mapping[str, Any],
        result: Any,
        *,
        failed: bool = False,
    ) -> None:
        end = perf_counter()
        try:
            if stepping:  # Clock.resume, written out
                clock = scope.clock
                clock.depth -= 1
                if clock.depth == 0 and clock.stepping:
                    clock.mark = end
            request = scope.request
            if request.ended or start < request.start:
                return
            text, database, rows = tell(args, kwargs, result)
            asked = state.asked.get((text, database, request.route))
            if asked is None:
                asked = noted(text, database, request.route, percent=percent)
            first, name, reads_only = asked
            place = first if prepares else _met(request, first, name, database)
            scope.used = True
            segments = request.segments
            duration_s = end - start
            if request.prepared is not None:
                start, duration_s = _with_preparing(request, first, start, duration_s)
            serial = next(request.serials)
            if len(segments) >= SEGMENTS_MAX:
                core.put(request, (serial, scope.serial, place, start - request.start, duration_s, 1, rows))
                return
            segments.append(
                pack(serial, scope.serial, place, start - request.start, duration_s, 1, -1 if rows is None else rows)
            )
            if prepares:
                request.prepared = (len(segments), first, start, duration_s)
            elif reads_only and rows_of is not None and reads.encode is not None and not failed:
                reads.of_statement(request, serial, name, parameters_of(args, kwargs), rows_of, result)
        except Exception:
            core.failed()

    return keep


def _none_known(_args: Arguments, _kwargs: Mapping[str, Any]) -> None:
    return None


def _with_preparing(request: core.Request, place: int, start: float, duration_s: float) -> tuple[float, float]:
    # The computing between the two was counted by the clock, so their sum ends a little before the execution did.
    prepared, request.prepared = request.prepared, None
    segments = request.segments
    if prepared is None or prepared[0] != len(segments) or prepared[1] != place:
        return start, duration_s
    segments.pop()
    return prepared[2], prepared[3] + duration_s


def _met(request: core.Request, first: int, name: str, database: Database) -> int:
    """
    Return the place of one more execution of a statement within *request*, whose first one was at *first*.

    What asks for a row once, and what asks for each of many later, may be one statement: so the line is looked for at
    the 1st, 2nd, 4th, 8th … execution, once for each of these in a process, and holds up to the next.
    """
    met = request.met
    if met is None:
        request.met = {first: 1}
        return first
    times = met[first] = met.get(first, 0) + 1
    if times == 1:
        return first
    state = core.state
    key = (first, request.route, times.bit_length())
    asked = state.asked.get(key)
    if asked is None:
        seam = name if name == "commit" else "query"
        place = core.place_of(seam, name, label(database), lines.line_here())
        if len(state.asked) >= _ASKED_MAX:
            state.asked.clear()
        asked = state.asked[key] = (place, name, False)
    return asked[0]


def noted(text: str, database: Database, route: str | None, *, percent: bool) -> tuple[int, str, bool]:
    """
    Name a statement, note its text once per process, and look for the line that asks; a COMMIT has its own seam.
    """
    state = core.state
    known = statement.normalised(text, percent=percent)
    where = label(database)
    seam, name = ("commit", "commit") if known.text == "COMMIT" else ("query", known.fingerprint)
    key = (where, name)
    if seam == "query" and key not in state.statements_known:
        if len(state.statements_known) >= _KNOWN_MAX:
            state.statements_known.clear()
        state.statements_known.add(key)
        state.statements.append((*key, known.text, known.kind))
    asked = (core.place_of(seam, name, where, lines.line_of_call(name, route)), name, known.kind == "read")
    if len(text) <= _ASKED_TEXT_MAX:
        if len(state.asked) >= _ASKED_MAX:
            state.asked.clear()
        state.asked[text, database, route] = asked
    return asked
