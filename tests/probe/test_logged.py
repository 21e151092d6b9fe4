"""
What is logged becomes lines of its request: ids on the records, templates that are constants, nothing without bound.
"""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.probe import core, keeping, logged
from rung.probe.instruments import logging as instrument
from rung.trace_context import span_of, trace_of
from tests.probe.playing import answer, ask, recorded, recording, routed

TEMPLATE = 5  # of a line, where frames.Line has it
SECRET = "secret-"[:-1]  # made as the module runs: no constant


@pytest.fixture(autouse=True)
def _recording() -> Iterator[None]:
    with recording():
        yield


class Own(logging.Logger):
    """
    A logger that is recorded, beside the test runner's own.
    """


instrument._logging(SimpleNamespace(Logger=Own))


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(said: io.StringIO) -> logging.Logger:
    made = Own("shop.orders", logging.INFO)
    handler = logging.StreamHandler(said)
    handler.setFormatter(logging.Formatter("%(trace_id)s|%(span_id)s|%(message)s"))
    made.addHandler(handler)
    return made


@pytest.fixture
def within() -> Iterator[core.Scope]:
    request = core.Request("GET")
    scope = core.Scope(request, request)
    token = core.current.set(scope)
    yield scope
    core.current.reset(token)


def lines(scope: core.Scope) -> list[Any]:
    return [line[TEMPLATE] for line in scope.request.lines or ()]


def test_a_record_has_the_ids_of_its_span(logger: logging.Logger, said: io.StringIO, within: core.Scope) -> None:
    key, serial = core.state.key, within.request.serial
    logger.info("in the request")
    segment = core.enter("external")
    assert segment is not None
    logger.info("in a segment")
    core.leave(segment, "http")
    trace = f"{trace_of(key, serial):032x}"
    expected = [
        f"{trace}|{span_of(key, serial):016x}|in the request",
        f"{trace}|{span_of(key, serial, segment.serial):016x}|in a segment",
    ]
    assert expected == said.getvalue().splitlines()
    assert [None, segment.serial] == [line[2] for line in within.request.lines or ()]


def test_outside_of_a_request_a_format_with_ids_still_works(logger: logging.Logger, said: io.StringIO) -> None:
    logger.info("started %s", "now")
    assert "||started now\n" == said.getvalue()
    ((at_s, request, segment, level, name, template, code, error),) = core.state.lines
    assert (None, None, 20, "shop.orders", "started %s", None) == (request, segment, level, name, template, error)
    assert at_s > 1e9
    assert code is not None
    assert code.startswith("tests/probe/test_logged.py:")


def test_what_the_app_calls_so_itself_stays(logger: logging.Logger, said: io.StringIO, within: core.Scope) -> None:
    logger.info("one", extra={"trace_id": "mine", "span_id": "its"})
    assert "mine|its|one\n" == said.getvalue()
    assert ["one"] == lines(within)


def test_a_text_is_kept_only_where_it_is_a_constant(logger: logging.Logger, within: core.Scope) -> None:
    text = "said before %s"
    logger.info("user %s", SECRET)
    logger.info(text, SECRET)
    logger.info(f"user {SECRET}")  # noqa: G004 - as people write it
    logger.info("user %s" % SECRET)  # noqa: G002, UP031 - as people write it
    logger.info("user " + SECRET)  # noqa: G003 - as people write it
    logger.info(SECRET)
    logger.info({"user": SECRET})
    assert ["user %s", "said before %s", None, None, None, None, None] == lines(within)


def test_a_value_equal_to_a_constant_is_no_constant(logger: logging.Logger, within: core.Scope) -> None:
    def page(name: str) -> None:
        if name != "robert tables":
            raise AssertionError(name)
        logger.info(name)

    page("robert tables!"[:-1])
    assert [None] == lines(within)


@given(text=st.text())
def test_no_text_that_is_made_is_kept(text: str) -> None:
    logger = Own("any", logging.INFO)
    logger.addHandler(logging.NullHandler())
    core.state.lines.clear()
    core.state.lines_left = 10
    logger.info(f"{text}…")  # noqa: G004 - as people write it
    logger.info(text[:])
    assert [None, None] == [line[TEMPLATE] for line in core.state.lines]


def test_a_function_of_the_apps_own_may_stand_between(logger: logging.Logger, within: core.Scope) -> None:
    def warn(text: str, *values: Any) -> None:
        logger.warning(text, *values, stacklevel=2)

    warn("through %s", SECRET)
    logging.LoggerAdapter(logger, {}).info("adapted %s", SECRET)
    assert ["through %s", "adapted %s"] == lines(within)


def test_of_an_exception_type_and_line_are_kept(logger: logging.Logger, within: core.Scope) -> None:
    try:
        raise LookupError(SECRET)
    except LookupError:
        logger.exception("failed")
    logger.error("again", exc_info=ValueError(SECRET))
    logger.error("none", exc_info=True)  # noqa: LOG014 - as people write it
    errors = [line[-1] for line in within.request.lines or ()]
    assert "ValueError" == errors[1]
    assert errors[0].startswith("LookupError tests/probe/test_logged.py:")
    assert errors[2] is None


def test_what_is_not_logged_is_no_line(logger: logging.Logger, within: core.Scope) -> None:
    logger.debug("below the level")
    logger.addFilter(lambda record: record.levelno > logging.INFO)
    logger.info("filtered")
    logger.warning("let through")
    logger.handle(logging.makeLogRecord({"msg": "of another process", "process": -1, "levelno": 40}))
    assert ["let through"] == lines(within)


@pytest.mark.parametrize("level", [-5, 10**9])
def test_any_level_fits(logger: logging.Logger, level: int, within: core.Scope) -> None:
    logger.handle(logging.makeLogRecord({"msg": "odd", "levelno": level, "name": "n" * 5_000}))
    ((_, _, _, kept, name, *_),) = within.request.lines or ()
    assert 0 <= kept <= logged.LEVEL_MAX
    assert len(name) == logged.LOGGER_LETTERS_MAX


def test_a_request_keeps_so_many_lines_and_counts_the_rest(logger: logging.Logger, within: core.Scope) -> None:
    for _ in range(logged.LINES_MAX + 7):
        logger.info("again")
    assert logged.LINES_MAX == len(lines(within))
    assert 7 == core.state.lines_dropped


def test_a_process_keeps_so_many_a_second_and_counts_the_rest(logger: logging.Logger) -> None:
    core.state.lines_left = 3
    for _ in range(5):
        logger.info("again")
    assert (3, 2) == (len(core.state.lines), core.state.lines_dropped)
    keeping.Keeper().second()
    logger.info("in the next second")
    assert 4 == len(core.state.lines)


def test_lines_are_shed_and_the_ids_stay(logger: logging.Logger, said: io.StringIO, within: core.Scope) -> None:
    core.state.shed = core.SHED_STACKS
    logger.info("a")
    assert (None, 1) == (within.request.lines, core.state.lines_dropped)
    assert not said.getvalue().startswith("|")


def test_an_instrument_that_fails_is_counted_and_the_app_logs(
    logger: logging.Logger, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instrument.logged, "note", lambda *_: 1 / 0)
    logger.info("a")
    assert "||a\n" == said.getvalue()
    assert 1 == core.state.failures


def of_requests() -> list[tuple[int, Any]]:
    return [(line[1], line[TEMPLATE]) for line in core.state.lines]


def serials() -> list[tuple[int, str]]:
    return [(row[0], row[core.KIND]) for row in core.state.finished]


def test_lines_go_with_their_request_and_with_what_it_goes_on_with(logger: logging.Logger) -> None:
    @recorded
    async def app(scope: Any, receive: Any, send: Any) -> None:
        routed().route = scope["path"]
        logger.info("before")
        await answer(send)
        logger.info("after")
        if scope["path"] == "/work":
            await asyncio.sleep(core.BACKGROUND_S_MIN * 2)

    asyncio.run(ask(app, "/work"))
    (request, _), (background, kind) = serials()
    assert "background" == kind
    assert [(request, "before"), (background, "after")] == of_requests()
    core.state.finished.clear()
    core.state.lines.clear()
    # What comes to nothing worth keeping belongs to the request itself.
    asyncio.run(ask(app, "/quick"))
    ((request, _),) = serials()
    assert [(request, "before"), (request, "after")] == of_requests()


@pytest.mark.parametrize(("status", "kept"), [(200, []), (500, ["said"])])
def test_outside_of_windows_lines_are_kept_with_an_exemplar(
    logger: logging.Logger, status: int, kept: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @recorded
    async def app(scope: Any, receive: Any, send: Any) -> None:
        logger.info("said")
        await answer(send, status=status)
        logger.info("late")

    monkeypatch.setattr(keeping.windows, "overlaps", lambda *_: False)
    core.state.keep_whole = keeping.Keeper().whole
    asyncio.run(ask(app))
    assert kept == [template for _, template in of_requests() if template == "said"]
    assert len(kept) == len(core.state.finished)
    assert 2 == len(core.state.lines) + core.state.lines_dropped


def test_what_is_logged_after_the_end_goes_where_the_request_went(
    logger: logging.Logger, within: core.Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    core.freeze(within.request, final=True)
    logger.info("late")
    assert [(within.request.serial, "late")] == of_requests()
    within.request.kept = False
    logger.info("too late")
    assert (1, 1) == (len(core.state.lines), core.state.lines_dropped)


def test_a_full_buffer_drops_lines_with_their_request(logger: logging.Logger, within: core.Scope) -> None:
    logger.info("said")
    core.state.held_bytes = core.HELD_BYTES_MAX
    core.freeze(within.request, final=True)
    assert (0, 1, 1) == (len(core.state.lines), core.state.lines_dropped, core.state.dropped)


def test_the_constants_of_code_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logged, "REMEMBERED_MAX", 3)
    for number in range(10):
        scope: dict[str, Any] = {"constant": logged.constant, "sys": sys}
        exec(f"def f():\n return constant('text {number}', sys._getframe())", scope)  # noqa: S102
        assert f"text {number}" == scope["f"]()
    assert len(logged._constants) <= 3
